# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into the shifters, and when.

What goes in comes out ``lead`` frames later, so the head stands where the voice will be by then, and what is heard is in time.
The tempo never touches the pitch. A shifter that begins is fed several cells in one, until it is where it should be.

A shifter is fed a cell in each cell, and works on what it has been given only now and then, when a window of it is full: all
decks in the same block, if nobody prevents it. So, while none has worked for a while, the one whose turn it is gets some cells
early, until it does. Cells are counted, not blocks: who is fed when does not depend on how blocks are cut.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.bus.layout import CELL_FRAMES, DECKS
from appliance.engine.decks import blend, speed, sync
from appliance.engine.dsp import rubberband, voice
from appliance.engine.dsp.gain import clear
from appliance.engine.jit import kernel

SETTLED_CELLS = 64
_CATCH_UP, _MOST_CATCH_UP = 1 / 16, 0.05
"""In a cell the head makes up for this share of what it is off, and is faster or slower by so much at most."""
_ASTRAY_SECONDS = 0.05
_HOLD, _MOST_HOLD = 1 / 8192, 0.008
_HASTE, _SHARED_HASTE = 3, 2
"""Cells that are fed in one until the shifter is full, and when more than two decks have one."""
_SPREAD = 0.8
"""Of the time between two windows of a deck, so much is shared out among the decks. The rest is for catching up."""


@kernel
def fill(ctx: Any, state: Any, number: int) -> None:
    """Feed a deck's shifter what is due in this cell, or some cells in one when it begins."""
    lock = state.deck[number].lock
    turns = _turns(ctx, state, number)
    if lock.fed == 0:
        rubberband.reset(ctx.shifter[number, lock.engine - 1])
        lock.fill = rubberband.fill_cells(ctx, lock.engine, turns, _pitch(lock, turns))
        lock.haste = _HASTE if _in_use(state) <= 2 else _SHARED_HASTE
        _place_head(ctx, state, number, turns)
    if lock.taken > 0:
        lock.early -= 1
        if lock.early < 0:
            lock.early = 0
            _feed(ctx, state, number, 1)
        return
    for _ in range(min(lock.haste, lock.fill + ctx.shifter_smear[lock.engine - 1] - lock.fed)):
        _feed(ctx, state, number, 0)


@kernel
def feed_early(ctx: Any, state: Any) -> None:
    """Once a cell, when all decks have what is due: let some of them work, if it is time."""
    ctx.shifters_rest = max(ctx.shifters_rest - 1.0, -0.5)
    while ctx.shifters_rest <= 0.0:
        chosen = _next(ctx, state)
        if chosen < 0:
            return
        lock = state.deck[chosen].lock
        while lock.early < ctx.shifter_early[lock.engine - 1]:
            lock.early += 1
            if _feed(ctx, state, chosen, 0):
                break


@kernel
def _next(ctx: Any, state: Any) -> int:
    """The deck whose time comes first, -1 when all are as far ahead as they may be."""
    chosen, least = -1, 0
    for number in range(DECKS):
        lock = state.deck[number].lock
        if lock.engine == 0 or lock.taken == 0 or lock.early >= ctx.shifter_early[lock.engine - 1]:
            continue
        if chosen < 0 or lock.early < least:
            chosen, least = number, lock.early
    return chosen


@kernel
def _in_use(state: Any) -> int:
    decks = 0
    for number in range(DECKS):
        decks += 1 if state.deck[number].lock.engine != 0 else 0
    return decks


@kernel
def _pitch(lock: Any, turns: float) -> float:
    if lock.engine > rubberband.LEVEL:
        return 1.0
    return 2.0 ** (lock.key.end / 12.0) * turns ** (1.0 - lock.hold.end)


@kernel
def _feed(ctx: Any, state: Any, number: int, to_take: int) -> bool:
    """Feed one cell, of which ``to_take`` cells will be taken at once; True when the shifter has worked."""
    lock = state.deck[number].lock
    handle, turns = ctx.shifter[number, lock.engine - 1], _turns(ctx, state, number)
    pitch = _pitch(lock, turns)
    frames = float(CELL_FRAMES) * turns
    if lock.taken > 0 and lock.placed == 1:
        frames = _steered(ctx, state, number, turns, pitch)
    count = int(frames + lock.rest + 0.5)
    lock.rest += frames - count  # in the long run it is fed what it makes
    left, right = ctx.feed[0], ctx.feed[1]
    _read(ctx, lock, left, right, count)
    before = rubberband.spare_frames(handle)
    rubberband.feed(handle, CELL_FRAMES / frames * _held(ctx, lock), pitch, ctx.pointers, left, right, count)
    lock.fed += 1
    after = rubberband.spare_frames(handle)
    if lock.taken > 0:
        lock.spare += (after - CELL_FRAMES * (lock.early + to_take) - lock.spare) / lock.taken
    if after == before:
        return False
    ctx.shifters_rest += _SPREAD * (after - before) / (CELL_FRAMES * _in_use(state))
    return True


@kernel
def _held(ctx: Any, lock: Any) -> float:
    """Correction of the ratio: the library makes a little more or less than was asked for, and must not fill up or run dry."""
    if lock.taken < SETTLED_CELLS:
        return 1.0
    return 1.0 - min(max((lock.spare - ctx.shifter_spare[lock.engine - 1]) * _HOLD, -_MOST_HOLD), _MOST_HOLD)


@kernel
def _turns(ctx: Any, state: Any, number: int) -> float:
    """How fast the deck is at this cell's end; sign aside."""
    deck = state.deck[number]
    turns = abs(deck.main.step + deck.main.slope * CELL_FRAMES) / speed.scale(ctx, deck)
    return min(max(turns, rubberband.SLOWEST), rubberband.FASTEST)


@kernel
def _place(ctx: Any, state: Any, number: int, frames: float) -> float:
    """Where the deck will be in so many frames when nobody does anything."""
    deck = state.deck[number]
    if deck.synced == 1:
        position = sync.due(ctx, state, number, int(frames))
    else:
        first = min(frames, 1.0 * CELL_FRAMES)
        end = deck.main.step + deck.main.slope * CELL_FRAMES
        position = deck.main.position + (deck.main.step + 0.5 * deck.main.slope * first) * first + end * (frames - first)
    length = deck.main.end - deck.main.begin
    if deck.main.loop == 1 and length > 0.0:
        if position >= deck.main.end or (deck.main.step < 0.0 and position < deck.main.begin):
            position = deck.main.begin + (position - deck.main.begin) % length
    return position


@kernel
def _place_head(ctx: Any, state: Any, number: int, turns: float) -> None:
    """Put the head where it will have fed all that the shifter wants when it is in time."""
    deck = state.deck[number]
    lock, main = deck.lock, deck.main
    cells = lock.fill + ctx.shifter_smear[lock.engine - 1]
    wait = math.ceil(cells / lock.haste) * CELL_FRAMES
    step = speed.scale(ctx, deck) if main.step >= 0.0 else -speed.scale(ctx, deck)
    lead = (lock.fill - 1.0) * CELL_FRAMES  # about what it keeps back and what is spare then
    position = _place(ctx, state, number, lead + wait) - step * turns * cells * CELL_FRAMES
    voice.silence(lock.tail)
    voice.start(lock.ahead, main.clip, math.floor(position), step, main.begin, main.end, main.loop, main.gain)
    lock.taken = 0
    lock.early = 0
    lock.rest = 0.0
    lock.spare = 0.0
    lock.placed = 1


@kernel
def _steered(ctx: Any, state: Any, number: int, turns: float, pitch: float) -> float:
    """Frames to feed in this cell, so that the head comes nearer to where the voice will be when it is heard."""
    deck = state.deck[number]
    lock, main, ahead = deck.lock, deck.main, deck.lock.ahead
    lead = lock.spare + rubberband.delay_frames(ctx, lock.engine, turns, pitch) + CELL_FRAMES * lock.early
    apart = (_place(ctx, state, number, lead) - ahead.position) / ahead.step
    if main.loop == 1 and main.end > main.begin:
        length = (main.end - main.begin) / abs(ahead.step)
        apart -= length * math.floor(apart / length + 0.5)
    frames = turns * CELL_FRAMES
    if ahead.clip == 0:
        return frames  # it has come to the end of the clip
    if abs(apart) > _ASTRAY_SECONDS * ctx.rate or ahead.step * main.step < 0.0:
        blend.to_dry(lock)
        lock.placed = 0
        return frames
    ahead.begin, ahead.end, ahead.loop = main.begin, main.end, main.loop
    return frames + min(max(_CATCH_UP * apart, -_MOST_CATCH_UP * frames), _MOST_CATCH_UP * frames)


@kernel
def _read(ctx: Any, lock: Any, left: np.ndarray, right: np.ndarray, count: int) -> None:
    clear(left, 0, count)
    clear(right, 0, count)
    at = 0
    while at < count:
        frames = min(count - at, CELL_FRAMES)
        if lock.ahead.clip != 0 and lock.ahead.loop == 1:
            voice.cross_seam(lock.ahead, lock.tail)
        if lock.tail.clip != 0:
            voice.run(ctx, lock.tail, left, right, at, frames)
        if lock.ahead.clip != 0:
            voice.run(ctx, lock.ahead, left, right, at, frames)
        at += frames
