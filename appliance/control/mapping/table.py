# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled profiles put in force: the engine's binding table of a port follows them, entry by entry, while it is played."""

from __future__ import annotations

import contextlib

import numpy as np

from appliance.bus import layout
from appliance.bus.binding import HELD, BindingFlag, BindingKind, Bindings, press_of
from appliance.bus.box import Box
from appliance.bus.commands import Code
from appliance.bus.commit import committed
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import Message
from appliance.control.mapping.planes import Entry
from appliance.errors import Unavailable

Planes = list[dict[Message, Entry]]


class PortTable:
    """The table of all ports. It outlives this process in shared memory, so a restart writes everything once."""

    def __init__(self, box: Box) -> None:
        self._bindings = Bindings(box.record["binding"][0])
        self._kinds = box.record["binding"][0]["kind"]
        self._flags = box.record["binding"][0]["flags"]
        self._box = box
        self._last = box.record["midi_last"][0]
        self._pressed = box.record["midi_pressed"][0]
        self._written: list[Planes | None] = [None] * layout.MIDI_PORTS
        self._telling = 0

    def plane(self, port: int) -> int:
        """The plane that the engine is on."""
        return int(committed(self._box.segment)["midi_plane"][0][port])

    def is_known(self, port: int) -> bool:
        """Whether this process has written there before."""
        return self._written[port] is not None

    def put(self, port: int, compiled: Compiled | None) -> None:
        """Write what differs from what is there; what stays the same is never interrupted. None empties the port."""
        new = compiled.planes if compiled is not None else [{}]
        old = self._written[port]
        if old is None:
            self._clear(port, new)
            old = []
        for plane in range(max(len(old), len(new))):
            self._put(port, plane, old[plane] if plane < len(old) else {}, new[plane] if plane < len(new) else {})
        self._written[port] = [dict(entries) for entries in new]

    def _put(self, port: int, plane: int, old: dict[Message, Entry], new: dict[Message, Entry]) -> None:
        for message in old.keys() - new.keys():
            self._bindings.bind(port, *message, BindingKind.HAND_OVER, plane=plane)
        for message, entry in new.items():
            if old.get(message) != entry:
                self._bindings.bind(port, *message, entry.kind, code=entry.code, index=entry.index, minimum=entry.minimum,
                                    maximum=entry.maximum, flags=entry.flags | self._telling, plane=plane)

    def tell_all(self, on: bool) -> None:
        """Whether control hears of every message, also of those that the engine obeys by itself."""
        self._telling = int(BindingFlag.TELL) if on else 0
        for port, planes in enumerate(self._written):
            for plane, entries in enumerate(planes or ()):
                for (status, number), entry in entries.items():
                    self._flags[port, plane, status - 0x80, number] = entry.flags | self._telling

    def last(self, port: int, status: int, number: int) -> int:
        """What a controller has sent last; -1: nothing yet."""
        return int(self._last[port, status & 15, number]) - 1

    def put_plane(self, port: int, plane: int) -> None:
        """The engine goes to another plane: a layer was changed by another surface. Raises :class:`Unavailable`."""
        self._box.commands.send(Code.SET_PLANE, port, float(plane))

    def is_down(self, port: int, message: Message) -> bool:
        """Whether a key is held, or a controller's button."""
        status, number = message
        channel = status & 15
        if status & 0xF0 == 0xB0:
            return int(self._last[port, channel, number]) > 1
        return bool(self._pressed[port, channel, number] & HELD)

    def let_go(self, port: int, only: int | None = None) -> list[tuple[int, int, int, int]]:
        """The keys that are down (of one channel, 0 … 15), as ``(plane of the press, its bank, status of the note off,
        number)``; they then count as up."""
        held = self._pressed[port]
        found = [(*press_of(int(held[channel, number])), 0x80 + channel, number)
                 for channel, number in np.argwhere(held & HELD).tolist() if only in (None, channel)]
        held[slice(None) if only is None else only] = 0
        written = self._written[port] or [{}]
        return [key for key in found if key[0] < len(written)]

    def forget(self, port: int, plane: int = 0) -> None:
        """Another device plays here, or the same has come back: where its faders stand is not known; the layers that are on are
        those of ``plane``."""
        self._last[port] = 0
        with contextlib.suppress(Unavailable):  # no engine takes commands: the next begins with no layer
            self._box.commands.send(Code.SET_PLANE, port, float(plane))

    def _clear(self, port: int, keep: Planes) -> None:
        """What an earlier process left: hand over all that will not be bound."""
        for plane in range(layout.PLANES):
            left = self._kinds[port, plane] != BindingKind.HAND_OVER
            for status, data1 in keep[plane] if plane < len(keep) else ():
                left[status - 0x80, data1] = False
            self._kinds[port, plane][left] = BindingKind.HAND_OVER
