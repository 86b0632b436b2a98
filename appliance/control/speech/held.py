# SPDX-License-Identifier: GPL-3.0-or-later
"""What a finger rests on: buttons of devices that have been down for 0.6 s, and the addresses that they stand for.

Of what the engine does at once: it notes which keys are down, and its table of bindings says what each does; so nothing that
plays is touched. Of what control does the hand of a device tells (control/midi/hand.py).
"""

from __future__ import annotations

import time

import numpy as np

from appliance.bus.binding import HELD, BindingFlag, BindingKind, press_of
from appliance.control.desk import Desk
from appliance.control.midi.hand import REST_S
from appliance.control.midi.reading import PAD_STRIDE
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import PADS


class Held:
    """Call :meth:`look` about ten times a second."""

    def __init__(self, desk: Desk) -> None:
        self._box = desk.box
        self._pressed = desk.box.record["midi_pressed"][0]
        self._table = desk.box.record["binding"][0]
        self._since: dict[tuple[int, int, int], float] = {}
        self._names = {number: name.split(".", 1) for name, number in NAMESPACE.commands.items()}
        self._addresses = {(a.group.record, a.node.field, a.index): a.address for a in NAMESPACE}

    def look(self) -> list[str]:
        """Addresses of the buttons that have been down for so long just now."""
        now = time.monotonic()
        down = {(int(port), int(channel), int(note)) for port, channel, note in np.argwhere(self._pressed & HELD)}
        self._since = {key: self._since.get(key, now) for key in down}
        found: list[str] = []
        for key, since in self._since.items():
            if 0.0 <= since <= now - REST_S:
                self._since[key] = -1.0  # told
                if address := self._address(*key):
                    found.append(address)
        return found

    def _address(self, port: int, channel: int, note: int) -> str:
        plane, bank = press_of(int(self._pressed[port, channel, note]))
        entry = self._table[port, plane, 0x90 + channel - 0x80, note]
        index, bank = int(entry["index"]), (bank or self._box.values.bank) - 1
        if not int(entry["flags"]) & BindingFlag.BANK:
            bank = 0
        if entry["kind"] == BindingKind.COMMAND:
            record, field = self._names.get(int(entry["code"]), ("", ""))
            return self._addresses.get((record, field, index + bank * PADS), "")
        if entry["kind"] in (BindingKind.VALUE, BindingKind.TOGGLE):
            found = NAMESPACE.by_slot.get(index + bank * PADS * PAD_STRIDE)
            return found.address if found else ""
        return ""
