# SPDX-License-Identifier: GPL-3.0-or-later
"""One tempo for a whole track, as exactly as the track has it.

The onsets' spectrum at the beat's frequency and its multiples is the shape of a beat. The tempo at which all of the track adds
up best is found first; then each piece of some seconds is laid over the common shape: where the pieces lie, against time, is a
straight line, and its slope the rest of the tempo's error. What does not lie on the line does not keep the tempo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.library.analysis.onsets import FPS

_MULTIPLES = np.arange(1, 17)
_COARSE = np.array([1, 2, 4])
_SEARCH = 0.03
_MOST_COARSE_S = 1200.0
_PIECE_BEATS = 16.0
_SHORTEST_PIECE_S, _LEAST_PIECES = 1.5, 4
_STEPS = 512
_ASTRAY_S = 0.02
_ALIKE = 0.35
"""Pieces that are less like the whole than this (breaks, speech) have no say."""


@dataclass(frozen=True)
class Steady:
    """``hz``: beats a second. ``share`` of what is heard to begin that keeps it, ``alike``: how like each other the pieces are
    (both 0 … 1)."""

    hz: float
    share: float
    alike: float


def fit(onsets: np.ndarray, bpm: float) -> Steady:
    """From a tempo that is right within 3 %."""
    hz = _coarse(onsets, bpm / 60.0)
    for _ in range(2):
        hz, _ = _align(onsets, hz)
    return _align(onsets, hz)[1]


def _count(onsets: np.ndarray, hz: float) -> int:
    """Pieces of 16 beats; shorter ones when there would be few."""
    count = max(int(len(onsets) / FPS / max(_PIECE_BEATS / hz, _SHORTEST_PIECE_S)), 1)
    return count if count >= _LEAST_PIECES else max(min(_LEAST_PIECES, int(len(onsets) / FPS / (2.0 / hz))), 1)


def _pieces(onsets: np.ndarray, hz: float, multiples: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectra of the pieces at the multiples of ``hz``, shape (pieces, multiples), and the pieces' middles in seconds."""
    edges = np.linspace(0, len(onsets), count + 1).astype(np.int64)
    turns = np.exp(-2j * np.pi * hz * np.arange(len(onsets)) / FPS)
    spectra = np.zeros((count, len(multiples)), complex)
    power = np.ones(len(onsets), complex)
    for number in range(1, int(multiples[-1]) + 1):
        power *= turns
        for column in np.flatnonzero(multiples == number):
            spectra[:, column] = np.add.reduceat(onsets * power, edges[:-1])
    return spectra, (edges[:-1] + edges[1:]) / 2.0 / FPS


def _coarse(onsets: np.ndarray, hz: float) -> float:
    """The tempo near ``hz`` at which the pieces add up best."""
    onsets = onsets[: round(_MOST_COARSE_S * FPS)]
    duration = len(onsets) / FPS
    # pieces so short that no other tempo of the search looks the same
    spectra, middles = _pieces(onsets, hz, _COARSE, max(int(duration / _SHORTEST_PIECE_S), 1))
    step = 1.0 / (8.0 * duration * _COARSE[-1])
    away = np.arange(-_SEARCH * hz, _SEARCH * hz + step, step)
    total = np.zeros(len(away))
    for column, multiple in enumerate(_COARSE):
        turns = np.exp(-2j * np.pi * multiple * np.outer(away, middles))
        total += np.square(np.abs(turns @ spectra[:, column]))
    return hz + float(away[np.argmax(total)])


def _align(onsets: np.ndarray, hz: float) -> tuple[float, Steady]:
    """A better tempo, and how well the pieces keep the given one."""
    spectra, middles = _pieces(onsets, hz, _MULTIPLES, _count(onsets, hz))
    phases = np.arange(-_STEPS // 4, _STEPS // 4) / _STEPS
    turns = np.exp(2j * np.pi * np.outer(_MULTIPLES, phases))
    whole = spectra.sum(axis=0)
    places, likeness = np.zeros(len(middles)), np.zeros(len(middles))
    for row, piece in enumerate(spectra):
        rest = whole if len(middles) < 3 else whole - piece
        match = np.real((piece * rest.conj()) @ turns)
        top = int(np.argmax(match))
        size = np.linalg.norm(piece) * np.linalg.norm(rest)
        likeness[row] = match[top] / size if size > 0 else 0.0
        places[row] = phases[top] + _vertex(match, top) / _STEPS
    energy = np.linalg.norm(spectra, axis=1)
    weights = np.where(likeness > _ALIKE, likeness**2 * np.sqrt(energy / max(energy.max(), 1e-12)), 0.0)
    slope, away = _line(middles, places, weights)
    keeps = np.abs(away) / hz < _ASTRAY_S
    heard = np.array([part.clip(min=0.0).sum() for part in np.array_split(onsets, len(middles))])
    share = float(heard[keeps & (weights > 0)].sum() / max(float(heard.sum()), 1e-12))
    alike = float((likeness * energy).sum() / max(energy.sum(), 1e-12))
    return hz - slope, Steady(hz - slope, share, alike)


def _vertex(curve: np.ndarray, top: int) -> float:
    """Where between its samples a peak is, -0.5 … 0.5."""
    if not 0 < top < len(curve) - 1:
        return 0.0
    a, b, c = curve[top - 1 : top + 2]
    bend = a - 2 * b + c
    return float(0.5 * (a - c) / bend) if bend < 0 else 0.0


def _line(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Slope of a line through the points that lets outliers be, and how far off each point is."""
    held = weights.copy()
    slope = middle = 0.0
    centre = 0.0
    for _ in range(8):
        total = held.sum()
        if total <= 0:
            return 0.0, y
        centre, middle = float((held * x).sum() / total), float((held * y).sum() / total)
        spread = float((held * np.square(x - centre)).sum())
        slope = float((held * (x - centre) * (y - middle)).sum()) / spread if spread > 0 else 0.0
        away = np.abs(y - middle - slope * (x - centre))
        scale = max(1.4826 * float(np.median(away[weights > 0])), 1e-4)
        held = weights * np.minimum(1.0, 2.0 * scale / np.maximum(away, 1e-9))
    return slope, y - middle - slope * (x - centre)
