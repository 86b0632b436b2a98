# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a deck stands, in frames of its clip, and how it gets elsewhere. Who moves keeps the beat where that is wanted."""

from __future__ import annotations

import math
from typing import Any

from appliance.engine.context import context_at, state_at
from appliance.engine.decks import blend, grid
from appliance.engine.dsp import voice
from appliance.engine.jit import address_of, f64, i64, kernel, leaf, unit, void

_ON_A_FRAME = 1e-4


@kernel
def frames_at(ctx: Any, deck: Any, seconds: float) -> float:
    """Clip frames at a time of the clip; times that mean a frame give exactly that."""
    frames = seconds * voice.clip_row(ctx, deck.clip).rate
    whole = math.floor(frames + 0.5)
    return whole if abs(frames - whole) < _ON_A_FRAME else frames


@kernel
def seconds_at(ctx: Any, deck: Any, frames: float) -> float:
    rate = voice.clip_row(ctx, deck.clip).rate
    return frames / rate if rate > 0.0 else 0.0


@kernel
def within(ctx: Any, deck: Any, position: float) -> float:
    """The nearest place that the clip has."""
    return min(max(position, 0.0), max(float(voice.clip_row(ctx, deck.clip).frames) - 1.0, 0.0))


@kernel
def snap(ctx: Any, state: Any, number: int, position: float) -> float:
    """The nearest beat, when the deck is quantised and its beats are known."""
    deck = state.deck[number]
    if state.values.deck[number].quantize < 0.5 or not grid.known(ctx, deck):
        return position
    beat = math.floor(grid.beat_of(ctx, deck, state.clock, position) + 0.5)
    return within(ctx, deck, grid.frame_of(ctx, deck, state.clock, beat))


@kernel
def in_phase(ctx: Any, state: Any, number: int, position: float) -> float:
    """The place nearest to ``position`` that is whole beats away from the playhead."""
    deck = state.deck[number]
    here = grid.beat_of(ctx, deck, state.clock, deck.main.position)
    beats = math.floor(grid.beat_of(ctx, deck, state.clock, position) - here + 0.5)
    target = grid.frame_of(ctx, deck, state.clock, here + beats)
    return target if target >= 0.0 else grid.frame_of(ctx, deck, state.clock, here + beats + 1.0)


@kernel
def cross(deck: Any, position: float) -> None:
    """Cross-fade from where the sounding deck is to ``position``."""
    leave_ringing(deck)
    voice.enter(deck.main, position)


@kernel
def leave_ringing(deck: Any) -> None:
    """What the deck plays rings out for 5 ms, as loud as it is heard; its voice is free to go elsewhere."""
    if deck.main.clip == 0:
        return
    tail = voice.free_tail(deck.tail)
    voice.hand_over(deck.main, tail)
    tail.gain *= deck.motion.end * blend.dry_gain(deck.lock)
    blend.cut(deck.lock)


@kernel
def _move(ctx: Any, state: Any, number: int, position: float) -> None:
    deck = state.deck[number]
    position = within(ctx, deck, position)
    if deck.synced == 1:
        deck.beat_offset += (grid.beat_of(ctx, deck, state.clock, position)
                             - grid.beat_of(ctx, deck, state.clock, deck.main.position))
    if deck.main.clip != 0:
        cross(deck, position)
    else:
        deck.main.position = position


@unit("move", void, i64, i64, i64, f64)
def _move_unit(ctx: int, state: int, number: int, position: float) -> None:
    _move(context_at(ctx), state_at(state), number, position)


@leaf
def move(ctx: Any, state: Any, number: int, position: float) -> None:
    """To a place, with a cross-fade when the deck sounds. A deck that is locked stays so: its beat moves as far."""
    _move_unit(address_of(ctx), address_of(state), number, position)


@kernel
def jump(ctx: Any, state: Any, number: int, position: float) -> None:
    """:func:`move`, on the beat while a quantised or locked deck plays."""
    deck = state.deck[number]
    keeps = state.values.deck[number].quantize >= 0.5 or deck.synced == 1
    if keeps and deck.playing == 1 and deck.previewing == 0 and grid.known(ctx, deck):
        position = in_phase(ctx, state, number, position)
    move(ctx, state, number, position)
