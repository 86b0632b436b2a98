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
from appliance.engine.jit import kernel, leaf

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


@leaf
def _top(a: float, m: float, b: float) -> float:
    """Height of the parabola through three points a step apart, near the middle one. Where its top is not near there, another
    point's is."""
    rise = abs(b - a)
    bend = m + m - a - b
    bend = rise if rise > bend else bend
    return m + rise * rise / (np.float32(8.0) * bend + np.float32(_TINY))


@kernel
def curve_peaks(ctx: Any, count: int, floor: float, first: bool) -> None:
    """Into ``ctx.curve_peak``, for the ``count`` frames from ``REACH`` before the last but ``count`` in ``ctx.curve_line``: the highest
    point of the curve from the frame to the next one. It stays 0 where all of it is below ``floor``; unless it is the ``first``
    side, the higher one of before stays.
    """
    line, peak = ctx.curve_line[: CURVE_TAPS + count], ctx.curve_peak[:count]
    if first:
        for i in range(count):
            peak[i] = np.float32(0.0)
    if loudest(line, 0, CURVE_TAPS + count) * MOST_OVER <= floor:
        return
    points = count + 1
    for quarter in range(3):
        row = ctx.curve[quarter, :points]
        weights = ctx.curve_weights[quarter]
        for i in range(points):
            row[i] = np.float32(0.0)
        for tap in range(0, CURVE_TAPS, 4):
            a, b, c, d = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
            s, t = line[tap : tap + points], line[tap + 1 : tap + 1 + points]
            u, v = line[tap + 2 : tap + 2 + points], line[tap + 3 : tap + 3 + points]
            for i in range(points):
                row[i] += (a * s[i] + b * t[i]) + (c * u[i] + d * v[i])
        for i in range(points):
            row[i] = abs(row[i])
    one, two, three = ctx.curve[0, :points], ctx.curve[1, :points], ctx.curve[2, :points]
    here, after = line[REACH : REACH + count], line[REACH + 1 : REACH + 1 + count]
    one_after, two_after, three_after = one[1:], two[1:], three[1:]
    for i in range(count):
        frame = abs(here[i])
        a, b = _top(three[i], frame, one_after[i]), _top(frame, one_after[i], two_after[i])
        c = _top(one_after[i], two_after[i], three_after[i])
        d = _top(two_after[i], three_after[i], abs(after[i]))
        a = a if a > b else b
        c = c if c > d else d
        a = a if a > c else c
        peak[i] = a if a > peak[i] else peak[i]
