# SPDX-License-Identifier: GPL-3.0-or-later
"""``/deck/N/key/match``: brings a deck's key to that of what it is to be mixed with, by as few semitones as it takes.

A minor key and the major one of the same notes count as one. What is heard counts, not what was recorded: another deck's key
shift, and its speed where its key is not locked. The deck that is matched is locked, so that its own speed does not undo it.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.layout import DECKS
from appliance.control.desk import Desk
from appliance.errors import BadValue, NotAllowed
from appliance.namespace import Address

NOTES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SEMITONES = 12


def scale_of(key: str) -> int | None:
    """Semitones of the major scale's first note above C, 0 … 11, that ``A minor`` or ``C# major`` shares its notes with; None
    for what is no key."""
    note, _, mode = key.partition(" ")
    if note[:1] not in NOTES or note[1:] not in ("", "#", "b") or mode not in ("major", "minor"):
        return None
    sharp = {"": 0, "#": 1, "b": -1}[note[1:]]
    return (NOTES[note[0]] + sharp + (3 if mode == "minor" else 0)) % _SEMITONES


def nearest_shift(here: float, there: float) -> float:
    """Semitones from one scale to another, -6 up to below 6."""
    return (there - here + 6.0) % _SEMITONES - 6.0


class KeyMatch:
    """Serves the call."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.register("/deck/{deck}/key/match", self._match)

    async def _match(self, address: Address, args: list[Any]) -> dict[str, Any] | None:
        if args and isinstance(args[0], int | float) and args[0] == 0:
            return None  # a button let go
        deck = address.index + 1
        here = scale_of(self._found(deck))
        if here is None:
            raise NotAllowed(f"/deck/{deck}/key/match: the key of what is loaded is not known "
                             f"(/deck/{deck}/track/state is {self._desk.get_now(f'/deck/{deck}/track/state')})", status=409)
        other = self._other(address, deck, args)
        there = self._heard(other) if other else float(scale_of(self._desk.get_now("/gen/key")) or 0)
        if there is None:
            raise NotAllowed(f"/deck/{deck}/key/match: the key of deck {other} is not known", status=409)
        shift = nearest_shift(here, there)
        semitones = math.floor(shift + 0.5)
        cents = round(100 * (shift - semitones), 1)
        for name, value in (("keylock", True), ("key", float(semitones)), ("key/fine", cents)):
            self._desk.set_now(f"/deck/{deck}/{name}", value)
        return {"to": f"deck {other}" if other else "the generator's key", "semitones": semitones, "cents": cents}

    def _found(self, deck: int) -> str:
        return str(self._desk.get_now(f"/deck/{deck}/track/key") or "")

    def _heard(self, deck: int) -> float | None:
        """The scale in which a deck is heard."""
        scale = scale_of(self._found(deck))
        if scale is None:
            return None
        get = self._desk.get_now
        heard = scale + float(get(f"/deck/{deck}/key")) + float(get(f"/deck/{deck}/key/fine")) / 100
        speed = abs(float(get(f"/deck/{deck}/speed")))
        return heard if get(f"/deck/{deck}/keylock") or speed == 0.0 else heard + _SEMITONES * math.log2(speed)

    def _other(self, address: Address, deck: int, args: list[Any]) -> int:
        """The deck that was named, else the loudest other one that plays and whose key is known; 0: none."""
        if args and isinstance(args[0], str):
            named = args[0].removeprefix("/deck/")
            if named not in map(str, range(1, DECKS + 1)) or int(named) == deck:
                another = f"/deck/{deck % DECKS + 1}"
                raise BadValue(f"{address} takes the address of another deck, such as {another}, not {args[0]!r}")
            return int(named)
        told = self._desk.box.telemetry.snapshot()
        playing = [other for other in range(1, DECKS + 1)
                   if other != deck and told["deck"]["playing"][other - 1] and scale_of(self._found(other)) is not None]
        return max(playing, key=lambda other: float(told["channel"]["peak"][other - 1]), default=0)
