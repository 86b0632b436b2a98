# SPDX-License-Identifier: GPL-3.0-or-later
"""Loops of a deck. Their ends are values, in seconds of the clip; a roll has ends of its own, so it takes no loop away.

Ends that come from beats stay between frames: rounded, a loop that goes round for an hour would leave the beat.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.commands import Source
from appliance.engine.decks import blend, grid, place, slip
from appliance.engine.dsp import voice
from appliance.engine.jit import kernel
from appliance.engine.journal import set_value
from appliance.nodes import NAMESPACE

SHORTEST_FRAMES = 32.0
_BY_ENGINE = int(Source.ENGINE)
_BEGIN, _END, _BEATS = (NAMESPACE.find(f"/deck/1/loop/{name}").slot for name in ("begin", "end", "beats"))
_STRIDE = NAMESPACE.find("/deck/2/loop/begin").slot - _BEGIN
_LEAST_BEATS = NAMESPACE.find("/deck/1/loop/beats").node.minimum
_MOST_BEATS = NAMESPACE.find("/deck/1/loop/beats").node.maximum


@kernel
def bounds(ctx: Any, state: Any, number: int) -> tuple[float, float]:
    """First frame of the loop in force and the one past its last."""
    deck, values = state.deck[number], state.values.deck[number]
    frames = float(voice.clip_row(ctx, deck.clip).frames)
    if deck.rolling == 1:
        return deck.roll_begin, min(deck.roll_end, frames)
    return place.frames_at(ctx, deck, values.loop_begin), min(place.frames_at(ctx, deck, values.loop_end), frames)


@kernel
def active(ctx: Any, state: Any, number: int) -> bool:
    deck = state.deck[number]
    if deck.looping == 0 and deck.rolling == 0:
        return False
    begin, end = bounds(ctx, state, number)
    return end - begin >= SHORTEST_FRAMES


@kernel
def update(ctx: Any, state: Any, number: int) -> None:
    """Give the voice the loop in force, or the whole clip as far as it is decoded."""
    deck = state.deck[number]
    if active(ctx, state, number):
        deck.main.begin, deck.main.end = bounds(ctx, state, number)
        deck.main.loop = 1
    else:
        deck.main.begin, deck.main.end = 0.0, float(voice.clip_row(ctx, deck.clip).frames)
        deck.main.loop = 0


@kernel
def cross_seam(ctx: Any, state: Any, number: int) -> bool:
    """Once a cell: over the loop's seam, when it comes. A locked deck is a loop's length behind from then on."""
    deck, clock = state.deck[number], state.clock
    if deck.main.loop == 0:
        return False
    begin, end = deck.main.begin, deck.main.end
    tail = voice.free_tail(deck.tail)
    moved = voice.cross_seam(deck.main, tail)
    if moved == 0.0:
        return False
    tail.gain *= blend.dry_gain(deck.lock)
    if deck.synced == 1:
        beats = grid.beat_of(ctx, deck, clock, end) - grid.beat_of(ctx, deck, clock, begin)
        deck.beat_offset += beats if moved > 0.0 else -beats
    return True


@kernel
def _set(ctx: Any, state: Any, number: int, begin: float, end: float) -> bool:
    """Make this the loop. False when it is too short."""
    deck = state.deck[number]
    end = min(end, float(voice.clip_row(ctx, deck.clip).frames))
    if end - begin < SHORTEST_FRAMES:
        return False
    set_value(ctx, state, _BEGIN + number * _STRIDE, place.seconds_at(ctx, deck, begin), state.frame, _BY_ENGINE)
    set_value(ctx, state, _END + number * _STRIDE, place.seconds_at(ctx, deck, end), state.frame, _BY_ENGINE)
    return True


@kernel
def _engage(ctx: Any, state: Any, number: int) -> None:
    deck = state.deck[number]
    if deck.looping == 0:
        slip.leave(ctx, state, number, slip.LOOP)
    deck.looping = 1
    _bring_inside(ctx, state, number)
    update(ctx, state, number)


@kernel
def _bring_inside(ctx: Any, state: Any, number: int) -> None:
    """A playhead that a change of the loop has left behind its end goes on inside, as many loops earlier."""
    deck = state.deck[number]
    begin, end = bounds(ctx, state, number)
    if deck.main.position >= end and end - begin >= SHORTEST_FRAMES:
        place.move(ctx, state, number, begin + (deck.main.position - begin) % (end - begin))


@kernel
def loop_in(ctx: Any, state: Any, number: int) -> None:
    begin = place.snap(ctx, state, number, state.deck[number].main.position)
    seconds = place.seconds_at(ctx, state.deck[number], begin)
    set_value(ctx, state, _BEGIN + number * _STRIDE, seconds, state.frame, _BY_ENGINE)


@kernel
def loop_out(ctx: Any, state: Any, number: int) -> bool:
    deck = state.deck[number]
    begin = place.frames_at(ctx, deck, state.values.deck[number].loop_begin)
    if not _set(ctx, state, number, begin, place.snap(ctx, state, number, deck.main.position)):
        return False
    _engage(ctx, state, number)
    return True


@kernel
def _from_here(ctx: Any, state: Any, number: int, beats: float) -> tuple[float, float]:
    """A loop of so many beats; quantised it begins on the last line of the grid, a beat or the loop's own length."""
    deck, clock = state.deck[number], state.clock
    begin = deck.main.position
    beat = grid.beat_of(ctx, deck, clock, begin)
    if state.values.deck[number].quantize >= 0.5 and grid.known(ctx, deck):
        line = min(beats, 1.0)
        beat = max(math.floor(beat / line + 1e-6), 0.0) * line
        begin = place.within(ctx, deck, grid.frame_of(ctx, deck, clock, beat))
    return begin, grid.frame_of(ctx, deck, clock, beat + beats)


@kernel
def auto(ctx: Any, state: Any, number: int) -> bool:
    """Loop ``loop/beats`` beats from here."""
    begin, end = _from_here(ctx, state, number, state.values.deck[number].loop_beats)
    if not _set(ctx, state, number, begin, end):
        return False
    _engage(ctx, state, number)
    return True


@kernel
def leave(ctx: Any, state: Any, number: int) -> None:
    """Out of the loop: on from here, or where the deck would be."""
    deck = state.deck[number]
    deck.looping = 0
    update(ctx, state, number)
    slip.come_back(ctx, state, number, slip.LOOP)


@kernel
def reloop(ctx: Any, state: Any, number: int) -> bool:
    begin, end = bounds(ctx, state, number)
    if end - begin < SHORTEST_FRAMES:
        return False
    _engage(ctx, state, number)
    place.move(ctx, state, number, begin)
    return True


@kernel
def resize(ctx: Any, state: Any, number: int, factor: float) -> bool:
    """Halve or double: the length of the next auto loop, and the loop that is set."""
    deck, values = state.deck[number], state.values.deck[number]
    beats = min(max(values.loop_beats * factor, _LEAST_BEATS), _MOST_BEATS)
    set_value(ctx, state, _BEATS + number * _STRIDE, beats, state.frame, _BY_ENGINE)
    if deck.looping == 0:
        return True
    begin, end = place.frames_at(ctx, deck, values.loop_begin), place.frames_at(ctx, deck, values.loop_end)
    first = grid.beat_of(ctx, deck, state.clock, begin)
    length = grid.beat_of(ctx, deck, state.clock, end) - first
    end = grid.frame_of(ctx, deck, state.clock, first + length * factor)
    if not _set(ctx, state, number, begin, end):
        return False
    _bring_inside(ctx, state, number)
    update(ctx, state, number)
    return True


@kernel
def shift(ctx: Any, state: Any, number: int, beats: float) -> bool:
    """Move the loop; a deck that is in it goes with it."""
    deck, values, clock = state.deck[number], state.values.deck[number], state.clock
    begin, end = place.frames_at(ctx, deck, values.loop_begin), place.frames_at(ctx, deck, values.loop_end)
    frames = float(voice.clip_row(ctx, deck.clip).frames)
    first, last = grid.beat_of(ctx, deck, clock, begin) + beats, grid.beat_of(ctx, deck, clock, end) + beats
    to_begin = grid.frame_of(ctx, deck, clock, first)
    to_end = grid.frame_of(ctx, deck, clock, last)
    inside = deck.looping == 1 and begin <= deck.main.position < end
    if to_begin < 0.0 or to_end > frames or not _set(ctx, state, number, to_begin, to_end):
        return False
    if inside:
        beat = grid.beat_of(ctx, deck, clock, deck.main.position) + beats
        place.move(ctx, state, number, grid.frame_of(ctx, deck, clock, beat))
    update(ctx, state, number)
    return True


@kernel
def roll(ctx: Any, state: Any, number: int, beats: float) -> bool:
    """Loop so many beats while held, 0: let go, and on from where the deck would be. Another length keeps the beginning."""
    deck = state.deck[number]
    if beats <= 0.0:
        deck.rolling = 0
        update(ctx, state, number)
        slip.come_back(ctx, state, number, slip.ROLL)
        return True
    begin, end = _from_here(ctx, state, number, beats)
    if deck.rolling == 1:
        begin = deck.roll_begin
        first = grid.beat_of(ctx, deck, state.clock, begin)
        end = grid.frame_of(ctx, deck, state.clock, first + beats)
    end = min(end, float(voice.clip_row(ctx, deck.clip).frames))
    if end - begin < SHORTEST_FRAMES:
        return False
    if deck.rolling == 0:
        slip.leave(ctx, state, number, slip.ROLL)
    deck.rolling, deck.roll_begin, deck.roll_end = 1, begin, end
    _bring_inside(ctx, state, number)
    update(ctx, state, number)
    return True
