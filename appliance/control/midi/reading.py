# SPDX-License-Identifier: GPL-3.0-or-later
"""The binding table read in Python: what the engine does at a message's frame, for devices that JACK does not own.

The same rules as the engine's own reading; a test holds the two against each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from appliance.bus.binding import BindingFlag, BindingKind
from appliance.bus.takeover import NOTHING, UNKNOWN, picked_up, scaled
from appliance.control.desk import Desk
from appliance.control.mapping.planes import Entry
from appliance.errors import ApplianceError
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import PADS

PAD_STRIDE = NAMESPACE.find("/bank/1/pad/2/gain").slot - NAMESPACE.find("/bank/1/pad/1/gain").slot


@dataclass(frozen=True, slots=True)
class Effect:
    """A command (``code`` ≥ 0, ``index``, ``amount``) or a value (``code`` -1, slot ``index``, ``amount``)."""

    code: int
    index: int
    amount: float


def effect(entry: Entry | None, status: int, data2: int, *, bank: int, current: float = 0.0, last: int = -1) -> Effect | None:
    """What a message does at once. ``bank`` is the chosen one from 1, ``current`` the slot's value, ``last`` the controller's
    data before (-1: none yet)."""
    if entry is None or entry.kind in (BindingKind.HAND_OVER, BindingKind.IGNORE, BindingKind.LAYER):
        return None
    note_off = status >> 4 == 8
    pressed = data2 > 0 and not note_off
    if entry.flags & BindingFlag.PRESS_ONLY and not pressed:
        return None
    share = 0.0 if note_off else data2 / 127.0
    low, high = entry.minimum, entry.maximum
    if entry.kind is BindingKind.VALUE and entry.flags & (BindingFlag.PICKUP | BindingFlag.SCALE):
        take_over = picked_up if entry.flags & BindingFlag.PICKUP else scaled
        share = take_over(share, last / 127.0 if last >= 0 else UNKNOWN, share_of(entry, current))
        if share == NOTHING:
            return None
    value = low * (high / low) ** share if entry.flags & BindingFlag.LOG and low > 0 else low + share * (high - low)
    index = target(entry, bank)
    if entry.kind is BindingKind.COMMAND:
        return Effect(entry.code, index, low if entry.flags & BindingFlag.CONSTANT else value)
    if entry.kind is BindingKind.VALUE:
        return Effect(-1, index, value)
    if not pressed:
        return None
    return Effect(-1, index, low if current > (low + high) / 2 else high)


def obey(desk: Desk, entry: Entry | None, status: int, data2: int, last: int = -1, bank: int | None = None) -> None:
    """Do what the engine would have done; in the chosen bank, or (a release) in that of its press."""
    if entry is None:
        return
    box = desk.box
    vector = box.values.vector
    bank = box.values.bank if bank is None else bank
    current = float(vector[target(entry, bank)]) if entry.kind in (BindingKind.VALUE, BindingKind.TOGGLE) else 0.0
    result = effect(entry, status, data2, bank=bank, current=current, last=last)
    if result is None:
        return
    if result.code < 0:
        vector[result.index] = result.amount
        return
    try:
        box.commands.send(result.code, result.index, result.amount)
    except ApplianceError as error:
        desk.say(error.message)


def target(entry: Entry, bank: int) -> int:
    """The command's member or the value's slot, in the chosen bank."""
    if not entry.flags & BindingFlag.BANK:
        return entry.index
    return entry.index + (bank - 1) * PADS * (1 if entry.kind is BindingKind.COMMAND else PAD_STRIDE)


def share_of(entry: Entry, value: float) -> float:
    """Where a controller would stand that has this value."""
    low, high = entry.minimum, entry.maximum
    if low == high:
        return 0.0
    if entry.flags & BindingFlag.LOG and low > 0:
        return math.log2(max(value, 1e-12) / low) / math.log2(high / low)
    return (value - low) / (high - low)
