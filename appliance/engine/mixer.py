# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel strips, crossfader, master and cue bus."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.dsp.filters import control_filter, run_filter, run_isolator
from appliance.engine.dsp.glide import begin_fade, decibels, eased, glide, is_off
from appliance.engine.dsp.limiter import control_limiter, run_limiter
from appliance.engine.jit import kernel
from appliance.nodes.mixer import ASSIGNS, CHANNELS, CURVES

_SIDE_A, _SIDE_B = ASSIGNS.index("A"), ASSIGNS.index("B")
_POWER, _CUT = CURVES.index("power"), CURVES.index("cut")
_CUT_TRAVEL = 0.05
_TAIL_SECONDS = 0.5
_MUTE_SECONDS = 0.01
_PEAK_FALL = 0.985
_MEAN_SECONDS = 0.3


@kernel
def crossfade(position: float, curve: int, side: int) -> float:
    """Gain of a side (``ASSIGNS`` index) at crossfader ``position`` -1 … 1."""
    if side != _SIDE_A and side != _SIDE_B:
        return 1.0
    away = position if side == _SIDE_A else -position
    if curve == _POWER:
        return math.cos((away + 1.0) * math.pi / 4.0)
    if curve == _CUT:
        return min(1.0, max(0.0, (1.0 - away) / _CUT_TRAVEL))
    return min(1.0, max(0.0, 1.0 - away))


@kernel
def update(ctx: Any, state: Any) -> None:
    """Once a cell: every strip and the master follow their values."""
    solo = False
    for number in range(CHANNELS):
        solo = solo or state.values.channel[number].solo >= 0.5
    for number in range(CHANNELS):
        _update_strip(ctx, state, number, solo)
    mixer, values = state.mixer, state.values.mixer
    gain = decibels(values.master)
    glide(mixer.left, gain * min(1.0, 1.0 - values.balance))
    glide(mixer.right, gain * min(1.0, 1.0 + values.balance))
    glide(mixer.cue_mix, values.cue_mix)
    glide(mixer.cue_level, decibels(values.cue_level))
    control_limiter(mixer, values.limiter_ceiling)
    muted = 1 if state.values.panic.mute >= 0.5 else 0
    if muted != mixer.muted:
        mixer.muted = muted
        begin_fade(mixer.mute, mixer.mute.level, 0.0 if muted == 1 else 1.0, int(_MUTE_SECONDS * ctx.rate))
    mixer.peak_left *= _PEAK_FALL
    mixer.peak_right *= _PEAK_FALL
    mixer.reduction += (1.0 - mixer.reduction) * 0.02


@kernel
def _update_strip(ctx: Any, state: Any, number: int, solo: bool) -> None:
    strip, values = state.channel[number], state.values.channel[number]
    low = 0.0 if values.kill_low >= 0.5 else decibels(values.low)
    mid = 0.0 if values.kill_mid >= 0.5 else decibels(values.mid)
    high = 0.0 if values.kill_high >= 0.5 else decibels(values.high)
    flat = low == 1.0 and mid == 1.0 and high == 1.0
    if not flat and is_off(strip.eq_mix):
        strip.z[:] = 0.0
    glide(strip.low, low)
    glide(strip.mid, mid)
    glide(strip.high, high)
    glide(strip.eq_mix, 0.0 if flat else 1.0)
    glide(strip.trim, decibels(values.trim))
    control_filter(strip.filter, values.filter, ctx.rate)
    silent = values.mute >= 0.5 or (solo and values.solo < 0.5)
    gain = 0.0 if silent else values.fader * values.fader
    gain *= crossfade(state.values.mixer.crossfader, int(state.values.mixer.curve), int(values.assign))
    glide(strip.left, gain * min(1.0, 1.0 - values.pan))
    glide(strip.right, gain * min(1.0, 1.0 + values.pan))
    glide(strip.cue, 1.0 if values.cue >= 0.5 else 0.0)
    strip.peak *= _PEAK_FALL
    strip.idle_frames += CELL_FRAMES
    if strip.idle_frames > _TAIL_SECONDS * ctx.rate:
        # without sound for a while: forget what rings, so that it starts clean and costs nothing
        strip.z[:] = 0.0
        strip.filter.z[:] = 0.0
        strip.peak = 0.0


@kernel
def clear_buses(ctx: Any, start: int, count: int) -> None:
    """Silence the channels before sources add to them."""
    for number in range(CHANNELS):
        ctx.channel_used[number] = 0
        for i in range(start, start + count):
            ctx.channel[number, 0, i] = np.float32(0.0)
            ctx.channel[number, 1, i] = np.float32(0.0)


@kernel
def render(ctx: Any, state: Any, start: int, count: int, out: int) -> None:
    """Mix the channels at ``start`` into the outputs at ``out``: master (limited) 0 1, cue 2 3."""
    master_left, master_right = ctx.out[0, out : out + count], ctx.out[1, out : out + count]
    cue_left, cue_right = ctx.out[2, out : out + count], ctx.out[3, out : out + count]
    for i in range(count):
        zero = np.float32(0.0)
        master_left[i] = zero
        master_right[i] = zero
        cue_left[i] = zero
        cue_right[i] = zero
    for number in range(CHANNELS):
        strip = state.channel[number]
        if ctx.channel_used[number] == 1:
            strip.idle_frames = 0
        elif strip.idle_frames > _TAIL_SECONDS * ctx.rate:
            continue
        left, right = ctx.channel[number, 0], ctx.channel[number, 1]
        _trim(strip, left, right, start, count)
        run_isolator(strip, ctx.isolator, left, right, start, count)
        run_filter(strip.filter, left, right, start, count)
        _sum(strip, left, right, start, count, master_left, master_right, cue_left, cue_right)
    _master(ctx, state, count, master_left, master_right, cue_left, cue_right)


@kernel
def _trim(strip: Any, left: np.ndarray, right: np.ndarray, start: int, count: int) -> None:
    gain, step = strip.trim.now, strip.trim.step
    if gain == 1.0 and step == 0.0:
        return
    for i in range(start, start + count):
        gain += step
        left[i] = np.float32(left[i] * gain)
        right[i] = np.float32(right[i] * gain)
    strip.trim.now = gain


@kernel
def _sum(
    strip: Any, left: np.ndarray, right: np.ndarray, start: int, count: int, master_left: np.ndarray, master_right: np.ndarray,
    cue_left: np.ndarray, cue_right: np.ndarray,
) -> None:
    gain_left, step_left, gain_right, step_right = strip.left.now, strip.left.step, strip.right.now, strip.right.step
    cue, cue_step = strip.cue.now, strip.cue.step
    listened = not is_off(strip.cue)
    peak = np.float32(strip.peak)
    for i in range(count):
        gain_left += step_left
        gain_right += step_right
        x, y = left[start + i], right[start + i]
        if listened:
            cue += cue_step
            cue_left[i] += np.float32(x * cue)
            cue_right[i] += np.float32(y * cue)
        x, y = np.float32(x * gain_left), np.float32(y * gain_right)
        master_left[i] += x
        master_right[i] += y
        peak = max(peak, abs(x), abs(y))
    strip.left.now, strip.right.now, strip.cue.now = gain_left, gain_right, cue
    strip.peak = np.float64(peak)


@kernel
def _master(
    ctx: Any, state: Any, count: int, left: np.ndarray, right: np.ndarray, cue_left: np.ndarray, cue_right: np.ndarray
) -> None:
    mixer = state.mixer
    gain_left, gain_right, mix, level = mixer.left.now, mixer.right.now, mixer.cue_mix.now, mixer.cue_level.now
    mute, mute_step, mute_left = mixer.mute.level, mixer.mute.step, mixer.mute.left
    for i in range(count):
        gain_left += mixer.left.step
        gain_right += mixer.right.step
        mix += mixer.cue_mix.step
        level += mixer.cue_level.step
        if mute_left > 0:
            mute += mute_step
            mute_left -= 1
            if mute_left == 0:
                mute = 0.0 if mixer.muted == 1 else 1.0
        x, y = left[i] * gain_left, right[i] * gain_right
        click = _click(ctx, mixer)
        cue_left[i] = np.float32(min(max(level * (cue_left[i] * (1.0 - mix) + x * mix + click), -1.0), 1.0))
        cue_right[i] = np.float32(min(max(level * (cue_right[i] * (1.0 - mix) + y * mix + click), -1.0), 1.0))
        left[i] = np.float32(x * eased(mute))
        right[i] = np.float32(y * eased(mute))
    mixer.left.now, mixer.right.now, mixer.cue_mix.now, mixer.cue_level.now = gain_left, gain_right, mix, level
    mixer.mute.level, mixer.mute.left = mute, mute_left
    run_limiter(ctx, mixer, state.frame, state.values.mixer.limiter_release, left, right, 0, count)
    _meter(ctx, mixer, left, right, count)


@kernel
def begin_click(state: Any, downbeat: bool) -> None:
    """Sound the metronome: higher on beat 1."""
    state.mixer.click_phase = 0.0
    state.mixer.click_hz = 1760.0 if downbeat else 1175.0
    state.mixer.click_level = decibels(state.values.clock.metronome_db)


@kernel
def _click(ctx: Any, mixer: Any) -> float:
    """One frame of the metronome's click: a sine that dies away in 30 ms."""
    level = mixer.click_level
    if level < 1e-4:
        return 0.0
    mixer.click_level = level * (1.0 - 230.0 / ctx.rate)
    mixer.click_phase += mixer.click_hz / ctx.rate
    return level * math.sin(2.0 * math.pi * mixer.click_phase)


@kernel
def _meter(ctx: Any, mixer: Any, left: np.ndarray, right: np.ndarray, count: int) -> None:
    keep = 1.0 - 1.0 / (_MEAN_SECONDS * ctx.rate)
    square = mixer.mean_square
    for i in range(count):
        x, y = np.float64(left[i]), np.float64(right[i])
        mixer.peak_left = max(mixer.peak_left, abs(x))
        mixer.peak_right = max(mixer.peak_right, abs(y))
        square = square * keep + (1.0 - keep) * 0.5 * (x * x + y * y)
    mixer.mean_square = square


@kernel
def settle_mixer(ctx: Any, state: Any) -> None:
    """At the very first block: every control where its value stands, nothing fades in."""
    for _ in range(400):
        update(ctx, state)
    state.mixer.mute.level = 0.0 if state.mixer.muted == 1 else 1.0
    state.mixer.mute.left = 0
    state.mixer.reduction = 1.0
    for number in range(CHANNELS):
        state.channel[number].idle_frames = 1 << 40
