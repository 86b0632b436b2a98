# SPDX-License-Identifier: GPL-3.0-or-later
"""control → engine: things that happen once, at once or at a given frame. One writer (control), read by the engine.

The payload is written plainly, then the head is released; the engine's tail stands in its committed state, so a command
is obeyed exactly once even when the engine dies in the middle of a block.
"""

from __future__ import annotations

from enum import IntEnum

from appliance.bus import atomic, layout
from appliance.bus.commit import committed
from appliance.bus.memory import PrivateSegment, Segment
from appliance.errors import Unavailable


class Code(IntEnum):
    """Commands that are no address of their own; those of the namespace count from 16 (``Namespace.commands``)."""

    SET = 1  # index: slot, a: value
    LOAD_DECK = 2  # index: deck, a: clip handle (0 empties), b: place of its grid (0: none)
    LOAD_PAD = 3  # index: pad, a: clip handle (0 empties)
    SKIP = 4  # a: frames to jump over unheard
    SET_GRID = 6  # index: deck, a: place of its clip's new grid
    SET_PLANE = 7  # index: MIDI port, a: the plane of its bindings
    SPEAK = 8  # a: handle of a clip that is heard in the headphones at once (0: what is said there ends)
    QUEUE_PAD = 5  # index: pad, a: 1 start, 2 stop, b: the beat; what a scene's launch does to each of its pads


class Source(IntEnum):
    """Who caused a command or a change of a value."""

    CONTROL = 0
    MIDI = 1
    ENGINE = 2
    SCHEDULE = 3
    CLOCK = 4  # another clock that is followed


class Commands:
    """The writing end."""

    def __init__(self, segment: Segment | PrivateSegment) -> None:
        self._segment = segment
        self._ring = segment.view(layout.COMMAND, layout.COMMANDS, layout.offset("commands"))
        self._head_address = segment.address + layout.offset("command_head")
        self._next_id = int(atomic.read(self._head_address)) + 1

    def send(self, code: int, index: int = 0, a: float = 0.0, b: float = 0.0, c: float = 0.0, *, frame: int = 0) -> int:
        """Queue a command for ``frame`` (0: at once); returns its id, which comes back in the event.

        Raises :class:`Unavailable` when the engine has not taken the last 4096 commands: nothing is dropped in silence.
        """
        head = int(atomic.read(self._head_address))
        if head - int(committed(self._segment)["command_tail"][0]) >= layout.COMMANDS:
            raise Unavailable("the engine takes no commands at the moment (4096 are waiting); try again when it plays")
        self._next_id += 1
        self._ring[head % layout.COMMANDS] = (code, index, frame, a, b, c, Source.CONTROL, self._next_id)
        atomic.write(self._head_address, head + 1)
        return self._next_id
