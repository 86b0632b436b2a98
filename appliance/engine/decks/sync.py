# SPDX-License-Identifier: GPL-3.0-or-later
"""Sync: a locked deck's place is computed from the clock's beat, ``ratio · beat + offset`` through its grid, never accumulated.

``ratio`` is 1, or 2 or 1/2 where the deck's tempo is nearer to twice or half the clock's. ``offset`` is chosen so that beats
fall together when the lock begins; jumps, loops and nudges change it, nothing else does.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.commands import Source
from appliance.bus.layout import CELL_FRAMES
from appliance.engine.decks import grid, place
from appliance.engine.dsp import voice
from appliance.engine.jit import kernel
from appliance.engine.journal import set_value
from appliance.engine.transport import beat_at
from appliance.nodes import NAMESPACE

_BY_ENGINE = int(Source.ENGINE)
_RATE = NAMESPACE.find("/deck/1/rate").slot
_STRIDE = NAMESPACE.find("/deck/2/rate").slot - _RATE
_SLOWEST, _FASTEST = (getattr(NAMESPACE.find("/deck/1/rate").node, name) for name in ("minimum", "maximum"))
_ON_A_FRAME = 1e-4
_CORNER = 1e-4
"""Changes of speed up to this are not rounded."""
_ASTRAY_BEATS = 1.0 / 64.0
"""Further away than this, the clock has jumped: the deck stays where it is, but for its beat."""


@kernel
def wanted(ctx: Any, state: Any, number: int) -> bool:
    deck = state.deck[number]
    return state.values.deck[number].sync >= 0.5 and grid.known(ctx, deck)


@kernel
def speed(ctx: Any, state: Any, number: int) -> float:
    """The speed at which the deck has the clock's tempo."""
    deck, clock = state.deck[number], state.clock
    row = voice.clip_row(ctx, deck.clip)
    natural = 60.0 * row.rate / grid.beat_frames(ctx, deck, clock, deck.main.position)
    return clock.bpm * _ratio(clock.bpm, natural) / natural


@kernel
def _ratio(clock_bpm: float, deck_bpm: float) -> float:
    best, chosen = 1e9, 1.0
    for i in range(3):
        ratio = 1.0 if i == 0 else (2.0 if i == 1 else 0.5)
        speed = clock_bpm * ratio / deck_bpm
        away = max(speed, 1.0 / speed)
        if away < best - 0.01:
            best, chosen = away, ratio
    return chosen


@kernel
def lock(ctx: Any, state: Any, number: int) -> None:
    """Begin to follow the clock: the offset nearest to where the deck stands at which beats fall together. The deck is moved
    there by :func:`follow`, or by who starts it."""
    deck, clock = state.deck[number], state.clock
    row = voice.clip_row(ctx, deck.clip)
    natural = 60.0 * row.rate / grid.beat_frames(ctx, deck, clock, deck.main.position)
    deck.beat_ratio = _ratio(clock.bpm, natural)
    deck.synced = 1
    _align(ctx, state, number)


@kernel
def _align(ctx: Any, state: Any, number: int) -> None:
    deck, clock = state.deck[number], state.clock
    unit = min(deck.beat_ratio, 1.0)
    free = grid.beat_of(ctx, deck, clock, deck.main.position) - deck.beat_ratio * beat_at(clock, state.frame, ctx.rate)
    deck.beat_offset = math.floor(free / unit + 0.5) * unit


@kernel
def due(ctx: Any, state: Any, number: int, frames: int) -> float:
    """Where the locked deck is to be ``frames`` after this one."""
    deck, clock = state.deck[number], state.clock
    beat = deck.beat_ratio * beat_at(clock, state.frame + frames, ctx.rate) + deck.beat_offset
    return grid.frame_of(ctx, deck, clock, beat)


@kernel
def follow(ctx: Any, state: Any, number: int, extra_speed: float) -> None:
    """Once a cell: the voice gets where the clock will be at the cell's end. ``extra_speed`` (a nudge) moves the phase."""
    deck, clock = state.deck[number], state.clock
    row = voice.clip_row(ctx, deck.clip)
    length = grid.beat_frames(ctx, deck, clock, deck.main.position)
    apart = due(ctx, state, number, 0) - deck.main.position
    if abs(apart) > _ASTRAY_BEATS * length:
        _align(ctx, state, number)
        apart = due(ctx, state, number, 0) - deck.main.position
    if abs(apart) > voice.STEER_FRAMES:
        place.cross(deck, max(deck.main.position + apart, 0.0))
    here = due(ctx, state, number, 0)
    deck.beat_offset += extra_speed * CELL_FRAMES * row.rate / ctx.rate / length
    if abs(deck.main.position - math.floor(deck.main.position + 0.5)) < _ON_A_FRAME:
        deck.main.position = math.floor(deck.main.position + 0.5)
    step = (due(ctx, state, number, CELL_FRAMES) - deck.main.position) / CELL_FRAMES
    if abs(step - 1.0) * CELL_FRAMES < _ON_A_FRAME:
        step = 1.0
    if abs(step - deck.main.step) > _CORNER:
        voice.steer(deck.main, here - deck.main.position, (due(ctx, state, number, CELL_FRAMES) - here) / CELL_FRAMES)
        step = deck.main.step + CELL_FRAMES * deck.main.slope
    else:
        voice.set_speed(deck.main, step, 0.0)
    deck.velocity = step * ctx.rate / row.rate


@kernel
def let_go(ctx: Any, state: Any, number: int) -> None:
    """Follow the clock no longer. Switched off, the deck keeps the tempo that it had."""
    deck = state.deck[number]
    if deck.synced == 1 and state.values.deck[number].sync < 0.5:
        rate = min(max(deck.velocity, _SLOWEST), _FASTEST)
        set_value(ctx, state, _RATE + number * _STRIDE, rate, state.frame, _BY_ENGINE)
    deck.synced = 0
