# SPDX-License-Identifier: GPL-3.0-or-later
"""Isolator and filter of all strips at once, a lane a strip and side.

A filter waits for its own last frame, so one alone leaves most of the processor idle. Sixteen in step fill its vector units:
the loop over the lanes is the inner one, and every row of the table is one number of all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.dsp.filters import coefficients, integrate
from appliance.engine.dsp.glide import is_off
from appliance.engine.dsp.vector import fused
from appliance.engine.jit import kernel, leaf
from appliance.nodes.mixer import CHANNELS

LANES = 2 * CHANNELS
GROUP = 4
"""Lanes are filled up to a whole number of vectors."""

SECTION_STATES = 12
"""Of an isolator's six sections, on one side."""

ROWS = SECTION_STATES + 19

(_Z, _LOW, _LOW_STEP, _MID, _MID_STEP, _TOP, _TOP_STEP, _EQ_MIX, _EQ_STEP, _SVF_Z, _SVF_W, _G, _G_STEP, _SVF_MIX, _SVF_STEP,
 _HIGH, _DRY, _A1, _A2, _A3) = (LANES * row for row in (0, *range(SECTION_STATES, ROWS)))
_Z0, _Z1, _Z2, _Z3, _Z4, _Z5, _Z6, _Z7, _Z8, _Z9, _Z10, _Z11 = (_Z + LANES * row for row in range(SECTION_STATES))
"""Where the rows begin in the table, which is one-dimensional so that the compiler sees that they do not overlap."""

LANE_TABLE = (np.float64, (LANES * ROWS,))
LANE_SOUND = (np.float32, (CELL_FRAMES * LANES,))


@leaf
def is_flat(strip: Any) -> bool:
    """Nothing of the strip's tone is in the way."""
    return is_off(strip.eq_mix) and is_off(strip.filter.mix)


@kernel
def shape(ctx: Any, state: Any, start: int, count: int) -> None:
    """Run the tone of every strip that is heard and not flat over ``count`` frames from ``start`` of its channel, in place."""
    lanes = 0
    for number in range(CHANNELS):
        if ctx.channel_heard[number] == 1 and not is_flat(state.channel[number]):
            _enter(ctx, state.channel[number], number, lanes, start, count)
            lanes += 2
    if lanes == 0:
        return
    filled = (lanes + GROUP - 1) // GROUP * GROUP
    for row in range(ROWS):
        for lane in range(lanes, filled):
            ctx.lane[row * LANES + lane] = 0.0
    _run(ctx.lane, ctx.lane_sound, ctx.isolator, start, count, filled)
    lanes = 0
    for number in range(CHANNELS):
        if ctx.channel_heard[number] == 1 and not is_flat(state.channel[number]):
            _leave(ctx, state.channel[number], number, lanes, start, count)
            lanes += 2


@kernel
def _enter(ctx: Any, strip: Any, number: int, lane: int, start: int, count: int) -> None:
    """Put a strip's sound and state into two lanes."""
    table, svf = ctx.lane, strip.filter
    for side in range(2):
        at = lane + side
        for i in range(SECTION_STATES):
            table[_Z + i * LANES + at] = strip.z[side * SECTION_STATES + i]
        table[_LOW + at], table[_LOW_STEP + at] = strip.low.now, strip.low.step
        table[_MID + at], table[_MID_STEP + at] = strip.mid.now, strip.mid.step
        table[_TOP + at], table[_TOP_STEP + at] = strip.high.now, strip.high.step
        table[_EQ_MIX + at], table[_EQ_STEP + at] = strip.eq_mix.now, strip.eq_mix.step
        table[_SVF_Z + at], table[_SVF_W + at] = svf.z[2 * side], svf.z[2 * side + 1]
        table[_G + at], table[_G_STEP + at] = svf.cutoff.now, svf.cutoff.step
        table[_SVF_MIX + at], table[_SVF_STEP + at] = svf.mix.now, svf.mix.step
        table[_HIGH + at], table[_DRY + at] = float(svf.high), 1.0 - svf.crossing
        sound = ctx.channel[number, side, start : start + count]
        for i in range(count):
            ctx.lane_sound[i * LANES + at] = sound[i]


@kernel
def _leave(ctx: Any, strip: Any, number: int, lane: int, start: int, count: int) -> None:
    """Take a strip's sound and state out of its lanes. What is switched off keeps the state that it had."""
    table, svf = ctx.lane, strip.filter
    shaped, filtered = not is_off(strip.eq_mix), not is_off(svf.mix)
    for side in range(2):
        at = lane + side
        if shaped:
            for i in range(SECTION_STATES):
                strip.z[side * SECTION_STATES + i] = table[_Z + i * LANES + at]
        if filtered:
            svf.z[2 * side], svf.z[2 * side + 1] = table[_SVF_Z + at], table[_SVF_W + at]
        sound = ctx.channel[number, side, start : start + count]
        for i in range(count):
            sound[i] = ctx.lane_sound[i * LANES + at]


@leaf
def _section(x: float, k0: float, k1: float, k2: float, k3: float, k4: float, z: float, w: float) -> tuple[float, float, float]:
    """One second-order section, transposed direct form II: output and the two new states."""
    y = fused(k0, x, z)
    return y, fused(k1, x, fused(-k3, y, w)), fused(k2, x, -k4 * y)


@kernel
def _run(t: np.ndarray, sound: np.ndarray, isolator: np.ndarray, start: int, count: int, lanes: int) -> None:
    """Weigh the three bands of every lane, then filter it, in place.

    Linkwitz-Riley crossovers of 24 dB an octave. Low and high side of one add up to an all-pass of the same poles, so the high
    side is that all-pass less the low side: one section instead of two (S. Linkwitz, Active Crossover Networks, 1976).
    """
    k = isolator
    a0, a1, a2, a3, a4 = k[0, 0], k[0, 1], k[0, 2], k[0, 3], k[0, 4]
    c0, c1, c2, c3, c4 = k[1, 0], k[1, 1], k[1, 2], k[1, 3], k[1, 4]
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
            u, t[_Z0 + n], t[_Z1 + n] = _section(x, a0, a1, a2, a3, a4, t[_Z0 + n], t[_Z1 + n])
            bass, t[_Z2 + n], t[_Z3 + n] = _section(u, a0, a1, a2, a3, a4, t[_Z2 + n], t[_Z3 + n])
            u, t[_Z4 + n], t[_Z5 + n] = _section(x, a4, a3, 1.0, a3, a4, t[_Z4 + n], t[_Z5 + n])
            rest = u - bass
            u, t[_Z6 + n], t[_Z7 + n] = _section(rest, c0, c1, c2, c3, c4, t[_Z6 + n], t[_Z7 + n])
            body, t[_Z8 + n], t[_Z9 + n] = _section(u, c0, c1, c2, c3, c4, t[_Z8 + n], t[_Z9 + n])
            u, t[_Z10 + n], t[_Z11 + n] = _section(rest, c4, c3, 1.0, c3, c4, t[_Z10 + n], t[_Z11 + n])
            low, mid = fused(t[_LOW_STEP + n], at, t[_LOW + n]), fused(t[_MID_STEP + n], at, t[_MID + n])
            top, mix = fused(t[_TOP_STEP + n], at, t[_TOP + n]), fused(t[_EQ_STEP + n], at, t[_EQ_MIX + n])
            x = fused(mix, fused(bass, low, fused(body, mid, fused(u - body, top, -x))), x)
            hp, lp, t[_SVF_Z + n], t[_SVF_W + n] = integrate(
                x, t[_A1 + n], t[_A2 + n], t[_A3 + n], t[_SVF_Z + n], t[_SVF_W + n])
            mix = fused(t[_SVF_STEP + n], at, t[_SVF_MIX + n])
            x *= t[_DRY + n]
            frame[n] = np.float32(fused(mix, (hp if t[_HIGH + n] > 0.5 else lp) - x, x))
