# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the beats of a steady tempo lie: on which part of the period, at which millisecond the attack begins, and which of
them begins a bar."""

from __future__ import annotations

import numpy as np

from appliance.library.analysis.onsets import COLOUR_EVERY, FINE_FPS, FPS, Onsets

BAR = 4
_PARTS = 96
_SMOOTH_S = 0.02
_ABOUT_S = 0.05
"""An attack is looked for so near to where the onsets say that it is."""
_REACH_S = 0.03
_RISE_MS = 3
_PROMINENT = 3.0


def accents(onsets: Onsets) -> np.ndarray:
    """What beats are made of: drums more than cymbals."""
    total = onsets.low + onsets.middle + 0.5 * onsets.high
    width = int(FPS) | 1
    sums = np.cumsum(np.pad(total, (width // 2 + 1, width // 2), mode="edge"), dtype=np.float64)
    return np.maximum(total - (sums[width:] - sums[:-width]) / width, 0.0) if len(total) else total


def folded(signal: np.ndarray, hz: float, beats: int, fps: float = FPS) -> np.ndarray:
    """Mean of a signal over cycles of so many beats, from its first frame; ``_PARTS`` values a beat, smoothed over 20 ms."""
    cycle = _PARTS * beats
    place = (np.arange(len(signal)) * (hz / fps / beats) % 1.0 * cycle).astype(np.int64)
    count = np.bincount(place, minlength=cycle)
    mean = np.bincount(place, signal, cycle) / np.maximum(count, 1)
    width = max(round(_SMOOTH_S * hz * _PARTS) | 1, 3)
    kernel = np.hanning(width + 2)[1:-1]
    around = np.concatenate((mean[-(width // 2) :], mean, mean[: width // 2]))
    return np.convolve(around, kernel / kernel.sum(), "valid")


def contrast(accented: np.ndarray, hz: float) -> tuple[float, float]:
    """Of a tempo: how strong what lies half-way between beats is against the beats, and the weaker of two neighbouring beats
    against the stronger (both 0 … 1)."""
    beat = folded(accented, hz, 1)
    top = int(np.argmax(beat))
    between = beat[(top + _PARTS // 2) % _PARTS] / max(beat[top], 1e-9)
    two = folded(accented, hz, 2)
    a, b = two[top], two[top + _PARTS]
    return float(between), float(min(a, b) / max(a, b, 1e-9))


def first_beat(onsets: Onsets, hz: float) -> float:
    """Seconds, 0 … one beat, at which the beats' attacks begin."""
    coarse = _place(accents(onsets), hz)
    found = attack(onsets, coarse + np.arange(int((len(onsets.fine) / FINE_FPS - coarse) * hz) + 1) / hz)
    return (coarse + found) % (1.0 / hz)


def _place(accented: np.ndarray, hz: float) -> float:
    """Seconds, 0 … one beat: the strongest part of the beat that is also strong in half beats (a kick that always comes before
    the beat is no beat)."""
    half = (int(np.argmax(folded(accented, 2.0 * hz, 1))) + 0.5) / _PARTS / 2.0
    beat = folded(accented, hz, 1)
    reach = np.arange(-_PARTS // 12, _PARTS // 12 + 1)
    places = [(round(part * _PARTS) + reach) % _PARTS for part in (half, half + 0.5)]
    best = max(places, key=lambda place: float(beat[place].max()))
    return (int(best[np.argmax(beat[best])]) + 0.5) / _PARTS / hz


def attack(onsets: Onsets, beats_s: np.ndarray) -> float:
    """By how many seconds the attacks at these places begin later than said; 0 where none can be seen."""
    reach, about = round(_REACH_S * FINE_FPS), round(_ABOUT_S * FINE_FPS)
    centres = np.round(beats_s * FINE_FPS).astype(np.int64)
    centres = centres[(centres > about + _RISE_MS) & (centres < len(onsets.fine) - about - _RISE_MS)]
    if not len(centres):
        return 0.0
    floor = 1e-3 * float(np.percentile(onsets.fine, 95)) + 1e-12
    levels = np.log(onsets.fine[centres[:, None] + np.arange(-about - _RISE_MS, about + _RISE_MS + 1)] + floor)
    # the audible start is told by the energy of the attack itself; windows with a strong attack count more
    rises = np.maximum(levels[:, _RISE_MS:] - levels[:, :-_RISE_MS], 0.0)
    weights = rises.max(axis=1)
    mean = (rises * weights[:, None]).sum(axis=0) / max(weights.sum(), 1e-9)
    near = mean[about - reach : about + reach + _RISE_MS]
    top = int(np.argmax(near))
    if near[top] < _PROMINENT * float(np.median(mean)) or near[top] < 0.2:
        return 0.0
    fraction = float((centres / FINE_FPS - beats_s[: len(centres)]).mean()) if len(centres) == len(beats_s) else 0.0
    return (top - reach) / FINE_FPS + fraction


def first_in_bar(onsets: Onsets, beats_s: np.ndarray) -> int:
    """Which of the first four beats begins a bar.

    Drums say it (the snare stands on the second and fourth), and changes: sections and chords begin with a bar.
    """
    count = len(beats_s) // BAR * BAR
    if count < 2 * BAR:
        return 0
    at = np.clip(np.round(beats_s * FPS).astype(np.int64), 0, len(onsets.low) - 1)
    parts = (onsets.low, onsets.middle + onsets.high)
    low, middle = (_strength(part, at)[:count].reshape(-1, BAR).mean(axis=0) for part in parts)
    score = 0.6 * _unit(low) + 0.3 * _unit(low + np.roll(low, 2))
    score += 0.5 * _unit(np.roll(middle, -1) + np.roll(middle, -3) - middle - np.roll(middle, -2))
    score += 1.0 * _unit(_changes(onsets, at)[:count].reshape(-1, BAR).mean(axis=0))
    loud = np.flatnonzero(_strength(onsets.low + onsets.middle + onsets.high, at) > 0.5 * np.median(_strength(onsets.low, at)))
    if len(loud) and beats_s[loud[0]] < 8.0:
        score[loud[0] % BAR] += 0.5
    return int(np.argmax(score))


def _strength(signal: np.ndarray, at: np.ndarray) -> np.ndarray:
    around = np.clip(at[:, None] + np.arange(-4, 5), 0, len(signal) - 1)
    return signal[around].max(axis=1)


def _changes(onsets: Onsets, at: np.ndarray) -> np.ndarray:
    """How different the bar from each beat on is from the bar before it."""
    edges = np.clip(at // COLOUR_EVERY, 0, max(len(onsets.colour) - 1, 0))
    sums = np.concatenate((np.zeros((1, onsets.colour.shape[1])), np.cumsum(onsets.colour, axis=0, dtype=np.float64)))
    change = np.zeros(len(at))
    for beat in range(BAR, len(at) - BAR):
        before, here, after = edges[beat - BAR], edges[beat], edges[beat + BAR]
        if before < here < after:
            difference = (sums[after] - sums[here]) / (after - here) - (sums[here] - sums[before]) / (here - before)
            change[beat] = float(np.square(difference).sum())
    return change


def _unit(values: np.ndarray) -> np.ndarray:
    """Between 0 and 1, by the share of the largest; flat values say nothing."""
    spread, most = float(values.max() - values.min()), max(abs(float(values.max())), 1e-9)
    return (values - values.min()) / spread * min(1.0, 3.0 * spread / most) if spread > 0 else np.zeros_like(values)
