# SPDX-License-Identifier: GPL-3.0-or-later
"""Two engines, one state: who plays, and how the other one takes over.

Every engine starts as a standby. It looks at the committed state in each cycle; when nobody commits any more, it takes the
epoch by compare-and-swap, renders unheard what was missed, with the MIDI it has kept, and plays on. The first start, a restart
and a take-over are the same thing. An engine that has lost the epoch finds out at its next commit, stays silent and stands by.
"""

from __future__ import annotations

from typing import Any

from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import compare_swap, load_acquire, load_relaxed, pointer, store_relaxed
from appliance.bus.commit import epoch_of, pack, sequence_of, slot_of
from appliance.bus.layout import STATE
from appliance.engine.block import COMMIT, SLOTS, STATE_SIZE, engine_word, run_block
from appliance.engine.context import PAST_CYCLES, PAST_MIDI_EVENTS
from appliance.engine.jit import kernel

PATIENCE_CYCLES = 2
"""Cycles in a row that the other engine may let pass. With one, a busy machine made it a false alarm several times a minute."""
SILENT_NS = 250_000_000
"""The same across audio servers, whose frame times cannot be compared."""
BRIDGED_CYCLES = 8
"""Lost cycles up to so many are rendered unheard; more are jumped over."""
HUSH_NS = 100_000_000
"""For so long the one that has taken over keeps the other's ports silent: the server goes on mixing a dead client's last block
for some 60 ms."""

_CLOSING = layout.offset("closing")
_TAKEOVERS = (layout.ENGINE.fields or {})["takeovers"][1]


@kernel
def take_part(ctx: Any, frames: int, audio_time: int, now_ns: int) -> bool:
    """This engine's part of a cycle: a block, or standing by. True when ``ctx.out`` holds a block that counts.

    ``audio_time`` and ``now_ns`` as in :func:`appliance.engine.block.run_block`.
    """
    word = load_acquire(ctx.base + COMMIT)
    if ctx.epoch != 0 and epoch_of(word) == ctx.epoch:
        ctx.attended = 0
        _bridge(ctx, frames, audio_time, now_ns)
        return run_block(ctx, frames, audio_time, now_ns)
    if ctx.epoch != 0:
        ctx.epoch = 0
        ctx.own_commits = 0
        ctx.attended = 0
        ctx.stale_cycles = 0
    wanted = _is_wanted(ctx, word, now_ns)
    _remember(ctx, frames, audio_time, now_ns)
    if not wanted:
        return False
    if compare_swap(ctx.base + COMMIT, word, pack(epoch_of(word) + 1, slot_of(word), sequence_of(word))) != word:
        return False
    ctx.epoch = epoch_of(word) + 1
    ctx.hush_until_ns = now_ns + HUSH_NS
    takeovers = load_relaxed(engine_word(ctx, _TAKEOVERS))
    store_relaxed(engine_word(ctx, _TAKEOVERS), takeovers + 1)
    _catch_up(ctx)
    return run_block(ctx, frames, audio_time, now_ns)


@kernel
def still_plays(ctx: Any) -> bool:
    """Whether the epoch is this engine's at this very moment."""
    return epoch_of(load_acquire(ctx.base + COMMIT)) == ctx.epoch


@kernel
def _committed(ctx: Any, word: int) -> Any:
    return carray(pointer(ctx.base + SLOTS + slot_of(word) * STATE_SIZE), (1,), STATE)[0]


@kernel
def _apart(later: int, earlier: int) -> int:
    """Difference of two frame times, which wrap at 32 bits."""
    return (((later - earlier) & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


@kernel
def _is_wanted(ctx: Any, word: int, now_ns: int) -> bool:
    """Nobody plays: no state yet, or it is older than the cycle before this one, twice running."""
    if load_acquire(ctx.base + _CLOSING) != 0:
        return False
    state = _committed(ctx, word)
    if state.cycles == 0 or now_ns - state.monotonic_ns > SILENT_NS:
        return True
    if state.server != ctx.server or ctx.attended < PATIENCE_CYCLES:
        return False
    ctx.stale_cycles = ctx.stale_cycles + 1 if _apart(ctx.last_time, state.audio_time) > 0 else 0
    return ctx.stale_cycles >= PATIENCE_CYCLES


@kernel
def _remember(ctx: Any, frames: int, audio_time: int, now_ns: int) -> None:
    """Keep what came in with this cycle, in case that nobody has obeyed it."""
    past = ctx.past[ctx.attended % PAST_CYCLES]
    past.audio_time = audio_time
    past.frames = frames
    past.began_ns = now_ns
    past.midi_count = min(ctx.midi_count, PAST_MIDI_EVENTS)
    for i in range(past.midi_count):
        past.midi[i] = ctx.midi[i]
    ctx.last_time = audio_time
    ctx.attended += 1


@kernel
def _recall(ctx: Any, cycle: int) -> None:
    past = ctx.past[cycle % PAST_CYCLES]
    ctx.midi_count = past.midi_count
    for i in range(past.midi_count):
        ctx.midi[i] = past.midi[i]


@kernel
def _catch_up(ctx: Any) -> None:
    """Render the cycles between the last commit and this one as their engine would have: the sound goes on as if it had
    been there. What lies further back than is remembered is jumped over."""
    now = ctx.attended - 1
    for cycle in range(max(0, now - PAST_CYCLES + 1), now + 1):
        past = ctx.past[cycle % PAST_CYCLES]
        state = _committed(ctx, load_acquire(ctx.base + COMMIT))
        if state.cycles == 0 or state.server != ctx.server:
            break
        if _apart(past.audio_time, state.audio_time + state.block_frames) < 0:
            continue
        _bridge(ctx, past.frames, past.audio_time, past.began_ns)
        if cycle < now:
            _recall(ctx, cycle)
            run_block(ctx, past.frames, past.audio_time, past.began_ns)
    _recall(ctx, now)


@kernel
def _bridge(ctx: Any, frames: int, audio_time: int, now_ns: int) -> None:
    """Render unheard what lies between the last commit and ``audio_time`` when it is a few cycles: the audio server lost them,
    or did not call this engine. A jump would tear what rings, and the limiter's line with it."""
    state = _committed(ctx, load_acquire(ctx.base + COMMIT))
    if state.cycles == 0 or state.server != ctx.server:
        return
    missed = _apart(audio_time, state.audio_time + state.block_frames)
    if missed <= 0 or missed > BRIDGED_CYCLES * frames:
        return
    midi_count = ctx.midi_count
    ctx.midi_count = 0
    while missed > 0:
        count = min(missed, frames)
        if not run_block(ctx, count, audio_time - missed, now_ns):
            break
        missed -= count
    ctx.midi_count = midi_count
