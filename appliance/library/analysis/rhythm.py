# SPDX-License-Identifier: GPL-3.0-or-later
"""Tempo and beat grid of a track from its onsets: one tempo where the music keeps one, anchors where it does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.bus.grids import Grid
from appliance.library.analysis import drift, phase, steady, tempo
from appliance.library.analysis.onsets import FPS, Onsets
from appliance.library.tempo import LONGEST_LOOP_S, loop_tempo

SHORTEST_S = 1.5
LONGEST_S = 1800.0
"""Rhythm is looked for in so much of a file; what is longer is a mix, and has many tempos."""
_CANDIDATES = 4
_METRE = 4.0
"""How much the repetition at half bars and bars counts against what people like to tap: it is what tells 2/3 of a tempo from
the tempo."""
_LEAST_STRENGTH = 0.12
_LEAST_ALIKE = 0.3
_KEEPS = 0.7
"""Share of a track that keeps a tempo for which a grid may be straight: breaks and speech do not."""
_FAINT = 0.05
"""Accents below, in log units, are no drums and no strings."""
_BETTER = 1.1
_ROUND_S = 0.006
"""A tempo may be rounded when no beat of the track moves by more."""
_LOOP_HEARD_S = 32.0
_LOOP_BEATS = 0.08
_LOOP_SURE_BEATS = 8
_LOOP_BEGIN_S = 0.04
_LOOP_LENGTHS = np.array([4.0, 8.0, 16.0, 32.0, 64.0, 12.0, 24.0])
"""Beats that loops mostly have: between tempos that fit nearly as well, such a length decides."""


@dataclass(frozen=True)
class Rhythm:
    """``beats``: of a loop, whose length is a whole number of them; else 0. ``steady``: one tempo holds throughout."""

    grid: Grid
    steady: bool
    beats: float = 0.0


def find_rhythm(onsets: Onsets, duration_s: float, hints: tuple[float, ...] = ()) -> Rhythm | None:
    """None when no beat can be made out. ``hints``: tempos in BPM that the file's name or tags tell."""
    whole = onsets.whole[: round(LONGEST_S * FPS)]
    if duration_s < SHORTEST_S or len(whole) < SHORTEST_S * FPS or duration_s > LONGEST_S:
        return None
    accented = phase.accents(onsets)[: len(whole)]
    if float(np.percentile(accented, 98)) < _FAINT:
        return None
    rows = tempo.autocorrelations(whole)
    if duration_s <= LONGEST_LOOP_S and (loop := _as_loop(onsets, duration_s)) is not None:
        return loop
    best = _best(accented, whole, rows, hints)
    if best is not None and best.share >= _KEEPS and best.alike >= _LEAST_ALIKE:
        return _straight(onsets, best, duration_s, hints)
    bent = _bent(onsets, whole, rows)
    if best is None or best.share < _KEEPS / 2:
        return bent
    straight = _straight(onsets, best, duration_s, hints)
    return bent if bent and _on_beats(accented, bent) > _BETTER * _on_beats(accented, straight) else straight


def _best(accented: np.ndarray, whole: np.ndarray, rows: np.ndarray, hints: Sequence[float]) -> steady.Steady | None:
    """The tempo that listeners would tap."""
    mean = tempo.strengths(rows, tempo.GRID_BPM).mean(axis=0)
    score = np.maximum(mean, 0.0) * tempo.preference(tempo.GRID_BPM)
    peaks = np.flatnonzero((score[1:-1] >= score[:-2]) & (score[1:-1] > score[2:])) + 1
    peaks = sorted(peaks, key=lambda place: -score[place])[:_CANDIDATES]
    if not peaks or mean[peaks[0]] < _LEAST_STRENGTH:
        return None
    chosen: tuple[float, steady.Steady] | None = None
    tried: list[float] = []
    for place in peaks:
        for octave in (1.0, 2.0, 0.5):
            bpm = float(tempo.GRID_BPM[place]) * octave
            if not tempo.LOWEST_BPM <= bpm <= tempo.HIGHEST_BPM or any(abs(np.log(bpm / other)) < 0.02 for other in tried):
                continue
            tried.append(bpm)
            found = steady.fit(whole, bpm)
            between, even = phase.contrast(accented, found.hz)
            strength = float(tempo.strengths(rows, np.array([found.hz * 60.0])).mean())
            value = max(strength, 0.0) ** _METRE * (0.2 + 0.8 * found.share) * found.alike
            value *= float(tempo.preference(np.array([bpm]))[0]) * min(max(even, 0.1), 0.6) * (1.0 - 0.7 * between)
            if any(abs(np.log(found.hz * 60.0 / hint)) < tempo.HINT_TOLERANCE for hint in hints):
                value *= 5.0
            if chosen is None or value > chosen[0]:
                chosen = value, found
    return chosen[1] if chosen else None


def _as_loop(onsets: Onsets, duration_s: float) -> Rhythm | None:
    """A short file whose length is a whole number of beats, and that begins on one: what repeats with it when it is repeated.

    Of tempos an octave apart the one nearest to 120 is taken, as for a loop that nobody has listened to.
    """
    times = max(round(_LOOP_HEARD_S / duration_s), 2)
    accented, whole = phase.accents(onsets), onsets.whole
    frames = min(round(duration_s * FPS), len(whole))
    rows = tempo.autocorrelations(np.tile(whole[:frames], times))
    best = _best(np.tile(accented[:frames], times), np.tile(whole[:frames], times), rows,
                 list(_LOOP_LENGTHS * 60.0 / duration_s))
    if best is None:
        return None
    beats = best.hz * duration_s
    number = round(beats)
    if number < 2 or abs(beats - number) > _LOOP_BEATS or (number % 2 and number > 3):
        return None
    if number >= _LOOP_SURE_BEATS:  # long enough to tell whether the beats run on over the seam by chance, or are the seams
        alone = steady.fit(whole, 60.0 * number / duration_s)
        if float(tempo.strengths(tempo.autocorrelations(whole), np.array([60.0 * alone.hz])).mean()) < _LEAST_STRENGTH:
            return None
        if abs(alone.hz * duration_s - number) > 3.0 * _LOOP_BEATS and alone.alike >= _LEAST_ALIKE:
            return None
    usual = loop_tempo(frames, FPS)[1]
    number = int(usual) if usual in (2.0 * number, 0.5 * number) else number
    exact = 60.0 * number / duration_s
    first = phase.first_beat(onsets, exact / 60.0)
    if min(first, 60.0 / exact - first) > _LOOP_BEGIN_S and not _begins_at_once(onsets):
        return None
    return Rhythm(Grid.straight(exact, 0.0), steady=True, beats=float(number))


def _begins_at_once(onsets: Onsets) -> bool:
    """Sound in the first 20 ms as loud as any: cut on a beat."""
    loud = float(np.percentile(onsets.fine, 90)) if len(onsets.fine) else 0.0
    return loud > 0 and float(onsets.fine[:20].max(initial=0.0)) > loud


def _straight(onsets: Onsets, found: steady.Steady, duration_s: float, hints: tuple[float, ...]) -> Rhythm:
    hz = _rounded(found.hz * 60.0, duration_s, hints) / 60.0
    first = phase.first_beat(onsets, hz)
    beats = first + np.arange(int((duration_s - first) * hz) + 1) / hz
    first += phase.first_in_bar(onsets, beats) / hz
    return Rhythm(Grid.straight(hz * 60.0, round(first, 5)), steady=True)


def _rounded(bpm: float, duration_s: float, hints: tuple[float, ...]) -> float:
    """The whole number, or the tempo that was told, where the track cannot tell it from what was found."""
    for wanted in (float(round(bpm)), *hints):
        if abs(bpm / wanted - 1.0) * duration_s / 2.0 < _ROUND_S:
            return wanted
    return round(bpm, 4)


def _bent(onsets: Onsets, whole: np.ndarray, rows: np.ndarray) -> Rhythm | None:
    beats = drift.follow(whole, rows)
    if beats is None:
        return None
    beats = beats + phase.attack(onsets, beats)
    first = phase.first_in_bar(onsets, beats)
    return Rhythm(drift.anchored(beats[first:]), steady=False)


def _on_beats(accented: np.ndarray, rhythm: Rhythm) -> float:
    """Mean strength of what is heard on the beats."""
    begin, end = (math.ceil(rhythm.grid.beat_at(at)) for at in (0.0, len(accented) / FPS))
    at = np.array([rhythm.grid.second_of(float(beat)) for beat in range(begin, end)]) * FPS
    near = np.clip(np.round(at).astype(np.int64)[:, None] + np.arange(-4, 5), 0, len(accented) - 1)
    return float(accented[near].max(axis=1).mean()) if len(at) else 0.0
