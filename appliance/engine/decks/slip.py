# SPDX-License-Identifier: GPL-3.0-or-later
"""Slip: while a deck loops, scratches, runs backwards or plays a held hot cue, where it would be moves on unheard, and it comes
back there. Censor and loop rolls do so always, the others when ``slip`` is on."""

from __future__ import annotations

from typing import Any

from appliance.engine.decks import grid, place
from appliance.engine.dsp import voice
from appliance.engine.jit import kernel
from appliance.engine.transport import beat_at

LOOP, SCRATCH, REVERSE, HOT_CUE, CENSOR, ROLL = 1, 2, 4, 8, 16, 32
BY_SWITCH = LOOP | SCRATCH | REVERSE | HOT_CUE


@kernel
def leave(ctx: Any, state: Any, number: int, reason: int) -> None:
    """From here the deck goes astray for this reason."""
    deck = state.deck[number]
    if reason & BY_SWITCH != 0 and state.values.deck[number].slip < 0.5:
        return
    if deck.away == 0:
        deck.ghost = deck.main.position
        deck.ghost_frame = state.frame
        deck.ghost_offset = deck.beat_offset
        deck.ghost_synced = deck.synced
    deck.away |= reason


@kernel
def come_back(ctx: Any, state: Any, number: int, reason: int) -> None:
    """The reason is over; when it was the last one the deck is where it would have been."""
    deck = state.deck[number]
    if deck.away & reason == 0:
        return
    deck.away &= ~reason
    if deck.away != 0:
        return
    advance(ctx, state, number)
    synced, deck.synced = deck.synced, 0
    place.move(ctx, state, number, deck.ghost)
    deck.synced = synced if deck.ghost_synced == 1 else 0
    deck.beat_offset = deck.ghost_offset


@kernel
def advance(ctx: Any, state: Any, number: int) -> None:
    """Move the place where the deck would be on to this frame."""
    deck, values = state.deck[number], state.values.deck[number]
    frames, deck.ghost_frame = state.frame - deck.ghost_frame, state.frame
    if deck.playing == 0:
        return
    if deck.ghost_synced == 1 and state.clock.running == 1:
        beat = deck.beat_ratio * beat_at(state.clock, state.frame, ctx.rate) + deck.ghost_offset
        deck.ghost = grid.frame_of(ctx, deck, state.clock, beat)
    else:
        deck.ghost += values.rate * frames * voice.clip_row(ctx, deck.clip).rate / ctx.rate


@kernel
def update(ctx: Any, state: Any, number: int) -> None:
    """Once a cell."""
    deck = state.deck[number]
    if deck.away == 0:
        return
    advance(ctx, state, number)
    if state.values.deck[number].slip < 0.5 and deck.away & BY_SWITCH != 0:
        come_back(ctx, state, number, deck.away & BY_SWITCH)
