# SPDX-License-Identifier: GPL-3.0-or-later
"""The limiter against what is hardest for it: no sample over the ceiling, the curve between them by 0.1 dB at most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

from appliance.engine.backends.offline import OfflineEngine

FRAMES = 2400
GAP_FRAMES = 480
OVERSAMPLING = 8
FILTER = firwin(2 * 32 * OVERSAMPLING + 1, 1 / OVERSAMPLING, window=("kaiser", 8.0))
"""64 frames long, flat to 22 kHz; another than the engine listens with."""

Maker = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def _sines(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Tones of any pitch, also those whose samples all miss the top: a quarter of the rate at 45 degrees, a sixth at 90."""
    kinds = [(1 / 4, 1 / 8), (1 / 6, 1 / 4), (1 / 8, 1 / 16), (rng.uniform(0.0005, 0.45), rng.uniform())]
    cycles, phase = kinds[rng.integers(len(kinds))]
    return np.sin(2 * np.pi * (cycles * t + phase))


def _sine_bursts(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    start, end = sorted(rng.integers(0, len(t), 2))
    return _sines(rng, t) * ((t >= start) & (t <= end))


def _impulses(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    wave = np.zeros(len(t))
    wave[rng.integers(0, len(t), rng.integers(1, 40))] = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1)
    return wave


def _pairs(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Neighbours of one size, whose curve goes over both by a quarter."""
    wave = np.zeros(len(t))
    at = rng.integers(0, len(t) - 8, 12)
    wave[at], wave[at + 1], wave[at + 2], wave[at - 1] = 1, 1, -rng.uniform(), -rng.uniform()
    return wave


def _squares(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    return np.sign(np.sin(2 * np.pi * (rng.uniform(0.0005, 0.3) * t + rng.uniform())) + 1e-9)


def _saws(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    return 2 * ((rng.uniform(0.0005, 0.2) * t) % 1) - 1


def _steps(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Jumps from one constant to another."""
    return np.repeat(rng.uniform(-1, 1, len(t)), rng.integers(1, 600))[: len(t)]


def _noise(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    return rng.standard_normal(len(t)) / 3


def _noise_bursts(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    return _noise(rng, t) * np.repeat(rng.random(len(t)) < 0.3, rng.integers(1, 300))[: len(t)]


def _offset_noise(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    return np.sign(rng.standard_normal()) * 0.5 + _noise(rng, t) * rng.uniform(0, 0.5)


def _signs(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Full scale one way or the other, by chance: what goes furthest over its samples."""
    return np.repeat(rng.choice([-1.0, 1.0], len(t)), rng.integers(1, 5))[: len(t)]


def _sweeps(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * (0.0005 * t + rng.uniform(0.05, 0.42) * t**2 / (2 * len(t))))


def _beats(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    low, high = rng.uniform(0.001, 0.43, 2)
    return (np.sin(2 * np.pi * low * t) + np.sin(2 * np.pi * high * t + 1)) / 2


def _clipped(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Music that was driven into a clipper."""
    wave = sum(rng.uniform(0.2, 1) * np.sin(2 * np.pi * (rng.uniform(0.001, 0.1) * t + rng.uniform())) for _ in range(5))
    return np.clip(rng.uniform(1, 6) * wave, -1, 1)


MAKERS: tuple[Maker, ...] = (
    _sines, _sine_bursts, _impulses, _pairs, _squares, _saws, _steps, _noise, _noise_bursts, _offset_noise, _signs, _sweeps,
    _beats, _clipped,
)


def signal(seed: int) -> tuple[str, np.ndarray]:
    """A stereo signal with peaks of -6 … +24 dB, and what kind it is of."""
    rng = np.random.default_rng(seed)
    make = MAKERS[seed % len(MAKERS)]
    t = np.arange(FRAMES, dtype=float)
    sides = [make(rng, t), make(rng, t) * rng.uniform()]
    level = 10 ** (rng.uniform(-6, 24) / 20)
    return make.__name__, np.stack(sides, 1) * level


def limited(seeds: range, ceiling_db: float, release_ms: float, output: int = 0) -> np.ndarray:
    """The signals one after another through a deck and the master (``output`` 0) or booth (4): signals × frames × 2."""
    engine = OfflineEngine()
    engine.set("/mixer/limiter/ceiling", ceiling_db)
    engine.set("/mixer/limiter/release", release_ms)
    audio = np.zeros((len(seeds) * (FRAMES + GAP_FRAMES) + 64, 2), np.float32)
    for place, seed in enumerate(seeds):
        at = place * (FRAMES + GAP_FRAMES)
        audio[at : at + FRAMES] = signal(seed)[1]
    engine.load_deck(1, engine.load(audio))
    engine.do("/deck/1/play")
    heard = engine.run(len(audio) - 64, 1024)[:, output : output + 2]
    return heard.reshape(len(seeds), FRAMES + GAP_FRAMES, 2)


def excess_db(heard: np.ndarray, ceiling_db: float) -> tuple[float, np.ndarray]:
    """How far the samples, and each signal's curve, go over the ceiling."""
    curve = resample_poly(heard.astype(np.float64), OVERSAMPLING, 1, axis=1, window=FILTER)
    peak = np.maximum(np.abs(curve).max((1, 2)), 1e-9)
    return 20 * np.log10(max(float(np.abs(heard).max()), 1e-9)) - ceiling_db, 20 * np.log10(peak) - ceiling_db


def check(count: int, first: int) -> float:
    """``count`` signals through ceilings from -12 to 0 dB; returns how far the worst curve goes over."""
    rng, worst = np.random.default_rng(first), -np.inf
    batch = 200
    for begin in range(first, first + count, batch):
        seeds = range(begin, min(begin + batch, first + count))
        ceiling_db, release_ms = -rng.uniform(0, 12), rng.uniform(10, 200)
        heard = limited(seeds, ceiling_db, release_ms)
        over_db, curves_db = excess_db(heard, ceiling_db)
        assert over_db <= 1e-6 / 0.115, f"a sample is {over_db:.6f} dB over the ceiling of {ceiling_db:.2f} dB"
        loudest = int(curves_db.argmax())
        name = signal(seeds[loudest])[0].strip("_")
        assert curves_db[loudest] <= 0.1, f"{name}, seed {seeds[loudest]}: {curves_db[loudest]:.3f} dB over {ceiling_db:.2f} dB"
        worst = max(worst, float(curves_db[loudest]))
    return worst


def test_neither_samples_nor_the_curve_between_them_go_over() -> None:
    check(600, 0)


@pytest.mark.soak
def test_ten_thousand_signals() -> None:
    print(f"the curve's highest point: {check(10_000, 0):+.3f} dB of the ceiling")
