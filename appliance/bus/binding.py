# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine does at once, at the message's own frame, with a MIDI message of a port: the compiled plain bindings.

``BOX["binding"][port, status - 128, data1]``: channel messages 0x80…0xEF by status byte and first data byte. What this
table cannot say has kind HAND_OVER and goes to control as an event.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

from appliance.bus import layout


class BindingKind(IntEnum):
    HAND_OVER = 0  # to control, as an event
    COMMAND = 1  # code, index; a = data2 as minimum … maximum (velocity 0…1 for a trigger)
    VALUE = 2  # index: slot; the value becomes minimum … maximum by data2
    TOGGLE = 3  # index: slot; a press swaps minimum and maximum
    IGNORE = 4  # nothing, and control does not hear of it


class BindingFlag(IntFlag):
    PRESS_ONLY = 1  # data2 of 0 (and note off) does nothing
    BANK = 2  # index counts within the chosen bank: pad commands 0…15; for VALUE the slot of bank 1's pad
    LOG = 4  # minimum … maximum is walked logarithmically
    TELL = 8  # control hears of the message as well
    CONSTANT = 16  # COMMAND: a is minimum whatever data2 says (toggle: -1)


class Bindings:
    """The writing end: control compiles a profile's plain bindings into the table of a port."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table

    def clear(self, port: int) -> None:
        self._table["kind"][port] = BindingKind.HAND_OVER

    def bind(
        self, port: int, status: int, data1: int, kind: BindingKind, *, code: int = 0, index: int = 0, minimum: float = 0.0,
        maximum: float = 1.0, flags: int = 0,
    ) -> None:
        """Set one entry. The kind is written last, so the engine never reads half of it as a binding.

        Raises ValueError for a status outside 0x80…0xEF, a data byte over 127 or a port that is not there.
        """
        if not (0x80 <= status <= 0xEF and 0 <= data1 <= 127 and 0 <= port < layout.MIDI_PORTS):
            raise ValueError(f"no MIDI channel message: port {port}, status {status:#x}, data {data1}")
        row = self._table[port, status - 128]
        row["kind"][data1] = BindingKind.HAND_OVER
        for name, value in (("flags", flags), ("code", code), ("index", index), ("minimum", minimum), ("maximum", maximum)):
            row[name][data1] = value
        row["kind"][data1] = kind
