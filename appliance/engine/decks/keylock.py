# SPDX-License-Identifier: GPL-3.0-or-later
"""Key lock and key shift: a second head reads ahead of the deck's voice, a pitch shifter brings that into the key.

What goes in comes out ``lead`` frames later, so the head stands where the voice will be by then, and what is heard is in time.
The shifter's pitch follows the speed at which that was read, not the speed of now: the pitch is kept while the tempo moves.
The voice runs on unheard. After a start or a jump, and while a brake or a hand turns the record, it is what is heard.

A shifter lives in its engine process. An engine that takes over finds that its own was not fed up to here, and begins anew;
the voice is heard until then.
"""

from __future__ import annotations

from typing import Any

from appliance.bus.layout import CELL_FRAMES, LOCK_HISTORY
from appliance.engine.decks import blend, scratch, speed, sync
from appliance.engine.dsp import rubberband, voice
from appliance.engine.dsp.gain import clear
from appliance.engine.dsp.glide import glide, settle
from appliance.engine.jit import kernel
from appliance.nodes.deck import KEYLOCK_ENGINES

_AUTO = KEYLOCK_ENGINES.index("auto")
_SLOWEST = 0.4
"""Slower than this the pitch follows the speed."""
_CATCH_UP, _MOST_CATCH_UP = 1 / 16, 0.05
"""In a cell the head makes up for this share of what it is off, and turns faster or slower by so much at most."""
_ASTRAY_SECONDS = 0.05
_SMEAR_CELLS = 8
"""So long after the first sound of a new place the shifter still gives some of the old one."""


@kernel
def _wanted(ctx: Any, state: Any, number: int) -> int:
    """The shifter's engine that the deck is to be heard through, 0: none."""
    deck, values = state.deck[number], state.values.deck[number]
    if values.keylock < 0.5 and values.key == 0.0 and values.key_fine == 0.0:
        return 0
    if deck.main.clip == 0 or scratch.in_hand(deck) or deck.spin < 1.0 or abs(deck.velocity) < _SLOWEST:
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
        lock.placed = 0
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
    handle = ctx.shifter[number, lock.engine - 1]
    if lock.fed == 0 or ctx.shifter_frame[number] != state.frame:
        rubberband.reset(handle)
        lock.fed = 0
        lock.placed = 0
        blend.nothing_wet(lock)
    ctx.shifter_frame[number] = state.frame + CELL_FRAMES
    _shift(ctx, state, number, handle)
    if wanted == lock.engine and lock.placed == 1 and lock.waits == 0:
        blend.to_wet(lock)


@kernel
def _shift(ctx: Any, state: Any, number: int, handle: int) -> None:
    """A cell into the shifter and one out of it."""
    lock = state.deck[number].lock
    if lock.fed == 0:
        _forget(ctx, state, number)
    pitch = 2.0 ** (lock.key.end / 12.0) * _turns(ctx, state, number) ** -lock.hold.end
    if lock.fed == 0:
        lock.fill = rubberband.fill_cells(ctx, lock.engine, pitch)
    _read_ahead(ctx, state, number, rubberband.lead_frames(ctx, lock.engine, lock.fill, pitch))
    pitch = 2.0 ** (lock.key.end / 12.0) * lock.speeds[_behind(ctx, state, lock)] ** -lock.hold.end
    left, right = ctx.left[:], ctx.right[:]
    clear(left, 0, CELL_FRAMES)
    clear(right, 0, CELL_FRAMES)
    if lock.tail.clip != 0:
        voice.run(ctx, lock.tail, left, right, 0, CELL_FRAMES)
    if lock.ahead.clip != 0:
        voice.run(ctx, lock.ahead, left, right, 0, CELL_FRAMES)
    rubberband.feed(handle, pitch, ctx.pointers, left, right)
    lock.fed += 1
    wet = ctx.wet[number]
    if lock.fed < lock.fill or not rubberband.take(handle, ctx.pointers, wet[0], wet[1]):
        clear(wet[0], 0, CELL_FRAMES)
        clear(wet[1], 0, CELL_FRAMES)
        if lock.fed >= lock.fill:  # it has fallen short: begin anew
            blend.cut(lock)
            lock.fed = 0
    elif lock.waits > 0:
        lock.waits -= 1


@kernel
def _forget(ctx: Any, state: Any, number: int) -> None:
    """Nothing was fed: as if it had always been at this speed."""
    deck = state.deck[number]
    for i in range(LOCK_HISTORY):
        deck.lock.speeds[i] = _turns(ctx, state, number)


@kernel
def _turns(ctx: Any, state: Any, number: int) -> float:
    """How fast the deck is at this cell's end."""
    deck = state.deck[number]
    return max(abs(deck.main.step + deck.main.slope * CELL_FRAMES) / speed.scale(ctx, deck), _SLOWEST)


@kernel
def _behind(ctx: Any, state: Any, lock: Any) -> int:
    """Place in ``speeds`` of what is being shifted now."""
    return (state.frame // CELL_FRAMES - ctx.shifter_behind[lock.engine - 1]) % LOCK_HISTORY


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
        if position >= deck.main.end:
            position = deck.main.begin + (position - deck.main.begin) % length
        elif deck.main.step < 0.0 and position < deck.main.begin:
            position = deck.main.begin + (position - deck.main.begin) % length
    return position


@kernel
def _read_ahead(ctx: Any, state: Any, number: int, lead: float) -> None:
    """Give the head its way through this cell: to where the voice will be ``lead`` frames later, when it is heard."""
    deck = state.deck[number]
    lock, main = deck.lock, deck.main
    here = _place(ctx, state, number, lead)
    step = main.step + main.slope * CELL_FRAMES
    ahead = lock.ahead
    apart = here - ahead.position
    if main.loop == 1 and main.end > main.begin:
        length = main.end - main.begin
        apart -= length * round(apart / length)
    if lock.placed == 0 or abs(apart) > _ASTRAY_SECONDS * ctx.rate:
        if ahead.clip != 0:
            voice.hand_over(ahead, lock.tail)
        voice.start(ahead, main.clip, here, step, main.begin, main.end, main.loop, main.gain)
        if lock.placed == 1:
            blend.to_dry(lock)
        lock.placed = 1
        lock.waits = int(lead / CELL_FRAMES) + _SMEAR_CELLS
    elif ahead.clip != 0:
        ahead.begin, ahead.end, ahead.loop = main.begin, main.end, main.loop
        most = _MOST_CATCH_UP * abs(step)
        voice.set_speed(ahead, step + min(max(_CATCH_UP * apart / CELL_FRAMES, -most), most), 0.0)
        voice.cross_seam(ahead, lock.tail)
    lock.speeds[(state.frame // CELL_FRAMES) % LOCK_HISTORY] = max(abs(ahead.step) / speed.scale(ctx, deck), _SLOWEST)
