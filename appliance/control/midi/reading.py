# SPDX-License-Identifier: GPL-3.0-or-later
"""The binding table read in Python: what the engine does at a message's frame, for devices that JACK does not own.

The same rules as the engine's own reading; a test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.bus.binding import BindingFlag, BindingKind
from appliance.control.mapping.compile import Entry
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import PADS

PAD_STRIDE = NAMESPACE.find("/bank/1/pad/2/gain").slot - NAMESPACE.find("/bank/1/pad/1/gain").slot


@dataclass(frozen=True, slots=True)
class Effect:
    """A command (``code`` ≥ 0, ``index``, ``amount``) or a value (``code`` -1, slot ``index``, ``amount``)."""

    code: int
    index: int
    amount: float


def hands_over(entry: Entry | None) -> bool:
    """Whether control hears of the message as well."""
    return entry is None or entry.kind is BindingKind.HAND_OVER or bool(entry.flags & BindingFlag.TELL)


def effect(entry: Entry | None, status: int, data2: int, *, bank: int, current: float = 0.0) -> Effect | None:
    """What a message does at once. ``bank`` is the chosen one from 1, ``current`` the slot's value (for a toggle)."""
    if entry is None or entry.kind in (BindingKind.HAND_OVER, BindingKind.IGNORE):
        return None
    note_off = status >> 4 == 8
    pressed = data2 > 0 and not note_off
    if entry.flags & BindingFlag.PRESS_ONLY and not pressed:
        return None
    share = 0.0 if note_off else data2 / 127.0
    low, high = entry.minimum, entry.maximum
    value = low * (high / low) ** share if entry.flags & BindingFlag.LOG and low > 0 else low + share * (high - low)
    index = target(entry, bank)
    if entry.kind is BindingKind.COMMAND:
        return Effect(entry.code, index, low if entry.flags & BindingFlag.CONSTANT else value)
    if entry.kind is BindingKind.VALUE:
        return Effect(-1, index, value)
    if not pressed:
        return None
    return Effect(-1, index, low if current > (low + high) / 2 else high)


def target(entry: Entry, bank: int) -> int:
    """The command's member or the value's slot, in the chosen bank."""
    if not entry.flags & BindingFlag.BANK:
        return entry.index
    return entry.index + (bank - 1) * PADS * (1 if entry.kind is BindingKind.COMMAND else PAD_STRIDE)
