# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clip sounds like as ``SIZE`` numbers: the cosine between two clips' vectors tells how alike they are.

Four groups, each of length 1 times its weight, so that the cosine is the weighted mean of the groups' own cosines:

- spectrum (24): mean level of the mel bands against each other;
- movement (24): how much each band's level moves;
- rhythm (24): for bass, middle and treble the Fourier magnitudes 1 … 8 a bar of where things begin, so that it does not matter
  with which beat a clip begins;
- harmony (6): Fourier magnitudes of the pitch classes (I. Quinn, "General Equal-Tempered Harmony", 2006), one in every key.

A group that a clip does not have (no beat, no notes, silence) is 0. Level does not count, nor tempo.
"""

from __future__ import annotations

import numpy as np

from appliance.bus.grids import Grid
from appliance.library.analysis.onsets import FPS, Onsets
from appliance.library.analysis.spectrum import MELS

_SIXTEENTHS, _HARMONICS = 16, 8
_INTERVALS = 6
SIZE = 2 * MELS + 3 * _HARMONICS + _INTERVALS
_WEIGHTS = (0.7, 0.6, 0.4, 0.2)
_BEATS_IN_BAR = 4.0


def embedding(
    mean_db: np.ndarray, deviation_db: np.ndarray, onsets: Onsets, grid: Grid | None, chroma: np.ndarray
) -> np.ndarray:
    """Shape (``SIZE``,), length 1; all 0 for silence. ``mean_db`` and ``deviation_db``: (``MELS``,) of the spectrum over time;
    ``chroma``: (12,) from C."""
    harmony = np.abs(np.fft.rfft(chroma))[1:]
    groups = (mean_db - mean_db.mean(), deviation_db, _rhythm(onsets, grid), harmony)
    vector = np.concatenate([weight * _unit(group) for weight, group in zip(_WEIGHTS, groups, strict=True)])
    return _unit(vector)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """-1 … 1; 1: the same."""
    return float(one @ other)


def _rhythm(onsets: Onsets, grid: Grid | None) -> np.ndarray:
    if grid is None or not len(onsets.low):
        return np.zeros(3 * _HARMONICS)
    beats = _beats(grid, np.arange(len(onsets.low)) / FPS)
    place = np.floor(beats / _BEATS_IN_BAR * _SIXTEENTHS + 0.5).astype(np.int64) % _SIXTEENTHS
    count = np.maximum(np.bincount(place, minlength=_SIXTEENTHS), 1)
    parts = (np.bincount(place, part, _SIXTEENTHS) / count for part in (onsets.low, onsets.middle, onsets.high))
    return np.concatenate([np.abs(np.fft.rfft(part))[1 : _HARMONICS + 1] for part in parts])


def _beats(grid: Grid, seconds: np.ndarray) -> np.ndarray:
    """Where in the grid's beats each time is."""
    at, beats = (np.array(row) for row in zip(*grid.anchors, strict=True))
    inside = np.interp(seconds, at, beats)
    before, after = np.minimum(seconds - at[0], 0.0), np.maximum(seconds - at[-1], 0.0)
    return inside + (before + after) * grid.bpm / 60.0


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.zeros_like(vector)
