# SPDX-License-Identifier: GPL-3.0-or-later
"""Sections: who plays where in an intro, a build, a drop, a break and an outro.

All five are the same song, played from the same seeds; a section leaves out and swells, it never rewrites. So any one of them
may follow any other.
"""

from __future__ import annotations

import math

from appliance.gen.vocabulary import Section

#: Where a voice plays, as shares of the loop, and its velocity at both ends. What is not named is silent.
Span = tuple[float, float, float, float]
_ALL: tuple[Span, ...] = ((0.0, 1.0, 1.0, 1.0),)
_SECTIONS: dict[Section, dict[str, tuple[Span, ...]]] = {
    "intro": {
        "kick": ((0.5, 1.0, 0.8, 1.0),), "back": ((0.75, 1.0, 0.5, 0.8),), "top": ((0.0, 1.0, 0.45, 0.9),),
        "percussion": ((0.25, 1.0, 0.5, 0.85),), "bass": ((0.5, 1.0, 0.75, 0.9),), "chords": ((0.0, 1.0, 0.55, 0.9),),
        "lead": ((0.75, 1.0, 0.6, 0.8),), "texture": _ALL,
    },
    "build": {
        "kick": ((0.0, 0.875, 0.85, 1.0),), "back": ((0.0, 0.5, 0.7, 0.8),), "top": ((0.0, 1.0, 0.6, 1.0),),
        "percussion": ((0.0, 1.0, 0.6, 1.0),), "bass": ((0.0, 0.75, 0.9, 0.9),), "chords": ((0.0, 1.0, 0.55, 1.0),),
        "lead": ((0.0, 0.9375, 0.5, 1.0),), "texture": _ALL, "roll": ((0.5, 1.0, 0.25, 1.0),),
    },
    "drop": {
        **dict.fromkeys(("kick", "back", "top", "crash", "percussion", "bass", "chords", "lead", "texture"), _ALL),
    },
    "break": {
        "top": ((0.0, 1.0, 0.4, 0.5),), "percussion": ((0.0, 1.0, 0.6, 0.7),), "bass": ((0.0, 0.5, 0.6, 0.6),),
        "chords": _ALL, "lead": _ALL, "texture": _ALL,
    },
    "outro": {
        "kick": ((0.0, 0.75, 1.0, 0.85),), "back": ((0.0, 0.5, 0.9, 0.6),), "top": ((0.0, 1.0, 0.9, 0.4),),
        "percussion": ((0.0, 0.75, 0.8, 0.4),), "bass": ((0.0, 0.5, 0.9, 0.7),), "chords": ((0.0, 0.75, 0.8, 0.4),),
        "lead": ((0.0, 0.25, 0.7, 0.4),), "texture": _ALL,
    },
}  # fmt: skip
#: Which drum lanes are the foundation and which the back-beat; a crash marks a drop, and all others are the top.
_LANES = {"kick": "kick", "boom": "kick", "snare": "back", "clap": "back", "ghost": "back", "rim": "back", "crash": "crash"}
_WEIGHTS = {"kick": 0.5, "back": 0.35, "top": 0.15}


def voice_of(lane: str) -> str:
    """The voice of an arrangement that a drum lane belongs to."""
    return _LANES.get(lane, "top")


def velocity_at(section: Section, voice: str, place: float) -> float:
    """The factor 0…1 for what ``voice`` plays at ``place`` 0…1 of the loop."""
    for start, end, first, last in _SECTIONS[section].get(voice, ()):
        if start <= place < end:
            return first + (last - first) * (place - start) / (end - start)
    return 0.0


def loudness(section: Section, part: str) -> float:
    """How loud a part is in a section against the drop, as a factor of its RMS level; at least 0.25."""
    if part == "drums":
        power = sum(weight * _power(section, voice) for voice, weight in _WEIGHTS.items())
        power += 0.5 * _power(section, "roll")
    else:
        power = _power(section, part)
    return max(math.sqrt(power), 0.25)


def _power(section: Section, voice: str) -> float:
    spans = _SECTIONS[section].get(voice, ())
    return sum((end - start) * (first * first + first * last + last * last) / 3 for start, end, first, last in spans)
