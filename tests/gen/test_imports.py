# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever comes in, what comes out is a loop: its length, its first beat, its loudness, its seam, its tempo and its key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.cli import main
from appliance.errors import BadValue
from appliance.gen.conform import conform
from appliance.gen.imports import conform_import
from appliance.gen.loudness import integrated_lufs
from appliance.gen.seam import close_seam, seam_ratio
from appliance.library.analysis.result import Analysis
from appliance.library.stretch.loop import is_there
from tests.gen.test_conform import beat_track
from tests.signals import cadence, sine

stretches = pytest.mark.skipif(not is_there(), reason="librubberband is not installed")


def first_attack(loop: np.ndarray) -> int:
    """Frames from the loop point to where the first beat passes a fifth of its peak; before it: below 0."""
    around = np.abs(np.roll(loop, 480, axis=0)[:1440]).max(axis=1)
    return int(np.argmax(around > 0.2 * around.max())) - 480


def material(seed: int) -> tuple[np.ndarray, int, float, int]:
    """A beat with tones and noise, somewhere in a recording: audio, rate, tempo, bars that are there."""
    random = np.random.default_rng(seed)
    rate = int(random.choice((22_050, 32_000, 44_100, 48_000, 96_000)))
    bpm, bars = float(np.round(random.uniform(60, 190), 2)), int(random.choice((1, 2)))
    audio = beat_track(bpm, 4 * bars, rate, float(random.choice((0.0, random.uniform(0.01, 0.4)))), random.uniform(0.0, 0.7))
    time = np.arange(len(audio)) / rate
    audio += 0.02 * np.sin(2 * np.pi * random.uniform(40, 2000) * time)[:, None].astype(np.float32)
    audio += random.uniform(0, 3e-3) * random.standard_normal(audio.shape).astype(np.float32)
    if seed % 4 == 1:
        audio[[0, -1]] = (0.9, -0.9)
    audio *= np.float32(10 ** random.uniform(-2, 0))
    return (audio[:, :1] if seed % 3 == 0 else audio), rate, bpm, bars


def check(seed: int) -> None:
    audio, rate, bpm, bars = material(seed)
    loop, report, _ = conform(audio, rate, bpm=bpm, bars=bars)
    assert loop.shape == (round(bars * 4 * 60 / bpm * 48_000), 2), seed
    assert np.isfinite(loop).all() and np.abs(loop).max() <= 10 ** (-1 / 20) + 1e-5, seed
    assert seam_ratio(loop) <= 1, (seed, report)
    told = any("too peaky" in note for note in report.notes)
    assert told or integrated_lufs(loop, 48_000) == pytest.approx(-16.0, abs=0.5), (seed, report)
    if seed % 4 != 1:  # there a click is the first attack
        assert abs(first_attack(loop)) <= 96, (seed, report)


@pytest.mark.parametrize("seed", range(16))
def test_any_recording_becomes_a_loop(seed: int) -> None:
    check(seed)


@pytest.mark.soak
def test_five_hundred_recordings_become_loops() -> None:
    for seed in range(100, 600):
        check(seed)


def test_clicks_and_steps_at_the_edges_are_closed() -> None:
    for seed in range(30):
        random = np.random.default_rng(seed)
        loop = sine(0.5, random.uniform(30, 300))[: 20_000 + seed]
        loop[:3] += np.float32(random.uniform(-0.8, 0.8))
        loop[-3:] += np.float32(random.uniform(-0.8, 0.8))
        layers = [loop.copy(), 0.25 * loop, 0.75 * loop]
        close_seam(layers, 48_000)
        assert seam_ratio(layers[0]) <= 1, seed
        assert np.abs(layers[1] + layers[2] - layers[0]).max() < 1e-6, "stems still add up"
        assert np.array_equal(layers[0][96:-480], loop[96:-480]), "the rest is as it was"
    silent = [np.zeros((9600, 2), np.float32)]
    silent[0][0] = 0.5
    assert close_seam(silent, 48_000) and seam_ratio(silent[0]) <= 1


@stretches
@pytest.mark.parametrize(("source", "bpm", "semitones"), [(112.0, 126.0, 0.0), (140.0, 126.0, -2.0), (126.0, 126.0, 3.0)])
def test_tempo_and_pitch_are_apart(source: float, bpm: float, semitones: float) -> None:
    audio = beat_track(source, 4, 48_000, 0.05, 0.3)
    loop, report, _ = conform(audio, 48_000, bpm=bpm, bars=1, source_bpm=source, semitones=semitones)
    assert len(loop) == round(240 / bpm * 48_000) and not report.notes
    assert abs(first_attack(loop)) <= 96 and report.seam_ratio <= 1
    assert report.loudness_lufs == pytest.approx(-16.0, abs=0.5)
    piece = loop[2000:8000, 0] * np.hanning(6000)
    heard = np.fft.rfftfreq(1 << 17, 1 / 48_000)[np.argmax(np.abs(np.fft.rfft(piece, 1 << 17)))]
    assert heard == pytest.approx(180 * 2 ** (semitones / 12), rel=0.02)


@stretches
def test_stems_of_what_is_stretched_add_up() -> None:
    audio = beat_track(110, 4, 48_000)
    stems = {"low": 0.3 * audio, "rest": 0.7 * audio}
    loop, _, parts = conform(audio, 48_000, bpm=120, bars=1, source_bpm=110, stems=stems)
    assert np.abs(parts["low"] + parts["rest"] - loop).max() < 1e-5


def test_without_rubber_band_it_is_played_faster_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.library.stretch.loop.LIBRARY", "librubberband-not-there.so")
    from appliance.library.stretch import loop as rubber_band

    rubber_band._library.cache_clear()
    loop, report, _ = conform(beat_track(100, 4, 48_000), 48_000, bpm=120, bars=1, source_bpm=100)
    rubber_band._library.cache_clear()
    assert len(loop) == 96_000 and abs(first_attack(loop)) <= 96
    assert any("librubberband-not-there" in note for note in report.notes)


@stretches
def test_an_import_is_listened_to_and_comes_to_tempo_and_key() -> None:
    audio = 0.3 * cadence(2, "major", rate=48_000)[: 4 * 48_000]
    beat = beat_track(120.0, 8, 48_000)[: len(audio)]
    loop, report, _ = conform_import(audio[:, None].astype(np.float32) + beat, 48_000, bpm=126, key="C major")
    assert len(loop) == round(8 * 60 / 126 * 48_000) and report.speed == pytest.approx(1.05)
    spectrum = np.abs(np.fft.rfft(loop[:, 0]))
    hz = np.arange(len(spectrum)) * 48_000 / len(loop)
    near = lambda at: float(spectrum[np.abs(hz / at - 1) < 0.008].max())  # noqa: E731
    assert near(261.63) > 3 * near(277.18), "the first chord's D is a C now, not a C#"


def test_an_import_of_half_the_tempo_keeps_its_speed() -> None:
    found = Analysis.model_validate({"grid": {"bpm": 63.0}, "beats": 2.0, "seconds": 120 / 63})
    loop, report, _ = conform_import(beat_track(63, 2, 44_100), 44_100, bpm=126, found=found)
    assert report.speed == pytest.approx(1.0) and len(loop) == round(4 * 60 / 126 * 48_000)


def test_too_short_an_import_is_refused() -> None:
    with pytest.raises(BadValue, match="less than one bar"):
        conform_import(sine(0.5), 48_000, bpm=120)


def test_the_command_line_makes_a_loop_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "take.wav", tmp_path / "loop.wav"
    sf.write(source, beat_track(120, 8, 44_100, 0.0, 0.0)[: 4 * 44_100], 44_100)
    assert main(["import", "loop", str(source), "-o", str(out)]) == 0
    assert sf.info(out).frames == 4 * 48_000 and "120 bpm heard" in capsys.readouterr().err
    for wrong, words in ((["-o", str(tmp_path / "x.mp3")], "NAME.wav"), ([], "NAME.wav"),
                         (["-o", str(out), "--bars", "1000"], "bars"), (["-o", str(out), "--key", "H"], "no key")):
        assert main(["import", "loop", str(source), *wrong]) == 1
        assert words in capsys.readouterr().err
    assert main(["import", "loop", str(tmp_path / "none.wav"), "-o", str(out)]) == 1
    assert "none.wav" in capsys.readouterr().err
