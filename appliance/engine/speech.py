# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice in the headphones: a clip that is played once on the cue bus, while all else there steps back by 12 dB.

It is made in a buffer of its own, which only the cue's outputs are given: nothing of it can come to master or booth.
"""

from __future__ import annotations

from typing import Any

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.dsp import voice
from appliance.engine.dsp.gain import clear
from appliance.engine.dsp.glide import begin_fade, decibels, glide, glide_decibels, settle
from appliance.engine.jit import kernel, leaf

DUCK_DB = -12.0
DUCKED = 10.0 ** (DUCK_DB / 20.0)


@kernel
def speak(ctx: Any, state: Any, handle: int) -> None:
    """Play a clip from its beginning; what is said already ends in 5 ms. Handle 0: only that."""
    speech = state.speech
    voice.hand_over(speech.main, voice.free_tail(speech.tail))
    voice.silence(speech.main)
    if handle != 0:
        row = voice.clip_row(ctx, handle)
        voice.start(speech.main, handle, 0.0, row.rate / ctx.rate, 0.0, float(row.frames), 0, row.gain)
        begin_fade(speech.main.fade, 0.0, 1.0, voice.FADE_FRAMES)


@kernel
def update(ctx: Any, state: Any) -> None:
    """Once a cell: the headphones step back and come again; the clip fades out where it ends, whatever stands there."""
    speech = state.speech
    main = speech.main
    glide(speech.duck, DUCKED if main.clip != 0 else 1.0)
    glide_decibels(speech.gain, state.values.voice.gain)
    if main.clip == 0:
        return
    voice.set_speed(main, voice.clip_row(ctx, main.clip).rate / ctx.rate, 0.0)
    if main.position + main.step * (CELL_FRAMES + voice.FADE_FRAMES) >= main.end and main.fade.step >= 0.0:
        voice.fade_out(main)


@kernel
def render(ctx: Any, state: Any, start: int, count: int) -> None:
    """Put what is said from ``start`` on into ``ctx.speech``."""
    left, right = ctx.speech[0], ctx.speech[1]
    clear(left, start, count)
    clear(right, start, count)
    speech = state.speech
    for number in range(2):
        if speech.tail[number].clip != 0:
            voice.run(ctx, speech.tail[number], left, right, start, count)
    if speech.main.clip != 0:
        voice.run(ctx, speech.main, left, right, start, count)


@leaf
def is_heard(speech: Any) -> bool:
    """Somebody speaks, or the rest has not come back yet. What is cut off rings out while it comes back."""
    return speech.main.clip != 0 or speech.duck.now != 1.0 or speech.duck.step != 0.0


@kernel
def skip(state: Any, frames: int) -> None:
    """Go on as if ``frames`` had been heard."""
    speech = state.speech
    for number in range(2):
        voice.silence(speech.tail[number])
    if speech.main.clip != 0:
        speech.main.position += speech.main.step * frames
        if speech.main.position >= speech.main.end:
            voice.silence(speech.main)


@kernel
def settle_speech(state: Any) -> None:
    """At the very first block: nobody speaks, and nothing fades in."""
    settle(state.speech.duck, 1.0)
    settle(state.speech.gain, decibels(state.values.voice.gain))
