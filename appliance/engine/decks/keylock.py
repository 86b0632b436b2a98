# SPDX-License-Identifier: GPL-3.0-or-later
"""Key lock and key shift: a second head reads ahead of the deck's voice, at the speed at which the clip was recorded, and a
shifter brings that to the deck's tempo and key.

What goes in comes out ``lead`` frames later, so the head stands where the voice will be by then, and what is heard is in time.
The tempo never touches the pitch. The voice runs on unheard. After a start or a jump, and while a brake or a hand turns the
record, it is what is heard: what a jump leaves in the shifter is of the old place. It begins anew, and is fed several times as
fast until it is where it should be.

A shifter lives in its engine process. An engine that takes over finds that its own was not fed up to here, and begins anew too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.decks import blend, scratch, speed, sync
from appliance.engine.dsp import rubberband, voice
from appliance.engine.dsp.gain import clear
from appliance.engine.dsp.glide import glide, settle
from appliance.engine.jit import kernel
from appliance.nodes.deck import KEYLOCK_ENGINES

_AUTO = KEYLOCK_ENGINES.index("auto")
_CATCH_UP, _MOST_CATCH_UP = 1 / 16, 0.05
"""In a cell the head makes up for this share of what it is off, and is faster or slower by so much at most."""
_ASTRAY_SECONDS = 0.05
_SETTLED_CELLS = 64
_HOLD, _MOST_HOLD = 1 / 8192, 0.008
_HASTE = 3
"""Cells that are fed in one, until the shifter is full."""


@kernel
def _wanted(ctx: Any, state: Any, number: int) -> int:
    """The shifter's engine that the deck is to be heard through, 0: none."""
    deck, values = state.deck[number], state.values.deck[number]
    if values.keylock < 0.5 and values.key == 0.0 and values.key_fine == 0.0:
        return 0
    if deck.main.clip == 0 or scratch.in_hand(deck) or deck.spin < 1.0:
        return 0
    if not rubberband.SLOWEST < abs(deck.velocity) < rubberband.FASTEST:
        return 0
    chosen = int(values.keylock_engine)
    engine = ctx.keylock_engine if chosen == _AUTO else chosen
    return engine if ctx.shifter[number, engine - 1] != 0 else 0


@kernel
def update(ctx: Any, state: Any, number: int) -> None:
    """Once a cell, after the voice has its speed: read ahead, shift, and have this cell's wet sound ready."""
    deck, values = state.deck[number], state.values.deck[number]
    lock = deck.lock
    wanted = _wanted(ctx, state, number)
    if lock.engine == 0 and wanted == 0:
        return
    key = values.key + 0.01 * values.key_fine
    hold = 1.0 if values.keylock >= 0.5 else 0.0
    if lock.engine == 0:
        lock.engine = wanted
        lock.fed = 0
        settle(lock.key, key)
        settle(lock.hold, hold)
    else:
        glide(lock.key, key)
        glide(lock.hold, hold)
    if wanted != lock.engine:
        blend.to_dry(lock)
        if lock.wet.level == 0.0:
            lock.engine = 0
            voice.silence(lock.ahead)
            voice.silence(lock.tail)
            return
    if ctx.shifter_frame[number] != state.frame:
        blend.nothing_wet(lock)
        lock.fed = 0
    elif lock.placed == 0 and lock.wet.level == 0.0:
        lock.fed = 0
    ctx.shifter_frame[number] = state.frame + CELL_FRAMES
    _fill(ctx, state, number)
    if not _take(ctx, state, number):
        clear(ctx.wet[number, 0], 0, CELL_FRAMES)
        clear(ctx.wet[number, 1], 0, CELL_FRAMES)
    elif wanted == lock.engine and lock.placed == 1:
        blend.to_wet(lock)


@kernel
def _fill(ctx: Any, state: Any, number: int) -> None:
    """Feed this cell, or some in one to a shifter that begins."""
    lock = state.deck[number].lock
    turns = _turns(ctx, state, number)
    pitch = 2.0 ** (lock.key.end / 12.0) * turns ** (1.0 - lock.hold.end)
    handle = ctx.shifter[number, lock.engine - 1]
    cells = 1
    if lock.fed == 0:
        rubberband.reset(handle)
        lock.fill = rubberband.fill_cells(ctx, lock.engine, turns, pitch)
        _place_head(ctx, state, number, turns)
    if lock.taken == 0:
        cells = min(_HASTE, lock.fill + ctx.shifter_smear[lock.engine - 1] - lock.fed)
    for _ in range(cells):
        frames = float(CELL_FRAMES) * turns
        if lock.taken > 0 and lock.placed == 1:
            frames = _steered(ctx, state, number, turns, pitch)
        count = int(frames + lock.rest + 0.5)
        lock.rest += frames - count  # in the long run it is fed what it makes
        left, right = ctx.feed[0], ctx.feed[1]
        _read(ctx, lock, left, right, count)
        rubberband.feed(handle, CELL_FRAMES / frames * _held(ctx, lock), pitch, ctx.pointers, left, right, count)
        lock.fed += 1


@kernel
def _take(ctx: Any, state: Any, number: int) -> bool:
    """This cell's sound. False when there is none: the shifter is not full yet, or has fallen short."""
    lock = state.deck[number].lock
    handle, wet = ctx.shifter[number, lock.engine - 1], ctx.wet[number]
    smear = ctx.shifter_smear[lock.engine - 1]
    if lock.fed < lock.fill + smear:
        return False
    cells = 1 if lock.taken > 0 else smear + 1  # the first ones miss what was before them
    for _ in range(cells):
        if not rubberband.take(handle, ctx.pointers, wet[0], wet[1]):
            blend.cut(lock)
            return False
    lock.taken = min(lock.taken + 1, _SETTLED_CELLS)
    lock.spare += (rubberband.spare_frames(handle) - lock.spare) / lock.taken
    return True


@kernel
def _held(ctx: Any, lock: Any) -> float:
    """Correction of the ratio: the library makes a little more or less than was asked for, and must not fill up or run dry."""
    if lock.taken < _SETTLED_CELLS:
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
    wait = math.ceil(cells / _HASTE) * CELL_FRAMES
    step = speed.scale(ctx, deck) if main.step >= 0.0 else -speed.scale(ctx, deck)
    lead = (lock.fill - 1.0) * CELL_FRAMES  # about what it keeps back and what is spare then
    position = _place(ctx, state, number, lead + wait) - step * turns * cells * CELL_FRAMES
    voice.silence(lock.tail)
    voice.start(lock.ahead, main.clip, math.floor(position), step, main.begin, main.end, main.loop, main.gain)
    lock.taken = 0
    lock.rest = 0.0
    lock.spare = 0.0
    lock.placed = 1


@kernel
def _steered(ctx: Any, state: Any, number: int, turns: float, pitch: float) -> float:
    """Frames to feed in this cell, so that the head comes nearer to where the voice will be when it is heard."""
    deck = state.deck[number]
    lock, main, ahead = deck.lock, deck.main, deck.lock.ahead
    lead = lock.spare + rubberband.delay_frames(ctx, lock.engine, turns, pitch)
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
