# SPDX-License-Identifier: GPL-3.0-or-later
"""Look-ahead limiter of master and booth: nothing above the ceiling, not between samples either.

What counts is the curve through the samples (``curve.py``). The gain that it wants is held at its minimum, let go
exponentially, and averaged twice, so that it has arrived, without a corner, before the peak does, and stays until that is over.
What stays below is not touched. All lines are addressed by frame: rendering a block again gives the same block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer
from appliance.bus.layout import CELL_FRAMES, LIMITERS, LINE_FRAMES, MIXER_STATE
from appliance.engine.context import context_at
from appliance.engine.dsp.curve import CURVE_TAPS, REACH, curve_peaks
from appliance.engine.dsp.glide import glide
from appliance.engine.jit import address_of, f64, i64, kernel, leaf, record_at, unit, void

_mixer_at = record_at(MIXER_STATE)
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
_LINE_BYTES = 4 * LINE_FRAMES


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


@leaf
def _line(ctx: Any, offset: int, number: int) -> Any:
    return carray(pointer(ctx.base + offset + number * _LINE_BYTES), (LINE_FRAMES,), np.float32)


@kernel
def clear_limiter(ctx: Any, mixer: Any, which: int, frame: int) -> None:
    limiter = mixer.limiter[which]
    limiter.quiet_frames = 0
    limiter.window_low = 1.0
    limiter.near_sum, limiter.far_sum, limiter.gain_sum = float(_NEAR), float(_NEAR), _AREA
    left, right = _line(ctx, _AUDIO, 2 * which), _line(ctx, _AUDIO, 2 * which + 1)
    wanted, hold = _line(ctx, _WANTED, which), _line(ctx, _LEVEL, which)
    for k in range(frame - DRAINED_FRAMES, frame):
        left[k & _MASK], right[k & _MASK] = np.float32(0.0), np.float32(0.0)
        wanted[k & _MASK], hold[k & _MASK] = np.float32(1.0), np.float32(1.0)


@kernel
def _write(line: np.ndarray, frame: int, values: np.ndarray) -> None:
    """Put a stretch into a line from ``frame`` on."""
    begin = frame & _MASK
    first = min(len(values), LINE_FRAMES - begin)
    here = line[begin : begin + first]
    for i in range(first):
        here[i] = values[i]
    for i in range(first, len(values)):
        line[i - first] = values[i]


@kernel
def _read(line: np.ndarray, frame: int, values: np.ndarray) -> None:
    """Take a stretch out of a line, from ``frame`` on."""
    begin = frame & _MASK
    first = min(len(values), LINE_FRAMES - begin)
    here = line[begin : begin + first]
    for i in range(first):
        values[i] = here[i]
    for i in range(first, len(values)):
        values[i] = line[i - first]


@kernel
def _window_minimum(wanted: np.ndarray, k: int) -> float:
    lowest = np.float32(1.0)
    for j in range(_HOLD):
        lowest = min(lowest, wanted[(k - j) & _MASK])
    return np.float64(lowest)


@kernel
def _window_sum(hold: np.ndarray, k: int) -> float:
    """Of the ``_NEAR`` frames up to ``k``."""
    total = 0.0
    for j in range(_NEAR):
        total += np.float64(hold[(k - j) & _MASK])
    return total


@kernel
def _average_sum(hold: np.ndarray, k: int) -> float:
    """Of the sums up to ``k``."""
    total = 0.0
    for j in range(_FAR):
        total += _window_sum(hold, k - j)
    return total


@kernel
def _want(ctx: Any, ceiling: Any, in_cell: int, count: int) -> bool:
    """Turn ``ctx.curve_peak`` into the gains that the peaks want; True when one of them is to be lowered."""
    peak, lowered = ctx.curve_peak[:count], np.int64(0)
    now, step = _AIM * ceiling.now, _AIM * ceiling.step
    for i in range(count):
        aim = np.float32(now + step * (in_cell + i + 1))
        over = peak[i] > aim
        peak[i] = aim / peak[i] if over else np.float32(1.0)
        lowered += np.int64(over)
    return lowered > 0


@kernel
def _follow(
    limiter: Any, wanted: np.ndarray, hold: np.ndarray, frame: int, release: float, targets: np.ndarray, gains: np.ndarray
) -> None:
    """The gains of a stretch, from those that are wanted in it and before."""
    one = np.float32(1.0)
    quiet, low = limiter.quiet_frames, limiter.window_low
    near, far, total = limiter.near_sum, limiter.far_sum, limiter.gain_sum
    before = hold[(frame - 1) & _MASK]
    for i in range(len(targets)):
        k = frame + i
        entering, leaving = np.float64(targets[i]), np.float64(wanted[(k - _HOLD) & _MASK])
        quiet = quiet + 1 if entering >= 1.0 and before >= one else 0
        if quiet > _HOLD + _AVERAGE:
            before = one
            hold[k & _MASK] = one
            low, near, far, total = 1.0, float(_NEAR), float(_NEAR), _AREA
            gains[i] = one
            continue
        low = _window_minimum(wanted, k) if leaving <= low < entering else min(low, entering)
        held = min(low, before + (1.0 - before) * release)
        before = one if held > 0.99999 else np.float32(held)
        hold[k & _MASK] = before
        if k % CELL_FRAMES == 0:  # from anew once a cell: rounding does not add up
            near, far, total = _window_sum(hold, k), _window_sum(hold, k - _FAR), _average_sum(hold, k)
        else:
            near += np.float64(before) - np.float64(hold[(k - _NEAR) & _MASK])
            far += np.float64(hold[(k - _FAR) & _MASK]) - np.float64(hold[(k - _FAR - _NEAR) & _MASK])
            total += near - far
        gains[i] = np.float32(min(total / _AREA, 1.0))
    limiter.quiet_frames, limiter.window_low = quiet, low
    limiter.near_sum, limiter.far_sum, limiter.gain_sum = near, far, total


@kernel
def _apply(ctx: Any, mixer: Any, in_cell: int, gains: np.ndarray, audio: np.ndarray) -> None:
    """Give the delayed audio its gain. Rounding does not bring it over the ceiling; nothing does."""
    now, step, earlier = mixer.ceiling.now, mixer.ceiling.step, mixer.ceiling_before
    for i in range(len(audio)):
        edge = np.float32(max(now + step * (in_cell + i + 1), earlier))  # a falling one has not arrived at what is in the line
        audio[i] = max(-edge, min(edge, audio[i] * gains[i]))


@kernel
def _run(ctx: Any, mixer: Any, which: int, frame: int, release_ms: float, left: np.ndarray, right: np.ndarray) -> None:
    limiter, count, in_cell = mixer.limiter[which], len(left), frame % CELL_FRAMES
    wanted, hold = _line(ctx, _WANTED, which), _line(ctx, _LEVEL, which)
    floor = _AIM * min(mixer.ceiling.now, mixer.ceiling.end)
    for side in range(2):
        audio, line = (left if side == 0 else right), _line(ctx, _AUDIO, 2 * which + side)
        _write(line, frame, audio)
        _read(line, frame - CURVE_TAPS, ctx.curve_line[: CURVE_TAPS + count])
        curve_peaks(ctx, count, floor, side == 0)
        _read(line, frame - LOOK_AHEAD_FRAMES, audio)
    targets, gains = ctx.curve_peak[:count], ctx.limiter_gains[:count]
    lowers = _want(ctx, mixer.ceiling, in_cell, count)
    _write(wanted, frame, targets)
    if not lowers and limiter.quiet_frames > _HOLD + _AVERAGE:  # at rest: as _follow would have it
        for i in range(count):
            gains[i] = np.float32(1.0)
        _write(hold, frame, gains)
        limiter.quiet_frames += count
        return
    _follow(limiter, wanted, hold, frame, 1.0 - math.exp(-1000.0 / (release_ms * ctx.rate)), targets, gains)
    _apply(ctx, mixer, in_cell, gains, left)
    _apply(ctx, mixer, in_cell, gains, right)
    lowest = np.float32(1.0)
    for i in range(count):
        lowest = min(lowest, gains[i])
    limiter.reduction = min(limiter.reduction, np.float64(lowest))


@unit("limiter", void, i64, i64, i64, i64, f64, i64, i64, i64)
def _run_unit(ctx: int, mixer: int, which: int, frame: int, release_ms: float, left: int, right: int, count: int) -> None:
    x, y = carray(pointer(left), (count,), np.float32), carray(pointer(right), (count,), np.float32)
    _run(context_at(ctx), _mixer_at(mixer), which, frame, release_ms, x, y)


@leaf
def run_limiter(
    ctx: Any, mixer: Any, which: int, frame: int, release_ms: float, left: np.ndarray, right: np.ndarray
) -> None:
    """Limit a span, within a cell, in place; what comes out is LOOK_AHEAD_FRAMES old. ``frame``: of its first."""
    _run_unit(address_of(ctx), address_of(mixer), which, frame, release_ms, left.ctypes.data, right.ctypes.data, len(left))
