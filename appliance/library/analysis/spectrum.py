# SPDX-License-Identifier: GPL-3.0-or-later
"""How the power of a clip is spread over pitch: shares of five bands, and the levels of 24 mel bands over time."""

from __future__ import annotations

import numpy as np
import soxr

from appliance.library.analysis.onsets import RATE

BANDS = ("sub", "bass", "low_mid", "mid", "high")
_EDGES_HZ = (20.0, 60.0, 250.0, 1000.0, 4000.0, RATE / 2)
"""What lies above 11 kHz is not looked at; it is less than a hundredth of the power of music."""
MELS = 24
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 10_000.0
_WINDOW, _HOP = 2048, 1024
_RANGE_DB = 70.0


class SpectrumMeter:
    """Feed mono float32 at ``RATE``; ``balance`` and ``timbre`` at the end."""

    def __init__(self) -> None:
        hz = np.arange(_WINDOW // 2 + 1) * RATE / _WINDOW
        self._edges = np.searchsorted(hz, _EDGES_HZ)
        self._window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
        self._filters = _mel_filters(hz)
        self._line = np.zeros(_WINDOW // 2, np.float32)
        self._power = np.zeros(len(hz))
        self._mels: list[np.ndarray] = []

    def feed(self, mono: np.ndarray) -> None:
        line = np.concatenate((self._line, mono))
        count = (len(line) - _WINDOW) // _HOP + 1
        if count > 0:
            frames = np.lib.stride_tricks.sliding_window_view(line, _WINDOW)[: count * _HOP : _HOP]
            power = np.square(np.abs(np.fft.rfft(frames * self._window, axis=1)))
            self._power += power.sum(axis=0)
            self._mels.append((power @ self._filters).astype(np.float32))
            line = line[count * _HOP :]
        self._line = line

    def finish(self) -> None:
        """Nothing more comes: what a last window would hold is listened to."""
        self.feed(np.zeros(_WINDOW - _HOP // 2, np.float32))

    def balance(self) -> tuple[float, ...]:
        """Shares of the power in ``BANDS``, which add up to 1; all 0 for silence."""
        bands = np.add.reduceat(self._power, self._edges[:-1])
        total = float(bands.sum())
        return tuple(float(share) for share in bands / total) if total > 0 else (0.0,) * len(BANDS)

    def timbre(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation over time of the mel bands' levels in dB under the loudest, each shape (``MELS``,). The
        last 70 dB count. Both 0 for silence."""
        mels = np.concatenate([*self._mels, np.zeros((0, MELS), np.float32)])
        highest = float(mels.max(initial=0.0))
        if highest <= 0:
            return np.zeros(MELS), np.zeros(MELS)
        levels = 10.0 * np.log10(np.maximum(mels / highest, 10 ** (-_RANGE_DB / 10)))
        return levels.mean(axis=0), levels.std(axis=0)


def balance_of(audio: np.ndarray, rate: int) -> tuple[float, ...]:
    """Of a whole clip, (frames, 2) float32 at ``rate`` Hz: see :meth:`SpectrumMeter.balance`."""
    meter = SpectrumMeter()
    meter.feed(np.asarray(soxr.resample(0.5 * (audio[:, 0] + audio[:, 1]), rate, RATE, quality="MQ"), np.float32))
    meter.finish()
    return meter.balance()


def _mel_filters(hz: np.ndarray) -> np.ndarray:
    """Triangles, evenly spaced in mel (2595 log10(1 + f / 700), D. O'Shaughnessy 1987); shape (bins, ``MELS``), each adds up to
    1, so that white noise is flat."""
    low, high = (2595.0 * np.log10(1 + edge / 700.0) for edge in (_LOWEST_HZ, _HIGHEST_HZ))
    points = 700.0 * (10 ** (np.linspace(low, high, MELS + 2) / 2595.0) - 1)
    rise = (hz[:, None] - points[:-2]) / (points[1:-1] - points[:-2])
    fall = (points[2:] - hz[:, None]) / (points[2:] - points[1:-1])
    filters = np.maximum(np.minimum(rise, fall), 0.0)
    return filters / np.maximum(filters.sum(axis=0), 1e-12)
