# SPDX-License-Identifier: GPL-3.0-or-later
"""control → engine: MIDI messages for the engine's output ports (LEDs, SysEx up to 232 bytes). One writer.

Messages are sent in their order, at once or at their frame; the ring is not part of the committed state, because a lamp that
is lit twice harms nobody.
"""

from __future__ import annotations

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.memory import PrivateSegment, Segment
from appliance.errors import BadValue


class MidiOut:
    def __init__(self, segment: Segment | PrivateSegment) -> None:
        self._ring = segment.view(layout.MIDI_MESSAGE, layout.MIDI_OUT_MESSAGES, layout.offset("midi_out"))
        self._head_address = segment.address + layout.offset("midi_out_head")
        self._tail_address = segment.address + layout.offset("midi_out_tail")

    @property
    def room(self) -> int:
        """How many messages can be queued at the moment."""
        return layout.MIDI_OUT_MESSAGES - int(atomic.read(self._head_address)) + int(atomic.read(self._tail_address))

    def send(self, port: int, data: bytes, *, frame: int = 0) -> bool:
        """Queue one complete message for ``midi_out`` (port 0) … ``midi_out_4`` (port 3); False when the ring is full.

        Raises :class:`BadValue` when it is empty, too long, or the port is not there.
        """
        if not 0 < len(data) <= layout.MIDI_MESSAGE_BYTES or not 0 <= port < layout.MIDI_PORTS:
            most = layout.MIDI_MESSAGE_BYTES
            raise BadValue(f"cannot send {len(data)} bytes to MIDI port {port}: 1 … {most} bytes, ports 0 … 3")
        if self.room <= 0:
            return False
        head = int(atomic.read(self._head_address))
        row = self._ring[head % layout.MIDI_OUT_MESSAGES]
        row["port"], row["size"], row["frame"] = port, len(data), frame
        row["data"][: len(data)] = np.frombuffer(data, np.uint8)
        atomic.write(self._head_address, head + 1)
        return True
