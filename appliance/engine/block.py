# SPDX-License-Identifier: GPL-3.0-or-later
"""A block as a transaction: copy the committed state, render, publish by compare-and-swap; then let the world see it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import compare_swap, load_acquire, load_relaxed, pointer, store_relaxed, store_release
from appliance.bus.commit import epoch_of, pack, sequence_of, slot_of
from appliance.bus.layout import STATE
from appliance.engine import obey
from appliance.engine.context import context_at
from appliance.engine.jit import address_of, i64, kernel, leaf, unit
from appliance.engine.journal import publish_values
from appliance.engine.render import render
from appliance.engine.tell import tell, tell_sound, tell_tape
from appliance.engine.transport import frames_apart

COMMIT = layout.offset("commit")
SLOTS = layout.offset("slot")
_EVENT_HEAD = layout.offset("event_head")
_ENGINE = layout.offset("engine")
_ENGINE_SIZE = layout.ENGINE.itemsize
_ENTERED, _LEFT, _CYCLES, _OVERRUNS, _XRUNS = (
    (layout.ENGINE.fields or {})[name][1] for name in ("entered_ns", "left_ns", "cycles", "overruns", "xruns")
)
STATE_SIZE = STATE.itemsize
_PADS, _CHANNELS, _PENDING = ((STATE.fields or {})[name][1] for name in ("pad", "channel", "pending"))
_PAD_SIZE = layout.PAD_STATE.itemsize
_COMMAND_SIZE = layout.COMMAND.itemsize
_HALF_OF_TIME = 1 << 31
"""Frame times wrap at 32 bits: what is further ahead lies behind."""


@kernel
def engine_word(ctx: Any, offset: int) -> int:
    """Address of one of this engine's own words."""
    return ctx.base + _ENGINE + ctx.engine * _ENGINE_SIZE + offset


@kernel
def enter(ctx: Any, now_ns: int) -> None:
    """Say that the callback has begun: the supervisor sees when one does not come back."""
    store_release(engine_word(ctx, _ENTERED), now_ns)


@kernel
def _run_block(ctx: Any, frames: int, audio_time: int, now_ns: int) -> bool:
    word = load_acquire(ctx.base + COMMIT)
    if epoch_of(word) != ctx.epoch:
        ctx.own_commits = 0
        return False
    source = slot_of(word)
    target = 2 * ctx.engine + (1 if source == 2 * ctx.engine else 0)
    _copy_state(ctx, ctx.base + SLOTS + source * STATE_SIZE, ctx.base + SLOTS + target * STATE_SIZE)
    ctx.state = ctx.base + SLOTS + target * STATE_SIZE
    state = carray(pointer(ctx.state), (1,), STATE)[0]
    told = load_relaxed(ctx.base + _EVENT_HEAD)
    if told < state.event_head:  # an engine died between its commit and this
        publish_values(ctx, told, state.event_head)
        store_release(ctx.base + _EVENT_HEAD, state.event_head)
    before = state.event_head
    if state.cycles > 0 and ctx.offline == 0:
        if state.rate != ctx.rate:
            obey.change_rate(ctx, state)
        missed = missed_frames(ctx, state, audio_time, now_ns)
        if missed > 0:
            obey.jump(ctx, state, missed)
    state.rate = ctx.rate
    state.server = ctx.server
    state.audio_time = audio_time
    state.block_frames = frames
    state.monotonic_ns = now_ns
    state.block_begin = state.frame
    state.block_ns = ctx.cycle_ns + int(frames_apart(audio_time, ctx.cycle_time) * 1e9 / ctx.rate)
    render(ctx, state, frames)
    if compare_swap(ctx.base + COMMIT, word, pack(ctx.epoch, target, sequence_of(word) + 1)) != word:
        ctx.own_commits = 0
        return False
    ctx.own_commits += 1
    publish_values(ctx, before, state.event_head)
    store_release(ctx.base + _EVENT_HEAD, state.event_head)
    tell_sound(ctx, state.frame - frames, frames)
    if ctx.offline == 0:
        tell_tape(ctx, state.frame - frames, frames)
    return True


@kernel
def missed_frames(ctx: Any, state: Any, audio_time: int, now_ns: int) -> int:
    """Frames between the end of the last committed block and this one; by the monotonic clock when the server is another."""
    missed = (audio_time - (state.audio_time + state.block_frames)) & 0xFFFFFFFF
    if state.server == ctx.server and missed < _HALF_OF_TIME:
        return missed
    elapsed = int((now_ns - state.monotonic_ns) * 1e-9 * ctx.rate) - state.block_frames
    return max(elapsed, 0)


@kernel
def _copy_state(ctx: Any, source: int, target: int) -> None:
    """Make the target slot equal to the source.

    After two commits of its own in a row an engine's target holds the state of one block before the source: of the pads only
    those that the source's block touched differ. The queue of commands is copied as far as it is filled.
    """
    state = carray(pointer(source), (1,), STATE)[0]
    if ctx.own_commits < 2:
        _copy_bytes(source, target, STATE_SIZE)
        return
    _copy_bytes(source, target, _PADS)
    for cell in range(layout.PAD_CELLS):
        if (state.changed[cell >> 6] >> (cell & 63)) & 1 == 1:
            _copy_bytes(source + _PADS + cell * _PAD_SIZE, target + _PADS + cell * _PAD_SIZE, _PAD_SIZE)
    _copy_bytes(source + _CHANNELS, target + _CHANNELS, _PENDING - _CHANNELS + state.pending_count * _COMMAND_SIZE)


@kernel
def _copy_bytes(source: int, target: int, size: int) -> None:
    """``size``: a multiple of 8."""
    a = carray(pointer(source), (size // 8,), np.int64)
    b = carray(pointer(target), (size // 8,), np.int64)
    for i in range(size // 8):
        b[i] = a[i]


@unit("block", i64, i64, i64, i64, i64)
def _block_unit(ctx: int, frames: int, audio_time: int, now_ns: int) -> int:
    return 1 if _run_block(context_at(ctx), frames, audio_time, now_ns) else 0


@leaf
def run_block(ctx: Any, frames: int, audio_time: int, now_ns: int) -> bool:
    """Render one block into ``ctx.out``. False when another engine owns the state: nothing was changed, stay silent.

    ``audio_time`` is the audio server's frame time of the block's first frame (uint32 that wraps), ``now_ns`` the monotonic
    time at which the callback began.
    """
    return _block_unit(address_of(ctx), frames, audio_time, now_ns) != 0


@kernel
def leave(ctx: Any, played: bool, frames: int, now_ns: int, done_ns: int, cost_ns: int) -> None:
    """After the sound is out: telemetry, costs, and the word that the callback has ended."""
    if ctx.offline == 0:
        place = ctx.cost_count & (ctx.cost_ns.shape[0] - 1)
        ctx.cost_ns[place] = np.int32(min(cost_ns, 2_000_000_000))
        ctx.block_frames[place] = np.int32(frames)
        ctx.cost_count += 1
        if cost_ns > frames * 1e9 / ctx.rate:
            overruns = load_relaxed(engine_word(ctx, _OVERRUNS))
            store_relaxed(engine_word(ctx, _OVERRUNS), overruns + 1)
    if played:
        state = carray(pointer(ctx.state), (1,), STATE)[0]
        overruns, xruns = load_relaxed(engine_word(ctx, _OVERRUNS)), load_relaxed(engine_word(ctx, _XRUNS))
        tell(ctx, state, frames, now_ns, cost_ns, overruns, xruns)
    store_relaxed(engine_word(ctx, _CYCLES), load_relaxed(engine_word(ctx, _CYCLES)) + 1)
    store_release(engine_word(ctx, _LEFT), done_ns)
