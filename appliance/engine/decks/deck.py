# SPDX-License-Identifier: GPL-3.0-or-later
"""A deck: load, play, pause, seek; what moves once a cell; its sound."""

from __future__ import annotations

from typing import Any

from appliance.engine.decks import blend, grid, loops, place, scratch, slip, speed, sync
from appliance.engine.dsp import voice
from appliance.engine.dsp.gain import add_scaled, clear
from appliance.engine.dsp.glide import settle
from appliance.engine.jit import kernel


@kernel
def load(ctx: Any, state: Any, number: int, handle: int, grid_place: int) -> None:
    """Put a clip on the deck, stopped at its start; what played rings out. Handle 0 empties the deck."""
    deck = state.deck[number]
    place.leave_ringing(deck)
    voice.silence(deck.main)
    deck.clip = handle
    deck.grid = grid_place
    deck.playing = 0
    deck.previewing = 0
    deck.looping = 0
    deck.rolling = 0
    deck.censoring = 0
    deck.away = 0
    deck.touched = 0
    deck.running_out = 0
    deck.bend = 0.0
    deck.synced = 0
    deck.velocity = 0.0
    deck.main.position = 0.0
    settle(deck.motion, 1.0)


@kernel
def play(ctx: Any, state: Any, number: int) -> None:
    """Start from where the deck stands; a deck that is to be in sync starts on its beat."""
    deck = state.deck[number]
    if deck.playing == 1:
        return
    row = voice.clip_row(ctx, deck.clip)
    position = deck.main.position
    if position >= row.frames - 1.0 and not speed.backwards(state, number):
        position = 0.0
    if deck.main.clip != 0:
        place.leave_ringing(deck)
    gain = row.gain if row.gain > 0.0 else 1.0
    deck.main.position = position
    deck.synced = 0
    if state.clock.running == 1 and not speed.backwards(state, number) and sync.wanted(ctx, state, number):
        sync.lock(ctx, state, number)
        position = sync.due(ctx, state, number, 0)
        if position < 0.0:
            position += grid.beat_frames(ctx, deck, state.clock, 0.0) * max(deck.beat_ratio, 1.0)
            deck.beat_offset += max(deck.beat_ratio, 1.0)
    voice.start(deck.main, deck.clip, position, 0.0, 0.0, float(row.frames), 0, gain)
    speed.begin(ctx, state, number)
    deck.running_out = 0
    settle(deck.motion, 1.0)
    deck.playing = 1
    loops.update(ctx, state, number)


@kernel
def pause(ctx: Any, state: Any, number: int) -> None:
    """Stop where it stands."""
    deck = state.deck[number]
    if deck.playing == 1 and deck.touched == 0:
        place.leave_ringing(deck)
        voice.silence(deck.main)
    deck.playing = 0
    deck.previewing = 0
    deck.synced = 0
    deck.away = 0


@kernel
def seek(ctx: Any, state: Any, number: int, position: float) -> None:
    """Go to a place in clip frames. It leaves a loop that the place is outside of."""
    deck = state.deck[number]
    deck.away = 0
    deck.rolling = 0
    if deck.synced == 1:
        place.jump(ctx, state, number, position)
    else:
        place.move(ctx, state, number, position)
    leave_loop_outside(ctx, state, number)


@kernel
def leave_loop_outside(ctx: Any, state: Any, number: int) -> None:
    """After a jump: a loop goes on only when the deck is in it."""
    deck = state.deck[number]
    if deck.looping == 1:
        begin, end = loops.bounds(ctx, state, number)
        if not begin <= deck.main.position < end:
            loops.leave(ctx, state, number)
    loops.update(ctx, state, number)


@kernel
def jump(ctx: Any, state: Any, number: int, beats: float) -> None:
    """By beats. In a loop that would be left by it the loop goes along."""
    deck = state.deck[number]
    beat = grid.beat_of(ctx, deck, state.clock, deck.main.position) + beats
    if deck.looping == 1 and loops.shift(ctx, state, number, beats):
        return
    place.move(ctx, state, number, grid.frame_of(ctx, deck, state.clock, beat))
    leave_loop_outside(ctx, state, number)


@kernel
def censor(ctx: Any, state: Any, number: int, on: bool) -> None:
    """Backwards while held, then on from where the deck would be."""
    deck = state.deck[number]
    if on and deck.censoring == 0:
        slip.leave(ctx, state, number, slip.CENSOR)
        deck.censoring = 1
    elif not on and deck.censoring == 1:
        deck.censoring = 0
        speed.ease_from(deck, speed.normal(ctx, state, number))
        slip.come_back(ctx, state, number, slip.CENSOR)


@kernel
def brake(ctx: Any, state: Any, number: int, on: bool) -> None:
    """The motor off or on: the deck runs down, or up from where it stands."""
    deck = state.deck[number]
    if on and deck.playing == 1:
        speed.brake(ctx, state, number, True)
    elif not on:
        if deck.playing == 0:
            play(ctx, state, number)
            deck.synced = 0
            deck.spin = 0.0
            deck.velocity = 0.0
            settle(deck.motion, 0.0)
            voice.set_speed(deck.main, 0.0, 0.0)
        speed.brake(ctx, state, number, False)


@kernel
def update(ctx: Any, state: Any, number: int) -> None:
    """Once a cell."""
    deck = state.deck[number]
    if deck.clip == 0:
        return
    _follow_reverse(ctx, state, number)
    slip.update(ctx, state, number)
    loops.update(ctx, state, number)
    if scratch.in_hand(deck):
        scratch.update(ctx, state, number)
    elif deck.playing == 1:
        if not speed.update(ctx, state, number):
            pause(ctx, state, number)
        elif loops.cross_seam(ctx, state, number) and deck.synced == 1:
            sync.follow(ctx, state, number, 0.0)
    scratch.control_level(deck)


@kernel
def _follow_reverse(ctx: Any, state: Any, number: int) -> None:
    deck = state.deck[number]
    reverse = 1 if state.values.deck[number].reverse >= 0.5 else 0
    if reverse == deck.reversed:
        return
    deck.reversed = reverse
    if reverse == 1:
        if deck.playing == 1:
            slip.leave(ctx, state, number, slip.REVERSE)
    elif deck.away & slip.REVERSE != 0:
        speed.ease_from(deck, speed.normal(ctx, state, number))
        slip.come_back(ctx, state, number, slip.REVERSE)


@kernel
def render(ctx: Any, state: Any, number: int, start: int, count: int) -> bool:
    """Add the deck to its channel; False when the clip has just run out."""
    deck = state.deck[number]
    wet = deck.lock.wet.level > 0.0 or deck.lock.wet.left > 0
    if deck.main.clip == 0 and deck.tail[0].clip == 0 and deck.tail[1].clip == 0 and not wet:
        return True
    left, right = ctx.channel[number, 0], ctx.channel[number, 1]
    ctx.channel_used[number] = 1
    for i in range(2):
        if deck.tail[i].clip != 0:
            voice.run(ctx, deck.tail[i], left, right, start, count)
    if wet:
        _render_wet(ctx, state, number, start, count)
    if deck.main.clip == 0:
        return True
    if deck.motion.now == 1.0 and deck.motion.step == 0.0 and blend.is_dry(deck.lock):
        alive = voice.run(ctx, deck.main, left, right, start, count)
    else:
        x, y = ctx.left[:], ctx.right[:]
        clear(x, start, count)
        clear(y, start, count)
        alive = voice.run(ctx, deck.main, x, y, start, count)
        blend.apply(deck.lock.hidden, True, x[start : start + count], y[start : start + count])
        add_scaled(x, left, start, 0, count, deck.motion)
        add_scaled(y, right, start, 0, count, deck.motion)
    if alive:
        return True
    ended = deck.playing == 1
    deck.main.position = 0.0 if deck.velocity < 0.0 else float(voice.clip_row(ctx, deck.clip).frames)
    pause(ctx, state, number)
    deck.running_out = 0
    return not ended


@kernel
def _render_wet(ctx: Any, state: Any, number: int, start: int, count: int) -> None:
    """Add this cell's sound from the pitch shifter."""
    deck = state.deck[number]
    wet = ctx.wet[number]
    blend.apply(deck.lock.wet, False, wet[0, start : start + count], wet[1, start : start + count])
    for side in range(2):
        add_scaled(wet[side], ctx.channel[number, side], start, 0, count, deck.motion)


@kernel
def skip(ctx: Any, state: Any, number: int, frames: int) -> None:
    """Move on as if ``frames`` had been played."""
    deck = state.deck[number]
    if deck.playing == 0 or deck.clip == 0:
        return
    position = deck.main.position + deck.main.step * frames
    if deck.synced == 1:
        position = sync.due(ctx, state, number, frames)
    if deck.main.loop != 0 and deck.main.end > deck.main.begin and position >= deck.main.end:
        clock, length = state.clock, deck.main.end - deck.main.begin
        wrapped = deck.main.begin + (position - deck.main.begin) % length
        if deck.synced == 1:
            deck.beat_offset += grid.beat_of(ctx, deck, clock, wrapped) - grid.beat_of(ctx, deck, clock, position)
        position = wrapped
    deck.main.position = position
