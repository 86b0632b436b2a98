# SPDX-License-Identifier: GPL-3.0-or-later
"""The LED language: what a lamp does for each state, as a level 0…1 and a colour at a moment of the beat.

Rhythm alone says it all, so a lamp of one colour says the same as one of millions; colour is extra. Levels: 0 dark,
``DIP`` the short dark of what plays, ``DIM``, 1 bright; a lamp that can only be lit or dark is lit from ``LIT`` up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

DIP, LIT, DIM, BRIGHT = 0.1, 0.2, 0.25, 1.0
FLASH_S = 0.4


class Look(StrEnum):
    EMPTY = "empty"
    LOADED = "loaded"
    QUEUED = "queued"
    PLAYING = "playing"
    STOPPING = "stopping"
    ARMED = "armed"
    RECORDING = "recording"
    OVERDUB = "overdub"
    GENERATING = "generating"
    CANDIDATE = "candidate"
    FAILED = "failed"


ROLE_COLOURS = {
    "none": "white", "drums": "orange", "percussion": "orange", "bass": "blue", "chords": "green", "lead": "pink",
    "texture": "violet", "voice": "white", "recorded": "yellow",
}
_RED = (Look.ARMED, Look.RECORDING, Look.OVERDUB)


@dataclass(frozen=True, slots=True)
class Moment:
    """``beat`` counts quarter notes, ``bar_beat`` those since the bar line; with fractions."""

    beat: float
    bar_beat: float


def light(look: Look, colour: str, moment: Moment, progress: float = 0.0) -> tuple[float, str]:
    """Level and colour of a lamp at a moment. ``progress`` 0…1 is how far generation is."""
    beat, bar_beat = moment.beat, moment.bar_beat
    if look in _RED:
        colour = "red"
    match look:
        case Look.EMPTY:
            level = 0.0
        case Look.LOADED:
            level = DIM
        case Look.QUEUED:
            level = BRIGHT if beat * 2 % 1 < 0.5 else 0.0
        case Look.PLAYING | Look.OVERDUB:
            level = DIP if beat % 1 < 0.15 else BRIGHT
        case Look.STOPPING | Look.ARMED:
            level = BRIGHT if beat % 2 < 1 else 0.0
        case Look.RECORDING:
            level = BRIGHT
        case Look.GENERATING:
            level, colour = (0.3 + 0.7 * progress) * (0.5 - 0.5 * math.cos(math.pi * beat)), "white"
        case Look.CANDIDATE:
            level, colour = (BRIGHT if bar_beat < 0.15 or 0.3 <= bar_beat < 0.45 else 0.0), "cyan"
        case Look.FAILED:
            level, colour = (BRIGHT if bar_beat < 0.25 or 0.5 <= bar_beat < 0.75 else 0.0), colour if bar_beat < 0.5 else "red"
    return level, colour


def refused(since_s: float) -> tuple[float, str] | None:
    """Three flashes in 400 ms after a press that was refused; None when they are over."""
    if not 0 <= since_s < FLASH_S:
        return None
    return (BRIGHT if since_s * 6 / FLASH_S % 2 < 1 else 0.0), "red"


SLOW_HZ, QUICK_HZ = 2.0, 10.0
LONG_HOLD_S = 3.0


def quickening(share: float) -> tuple[float, str]:
    """While something that ends sound or power is held: a blink that quickens until it happens at ``share`` 1."""
    since_s = share * LONG_HOLD_S
    turns = SLOW_HZ * since_s + (QUICK_HZ - SLOW_HZ) * since_s * share / 2
    return (BRIGHT if turns % 1 < 0.5 else 0.0), "red"


RGB = {
    "white": (255, 255, 255), "red": (255, 0, 0), "orange": (255, 110, 0), "yellow": (255, 220, 0), "green": (0, 220, 60),
    "cyan": (0, 220, 220), "blue": (30, 60, 255), "violet": (140, 40, 255), "pink": (255, 40, 160),
}


def nearest(colour: str) -> str:
    """The colour of the language that is nearest to ``#rrggbb``."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    strongest = max(red, green, blue, 1)
    scaled = [255 * part / strongest for part in (red, green, blue)]
    return min(RGB, key=lambda name: sum((a - b) ** 2 for a, b in zip(RGB[name], scaled, strict=True)))
