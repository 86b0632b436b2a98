# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read between the frames: flat where it should be, no images, no aliases."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from tests.signals import RATE, sine

SETTLE = 4800


def played(engine: OfflineEngine, clip: np.ndarray, rate: float, frames: int) -> np.ndarray:
    """The left side of a deck that plays the clip at a speed, without its beginning."""
    engine.load_deck(1, engine.load(clip))
    engine.set("/deck/1/rate", rate)
    engine.do("/deck/1/play")
    return engine.run(SETTLE + frames)[SETTLE:, 0].astype(np.float64)


def spectrum_db(signal: np.ndarray) -> np.ndarray:
    """Levels of a Blackman-Harris spectrum, 0 dB: a sine of full scale."""
    n = np.arange(len(signal))
    window = sum(a * np.cos(2 * np.pi * k * n / len(signal)) for k, a in enumerate((0.35875, -0.48829, 0.14128, -0.01168)))
    return 20 * np.log10(np.abs(np.fft.rfft(signal * window)) / (window.sum() / 2) + 1e-12)


def level_db(signal: np.ndarray, hz: float) -> float:
    """Level of a tone of known pitch."""
    window = np.hanning(len(signal))
    turned = signal * window * np.exp(-2j * np.pi * hz * np.arange(len(signal)) / RATE)
    return float(20 * np.log10(2 * abs(turned.sum()) / window.sum()))


@pytest.mark.parametrize("rate", [0.5, 0.77, 0.94, 1.06, 1.33, 1.5])
@pytest.mark.parametrize("hz", [997.0, 6001.0, 11003.0, 15000.0, 16000.0])
def test_a_tone_stays_one_tone(engine: OfflineEngine, rate: float, hz: float) -> None:
    frames = 1 << 15
    heard = played(engine, sine(2.0, hz, 0.5), rate, frames)
    levels = spectrum_db(heard)
    at = hz * rate * frames / RATE
    near = np.abs(np.arange(len(levels)) - at) < 8
    if at < len(levels) - 8:
        assert level_db(heard, hz * rate) == pytest.approx(20 * np.log10(0.5), abs=0.5 if hz <= 15000 else 3.0)
    assert levels[~near].max() < 20 * np.log10(0.5) - 80, f"{np.argmax(np.where(near, -200, levels)) * RATE / frames:.0f} Hz"


def test_at_its_own_speed_a_clip_is_itself_to_the_bit(engine: OfflineEngine) -> None:
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (RATE, 2)).astype(np.float32)
    heard = played(engine, noise, 1.0, 9600)
    np.testing.assert_array_equal(heard[DELAY:].astype(np.float32), noise[SETTLE : SETTLE + 9600 - DELAY, 0])


@pytest.mark.parametrize("pitch", [12.0, 24.0])
def test_a_pad_played_octaves_higher_does_not_fold(engine: OfflineEngine, pitch: float) -> None:
    """At two and four times its speed a clip is cut off below half the rate."""
    clip = sine(4.0, 15000.0, 0.5) + sine(4.0, 500.0, 0.25)
    engine.load_pad(1, engine.load(clip))
    engine.set("/pad/1/pitch", pitch)
    engine.do("/pad/1/trigger")
    engine.run(RATE * 2)  # the launch grid
    levels = spectrum_db(engine.run(1 << 14)[:, 0].astype(np.float64))
    at = 500.0 * 2 ** (pitch / 12) * (1 << 14) / RATE
    near = np.abs(np.arange(len(levels)) - at) < 8
    assert levels[near].max() > -20
    assert levels[~near].max() < levels[near].max() - 35
