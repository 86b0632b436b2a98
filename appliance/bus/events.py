# SPDX-License-Identifier: GPL-3.0-or-later
"""engine → control: what happened, each with its frame. The engine never waits: when control falls 16384 events behind, the
oldest are lost, and the reader is told how many."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from appliance.bus import atomic, layout
from appliance.bus.memory import PrivateSegment, Segment


class Kind(IntEnum):
    VALUE = 1  # index: slot, a: value now, source
    COMMAND = 2  # code: the command's; index, a, b, c, id as sent: it was obeyed
    MIDI = 3  # index: port, a: status, b: data 1, c: data 2; no plain binding takes it
    ENDED = 4  # index: 0…3 deck, 16… pad: the clip ran out
    LAUNCHED = 5  # index: pad
    STOPPED = 6  # index: pad
    REFUSED = 7  # code: the command's; index, id as sent; a: Refusal
    JUMP = 8  # a: frames skipped because the audio server lost or jumped them
    MIDI_LOST = 9  # index: port, a: messages lost before they reached us


class Refusal(IntEnum):
    """Why the engine refused a command."""

    EMPTY = 1
    NO_CLIP = 2
    FULL = 3
    LATE = 4
    UNKNOWN = 5
    NO_GRID = 6
    TOO_SHORT = 7


class Event(NamedTuple):
    """``code`` is the command's number for COMMAND and REFUSED (it shares the ring's ``kind`` word)."""

    kind: int
    code: int
    index: int
    frame: int
    a: float
    b: float
    c: float
    source: int
    id: int


class Events:
    """The reading end; one reader (control)."""

    def __init__(self, segment: Segment | PrivateSegment) -> None:
        self._ring = segment.view(layout.EVENT, layout.EVENTS, layout.offset("events"))
        self._head_address = segment.address + layout.offset("event_head")
        self._tail_address = segment.address + layout.offset("event_tail")
        self.tail = int(atomic.read(self._tail_address))
        self.lost = 0

    def read(self, most: int = 4096) -> list[Event]:
        """New events in their order; adds to ``lost`` what was overwritten before it could be read."""
        head = int(atomic.read(self._head_address))
        if head < self.tail:  # the block was made anew
            self.tail = head
        if head - self.tail > layout.EVENTS - 256:
            self.lost += head - self.tail - layout.EVENTS // 2
            self.tail = head - layout.EVENTS // 2
        events: list[Event] = []
        for position in range(self.tail, min(head, self.tail + most)):
            kind, index, frame, a, b, c, source, id_ = self._ring[position % layout.EVENTS].item()
            events.append(Event(kind & 0xFF, kind >> 8, index, frame, a, b, c, source, id_))
        self.tail += len(events)
        atomic.write(self._tail_address, self.tail)
        return events
