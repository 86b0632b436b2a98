# SPDX-License-Identifier: GPL-3.0-or-later
"""Tempo, beats, key and loudness of files whose tempo, beats, key and loudness are known."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.errors import BadFile
from appliance.library.analysis.listen import analyse
from appliance.library.analysis.loudness import LoudnessMeter
from appliance.library.analysis.told import told_tempos
from tests.drums import RATE, drums
from tests.signals import cadence

LOOPS = Path(__file__).resolve().parents[3] / "shared" / "audio"


def analysed(folder: Path, audio: np.ndarray, name: str = "track.wav"):
    path = folder / name
    sf.write(path, audio, RATE)
    return analyse(path)


def beat_errors_s(grid, beats_s: np.ndarray, octave: float = 1.0) -> np.ndarray:
    """How far each true beat lies from a beat of the grid."""
    beats = np.array([grid.beat_at(float(at)) for at in beats_s]) * octave
    seconds = 60.0 / grid.bpm / octave
    return (beats - np.round(beats)) * seconds


@pytest.mark.parametrize(("pattern", "bpm", "swing"), [
    ("four", 90.0, 0.6), ("four", 123.45, 0.5), ("sixteenths", 128.0, 0.66), ("rock", 110.7, 0.5), ("rock", 174.0, 0.5),
    ("two-step", 140.0, 0.58), ("break", 124.0, 0.5), ("four", 180.0, 0.5),
])
def test_one_tempo_to_a_hundredth_and_its_beats_to_five_milliseconds(tmp_path, pattern, bpm, swing):
    first = 0.317
    found = analysed(tmp_path, drums(pattern, bpm, 60.2, first_s=first, swing=swing))
    assert found.steady and found.grid is not None and len(found.grid.anchors) == 1
    assert found.bpm == pytest.approx(bpm, abs=0.01)
    beats = first + np.arange(int(58 * bpm / 60)) * 60.0 / bpm
    assert np.abs(beat_errors_s(found.grid, beats)).max() < 0.005
    assert round(found.grid.beat_at(first)) % 4 == 0, "the first beat of a bar"


def test_five_minutes_end_where_they_should(tmp_path):
    bpm, first = 126.53, 0.21
    found = analysed(tmp_path, drums("four", bpm, 300.0, first_s=first))
    assert found.bpm == pytest.approx(bpm, abs=0.002)
    assert found.grid is not None and np.abs(beat_errors_s(found.grid, np.array([first + 620 * 60.0 / bpm])))[0] < 0.005


def test_half_or_double_is_the_worst_that_a_slow_beat_may_get(tmp_path):
    for bpm in (60.0, 75.3):
        found = analysed(tmp_path, drums("rock", bpm, 60.0, first_s=0.3))
        ratio = found.bpm / bpm
        assert min(abs(ratio - octave) for octave in (1.0, 2.0)) < 1e-4
        assert np.abs(beat_errors_s(found.grid, 0.3 + np.arange(50) * 60.0 / bpm)).max() < 0.005


@pytest.mark.parametrize(("depth", "period_s", "jitter_s"), [(0.03, 40.0, 0.004), (0.06, 60.0, 0.008)])
def test_a_band_that_does_not_keep_time_gets_anchors(tmp_path, depth, period_s, jitter_s):
    times, bpm = [0.25], 112.0
    while times[-1] < 100.0:  # quarter beats
        times.append(times[-1] + 15.0 / (bpm * (1 + depth * math.sin(2 * math.pi * times[-1] / period_s))))
    place = lambda beat: float(np.interp(beat * 4, np.arange(len(times)), times))  # noqa: E731
    found = analysed(tmp_path, drums("rock", bpm, 90.0, at=place, jitter_s=jitter_s))
    assert not found.steady and found.grid is not None and len(found.grid.anchors) > 20
    beats = np.array([place(beat) for beat in range(6, 155)])
    assert np.percentile(np.abs(beat_errors_s(found.grid, beats)), 95) < 0.015


def test_a_loop_is_a_whole_number_of_beats(tmp_path):
    for pattern, bpm, beats in (("rock", 97.0, 8), ("four", 133.0, 16), ("break", 126.0, 4), ("four", 120.0, 12)):
        found = analysed(tmp_path, drums(pattern, bpm, beats * 60.0 / bpm))
        assert (found.beats, found.bpm) == (beats, pytest.approx(bpm, rel=1e-4)), (pattern, bpm)
        assert found.grid is not None and found.grid.anchors == ((0.0, 0.0),)


@pytest.mark.skipif(not LOOPS.is_dir(), reason="the loops do not lie beside the checkout")
@pytest.mark.parametrize(("name", "bpm"), [("garzul", 120.0), ("mika", 120.0), ("breakbeat", 126.0), ("compus", 148.0)])
def test_real_loops(name, bpm):
    assert analyse(LOOPS / f"loop_{name}.flac").bpm == pytest.approx(bpm, abs=0.01)


def test_what_has_no_beat_gets_none(tmp_path):
    random = np.random.default_rng(3)
    tone = 0.3 * np.sin(2 * np.pi * 110 * np.arange(20 * RATE) / RATE)
    clicks = (random.random(30 * RATE) < 2.5 / RATE).astype(np.float32)
    for audio in (random.standard_normal(20 * RATE) * 0.1, tone, clicks, np.zeros(5 * RATE), np.zeros(50)):
        found = analysed(tmp_path, audio)
        assert found.grid is None and found.bpm == 0.0


def test_silence_has_no_loudness_and_no_key(tmp_path):
    found = analysed(tmp_path, np.zeros((3 * RATE, 2)))
    assert found.loudness is None and found.key == ""


@pytest.mark.parametrize(("tonic", "mode", "cents"), [
    (0, "major", 0), (2, "minor", 0), (6, "major", 30), (9, "minor", -25), (10, "minor", 0), (3, "major", 0),
])
def test_the_key_of_a_cadence_in_any_tuning(tmp_path, tonic, mode, cents):
    names = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    assert analysed(tmp_path, cadence(tonic, mode, cents, RATE)).key == f"{names[tonic]} {mode}"


def test_tempos_in_names_are_read_and_not_believed(tmp_path):
    assert told_tempos(Path("amen 174bpm.wav")) == (174.0,)
    assert told_tempos(Path("Loop_BPM_120.5_x.wav")) == (120.5,)
    assert told_tempos(Path("drums_98_Am.wav")) == (98.0,)
    assert told_tempos(Path("1999 - song 3.mp3")) == ()
    found = analysed(tmp_path, drums("rock", 87.0, 40.1, first_s=0.1), "song 174bpm.wav")
    assert found.bpm == pytest.approx(174.0, abs=0.01), "the name decides between a tempo and its double"
    found = analysed(tmp_path, drums("four", 124.0, 40.1, first_s=0.1), "song 131 bpm.wav")
    assert found.bpm == pytest.approx(124.0, abs=0.01), "the music decides between tempos"


def test_a_tempo_in_the_tags_counts(tmp_path):
    import mutagen.flac

    path = tmp_path / "tagged.flac"
    sf.write(path, drums("rock", 87.0, 40.1, first_s=0.1), RATE)
    tags = mutagen.flac.FLAC(path)
    tags["bpm"] = "174"
    tags.save()
    assert analyse(path).bpm == pytest.approx(174.0, abs=0.01)


def test_damage_is_told_or_left_out(tmp_path):
    path = tmp_path / "cut.flac"
    sf.write(path, drums("four", 124.0, 40.0), RATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    assert analyse(path).bpm == pytest.approx(124.0, abs=0.05)
    path.write_bytes(whole[: len(whole) // 20])
    with pytest.raises(BadFile, match=r"cut\.flac"):
        analyse(path)
    with pytest.raises(BadFile, match="no such file"):
        analyse(tmp_path / "gone.wav")


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_loudness_is_what_ffmpeg_says(tmp_path):
    """Twenty files: noises and tones of changing level, drums, short and long, other rates, one side only, real loops."""
    random = np.random.default_rng(5)
    signals: list[tuple[np.ndarray, int]] = []
    for number in range(12):
        rate = (44100, 48000, 96000, 22050)[number % 4]
        gain = np.repeat(10 ** (random.uniform(-45, -8, 10) / 20), rate)[:, None]
        noise = random.standard_normal((10 * rate, 2))
        if number % 3 == 1:
            noise = np.cumsum(noise, 0) - np.cumsum(noise, 0).mean(0)
        if number % 3 == 2:
            noise[:, 1] = 0.0
        signals.append(((gain * noise / np.abs(noise).max()).astype(np.float32), rate))
    signals += [(drums(pattern, 124.0, seconds), RATE) for pattern, seconds in (("four", 1.0), ("rock", 7.3), ("break", 30.0))]
    signals.append((0.2 * np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)[:, None].repeat(2, 1), RATE))
    for path in sorted(LOOPS.glob("*.flac"))[:4]:
        signals.append(sf.read(path, dtype="float32", always_2d=True))
    for number, (audio, rate) in enumerate(signals):
        path = tmp_path / f"{number}.wav"
        sf.write(path, audio, rate, "FLOAT")
        done = subprocess.run(["ffmpeg", "-nostats", "-i", str(path), "-af", "ebur128=dualmono=true", "-f", "null", "-"],
                              capture_output=True, text=True, check=True)
        wanted = float(re.findall(r"I:\s+(-?[\d.]+) LUFS", done.stderr)[-1])
        assert analyse(path).loudness == pytest.approx(wanted, abs=0.1), number


def test_loudness_does_not_depend_on_the_pieces():
    audio = np.random.default_rng(2).standard_normal((200_000, 2)).astype(np.float32) * 0.1
    whole, pieces = LoudnessMeter(RATE), LoudnessMeter(RATE)
    whole.feed(audio)
    for begin in range(0, len(audio), 777):
        pieces.feed(audio[begin : begin + 777])
    assert whole.lufs() == pytest.approx(pieces.lufs(), abs=1e-6)
