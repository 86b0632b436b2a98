# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratching: while a jog is touched the record follows the hand, as a mass on a stiff spring without overshoot does. That
makes an even movement of the jog's ticks. Let go, the motor takes it back, or it runs out where the motor stands."""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.decks import blend, place, slip, speed, sync
from appliance.engine.dsp import voice
from appliance.engine.dsp.glide import glide, settle
from appliance.engine.jit import kernel

TURN_SECONDS = 1.8
"""A turn of a record at 33⅓ turns a minute."""
_STIFFNESS = 200.0
"""Of the spring, in radians a second: the record is 10 ms behind the hand."""
_RUN_OUT_SECONDS = 0.06
_STANDS = 0.01
_FULL_LEVEL_SPEED = 0.06
"""Slower than this it is quieter: a record that stands is silent, it does not hold its last value."""
_FASTEST = 16.0


@kernel
def touch(ctx: Any, state: Any, number: int, on: bool) -> None:
    """A hand on the record, or off it."""
    deck = state.deck[number]
    if on and deck.touched == 0:
        slip.leave(ctx, state, number, slip.SCRATCH)
        sync.let_go(ctx, state, number)
        deck.hand = deck.main.position
        blend.to_dry(deck.lock)
        if deck.main.clip == 0:
            _sound(ctx, state, number)
        deck.touched = 1
    elif not on and deck.touched == 1:
        deck.touched = 0
        if deck.playing == 1:
            slips = deck.away & slip.SCRATCH != 0
            speed.ease_from(deck, speed.normal(ctx, state, number) if slips else deck.velocity)
            slip.come_back(ctx, state, number, slip.SCRATCH)
        else:
            deck.running_out = 1


@kernel
def _sound(ctx: Any, state: Any, number: int) -> None:
    """Set the needle on a record that stands."""
    deck = state.deck[number]
    row = voice.clip_row(ctx, deck.clip)
    gain = row.gain if row.gain > 0.0 else 1.0
    voice.start(deck.main, deck.clip, deck.main.position, 0.0, 0.0, float(row.frames), 0, gain)
    deck.velocity = 0.0
    settle(deck.motion, 0.0)


@kernel
def turn(ctx: Any, state: Any, number: int, turns: float) -> None:
    """The jog has moved, in turns. Touched it moves the record, untouched it pushes it along."""
    deck = state.deck[number]
    if deck.touched == 1:
        rate = voice.clip_row(ctx, deck.clip).rate
        deck.hand = place.within(ctx, deck, deck.hand + turns * TURN_SECONDS * rate)
    elif deck.playing == 1:
        deck.bend += turns
    else:
        rate = voice.clip_row(ctx, deck.clip).rate
        place.move(ctx, state, number, deck.main.position + turns * TURN_SECONDS * rate / 4.0)


@kernel
def in_hand(deck: Any) -> bool:
    """Whether the hand, or what it has left, moves the record."""
    return deck.touched == 1 or deck.running_out == 1


@kernel
def update(ctx: Any, state: Any, number: int) -> None:
    """Once a cell while the record is in hand."""
    deck = state.deck[number]
    row = voice.clip_row(ctx, deck.clip)
    seconds = CELL_FRAMES / ctx.rate
    before = deck.velocity
    if deck.touched == 1:
        behind = (deck.hand - deck.main.position) / row.rate
        now = before + (_STIFFNESS * _STIFFNESS * behind - 2.0 * _STIFFNESS * before) * seconds
        now = min(max(now, -_FASTEST), _FASTEST)
    else:
        now = before * math.exp(-seconds / _RUN_OUT_SECONDS)
        if abs(now) < _STANDS:
            stop(deck)
            return
    ahead = deck.main.position + 0.5 * (before + now) * seconds * row.rate
    if ahead < 1.0 or ahead > row.frames - 2.0:  # the record ends here
        before = now = 0.0
        deck.hand = place.within(ctx, deck, deck.hand)
    factor = speed.scale(ctx, deck)
    voice.set_speed(deck.main, before * factor, (now - before) * factor / CELL_FRAMES)
    deck.velocity = now


@kernel
def stop(deck: Any) -> None:
    """The record stands."""
    deck.running_out = 0
    voice.silence(deck.main)
    deck.velocity = 0.0


@kernel
def control_level(deck: Any) -> None:
    """Once a cell: as loud as the record is fast, while a hand or a brake slows it."""
    slow = deck.touched == 1 or deck.running_out == 1 or deck.spin < 1.0
    glide(deck.motion, min(abs(deck.velocity) / _FULL_LEVEL_SPEED, 1.0) if slow else 1.0)
