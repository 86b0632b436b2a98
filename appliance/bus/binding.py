# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine does at once, at the message's own frame, with a MIDI message of a port: the compiled plain bindings.

``BOX["binding"][port, plane, status - 128, data1]``: channel messages 0x80…0xEF by status byte and first data byte. What this
table cannot say has kind HAND_OVER and goes to control as an event.

The state's ``midi_plane[port]`` is the plane that counts; a LAYER entry changes it at the message's own frame. A note off is
read in the plane and the bank of its note on: ``BOX["midi_pressed"][port, channel, note]`` is the plane, plus the bank from 1
in the bits from BANK_SHIFT on (0: never pressed), plus HELD while it is down. What one engine writes there after another had
died over it is the same. ``BOX["midi_last"][port, channel, number]`` is what a controller sent last, plus 1 (0: nothing yet),
for soft take-over.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

from appliance.bus import layout

HELD = 0x80
"""Of ``midi_pressed``: the key is down."""
BANK_SHIFT = 3
PLANE_MASK = (1 << BANK_SHIFT) - 1


def press_of(word: int) -> tuple[int, int]:
    """Plane and bank (from 1; 0: not known) of a key's last press, from its ``midi_pressed``."""
    return word & PLANE_MASK, (word & ~HELD) >> BANK_SHIFT


class BindingKind(IntEnum):
    HAND_OVER = 0  # to control, as an event
    COMMAND = 1  # code, index; a = data2 as minimum … maximum (velocity 0…1 for a trigger)
    VALUE = 2  # index: slot; the value becomes minimum … maximum by data2
    TOGGLE = 3  # index: slot; a press swaps minimum and maximum
    IGNORE = 4  # nothing, and control does not hear of it
    LAYER = 5  # code: a LayerStep; index: stride of the layer in the plane's number; minimum: its values; maximum: the button's


class BindingFlag(IntFlag):
    PRESS_ONLY = 1  # data2 of 0 (and note off) does nothing
    BANK = 2  # index counts within the chosen bank: pad commands 0…15; for VALUE the slot of bank 1's pad
    LOG = 4  # minimum … maximum is walked logarithmically
    TELL = 8  # control hears of the message as well
    CONSTANT = 16  # COMMAND: a is minimum whatever data2 says (toggle: -1)
    PICKUP = 32  # VALUE: nothing until the controller has met the value
    SCALE = 64  # VALUE: the rest of the controller's travel is the rest of the value's range


class LayerStep(IntEnum):
    """How a button changes the digit of its layer in the plane's number."""

    HOLD = 0  # 1 while it is held
    TOGGLE = 1  # to the next one, and from the last to 0
    CYCLE = 2  # the same
    CHOOSE = 3  # to the button's number (maximum)


class Bindings:
    """The writing end: control compiles a profile's plain bindings into the table of a port."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table

    def clear(self, port: int) -> None:
        self._table["kind"][port] = BindingKind.HAND_OVER

    def bind(
        self, port: int, status: int, data1: int, kind: BindingKind, *, code: int = 0, index: int = 0, minimum: float = 0.0,
        maximum: float = 1.0, flags: int = 0, plane: int = 0,
    ) -> None:
        """Set one entry. The kind is written last, so the engine never reads half of it as a binding.

        Raises ValueError for a status outside 0x80…0xEF, a data byte over 127, a port or a plane that is not there.
        """
        if not (0x80 <= status <= 0xEF and 0 <= data1 <= 127 and 0 <= port < layout.MIDI_PORTS and 0 <= plane < layout.PLANES):
            raise ValueError(f"no MIDI channel message: port {port}, plane {plane}, status {status:#x}, data {data1}")
        row = self._table[port, plane, status - 128]
        row["kind"][data1] = BindingKind.HAND_OVER
        for name, value in (("flags", flags), ("code", code), ("index", index), ("minimum", minimum), ("maximum", maximum)):
            row[name][data1] = value
        row["kind"][data1] = kind
