# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine tells: events with their frame, and changes of values that it makes itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer, store_relaxed
from appliance.bus.events import Kind
from appliance.bus.layout import EVENT, EVENTS
from appliance.engine.jit import kernel
from appliance.nodes import ENGINE_VALUES

_RING = layout.offset("events")
_VALUES = layout.offset("values")
_STATE_VALUES = (layout.STATE.fields or {})["values"][1]
VALUE_COUNT = ENGINE_VALUES.itemsize // 8
_VALUE = int(Kind.VALUE)
_MADE_HERE = 1.0
"""In ``b`` of an event: the engine has set the value, others had not."""
_STRETCH = 256
"""Values compared at once; only where one differs does it matter which."""


@kernel
def log(
    ctx: Any, state: Any, kind: int, code: int, index: int, frame: int, a: float, b: float, c: float, source: int, number: int
) -> None:
    """Write an event; control sees it when the block is committed."""
    ring = carray(pointer(ctx.base + _RING), (EVENTS,), EVENT)
    event = ring[state.event_head & (EVENTS - 1)]
    event.kind = kind | (code << 8)
    event.index = index
    event.frame = frame
    event.a = a
    event.b = b
    event.c = c
    event.source = source
    event.id = number
    state.event_head += 1


@kernel
def value_vector(ctx: Any) -> np.ndarray:
    """The engine's own values as a flat vector by slot."""
    return carray(pointer(ctx.state + _STATE_VALUES), (VALUE_COUNT,), np.float64)


@kernel
def shared_vector(ctx: Any) -> np.ndarray:
    """The values in shared memory that everybody reads and control writes."""
    return carray(pointer(ctx.base + _VALUES), (VALUE_COUNT,), np.float64)


@kernel
def set_value(ctx: Any, state: Any, slot: int, value: float, frame: int, source: int) -> None:
    """Change a value from within the engine: for itself at once, in the log, and for everybody when the block is committed."""
    if slot < 0 or slot >= VALUE_COUNT or not np.isfinite(value):
        return
    value_vector(ctx)[slot] = value
    log(ctx, state, _VALUE, 0, slot, frame, value, _MADE_HERE, 0.0, source, 0)


@kernel
def publish_values(ctx: Any, first: int, end: int) -> None:
    """Put the values that the engine has set in the events ``first`` … ``end`` where everybody reads them.

    After the commit, and again by whoever goes on when an engine died in between. Were it done before, a block that is rendered
    again would find its own doing, and a toggle would turn back.
    """
    ring = carray(pointer(ctx.base + _RING), (EVENTS,), EVENT)
    for number in range(max(first, end - EVENTS), end):
        event = ring[number & (EVENTS - 1)]
        if event.kind == _VALUE and event.b == _MADE_HERE:
            store_relaxed(ctx.base + _VALUES + 8 * event.index, np.float64(event.a).view(np.int64))


@kernel
def notice_values(ctx: Any, state: Any) -> None:
    """At a block's start: take over what others have changed in shared memory, and log it with this frame."""
    mine = carray(pointer(ctx.state + _STATE_VALUES), (VALUE_COUNT,), np.int64)
    shared = carray(pointer(ctx.base + _VALUES), (VALUE_COUNT,), np.int64)
    for first in range(0, VALUE_COUNT, _STRETCH):
        count = min(_STRETCH, VALUE_COUNT - first)
        a, b = mine[first : first + count], shared[first : first + count]
        different = 0
        for i in range(count):
            different |= a[i] ^ b[i]
        if different != 0:
            _notice(ctx, state, first, count)


@kernel
def _notice(ctx: Any, state: Any, first: int, count: int) -> None:
    mine, shared = value_vector(ctx), shared_vector(ctx)
    for slot in range(first, first + count):
        value = shared[slot]
        if value != mine[slot]:
            if np.isfinite(value):
                mine[slot] = value
                log(ctx, state, _VALUE, 0, slot, state.frame, value, 0.0, 0.0, 0, 0)
            else:
                shared[slot] = mine[slot]
