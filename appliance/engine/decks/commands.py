# SPDX-License-Identifier: GPL-3.0-or-later
"""What people may ask of a deck, by the numbers of the namespace."""

from __future__ import annotations

from typing import Any

from appliance.bus.commands import Source
from appliance.bus.events import Refusal
from appliance.bus.layout import DECKS
from appliance.engine import transport
from appliance.engine.decks import cues, grid, loops, scratch, speed
from appliance.engine.decks import deck as decks
from appliance.engine.dsp import voice
from appliance.engine.jit import kernel
from appliance.engine.journal import set_value
from appliance.nodes import NAMESPACE
from appliance.nodes.deck import HOT_CUES

_code = NAMESPACE.command
_PLAY, _CUE, _SEEK, _JUMP, _BRAKE, _CENSOR, _LEAD = (
    _code("deck", name) for name in ("play", "cue", "seek", "jump", "brake", "censor", "lead")
)
_LOOP_IN, _LOOP_OUT, _LOOP_AUTO, _LOOP_EXIT, _RELOOP, _HALVE, _DOUBLE, _MOVE, _ROLL = (
    _code("deck", f"loop/{name}") for name in ("in", "out", "auto", "exit", "reloop", "halve", "double", "move", "roll")
)
_TOUCH, _TURN = _code("deck", "jog/touch"), _code("deck", "jog/turn")
_PRESS, _SET, _CLEAR = (_code("hotcue", name) for name in ("press", "set", "clear"))
_DECK_CODES = tuple(code for name, code in NAMESPACE.commands.items() if name.startswith("deck."))
FIRST_DECK, LAST_DECK = min(_DECK_CODES), max(_DECK_CODES)
FIRST_HOT_CUE, LAST_HOT_CUE = min(_PRESS, _SET, _CLEAR), max(_PRESS, _SET, _CLEAR)

_BPM_SLOT = NAMESPACE.find("/clock/bpm").slot
_LOWEST_BPM, _HIGHEST_BPM = (getattr(NAMESPACE.find("/clock/bpm").node, name) for name in ("minimum", "maximum"))
_BY_ENGINE = int(Source.ENGINE)
_FINE, _EMPTY, _UNKNOWN, _NO_GRID, _TOO_SHORT = (
    0, int(Refusal.EMPTY), int(Refusal.UNKNOWN), int(Refusal.NO_GRID), int(Refusal.TOO_SHORT)
)


@kernel
def obey_deck(ctx: Any, state: Any, code: int, number: int, a: float) -> int:
    """Returns 0 or why not (``Refusal``). ``a`` below 0 toggles what can be toggled."""
    if not 0 <= number < DECKS:
        return _UNKNOWN
    deck = state.deck[number]
    if deck.clip == 0:
        return _EMPTY
    if code == _PLAY:
        _play(ctx, state, number, a)
    elif code == _CUE:
        cues.cue(ctx, state, number, a >= 0.5)
    elif code == _SEEK:
        decks.seek(ctx, state, number, a * voice.clip_row(ctx, deck.clip).frames)
    elif code == _JUMP:
        decks.jump(ctx, state, number, a)
    elif code == _BRAKE:
        on = deck.playing == 1 and deck.spin_step >= 0.0 if a < 0.0 else a >= 0.5
        decks.brake(ctx, state, number, on)
    elif code == _CENSOR:
        decks.censor(ctx, state, number, a >= 0.5)
    elif code == _TOUCH:
        scratch.touch(ctx, state, number, a >= 0.5)
    elif code == _TURN:
        scratch.turn(ctx, state, number, a)
    elif code == _LEAD:
        return _lead(ctx, state, number)
    else:
        return _obey_loop(ctx, state, code, number, a)
    return _FINE


@kernel
def _play(ctx: Any, state: Any, number: int, a: float) -> None:
    deck = state.deck[number]
    on = deck.playing == 0 or deck.previewing != 0 if a < 0.0 else a >= 0.5
    if on and deck.previewing != 0:
        deck.previewing = 0  # what was only held plays on
    elif on:
        decks.play(ctx, state, number)
    else:
        decks.pause(ctx, state, number)


@kernel
def _obey_loop(ctx: Any, state: Any, code: int, number: int, a: float) -> int:
    deck = state.deck[number]
    done = True
    if code == _LOOP_IN:
        loops.loop_in(ctx, state, number)
    elif code == _LOOP_OUT:
        done = loops.loop_out(ctx, state, number)
    elif code == _LOOP_AUTO:
        if deck.looping == 0 if a < 0.0 else a >= 0.5:
            done = loops.auto(ctx, state, number)
        else:
            loops.leave(ctx, state, number)
    elif code == _LOOP_EXIT:
        loops.leave(ctx, state, number)
    elif code == _RELOOP:
        done = loops.reloop(ctx, state, number)
    elif code == _HALVE:
        done = loops.resize(ctx, state, number, 0.5)
    elif code == _DOUBLE:
        done = loops.resize(ctx, state, number, 2.0)
    elif code == _MOVE:
        done = loops.shift(ctx, state, number, a)
    elif code == _ROLL:
        done = loops.roll(ctx, state, number, a)
    else:
        return _UNKNOWN
    return _FINE if done else _TOO_SHORT


@kernel
def _lead(ctx: Any, state: Any, number: int) -> int:
    """The clock takes the deck's tempo and beat."""
    deck, clock = state.deck[number], state.clock
    if not grid.known(ctx, deck):
        return _NO_GRID
    bpm = speed.heard_bpm(ctx, state, number)
    while bpm > _HIGHEST_BPM:
        bpm *= 0.5
    while 0.0 < bpm < _LOWEST_BPM:
        bpm *= 2.0
    set_value(ctx, state, _BPM_SLOT, bpm, state.frame, _BY_ENGINE)
    clock.told_bpm = bpm
    clock.ramping = 0
    transport.align(clock, grid.beat_of(ctx, deck, clock, deck.main.position), bpm, state.frame, ctx.rate)
    return _FINE


@kernel
def obey_hot_cue(ctx: Any, state: Any, code: int, index: int, a: float) -> int:
    """``index``: counted through the decks."""
    number, which = index // HOT_CUES, index % HOT_CUES
    if not 0 <= number < DECKS:
        return _UNKNOWN
    if state.deck[number].clip == 0:
        return _EMPTY
    if code == _PRESS and a < 0.5:
        cues.release(ctx, state, number, which)
    elif code == _PRESS:
        cues.press(ctx, state, number, which)
    elif code == _SET:
        cues.set_hot_cue(ctx, state, number, which)
    elif code == _CLEAR:
        cues.clear_hot_cue(ctx, state, number, which)
    else:
        return _UNKNOWN
    return _FINE
