# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer
from appliance.bus.commands import Code, Source
from appliance.bus.events import Kind, Refusal
from appliance.bus.layout import DECKS, GRIDS, MIDI_PORTS, PAD_CELLS, PLANES, SCENE_ROW
from appliance.engine import feed, pads, speech, transport
from appliance.engine.context import context_at, state_at
from appliance.engine.decks import cues, scratch
from appliance.engine.decks import deck as decks
from appliance.engine.decks.commands import (
    FIRST_DECK,
    FIRST_HOT_CUE,
    LAST_DECK,
    LAST_HOT_CUE,
    obey_deck,
    obey_hot_cue,
)
from appliance.engine.dsp import voice
from appliance.engine.dsp.limiter import clear_limiters
from appliance.engine.jit import address_of, f64, i64, kernel, leaf, unit
from appliance.engine.journal import log, set_value
from appliance.nodes import NAMESPACE
from appliance.nodes.clock import SOURCES
from appliance.nodes.pad import SCENES

_JACK = SOURCES.index("jack")
_SCENES = layout.offset("scene")

_SET, _LOAD_DECK, _LOAD_PAD, _SKIP, _QUEUE_PAD, _SET_GRID, _SET_PLANE, _SPEAK = (
    int(code) for code in (
        Code.SET, Code.LOAD_DECK, Code.LOAD_PAD, Code.SKIP, Code.QUEUE_PAD, Code.SET_GRID, Code.SET_PLANE, Code.SPEAK)
)
_code = NAMESPACE.command
_TAP, _RESTART, _RAMP = _code("clock", "tap"), _code("clock", "restart"), _code("clock", "ramp")
_TRIGGER, _RELEASE, _STOP, _CUT = (_code("pad", name) for name in ("trigger", "release", "stop", "cut"))
_STOP_ALL, _CUT_ALL = _code("pads", "stop"), _code("pads", "cut")
_LAUNCH = _code("scene", "launch")
_TAILS = _code("panic_actions", "tails")

_BPM_SLOT, _PLAY_SLOT = NAMESPACE.find("/clock/bpm").slot, NAMESPACE.find("/clock/play").slot
_DONE = int(Kind.COMMAND)
_EMPTY, _NO_CLIP, _UNKNOWN, _FINE = int(Refusal.EMPTY), int(Refusal.NO_CLIP), int(Refusal.UNKNOWN), 0
_BY_ENGINE, _BY_SCHEDULE = int(Source.ENGINE), int(Source.SCHEDULE)


@kernel
def _execute(ctx: Any, state: Any, code: int, index: int, a: float, b: float, source: int) -> int:
    if code == _SET:
        set_value(ctx, state, index, a, state.frame, source)
    elif FIRST_DECK <= code <= LAST_DECK:
        return obey_deck(ctx, state, code, index, a)
    elif FIRST_HOT_CUE <= code <= LAST_HOT_CUE:
        return obey_hot_cue(ctx, state, code, index, a)
    elif code in (_TRIGGER, _RELEASE, _STOP, _CUT, _QUEUE_PAD):
        return _pad_command(ctx, state, code, index, a, b)
    elif code == _LOAD_DECK or code == _LOAD_PAD:
        return _load(ctx, state, code, index, int(a), int(b))
    elif code == _SET_GRID:
        if not 0 <= index < DECKS or not 0 <= int(a) < GRIDS:
            return _UNKNOWN
        state.deck[index].grid = int(a)
    elif code == _LAUNCH:
        return _launch_scene(ctx, state, index)
    elif code == _TAP:
        bpm = transport.tap(state.clock, state.frame, ctx.rate)
        if bpm > 0.0:
            set_value(ctx, state, _BPM_SLOT, bpm, state.frame, _BY_ENGINE)
    elif code == _RAMP:
        transport.begin_ramp(state.clock, a, state.values.clock.ramp_bars, state.frame, ctx.rate)
    elif code == _RESTART:
        if int(state.values.clock.source) == _JACK and ctx.transport.known == 1:
            ctx.transport.locate = 0  # the transport goes there, and the clock with it
            return _FINE
        transport.restart(state.clock, state.frame)
        state.clock.held_until = state.frame + int(transport.HAND_S * ctx.rate)
    elif code == _STOP_ALL or code == _CUT_ALL:
        _stop_all(ctx, state, code == _CUT_ALL)
    elif code == _TAILS:
        _end_tails(ctx, state)
    elif code == _SET_PLANE:
        if not 0 <= index < MIDI_PORTS or not 0 <= int(a) < PLANES:
            return _UNKNOWN
        state.midi_plane[index] = int(a)
    elif code == _SPEAK:
        if int(a) != 0 and voice.clip_address(ctx, int(a)) == 0:
            return _NO_CLIP
        speech.speak(ctx, state, int(a))
    elif code == _SKIP:
        skip(ctx, state, int(a))
    else:
        return _UNKNOWN
    return _FINE


@kernel
def _load(ctx: Any, state: Any, code: int, index: int, handle: int, grid: int) -> int:
    if handle != 0 and voice.clip_address(ctx, handle) == 0:
        return _NO_CLIP
    if code == _LOAD_DECK and 0 <= index < DECKS:
        decks.load(ctx, state, index, handle, grid)
    elif code == _LOAD_PAD and 0 <= index < PAD_CELLS:
        pads.load(ctx, state, index, handle)
    else:
        return _UNKNOWN
    return _FINE


@kernel
def _pad_command(ctx: Any, state: Any, code: int, cell: int, a: float, b: float) -> int:
    if not 0 <= cell < PAD_CELLS:
        return _UNKNOWN
    if code == _TRIGGER:
        if state.pad[cell].clip != 0 and a > 0.0:
            start_clock(ctx, state)
        return _FINE if pads.trigger(ctx, state, cell, a) else _EMPTY
    if code == _RELEASE:
        pads.release(state, cell)
    elif code == _CUT:
        pads.cut(state, cell)
    elif code == _QUEUE_PAD:
        if state.pad[cell].clip == 0:
            return _EMPTY
        pads.wake(state, cell)
        state.pad[cell].velocity = 1.0
        state.pad[cell].pending = int(a)
        state.pad[cell].pending_beat = b
        state.pad[cell].settings[:] = np.nan
    elif state.pad[cell].playing == 1:
        pads.queue(ctx, state, cell, pads.STOP)
    else:
        state.pad[cell].pending = pads.IDLE
    return _FINE


@kernel
def start_clock(ctx: Any, state: Any) -> None:
    """A pad hit while the clock stands starts it, on a bar line."""
    clock = state.clock
    if clock.running == 1:
        return
    bars = math.ceil((clock.anchor_beat - clock.bar_beat) / clock.bar_length - 1e-6)
    clock.anchor_beat = clock.bar_beat + bars * clock.bar_length
    clock.anchor_frame = state.frame
    clock.running = 1
    set_value(ctx, state, _PLAY_SLOT, 1.0, state.frame, _BY_ENGINE)


@kernel
def _stop_all(ctx: Any, state: Any, at_once: bool) -> None:
    for cell in range(PAD_CELLS):
        if at_once:
            pads.cut(state, cell)
        elif state.pad[cell].playing == 1:
            pads.queue(ctx, state, cell, pads.STOP)
        else:
            state.pad[cell].pending = pads.IDLE


@kernel
def _end_tails(ctx: Any, state: Any) -> None:
    """End held and stuck notes and what rings after them; loops and decks that play on purpose play on."""
    for cell in range(PAD_CELLS):
        pad = state.pad[cell]
        if pad.held == 1:
            pads.release(state, cell)
        if pad.playing == 1 and pad.main.loop == 0:
            pads.cut(state, cell)
    for number in range(DECKS):
        scratch.touch(ctx, state, number, False)
        if state.deck[number].previewing == cues.CUE:
            cues.cue(ctx, state, number, False)
        elif state.deck[number].previewing >= cues.HOT_CUE:
            cues.release(ctx, state, number, state.deck[number].previewing - cues.HOT_CUE)


@kernel
def _launch_scene(ctx: Any, state: Any, row: int) -> int:
    """Queue every pad that the scene names on one grid line; its settings are applied when it starts."""
    if not 0 <= row < SCENES:
        return _UNKNOWN
    table = carray(pointer(ctx.base + _SCENES), (SCENES, PAD_CELLS), SCENE_ROW)
    found = False
    for cell in range(PAD_CELLS):
        found = found or (table[row, cell].launch > 0.0 and state.pad[cell].clip != 0)
    if not found:
        return _EMPTY
    start_clock(ctx, state)
    beat = transport.beat_at(state.clock, state.frame, ctx.rate)
    line = transport.next_line(state.clock, beat, int(state.values.clock.quantize))
    for cell in range(PAD_CELLS):
        entry, pad = table[row, cell], state.pad[cell]
        if entry.launch > 0.0 and pad.clip != 0:
            pads.wake(state, cell)
            pad.velocity = 1.0
            pad.pending = pads.START
            pad.pending_beat = line
            pad.settings[0], pad.settings[1] = entry.gain, entry.pan
            pad.settings[2], pad.settings[3] = entry.filter, entry.pitch
        elif entry.launch < 0.0 and (pad.playing == 1 or pad.pending == pads.START):
            pad.pending = pads.STOP
            pad.pending_beat = line
        else:
            continue
        log(ctx, state, _DONE, _QUEUE_PAD, cell, state.frame, float(pad.pending), line, 0.0, _BY_SCHEDULE, 0)
    return _FINE


@kernel
def skip(ctx: Any, state: Any, frames: int) -> None:
    """Jump over frames that nobody heard: everything is where it would be had they been played."""
    if frames <= 0:
        return
    for number in range(DECKS):
        decks.skip(ctx, state, number, frames)
    pads.skip(ctx, state, frames)
    speech.skip(state, frames)
    feed.skip(state, frames)
    state.frame += frames
    state.skipped_frames += frames
    clear_limiters(ctx, state.mixer, state.frame)


@unit("execute", i64, i64, i64, i64, i64, f64, f64, i64)
def _execute_unit(ctx: int, state: int, code: int, index: int, a: float, b: float, source: int) -> int:
    return _execute(context_at(ctx), state_at(state), code, index, a, b, source)


@leaf
def execute(ctx: Any, state: Any, code: int, index: int, a: float, b: float, source: int) -> int:
    """Do it; returns 0 or why not (``Refusal``)."""
    return _execute_unit(address_of(ctx), address_of(state), code, index, a, b, source)
