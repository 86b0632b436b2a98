# SPDX-License-Identifier: GPL-3.0-or-later
"""Loudness and true peak of the master, against EBU Tech 3341's signals and against ffmpeg."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.bus.loudness import integrated_lufs, range_lu
from appliance.control.loudness import steps_since
from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE

LOOPS = Path(__file__).resolve().parents[3] / "shared" / "audio"


def tone(levels_db: list[tuple[float, float]], hz: float = 1000.0) -> np.ndarray:
    """A stereo sine: ``(level in dBFS, seconds)`` one after another."""
    level = np.concatenate([np.full(round(s * RATE), 10 ** (db / 20)) for db, s in levels_db])
    wave = level * np.sin(2 * np.pi * hz * np.arange(len(level)) / RATE)
    return np.stack([wave, wave], 1).astype(np.float32)


def played(engine: OfflineEngine, audio: np.ndarray) -> np.ndarray:
    """Through a deck and the master; the tenths of a second that were measured."""
    engine.load_deck(1, engine.load(audio))
    engine.set("/mixer/limiter/ceiling", 0.0)
    engine.do("/deck/1/play")
    engine.run(len(audio), 1024)
    return steps_since(engine.segment, 0)


@pytest.mark.parametrize(("levels", "wanted"), [
    ([(-23, 20)], -23.0),
    ([(-33, 20)], -33.0),
    ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
    ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
    ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
])
def test_integrated_loudness_of_tech_3341(engine: OfflineEngine, levels: list[tuple[float, float]], wanted: float) -> None:
    assert integrated_lufs(played(engine, tone(levels))) == pytest.approx(wanted, abs=0.1)


def test_momentary_and_short_term(engine: OfflineEngine) -> None:
    played(engine, tone([(-23, 4)]))
    told = engine.telemetry.snapshot()["master"]
    assert told["momentary"] == pytest.approx(-23, abs=0.1)
    assert told["short_term"] == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(("levels", "wanted"), [([(-20, 20), (-30, 20)], 10.0), ([(-20, 20), (-15, 20)], 5.0)])
def test_loudness_range_of_tech_3342(engine: OfflineEngine, levels: list[tuple[float, float]], wanted: float) -> None:
    assert range_lu(played(engine, tone(levels))) == pytest.approx(wanted, abs=1.0)


@pytest.mark.parametrize(("hz", "phase"), [(RATE / 4, 0.25), (RATE / 6, 0.0), (RATE / 8, 0.3), (997.0, 0.0)])
def test_the_true_peak_lies_between_the_samples(engine: OfflineEngine, hz: float, phase: float) -> None:
    """A sine of half scale whose samples may all miss its top: Tech 3341 allows +0.2 … -0.4 dB."""
    wave = 0.5 * np.sin(2 * np.pi * (hz * np.arange(RATE) / RATE) + phase * np.pi)
    played(engine, np.stack([wave, wave], 1).astype(np.float32))
    peak = float(engine.telemetry.snapshot()["master"]["true_peak"])
    assert -0.4 <= 20 * np.log10(peak / 0.5) <= 0.2


def test_silence_is_no_loudness(engine: OfflineEngine) -> None:
    assert integrated_lufs(played(engine, np.zeros((RATE, 2), np.float32))) == -np.inf


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_it_is_what_ffmpeg_says(tmp_path: Path) -> None:
    """Twenty signals: noises and tones of changing level, and loops where they lie beside the checkout."""
    random = np.random.default_rng(11)
    signals = []
    for number in range(16):
        gain = np.repeat(10 ** (random.uniform(-40, -10, 10) / 20), RATE)[:, None]
        colour = np.cumsum(random.normal(size=(10 * RATE, 2)), 0) if number % 2 else random.normal(size=(10 * RATE, 2))
        colour -= np.convolve(colour[:, 0], np.ones(400) / 400, "same")[:, None] if number % 2 else 0
        signals.append((gain * colour / np.abs(colour).max()).astype(np.float32))
    for path in sorted(LOOPS.glob("*.*"))[:4]:
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
        if rate in (44100, RATE):
            signals.append(np.tile(audio[:, [0, -1]], (3, 1)))
    for number, audio in enumerate(signals):
        path = tmp_path / f"{number}.wav"
        sf.write(path, audio, RATE, "FLOAT")
        done = subprocess.run(["ffmpeg", "-nostats", "-i", str(path), "-af", "ebur128", "-f", "null", "-"],
                              capture_output=True, text=True, check=True)
        wanted = float(re.findall(r"I:\s+(-?[\d.]+) LUFS", done.stderr)[-1])
        assert integrated_lufs(played(OfflineEngine(), audio)) == pytest.approx(wanted, abs=0.1), path.name
