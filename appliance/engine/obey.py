# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands: taken from the ring, kept until their frame, obeyed, and told."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import load_acquire, pointer
from appliance.bus.commands import Code, Source
from appliance.bus.events import Kind, Refusal
from appliance.bus.layout import COMMAND, COMMANDS, DECKS, PAD_CELLS, PENDING, SCENE_ROW
from appliance.engine import deck as decks
from appliance.engine import mixer as mixers
from appliance.engine import pads, transport
from appliance.engine.dsp import voice
from appliance.engine.dsp.limiter import clear_limiter
from appliance.engine.jit import kernel
from appliance.engine.journal import log, set_value, shared_vector, value_vector
from appliance.nodes import NAMESPACE
from appliance.nodes.clock import QUANTIZES
from appliance.nodes.mixer import CHANNELS
from appliance.nodes.pad import SCENES

_HEAD = layout.offset("command_head")
_RING = layout.offset("commands")
_SCENES = layout.offset("scene")

_SET, _LOAD_DECK, _LOAD_PAD, _SKIP, _QUEUE_PAD = (
    int(code) for code in (Code.SET, Code.LOAD_DECK, Code.LOAD_PAD, Code.SKIP, Code.QUEUE_PAD)
)
_code = NAMESPACE.command
_TAP, _RESTART = _code("clock", "tap"), _code("clock", "restart")
_PLAY, _CUE, _SEEK, _JUMP = (_code("deck", name) for name in ("play", "cue", "seek", "jump"))
_LOOP_IN, _LOOP_OUT, _LOOP_AUTO, _LOOP_EXIT, _RELOOP = (
    _code("deck", f"loop/{name}") for name in ("in", "out", "auto", "exit", "reloop")
)
_TRIGGER, _RELEASE, _STOP, _CUT = (_code("pad", name) for name in ("trigger", "release", "stop", "cut"))
_STOP_ALL, _CUT_ALL = _code("pads", "stop"), _code("pads", "cut")
_LAUNCH = _code("scene", "launch")
_TAILS = _code("panic_actions", "tails")
_FIRST_DECK, _LAST_DECK = min(_PLAY, _CUE, _SEEK, _JUMP, _LOOP_IN), max(_RELOOP, _LOOP_EXIT)

_BPM_SLOT, _PLAY_SLOT = NAMESPACE.find("/clock/bpm").slot, NAMESPACE.find("/clock/play").slot
_PAD_SLOT = NAMESPACE.find("/bank/1/pad/1/gain").slot
_PAD_STRIDE = NAMESPACE.find("/bank/1/pad/2/gain").slot - _PAD_SLOT
_GAIN, _PAN, _FILTER, _PITCH = (
    NAMESPACE.find(f"/bank/1/pad/1/{name}").slot - _PAD_SLOT for name in ("gain", "pan", "filter", "pitch")
)

_DONE, _REFUSED, _JUMPED = int(Kind.COMMAND), int(Kind.REFUSED), int(Kind.JUMP)
_EMPTY, _NO_CLIP, _UNKNOWN, _FINE = int(Refusal.EMPTY), int(Refusal.NO_CLIP), int(Refusal.UNKNOWN), 0
_BY_ENGINE, _BY_SCHEDULE = int(Source.ENGINE), int(Source.SCHEDULE)
_ONE_BAR = QUANTIZES.index("1 bar")


@kernel
def take_commands(ctx: Any, state: Any, frames: int) -> None:
    """At a block's start: obey what is due now, keep what is due later. What does not fit stays in the ring."""
    head = load_acquire(ctx.base + _HEAD)
    ring = carray(pointer(ctx.base + _RING), (COMMANDS,), COMMAND)
    if head - state.command_tail > COMMANDS or head < state.command_tail:
        state.command_tail = head
    while state.command_tail < head:
        command = ring[state.command_tail & (COMMANDS - 1)]
        if command.frame > state.frame:
            if state.pending_count >= PENDING:
                return
            _keep(state, command)
        else:
            obey(ctx, state, command)
        state.command_tail += 1


@kernel
def _copy(source: Any, target: Any) -> None:
    target.code = source.code
    target.index = source.index
    target.frame = source.frame
    target.a = source.a
    target.b = source.b
    target.c = source.c
    target.source = source.source
    target.id = source.id


@kernel
def _keep(state: Any, command: Any) -> None:
    """Keep a command for its frame; those of one frame stay in the order in which they came."""
    at = state.pending_count
    while at > 0 and state.pending[at - 1].frame > command.frame:
        _copy(state.pending[at - 1], state.pending[at])
        at -= 1
    _copy(command, state.pending[at])
    state.pending_count += 1


@kernel
def obey_pending(ctx: Any, state: Any) -> None:
    """Obey the kept commands that are due at this frame."""
    due = 0
    while due < state.pending_count and state.pending[due].frame <= state.frame:
        obey(ctx, state, state.pending[due])
        due += 1
    if due == 0:
        return
    for i in range(due, state.pending_count):
        _copy(state.pending[i], state.pending[i - due])
    state.pending_count -= due


@kernel
def obey(ctx: Any, state: Any, command: Any) -> None:
    """Carry a command out at this frame and tell what came of it."""
    refusal = execute(ctx, state, command.code, command.index, command.a, command.b, command.source)
    if command.code == _SET:
        return
    kind = _DONE if refusal == _FINE else _REFUSED
    a = command.a if refusal == _FINE else float(refusal)
    log(ctx, state, kind, command.code, command.index, state.frame, a, command.b, command.c, command.source, command.id)


@kernel
def execute(ctx: Any, state: Any, code: int, index: int, a: float, b: float, source: int) -> int:
    """Do it; returns 0 or why not (``Refusal``)."""
    if code == _SET:
        set_value(ctx, state, index, a, state.frame, source)
    elif _FIRST_DECK <= code <= _LAST_DECK:
        return _deck_command(ctx, state, code, index, a)
    elif code in (_TRIGGER, _RELEASE, _STOP, _CUT, _QUEUE_PAD):
        return _pad_command(ctx, state, code, index, a, b)
    elif code == _LOAD_DECK or code == _LOAD_PAD:
        return _load(ctx, state, code, index, int(a))
    elif code == _LAUNCH:
        return _launch_scene(ctx, state, index)
    elif code == _TAP:
        bpm = transport.tap(state.clock, state.frame, ctx.rate)
        if bpm > 0.0:
            set_value(ctx, state, _BPM_SLOT, bpm, state.frame, _BY_ENGINE)
    elif code == _RESTART:
        transport.restart(state.clock, state.frame)
    elif code == _STOP_ALL or code == _CUT_ALL:
        _stop_all(ctx, state, code == _CUT_ALL)
    elif code == _TAILS:
        _end_tails(ctx, state)
    elif code == _SKIP:
        skip(ctx, state, int(a))
    else:
        return _UNKNOWN
    return _FINE


@kernel
def _load(ctx: Any, state: Any, code: int, index: int, handle: int) -> int:
    if handle != 0 and voice.clip_address(ctx, handle) == 0:
        return _NO_CLIP
    if code == _LOAD_DECK and 0 <= index < DECKS:
        decks.load(ctx, state.deck[index], handle)
    elif code == _LOAD_PAD and 0 <= index < PAD_CELLS:
        pads.load(ctx, state, index, handle)
    else:
        return _UNKNOWN
    return _FINE


@kernel
def _deck_command(ctx: Any, state: Any, code: int, index: int, a: float) -> int:
    if not 0 <= index < DECKS:
        return _UNKNOWN
    deck, values = state.deck[index], state.values.deck[index]
    if deck.clip == 0:
        return _EMPTY
    beat = decks.beat_frames(ctx, deck, state.clock, ctx.rate)
    if code == _PLAY:
        on = deck.playing == 0 or deck.previewing == 1 if a < 0.0 else a >= 0.5
        if on and deck.previewing == 1:
            deck.previewing = 0
        else:
            decks.play(ctx, deck, values, on)
    elif code == _CUE:
        decks.cue(ctx, deck, values, a >= 0.5)
    elif code == _SEEK:
        decks.seek(ctx, deck, a * voice.clip_row(ctx, deck.clip).frames)
    elif code == _JUMP:
        decks.seek(ctx, deck, deck.main.position + a * beat)
    elif code == _LOOP_IN:
        deck.loop_begin = deck.main.position
    elif code == _LOOP_OUT:
        decks.close_loop(ctx, deck, deck.main.position)
    elif code == _LOOP_AUTO:
        on = deck.looping == 0 if a < 0.0 else a >= 0.5
        if on:
            decks.loop_from_here(ctx, deck, values.loop_beats * beat)
        else:
            decks.exit_loop(ctx, deck)
    elif code == _LOOP_EXIT:
        decks.exit_loop(ctx, deck)
    elif code == _RELOOP:
        decks.reloop(ctx, deck)
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
        if state.deck[number].previewing == 1:
            decks.cue(ctx, state.deck[number], state.values.deck[number], False)


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
def apply_settings(ctx: Any, state: Any) -> None:
    """Give the pads that start at this frame the settings of the scene that starts them."""
    beat = transport.beat_at(state.clock, state.frame, ctx.rate) + 1e-6 * state.clock.bpm / (60.0 * ctx.rate)
    for cell in range(PAD_CELLS):
        if not pads.is_awake(state, cell):
            continue
        pad = state.pad[cell]
        if pad.pending != pads.START or pad.pending_beat > beat:
            continue
        slot = _PAD_SLOT + cell * _PAD_STRIDE
        for i in range(4):
            if np.isfinite(pad.settings[i]):
                offset = _GAIN if i == 0 else (_PAN if i == 1 else (_FILTER if i == 2 else _PITCH))
                if value_vector(ctx)[slot + offset] != pad.settings[i]:
                    set_value(ctx, state, slot + offset, pad.settings[i], state.frame, _BY_SCHEDULE)


@kernel
def skip(ctx: Any, state: Any, frames: int) -> None:
    """Jump over frames that nobody heard: everything is where it would be had they been played."""
    if frames <= 0:
        return
    for number in range(DECKS):
        decks.skip(state.deck[number], frames)
    pads.skip(ctx, state, frames)
    state.frame += frames
    state.skipped_frames += frames
    clear_limiter(ctx, state.mixer, state.frame)


@kernel
def jump(ctx: Any, state: Any, frames: int) -> None:
    """The audio server lost ``frames``: skip them and say so."""
    log(ctx, state, _JUMPED, 0, 0, state.frame, float(frames), 0.0, 0.0, 0, 0)
    skip(ctx, state, frames)


@kernel
def change_rate(ctx: Any, state: Any) -> None:
    """The audio server counts other frames: beats, positions in clips and the order of what waits stay as they are."""
    clock = state.clock
    clock.anchor_beat = transport.beat_at(clock, state.frame, state.rate)
    clock.anchor_frame = state.frame
    clock.tap_count = 0
    for i in range(state.pending_count):
        pending = state.pending[i]
        pending.frame = state.frame + int((pending.frame - state.frame) * ctx.rate / state.rate)
    for number in range(CHANNELS):
        state.channel[number].z[:] = 0.0
        state.channel[number].filter.cutoff.source = 2.0  # no knob stands there: the coefficient is computed anew
    for cell in range(PAD_CELLS):
        pads.wake(state, cell)
        state.pad[cell].filter.cutoff.source = 2.0


@kernel
def begin(ctx: Any, state: Any) -> None:
    """The very first block of a box: values as they stand, clock at beat 0, nothing fades in."""
    mine, shared = value_vector(ctx), shared_vector(ctx)
    for slot in range(mine.shape[0]):  # copying by slices would allocate
        mine[slot] = shared[slot]
    clock = state.clock
    clock.bpm = state.values.clock.bpm
    clock.running = 1 if state.values.clock.play >= 0.5 else 0
    clock.metre = int(state.values.clock.metre)
    clock.bar_length = 0.0
    transport.update_clock(clock, state.values, state.frame, ctx.rate)
    mixers.settle_mixer(ctx, state)
    clear_limiter(ctx, state.mixer, state.frame)
