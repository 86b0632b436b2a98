# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled profiles put in force: the engine's binding table of a port follows them, entry by entry, while it is played."""

from __future__ import annotations

import numpy as np

from appliance.bus import layout
from appliance.bus.binding import BindingKind, Bindings
from appliance.bus.box import Box
from appliance.control.mapping.compile import Compiled, Entry, Message


class PortTable:
    """The table of all ports. It outlives this process in shared memory, so a restart writes everything once."""

    def __init__(self, box: Box) -> None:
        self._bindings = Bindings(box.record["binding"][0])
        self._kinds = box.record["binding"][0]["kind"]
        self._written: list[dict[Message, Entry] | None] = [None] * layout.MIDI_PORTS

    def put(self, port: int, compiled: Compiled | None) -> None:
        """Write what differs from what is there; what stays the same is never interrupted. None empties the port."""
        new = compiled.entries if compiled is not None else {}
        old = self._written[port]
        if old is None:
            self._clear(port, new)
            old = {}
        for message in old.keys() - new.keys():
            self._bindings.bind(port, *message, BindingKind.HAND_OVER)
        for message, entry in new.items():
            if old.get(message) != entry:
                self._bindings.bind(port, *message, entry.kind, code=entry.code, index=entry.index, minimum=entry.minimum,
                                    maximum=entry.maximum, flags=entry.flags)
        self._written[port] = dict(new)

    def _clear(self, port: int, keep: dict[Message, Entry]) -> None:
        """What an earlier process left: hand over all that will not be bound."""
        left = np.ones((112, 128), np.bool_)
        for status, data1 in keep:
            left[status - 0x80, data1] = False
        self._kinds[port][left] = BindingKind.HAND_OVER
