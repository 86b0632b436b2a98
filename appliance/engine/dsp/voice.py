# SPDX-License-Identifier: GPL-3.0-or-later
"""A reading head in a clip: any speed, forward or back, looped or not, with click-free starts, jumps and stops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import load_acquire, pointer
from appliance.bus.clips import PLACE_BITS
from appliance.bus.layout import CELL_FRAMES, CLIP, VOICE
from appliance.engine.context import context_at
from appliance.engine.dsp.gain import clear
from appliance.engine.dsp.glide import begin_fade, eased
from appliance.engine.dsp.sinc import AFTER, BEFORE, around, interpolate, table_for
from appliance.engine.dsp.windows import STREAMS, can_run
from appliance.engine.jit import address_of, i64, kernel, leaf, record_at, unit

FADE_FRAMES = 240
"""5 ms at 48 kHz: long enough for no click, short enough for no mush."""

_TABLE = layout.offset("clip")
_READABLE = (CLIP.fields or {})["readable"][1]
_ROW_SIZE = CLIP.itemsize
_PLACE_MASK = (1 << PLACE_BITS) - 1


@kernel
def clip_row(ctx: Any, handle: int) -> Any:
    """The row of the clip table that a handle means."""
    return carray(pointer(ctx.base + _TABLE), (layout.CLIPS,), CLIP)[handle & _PLACE_MASK]


@kernel
def clip_address(ctx: Any, handle: int) -> int:
    """Where the clip's audio lies in this process, odd (``STREAMS``) when only windows of it are in memory; 0 when it is not
    mapped here or the handle is of an older clip."""
    place = handle & _PLACE_MASK
    if handle == 0 or place >= layout.CLIPS or ctx.clip_generation[place] != handle >> PLACE_BITS:
        return 0
    return ctx.clip_address[place]


@kernel
def readable_frames(ctx: Any, handle: int) -> int:
    """How much of the clip is decoded by now."""
    return load_acquire(ctx.base + _TABLE + (handle & _PLACE_MASK) * _ROW_SIZE + _READABLE)


@kernel
def silence(voice: Any) -> None:
    voice.clip = 0
    voice.fade.level = 0.0
    voice.fade.step = 0.0
    voice.fade.left = 0


@kernel
def set_speed(voice: Any, step: float, slope: float) -> None:
    """Once a cell: clip frames a frame, and by how much that changes a frame."""
    voice.step = step
    voice.slope = slope
    voice.table = table_for(step)


STEER_FRAMES = 128.0
"""So far a voice is pulled to its place by :func:`steer`, from further away it jumps. The greatest jump of the tempo moves it
less."""


@kernel
def steer(voice: Any, apart: float, step: float) -> None:
    """Once a cell: bend the voice's speed, without a corner, to that of a target at the speed ``step``, which is ``apart``
    frames ahead. What it is behind, or falls behind meanwhile, is halved in each cell."""
    end = step + 0.5 * apart / CELL_FRAMES
    set_speed(voice, voice.step, (end - voice.step) / CELL_FRAMES)


@kernel
def start(voice: Any, handle: int, position: float, step: float, begin: float, end: float, loop: int, gain: float) -> None:
    """Play from ``position``. From the region's very start the attack is left as it is; from elsewhere it fades in."""
    voice.clip = handle
    voice.position = position
    set_speed(voice, step, 0.0)
    voice.begin = begin
    voice.end = end
    voice.loop = loop
    voice.gain = gain
    untouched = step >= 0.0 and position < begin + 2.0 and begin < 2.0
    begin_fade(voice.fade, 1.0 if untouched else 0.0, 1.0, 0 if untouched else FADE_FRAMES)


@kernel
def fade_out(voice: Any) -> None:
    """End the voice in 5 ms."""
    if voice.clip != 0:
        begin_fade(voice.fade, voice.fade.level, 0.0, FADE_FRAMES)


@kernel
def hand_over(main: Any, tail: Any) -> None:
    """Let what ``main`` plays ring out for 5 ms on ``tail``, so that ``main`` may go elsewhere without a click."""
    if main.clip == 0 or main.fade.level <= 0.0:
        return
    tail.clip = main.clip
    tail.position = main.position
    tail.step = main.step
    tail.slope = 0.0
    tail.table = main.table
    tail.begin = main.begin
    tail.end = main.end
    tail.loop = main.loop
    tail.gain = main.gain
    begin_fade(tail.fade, main.fade.level, 0.0, FADE_FRAMES)


@kernel
def free_tail(tails: Any) -> Any:
    """Of two the one that rings no more, or the nearer to its end: what jumps twice within 5 ms needs both."""
    if tails[0].clip == 0 or (tails[1].clip != 0 and tails[0].fade.left <= tails[1].fade.left):
        return tails[0]
    return tails[1]


@kernel
def jump(main: Any, tail: Any, position: float) -> None:
    """Move a sounding voice to another place with a cross-fade."""
    hand_over(main, tail)
    enter(main, position)


@kernel
def enter(voice: Any, position: float) -> None:
    """On from another place, fading in."""
    voice.position = position
    begin_fade(voice.fade, 0.0, 1.0, FADE_FRAMES)


@kernel
def cross_seam(main: Any, tail: Any) -> float:
    """Once a cell: when the loop's seam comes in this cell, cross-fade over it; returns by how many frames the voice was moved.
    Once a cell, so that the sound does not depend on how blocks are cut."""
    after = main.position + (main.step + 0.5 * main.slope * CELL_FRAMES) * CELL_FRAMES
    forward = main.step >= 0.0
    if main.clip == 0 or (forward and after < main.end) or (not forward and after >= main.begin):
        return 0.0
    length = main.end - main.begin
    hand_over(main, tail)
    tail.loop = 0
    tail.begin = 0.0
    tail.end = 1e15
    moved = -length if forward else length
    main.position += moved
    begin_fade(main.fade, 0.0, 1.0, FADE_FRAMES)
    return moved


@kernel
def _pass_unheard(voice: Any, count: int, total: int) -> bool:
    """Move on over frames that are not in memory yet; what comes after them fades in. False when the voice has ended."""
    voice.position += (voice.step + 0.5 * voice.slope * (count - 1)) * count
    voice.step += voice.slope * count
    position, length = voice.position, voice.end - voice.begin
    if voice.loop != 0 and length > 0.0:
        if position >= voice.end or (position < voice.begin and voice.step < 0.0):
            voice.position = voice.begin + (position - voice.begin) % length
    elif position >= voice.end or position >= total or (position < 0.0 and voice.step < 0.0):
        silence(voice)
        return False
    if voice.fade.left > 0 and voice.fade.step < 0.0:
        voice.fade.left -= count
        voice.fade.level += voice.fade.step * count
        if voice.fade.left <= 0:
            silence(voice)
            return False
    else:
        begin_fade(voice.fade, 0.0, 1.0, FADE_FRAMES)
    return True


@kernel
def _read(ctx: Any, voice: Any, audio: np.ndarray, weight: float, left: np.ndarray, right: np.ndarray) -> None:
    """Add a stretch in which nothing comes to an end."""
    position = voice.position
    if voice.step == 1.0 and voice.slope == 0.0 and position == math.floor(position):  # at its own speed a clip is only copied
        count = len(left)
        span = audio[2 * int(position) : 2 * (int(position) + count)]
        for i in range(count):
            left[i] += weight * span[2 * i]
            right[i] += weight * span[2 * i + 1]
        voice.position = position + count
    else:
        voice.position, voice.step = interpolate(
            ctx, audio, voice.table, weight, position, voice.step, voice.slope, left, right)


@kernel
def _read_faded(ctx: Any, voice: Any, audio: np.ndarray, left: np.ndarray, right: np.ndarray) -> bool:
    """The same while the voice fades in or out; False when it is out."""
    count = len(left)
    x, y = ctx.faded[0, :count], ctx.faded[1, :count]
    clear(x, 0, count)
    clear(y, 0, count)
    _read(ctx, voice, audio, np.float32(1.0), x, y)
    fade, gain = voice.fade, voice.gain
    for i in range(count):
        if fade.left > 0:
            fade.level += fade.step
            fade.left -= 1
            if fade.left == 0:
                if fade.step < 0.0:
                    silence(voice)
                    return False
                fade.level = 1.0
        weight = np.float32(gain * eased(fade.level))
        left[i] += weight * x[i]
        right[i] += weight * y[i]
    return True


@kernel
def _run(ctx: Any, voice: Any, left: np.ndarray, right: np.ndarray, count: int) -> bool:
    """See :func:`run`."""
    address = clip_address(ctx, voice.clip)
    if address == 0:
        silence(voice)
        return False
    frames = readable_frames(ctx, voice.clip)
    total = clip_row(ctx, voice.clip).frames
    streams = address & STREAMS
    audio = carray(pointer(address - streams), (2 * total,), np.float32)
    position, step, slope, begin, end = voice.position, voice.step, voice.slope, voice.begin, voice.end
    loop = voice.loop != 0
    low, high = int(begin), int(end)
    gain = voice.gain
    level, climb, left_over = voice.fade.level, voice.fade.step, voice.fade.left
    alive = True
    last = position + (step + 0.5 * slope * count) * count
    lowest = min(position, last) - abs(step) - BEFORE - 1
    highest = max(position, last) + abs(step) + AFTER + 1
    if streams != 0 and not can_run(ctx, voice, lowest, min(highest, float(frames)), total):
        return _pass_unheard(voice, count, total)
    if lowest >= max(float(low), 0.0) and highest < min(float(high), float(frames)):  # the common case: no end in this span
        here, there = left[:count], right[:count]
        if left_over == 0:
            _read(ctx, voice, audio, np.float32(gain * eased(level)), here, there)
            return True
        return _read_faded(ctx, voice, audio, here, there)
    for i in range(count):
        if loop:
            if position >= end:
                position -= end - begin
            elif position < begin and step < 0.0:
                position += end - begin
        elif position >= end or position >= total or (position < 0.0 and step < 0.0):
            alive = False
            break
        if left_over > 0:
            level += climb
            left_over -= 1
            if left_over == 0:
                if climb < 0.0:
                    alive = False
                    break
                level = 1.0
        x, y = around(ctx, audio, voice.table, position, low, high, loop, frames)
        weight = np.float32(gain * eased(level))
        left[i] += weight * x
        right[i] += weight * y
        position += step
        step += slope
    if not alive:
        silence(voice)
        return False
    voice.position, voice.step = position, step
    voice.fade.level, voice.fade.left = level, left_over
    return True


_voice_at = record_at(VOICE)


@unit("voice", i64, i64, i64, i64, i64, i64)
def _run_unit(ctx: int, voice: int, left: int, right: int, count: int) -> int:
    x, y = carray(pointer(left), (count,), np.float32), carray(pointer(right), (count,), np.float32)
    return 1 if _run(context_at(ctx), _voice_at(voice), x, y, count) else 0


@leaf
def run(ctx: Any, voice: Any, left: np.ndarray, right: np.ndarray, first: int, count: int) -> bool:
    """Add ``count`` frames of the voice to ``left`` and ``right`` from ``first``; False when it has ended.

    A loop whose seam is passed wraps exactly (``position`` keeps its fraction). Frames that are not decoded yet, or not in
    memory, are silence.
    """
    here, there = left.ctypes.data + 4 * first, right.ctypes.data + 4 * first
    return _run_unit(address_of(ctx), address_of(voice), here, there, count) != 0
