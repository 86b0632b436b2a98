# SPDX-License-Identifier: GPL-3.0-or-later
"""Talkover: while something is heard on a channel that talks over, the other channels step back.

They are back on a line of the grid after it has fallen silent, so that the music comes in again where a bar or beat begins.
"""

from __future__ import annotations

from typing import Any

from appliance.bus.layout import CELL_FRAMES
from appliance.engine import transport
from appliance.engine.dsp.glide import decibels
from appliance.engine.jit import kernel
from appliance.nodes.mixer import CHANNELS

OVER_DB = -40.0
"""Of a channel's meter, which takes 0.3 s from a loud word down to it: what is short of that is a breath."""
_OVER = 10.0 ** (OVER_DB / 20.0)


@kernel
def step_back(ctx: Any, state: Any) -> float:
    """Once a cell: the gain of the channels that do not talk over."""
    mixer = state.mixer
    if _is_heard(state):
        mixer.talked_over = 1
    elif mixer.talked_over == 1 and _may_return(ctx, state):
        mixer.talked_over = 0
    return decibels(state.values.mixer.talkover_depth) if mixer.talked_over == 1 else 1.0


@kernel
def _is_heard(state: Any) -> bool:
    for number in range(CHANNELS):
        if state.values.channel[number].talkover >= 0.5 and state.channel[number].peak > _OVER:
            return True
    return False


@kernel
def _may_return(ctx: Any, state: Any) -> bool:
    """A line of the grid falls into the cell that begins, or there is no grid."""
    clock = state.clock
    if clock.running == 0:
        return True
    beat = transport.beat_at(clock, state.frame, ctx.rate)
    line = transport.next_line(clock, beat, int(state.values.mixer.talkover_back))
    return transport.frame_of(clock, line, ctx.rate) < state.frame + CELL_FRAMES
