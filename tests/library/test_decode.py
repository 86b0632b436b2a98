# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as people have them, good and bad, through the decoder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.errors import BadFile
from appliance.library.decode import decode, decode_chunks, fold_matrix, probe


def tone(hz: float, seconds: float, rate: int, channels: int = 2, level: float = 0.5) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def dominant_hz(audio: np.ndarray, rate: int) -> float:
    mono = audio.mean(axis=1) * np.hanning(len(audio))
    return float(np.argmax(np.abs(np.fft.rfft(mono)))) * rate / len(mono)


@pytest.mark.parametrize(
    ("suffix", "rate", "channels"),
    [("wav", 48000, 2), ("flac", 44100, 2), ("wav", 8000, 1), ("wav", 192000, 6), ("aiff", 96000, 2), ("ogg", 44100, 2)],
)
def test_every_format_comes_out_at_the_engines_rate_and_exact_length(
    tmp_path: Path, suffix: str, rate: int, channels: int
) -> None:
    path = tmp_path / f"tone.{suffix}"
    sf.write(path, tone(1000, 1.5, rate, channels), rate)
    info = probe(path)
    assert (info.rate, info.channels, info.duration_s) == (rate, channels, 1.5)
    pieces = list(decode_chunks(path, 48000, chunk_frames=5000))
    assert all(p.dtype == np.float32 and p.flags.c_contiguous and p.shape[1] == 2 and len(p) for p in pieces)
    audio = np.concatenate(pieces)
    assert len(audio) == info.frames_at(48000) == 72000
    assert dominant_hz(audio, 48000) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("suffix", ["mp3", "opus"])
def test_lossy_files_have_their_length_within_a_tenth_of_a_second(tmp_path: Path, suffix: str) -> None:
    source, path = tmp_path / "tone.wav", tmp_path / f"tone.{suffix}"
    sf.write(source, tone(1000, 3, 44100), 44100)
    made = subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, path], check=False)
    if made.returncode:
        pytest.skip("ffmpeg is not installed")
    audio = decode(path, 48000)
    assert len(audio) / 48000 == pytest.approx(3, abs=0.1)
    assert dominant_hz(audio, 48000) == pytest.approx(1000, abs=2)


def test_same_rate_is_bit_exact(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).uniform(-1, 1, (70001, 2)).astype(np.float32)
    sf.write(tmp_path / "noise.wav", noise, 48000, subtype="FLOAT")
    assert np.array_equal(decode(tmp_path / "noise.wav", 48000), noise)


def test_pieces_resample_like_the_whole(tmp_path: Path) -> None:
    sf.write(tmp_path / "noise.wav", np.random.default_rng(2).uniform(-1, 1, (44100, 2)), 44100, subtype="FLOAT")
    small = np.concatenate(list(decode_chunks(tmp_path / "noise.wav", 48000, chunk_frames=777)))
    assert np.allclose(small, decode(tmp_path / "noise.wav", 48000), atol=1e-6)


def test_mono_goes_to_both_sides_at_full_level(tmp_path: Path) -> None:
    sf.write(tmp_path / "mono.wav", tone(500, 0.5, 48000, 1), 48000, subtype="FLOAT")
    audio = decode(tmp_path / "mono.wav", 48000)
    assert np.array_equal(audio[:, 0], audio[:, 1])
    assert np.abs(audio).max() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("channels", range(3, 13))
def test_fold_down_never_clips_and_keeps_sides(channels: int) -> None:
    matrix = fold_matrix(channels)
    assert matrix.shape == (channels, 2)
    assert np.all(matrix.sum(axis=0) <= 1.0001)
    assert matrix[0, 0] > 0 and matrix[0, 1] == 0 and matrix[1, 1] > 0 and matrix[1, 0] == 0


def test_nan_in_a_file_becomes_silence(tmp_path: Path) -> None:
    audio = tone(500, 0.1, 48000)
    audio[100:110] = np.nan
    audio[200] = np.inf
    sf.write(tmp_path / "bad.wav", audio, 48000, subtype="FLOAT")
    decoded = decode(tmp_path / "bad.wav", 48000)
    assert np.isfinite(decoded).all() and np.all(decoded[100:110] == 0)


def one_line(path: Path) -> str:
    with pytest.raises(BadFile) as caught:
        decode(path, 48000)
    message = caught.value.message
    assert "\n" not in message and str(path) in message
    return message


def test_missing_file_is_404(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no such file") as caught:
        probe(tmp_path / "absent.wav")
    assert caught.value.status == 404


def test_empty_folder_text_and_garbage_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    assert "empty" in one_line(tmp_path / "empty.wav")
    assert "folder" in one_line(tmp_path)
    (tmp_path / "notes.wav").write_text("this is no audio, only the name says so\n" * 50)
    assert "not an audio file" in one_line(tmp_path / "notes.wav")
    (tmp_path / "noise.flac").write_bytes(np.random.default_rng(3).bytes(20000))
    assert "not an audio file" in one_line(tmp_path / "noise.flac")


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac"])
def test_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    sf.write(path, np.random.default_rng(4).uniform(-0.5, 0.5, (96000, 2)), 48000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message = one_line(path)
    assert "cut off" in message or "damaged" in message


def test_a_header_without_audio_is_refused(tmp_path: Path) -> None:
    sf.write(tmp_path / "none.wav", np.zeros((0, 2)), 48000)
    assert "no audio" in one_line(tmp_path / "none.wav")


def test_long_file_starts_at_once(tmp_path: Path) -> None:
    """The first piece of a three-hour file comes without reading the rest."""
    path = tmp_path / "long.wav"
    with sf.SoundFile(path, "w", 8000, 1, subtype="PCM_U8") as file:
        block = np.zeros(8000 * 60, np.int16)
        for _ in range(180):
            file.write(block)
    info = probe(path)
    assert info.duration_s == 3 * 3600
    first = next(decode_chunks(path, 48000))
    assert 0 < len(first) < 48000 * 60
