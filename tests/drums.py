# SPDX-License-Identifier: GPL-3.0-or-later
"""Drum tracks of known beats: synthesised, so that every attack's place is known to the sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RATE = 44100
PATTERNS = {
    # kick, snare, hat in sixteenths; o is a ghost note
    "four": ("x...x...x...x...", "....x.......x...", "..x...x...x...x."),
    "sixteenths": ("x...x...x...x...", "....x.......x...", "xxxxxxxxxxxxxxxx"),
    "rock": ("x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x."),
    "break": ("x.x.......xx....", "....x..o.o..x..o", "x.x.x.x.x.x.x.x."),
    "two-step": ("x.........x.....", "....x.......x...", "x.x.x.x.x.x.x.x."),
}


def _kick() -> np.ndarray:
    t = np.arange(int(0.25 * RATE)) / RATE
    return 0.9 * np.sin(2 * np.pi * np.cumsum(50 + 120 * np.exp(-t / 0.03)) / RATE) * np.exp(-t / 0.09)


def _snare(random: np.random.Generator) -> np.ndarray:
    t = np.arange(int(0.18 * RATE)) / RATE
    return 0.5 * random.standard_normal(len(t)) * np.exp(-t / 0.05) + 0.3 * np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.06)


def _hat(random: np.random.Generator) -> np.ndarray:
    t = np.arange(int(0.1 * RATE)) / RATE
    return 0.15 * np.diff(random.standard_normal(len(t)), prepend=0.0) * np.exp(-t / 0.02)


def drums(pattern: str, bpm: float, seconds: float, *, first_s: float = 0.0, swing: float = 0.5, jitter_s: float = 0.0,
          seed: int = 1, at: Callable[[float], float] | None = None) -> np.ndarray:
    """Frames × 2 float32 at ``RATE``. ``swing``: where the second sixteenth of two lies, 0.5 is straight. ``at``: seconds of a
    beat, instead of one tempo from ``first_s`` on."""
    random = np.random.default_rng(seed)
    kick, snare, hat = PATTERNS[pattern]
    sound = np.zeros(int(seconds * RATE) + RATE)
    place = at or (lambda beat: first_s + beat * 60.0 / bpm)
    for step in range(int(seconds * bpm / 60.0 * 4 * 1.5)):
        when = place((step - step % 2) / 4 + (0.5 * swing if step % 2 else 0.0)) + jitter_s * random.standard_normal()
        frame = round(when * RATE)
        for line, hit in ((kick, _kick()), (snare, _snare(random)), (hat, _hat(random))):
            mark = line[step % 16]
            if mark != "." and 0 <= frame < len(sound) - len(hit):
                sound[frame : frame + len(hit)] += hit * (0.8 + 0.2 * random.random()) * (0.3 if mark == "o" else 1.0)
    sound = sound[: int(seconds * RATE)]
    return np.repeat((sound / max(1.0, np.abs(sound).max() / 0.95))[:, None], 2, axis=1).astype(np.float32)
