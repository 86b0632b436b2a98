# SPDX-License-Identifier: GPL-3.0-or-later
"""The curve through the samples: how high a signal goes between its frames, as a converter will play it.

Three points between every two frames are computed with a sinc under a Kaiser window, and a parabola through every three points
finds the top that lies between them: a tone of 20 kHz is read right to 0.03 dB, where points alone would miss it by 0.5 dB
(ITU-R BS.1770-4, annex 2, names such errors).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.dsp.gain import loudest
from appliance.engine.dsp.vector import fused
from appliance.engine.jit import kernel

REACH = 24
"""Frames on each side of a point that it is computed from: the last one is known so much later."""
CURVE_TAPS = 2 * REACH
CURVE_LINE = CURVE_TAPS + CELL_FRAMES
CURVE_FRAMES = CELL_FRAMES + 1
CURVE_SHAPE = (3, CURVE_TAPS)
_KAISER_BETA = 4.0
_TINY = 1e-9


def curve_weights() -> np.ndarray:
    """Weights of the points a quarter, a half and three quarters after a frame, float32 of shape ``CURVE_SHAPE``."""
    rows: list[np.ndarray] = []
    for quarter in (1, 2, 3):
        away = quarter / 4 + REACH - 1 - np.arange(CURVE_TAPS)
        weights = np.sinc(away) * np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (away / REACH) ** 2, 0, None)))
        rows.append(weights / weights.sum())
    return np.array(rows, np.float32)


MOST_OVER = 1.1 * float(np.abs(curve_weights()).sum(1).max())
"""No curve goes higher above its samples, the parabola included."""


@kernel
def _keep_tops(a: np.ndarray, m: np.ndarray, b: np.ndarray, peak: np.ndarray) -> None:
    """Keep the heights of parabolas through three points a step apart, near the middle ones, where they are higher than what is
    kept. Where a parabola's top is not near there, another point's is."""
    for i in range(len(peak)):
        rise = abs(b[i] - a[i])
        bend = max(m[i] + m[i] - a[i] - b[i], rise)
        peak[i] = max(m[i] + rise * rise / (np.float32(8.0) * bend + np.float32(_TINY)), peak[i])


@kernel
def _weigh(line: np.ndarray, weights: np.ndarray, points: np.ndarray) -> None:
    """Sums of ``line`` under ``weights``, as sizes. Eight at a time, so that what is summed stays where it is summed."""
    count = len(points)
    for i in range(count):
        points[i] = np.float32(0.0)
    for tap in range(0, CURVE_TAPS, 8):
        a, b, c, d = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
        e, f, g, h = weights[tap + 4], weights[tap + 5], weights[tap + 6], weights[tap + 7]
        span = line[tap : tap + count + 7]
        for i in range(count):
            near = fused(d, span[i + 3], fused(c, span[i + 2], fused(b, span[i + 1], fused(a, span[i], points[i]))))
            points[i] = fused(h, span[i + 7], fused(g, span[i + 6], fused(f, span[i + 5], fused(e, span[i + 4], near))))
    for i in range(count):
        points[i] = abs(points[i])


@kernel
def curve_peaks(ctx: Any, count: int, floor: float, first: bool) -> None:
    """The highest point of the curve from a frame to the next one, for ``count`` frames, into ``ctx.curve_peak``.

    The first of them stands at ``REACH`` in ``ctx.curve_line``, so that as many lie on each side. Where the whole line stays
    below ``floor`` the peaks are 0. Unless it is the ``first`` side, the higher ones of before are kept.
    """
    line, peak = ctx.curve_line[: CURVE_TAPS + count], ctx.curve_peak[:count]
    if first:
        for i in range(count):
            peak[i] = np.float32(0.0)
    if loudest(line, 0, CURVE_TAPS + count) * MOST_OVER <= floor:
        return
    points = count + 1
    for quarter in range(3):
        _weigh(line, ctx.curve_weights[quarter], ctx.curve[quarter, :points])
    frames, near = ctx.curve[3, :points], line[REACH : REACH + points]
    for i in range(points):
        frames[i] = abs(near[i])
    one, two, three = ctx.curve[0, 1:points], ctx.curve[1, 1:points], ctx.curve[2, 1:points]
    here, after = frames[:count], frames[1:points]
    _keep_tops(ctx.curve[2, :count], here, one, peak)
    _keep_tops(here, one, two, peak)
    _keep_tops(one, two, three, peak)
    _keep_tops(two, three, after, peak)
