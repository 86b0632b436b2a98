# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a clip: ``COLUMNS`` columns however long it is, each with the outline and the levels of three bands.

Of a file of any length at most ``_MOST`` buckets are held: when they are full, neighbours become one.
"""

from __future__ import annotations

import base64

import numpy as np

from appliance.library.analysis.onsets import RATE
from appliance.library.decode import Samples

COLUMNS = 1024
LANES = ("below", "above", "low", "mid", "high")
"""Of a column: how far the louder side reaches below and above zero, and the highest level of each band."""
LOW_HZ, HIGH_HZ = 200.0, 2500.0
"""Where the bands meet; each filter falls over an octave around it."""
_FIRST_WIDTH, _MOST = 32, 1 << 15
_LENGTH, _GUARD = 1 << 15, 1 << 11
"""Frames of a piece that is filtered, and of its edges that are left out: 93 ms, longer than the filters ring."""


class Waveform:
    """Feed the sound twice: (n, 2) float32 as it is, and mono at ``RATE``. ``text`` at the end."""

    def __init__(self) -> None:
        self._outline, self._bands = _Envelope(2), _Envelope(3)
        self._line = np.zeros(_GUARD, np.float32)
        hz = np.arange(_LENGTH // 2 + 1) * RATE / _LENGTH
        self._low, self._high = 1.0 - _crossover(hz, LOW_HZ), _crossover(hz, HIGH_HZ)

    def feed(self, audio: Samples, mono: np.ndarray) -> None:
        if len(audio):
            left, right = audio[:, 0], audio[:, 1]
            self._outline.feed(np.stack((-np.minimum(left, right), np.maximum(left, right))))
        self._line = np.concatenate((self._line, mono))
        while len(self._line) >= _LENGTH:
            self._split(self._line[:_LENGTH], _LENGTH - 2 * _GUARD)
            self._line = self._line[_LENGTH - 2 * _GUARD :]

    def _split(self, piece: np.ndarray, count: int) -> None:
        spectrum = np.fft.rfft(piece, _LENGTH)
        inside = slice(_GUARD, _GUARD + count)
        low = np.fft.irfft(spectrum * self._low, _LENGTH)[inside]
        high = np.fft.irfft(spectrum * self._high, _LENGTH)[inside]
        whole = np.pad(piece, (0, _LENGTH - len(piece)))[inside]
        self._bands.feed(np.abs(np.stack((low, whole - low - high, high))))

    def columns(self) -> np.ndarray:
        """Shape (``COLUMNS``, 5), uint8, 255 is full scale; lanes as in ``LANES``."""
        left = len(self._line) - _GUARD
        while left > 0:
            count = min(left, _LENGTH - 2 * _GUARD)
            self._split(self._line[:_LENGTH], count)
            self._line, left = self._line[count:], left - count
        lanes = np.concatenate((self._outline.columns(), self._bands.columns()))
        return np.round(255.0 * np.clip(lanes, 0.0, 1.0)).astype(np.uint8).T


def packed(columns: np.ndarray) -> str:
    """As text that JSON can hold: base64, column by column."""
    return base64.b64encode(np.ascontiguousarray(columns, np.uint8).tobytes()).decode("ascii")


def unpacked(text: str) -> np.ndarray:
    """The columns of :func:`packed`, shape (n, 5), uint8. Raises ValueError for what is none."""
    return np.frombuffer(base64.b64decode(text, validate=True), np.uint8).reshape(-1, len(LANES))


class _Envelope:
    """Highest values of ``lanes`` signals, in buckets that grow. Shapes are (lanes, n)."""

    def __init__(self, lanes: int) -> None:
        self._width, self._count = _FIRST_WIDTH, 0
        self._buckets = np.zeros((lanes, _MOST), np.float32)
        self._rest = np.zeros((lanes, 0), np.float32)

    def feed(self, values: np.ndarray) -> None:
        values = np.concatenate((self._rest, values), axis=1)
        lanes = len(values)
        while whole := min(values.shape[1] // self._width, _MOST - self._count):
            taken = values[:, : whole * self._width].reshape(lanes, whole, self._width)
            self._buckets[:, self._count : self._count + whole] = taken.max(axis=2)
            self._count, values = self._count + whole, values[:, whole * self._width :]
            if self._count == _MOST:
                self._count, self._width = _MOST // 2, 2 * self._width
                self._buckets[:, : self._count] = self._buckets.reshape(lanes, self._count, 2).max(axis=2)
        self._rest = values.astype(np.float32)

    def columns(self) -> np.ndarray:
        found = self._buckets[:, : self._count]
        if self._rest.shape[1]:
            found = np.concatenate((found, self._rest.max(axis=1, keepdims=True)), axis=1)
        count = found.shape[1]
        if not count:
            return np.zeros((len(found), COLUMNS), np.float32)
        return np.maximum.reduceat(found, np.arange(COLUMNS) * count // COLUMNS, axis=1)


def _crossover(hz: np.ndarray, at_hz: float) -> np.ndarray:
    """Gains of a high-pass: 0 half an octave below ``at_hz``, 1 half an octave above, a raised cosine of the pitch between."""
    octaves = np.log2(np.maximum(hz, 1.0) / at_hz)
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(octaves + 0.5, 0.0, 1.0))
