# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a deck turns: its rate or the clock's, direction, brake and soft start, nudge and the bend of an untouched jog."""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.decks import grid, sync
from appliance.engine.dsp import voice
from appliance.engine.dsp.glide import glide, settle
from appliance.engine.jit import kernel

_BEND_SECONDS = 0.08
"""Time in which two thirds of a bend happen."""
BEND_PER_TURN = 0.3
"""Seconds by which one turn of an untouched jog moves the deck against the others."""


@kernel
def scale(ctx: Any, deck: Any) -> float:
    """Clip frames a frame at speed 1: clips are decoded to the engine's rate, but the rate may change under them."""
    row = voice.clip_row(ctx, deck.clip)
    return row.rate / ctx.rate if row.rate > 0.0 else 1.0


@kernel
def backwards(state: Any, number: int) -> bool:
    deck = state.deck[number]
    return (state.values.deck[number].reverse >= 0.5) != (deck.censoring == 1)


@kernel
def normal(ctx: Any, state: Any, number: int) -> float:
    """The speed that is set, with its direction."""
    speed = sync.speed(ctx, state, number) if sync.wanted(ctx, state, number) else state.values.deck[number].rate
    return -speed if backwards(state, number) else speed


@kernel
def begin(ctx: Any, state: Any, number: int) -> None:
    """For a deck that starts: at full speed at once."""
    deck = state.deck[number]
    speed = normal(ctx, state, number)
    settle(deck.rate, speed)
    deck.spin, deck.spin_step = 1.0, 0.0
    deck.velocity = speed
    voice.set_speed(deck.main, speed * scale(ctx, deck), 0.0)


@kernel
def ease_from(deck: Any, speed: float) -> None:
    """From this speed to the one that is set."""
    settle(deck.rate, speed)
    deck.velocity = speed
    deck.spin, deck.spin_step = 1.0, 0.0


@kernel
def brake(ctx: Any, state: Any, number: int, on: bool) -> None:
    """Let the motor run down, or up again."""
    seconds = max(state.values.deck[number].brake_seconds, 0.01)
    deck = state.deck[number]
    deck.spin_step = (-1.0 if on else 1.0) * CELL_FRAMES / (seconds * ctx.rate)


@kernel
def _bend(ctx: Any, deck: Any) -> float:
    """This cell's share of what the jog has asked for, as speed."""
    if deck.bend == 0.0:
        return 0.0
    share = deck.bend * (1.0 - math.exp(-CELL_FRAMES / (_BEND_SECONDS * ctx.rate)))
    deck.bend -= share
    if abs(deck.bend) < 1e-6:
        deck.bend = 0.0
    return share * BEND_PER_TURN * ctx.rate / CELL_FRAMES


@kernel
def update(ctx: Any, state: Any, number: int) -> bool:
    """Once a cell, for a deck whose motor runs: give its voice the speed. False when a brake has brought it to a stand."""
    deck = state.deck[number]
    extra = state.values.deck[number].nudge + _bend(ctx, deck)
    spin = min(max(deck.spin + deck.spin_step, 0.0), 1.0)
    steady = spin == 1.0 and deck.spin == 1.0
    if steady and not backwards(state, number) and state.clock.running == 1 and sync.wanted(ctx, state, number):
        if deck.synced == 0:
            if deck.velocity <= 0.0:
                _turn(ctx, state, number, extra, spin)  # not before it runs forward again
                return True
            sync.lock(ctx, state, number)
        sync.follow(ctx, state, number, extra)
        settle(deck.rate, deck.velocity)
        return True
    if deck.synced == 1:
        sync.let_go(ctx, state, number)
    _turn(ctx, state, number, extra, spin)
    return deck.spin > 0.0 or deck.spin_step > 0.0


@kernel
def _turn(ctx: Any, state: Any, number: int, extra: float, spin: float) -> None:
    deck = state.deck[number]
    glide(deck.rate, normal(ctx, state, number))
    before, now = deck.velocity, (deck.rate.end + extra) * spin
    factor = scale(ctx, deck)
    voice.set_speed(deck.main, before * factor, (now - before) * factor / CELL_FRAMES)
    deck.velocity = now
    deck.spin = spin
    if spin == 1.0 and deck.spin_step > 0.0:
        deck.spin_step = 0.0


@kernel
def heard_bpm(ctx: Any, state: Any, number: int) -> float:
    """Tempo at which the deck turns now; 0 when its beats are not known."""
    deck = state.deck[number]
    if not grid.known(ctx, deck):
        return 0.0
    speed = deck.velocity if deck.playing == 1 else normal(ctx, state, number)
    row = voice.clip_row(ctx, deck.clip)
    return abs(speed) * 60.0 * row.rate / grid.beat_frames(ctx, deck, state.clock, deck.main.position)
