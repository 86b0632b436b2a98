# SPDX-License-Identifier: GPL-3.0-or-later
"""The cue point and the eight hot cues. Their places are values, in seconds of the clip; a hot cue at -1 is not set."""

from __future__ import annotations

from typing import Any

from appliance.bus.commands import Source
from appliance.engine.decks import deck as decks
from appliance.engine.decks import place, slip
from appliance.engine.jit import kernel
from appliance.engine.journal import set_value
from appliance.nodes import NAMESPACE
from appliance.nodes.deck import HOT_CUES

NOT_SET = -1.0
_BY_ENGINE = int(Source.ENGINE)
_CUE = NAMESPACE.find("/deck/1/cue/at").slot
_STRIDE = NAMESPACE.find("/deck/2/cue/at").slot - _CUE
_HOT = NAMESPACE.find("/deck/1/hotcue/1/at").slot
_HOT_STRIDE = NAMESPACE.find("/deck/1/hotcue/2/at").slot - _HOT
_AT_IT_FRAMES = 1.0
CUE, HOT_CUE = 1, 2
"""In ``previewing``: plays as long as the cue is held; or hot cue number ``previewing - HOT_CUE``, from 0."""


@kernel
def cue_frame(ctx: Any, state: Any, number: int) -> float:
    return place.within(ctx, state.deck[number], place.frames_at(ctx, state.deck[number], state.values.deck[number].cue_at))


@kernel
def set_cue(ctx: Any, state: Any, number: int) -> None:
    """The cue point is here, or on the nearest beat; the deck stands on it."""
    deck = state.deck[number]
    position = place.snap(ctx, state, number, deck.main.position)
    set_value(ctx, state, _CUE + number * _STRIDE, place.seconds_at(ctx, deck, position), state.frame, _BY_ENGINE)
    if deck.playing == 0:
        deck.main.position = position


@kernel
def cue(ctx: Any, state: Any, number: int, press: bool) -> None:
    """Club cue. Playing: back to the cue point and stop. Stopped on it: play while held. Stopped elsewhere: set it here."""
    deck = state.deck[number]
    if not press:
        if deck.previewing == CUE:
            decks.pause(ctx, state, number)
            deck.main.position = cue_frame(ctx, state, number)
    elif deck.playing == 1 and deck.previewing == 0:
        decks.pause(ctx, state, number)
        deck.main.position = cue_frame(ctx, state, number)
    elif deck.playing == 0 and abs(deck.main.position - cue_frame(ctx, state, number)) < _AT_IT_FRAMES:
        deck.main.position = cue_frame(ctx, state, number)
        decks.play(ctx, state, number)
        deck.previewing = CUE
    elif deck.playing == 0:
        set_cue(ctx, state, number)


@kernel
def set_hot_cue(ctx: Any, state: Any, number: int, which: int) -> None:
    deck = state.deck[number]
    seconds = place.seconds_at(ctx, deck, place.snap(ctx, state, number, deck.main.position))
    set_value(ctx, state, _HOT + (number * HOT_CUES + which) * _HOT_STRIDE, seconds, state.frame, _BY_ENGINE)


@kernel
def clear_hot_cue(ctx: Any, state: Any, number: int, which: int) -> None:
    set_value(ctx, state, _HOT + (number * HOT_CUES + which) * _HOT_STRIDE, NOT_SET, state.frame, _BY_ENGINE)


@kernel
def press(ctx: Any, state: Any, number: int, which: int) -> None:
    """A hot cue's button: set it when it is not; else go there, and play while held when the deck stands."""
    deck = state.deck[number]
    seconds = state.values.hotcue[number * HOT_CUES + which].at
    if seconds < 0.0:
        set_hot_cue(ctx, state, number, which)
        return
    position = place.frames_at(ctx, deck, seconds)
    if deck.playing == 0:
        place.move(ctx, state, number, position)
        decks.play(ctx, state, number)
        deck.previewing = HOT_CUE + which
    elif deck.previewing != 0:
        place.move(ctx, state, number, position)
        deck.previewing = HOT_CUE + which
    else:
        slip.leave(ctx, state, number, slip.HOT_CUE)
        place.jump(ctx, state, number, position)
        decks.leave_loop_outside(ctx, state, number)


@kernel
def release(ctx: Any, state: Any, number: int, which: int) -> None:
    """The button let go: back to the hot cue when it was played while held; with slip to where the deck would be."""
    deck = state.deck[number]
    if deck.previewing == HOT_CUE + which:
        decks.pause(ctx, state, number)
        seconds = state.values.hotcue[number * HOT_CUES + which].at
        deck.main.position = place.within(ctx, deck, place.frames_at(ctx, deck, max(seconds, 0.0)))
    else:
        slip.come_back(ctx, state, number, slip.HOT_CUE)
