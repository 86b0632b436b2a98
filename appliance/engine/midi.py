# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI inside the callback: plain bindings are obeyed at the message's own frame, everything else goes to control."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer
from appliance.bus.binding import BindingFlag, BindingKind
from appliance.bus.commands import Source
from appliance.bus.events import Kind
from appliance.bus.layout import BINDING, MIDI_PORTS
from appliance.engine.clockin import is_clock, take_clock
from appliance.engine.execute import execute
from appliance.engine.jit import kernel
from appliance.engine.journal import log, set_value, value_vector
from appliance.engine.pads import bank_cell
from appliance.nodes import NAMESPACE

_TABLE = layout.offset("binding")
_HAND_OVER, _COMMAND, _VALUE, _TOGGLE, _IGNORE = (int(kind) for kind in BindingKind)
_PRESS_ONLY, _BANK, _LOG, _TELL, _CONSTANT = (int(flag) for flag in BindingFlag)
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
def _message(ctx: Any, state: Any, port: int, status: int, data1: int, data2: int) -> None:
    if is_clock(status):
        take_clock(ctx, state, port, status, data1, data2)
        return
    if not (0x80 <= status <= 0xEF and 0 <= port < MIDI_PORTS):
        log(ctx, state, _MIDI, 0, port, state.frame, float(status), float(data1), float(data2), _BY_MIDI, 0)
        return
    entry = carray(pointer(ctx.base + _TABLE), (MIDI_PORTS, 112, 128), BINDING)[port, status - 128, data1 & 127]
    kind, flags = np.int64(entry.kind), np.int64(entry.flags)
    pressed = data2 > 0 and status >> 4 != 8
    if kind == _HAND_OVER or flags & _TELL:
        log(ctx, state, _MIDI, 0, port, state.frame, float(status), float(data1), float(data2), _BY_MIDI, 0)
    if kind == _HAND_OVER or kind == _IGNORE or (flags & _PRESS_ONLY and not pressed):
        return
    share = data2 / 127.0 if status >> 4 != 8 else 0.0
    low, high = np.float64(entry.minimum), np.float64(entry.maximum)
    value = low * (high / low) ** share if flags & _LOG and low > 0.0 else low + share * (high - low)
    index, code = np.int64(entry.index), np.int64(entry.code)
    if kind == _COMMAND:
        if flags & _BANK:
            index = bank_cell(state.values, index)
        amount = low if flags & _CONSTANT else value
        refusal = execute(ctx, state, code, index, amount, 0.0, _BY_MIDI)
        a = amount if refusal == 0 else float(refusal)
        log(ctx, state, _DONE if refusal == 0 else _REFUSED, code, index, state.frame, a, 0.0, 0.0, _BY_MIDI, 0)
        return
    if flags & _BANK:
        index += (bank_cell(state.values, 0)) * _PAD_STRIDE
    if kind == _TOGGLE and pressed:
        middle = (low + high) / 2.0
        set_value(ctx, state, index, low if value_vector(ctx)[index] > middle else high, state.frame, _BY_MIDI)
    elif kind == _VALUE:
        set_value(ctx, state, index, value, state.frame, _BY_MIDI)
