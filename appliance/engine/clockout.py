# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI clock out: 24 ticks a beat, start, stop, continue and song position, each at its own frame of the block.

The number of the last tick stands in the committed state, so an engine that takes over sends the next one. The server keeps a
client that was connected to a dead engine waiting for some hundredths of a second, and its ticks with it: so the new engine
tells it a moment later, at a sixteenth, where the song is. What is sent lies as far behind the beat as the sound does (the
limiter's look-ahead), moved by ``/clock/out/offset``.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.layout import CLOCK_MESSAGES
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES
from appliance.engine.jit import kernel
from appliance.engine.transport import beat_at, frame_of

TICKS, TICKS_A_PLACE = 24, 6
"""A beat's; a sixteenth's, which song positions count."""
_TICK, _START, _CONTINUE, _STOP, _POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
_FARTHEST = 48
"""More ticks than this between two blocks are a jump, not a tempo."""


@kernel
def plan_clock(ctx: Any, state: Any, frames: int) -> None:
    """After a block of ``frames``: gather in ``ctx.clock_out`` what is to be sent with it, after what a block had to send that
    nobody heard (``ctx.clock_out_late``): who counts ticks must get each of them, a little late if need be."""
    late = ctx.clock_out_count if ctx.clock_out_late == 1 else 0
    for i in range(late):
        ctx.clock_out[i, 0] = 0
    ctx.clock_out_count = late
    ctx.clock_out_late = 0
    clock, values = state.clock, state.values.clock
    if values.out_midi < 0.5:
        clock.ticking = 0
        return
    behind = LOOK_AHEAD_FRAMES + int(values.out_offset * 0.001 * ctx.rate)
    begin, end = state.frame - frames - behind, state.frame - behind
    if clock.running == 0:
        if clock.ticking == 1:
            _send(ctx, 0, 1, _STOP, 0)
            clock.ticking = 0
        return
    last = int(math.floor(beat_at(clock, end - 1, ctx.rate) * TICKS + 1e-6))  # by the block's last frame
    if clock.ticking == 0 or abs(last - clock.tick) > _FARTHEST:
        _begin(ctx, clock, begin)
    if ctx.clock_out_again > 1:
        ctx.clock_out_again = max(ctx.clock_out_again - frames, 1)
    while clock.tick < last:
        clock.tick += 1
        at = min(max(frame_of(clock, clock.tick / TICKS, ctx.rate) - begin, 0), frames - 1)
        if ctx.clock_out_again == 1 and clock.tick % TICKS_A_PLACE == 0:
            ctx.clock_out_again = 0
            _send(ctx, at, 1, _STOP, 0)
            _place(ctx, at, clock.tick // TICKS_A_PLACE)
        _send(ctx, at, 1, _TICK, 0)


@kernel
def _begin(ctx: Any, clock: Any, begin: int) -> None:
    """Tell the others where the song is, and that it runs. A song position counts sixteenths, 6 ticks each, up to 16383."""
    beat = beat_at(clock, begin, ctx.rate)
    clock.tick = int(math.ceil(beat * TICKS - 1e-6)) - 1
    _place(ctx, 0, max(int(math.floor(beat * 4.0 + 1e-6)), 0))
    clock.ticking = 1
    ctx.clock_out_again = 0


@kernel
def _place(ctx: Any, offset: int, sixteenth: int) -> None:
    if sixteenth == 0:
        _send(ctx, offset, 1, _START, 0)
    else:
        place = sixteenth % 16384
        _send(ctx, offset, 3, _POSITION, (place & 127) | (place >> 7) << 8)
        _send(ctx, offset, 1, _CONTINUE, 0)


@kernel
def _send(ctx: Any, offset: int, size: int, status: int, data: int) -> None:
    if ctx.clock_out_count < CLOCK_MESSAGES:
        row = ctx.clock_out[ctx.clock_out_count]
        row[0], row[1], row[2] = offset, size, status | data << 8
        ctx.clock_out_count += 1
