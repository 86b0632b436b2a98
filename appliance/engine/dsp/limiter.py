# SPDX-License-Identifier: GPL-3.0-or-later
"""Look-ahead limiter of the master: no sample above the ceiling, no distortion of what stays below.

The wanted gain is held at its minimum over the look-ahead, let go exponentially, and averaged over the look-ahead, so that
it has arrived when the peak does. All lines are addressed by frame: rendering a block again gives the same block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer
from appliance.bus.layout import CELL_FRAMES, LINE_FRAMES
from appliance.engine.dsp.glide import glide
from appliance.engine.jit import kernel

LOOK_AHEAD_FRAMES = 48
"""1 ms at 48 kHz; the engine reports it to JACK as its latency."""

_WINDOW = LOOK_AHEAD_FRAMES + 1
_MASK = LINE_FRAMES - 1
_AUDIO, _WANTED, _HOLD = (layout.offset(name) for name in ("limiter_line", "limiter_gain", "limiter_hold"))


@kernel
def control_limiter(mixer: Any, ceiling_db: float) -> None:
    mixer.ceiling_before = mixer.ceiling.end - CELL_FRAMES * mixer.ceiling.step
    glide(mixer.ceiling, 10.0 ** (ceiling_db / 20.0))


@kernel
def clear_limiter(ctx: Any, mixer: Any, frame: int) -> None:
    """Forget what is in the line before ``frame``: after a jump of the frame count."""
    mixer.quiet_frames = 0
    mixer.window_low = 1.0
    mixer.hold_sum = float(_WINDOW)
    audio = carray(pointer(ctx.base + _AUDIO), (LINE_FRAMES, 2), np.float32)
    wanted = carray(pointer(ctx.base + _WANTED), (LINE_FRAMES,), np.float32)
    hold = carray(pointer(ctx.base + _HOLD), (LINE_FRAMES,), np.float32)
    for k in range(frame - 2 * _WINDOW, frame):
        audio[k & _MASK, 0] = np.float32(0.0)
        audio[k & _MASK, 1] = np.float32(0.0)
        wanted[k & _MASK] = np.float32(1.0)
        hold[k & _MASK] = np.float32(1.0)


@kernel
def _window_minimum(wanted: np.ndarray, k: int) -> float:
    lowest = np.float32(1.0)
    for j in range(_WINDOW):
        lowest = min(lowest, wanted[(k - j) & _MASK])
    return np.float64(lowest)


@kernel
def _window_sum(hold: np.ndarray, k: int) -> float:
    total = 0.0
    for j in range(_WINDOW):
        total += np.float64(hold[(k - j) & _MASK])
    return total


@kernel
def run_limiter(
    ctx: Any, mixer: Any, frame: int, release_ms: float, left: np.ndarray, right: np.ndarray, start: int, count: int
) -> None:
    """Limit ``count`` frames from ``start`` in place; what comes out is LOOK_AHEAD_FRAMES old. ``frame``: of the first."""
    audio = carray(pointer(ctx.base + _AUDIO), (LINE_FRAMES, 2), np.float32)
    wanted = carray(pointer(ctx.base + _WANTED), (LINE_FRAMES,), np.float32)
    hold = carray(pointer(ctx.base + _HOLD), (LINE_FRAMES,), np.float32)
    one = np.float32(1.0)
    release = 1.0 - math.exp(-1000.0 / (release_ms * ctx.rate))
    in_cell = frame % CELL_FRAMES
    earlier = mixer.ceiling_before
    quiet = mixer.quiet_frames
    low, total = mixer.window_low, mixer.hold_sum
    lowest = 1.0
    for i in range(count):
        k = frame + i
        ceiling = mixer.ceiling.now + mixer.ceiling.step * (in_cell + i + 1)
        x, y = left[start + i], right[start + i]
        audio[k & _MASK, 0] = x
        audio[k & _MASK, 1] = y
        peak = np.float64(max(abs(x), abs(y)))
        target = ceiling / peak if peak > ceiling else 1.0
        wanted[k & _MASK] = np.float32(target)
        quiet = quiet + 1 if target >= 1.0 and hold[(k - 1) & _MASK] >= one else 0
        gain = 1.0
        if quiet > 2 * _WINDOW:
            hold[k & _MASK] = one
            low, total = 1.0, float(_WINDOW)
        else:
            entering, leaving = np.float64(wanted[k & _MASK]), np.float64(wanted[(k - _WINDOW) & _MASK])
            low = _window_minimum(wanted, k) if leaving <= low < entering else min(low, entering)
            before = np.float64(hold[(k - 1) & _MASK])
            held = min(low, before + (1.0 - before) * release)
            hold[k & _MASK] = one if held > 0.99999 else np.float32(held)
            if k % CELL_FRAMES == 0:
                total = _window_sum(hold, k)  # from anew once a cell: rounding does not add up
            else:
                total += np.float64(hold[k & _MASK]) - np.float64(hold[(k - _WINDOW) & _MASK])
            gain = min(total / _WINDOW, 1.0)
        lowest = min(lowest, gain)
        x = np.float32(audio[(k - LOOK_AHEAD_FRAMES) & _MASK, 0] * gain)
        y = np.float32(audio[(k - LOOK_AHEAD_FRAMES) & _MASK, 1] * gain)
        edge = np.float32(max(ceiling, earlier))  # a falling ceiling has not arrived at what is in the line
        left[start + i] = max(-edge, min(edge, x))
        right[start + i] = max(-edge, min(edge, y))
    mixer.quiet_frames = quiet
    mixer.window_low, mixer.hold_sum = low, total
    mixer.reduction = min(mixer.reduction, lowest)
