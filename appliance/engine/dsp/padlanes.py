# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of many pads at once, a lane a pad and side; see :mod:`appliance.engine.dsp.lanes`."""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.dsp.filters import coefficients, integrate
from appliance.engine.dsp.glide import is_off
from appliance.engine.dsp.vector import fused
from appliance.engine.jit import kernel

BATCH = 16
"""So many pads are rendered, filtered and mixed together."""
LANES = 2 * BATCH
GROUP = 8
"""Lanes are filled up to a whole number of vectors."""

(_Z, _W, _G, _G_STEP, _MIX, _MIX_STEP, _HIGH, _DRY, _A1, _A2, _A3) = (LANES * row for row in range(11))
PAD_TABLE = (np.float64, (11 * LANES,))
PAD_LANES = (np.float32, (CELL_FRAMES * LANES,))
PAD_SOUND = (np.float32, (BATCH, 2, CELL_FRAMES))


@kernel
def filter_pads(ctx: Any, state: Any, pads: int, start: int, count: int) -> None:
    """Filter the first ``pads`` of ``ctx.pad_sound``, which are of ``ctx.pad_cell``, in place. What is off is not touched."""
    lanes = 0
    for number in range(pads):
        svf = state.pad[ctx.pad_cell[number]].filter
        if not is_off(svf.mix):
            _enter(ctx, svf, number, lanes, start, count)
            lanes += 2
    if lanes == 0:
        return
    filled = (lanes + GROUP - 1) // GROUP * GROUP
    for row in range(11):
        for lane in range(lanes, filled):
            ctx.pad_lane[row * LANES + lane] = 0.0
    _run(ctx.pad_lane, ctx.pad_lanes, start, count, filled)
    lanes = 0
    for number in range(pads):
        svf = state.pad[ctx.pad_cell[number]].filter
        if not is_off(svf.mix):
            _leave(ctx, svf, number, lanes, start, count)
            lanes += 2


@kernel
def _enter(ctx: Any, svf: Any, number: int, lane: int, start: int, count: int) -> None:
    table = ctx.pad_lane
    for side in range(2):
        at = lane + side
        table[_Z + at], table[_W + at] = svf.z[2 * side], svf.z[2 * side + 1]
        table[_G + at], table[_G_STEP + at] = svf.cutoff.now, svf.cutoff.step
        table[_MIX + at], table[_MIX_STEP + at] = svf.mix.now, svf.mix.step
        table[_HIGH + at], table[_DRY + at] = float(svf.high), 1.0 - svf.crossing
        sound = ctx.pad_sound[number, side, start : start + count]
        for i in range(count):
            ctx.pad_lanes[i * LANES + at] = sound[i]


@kernel
def _leave(ctx: Any, svf: Any, number: int, lane: int, start: int, count: int) -> None:
    table = ctx.pad_lane
    for side in range(2):
        at = lane + side
        svf.z[2 * side], svf.z[2 * side + 1] = table[_Z + at], table[_W + at]
        sound = ctx.pad_sound[number, side, start : start + count]
        for i in range(count):
            sound[i] = ctx.pad_lanes[i * LANES + at]


@kernel
def _run(t: np.ndarray, sound: np.ndarray, start: int, count: int, lanes: int) -> None:
    moves = False
    for lane in range(lanes):
        t[_A1 + lane], t[_A2 + lane], t[_A3 + lane] = coefficients(t[_G + lane])
        moves = moves or t[_G_STEP + lane] != 0.0
    for i in range(count):
        at = float(start + i + 1)
        if moves:
            for lane in range(lanes):
                t[_A1 + lane], t[_A2 + lane], t[_A3 + lane] = coefficients(t[_G + lane] + t[_G_STEP + lane] * at)
        frame = sound[i * LANES : (i + 1) * LANES]
        for n in range(lanes):
            x = np.float64(frame[n])
            hp, lp, t[_Z + n], t[_W + n] = integrate(x, t[_A1 + n], t[_A2 + n], t[_A3 + n], t[_Z + n], t[_W + n])
            x *= t[_DRY + n]
            mix = fused(t[_MIX_STEP + n], at, t[_MIX + n])
            frame[n] = np.float32(fused(mix, (hp if t[_HIGH + n] > 0.5 else lp) - x, x))
