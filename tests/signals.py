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


def cadence(tonic: int, mode: str, cents: float = 0.0, rate: int = RATE) -> np.ndarray:
    """Twelve seconds of I IV V I over a bass, mono; in minor the fifth degree's chord is major, as in music."""
    scale = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 11)}[mode]
    pieces: list[np.ndarray] = []
    for degree in (0, 3, 4, 0) * 3:
        t = np.arange(rate) / rate
        notes = [scale[(degree + third) % 7] for third in (0, 2, 4)]
        chord = sum(np.sin(2 * np.pi * 261.63 * 2 ** ((tonic + note) / 12 + cents / 1200) * part * t) / part**1.5
                    for note in notes for part in (1, 2, 3, 4))
        bass = np.sin(2 * np.pi * 65.41 * 2 ** ((tonic + notes[0]) % 12 / 12 + cents / 1200) * t)
        pieces.append((0.1 * chord + 0.2 * bass) * np.exp(-t))
    return np.concatenate(pieces)


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
