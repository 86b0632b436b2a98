# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the beat is: which periods the onsets repeat with, and which of them a listener would tap.

The autocorrelation of the onsets, averaged over windows, is read at the multiples of each beat; what people prefer to tap is a
log-normal curve around 120 BPM (D. Moelants, "Preferred tempo reconsidered", ICMPC 2002).
"""

from __future__ import annotations

import numpy as np

from appliance.library.analysis.onsets import FPS

LOWEST_BPM, HIGHEST_BPM = 65.0, 200.0
_USUAL_BPM, _OCTAVES = 122.0, 0.6
_WINDOW_S, _STEP_S = 16.0, 4.0
_LONGEST_LAG_S = 9.0
_MULTIPLES = np.array([1.0, 2.0, 4.0, 8.0])
"""Beat, half a bar, bar and two bars: what dances repeats with these, and not with three beats."""
_MULTIPLE_WEIGHTS = np.array([1.0, 1.0, 2.0, 1.5])
GRID_BPM = LOWEST_BPM * 2.0 ** (np.arange(int(np.log2(HIGHEST_BPM / LOWEST_BPM) * 200) + 1) / 200.0)
"""Tempos that are looked at, 0.35 % apart."""
HINT_TOLERANCE = 0.02


def autocorrelations(onsets: np.ndarray) -> np.ndarray:
    """Of windows of 16 s, one each 4 s: shape (windows, lags in frames), 1 at lag 0; unbiased for what a window loses."""
    length = min(round(_WINDOW_S * FPS), len(onsets))
    lags = min(round(_LONGEST_LAG_S * FPS), max(length * 3 // 4, 1))
    starts = range(0, max(len(onsets) - length, 0) + 1, round(_STEP_S * FPS))
    size = 1 << int(np.ceil(np.log2(max(length + lags, 2))))
    share = length / (length - np.arange(lags))
    rows = np.zeros((len(starts), lags))
    for row, start in enumerate(starts):
        piece = onsets[start : start + length]
        spectrum = np.fft.rfft(piece - piece.mean(), size)
        found = np.fft.irfft(np.square(np.abs(spectrum)), size)[:lags]
        rows[row] = found * share / found[0] if found[0] > 0 else 0.0
    return rows


def strengths(rows: np.ndarray, tempos: np.ndarray) -> np.ndarray:
    """How well each tempo (BPM) fits each window: the mean of the autocorrelation at 1, 2, 4 and 8 beats; (windows, tempos)."""
    lags = 60.0 * FPS / tempos[:, None] * _MULTIPLES
    inside = lags < rows.shape[1] - 2
    weights = np.where(inside, _MULTIPLE_WEIGHTS, 0.0)
    at = np.where(inside, lags, 0.0)
    low = at.astype(np.int64)
    # the peak is narrower than the grid of tempos at some beats: its highest frame within 1 % counts
    best = np.full((rows.shape[0], *lags.shape), -1.0)
    for away in (-2, -1, 0, 1, 2):
        reach = np.abs(away) <= np.maximum(at * 0.01, 1.0)
        place = np.clip(low + away + (at - low > 0.5), 0, rows.shape[1] - 1)
        best = np.maximum(best, np.where(reach, rows[:, place], -1.0))
    total = weights.sum(axis=1)
    return np.where(total > 0, (best * weights).sum(axis=2) / np.maximum(total, 1e-9), 0.0)


def preference(tempos: np.ndarray) -> np.ndarray:
    """How gladly people tap at a tempo, 0 … 1."""
    return np.exp(-0.5 * np.square(np.log2(tempos / _USUAL_BPM) / _OCTAVES))
