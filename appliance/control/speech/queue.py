# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said next: of each urgency only the newest waits, what is more urgent comes first, and what is late is not said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Urgency(IntEnum):
    """The greater interrupts the smaller. A name or an answer is cut off by a newer one; a fault is said to its end."""

    NAME = 0
    ASKED = 1
    FAULT = 2


FRESH_S = {Urgency.NAME: 1.5, Urgency.ASKED: 6.0, Urgency.FAULT: 12.0}
"""So long after it was wanted a thing is still worth beginning with."""


@dataclass(frozen=True)
class Saying:
    """``wanted_s`` by the monotonic clock."""

    text: str
    urgency: Urgency
    wanted_s: float


class Waiting:
    """At most one saying of each urgency."""

    def __init__(self) -> None:
        self._slots: dict[Urgency, Saying] = {}

    def put(self, saying: Saying) -> None:
        self._slots[saying.urgency] = saying

    def first(self, now_s: float) -> Saying | None:
        """The most urgent one that is fresh; it goes on waiting."""
        for urgency in sorted(self._slots, reverse=True):
            saying = self._slots[urgency]
            if now_s - saying.wanted_s <= FRESH_S[urgency]:
                return saying
            del self._slots[urgency]
        return None

    def take(self, saying: Saying) -> None:
        """It is going to be said."""
        if self._slots.get(saying.urgency) is saying:
            del self._slots[saying.urgency]

    def overtaken(self, saying: Saying) -> bool:
        """Meanwhile something newer of its kind, or more urgent, waits, or all was forgotten."""
        return self._slots.get(saying.urgency) is not saying or any(urgency > saying.urgency for urgency in self._slots)

    def clear(self) -> None:
        self._slots.clear()


def interrupts(saying: Saying, heard: Saying) -> bool:
    """Whether it may cut off what is heard."""
    if saying.urgency is Urgency.FAULT and heard.urgency is Urgency.FAULT:
        return False
    return saying.urgency >= heard.urgency
