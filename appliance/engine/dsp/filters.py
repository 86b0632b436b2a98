# SPDX-License-Identifier: GPL-3.0-or-later
"""The one-knob filter and the three-band isolator of a strip. In the middle position both are out of the way, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.engine.dsp.glide import glide, is_off, settle
from appliance.engine.jit import kernel, leaf

DEAD_ZONE = 0.01
DAMPING = 1.1
LOWEST_HZ = 20.0
SPAN = 1000.0
HIGHEST_SHARE = 0.45


@kernel
def filter_coefficient(knob: float, rate: float) -> float:
    """tan(π f / rate) of the knob's cutoff: -1…0 low-pass 20 Hz…20 kHz, 0…1 high-pass 20 Hz…20 kHz, exponential."""
    hz = LOWEST_HZ * SPAN ** (1.0 + knob) if knob < 0.0 else LOWEST_HZ * SPAN**knob
    return math.tan(math.pi * min(hz, HIGHEST_SHARE * rate) / rate)


@kernel
def control_filter(svf: Any, knob: float, rate: float) -> None:
    """Once a cell: move an SVF record towards the knob. It fades out before it changes between low- and high-pass."""
    wanted = abs(knob) > DEAD_ZONE
    high = 1 if knob > 0.0 else 0
    if wanted and is_off(svf.mix):
        svf.high = high
        settle(svf.cutoff, filter_coefficient(knob, rate))
        for i in range(4):
            svf.z[i] = 0.0
    if wanted and svf.high == high:
        if svf.cutoff.source != knob:
            svf.cutoff.source = knob
            svf.cutoff.goal = filter_coefficient(knob, rate)
        glide(svf.cutoff, svf.cutoff.goal)
        glide(svf.mix, 1.0)
    else:
        glide(svf.cutoff, svf.cutoff.end)
        glide(svf.mix, 0.0)


@kernel
def settle_filter(svf: Any, knob: float, rate: float) -> None:
    """Put the filter where the knob is, with a clean state: for a pad that starts."""
    svf.high = 1 if knob > 0.0 else 0
    settle(svf.cutoff, filter_coefficient(knob, rate))
    settle(svf.mix, 1.0 if abs(knob) > DEAD_ZONE else 0.0)
    for i in range(4):
        svf.z[i] = 0.0


@leaf
def _integrate(x: float, a1: float, a2: float, a3: float, a: float, b: float) -> tuple[float, float, float, float]:
    """High-, low-pass and the new integrators of one frame; few steps from one frame's state to the next one's."""
    rest = x - b
    bp = a1 * a + a2 * rest
    up = a2 * a + a3 * rest
    lp = b + up
    return x - DAMPING * bp - lp, lp, bp + (bp - a), lp + up


@kernel
def run_filter(svf: Any, left: np.ndarray, right: np.ndarray, start: int, count: int) -> None:
    """Filter ``count`` frames from ``start`` in place.

    State-variable filter with trapezoidal integrators (V. Zavalishin, The Art of VA Filter Design, ch. 4).
    """
    if is_off(svf.mix):
        return
    g, g_now, g_step = svf.cutoff.now, svf.cutoff.now, svf.cutoff.step
    mix_now, mix_step = svf.mix.now, svf.mix.step
    a, b, c, d = svf.z[0], svf.z[1], svf.z[2], svf.z[3]
    high = svf.high == 1
    moves = g_step != 0.0
    a1 = 1.0 / (1.0 + g * (g + DAMPING))
    a2 = g * a1
    a3 = g * a2
    for i in range(start, start + count):
        if moves:
            g = g_now + g_step * (i + 1)
            a1 = 1.0 / (1.0 + g * (g + DAMPING))
            a2 = g * a1
            a3 = g * a2
        mix = mix_now + mix_step * (i + 1)
        x, y = np.float64(left[i]), np.float64(right[i])
        hp, lp, a, b = _integrate(x, a1, a2, a3, a, b)
        left[i] = np.float32(x + mix * ((hp if high else lp) - x))
        hp, lp, c, d = _integrate(y, a1, a2, a3, c, d)
        right[i] = np.float32(y + mix * ((hp if high else lp) - y))
    svf.z[0], svf.z[1], svf.z[2], svf.z[3] = a, b, c, d


@leaf
def _section(x: float, k0: float, k1: float, k2: float, k3: float, k4: float, z: float, w: float) -> tuple[float, float, float]:
    """One second-order section, transposed direct form II: output and the two new states."""
    y = k0 * x + z
    return y, k1 * x - k3 * y + w, k2 * x - k4 * y


@kernel
def run_isolator(strip: Any, coefficients: np.ndarray, left: np.ndarray, right: np.ndarray, start: int, count: int) -> None:
    """Weigh the three bands of a CHANNEL_STATE in place; out of the way while all bands are at 0 dB.

    Linkwitz-Riley crossovers of 24 dB an octave. Low and high side of one add up to an all-pass of the same poles, so the high
    side is that all-pass less the low side: one section instead of two (S. Linkwitz, Active Crossover Networks, 1976).
    """
    if is_off(strip.eq_mix):
        return
    k = coefficients
    a0, a1, a2, a3, a4 = k[0, 0], k[0, 1], k[0, 2], k[0, 3], k[0, 4]
    c0, c1, c2, c3, c4 = k[1, 0], k[1, 1], k[1, 2], k[1, 3], k[1, 4]
    low_now, mid_now, high_now, mix_now = strip.low.now, strip.mid.now, strip.high.now, strip.eq_mix.now
    low_step, mid_step, high_step, mix_step = strip.low.step, strip.mid.step, strip.high.step, strip.eq_mix.step
    z = strip.z
    l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11 = (
        z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], z[8], z[9], z[10], z[11])
    r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11 = (
        z[12], z[13], z[14], z[15], z[16], z[17], z[18], z[19], z[20], z[21], z[22], z[23])
    for i in range(start, start + count):
        at = i + 1
        low, mid, high = low_now + low_step * at, mid_now + mid_step * at, high_now + high_step * at
        mix = mix_now + mix_step * at
        x, y = np.float64(left[i]), np.float64(right[i])
        u, l0, l1 = _section(x, a0, a1, a2, a3, a4, l0, l1)
        v, r0, r1 = _section(y, a0, a1, a2, a3, a4, r0, r1)
        bass_x, l2, l3 = _section(u, a0, a1, a2, a3, a4, l2, l3)
        bass_y, r2, r3 = _section(v, a0, a1, a2, a3, a4, r2, r3)
        u, l4, l5 = _section(x, a4, a3, 1.0, a3, a4, l4, l5)
        v, r4, r5 = _section(y, a4, a3, 1.0, a3, a4, r4, r5)
        rest_x, rest_y = u - bass_x, v - bass_y
        u, l6, l7 = _section(rest_x, c0, c1, c2, c3, c4, l6, l7)
        v, r6, r7 = _section(rest_y, c0, c1, c2, c3, c4, r6, r7)
        body_x, l8, l9 = _section(u, c0, c1, c2, c3, c4, l8, l9)
        body_y, r8, r9 = _section(v, c0, c1, c2, c3, c4, r8, r9)
        u, l10, l11 = _section(rest_x, c4, c3, 1.0, c3, c4, l10, l11)
        v, r10, r11 = _section(rest_y, c4, c3, 1.0, c3, c4, r10, r11)
        left[i] = np.float32(x + mix * (bass_x * low + body_x * mid + (u - body_x) * high - x))
        right[i] = np.float32(y + mix * (bass_y * low + body_y * mid + (v - body_y) * high - y))
    z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], z[8], z[9], z[10], z[11] = (
        l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11)
    z[12], z[13], z[14], z[15], z[16], z[17], z[18], z[19], z[20], z[21], z[22], z[23] = (
        r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11)
