# SPDX-License-Identifier: GPL-3.0-or-later
"""Decks: a playhead of their own, varispeed, club cue, loops."""

from __future__ import annotations

from typing import Any

from appliance.engine.dsp import voice
from appliance.engine.dsp.glide import glide, settle
from appliance.engine.jit import kernel


@kernel
def load(ctx: Any, deck: Any, handle: int) -> None:
    """Put a clip on the deck, stopped at its start; what played rings out. Handle 0 empties the deck."""
    voice.hand_over(deck.main, deck.tail)
    voice.silence(deck.main)
    deck.clip = handle
    deck.playing = 0
    deck.previewing = 0
    deck.looping = 0
    deck.cue_position = 0.0
    deck.loop_begin = 0.0
    deck.loop_end = 0.0
    deck.main.position = 0.0


@kernel
def clip_step(ctx: Any, deck: Any, rate: float) -> float:
    """Clip frames a frame at speed 1: clips are decoded to the engine's rate, but the rate may change under them."""
    row = voice.clip_row(ctx, deck.clip)
    return row.rate / rate if row.rate > 0.0 else 1.0


@kernel
def set_speed(deck: Any, values: Any) -> float:
    return -values.rate if values.reverse >= 0.5 else values.rate


@kernel
def play(ctx: Any, deck: Any, values: Any, on: bool) -> bool:
    """Start or pause. False when there is nothing to play."""
    if deck.clip == 0:
        return False
    if on:
        deck.previewing = 0
        row = voice.clip_row(ctx, deck.clip)
        if deck.playing == 0:
            settle(deck.rate, set_speed(deck, values))
            if deck.main.clip != 0:
                voice.hand_over(deck.main, deck.tail)
            position = deck.main.position
            if position >= row.frames - 1.0 and values.reverse < 0.5:
                position = 0.0
            gain = row.gain if row.gain > 0.0 else 1.0
            step = deck.rate.now * clip_step(ctx, deck, ctx.rate)
            voice.start(deck.main, deck.clip, position, step, 0.0, float(row.frames), 0, gain)
            place_loop(deck)
            deck.playing = 1
    elif deck.playing == 1:
        voice.hand_over(deck.main, deck.tail)
        voice.silence(deck.main)
        deck.playing = 0
    return True


@kernel
def place_loop(deck: Any) -> None:
    """Give the playing voice the loop that is in force, or the whole clip."""
    if deck.looping == 1 and deck.loop_end > deck.loop_begin:
        deck.main.begin = deck.loop_begin
        deck.main.end = deck.loop_end
        deck.main.loop = 1
    else:
        deck.main.begin = 0.0
        deck.main.loop = 0


@kernel
def seek(ctx: Any, deck: Any, position: float) -> bool:
    """Go to a place in clip frames; a sounding deck cross-fades. It leaves a loop that the place is outside of."""
    if deck.clip == 0:
        return False
    row = voice.clip_row(ctx, deck.clip)
    position = min(max(position, 0.0), max(float(row.frames) - 1.0, 0.0))
    if deck.playing == 1:
        voice.jump(deck.main, deck.tail, position)
    else:
        deck.main.position = position
    if deck.looping == 1 and not deck.loop_begin <= position < deck.loop_end:
        exit_loop(ctx, deck)
    return True


@kernel
def cue(ctx: Any, deck: Any, values: Any, press: bool) -> bool:
    """Club cue. Playing: back to the cue point and stop. Stopped: set the cue point here and play while held."""
    if deck.clip == 0:
        return False
    if press:
        if deck.playing == 1 and deck.previewing == 0:
            play(ctx, deck, values, False)
            deck.main.position = deck.cue_position
        elif deck.playing == 0:
            deck.cue_position = deck.main.position
            play(ctx, deck, values, True)
            deck.previewing = 1
    elif deck.previewing == 1:
        play(ctx, deck, values, False)
        deck.previewing = 0
        deck.main.position = deck.cue_position
    return True


@kernel
def beat_frames(ctx: Any, deck: Any, clock: Any, rate: float) -> float:
    """Clip frames in a beat: by the clip's own tempo, or the clock's when that is not known."""
    row = voice.clip_row(ctx, deck.clip)
    bpm = row.bpm if row.bpm > 0.0 else clock.bpm
    clip_rate = row.rate if row.rate > 0.0 else rate
    return 60.0 * clip_rate / bpm if bpm > 0.0 else clip_rate


@kernel
def loop_from_here(ctx: Any, deck: Any, frames: float) -> bool:
    """Loop the next ``frames`` clip frames from the playhead."""
    if deck.clip == 0:
        return False
    deck.loop_begin = deck.main.position
    return close_loop(ctx, deck, deck.main.position + frames)


@kernel
def close_loop(ctx: Any, deck: Any, end: float) -> bool:
    """End the loop at ``end`` and play it."""
    row = voice.clip_row(ctx, deck.clip)
    end = min(end, float(row.frames))
    if deck.clip == 0 or end - deck.loop_begin < 32.0:
        return False
    deck.loop_end = end
    deck.looping = 1
    if deck.playing == 1 and deck.main.position >= end:
        voice.jump(deck.main, deck.tail, deck.loop_begin)
    place_loop(deck)
    return True


@kernel
def exit_loop(ctx: Any, deck: Any) -> None:
    deck.looping = 0
    deck.main.loop = 0
    deck.main.begin = 0.0
    deck.main.end = float(voice.clip_row(ctx, deck.clip).frames)


@kernel
def reloop(ctx: Any, deck: Any) -> bool:
    if deck.clip == 0 or deck.loop_end - deck.loop_begin < 32.0:
        return False
    deck.looping = 1
    if deck.playing == 1:
        voice.jump(deck.main, deck.tail, deck.loop_begin)
    else:
        deck.main.position = deck.loop_begin
    place_loop(deck)
    return True


@kernel
def update(ctx: Any, deck: Any, values: Any, rate: float) -> None:
    """Once a cell: follow the speed, and the length of a clip that is still being decoded."""
    if deck.playing == 0:
        return
    glide(deck.rate, set_speed(deck, values))
    scale = clip_step(ctx, deck, rate)
    deck.main.step = deck.rate.now * scale
    deck.main.slope = deck.rate.step * scale
    if deck.main.loop == 0:
        deck.main.end = float(voice.clip_row(ctx, deck.clip).frames)
    else:
        voice.cross_seam(deck.main, deck.tail)


@kernel
def render(ctx: Any, deck: Any, number: int, start: int, count: int) -> bool:
    """Add the deck to its channel; False when the clip has just run out."""
    if deck.main.clip == 0 and deck.tail.clip == 0:
        return True
    left, right = ctx.channel[number, 0], ctx.channel[number, 1]
    ctx.channel_used[number] = 1
    if deck.tail.clip != 0:
        voice.run(ctx, deck.tail, left, right, start, count)
    if deck.playing == 1 and deck.main.clip != 0 and not voice.run(ctx, deck.main, left, right, start, count):
        deck.playing = 0
        deck.previewing = 0
        deck.main.position = deck.main.end
        return False
    return True


@kernel
def skip(deck: Any, frames: int) -> None:
    """Move on as if ``frames`` had been played."""
    if deck.playing == 0:
        return
    position = deck.main.position + deck.main.step * frames
    if deck.main.loop != 0 and deck.main.end > deck.main.begin:
        length = deck.main.end - deck.main.begin
        position = deck.main.begin + (position - deck.main.begin) % length
    deck.main.position = position
