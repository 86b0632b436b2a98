# SPDX-License-Identifier: GPL-3.0-or-later
"""Integrated loudness of a file, while it is read: as the box plays it, so mono counts on both sides."""

from __future__ import annotations

import numpy as np

from appliance.bus.loudness import integrated_lufs, k_weighting
from appliance.library.decode import Samples

_LENGTH = 1 << 16
_RING_S = 0.1
"""After so long nothing is left of what the filters remember (time constant 4 ms)."""


class LoudnessMeter:
    """Feed (n, 2) float32 at ``rate`` Hz; ``lufs`` and ``tenths`` at the end.

    The filters run in the frequency domain, in overlapping pieces: exact but for what rings longer than a tenth of a second.
    """

    def __init__(self, rate: int) -> None:
        self._step = int(rate / 10)
        self._ring = max(int(_RING_S * rate), 64)
        self._new = _LENGTH - self._ring
        turns = np.exp(-2j * np.pi * np.arange(_LENGTH // 2 + 1) / _LENGTH)
        response = np.ones(len(turns), complex)
        for b0, b1, b2, a1, a2 in k_weighting(rate):
            response *= (b0 + b1 * turns + b2 * turns**2) / (1 + a1 * turns + a2 * turns**2)
        self._response = response.astype(np.complex64)
        self._line = np.zeros((2, self._ring), np.float32)
        self._energy = np.zeros(0)
        self._steps: list[np.ndarray] = []

    def feed(self, audio: Samples) -> None:
        self._line = np.concatenate((self._line, audio.T), axis=1)
        while self._line.shape[1] >= _LENGTH:
            self._weigh(self._line[:, :_LENGTH], self._new)
            self._line = self._line[:, self._new :].copy()

    def _weigh(self, piece: np.ndarray, new: int) -> None:
        """Add the energy of ``new`` frames, which follow the ``ring`` first ones."""
        weighted = np.fft.irfft(np.fft.rfft(piece, _LENGTH, axis=1) * self._response, _LENGTH, axis=1)
        heard = weighted[:, self._ring : self._ring + new].astype(np.float64)
        energy = np.concatenate((self._energy, np.square(heard).sum(axis=0)))
        whole = len(energy) // self._step * self._step
        self._steps.append(energy[:whole].reshape(-1, self._step).mean(axis=1))
        self._energy = energy[whole:]

    def tenths(self) -> np.ndarray:
        """The K-weighted mean squares, both sides added, of the whole tenths of a second so far."""
        left = self._line.shape[1] - self._ring
        if left > 0:
            self._weigh(self._line, left)
            self._line = self._line[:, -self._ring :]
        return np.concatenate([*self._steps, np.zeros(0)])

    def lufs(self) -> float:
        """-inf for silence. What is shorter than a block of 400 ms counts as one."""
        steps = self.tenths()
        if len(steps) < 4:
            total = float(steps.sum()) * self._step + float(self._energy.sum())
            steps = np.full(4, total / max(len(steps) * self._step + len(self._energy), 1))
        return integrated_lufs(steps)
