# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands left of the colon: ``pad``, ``pad 1..4``, ``shift + pad 3``, ``deck 2 + play``, ``pad held 2``, ``double``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from appliance.control.mapping.controls import Control
from appliance.control.mapping.profile import Profile

HELD_S = 0.6
"""So long is held, unless the profile says how long."""
LONGEST_S = 10.0


class Gesture(StrEnum):
    PRESS = "press"  # also a move, a turn
    HELD = "held"
    DOUBLE = "double"


class NoSuchControl(Exception):
    """Carries the words."""


@dataclass(frozen=True, slots=True)
class Selector:
    """``layers``: each with the value that it must have; ``after_s``: of held."""

    layers: tuple[tuple[str, int], ...]
    controls: tuple[Control, ...]
    gesture: Gesture = Gesture.PRESS
    after_s: float = HELD_S


def parse_selector(profile: Profile, text: str) -> Selector:
    """Raises :class:`NoSuchControl`."""
    *layers, rest = (" ".join(part.split()) for part in text.split("+"))
    gesture, after_s = Gesture.PRESS, HELD_S
    if rest not in profile.surface and (found := re.fullmatch(r"(.+) (held|double)(?: (\d+(?:\.\d+)?))?", rest)):
        rest, gesture = found[1], Gesture(found[2])
        if found[3] and gesture is Gesture.DOUBLE:
            raise NoSuchControl(f"{text!r}: double has no time of its own")
        after_s = float(found[3] or HELD_S)
        if not 0.1 <= after_s <= LONGEST_S:
            raise NoSuchControl(f"{text!r}: held for 0.1 … {LONGEST_S:g} s, not {after_s:g}")
    return Selector(tuple(_layer(profile, text, layer) for layer in layers), tuple(select(profile, rest)), gesture, after_s)


def _layer(profile: Profile, whole: str, text: str) -> tuple[str, int]:
    name, _, value = text.partition(" ")
    if name not in profile.layers:
        there = ", ".join(profile.layers) or "none"
        raise NoSuchControl(f"{whole!r}: {text!r} is no layer of this profile; there are {there}")
    values = layer_values(profile, name)
    if not value and values == (0, 1):
        return name, 1
    if not value.isdigit() or int(value) not in values:
        raise NoSuchControl(f"{whole!r}: the layer {name} has the values {', '.join(map(str, values))}: say which, as in "
                            f"{name} {values[-1]} + …")
    return name, int(value)


def layer_values(profile: Profile, name: str) -> tuple[int, ...]:
    """The values that a layer may have, the one that it begins with first. Raises :class:`NoSuchControl`."""
    layer = profile.layers[name]
    if layer.way in ("hold", "toggle"):
        return 0, 1
    controls = layer_controls(profile, name)
    if layer.way == "choose" and layer.values and len(layer.values) != len(controls):
        raise NoSuchControl(f"{name}: {len(layer.values)} values for {len(controls)} buttons")
    return tuple(layer.values or range(1, len(controls) + 1))


def layer_controls(profile: Profile, name: str) -> tuple[Control, ...]:
    """The buttons of a layer. Raises :class:`NoSuchControl`."""
    layer = profile.layers[name]
    controls = tuple(select(profile, getattr(layer, layer.way)))
    if layer.way != "choose" and len(controls) != 1:
        raise NoSuchControl(f"{name}: {layer.way} is one button, not the row {getattr(layer, layer.way)!r}; "
                            f"say which, as in {controls[0][0]} 1")
    return controls


def select(profile: Profile, text: str) -> Iterator[Control]:
    """The controls that ``pad``, ``pad 5`` or ``pad 1..4`` names. Raises :class:`NoSuchControl`."""
    name = " ".join(text.split())
    if name in profile.surface:
        yield from ((name, member) for member in range(1, profile.surface[name].count + 1))
        return
    found = re.fullmatch(r"(.+?) (\d{1,4})(?:\.\.(\d{1,4}))?", name)
    if not found or found[1] not in profile.surface:
        raise NoSuchControl(f"{text!r} is no control of this surface; there are {', '.join(profile.surface) or 'none'}")
    count = profile.surface[found[1]].count
    first, last = int(found[2]), int(found[3] or found[2])
    if not 1 <= first <= last <= count:
        raise NoSuchControl(f"{text!r}: {found[1]} has the numbers 1 … {count}")
    yield from ((found[1], member) for member in range(first, last + 1))
