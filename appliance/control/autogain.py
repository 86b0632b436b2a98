# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto-gain: ``/deck/N/track/gain`` brings what is loaded to one loudness, as far as 12 dB reach.

It moves when a track is loaded. A deck that plays keeps its level until it stops: nothing gets louder in the middle of a track
because an analysis has ended. Tracks whose loudness is not known, and silence, stay as they are.
"""

from __future__ import annotations

import contextlib
from typing import Any

from appliance.bus.layout import DECKS
from appliance.control.desk import Desk

MOST_DB = 12.0
_SWITCH, _TARGET = "/mixer/autogain", "/mixer/autogain/target"


class AutoGain:
    """Sets the gain of decks."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._loudness: dict[int, float | None] = {}
        self._late: set[int] = set()
        desk.subscribe(self._heard)

    def loaded(self, deck: int, loudness: float | None) -> None:
        """This comes onto the deck (0 is the first) in the same moment; whatever plays there ends."""
        self._loudness[deck] = loudness
        self._set(deck)

    def found(self, deck: int, loudness: float | None) -> None:
        """The loudness of what stands on the deck already."""
        self._loudness[deck] = loudness
        self._settle(deck)

    def _wanted_db(self, deck: int) -> float:
        loudness = self._loudness.get(deck)
        if loudness is None or not self._desk.get_now(_SWITCH):
            return 0.0
        return round(min(max(self._desk.get_now(_TARGET) - loudness, -MOST_DB), MOST_DB), 2)

    def _settle(self, deck: int) -> None:
        if self._desk.get_now(f"/deck/{deck + 1}/play"):
            self._late.add(deck)
        else:
            self._set(deck)

    def _set(self, deck: int) -> None:
        self._late.discard(deck)
        wanted = self._wanted_db(deck)
        if abs(self._desk.get_now(f"/deck/{deck + 1}/track/gain") - wanted) > 0.005:
            self._desk.set_now(f"/deck/{deck + 1}/track/gain", wanted)

    def _heard(self, address: str, value: Any) -> None:
        if address in (_SWITCH, _TARGET):
            for deck in self._loudness:
                self._settle(deck)
        elif address.startswith("/deck/") and address.endswith("/play") and not value:
            with contextlib.suppress(ValueError):
                deck = int(address.split("/")[2]) - 1
                if deck in self._late and deck < DECKS:
                    self._set(deck)
