# SPDX-License-Identifier: GPL-3.0-or-later
"""Key lock and key shift: a second head reads ahead of the deck's voice, at the speed at which the clip was recorded, and a
shifter brings that to the deck's tempo and key (``feeding.py``).

The voice runs on unheard. After a start or a jump, and while a brake or a hand turns the record, it is what is heard: what a
jump leaves in the shifter is of the old place. It begins anew.

A shifter lives in its engine process. An engine that takes over finds that its own was not fed up to here, and begins anew too.
"""

from __future__ import annotations

from typing import Any

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.decks import blend, feeding, scratch
from appliance.engine.dsp import rubberband, voice
from appliance.engine.dsp.gain import clear
from appliance.engine.dsp.glide import glide, settle
from appliance.engine.jit import kernel
from appliance.nodes.deck import KEYLOCK_ENGINES

_AUTO = KEYLOCK_ENGINES.index("auto")


@kernel
def _wanted(ctx: Any, state: Any, number: int) -> int:
    """The shifter's engine that the deck is to be heard through, 0: none."""
    deck, values = state.deck[number], state.values.deck[number]
    bends = values.key != 0.0 or values.key_fine != 0.0
    if values.keylock < 0.5 and not bends:
        return 0
    if deck.main.clip == 0 or scratch.in_hand(deck) or deck.spin < 1.0:
        return 0
    if not rubberband.SLOWEST < abs(deck.velocity) < rubberband.FASTEST:
        return 0
    chosen = int(values.keylock_engine)
    engine = ctx.keylock_engine if chosen == _AUTO else chosen
    if values.keylock >= 0.5 and not bends:
        engine += rubberband.LEVEL
    return engine if ctx.shifter[number, engine - 1] != 0 else 0


@kernel
def update(ctx: Any, state: Any, number: int) -> None:
    """Once a cell, after the voice has its speed: read ahead, shift, and have this cell's wet sound ready."""
    deck, values = state.deck[number], state.values.deck[number]
    lock = deck.lock
    best = _wanted(ctx, state, number)
    if lock.engine == 0 and best == 0:
        return
    # one that can bend goes on when the key is back, until it begins anew: each change is heard dry for a moment
    wanted = lock.engine if lock.engine != 0 and best == lock.engine + rubberband.LEVEL else best
    key = values.key + 0.01 * values.key_fine
    hold = 1.0 if values.keylock >= 0.5 else 0.0
    if lock.engine == 0:
        lock.engine = best
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
    if lock.fed == 0 and best != 0:
        lock.engine = wanted = best
    ctx.shifter_frame[number] = state.frame + CELL_FRAMES
    feeding.fill(ctx, state, number)
    if not _take(ctx, state, number):
        clear(ctx.wet[number, 0], 0, CELL_FRAMES)
        clear(ctx.wet[number, 1], 0, CELL_FRAMES)
    elif wanted == lock.engine and lock.placed == 1:
        blend.to_wet(lock)


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
    if lock.taken == 0:
        lock.spare = float(rubberband.spare_frames(handle))
    lock.taken = min(lock.taken + 1, feeding.SETTLED_CELLS)
    return True
