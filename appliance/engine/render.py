# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled function that renders a block: events at their frame, controls once a cell, sound in between.

A block of any length is cut at every event and at every 64th frame of the absolute grid; so the same events give the same
samples, whatever the period is.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.events import Kind
from appliance.bus.layout import CELL_FRAMES, DECKS, PAD_CELLS
from appliance.engine import deck as decks
from appliance.engine import mixer, obey, pads, transport
from appliance.engine.jit import kernel
from appliance.engine.journal import log, notice_values
from appliance.engine.midi import obey_midi

_ENDED = int(Kind.ENDED)


@kernel
def render(ctx: Any, state: Any, frames: int) -> None:
    """Render ``frames`` (up to 8192) into ``ctx.out`` and move ``state`` on by them."""
    if state.cycles == 0:
        obey.begin(ctx, state)
    for word in range(PAD_CELLS // 64):
        state.changed[word] = state.awake[word]
    notice_values(ctx, state)
    obey.take_commands(ctx, state, frames)
    at = 0
    heard = 0
    while at < frames:
        obey.obey_pending(ctx, state)
        heard = obey_midi(ctx, state, at, heard)
        if state.frame % CELL_FRAMES == 0:
            _update(ctx, state)
        obey.apply_settings(ctx, state)
        pads.launch_due(ctx, state)
        count = _span(ctx, state, frames - at, at, heard)
        _sound(ctx, state, at, count)
        at += count
        state.frame += count
    state.cycles += 1


@kernel
def _update(ctx: Any, state: Any) -> None:
    """What moves once a cell."""
    transport.update_clock(state.clock, state.values, state.frame, ctx.rate)
    _metronome(ctx, state)
    for number in range(DECKS):
        decks.update(ctx, state.deck[number], state.values.deck[number], ctx.rate)
    pads.update(ctx, state)
    mixer.update(ctx, state)


@kernel
def _metronome(ctx: Any, state: Any) -> None:
    """Begin a click when a beat falls into the cell that begins."""
    if state.values.clock.metronome < 0.5 or state.clock.running == 0:
        return
    clock = state.clock
    beat = transport.beat_at(clock, state.frame, ctx.rate) - clock.bar_beat
    after = beat + CELL_FRAMES * clock.bpm / (60.0 * ctx.rate)
    line = math.ceil(beat - 1e-9)
    if line < after:
        in_bar = line % clock.bar_length
        mixer.begin_click(state, in_bar < 0.5)


@kernel
def _span(ctx: Any, state: Any, most: int, at: int, heard: int) -> int:
    """Frames until the next cut: the cell's end, a command, a MIDI message, a launch."""
    count = min(most, CELL_FRAMES - state.frame % CELL_FRAMES)
    if state.pending_count > 0:
        count = min(count, state.pending[0].frame - state.frame)
    if heard < ctx.midi_count:
        count = min(count, ctx.midi[heard].offset - at)
    for cell in range(PAD_CELLS):
        if pads.is_awake(state, cell) and state.pad[cell].pending != pads.IDLE:
            due = transport.frame_of(state.clock, state.pad[cell].pending_beat, ctx.rate)
            count = min(count, due - state.frame)
    return max(count, 1)


@kernel
def _sound(ctx: Any, state: Any, at: int, count: int) -> None:
    start = state.frame % CELL_FRAMES
    mixer.clear_buses(ctx, start, count)
    for number in range(DECKS):
        if not decks.render(ctx, state.deck[number], number, start, count):
            log(ctx, state, _ENDED, 0, number, state.frame, 0.0, 0.0, 0.0, 0, 0)
    pads.render(ctx, state, start, count)
    mixer.render(ctx, state, start, count, at)
