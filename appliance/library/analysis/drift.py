# SPDX-License-Identifier: GPL-3.0-or-later
"""Beats of music that does not keep one tempo.

The tempo's course is the best path through the windows' autocorrelations; the beats are the onsets that follow it best, found
by dynamic programming (D. Ellis, "Beat Tracking by Dynamic Programming", JNMR 2007).
"""

from __future__ import annotations

import numpy as np

from appliance.bus.grids import HIGHEST_BPM, LOWEST_BPM, Grid
from appliance.bus.layout import GRID_ANCHORS
from appliance.library.analysis.onsets import FPS
from appliance.library.analysis.tempo import GRID_BPM, preference, strengths

_OCTAVES, _STEPS = 0.35, 71
_STIFF = 40.0
"""What a change of tempo between two windows costs, per octave."""
_TIGHT = 100.0
_WANDER = 16
"""Steps of the table of tempos (0.35 % each) by which a window may differ from the others."""
_LEAST_STRENGTH = 0.2
_LEAST_LIFT = 1.3
"""Onsets on the beats against the usual onset: less, and there is no beat."""
_SMOOTH = 3
_ANCHOR_BEATS = 4


def follow(onsets: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """Beats in seconds; None when nothing follows one."""
    if len(onsets) < 8 * FPS:
        return None
    bpm, strength = _around(rows)
    if strength < _LEAST_STRENGTH:
        return None
    periods = np.interp(np.arange(len(onsets)), *_course(rows, bpm, len(onsets)))
    strength = np.convolve(onsets / max(float(onsets.std()), 1e-9), [0.25, 0.5, 1.0, 0.5, 0.25], "same")
    beats = _track(strength, periods)
    if len(beats) < 8 or float(strength[beats].mean()) < _LEAST_LIFT * float(np.abs(strength).mean()):
        return None
    return _smoothed(beats, strength)


def _around(rows: np.ndarray) -> tuple[float, float]:
    """The tempo that the windows are near to, and how strong it is in them (0 … 1)."""
    found = np.pad(strengths(rows, GRID_BPM), ((0, 0), (_WANDER, _WANDER)), constant_values=-1.0)
    highest = np.lib.stride_tricks.sliding_window_view(found, 2 * _WANDER + 1, axis=1).max(axis=2)
    score = highest.mean(axis=0) * preference(GRID_BPM)
    top = int(score.argmax())
    return float(GRID_BPM[top]), float(highest.mean(axis=0)[top])


def _course(rows: np.ndarray, bpm: float, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the windows (frames) and the beat's length in them (frames)."""
    tempos = bpm * 2.0 ** np.linspace(-_OCTAVES, _OCTAVES, _STEPS)
    found = np.maximum(strengths(rows, tempos), 0.0)
    found -= 0.2 * np.square(np.log2(tempos / bpm) / _OCTAVES)
    cost = _STIFF * np.abs(np.subtract.outer(np.arange(_STEPS), np.arange(_STEPS))) * (2 * _OCTAVES / (_STEPS - 1)) * 0.1
    total, back = found[0].copy(), np.zeros(found.shape, np.int64)
    for row in range(1, len(found)):
        reach = total[None, :] - cost
        back[row] = reach.argmax(axis=1)
        total = found[row] + reach.max(axis=1)
    path = np.zeros(len(found), np.int64)
    path[-1] = int(total.argmax())
    for row in range(len(found) - 1, 0, -1):
        path[row - 1] = back[row, path[row]]
    middles = np.linspace(0, frames, 2 * len(path) + 1)[1::2]
    return middles, 60.0 * FPS / tempos[path]


def _track(strength: np.ndarray, periods: np.ndarray) -> np.ndarray:
    """Frames of the beats."""
    count = len(strength)
    total, before = strength.astype(np.float64), np.full(count, -1, np.int64)
    for frame in range(count):
        period = periods[frame]
        low, high = frame - round(period * 1.6), frame - round(period * 0.6)
        if high <= 0:
            continue
        places = np.arange(max(low, 0), high)
        reach = total[places] - _TIGHT * np.square(np.log((frame - places) / period))
        best = int(reach.argmax())
        if low >= 0 or reach[best] > 0.0:
            total[frame] += reach[best]
            before[frame] = places[best]
    tail = max(count - round(float(periods[-1]) * 1.2), 0)
    frame = tail + int(total[tail:].argmax())
    beats: list[int] = []
    while frame >= 0:
        beats.append(frame)
        frame = int(before[frame])
    return np.array(beats[::-1])


def _smoothed(beats: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Seconds, each beat on the line through its neighbours: a drummer's tempo moves slowly, an onset's place by chance."""
    weights = np.maximum(strength[beats], 0.05)
    places = np.empty(len(beats))
    for number in range(len(beats)):
        near = np.arange(max(number - _SMOOTH, 0), min(number + _SMOOTH + 1, len(beats)))
        _, start = np.polyfit(near - number, beats[near], 1, w=np.sqrt(weights[near]))
        places[number] = start
    return places / FPS


def anchored(beats_s: np.ndarray) -> Grid:
    """A grid through the beats: an anchor a bar, or as many beats apart as the grid needs to hold them all."""
    apart = _ANCHOR_BEATS
    while len(beats_s) / apart > GRID_ANCHORS - 2:
        apart *= 2
    chosen = list(range(0, len(beats_s), apart))
    if chosen[-1] != len(beats_s) - 1:
        chosen.append(len(beats_s) - 1)
    anchors = tuple((round(float(beats_s[number]), 5), float(number)) for number in chosen)
    last = anchors[-1][0] - anchors[-2][0]
    bpm = min(max(60.0 * (anchors[-1][1] - anchors[-2][1]) / last, LOWEST_BPM), HIGHEST_BPM)
    return Grid(bpm=round(bpm, 3), anchors=anchors)
