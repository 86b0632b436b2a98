# SPDX-License-Identifier: GPL-3.0-or-later
"""A cell of 64 frames: controls move at its beginning, and what sounds in between."""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.commands import Source
from appliance.bus.events import Kind
from appliance.bus.layout import CELL_FRAMES, DECKS
from appliance.engine import feed, mixer, pads, transport
from appliance.engine.clockin import await_ticks
from appliance.engine.clocklink import follow_link
from appliance.engine.context import context_at, state_at
from appliance.engine.decks import deck as decks
from appliance.engine.decks import feeding, keylock
from appliance.engine.jit import address_of, i64, kernel, leaf, unit, void
from appliance.engine.journal import log, set_value
from appliance.engine.steering import change_source, hold
from appliance.nodes import NAMESPACE
from appliance.nodes.clock import SOURCES

_ENDED = int(Kind.ENDED)
_BPM_SLOT = NAMESPACE.find("/clock/bpm").slot
_BY_ENGINE = int(Source.ENGINE)
_INTERNAL, _MIDI, _LINK = (SOURCES.index(name) for name in ("internal", "midi", "link"))
_TOLD_FRAMES = 4096
"""While the tempo moves it is told so often."""


@kernel
def _update(ctx: Any, state: Any) -> None:
    transport.update_clock(state.clock, state.values, state.frame, ctx.rate)
    _follow(ctx, state)
    if state.clock.ramping == 1:
        over = transport.follow_ramp(state.clock, state.frame, ctx.rate)
        if over or state.frame % _TOLD_FRAMES < CELL_FRAMES:
            _tell_tempo(ctx, state, state.clock.bpm)
    _metronome(ctx, state)
    for number in range(DECKS):
        decks.update(ctx, state, number)
        keylock.update(ctx, state, number)
    feeding.feed_early(ctx, state)
    pads.update(ctx, state)
    feed.update(state)
    mixer.update(ctx, state)


@kernel
def _follow(ctx: Any, state: Any) -> None:
    """Another clock, if there is one; JACK's transport is followed block by block."""
    source = int(state.values.clock.source)
    change_source(ctx, state, source)
    if source == _INTERNAL:
        hold(ctx, state)
    elif source == _MIDI:
        await_ticks(ctx, state)
    elif source == _LINK:
        follow_link(ctx, state)


@kernel
def _tell_tempo(ctx: Any, state: Any, bpm: float) -> None:
    """The engine has set the tempo itself; nobody has to take that for a person's wish."""
    set_value(ctx, state, _BPM_SLOT, bpm, state.frame, _BY_ENGINE)
    state.clock.told_bpm = bpm


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
def _sound(ctx: Any, state: Any, at: int, count: int) -> None:
    start = state.frame % CELL_FRAMES
    mixer.clear_buses(ctx, start, count)
    for number in range(DECKS):
        if not decks.render(ctx, state, number, start, count):
            log(ctx, state, _ENDED, 0, number, state.frame, 0.0, 0.0, 0.0, 0, 0)
    pads.render(ctx, state, start, count)
    feed.render(ctx, state, start, count)
    mixer.render(ctx, state, start, count, at)


@unit("update", void, i64, i64)
def _update_unit(ctx: int, state: int) -> None:
    _update(context_at(ctx), state_at(state))


@unit("sound", void, i64, i64, i64, i64)
def _sound_unit(ctx: int, state: int, at: int, count: int) -> None:
    _sound(context_at(ctx), state_at(state), at, count)


@leaf
def update(ctx: Any, state: Any) -> None:
    """What moves once a cell."""
    _update_unit(address_of(ctx), address_of(state))


@leaf
def sound(ctx: Any, state: Any, at: int, count: int) -> None:
    """Render ``count`` frames, within a cell, into the outputs at ``at``."""
    _sound_unit(address_of(ctx), address_of(state), at, count)
