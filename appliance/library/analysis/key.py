# SPDX-License-Identifier: GPL-3.0-or-later
"""The key: which of 24 scales the notes of a track are nearest to.

Peaks of long spectra are counted by pitch class, in the track's own tuning (E. Gómez, "Tonal Description of Music Audio
Signals", 2006), and compared with how often each step of a scale is played (J. Albrecht and D. Shanahan, "The Use of Large
Corpora to Train a New Type of Key-Finding Algorithm", Music Perception 2013).
"""

from __future__ import annotations

import numpy as np

from appliance.library.analysis.camelot import NOTES
from appliance.library.analysis.onsets import RATE

_MAJOR = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
_MINOR = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])
_WINDOW, _HOP = 16384, 8192
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 1800.0
_CENTS = 10
_STEPS = 1200 // _CENTS
_A4_HZ = 440.0
_UNDER_PEAK = 1e-4
_LEAST_LIKENESS = 0.5
_BASS_HZ, _BASS_SAYS = 180.0, 0.25
_BASS = np.array([1.0, 0, 0, 0.1, 0.1, 0.1, 0, 0.4, 0.1, 0.1, 0.1, 0])
"""What a bass plays, above its key's first note: that most of all. It tells minor from the major scale of the same notes."""
_TONAL = 0.12
"""Share of a frame's energy that its peaks must have; drums alone have less."""


class KeyFinder:
    """Feed mono float32 at ``RATE``; ``key`` at the end."""

    def __init__(self) -> None:
        self._line = np.zeros(0, np.float32)
        self._window = np.hanning(_WINDOW).astype(np.float32)
        low, high = int(_LOWEST_HZ * _WINDOW / RATE), int(_HIGHEST_HZ * _WINDOW / RATE)
        self._range = slice(low, high)
        self._count = np.zeros(_STEPS)
        self._bass = np.zeros(_STEPS)

    def feed(self, mono: np.ndarray) -> None:
        line = np.concatenate((self._line, mono))
        while len(line) >= _WINDOW:
            self._listen(line[:_WINDOW])
            line = line[_HOP:]
        self._line = line

    def _listen(self, frame: np.ndarray) -> None:
        power = np.square(np.abs(np.fft.rfft(frame * self._window)))[self._range]
        middle = power[1:-1]
        tops = np.flatnonzero((middle > power[:-2]) & (middle >= power[2:]) & (middle > _UNDER_PEAK * power.max())) + 1
        total = float(power.sum())
        if not len(tops) or total <= 0:
            return
        around = power[tops - 1] + power[tops] + power[tops + 1]
        # a partial stands out of what lies around it; noise has peaks too, but not sharp ones
        beside = np.minimum(power[np.maximum(tops - 4, 0)], power[np.minimum(tops + 4, len(power) - 1)])
        sharp = power[tops] > 20.0 * beside
        tops, around = tops[sharp], around[sharp]
        if not len(tops) or float(around.sum()) < _TONAL * total:
            return
        a, b, c = (np.log(power[tops + away] + 1e-20) for away in (-1, 0, 1))
        hz = (tops + self._range.start + 0.5 * (a - c) / np.minimum(a - 2 * b + c, -1e-9)) * RATE / _WINDOW
        steps = np.round(1200.0 * np.log2(hz / _A4_HZ) / _CENTS).astype(np.int64) % _STEPS
        weights = np.sqrt(around)
        weights /= max(weights.sum(), 1e-12)
        self._count += np.bincount(steps, weights, _STEPS)
        deep = hz < _BASS_HZ
        self._bass += np.bincount(steps[deep], weights[deep], _STEPS)

    @property
    def chroma(self) -> np.ndarray:
        """How much of each pitch class, from C, in the track's own tuning, shape (12,); adds up to 1, or is all 0."""
        return self._folded(self._count)

    def _folded(self, count: np.ndarray) -> np.ndarray:
        if count.sum() <= 0:
            return np.zeros(12)
        angles = np.exp(2j * np.pi * np.arange(_STEPS) * _CENTS / 100.0)
        tuning = np.angle((self._count * angles).sum()) / (2 * np.pi)  # in semitones off 440 Hz
        away = (np.arange(_STEPS) * _CENTS / 100.0 - tuning)[:, None] - np.arange(12)
        away = (away + 6.0) % 12.0 - 6.0
        near = np.where(np.abs(away) < 0.5, np.square(np.cos(np.pi * away)), 0.0)
        from_a = count @ near
        return np.roll(from_a, -3) / max(float(from_a.sum()), 1e-12)

    def key(self) -> tuple[str, float]:
        """``("A minor", likeness 0 … 1)``; ``("", 0)`` when there are no notes, or no scale that they fit."""
        if self._line.size and not self._count.any():
            self._listen(np.pad(self._line, (0, _WINDOW - len(self._line))))
        chroma, bass = self.chroma, self._folded(self._bass)
        if not chroma.any():
            return "", 0.0
        best = ("", 0.0, -1.0)
        for tonic in range(12):
            deep = _BASS_SAYS * _likeness(bass, np.roll(_BASS, tonic))
            for mode, profile in (("major", _MAJOR), ("minor", _MINOR)):
                likeness = _likeness(chroma, np.roll(profile, tonic))
                if likeness + deep > best[2]:
                    best = f"{NOTES[tonic]} {mode}", likeness, likeness + deep
        return best[:2] if best[1] >= _LEAST_LIKENESS else ("", 0.0)


def _likeness(chroma: np.ndarray, profile: np.ndarray) -> float:
    """Correlation; 0 where there is nothing."""
    return float(np.corrcoef(chroma, profile)[0, 1]) if chroma.any() else 0.0
