# SPDX-License-Identifier: GPL-3.0-or-later
"""Band-limited interpolation: audio read between its frames, and faster than it was recorded.

Sixteen frames around a position are weighted with a sinc under a Kaiser window. At speeds up to 1.5 its edge stands at half the
rate: flat to 15 kHz, images of what lies below 16 kHz are 80 dB down. Faster, the edge moves down with the speed, for a
scratch would otherwise fold down what lies above.

The rows of a table stand for ``PHASES`` places between two frames; between the rows weights are interpolated in a straight
line. Every weight stands there twice, for left and right. Window: J. F. Kaiser, "Nonrecursive digital filter design using the
I0-sinh window function", 1974.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.engine.dsp.vector import weighted_sums
from appliance.engine.jit import kernel, leaf

TAPS = 16
BEFORE = TAPS // 2 - 1
"""Frames that are read before the one at the position; after it there is one more."""
AFTER = TAPS - BEFORE
PHASES = 256
EDGES = (1.0, 0.36, 0.2, 0.1)
"""Middle of each table's edge, as a share of half the rate; it is a third of that wide to each side."""
FASTEST = 1.5
"""Up to this speed the first table serves; each of the others up to twice that of the one before."""
KAISER_BETA = 8.0
SINC_SHAPE = (len(EDGES), PHASES + 1, 2 * TAPS)
_weighted = weighted_sums(2 * TAPS)


def sinc_tables() -> np.ndarray:
    """The weights, float32 of shape ``SINC_SHAPE``. Each row's sum is 1: level and direct current stay."""
    offsets = np.arange(TAPS) - BEFORE
    tables = np.empty(SINC_SHAPE, np.float32)
    for number, edge in enumerate(EDGES):
        for phase in range(PHASES + 1):
            x = offsets - phase / PHASES
            window = np.i0(KAISER_BETA * np.sqrt(np.clip(1.0 - (2.0 * x / TAPS) ** 2, 0.0, None)))
            weights = np.sinc(edge * x) * window
            weights[np.abs(weights) < 1e-12] = 0.0  # on a frame the first table gives that frame, to the bit
            tables[number, phase] = np.repeat(weights / weights.sum(), 2)
    return tables


@leaf
def table_for(step: float) -> int:
    """The table to read with at this speed."""
    speed = abs(step)
    return 0 if speed <= FASTEST else (1 if speed <= 2.0 * FASTEST else (2 if speed <= 4.0 * FASTEST else 3))


@kernel
def interpolate(
    ctx: Any, audio: np.ndarray, table: int, weight: float, position: float, step: float, slope: float,
    left: np.ndarray, right: np.ndarray,
) -> tuple[float, float]:
    """Add a stretch, up to a cell long, in which nothing begins or ends; returns the next position and step.

    ``audio``: left and right in turn; all that is read lies in it.
    """
    count = len(left)
    places, base, row, share = ctx.tap_place[:count], ctx.tap_base[:count], ctx.tap_row[:count], ctx.tap_share[:count]
    for i in range(count):  # each waits for the one before; all that follows from it does not
        places[i] = position
        position += step
        step += slope
    for i in range(count):
        whole = math.floor(places[i])
        place = (places[i] - whole) * PHASES
        phase = math.floor(place)
        base[i] = np.int64(whole) * 2 - 2 * BEFORE
        row[i] = np.int64(phase)
        share[i] = np.float32(place - phase)
    weights = ctx.sinc[table]
    for i in range(count):
        begun, phase = np.uint64(base[i]), np.uint64(row[i])
        frames = audio[begun : begun + np.uint64(2 * TAPS)]
        x, y = _weighted(weights[phase], weights[phase + np.uint64(1)], share[i], frames)
        left[i] += weight * x
        right[i] += weight * y
    return position, step


@kernel
def around(
    ctx: Any, audio: np.ndarray, table: int, position: float, low: int, high: int, loop: bool, frames: int
) -> tuple[float, float]:
    """Left and right at one position near an end: on from ``high`` at ``low`` in a loop, silence outside the clip."""
    whole = int(math.floor(position))
    place = (position - whole) * PHASES
    phase = int(place)
    between = np.float32(place - phase)
    heard = ctx.heard
    for tap in range(TAPS):
        index = whole - BEFORE + tap
        if loop:
            if index >= high:
                index -= high - low
            elif index < 0:
                index += high - low
        inside = 0 <= index < frames
        for side in range(2):
            heard[2 * tap + side] = audio[2 * index + side] if inside else np.float32(0.0)
    return _weighted(ctx.sinc[table, phase], ctx.sinc[table, phase + 1], between, heard)
