# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled function that renders a block: events at their frame, controls once a cell, sound in between.

A block of any length is cut at every event and at every 64th frame of the absolute grid; so the same events give the same
samples, whatever the period is.
"""

from __future__ import annotations

from typing import Any

from appliance.bus.layout import CELL_FRAMES, PAD_CELLS
from appliance.engine import cell, obey, pads, transport
from appliance.engine.clockjack import follow_transport, lead_transport
from appliance.engine.clockout import plan_clock
from appliance.engine.jit import kernel
from appliance.engine.journal import notice_values
from appliance.engine.midi import obey_midi
from appliance.engine.transport import frames_apart
from appliance.nodes.clock import SOURCES

_JACK = SOURCES.index("jack")


@kernel
def render(ctx: Any, state: Any, frames: int) -> None:
    """Render ``frames`` (up to 8192) into ``ctx.out`` and move ``state`` on by them."""
    if state.cycles == 0:
        obey.begin(ctx, state)
    for word in range(PAD_CELLS // 64):
        state.changed[word] = state.awake[word]
    notice_values(ctx, state)
    obey.take_commands(ctx, state, frames)
    if int(state.values.clock.source) == _JACK:
        follow_transport(ctx, state, frames_apart(ctx.cycle_time, state.audio_time))
    at = 0
    heard = 0
    while at < frames:
        obey.obey_pending(ctx, state)
        heard = obey_midi(ctx, state, at, heard)
        if state.frame % CELL_FRAMES == 0:
            cell.update(ctx, state)
        obey.apply_settings(ctx, state)
        pads.launch_due(ctx, state)
        count = _span(ctx, state, frames - at, at, heard)
        cell.sound(ctx, state, at, count)
        at += count
        state.frame += count
    plan_clock(ctx, state, frames)
    if int(state.values.clock.source) != _JACK:
        lead_transport(ctx, state)
    state.cycles += 1


@kernel
def _span(ctx: Any, state: Any, most: int, at: int, heard: int) -> int:
    """Frames until the next cut: the cell's end, a command, a MIDI message, a launch."""
    count = min(most, CELL_FRAMES - state.frame % CELL_FRAMES)
    if state.pending_count > 0:
        count = min(count, state.pending[0].frame - state.frame)
    if heard < ctx.midi_count:
        count = min(count, ctx.midi[heard].offset - at)
    for number in range(PAD_CELLS):
        if pads.is_awake(state, number) and state.pad[number].pending != pads.IDLE:
            due = transport.frame_of(state.clock, state.pad[number].pending_beat, ctx.rate)
            count = min(count, due - state.frame)
    return max(count, 1)


