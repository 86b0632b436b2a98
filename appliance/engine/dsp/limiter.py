# SPDX-License-Identifier: GPL-3.0-or-later
"""Look-ahead limiter of master and booth: nothing above the ceiling, between samples neither, no distortion of what stays below.

What counts is the curve through the samples (``curve.py``). The gain that it wants is held at its minimum, let go
exponentially, and averaged twice, so that it has arrived, without a corner, before the peak does and stays until it is over. All lines are addressed by
frame: rendering a block again gives the same block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer
from appliance.bus.layout import CELL_FRAMES, LIMITERS, LINE_FRAMES
from appliance.engine.dsp.curve import CURVE_TAPS, REACH, curve_peaks
from appliance.engine.dsp.glide import glide
from appliance.engine.jit import kernel

LOOK_AHEAD_FRAMES = 48
"""1 ms at 48 kHz; the engine reports it to JACK as its latency."""
MASTER, BOOTH = 0, 1
DRAINED_FRAMES = 128
"""After so many frames of silence a limiter has nothing in its lines and gives silence."""

_FLAT = 3
"""The gain has arrived so many frames before a peak and stays as many after it: a gain that moves bends the curve."""
_AVERAGE = LOOK_AHEAD_FRAMES + 1 - REACH - _FLAT
_NEAR = _AVERAGE // 2
_FAR = _AVERAGE + 1 - _NEAR
"""The two averages, one after the other; together they look back as far as one of ``_AVERAGE``."""
_AREA = float(_NEAR * _FAR)
_HOLD = _AVERAGE + 2 * _FLAT + 1
_AIM = 10.0 ** (-0.05 / 20.0)
"""What is left for the bending of the curve by the gain, and for the last of its height that is not seen."""
_MASK = LINE_FRAMES - 1
_AUDIO, _WANTED, _LEVEL = (layout.offset(name) for name in ("limiter_line", "limiter_gain", "limiter_hold"))


@kernel
def control_limiters(mixer: Any, ceiling_db: float) -> None:
    """Once a cell: both follow one ceiling."""
    mixer.ceiling_before = mixer.ceiling.end - CELL_FRAMES * mixer.ceiling.step
    glide(mixer.ceiling, 10.0 ** (ceiling_db / 20.0))
    for which in range(LIMITERS):
        mixer.limiter[which].reduction += (1.0 - mixer.limiter[which].reduction) * 0.02


@kernel
def clear_limiters(ctx: Any, mixer: Any, frame: int) -> None:
    """Forget what is in the lines before ``frame``: after a jump of the frame count."""
    for which in range(LIMITERS):
        clear_limiter(ctx, mixer, which, frame)


@kernel
def clear_limiter(ctx: Any, mixer: Any, which: int, frame: int) -> None:
    limiter = mixer.limiter[which]
    limiter.quiet_frames = 0
    limiter.window_low = 1.0
    limiter.near_sum, limiter.far_sum, limiter.gain_sum = float(_NEAR), float(_NEAR), _AREA
    audio = carray(pointer(ctx.base + _AUDIO), (LINE_FRAMES, 2 * LIMITERS), np.float32)
    wanted = carray(pointer(ctx.base + _WANTED), (LINE_FRAMES, LIMITERS), np.float32)
    hold = carray(pointer(ctx.base + _LEVEL), (LINE_FRAMES, LIMITERS), np.float32)
    for k in range(frame - DRAINED_FRAMES, frame):
        audio[k & _MASK, 2 * which] = np.float32(0.0)
        audio[k & _MASK, 2 * which + 1] = np.float32(0.0)
        wanted[k & _MASK, which] = np.float32(1.0)
        hold[k & _MASK, which] = np.float32(1.0)


@kernel
def _window_minimum(wanted: np.ndarray, which: int, k: int) -> float:
    lowest = np.float32(1.0)
    for j in range(_HOLD):
        lowest = min(lowest, wanted[(k - j) & _MASK, which])
    return np.float64(lowest)


@kernel
def _window_sum(hold: np.ndarray, which: int, k: int) -> float:
    """Of the ``_NEAR`` frames up to ``k``."""
    total = 0.0
    for j in range(_NEAR):
        total += np.float64(hold[(k - j) & _MASK, which])
    return total


@kernel
def _average_sum(hold: np.ndarray, which: int, k: int) -> float:
    """Of the sums up to ``k``."""
    total = 0.0
    for j in range(_FAR):
        total += _window_sum(hold, which, k - j)
    return total


@kernel
def _listen(ctx: Any, audio: np.ndarray, which: int, frame: int, count: int, floor: float) -> None:
    """Find the peaks of both sides' curve in what has just come in."""
    for side in range(2):
        column = 2 * which + side
        for i in range(CURVE_TAPS + count):
            ctx.curve_line[i] = audio[(frame - CURVE_TAPS + i) & _MASK, column]
        curve_peaks(ctx, count, floor, side == 0)


@kernel
def run_limiter(
    ctx: Any, mixer: Any, which: int, frame: int, release_ms: float, left: np.ndarray, right: np.ndarray
) -> None:
    """Limit a span, within a cell, in place; what comes out is LOOK_AHEAD_FRAMES old. ``frame``: of its first."""
    limiter, count = mixer.limiter[which], len(left)
    audio = carray(pointer(ctx.base + _AUDIO), (LINE_FRAMES, 2 * LIMITERS), np.float32)
    wanted = carray(pointer(ctx.base + _WANTED), (LINE_FRAMES, LIMITERS), np.float32)
    hold = carray(pointer(ctx.base + _LEVEL), (LINE_FRAMES, LIMITERS), np.float32)
    for i in range(count):
        audio[(frame + i) & _MASK, 2 * which] = left[i]
        audio[(frame + i) & _MASK, 2 * which + 1] = right[i]
    _listen(ctx, audio, which, frame, count, _AIM * min(mixer.ceiling.now, mixer.ceiling.end))
    one = np.float32(1.0)
    release = 1.0 - math.exp(-1000.0 / (release_ms * ctx.rate))
    in_cell = frame % CELL_FRAMES
    earlier = mixer.ceiling_before
    quiet = limiter.quiet_frames
    low, near, far, total = limiter.window_low, limiter.near_sum, limiter.far_sum, limiter.gain_sum
    lowest = 1.0
    for i in range(count):
        k = frame + i
        ceiling = mixer.ceiling.now + mixer.ceiling.step * (in_cell + i + 1)
        peak = np.float64(ctx.curve_peak[i])
        target = _AIM * ceiling / peak if peak > _AIM * ceiling else 1.0
        wanted[k & _MASK, which] = np.float32(target)
        quiet = quiet + 1 if target >= 1.0 and hold[(k - 1) & _MASK, which] >= one else 0
        gain = 1.0
        if quiet > _HOLD + _AVERAGE:
            hold[k & _MASK, which] = one
            low, near, far, total = 1.0, float(_NEAR), float(_NEAR), _AREA
        else:
            entering, leaving = np.float64(wanted[k & _MASK, which]), np.float64(wanted[(k - _HOLD) & _MASK, which])
            low = _window_minimum(wanted, which, k) if leaving <= low < entering else min(low, entering)
            before = np.float64(hold[(k - 1) & _MASK, which])
            held = min(low, before + (1.0 - before) * release)
            hold[k & _MASK, which] = one if held > 0.99999 else np.float32(held)
            if k % CELL_FRAMES == 0:
                near, far = _window_sum(hold, which, k), _window_sum(hold, which, k - _FAR)
                total = _average_sum(hold, which, k)  # from anew once a cell: rounding does not add up
            else:
                near += np.float64(hold[k & _MASK, which]) - np.float64(hold[(k - _NEAR) & _MASK, which])
                far += np.float64(hold[(k - _FAR) & _MASK, which]) - np.float64(hold[(k - _FAR - _NEAR) & _MASK, which])
                total += near - far
            gain = min(total / _AREA, 1.0)
        lowest = min(lowest, gain)
        x = np.float32(audio[(k - LOOK_AHEAD_FRAMES) & _MASK, 2 * which] * gain)
        y = np.float32(audio[(k - LOOK_AHEAD_FRAMES) & _MASK, 2 * which + 1] * gain)
        edge = np.float32(max(ceiling, earlier))  # a falling ceiling has not arrived at what is in the line
        left[i] = max(-edge, min(edge, x))
        right[i] = max(-edge, min(edge, y))
    limiter.quiet_frames = quiet
    limiter.window_low, limiter.near_sum, limiter.far_sum, limiter.gain_sum = low, near, far, total
    limiter.reduction = min(limiter.reduction, lowest)
