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
from appliance.library.mp3 import frame_at, is_counted


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


def write_mp3(path: Path, audio: np.ndarray, counted: bool = True) -> Path:
    """Variable bit rate: quiet and loud in turn. Not ``counted``: without the header that says how long it is."""
    sf.write(path, audio, 44100, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.5, bitrate_mode="VARIABLE")
    if not counted:
        data = path.read_bytes()
        header = frame_at(data, 0)
        assert header and b"Xing" in data[: header.length]
        path.write_bytes(data[header.length :])
    return path


def changing(seconds: float) -> np.ndarray:
    """A tone, and noise in every other second."""
    noise = np.random.default_rng(5).standard_normal((round(seconds * 44100), 2)) * 0.2
    noise[(np.arange(len(noise)) // 44100) % 2 == 0] = 0
    return (tone(1000, seconds, 44100) * 0.2 + noise).astype(np.float32)


@pytest.mark.parametrize("counted", [True, False])
def test_an_mp3_of_variable_bit_rate_is_read_to_its_end(tmp_path: Path, counted: bool) -> None:
    path = write_mp3(tmp_path / "changing.mp3", changing(20), counted)
    assert is_counted(path) is counted
    assert probe(path).duration_s == pytest.approx(20, abs=0.1)
    audio = decode(path, 48000)
    assert len(audio) / 48000 == pytest.approx(20, abs=0.1)
    loud = np.sqrt(np.mean(audio[: 19 * 48000].reshape(19, 48000, 2)[:, 12000:36000] ** 2, axis=(1, 2)))
    assert (loud[1::2] > 0.15).all() and (loud[::2] < 0.1).all(), "every second is where it was"


def test_what_is_behind_the_damage_in_an_mp3_is_heard(tmp_path: Path) -> None:
    path = write_mp3(tmp_path / "scratched.mp3", changing(20))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = np.random.default_rng(6).bytes(3000)
    path.write_bytes(data)
    heard = 0
    with pytest.raises(BadFile, match="is damaged after"):
        for piece in decode_chunks(path, 48000):
            heard += len(piece)
    assert heard > 18.5 * 48000


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "opus"])
def test_a_lossy_file_that_was_cut_is_heard_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    if suffix == "mp3":
        write_mp3(path, changing(12))
    else:
        sf.write(path, changing(12), 48000, format="OGG", subtype="OPUS" if suffix == "opus" else "VORBIS")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    heard, told = 0, ""
    try:
        for piece in decode_chunks(path, 48000):
            heard += len(piece)
    except BadFile as error:
        told = error.message
    assert 3 * 48000 < heard < 9 * 48000
    assert ("cut off" in told) == (suffix == "mp3"), "an ogg file does not say how long it was"


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "ogg", "opus", "mp3", "caf", "w64", "au"])
@pytest.mark.parametrize("seed", range(3))
def test_damage_anywhere_is_heard_or_told_in_one_line(tmp_path: Path, suffix: str, seed: int) -> None:
    rng, path = np.random.default_rng(seed), tmp_path / f"damaged.{suffix}"
    options = {"opus": {"format": "OGG", "subtype": "OPUS"}}.get(suffix, {})
    sf.write(path, changing(4), 48000, **options)
    data = bytearray(path.read_bytes())
    for at in rng.integers(0, len(data) - 400, 4):
        data[at : at + 400] = rng.bytes(400)
    path.write_bytes(data)
    heard = [np.zeros((1, 2), np.float32)]
    try:
        heard.extend(decode_chunks(path, 48000))
    except BadFile as error:
        assert "\n" not in error.message and str(path) in error.message
    assert np.isfinite(np.concatenate(heard)).all()


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
