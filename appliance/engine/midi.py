# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI inside the callback: plain bindings are obeyed at the message's own frame, everything else goes to control."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer
from appliance.bus.binding import BANK_SHIFT, HELD, PLANE_MASK, BindingFlag, BindingKind, LayerStep
from appliance.bus.commands import Source
from appliance.bus.events import Kind
from appliance.bus.layout import BINDING, MIDI_PORTS, PLANES
from appliance.bus.takeover import NOTHING, UNKNOWN, picked_up, scaled
from appliance.engine.clockin import is_clock, take_clock
from appliance.engine.execute import execute
from appliance.engine.jit import kernel
from appliance.engine.journal import log, set_value, value_vector
from appliance.engine.pads import bank_cell
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import PADS

_TABLE, _PRESSED, _LAST = (layout.offset(name) for name in ("binding", "midi_pressed", "midi_last"))
_HAND_OVER, _COMMAND, _VALUE, _TOGGLE, _IGNORE, _LAYER = (int(kind) for kind in BindingKind)
_PRESS_ONLY, _BANK, _LOG, _TELL, _CONSTANT, _PICKUP, _SCALE = (int(flag) for flag in BindingFlag)
_HOLD, _CHOOSE = int(LayerStep.HOLD), int(LayerStep.CHOOSE)
_MIDI, _DONE, _REFUSED = int(Kind.MIDI), int(Kind.COMMAND), int(Kind.REFUSED)
_BY_MIDI = int(Source.MIDI)
_PAD_STRIDE = NAMESPACE.find("/bank/1/pad/2/gain").slot - NAMESPACE.find("/bank/1/pad/1/gain").slot


@kernel
def obey_midi(ctx: Any, state: Any, at: int, heard: int) -> int:
    """Obey the messages up to offset ``at``; returns how many have been heard."""
    while heard < ctx.midi_count and ctx.midi[heard].offset <= at:
        message = ctx.midi[heard]
        _message(
            ctx, state, np.int64(message.port), np.int64(message.status), np.int64(message.data1), np.int64(message.data2))
        heard += 1
    return heard


@kernel
def _place_of(ctx: Any, state: Any, port: int, status: int, number: int, pressed: bool) -> tuple[int, int]:
    """The plane of the table and the bank (from 1) that count; for a note off those of its note on, which are remembered."""
    plane, bank = state.midi_plane[port], bank_cell(state.values, 0) // PADS + 1
    if not 0 <= plane < PLANES:
        plane = 0
    if status >> 5 == 4:
        held = carray(pointer(ctx.base + _PRESSED), (MIDI_PORTS, 16, 128), np.uint8)
        channel = status & 15
        if pressed:
            held[port, channel, number] = plane | (bank << BANK_SHIFT) | HELD
        else:
            before = np.int64(held[port, channel, number]) & ~HELD
            held[port, channel, number] = before
            if before >> BANK_SHIFT:
                return before & PLANE_MASK, before >> BANK_SHIFT
    return plane, bank


@kernel
def _last_of(ctx: Any, port: int, status: int, number: int, data2: int) -> float:
    """Where a controller stood before this message, 0…1; UNKNOWN at its first."""
    if status >> 4 != 11:
        return UNKNOWN
    known = carray(pointer(ctx.base + _LAST), (MIDI_PORTS, 16, 128), np.uint8)
    before = np.int64(known[port, status & 15, number])
    known[port, status & 15, number] = (data2 & 127) + 1
    return (before - 1) / 127.0 if before > 0 else UNKNOWN


@kernel
def _share_of(value: float, low: float, high: float, log: bool) -> float:
    """Where a controller would stand that has this value; beyond 0…1 when it is out of the binding's range."""
    if low == high:
        return 0.0
    if log and low > 0.0:
        return math.log2(max(value, 1e-12) / low) / math.log2(high / low)
    return (value - low) / (high - low)


@kernel
def _change_layer(state: Any, port: int, step: int, stride: int, values: int, number: int, pressed: bool) -> None:
    """The digit of a layer in the plane's number becomes another."""
    plane = state.midi_plane[port]
    if values < 2 or stride < 1 or not (pressed or step == _HOLD):
        return
    digit = plane // stride % values
    if step == _HOLD:
        new = 1 if pressed else 0
    elif step == _CHOOSE:
        new = number % values
    else:
        new = (digit + 1) % values
    state.midi_plane[port] = min(max(plane + (new - digit) * stride, 0), PLANES - 1)


@kernel
def _message(ctx: Any, state: Any, port: int, status: int, data1: int, data2: int) -> None:
    if is_clock(status):
        take_clock(ctx, state, port, status, data1, data2)
        return
    if not (0x80 <= status <= 0xEF and 0 <= port < MIDI_PORTS):
        log(ctx, state, _MIDI, 0, port, state.frame, float(status), float(data1), float(data2), _BY_MIDI, 0)
        return
    pressed = data2 > 0 and status >> 4 != 8
    plane, bank = _place_of(ctx, state, port, status, data1 & 127, pressed)
    entry = carray(pointer(ctx.base + _TABLE), (MIDI_PORTS, PLANES, 112, 128), BINDING)[port, plane, status - 128, data1 & 127]
    kind, flags = np.int64(entry.kind), np.int64(entry.flags)
    last = _last_of(ctx, port, status, data1 & 127, data2)
    if kind == _HAND_OVER or flags & _TELL:
        log(ctx, state, _MIDI, 0, port, state.frame, float(status), float(data1), float(data2), _BY_MIDI, 0)
    if kind == _LAYER:
        values, number = np.int64(entry.minimum), np.int64(entry.maximum)
        _change_layer(state, port, np.int64(entry.code), np.int64(entry.index), values, number, pressed)
        return
    if kind == _HAND_OVER or kind == _IGNORE or (flags & _PRESS_ONLY and not pressed):
        return
    share = data2 / 127.0 if status >> 4 != 8 else 0.0
    low, high = np.float64(entry.minimum), np.float64(entry.maximum)
    index, code = np.int64(entry.index), np.int64(entry.code)
    if flags & (_PICKUP | _SCALE) and kind == _VALUE:
        slot = index + (bank - 1) * PADS * _PAD_STRIDE if flags & _BANK else index
        current = _share_of(value_vector(ctx)[slot], low, high, flags & _LOG != 0)
        share = scaled(share, last, current) if flags & _SCALE else picked_up(share, last, current)
        if share == NOTHING:
            return
    value = low * (high / low) ** share if flags & _LOG and low > 0.0 else low + share * (high - low)
    if kind == _COMMAND:
        if flags & _BANK:
            index += (bank - 1) * PADS
        amount = low if flags & _CONSTANT else value
        refusal = execute(ctx, state, code, index, amount, 0.0, _BY_MIDI)
        a = amount if refusal == 0 else float(refusal)
        log(ctx, state, _DONE if refusal == 0 else _REFUSED, code, index, state.frame, a, 0.0, 0.0, _BY_MIDI, 0)
        return
    if flags & _BANK:
        index += (bank - 1) * PADS * _PAD_STRIDE
    if kind == _TOGGLE and pressed:
        middle = (low + high) / 2.0
        set_value(ctx, state, index, low if value_vector(ctx)[index] > middle else high, state.frame, _BY_MIDI)
    elif kind == _VALUE:
        set_value(ctx, state, index, value, state.frame, _BY_MIDI)
