# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a set: which section a phrase belongs to, and how much energy is wanted there."""

from __future__ import annotations

import math

_TURN = ("build", "build", "drop", "drop", "drop", "drop", "break", "break")
"""What comes again and again, a phrase each."""
INTRO, OUTRO = 2, 2
"""Phrases at the beginning and end of a set."""
LIVELINESS = {"intro": 0.5, "build": 0.75, "drop": 1.0, "break": 0.45, "outro": 0.4}
_WAVES = 4


def section_of(phrase: int, phrases: int) -> str:
    """Of phrase ``phrase`` (from 0) of a set of so many."""
    if phrase < INTRO:
        return "intro"
    if phrase >= phrases - OUTRO:
        return "outro"
    return _TURN[(phrase - INTRO) % len(_TURN)]


def energy_at(curve: str, place: float, most: float) -> float:
    """0…1 at ``place`` 0…1 of the set; ``most`` is the height of the curve."""
    match curve:
        case "rise":
            share = 1 / 3 + 2 / 3 * place
        case "arc":
            share = 1 / 3 + 2 / 3 * math.sin(math.pi * place)
        case "wave":
            share = 0.7 + 0.3 * math.sin(2 * math.pi * (_WAVES * place - 0.25))
        case _:
            share = 1.0
    return most * share
