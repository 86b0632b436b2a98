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
from appliance.bus.layout import CELL_FRAMES, CLIP
from appliance.engine.dsp.glide import begin_fade, eased
from appliance.engine.dsp.windows import STREAMS, can_run
from appliance.engine.jit import kernel, leaf

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
def start(voice: Any, handle: int, position: float, step: float, begin: float, end: float, loop: int, gain: float) -> None:
    """Play from ``position``. From the region's very start the attack is left as it is; from elsewhere it fades in."""
    voice.clip = handle
    voice.position = position
    voice.step = step
    voice.slope = 0.0
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
    tail.begin = main.begin
    tail.end = main.end
    tail.loop = main.loop
    tail.gain = main.gain
    begin_fade(tail.fade, main.fade.level, 0.0, FADE_FRAMES)


@kernel
def jump(main: Any, tail: Any, position: float) -> None:
    """Move a sounding voice to another place with a cross-fade."""
    hand_over(main, tail)
    main.position = position
    begin_fade(main.fade, 0.0, 1.0, FADE_FRAMES)


@kernel
def cross_seam(main: Any, tail: Any) -> None:
    """Once a cell: when the loop's seam comes in this cell, cross-fade over it. Once a cell, so that the sound does not
    depend on how blocks are cut."""
    after = main.position + main.step * CELL_FRAMES
    forward = main.step >= 0.0
    if main.clip == 0 or (forward and after < main.end) or (not forward and after >= main.begin):
        return
    length = main.end - main.begin
    hand_over(main, tail)
    tail.loop = 0
    tail.begin = 0.0
    tail.end = 1e15
    main.position += -length if forward else length
    begin_fade(main.fade, 0.0, 1.0, FADE_FRAMES)


_HALF, _ONE, _THREE_HALVES, _TWO, _FIVE_HALVES = (np.float32(x) for x in (0.5, 1.0, 1.5, 2.0, 2.5))


@leaf
def _taps(t: float) -> tuple[float, float, float, float]:
    """Weights of the frames before, at, after and two after a position with fraction ``t``, a float32 (Catmull-Rom)."""
    square = t * t
    cube = square * t
    return (square - _HALF * (cube + t), _ONE + _THREE_HALVES * cube - _FIVE_HALVES * square,
            _HALF * t + _TWO * square - _THREE_HALVES * cube, _HALF * (cube - square))


@kernel
def _interpolate(
    ctx: Any, audio: np.ndarray, weight: float, position: float, step: float, slope: float,
    left: np.ndarray, right: np.ndarray,
) -> tuple[float, float]:
    """Add a stretch in which nothing begins or ends, up to a cell long; returns the next position and step.

    In three loops, so that the weights are computed several at a time: only the first has to go frame by frame.
    """
    count = len(left)
    base, share = ctx.tap_base, ctx.tap_share
    for i in range(count):
        k = int(position)
        base[i] = np.uint64(k - 1)
        share[i] = np.float32(position - k)
        position += step
        step += slope
    taps = ctx.taps
    for i in range(count):
        w0, w1, w2, w3 = _taps(share[i])
        taps[0, i], taps[1, i], taps[2, i], taps[3, i] = w0, w1, w2, w3
    for i in range(count):
        k0 = base[i]  # unsigned: no index from the end to look for
        k1, k2, k3 = k0 + np.uint64(1), k0 + np.uint64(2), k0 + np.uint64(3)
        w0, w1, w2, w3 = taps[0, i], taps[1, i], taps[2, i], taps[3, i]
        left[i] += weight * (w0 * audio[k0, 0] + w1 * audio[k1, 0] + w2 * audio[k2, 0] + w3 * audio[k3, 0])
        right[i] += weight * (w0 * audio[k0, 1] + w1 * audio[k1, 1] + w2 * audio[k2, 1] + w3 * audio[k3, 1])
    return position, step


@leaf
def _wrapped(index: int, low: int, high: int, loop: bool, frames: int) -> int:
    """Where the neighbour ``index`` is read: round the loop, or -1 outside the clip."""
    if loop:
        if index >= high:
            index -= high - low
        elif index < 0:
            index += high - low
    return index if 0 <= index < frames else -1


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
def run(ctx: Any, voice: Any, left: np.ndarray, right: np.ndarray, first: int, count: int) -> bool:
    """Add ``count`` frames of the voice to ``left`` and ``right`` from ``first``; False when it has ended.

    A loop whose seam is passed wraps exactly (``position`` keeps its fraction). Frames that are not decoded yet, or not in
    memory, are silence.
    """
    address = clip_address(ctx, voice.clip)
    if address == 0:
        silence(voice)
        return False
    frames = readable_frames(ctx, voice.clip)
    total = clip_row(ctx, voice.clip).frames
    streams = address & STREAMS
    audio = carray(pointer(address - streams), (total, 2), np.float32)
    position, step, slope, begin, end = voice.position, voice.step, voice.slope, voice.begin, voice.end
    loop = voice.loop != 0
    low, high = int(begin), int(end)
    gain = voice.gain
    level, climb, left_over = voice.fade.level, voice.fade.step, voice.fade.left
    alive = True
    last = position + (step + 0.5 * slope * count) * count
    lowest, highest = min(position, last) - 2.0 - abs(step), max(position, last) + 3.0 + abs(step)
    if streams != 0 and not can_run(ctx, voice, lowest, min(highest, float(frames)), total):
        return _pass_unheard(voice, count, total)
    if left_over == 0 and lowest >= max(float(low), 0.0) and highest < min(float(high), float(frames)) - 2.0:
        weight = np.float32(gain * eased(level))
        if step == 1.0 and slope == 0.0 and position == math.floor(position):  # at its own speed a clip is only copied
            begun = int(position)
            span, here, there = audio[begun : begun + count], left[first : first + count], right[first : first + count]
            for i in range(count):
                here[i] += weight * span[i, 0]
                there[i] += weight * span[i, 1]
            voice.position = position + count
            return True
        voice.position, voice.step = _interpolate(  # the common case: nothing comes to an end in this span
            ctx, audio, weight, position, step, slope, left[first : first + count], right[first : first + count])
        return True
    for i in range(first, first + count):
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
        index = int(math.floor(position))
        if 1 <= index < frames - 2 and (not loop or low + 1 <= index < high - 2):
            x0, x1, x2, x3 = audio[index - 1, 0], audio[index, 0], audio[index + 1, 0], audio[index + 2, 0]
            y0, y1, y2, y3 = audio[index - 1, 1], audio[index, 1], audio[index + 1, 1], audio[index + 2, 1]
        else:
            p, q = _wrapped(index - 1, low, high, loop, frames), _wrapped(index, low, high, loop, frames)
            r, s = _wrapped(index + 1, low, high, loop, frames), _wrapped(index + 2, low, high, loop, frames)
            zero = np.float32(0.0)
            x0 = audio[p, 0] if p >= 0 else zero
            x1 = audio[q, 0] if q >= 0 else zero
            x2 = audio[r, 0] if r >= 0 else zero
            x3 = audio[s, 0] if s >= 0 else zero
            y0 = audio[p, 1] if p >= 0 else zero
            y1 = audio[q, 1] if q >= 0 else zero
            y2 = audio[r, 1] if r >= 0 else zero
            y3 = audio[s, 1] if s >= 0 else zero
        weight = np.float32(gain * eased(level))
        w0, w1, w2, w3 = _taps(np.float32(position - index))
        left[i] += weight * (w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3)
        right[i] += weight * (w0 * y0 + w1 * y1 + w2 * y2 + w3 * y3)
        position += step
        step += slope
    if not alive:
        silence(voice)
        return False
    voice.position, voice.step = position, step
    voice.fade.level, voice.fade.left = level, left_over
    return True
