# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports and stems as jobs of a running gen process: files, pads, decks, the clock's tempo, the store's lineage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from appliance.errors import ApplianceError
from appliance.gen.request import loop_frames
from appliance.gen.seam import seam_ratio
from appliance.gen.stems.request import STEMS
from appliance.library.store import AudioStore
from tests.gen.conftest import Running
from tests.gen.test_conform import beat_track

REAL = sorted((Path(__file__).parents[3] / "shared" / "audio").glob("*.flac"))


def recording(path: Path, bpm: float = 112.0, beats: int = 8, rate: int = 44_100) -> Path:
    sf.write(path, beat_track(bpm, beats, rate, 0.0, 0.0)[: round(beats * 60 / bpm * rate)], rate)
    return path


def samples(path: str) -> np.ndarray:
    return sf.read(path, dtype="float32", always_2d=True)[0]


async def loaded(running: Running, count: int) -> dict[str, tuple[str, dict[str, Any]]]:
    await running.until(lambda: len(running.control.loads) >= count, 60)
    return {address.removesuffix("/load"): (path, options) for address, path, options in running.control.loads}


async def test_a_recording_becomes_a_loop_on_the_pad(running: Running, tmp_path: Path) -> None:
    running.box.values.set("/clock/bpm", 126.0)
    path = recording(tmp_path / "take one.wav")
    id_ = await running.do("/bank/1/pad/4/import", str(path), "role=drums", "name", "Break")
    file, options = (await loaded(running, 1))["/bank/1/pad/4"]
    assert options == {"name": "Break", "role": "drums", "bpm": 126.0, "beats": 8.0, "at": "bar"}
    loop = samples(file)
    assert len(loop) == loop_frames(2, 4, 126, 48_000) and seam_ratio(loop) <= 1
    await running.until(lambda: running.control.states.get("/gen/job", {}).get("state") == "done")
    job = await running.job(id_)
    assert job["backend"] == "import" and "112 bpm heard, 2 bars made" in job["message"]
    store = AudioStore(running.box.data)
    clip = store.get(Path(file).stem)
    store.close()
    assert clip and clip.bpm == 126 and clip.lineage["file"] == str(path) and clip.lineage["backend"] == "import"
    await running.do("/bank/1/pad/5/import", str(path), {"role": "drums"})
    again, _ = (await loaded(running, 2))["/bank/1/pad/5"]
    assert again == file, "made before: the same clip, with no work"


async def test_what_is_on_a_pad_can_be_imported_to_another_tempo(running: Running, tmp_path: Path) -> None:
    running.control.hub.announce("/deck/2/file", str(recording(tmp_path / "deck.flac", 120)))
    await running.do("/gen/jobs")
    await running.do("/bank/1/pad/1/import", "/deck/2", "bpm=100", "bars=1")
    file, options = (await loaded(running, 1))["/bank/1/pad/1"]
    assert options["bpm"] == 100 and len(samples(file)) == loop_frames(1, 4, 100, 48_000)


@pytest.mark.skipif(not REAL, reason="the real loops are not here: shared/audio/*.flac")
async def test_real_loops_come_out_exact(running: Running) -> None:
    running.box.values.set("/clock/bpm", 124.0)
    for pad, path in enumerate(REAL, 1):
        await running.do(f"/bank/1/pad/{pad}/import", str(path))
    places = await loaded(running, len(REAL))
    for pad, path in enumerate(REAL, 1):
        file, options = places[f"/bank/1/pad/{pad}"]
        loop = samples(file)
        bars = options["beats"] / 4
        assert bars == round(bars) and len(loop) == loop_frames(round(bars), 4, 124, 48_000), path.name
        assert seam_ratio(loop) <= 1 and np.abs(loop).max() <= 10 ** (-1 / 20) + 1e-5, path.name


async def test_stems_go_to_pads_and_add_up_to_the_mix(running: Running) -> None:
    await running.do("/gen/generate", {"prompt": "house", "bars": 1, "seed": 3}, "/pad/1")
    mix, _ = (await loaded(running, 1))["/bank/1/pad/1"]
    running.control.loads.clear()
    ids = await running.do("/bank/1/pad/1/stems", "/pad/5")
    places = await loaded(running, 4)
    assert len(ids) == 4 and sorted(places) == [f"/bank/1/pad/{pad}" for pad in range(5, 9)]
    stems = [samples(places[f"/bank/1/pad/{pad}"][0]) for pad in range(5, 9)]
    assert np.abs(np.sum(stems, axis=0) - samples(mix)).max() < 1e-3  # -60 dB
    roles = [places[f"/bank/1/pad/{pad}"][1]["role"] for pad in range(5, 9)]
    assert roles == ["drums", "bass", "voice", "none"] and all(options["beats"] == 4 for _, options in places.values())
    store = AudioStore(running.box.data)
    clips = [store.get(Path(places[f"/bank/1/pad/{pad}"][0]).stem) for pad in range(5, 9)]
    store.close()
    for clip, stem in zip(clips, STEMS, strict=True):
        assert clip and clip.lineage["stem"] == stem and clip.lineage["parents"] == [Path(mix).stem] and clip.bpm
    running.control.loads.clear()
    await running.do("/gen/stems", mix, {"vocals": "/pad/12"})
    assert list(await loaded(running, 1)) == ["/bank/1/pad/12"]


async def test_bad_imports_and_stems_are_refused_in_one_line(running: Running, tmp_path: Path) -> None:
    good = recording(tmp_path / "good.wav")
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"\x00\xff" * 500)
    short = tmp_path / "short.wav"
    sf.write(short, np.full((4000, 2), 0.1, np.float32), 48_000)
    calls: list[tuple[str, list[Any], str]] = [
        ("/bank/1/pad/1/import", [], "takes a file"),
        ("/bank/1/pad/1/import", [str(tmp_path / "none.wav")], "none.wav"),
        ("/bank/1/pad/1/import", [str(noise)], "not an audio file"),
        ("/bank/1/pad/1/import", ["/pad/9"], "is empty"),
        ("/bank/1/pad/1/import", ["f" * 64], "no stored clip"),
        ("/bank/1/pad/1/import", [str(good), "tempo=3"], "no option 'tempo'"),
        ("/bank/1/pad/1/import", [str(good), "bars=1000"], "bars"),
        ("/bank/1/pad/1/import", [str(good), {"key": "H minor"}], "no key"),
        ("/bank/1/pad/1/stems", ["/pad/5"], "is empty"),
        ("/gen/stems", [str(good), "/pad/14"], "need four pads"),
        ("/gen/stems", [str(good), "/deck/1"], "need four pads"),
        ("/gen/stems", [str(good), {"voices": "/pad/1"}], "stems are drums"),
        ("/gen/stems", [], "takes a file"),
    ]
    for address, args, words in calls:
        with pytest.raises(ApplianceError) as caught:
            await running.do(address, *args)
        assert words in caught.value.message and "\n" not in caught.value.message and caught.value.status < 500, address
    id_ = await running.do("/bank/1/pad/1/import", str(short))
    await running.until(lambda: any(job["id"] == id_ and job["state"] == "failed" for job in running.control.jobs))
    assert "less than one bar" in (await running.job(id_))["message"] and (await running.job(id_))["attempts"] == 1


def test_a_file_that_changes_before_its_turn_is_told(tmp_path: Path) -> None:
    from appliance.gen.import_request import parse_import
    from appliance.gen.material import Material, stamp_of
    from appliance.gen.material_maker import MaterialMaker

    path = recording(tmp_path / "a.wav")
    request = parse_import({"material": Material(path=str(path), stamp=stamp_of(path), name="a"), "bpm": 120})
    os.utime(path, ns=(1, 1))
    with pytest.raises(ApplianceError, match="has changed since"):
        MaterialMaker().make(request, tmp_path, lambda _: None, lambda: False)
