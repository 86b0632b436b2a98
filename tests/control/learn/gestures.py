# SPDX-License-Identifier: GPL-3.0-or-later
"""What hands do, as the bytes that controllers send: knobs slow and fast, encoders that accelerate, wheels, buttons, and what
trembles beside them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from appliance.control.learn.streams import Said
from appliance.control.mapping.profile import Encoding

SCAN_S = 0.004
"""How often a controller looks at its knobs."""


def coded(turn: int, encoding: Encoding) -> int:
    match encoding:
        case Encoding.TWOS:
            return turn & 127
        case Encoding.OFFSET:
            return 64 + turn
        case Encoding.SIGN:
            return turn if turn > 0 else 64 - turn


def knob(chance: random.Random, number: int = 7, *, channel: int = 1, begin: float = 0.1, end: float = 0.9,
         seconds: float = 0.6, doubles: int = 0) -> list[Said]:
    """A hand that speeds up and slows down; each value once, but for ``doubles`` at the end of the travel."""
    out: list[Said] = []
    last = -1
    for step in range(max(round(seconds / SCAN_S), 3) + 1):
        share = step / max(round(seconds / SCAN_S), 3)
        way = (1 - math.cos(share * math.pi)) / 2
        value = round(min(max(127 * (begin + (end - begin) * way), 0), 127))
        if value != last:
            out.append(Said(step * SCAN_S + chance.uniform(0, 0.001), 0xB0 + channel - 1, number, value))
            last = value
    out += [Said(out[-1].time_s + 0.01 * (n + 1), 0xB0 + channel - 1, number, last) for n in range(doubles)]
    return out


def fine_fader(chance: random.Random, number: int = 7, *, fine_first: bool = False, begin: float = 0.1, end: float = 0.9,
               seconds: float = 0.6, together: bool = False, channel: int = 1) -> list[Said]:
    """14 bits in two messages, a millisecond apart on a cable, at once over USB."""
    out: list[Said] = []
    last = -1
    steps = max(round(seconds / SCAN_S), 3)
    for step in range(steps + 1):
        way = (1 - math.cos(step / steps * math.pi)) / 2
        value = round(min(max(16383 * (begin + (end - begin) * way), 0), 16383))
        if value != last:
            halves = [(number, value >> 7), (number + 32, value & 127)]
            at = step * SCAN_S + chance.uniform(0, 0.001)
            for place, (which, half) in enumerate(reversed(halves) if fine_first else halves):
                out.append(Said(at if together else at + 0.001 * place, 0xB0 + channel - 1, which, half))
            last = value
    return out


def encoder(chance: random.Random, encoding: Encoding, number: int = 16, *, turns: Iterable[int] = (1, -1), slow: bool = True,
            clicks: int = 12, channel: int = 1) -> list[Said]:
    """Some clicks each way; a fast hand makes the device add up several to a message, but not for the first and last ones."""
    out: list[Said] = []
    at = 0.0
    for direction in turns:
        for click in range(clicks):
            middle = math.sin(math.pi * (click + 0.5) / clicks)
            speed = 1 if slow or not 2 < click < clicks - 3 else max(1, round(middle * chance.uniform(4, 9)))
            out.append(Said(at, 0xB0 + channel - 1, number, coded(direction * speed, encoding)))
            at += chance.uniform(0.03, 0.09) if slow else chance.uniform(0.008, 0.02)
        at += 0.2
    return out


def wheel(chance: random.Random, encoding: Encoding, *, number: int = 34, ticks: int = 720, seconds: float = 1.2,
          back: int = 60, touch: int | None = 54, channel: int = 1) -> list[Said]:
    """Once round to the right and a little back, told every few milliseconds, with a hand on the plate."""
    out: list[Said] = []
    if touch is not None:
        out.append(Said(0.0, 0x90 + channel - 1, touch, 127))
    at, told = 0.05, 0
    steps = round(seconds / 0.005)
    for step in range(steps + 1):
        place = round(ticks * (1 - math.cos(step / steps * math.pi)) / 2)
        if place != told:
            out.append(Said(at, 0xB0 + channel - 1, number, coded(place - told, encoding)))
            told = place
        at += 0.005
    for _ in range(back):
        out.append(Said(at, 0xB0 + channel - 1, number, coded(-1, encoding)))
        at += chance.uniform(0.004, 0.012)
    if touch is not None:
        out.append(Said(at + 0.05, 0x80 + channel - 1, touch, 0))
    return out


def press(number: int = 40, *, kind: str = "note", channel: int = 1, down_s: float = 0.12, value: int = 127) -> list[Said]:
    """Down and up. ``note off``: by its own message; ``on`` and ``off``: one press of a button that toggles by itself."""
    note, cc = 0x90 + channel - 1, 0xB0 + channel - 1
    return {
        "note": [Said(0.0, note, number, value), Said(down_s, note, number, 0)],
        "note off": [Said(0.0, note, number, value), Said(down_s, note - 16, number, 64)],
        "cc": [Said(0.0, cc, number, value), Said(down_s, cc, number, 0)],
        "note on": [Said(0.0, note, number, value)],
        "on": [Said(0.0, cc, number, 127)],
        "off": [Said(0.0, cc, number, 0)],
    }[kind]


def noise(chance: random.Random, seconds: float, *, number: int = 69) -> list[Said]:
    """A worn knob on another place, the clock, active sensing."""
    out = [Said(tick / 48, 0xF8, 0, 0) for tick in range(round(seconds * 48))]
    out += [Said(0.3 * n, 0xFE, 0, 0) for n in range(round(seconds / 0.3))]
    value, middle, at = 65, chance.choice((1, 2, 64, 65, 66, 90, 126)), 0.0
    while at < seconds:
        new = min(max(middle + chance.choice((-1, 0, 1)), 0), 127)
        if new != value:
            out.append(Said(at, 0xB0, number, new))
            value = new
        at += chance.uniform(0.01, 0.2)
    return out


def mixed(*parts: list[Said]) -> list[Said]:
    return sorted((said for part in parts for said in part), key=lambda said: said.time_s)
