# SPDX-License-Identifier: GPL-3.0-or-later
"""What a listener hears begin: the rise of energy in bands, two hundred times a second.

Spectral flux: the positive difference of log-compressed band energies (S. Dixon, "Onset Detection Revisited", DAFx 2006), kept
apart for the bass, the middle and the treble; and, for the exact place of an attack, the energy of every millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 22050
"""Rate in Hz at which rhythm and key are looked for."""
HOP = 110
FPS = RATE / HOP
FINE_HOP = 22
FINE_FPS = RATE / FINE_HOP
_WINDOW = 512
_EDGES = np.array([1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 86, 115, 154, 206])
_END = 257
_LOW, _MIDDLE = 3, 11
"""Bands below 172 Hz, and below 2 kHz."""
_CONTRAST = 3e3
_LAG = 2
COLOUR_EVERY = 4


@dataclass(frozen=True)
class Onsets:
    """``low``, ``middle``, ``high``: rise of each region, frame i at i / ``FPS`` seconds. ``colour``: band levels of every
    fourth frame, shape (n, bands). ``fine``: mean square of every millisecond, at ``FINE_FPS``."""

    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    colour: np.ndarray
    fine: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """All regions, above what is usual around; mean 0."""
        total = self.low + self.middle + self.high
        width = int(1.0 * FPS) | 1
        around = np.convolve(np.pad(total, width // 2, mode="edge"), np.full(width, 1.0 / width), "valid")
        rise = np.maximum(total - around[: len(total)], 0.0)
        return rise - rise.mean() if len(rise) else rise


class OnsetDetector:
    """Feed mono float32 at ``RATE``; ``onsets`` at the end. The first frame's window is centred on the first sample."""

    def __init__(self) -> None:
        self._line = np.zeros(_WINDOW // 2, np.float32)
        self._fine_line = np.zeros(0, np.float32)
        self._window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
        centres = (_EDGES + np.append(_EDGES[1:], _END)) / 2.0
        counts = np.diff(np.append(_EDGES, _END))
        self._weights = (_CONTRAST * centres / counts / float(self._window.sum() / 2) ** 2).astype(np.float32)
        self._levels: list[np.ndarray] = []
        self._fine: list[np.ndarray] = []

    def feed(self, mono: np.ndarray) -> None:
        fine = np.concatenate((self._fine_line, mono))
        whole = len(fine) // FINE_HOP * FINE_HOP
        self._fine.append(np.square(fine[:whole]).reshape(-1, FINE_HOP).mean(axis=1))
        self._fine_line = fine[whole:]
        line = np.concatenate((self._line, mono))
        count = (len(line) - _WINDOW) // HOP + 1
        if count > 0:
            frames = np.lib.stride_tricks.sliding_window_view(line, _WINDOW)[: count * HOP : HOP]
            power = np.square(np.abs(np.fft.rfft(frames * self._window, axis=1)))
            self._levels.append(np.log1p(np.add.reduceat(power, _EDGES, axis=1) * self._weights))
            line = line[count * HOP :]
        self._line = line

    def onsets(self) -> Onsets:
        self.feed(np.zeros(_WINDOW // 2, np.float32))
        levels = np.concatenate([*self._levels, np.zeros((0, len(_EDGES)), np.float32)])
        rise = np.zeros_like(levels)
        rise[_LAG:] = np.maximum(levels[_LAG:] - levels[:-_LAG], 0.0)
        low, middle, high = (part.mean(axis=1) for part in (rise[:, :_LOW], rise[:, _LOW:_MIDDLE], rise[:, _MIDDLE:]))
        return Onsets(low, middle, high, levels[::COLOUR_EVERY], np.concatenate([*self._fine, np.zeros(0, np.float32)]))
