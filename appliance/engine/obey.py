# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands: taken from the ring, kept until their frame, obeyed, and told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import load_acquire, pointer
from appliance.bus.commands import Code, Source
from appliance.bus.events import Kind
from appliance.bus.layout import COMMAND, COMMANDS, PAD_CELLS, PENDING
from appliance.engine import mixer as mixers
from appliance.engine import pads, transport
from appliance.engine.dsp.limiter import clear_limiters
from appliance.engine.execute import execute
from appliance.engine.feed import settle_feed
from appliance.engine.jit import kernel
from appliance.engine.journal import log, set_value, shared_vector, value_vector
from appliance.engine.speech import settle_speech
from appliance.nodes import NAMESPACE
from appliance.nodes.mixer import CHANNELS

_HEAD = layout.offset("command_head")
_RING = layout.offset("commands")
_SET, _SKIP = int(Code.SET), int(Code.SKIP)
_PAD_SLOT = NAMESPACE.find("/bank/1/pad/1/gain").slot
_PAD_STRIDE = NAMESPACE.find("/bank/1/pad/2/gain").slot - _PAD_SLOT
_GAIN, _PAN, _FILTER, _PITCH = (
    NAMESPACE.find(f"/bank/1/pad/1/{name}").slot - _PAD_SLOT for name in ("gain", "pan", "filter", "pitch")
)
_DONE, _REFUSED, _JUMPED = int(Kind.COMMAND), int(Kind.REFUSED), int(Kind.JUMP)
_FINE = 0
_BY_SCHEDULE = int(Source.SCHEDULE)


@kernel
def take_commands(ctx: Any, state: Any, frames: int) -> None:
    """At a block's start: obey what is due now, keep what is due later. What does not fit stays in the ring.

    What was kept for this frame comes first: it was asked for before, and an off-line render must find the same order however
    it cuts its blocks.
    """
    obey_pending(ctx, state)
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
def jump(ctx: Any, state: Any, frames: int) -> None:
    """The audio server lost ``frames``: skip them and say so."""
    log(ctx, state, _JUMPED, 0, 0, state.frame, float(frames), 0.0, 0.0, 0, 0)
    execute(ctx, state, _SKIP, 0, float(frames), 0.0, 0)


@kernel
def change_rate(ctx: Any, state: Any) -> None:
    """The audio server counts other frames: beats, positions in clips and the order of what waits stay as they are."""
    clock = state.clock
    clock.anchor_beat = transport.beat_at(clock, state.frame, state.rate)
    clock.anchor_frame = state.frame
    clock.tap_count = 0
    clock.ramp_begin = state.frame - int((state.frame - clock.ramp_begin) * ctx.rate / state.rate)
    clock.ramp_frames *= ctx.rate / state.rate
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
    clock.told_bpm = clock.bpm
    clock.running = 1 if state.values.clock.play >= 0.5 else 0
    clock.metre = int(state.values.clock.metre)
    clock.bar_length = 0.0
    transport.update_clock(clock, state.values, state.frame, ctx.rate)
    mixers.settle_mixer(ctx, state)
    settle_speech(state)
    settle_feed(state)
    clear_limiters(ctx, state.mixer, state.frame)
