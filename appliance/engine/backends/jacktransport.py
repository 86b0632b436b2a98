# SPDX-License-Identifier: GPL-3.0-or-later
"""JACK's transport from within the callbacks: where it is, what it is to do, and the box as its timebase master.

``jack_position_t`` is laid out by hand from JACK's ``types.h``; what stands behind ``video_offset`` is placed differently from
platform to platform and is not touched.
"""

from __future__ import annotations

import math
from typing import Any

import llvmlite.binding as llvm
import numpy as np

llvm.load_library_permanently("libjack.so.0")

from numba import carray, cfunc, types  # noqa: E402

from appliance.bus import layout  # noqa: E402
from appliance.bus.atomic import pointer  # noqa: E402
from appliance.engine.clockjack import position_told  # noqa: E402
from appliance.engine.context import CONTEXT  # noqa: E402
from appliance.engine.jit import kernel  # noqa: E402
from appliance.engine.standby import still_plays  # noqa: E402
from appliance.nodes.clock import METRE_TYPES  # noqa: E402

u4, i4, f4, f8 = np.uint32, np.int32, np.float32, np.float64

JACK_POSITION: np.dtype[Any] = np.dtype({
    "names": ["usecs", "frame_rate", "frame", "valid", "bar", "beat", "tick", "bar_start_tick", "beats_per_bar", "beat_type",
              "ticks_per_beat", "beats_per_minute", "bbt_offset"],
    "formats": [np.uint64, u4, u4, i4, i4, i4, i4, f8, f4, f4, f8, f8, u4],
    "offsets": [8, 16, 20, 24, 28, 32, 36, 40, 48, 52, 56, 64, 88],
    "itemsize": 136,
})
BBT, BBT_OFFSET = 0x10, 0x40
_ROLLING = 1
_TYPES = np.array(METRE_TYPES)
TICKS = 1920.0
"""Ticks in a beat, as we tell it."""

_query = types.ExternalFunction("jack_transport_query", types.int32(types.intp, types.intp))
_start = types.ExternalFunction("jack_transport_start", types.void(types.intp))
_stop = types.ExternalFunction("jack_transport_stop", types.void(types.intp))
_locate = types.ExternalFunction("jack_transport_locate", types.int32(types.intp, types.uint32))

_fields = CONTEXT.fields or {}
_POSITION = _fields["jack_position"][1]
assert _fields["jack_position"][0].itemsize >= JACK_POSITION.itemsize


@kernel
def read_transport(ctx: Any, context: int) -> None:
    """At a cycle's beginning: where the transport is at its first frame."""
    song = ctx.transport
    rolling = _query(ctx.client, context + _POSITION) == _ROLLING
    position = carray(pointer(context + _POSITION), (1,), JACK_POSITION)[0]
    song.known = 1
    song.rolling = 1 if rolling else 0
    song.frame = np.int64(position.frame)
    song.bbt = 0
    ticks, kind, length = position.ticks_per_beat, float(position.beat_type), float(position.beats_per_bar)
    if np.int64(position.valid) & BBT and ticks > 0.0 and kind > 0.0 and length > 0.0 and position.beats_per_minute > 0.0:
        quarter = 4.0 / kind
        beats = (position.bar - 1) * length + position.beat - 1 + position.tick / ticks
        song.bbt = 1
        song.bpm = position.beats_per_minute * quarter
        song.beat = beats * quarter
        song.grain_beats = quarter / ticks
        if np.int64(position.valid) & BBT_OFFSET:
            song.beat += position.bbt_offset * song.bpm / (60.0 * ctx.rate)
            song.grain_beats = 0.0


@kernel
def use_transport(ctx: Any) -> None:
    """After a block: what it wishes. All of these only leave a word for the server."""
    song = ctx.transport
    if song.locate >= 0:
        _locate(ctx.client, np.uint32(song.locate & 0xFFFFFFFF))
        song.locate = -1
    if song.wish > 0:
        _start(ctx.client)
    elif song.wish < 0:
        _stop(ctx.client)


@kernel
def _tell_position(ctx: Any, address: int) -> None:
    position = carray(pointer(address), (1,), JACK_POSITION)[0]
    if ctx.state == 0 or not still_plays(ctx):
        position.valid = i4(0)
        return
    state = carray(pointer(ctx.state), (1,), layout.STATE)[0]
    clock = state.clock
    beat, bar_beat = position_told(ctx, state)
    bar = clock.bar_number + int(math.floor((bar_beat - clock.bar_beat) / clock.bar_length + 0.5))
    kind = _TYPES[min(max(clock.metre, 0), len(METRE_TYPES) - 1)]
    quarter = 4.0 / kind
    into = max(beat - bar_beat, 0.0) / quarter
    number = math.floor(into + 1e-9)
    ticks = max((into - number) * TICKS, 0.0)
    tick = math.floor(ticks + 1e-6)
    position.valid = i4(BBT | BBT_OFFSET)
    position.bar = i4(bar + 1)
    position.beat = i4(number + 1.0)
    position.tick = i4(tick)
    position.bar_start_tick = bar_beat / quarter * TICKS
    position.beats_per_bar = f4(clock.bar_length / quarter)
    position.beat_type = f4(kind)
    position.ticks_per_beat = TICKS
    position.beats_per_minute = clock.bpm / quarter
    position.bbt_offset = u4(max(int((ticks - tick) / TICKS * quarter * 60.0 * ctx.rate / clock.bpm + 0.5), 0))


@cfunc(types.void(types.int32, types.uint32, types.intp, types.int32, types.intp), nopython=True, cache=True,
       error_model="numpy")
def timebase(state, frames, position, new, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """JackTimebaseCallback, after the process callback and in its thread: bars, beats and ticks of the next cycle."""
    _tell_position(carray(pointer(context), (1,), CONTEXT)[0], position)
