# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel strips, crossfader, master, cue bus and booth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.bus.layout import CELL_FRAMES, DECKS, LIMITERS
from appliance.engine import balance, speech, talkover
from appliance.engine.context import OUTPUTS
from appliance.engine.dsp.filters import control_filter
from appliance.engine.dsp.gain import add_scaled, clear, loudest, peak_scaled, scale
from appliance.engine.dsp.glide import begin_fade, decibels, eased, glide, glide_decibels, is_off
from appliance.engine.dsp.lanes import shape
from appliance.engine.dsp.limiter import BOOTH, DRAINED_FRAMES, MASTER, clear_limiter, control_limiters, run_limiter
from appliance.engine.dsp.loudness import run_loudness, true_peak
from appliance.engine.dsp.vector import fused
from appliance.engine.jit import kernel
from appliance.nodes.mixer import ASSIGNS, CHANNELS, CURVES, FADER_CURVES

_SIDE_A, _SIDE_B = ASSIGNS.index("A"), ASSIGNS.index("B")
_POWER, _CUT = CURVES.index("power"), CURVES.index("cut")
_LINEAR, _SLOW, _STEEP = (FADER_CURVES.index(curve) for curve in ("linear", "slow", "steep"))
_CUT_TRAVEL = 0.05
_TAIL_SECONDS = 0.5
_MUTE_SECONDS = 0.01
_SILENT_DB = -60.0
_PEAK_FALL = 0.985
_MEAN_SECONDS = 0.3
_CLICK_OVER = 1e-4
"""Below this the metronome's click is over."""


@kernel
def faded(position: float, curve: int) -> float:
    """Gain of a channel fader at ``position`` 0 … 1; at both ends it is the same on every curve (``FADER_CURVES`` index)."""
    if curve == _LINEAR:
        return position
    if curve == _SLOW:
        return position * position * position * position
    if curve == _STEEP:
        down = 1.0 - position
        return 1.0 - down * down * down
    return position * position


@kernel
def crossfade(position: float, curve: int, side: int, lag: float) -> float:
    """Gain of a side (``ASSIGNS`` index) at crossfader ``position`` -1 … 1; ``lag``: what ``cut`` leaves closed at the end."""
    if side != _SIDE_A and side != _SIDE_B:
        return 1.0
    away = position if side == _SIDE_A else -position
    if curve == _POWER:
        return math.cos((away + 1.0) * math.pi / 4.0)
    if curve == _CUT:
        return min(1.0, max(0.0, (1.0 - away - lag) / _CUT_TRAVEL))
    return min(1.0, max(0.0, 1.0 - away))


@kernel
def update(ctx: Any, state: Any) -> None:
    """Once a cell: every strip and the master follow their values."""
    solo = False
    for number in range(CHANNELS):
        solo = solo or state.values.channel[number].solo >= 0.5
    balance.update(ctx, state)
    others = talkover.step_back(ctx, state)
    for number in range(CHANNELS):
        _update_strip(ctx, state, number, solo, others)
    mixer, values = state.mixer, state.values.mixer
    gain = decibels(values.master)
    glide(mixer.left, gain * min(1.0, 1.0 - values.balance))
    glide(mixer.right, gain * min(1.0, 1.0 + values.balance))
    glide(mixer.cue_mix, values.cue_mix)
    glide(mixer.cue_split, 1.0 if values.cue_split >= 0.5 else 0.0)
    glide_decibels(mixer.cue_level, values.cue_level)
    glide_decibels(mixer.booth, _SILENT_DB if values.booth_mute >= 0.5 else values.booth)
    glide(mixer.booth_mono, 1.0 if values.booth_mono >= 0.5 else 0.0)
    speech.update(ctx, state)
    control_limiters(mixer, values.limiter_ceiling)
    muted = 1 if state.values.panic.mute >= 0.5 else 0
    if muted != mixer.muted:
        mixer.muted = muted
        begin_fade(mixer.mute, mixer.mute.level, 0.0 if muted == 1 else 1.0, int(_MUTE_SECONDS * ctx.rate))
    mixer.peak_left *= _PEAK_FALL
    mixer.peak_right *= _PEAK_FALL
    mixer.true_peak *= _PEAK_FALL


@kernel
def _update_strip(ctx: Any, state: Any, number: int, solo: bool, others: float) -> None:
    """``others``: gain of the channels that do not talk over."""
    strip, values = state.channel[number], state.values.channel[number]
    low = _SILENT_DB if values.kill_low >= 0.5 else values.low
    mid = _SILENT_DB if values.kill_mid >= 0.5 else values.mid
    high = _SILENT_DB if values.kill_high >= 0.5 else values.high
    flat = low == 0.0 and mid == 0.0 and high == 0.0
    if not flat and is_off(strip.eq_mix):
        strip.z[:] = 0.0
    glide_decibels(strip.low, low)
    glide_decibels(strip.mid, mid)
    glide_decibels(strip.high, high)
    glide(strip.eq_mix, 0.0 if flat else 1.0)
    track = state.values.deck[number].track_gain if number < DECKS else 0.0
    glide_decibels(strip.trim, values.trim + track + strip.correction)
    control_filter(strip.filter, values.filter, ctx.rate)
    silent = values.mute >= 0.5 or (solo and values.solo < 0.5)
    mixer = state.values.mixer
    gain = 0.0 if silent else faded(values.fader, int(mixer.fader_curve))
    position = -mixer.crossfader if mixer.crossfader_reverse >= 0.5 else mixer.crossfader
    gain *= crossfade(position, int(mixer.curve), int(values.assign), mixer.crossfader_lag)
    gain *= 1.0 if values.talkover >= 0.5 else others
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
        clear(ctx.channel[number, 0], start, count)
        clear(ctx.channel[number, 1], start, count)


@kernel
def render(ctx: Any, state: Any, start: int, count: int, out: int) -> None:
    """Mix the channels at ``start`` into the outputs at ``out``: master (limited) 0 1, cue 2 3, booth (limited) 4 5."""
    for number in range(OUTPUTS):
        clear(ctx.out[number], out, count)
    for number in range(CHANNELS):
        strip = state.channel[number]
        if ctx.channel_used[number] == 1:
            strip.idle_frames = 0
        ctx.channel_heard[number] = 1 if strip.idle_frames <= _TAIL_SECONDS * ctx.rate else 0
        if ctx.channel_heard[number] == 1:
            scale(ctx.channel[number, 0], start, 0, count, strip.trim)
            scale(ctx.channel[number, 1], start, 0, count, strip.trim)
    shape(ctx, state, start, count)
    balance.listen(ctx, state, start, count)
    shift = out - start
    for number in range(CHANNELS):
        if ctx.channel_heard[number] == 0:
            continue
        strip, left, right = state.channel[number], ctx.channel[number, 0], ctx.channel[number, 1]
        add_scaled(left, ctx.out[0], start, shift, count, strip.left)
        add_scaled(right, ctx.out[1], start, shift, count, strip.right)
        if not is_off(strip.cue):
            add_scaled(left, ctx.out[2], start, shift, count, strip.cue)
            add_scaled(right, ctx.out[3], start, shift, count, strip.cue)
        strip.peak = peak_scaled(left, start, count, strip.left, strip.peak)
        strip.peak = peak_scaled(right, start, count, strip.right, strip.peak)
    speech.render(ctx, state, start, count)
    _master(ctx, state, start, count, out)


@kernel
def _master(ctx: Any, state: Any, start: int, count: int, out: int) -> None:
    """Levels, mute, cue mix and limiters of what lies in the outputs at ``out``."""
    mixer = state.mixer
    left, right = ctx.out[0, out : out + count], ctx.out[1, out : out + count]
    cue_left, cue_right = ctx.out[2, out : out + count], ctx.out[3, out : out + count]
    booth_left, booth_right = ctx.out[4, out : out + count], ctx.out[5, out : out + count]
    if not is_off(mixer.booth):
        _send_to_booth(mixer, start, left, right, booth_left, booth_right)
    scale(ctx.out[0], start, out - start, count, mixer.left)
    scale(ctx.out[1], start, out - start, count, mixer.right)
    _mix_cue(mixer, start, left, right, cue_left, cue_right)
    if mixer.click_level >= _CLICK_OVER:
        _add_click(ctx, mixer, start, cue_left, cue_right)
    if speech.is_heard(state.speech):
        _speak_over(ctx, state, start, cue_left, cue_right)
    _hold_within(cue_left)
    _hold_within(cue_right)
    if mixer.mute.left > 0 or mixer.mute.level != 1.0:
        _mute(mixer, left, right, booth_left, booth_right)
    release = state.values.mixer.limiter_release
    run_limiter(ctx, mixer, MASTER, state.frame, release, left, right)
    _limit_booth(ctx, state, booth_left, booth_right)
    run_loudness(ctx, mixer, state.frame, left, right)
    _meter(ctx, mixer, left, right, count)


@kernel
def _send_to_booth(
    mixer: Any, start: int, left: np.ndarray, right: np.ndarray, booth_left: np.ndarray, booth_right: np.ndarray
) -> None:
    """The mix before the master's level, at the booth's own."""
    now, step, mono_now, mono_step = mixer.booth.now, mixer.booth.step, mixer.booth_mono.now, mixer.booth_mono.step
    for i in range(len(left)):
        at = start + i + 1
        booth, mono = now + step * at, 0.5 * (mono_now + mono_step * at)
        x, y = left[i], right[i]
        booth_left[i] = np.float32(booth * (x + mono * (y - x)))
        booth_right[i] = np.float32(booth * (y + mono * (x - y)))


@kernel
def _mix_cue(
    mixer: Any, start: int, left: np.ndarray, right: np.ndarray, cue_left: np.ndarray, cue_right: np.ndarray
) -> None:
    """What is cued and the master, mixed; or, split, the one on the left and the other on the right."""
    mix_now, mix_step, level_now, level_step = mixer.cue_mix.now, mixer.cue_mix.step, mixer.cue_level.now, mixer.cue_level.step
    split_now, split_step = mixer.cue_split.now, mixer.cue_split.step
    for i in range(len(left)):
        at = start + i + 1
        mix, level, split = mix_now + mix_step * at, level_now + level_step * at, split_now + split_step * at
        x, y, p, q = left[i], right[i], cue_left[i], cue_right[i]
        cue_left[i] = np.float32(level * ((1.0 - split) * (p * (1.0 - mix) + x * mix) + 0.5 * split * (p + q)))
        cue_right[i] = np.float32(level * ((1.0 - split) * (q * (1.0 - mix) + y * mix) + 0.5 * split * (x + y)))


@kernel
def _add_click(ctx: Any, mixer: Any, start: int, cue_left: np.ndarray, cue_right: np.ndarray) -> None:
    for i in range(len(cue_left)):
        click = np.float32((mixer.cue_level.now + mixer.cue_level.step * (start + i + 1)) * _click(ctx, mixer))
        cue_left[i] += click
        cue_right[i] += click


@kernel
def _speak_over(ctx: Any, state: Any, start: int, cue_left: np.ndarray, cue_right: np.ndarray) -> None:
    """All else in the headphones steps back for the voice."""
    duck, gain, level = state.speech.duck, state.speech.gain, state.mixer.cue_level
    for i in range(len(cue_left)):
        at = start + i + 1
        back, loud = duck.now + duck.step * at, (gain.now + gain.step * at) * (level.now + level.step * at)
        cue_left[i] = np.float32(cue_left[i] * back + loud * ctx.speech[0, start + i])
        cue_right[i] = np.float32(cue_right[i] * back + loud * ctx.speech[1, start + i])


@kernel
def _hold_within(audio: np.ndarray) -> None:
    """The cue bus has no limiter: what is over full scale is cut."""
    one = np.float32(1.0)
    for i in range(len(audio)):
        audio[i] = min(max(audio[i], -one), one)


@kernel
def _mute(mixer: Any, left: np.ndarray, right: np.ndarray, booth_left: np.ndarray, booth_right: np.ndarray) -> None:
    level, step, left_over = mixer.mute.level, mixer.mute.step, mixer.mute.left
    for i in range(len(left)):
        if left_over > 0:
            level += step
            left_over -= 1
            if left_over == 0:
                level = 0.0 if mixer.muted == 1 else 1.0
        gain = np.float32(eased(level))
        left[i] *= gain
        right[i] *= gain
        booth_left[i] *= gain
        booth_right[i] *= gain
    mixer.mute.level, mixer.mute.left = level, left_over


@kernel
def _limit_booth(ctx: Any, state: Any, left: np.ndarray, right: np.ndarray) -> None:
    """The booth has a limiter of its own, which rests while the booth is off."""
    mixer = state.mixer
    if is_off(mixer.booth):
        if mixer.booth_idle > DRAINED_FRAMES:
            return
        mixer.booth_idle += len(left)
    elif mixer.booth_idle > 0:
        if mixer.booth_idle > DRAINED_FRAMES:
            clear_limiter(ctx, mixer, BOOTH, state.frame)
        mixer.booth_idle = 0
    run_limiter(ctx, mixer, BOOTH, state.frame, state.values.mixer.limiter_release, left, right)


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
    if level < _CLICK_OVER:
        return 0.0
    mixer.click_level = level * (1.0 - 230.0 / ctx.rate)
    mixer.click_phase += mixer.click_hz / ctx.rate
    return level * math.sin(2.0 * math.pi * mixer.click_phase)


@kernel
def _meter(ctx: Any, mixer: Any, left: np.ndarray, right: np.ndarray, count: int) -> None:
    mixer.peak_left = max(mixer.peak_left, loudest(left, 0, count))
    mixer.peak_right = max(mixer.peak_right, loudest(right, 0, count))
    keep = 1.0 - 1.0 / (_MEAN_SECONDS * ctx.rate)
    square, share = mixer.mean_square, 0.5 * (1.0 - keep)
    for i in range(count):
        x, y = np.float64(left[i]), np.float64(right[i])
        square = fused(square, keep, share * fused(x, x, y * y))
    mixer.mean_square = square
    mixer.true_peak = true_peak(ctx, mixer.peak_history[0], left, mixer.true_peak)
    mixer.true_peak = true_peak(ctx, mixer.peak_history[1], right, mixer.true_peak)


@kernel
def settle_mixer(ctx: Any, state: Any) -> None:
    """At the very first block: every control where its value stands, nothing fades in."""
    for _ in range(400):
        update(ctx, state)
    state.mixer.mute.level = 0.0 if state.mixer.muted == 1 else 1.0
    state.mixer.mute.left = 0
    state.mixer.balance_frames = 0
    for which in range(LIMITERS):
        state.mixer.limiter[which].reduction = 1.0
    for number in range(CHANNELS):
        state.channel[number].idle_frames = 1 << 40
