# SPDX-License-Identifier: GPL-3.0-or-later
"""How the master clock is brought onto another one: a little faster or slower until they agree, at once where they are far
apart; and how it goes on when the other one is gone."""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.commands import Source
from appliance.engine import transport
from appliance.engine.jit import kernel
from appliance.engine.journal import set_value
from appliance.nodes import NAMESPACE

LOWEST_BPM, HIGHEST_BPM = (getattr(NAMESPACE.find("/clock/bpm").node, name) for name in ("minimum", "maximum"))
"""Another clock's tempo is taken within these; a clock outside them is not followed."""
_BPM_SLOT, _PLAY_SLOT = NAMESPACE.find("/clock/bpm").slot, NAMESPACE.find("/clock/play").slot
_BY_CLOCK = int(Source.CLOCK)
_PULL_BEATS = 1.0
"""Time in which two thirds of a phase error go."""
_JUMP_BEATS = 0.25
_TOLD_BPM = 0.02


@kernel
def steer(ctx: Any, state: Any, bpm: float, apart: float, at_once: bool) -> None:
    """The other clock has tempo ``bpm`` and is ``apart`` beats ahead of ours at this frame. ``at_once``: jump there."""
    clock = state.clock
    transport.anchor(clock, state.frame, ctx.rate)
    clock.ramping = 0
    clock.in_bpm = bpm
    if clock.running == 0:
        clock.bpm = bpm
    elif at_once or abs(apart) > _JUMP_BEATS:
        clock.anchor_beat += apart
        clock.bpm = bpm
    else:
        clock.bpm = min(max(bpm * (1.0 + apart / _PULL_BEATS), 0.8 * bpm), 1.25 * bpm)
    tell_tempo(ctx, state, bpm)


@kernel
def tell_tempo(ctx: Any, state: Any, bpm: float) -> None:
    """The value shows the other clock's tempo; nobody has to take that for a person's wish."""
    if abs(bpm - state.clock.told_bpm) > _TOLD_BPM:
        shown = math.floor(bpm * 100.0 + 0.5) / 100.0
        set_value(ctx, state, _BPM_SLOT, shown, state.frame, _BY_CLOCK)
        state.clock.told_bpm = shown


@kernel
def set_running(ctx: Any, state: Any, running: int) -> None:
    """The other clock has started or stopped."""
    if state.clock.running != running:
        transport.anchor(state.clock, state.frame, ctx.rate)
        state.clock.running = running
        set_value(ctx, state, _PLAY_SLOT, float(running), state.frame, _BY_CLOCK)


@kernel
def change_source(ctx: Any, state: Any, source: int) -> None:
    """Another one is to be followed from here on, if it is another one."""
    if source != state.clock.source:
        hold(ctx, state)
        state.clock.source = source


@kernel
def hold(ctx: Any, state: Any) -> None:
    """The other clock is gone: its tempo stays, without what was added to catch up with it."""
    clock = state.clock
    if clock.followed == 1:
        clock.followed = 0
        transport.anchor(clock, state.frame, ctx.rate)
        if clock.in_bpm > 0.0 and clock.ramping == 0:
            clock.bpm = clock.in_bpm
