# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person has touched: it is theirs until a phrase line, and the autopilot keeps off it."""

from __future__ import annotations

import math

from appliance.bus.commands import Code, Source
from appliance.bus.events import Event, Kind
from appliance.bus.scenetable import pad_of
from appliance.control.lines import ORIGIN
from appliance.namespace import Address
from appliance.nodes import NAMESPACE

LEAST_BARS = 2
"""A touch right before a phrase line holds until the next one."""
_PAD_COMMANDS = {NAMESPACE.command("pad", name) for name in ("trigger", "release", "stop", "cut")}
_ASKED = ("new", "vary", "launch", "finish", "clear", "take/next", "take/previous", "take/load")


class Hands:
    """``held`` are the things in somebody's hands, such as ``/bank/1/pad/3``, ``/channel/5``, ``/deck/1``, with the bar (from
    1) at which they are given back."""

    def __init__(self, held: dict[str, int] | None = None) -> None:
        self.held = dict(held or {})

    def touch(self, thing: str, bar: int, phrase: int) -> None:
        """In bar ``bar`` (from 1), of phrases of so many bars."""
        self.held[thing] = (math.floor((bar - 1 + LEAST_BARS) / phrase) + 1) * phrase + 1

    def hand_back(self, bar: int) -> None:
        """At the beginning of bar ``bar``."""
        self.held = {thing: until for thing, until in self.held.items() if until > bar}


def touched_by_event(event: Event, mine: set[int]) -> str:
    """The thing that a person moved when the engine tells this; empty when it was nobody. ``mine``: the box's own commands."""
    if event.kind == Kind.COMMAND and event.id not in mine:
        if event.code in _PAD_COMMANDS or (event.code == Code.QUEUE_PAD and event.source == Source.SCHEDULE):
            return pad_of(event.index)
        name = next((name for name, code in NAMESPACE.commands.items() if code == event.code), "")
        return f"/deck/{event.index + 1}" if name.startswith("deck.") else ""
    if event.kind == Kind.VALUE and (found := NAMESPACE.by_slot.get(event.index)) is not None:
        if found.group.record in ("pad", "channel", "deck"):
            return found.address.removesuffix(f"/{found.node.name}")
    return ""


def touched_by_asking(found: Address) -> str:
    """The pad that somebody has asked something of that is no command to the engine; empty when nobody has."""
    by_hand = ORIGIN.get() == "" and found.group.record == "pad" and found.node.name in _ASKED
    return found.address.removesuffix(f"/{found.node.name}") if by_hand else ""
