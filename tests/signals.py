# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals and measures that the engine's tests share."""

from __future__ import annotations

import numpy as np

RATE = 48000


def sine(seconds: float, hz: float = 220.0, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    """A stereo sine whose right side is half as loud, float32, frames × 2. Whole periods, so that it loops."""
    frames = round(seconds * rate)
    wave = level * np.sin(2 * np.pi * hz * np.arange(frames) / rate)
    return np.stack([wave, wave / 2], 1).astype(np.float32)


def ramp(frames: int) -> np.ndarray:
    """Every frame differs from all others (exact in float32): tells which frame is heard."""
    values = (np.arange(frames) + 1) / (1 << 20)
    return np.stack([values, -values], 1).astype(np.float32)


def roughness(signal: np.ndarray) -> float:
    """The largest second difference: a click is where it stands out."""
    return float(np.abs(np.diff(signal.astype(np.float64), 2, axis=0)).max()) if len(signal) > 2 else 0.0


def onset(signal: np.ndarray, threshold: float = 1e-7) -> int:
    """The first frame that is not silent."""
    loud = np.flatnonzero(np.abs(signal).max(axis=1) > threshold)
    return int(loud[0]) if len(loud) else -1
