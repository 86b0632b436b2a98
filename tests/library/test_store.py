# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio store: content addressing, the cache, a full disk, another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.errors import BadFile
from appliance.library.store import AudioStore, audio_hash


def noise(seed: int, frames: int = 4800) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (frames, 2)).astype(np.float32)


def test_what_goes_in_comes_out_and_equal_audio_is_stored_once(tmp_path: Path) -> None:
    store = AudioStore(tmp_path)
    audio = noise(1)
    clip = store.put(audio, 48000, name="Kick", role="drums", bpm=126.0, bars=4, beats=16, key="A minor", loudness=-16.0,
                     lineage={"request": {"seed": 1}}, request="r1")
    again = store.put(audio.copy(), 48000, name="Other", role="drums")
    assert again.hash == clip.hash == audio_hash(audio, 48000)
    assert clip.path == tmp_path / "audio" / clip.hash[:2] / f"{clip.hash}.wav"
    read, rate = sf.read(clip.path, dtype="float32")
    assert rate == 48000 and np.array_equal(read, audio)
    assert (clip.bpm, clip.bars, clip.beats, clip.key, clip.lineage) == (126.0, 4, 16, "A minor", {"request": {"seed": 1}})
    assert len(store.clips()) == 1 and len(list((tmp_path / "audio").rglob("*.*"))) == 1


def test_equal_audio_gives_equal_bytes_on_disk(tmp_path: Path) -> None:
    one = AudioStore(tmp_path / "a").put(noise(2), 48000, name="a", role="bass")
    other = AudioStore(tmp_path / "b").put(noise(2), 48000, name="b", role="bass")
    assert one.path.read_bytes() == other.path.read_bytes()


def test_cache_finds_what_was_made_and_forgets_a_vanished_file(tmp_path: Path) -> None:
    store = AudioStore(tmp_path)
    clip = store.put(noise(3), 48000, name="a", role="lead", request="asked", candidate=1)
    assert store.made("asked", 1) == AudioStore(tmp_path).made("asked", 1) == clip
    assert store.made("asked", 0) is None
    clip.path.unlink()
    assert store.made("asked", 1) is None


def test_pruning_keeps_pinned_and_used_clips(tmp_path: Path) -> None:
    store = AudioStore(tmp_path)
    clips = [store.put(noise(seed), 48000, name=str(seed), role="bass") for seed in range(4)]
    store.pin(clips[0].hash)
    assert store.prune(0, in_use=frozenset({clips[1].hash})) == 2
    assert [clip.path.exists() for clip in clips] == [True, True, False, False]


def test_full_disk_is_one_plain_line_and_corrupts_nothing(tmp_path: Path) -> None:
    """A real limit of the file system: no file of this process may grow over 200 kB."""
    script = f"""
import resource, numpy as np, pathlib
from appliance.errors import ApplianceError
from appliance.library.store import AudioStore
store = AudioStore(pathlib.Path({str(tmp_path)!r}))
kept = store.put(np.zeros((100, 2), np.float32), 48000, name="small", role="bass")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    store.put(np.ones((48000, 2), np.float32), 48000, name="big", role="bass")
except ApplianceError as error:
    print(error.status, error.message)
assert store.get(kept.hash) == kept
assert [clip.name for clip in store.clips()] == ["small"]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("507 ") and "disk is full" in done.stdout and done.stdout.count("\n") == 1
    assert [path.suffix for path in (tmp_path / "audio").rglob("*") if path.is_file()] == [".wav"]


def test_damaged_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "library.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(BadFile, match="damaged"):
        AudioStore(tmp_path)
