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
from appliance.bus.atomic import (
    compare_swap,
    fence_acquire,
    load_acquire,
    load_relaxed,
    pointer,
    store_relaxed,
    store_release,
)
from appliance.bus.commit import epoch_of, pack, sequence_of, slot_of
from appliance.bus.layout import ENGINES, HEARD, HEARD_CYCLES, HEARD_MIDI, MAX_BLOCK_FRAMES, STATE
from appliance.engine.block import COMMIT, SLOTS, STATE_SIZE, engine_word, run_block
from appliance.engine.jit import kernel
from appliance.engine.transport import frames_apart

PATIENCE_CYCLES = 2
"""Cycles in a row that the other engine may let pass. With one, a busy machine made it a false alarm several times a minute."""
SILENT_NS = 250_000_000
"""The same across audio servers, whose frame times cannot be compared."""
HUSH_NS = 100_000_000
"""For so long the one that has taken over keeps the other's ports silent: the server goes on mixing a dead client's last block
for some 60 ms."""

_CLOSING = layout.offset("closing")
_HEARD = layout.offset("heard")
_HEARD_SIZE = HEARD.itemsize
_NEVER = -1
_TAKEOVERS = (layout.ENGINE.fields or {})["takeovers"][1]


@kernel
def take_part(ctx: Any, frames: int, audio_time: int, now_ns: int) -> bool:
    """This engine's part of a cycle: a block, or standing by. True when ``ctx.out`` holds a block that counts.

    ``audio_time`` and ``now_ns`` as in :func:`appliance.engine.block.run_block`.
    """
    _remember(ctx, frames, audio_time)
    word = load_acquire(ctx.base + COMMIT)
    if ctx.epoch != 0 and epoch_of(word) == ctx.epoch:
        _bridge(ctx, frames, audio_time, now_ns)
        return run_block(ctx, frames, audio_time, now_ns)
    if ctx.epoch != 0:
        ctx.epoch = 0
        ctx.own_commits = 0
        ctx.attended = 0
        ctx.stale_cycles = 0
    wanted = _is_wanted(ctx, word, now_ns)
    ctx.last_time = audio_time
    ctx.attended += 1
    if not wanted:
        return False
    if compare_swap(ctx.base + COMMIT, word, pack(epoch_of(word) + 1, slot_of(word), sequence_of(word))) != word:
        return False
    ctx.epoch = epoch_of(word) + 1
    ctx.hush_until_ns = now_ns + HUSH_NS
    ctx.clock_out_again = max(int(HUSH_NS * 1e-9 * ctx.rate), 1)
    takeovers = load_relaxed(engine_word(ctx, _TAKEOVERS))
    store_relaxed(engine_word(ctx, _TAKEOVERS), takeovers + 1)
    _bridge(ctx, frames, audio_time, now_ns)
    return run_block(ctx, frames, audio_time, now_ns)


@kernel
def still_plays(ctx: Any) -> bool:
    """Whether the epoch is this engine's at this very moment."""
    return epoch_of(load_acquire(ctx.base + COMMIT)) == ctx.epoch


@kernel
def _committed(ctx: Any, word: int) -> Any:
    return carray(pointer(ctx.base + SLOTS + slot_of(word) * STATE_SIZE), (1,), STATE)[0]


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
    ctx.stale_cycles = ctx.stale_cycles + 1 if frames_apart(ctx.last_time, state.audio_time) > 0 else 0
    return ctx.stale_cycles >= PATIENCE_CYCLES


@kernel
def _bridge(ctx: Any, frames: int, audio_time: int, now_ns: int) -> None:
    """Render unheard the cycles between the last commit and ``audio_time``: their engine died, the server lost them, or did not
    call this engine. The sound goes on as if they had been played, with the notes that either engine has heard in them. A jump
    would tear what rings, and the limiter's line with it; the next block jumps over what lies further back."""
    state = _committed(ctx, load_acquire(ctx.base + COMMIT))
    if state.cycles == 0 or state.server != ctx.server:
        return
    missed = min(frames_apart(audio_time, state.audio_time + state.block_frames), HEARD_CYCLES * frames)
    if missed <= 0:
        return
    ctx.clock_out_count = 0
    while missed > 0:
        count = min(_recall(ctx, audio_time - missed, frames), missed)
        if not run_block(ctx, count, audio_time - missed, now_ns):
            break
        ctx.clock_out_late = 1
        missed -= count
    _recall(ctx, audio_time, frames)


@kernel
def _remember(ctx: Any, frames: int, audio_time: int) -> None:
    """Keep what came in with this cycle, in case that nobody lives to obey it."""
    place = ctx.heard_cycles % HEARD_CYCLES
    address = ctx.base + _HEARD + (ctx.engine * HEARD_CYCLES + place) * _HEARD_SIZE
    heard = carray(pointer(address), (1,), HEARD)[0]
    store_release(address, _NEVER)
    heard.server = ctx.server
    heard.frames = frames
    heard.midi_count = min(ctx.midi_count, HEARD_MIDI)
    for i in range(heard.midi_count):
        heard.midi[i] = ctx.midi[i]
    store_release(address, audio_time)
    ctx.heard_cycles += 1


@kernel
def _recall(ctx: Any, audio_time: int, frames: int) -> int:
    """Put the notes of the cycle at ``audio_time`` where this engine obeys them; returns its length, or ``frames`` when nobody
    has heard it."""
    wanted = audio_time & 0xFFFFFFFF
    for place in range(ENGINES * HEARD_CYCLES):
        place = (place + ctx.engine * HEARD_CYCLES) % (ENGINES * HEARD_CYCLES)  # its own first
        address = ctx.base + _HEARD + place * _HEARD_SIZE
        if load_acquire(address) != wanted:
            continue
        heard = carray(pointer(address), (1,), HEARD)[0]
        count, length = min(max(heard.midi_count, 0), HEARD_MIDI), heard.frames
        if heard.server != ctx.server or not 0 < length <= MAX_BLOCK_FRAMES:
            continue
        for i in range(count):
            ctx.midi[i] = heard.midi[i]
        fence_acquire()
        if load_relaxed(address) == wanted:
            ctx.midi_count = count
            return length
    ctx.midi_count = 0
    return frames
