# SPDX-License-Identifier: GPL-3.0-or-later
"""Gestures, the same on every device: what a control does that stands for a pad, a deck or a scene.

A profile says only ``roles: {pad: /pad/N}``; the press, the hold, what shift does and the lamp come from here. What the profile
binds itself counts first, and what the box cannot do yet is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from appliance.control.mapping.profile import Binding, Profile
from appliance.control.mapping.rules import ROLE, Refused
from appliance.control.mapping.selectors import HELD_S, Gesture
from appliance.errors import ApplianceError
from appliance.nodes import NAMESPACE

SHIFT = "shift"
"""The layer of a profile in which shift's gestures count."""
CLEAR_S = 2.0


@dataclass(frozen=True, slots=True)
class Habit:
    """One gesture: with shift or without, and what it does: the first address below the thing's own that the box has; nothing
    for what a hand holds, whose value is the thing itself."""

    gesture: Gesture
    shifted: bool
    below: tuple[str, ...]
    after_s: float = HELD_S


FOCUS = "/system/focus"
_HELD = Habit(Gesture.HELD, shifted=False, below=())
HABITS: dict[str, tuple[Habit, ...]] = {
    "pad": (
        Habit(Gesture.PRESS, shifted=False, below=("trigger",)),
        _HELD,
        Habit(Gesture.PRESS, shifted=True, below=("new", "stop")),
        Habit(Gesture.HELD, shifted=True, below=("clear",), after_s=CLEAR_S),
    ),
    "deck": (Habit(Gesture.PRESS, shifted=False, below=("play",)), _HELD, Habit(Gesture.PRESS, shifted=True, below=("sync",))),
    "scene": (Habit(Gesture.PRESS, shifted=False, below=("launch",)), _HELD),
}


def habits(profile: Profile, thing: str) -> Iterator[tuple[Habit, Binding]]:
    """The gestures of a thing such as ``/pad/N`` on this device. Raises :class:`Refused`."""
    found = ROLE.fullmatch(thing)
    if found is None:
        raise Refused(f"{thing!r} is no role; a control stands for /pad/N, /deck/N or /scene/N")
    for habit in HABITS[found[1]]:
        if habit.shifted and SHIFT not in profile.layers:
            continue
        if not habit.below:
            yield habit, Binding.model_validate({"to": FOCUS, "value": thing})
        elif below := next((one for one in habit.below if _is_there(f"/{found[1]}/1/{one}")), None):
            yield habit, Binding.model_validate({"to": f"{thing}/{below}"})


@cache
def _is_there(address: str) -> bool:
    try:
        NAMESPACE.find(address)
    except ApplianceError:
        return False
    return True
