# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto-balance: brings the loudness of the channels together, slowly, by a few dB each.

Each channel is weighed as loudness is (BS.1770's filters), after its tone and before its fader, and what auto-balance adds is
taken out of the measure again. While nobody's hand is in it, the channels meet at the mean of what they are by themselves; one
that is held by hand leads, and the others come to what is heard. A channel whose fader is down is made ready for it.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.dsp.loudness import weighted_energy
from appliance.engine.jit import kernel
from appliance.nodes.mixer import BALANCE_DB, CHANNELS

STEP_CELLS = 64
"""Every 85 ms at 48 kHz the measure and what is added move on."""
DB_PER_SECOND = 0.5
_MEAN_SECONDS = 1.5
"""Of an exponential mean, whose weight is that of the 3 s of the short-term loudness."""
_KNOWN_SECONDS = 1.0
"""Not before a channel has been heard for so long is its loudness believed."""
_FORGET_SECONDS = 3.0
"""After so much silence something else begins: the hand is forgotten too."""
_SILENT = 10.0 ** ((-50.0 + 0.691) / 10.0)
"""Energy of -50 LUFS."""


@kernel
def update(ctx: Any, state: Any) -> None:
    """Once a cell."""
    mixer, values = state.mixer, state.values.mixer
    on = 1 if values.balance_auto >= 0.5 else 0
    if on != mixer.balancing:
        mixer.balancing = on
        mixer.balance_frames = 0
        for number in range(CHANNELS):
            _begin(state, number)
    if on == 1:
        for number in range(CHANNELS):
            _watch_hand(state, number)
    mixer.balance_frames += CELL_FRAMES
    if mixer.balance_frames < STEP_CELLS * CELL_FRAMES or (state.frame // CELL_FRAMES) % STEP_CELLS != 0:
        return
    seconds = mixer.balance_frames / ctx.rate
    if on == 1:
        for number in range(CHANNELS):
            _weigh(state.channel[number], mixer.balance_frames, seconds)
    _steer(state, seconds, on == 1)
    mixer.balance_frames = 0


@kernel
def listen(ctx: Any, state: Any, start: int, count: int) -> None:
    """Measure ``count`` frames from ``start`` of the channels."""
    if state.mixer.balancing == 0:
        return
    for number in range(CHANNELS):
        if ctx.channel_heard[number] == 1:
            strip = state.channel[number]
            left, right = ctx.channel[number, 0, start : start + count], ctx.channel[number, 1, start : start + count]
            strip.k_sum += weighted_energy(ctx, strip.k_z, left, right)


@kernel
def _begin(state: Any, number: int) -> None:
    """Nothing is known, nobody's hand was there."""
    strip, values = state.channel[number], state.values.channel[number]
    strip.k_z[:] = 0.0
    strip.k_sum, strip.loudness, strip.known_s, strip.silent_s = 0.0, 0.0, 0.0, 0.0
    strip.held = 0
    strip.hand[0], strip.hand[1] = values.trim, values.fader


@kernel
def _watch_hand(state: Any, number: int) -> None:
    """A hand on the trim or the fader of a channel that sounds holds what is added to it."""
    strip, values = state.channel[number], state.values.channel[number]
    if values.trim != strip.hand[0] or values.fader != strip.hand[1]:
        strip.hand[0], strip.hand[1] = values.trim, values.fader
        if strip.known_s > 0.0:
            strip.held = 1


@kernel
def _weigh(strip: Any, frames: int, seconds: float) -> None:
    """A step is over: its energy, without what was added, goes into the mean. One that is held goes on with what it was."""
    energy = strip.k_sum / frames * 10.0 ** (-0.1 * strip.correction)
    strip.k_sum = 0.0
    if energy < _SILENT:
        strip.silent_s += seconds
        if strip.silent_s >= _FORGET_SECONDS:
            strip.known_s = 0.0
            strip.held = 0
    else:
        strip.silent_s = 0.0
        if strip.held == 0:
            strip.known_s += seconds
            strip.loudness += (energy - strip.loudness) * max(seconds / strip.known_s, 1.0 - math.exp(-seconds / _MEAN_SECONDS))


@kernel
def _steer(state: Any, seconds: float, on: bool) -> None:
    """Move what is added towards what is wanted; back to nothing when auto-balance is off."""
    together, heard, held = 0.0, 0, False
    added = 0.0
    for number in range(CHANNELS):
        strip, values = state.channel[number], state.values.channel[number]
        if on and strip.known_s >= _KNOWN_SECONDS and values.mute < 0.5 and values.fader > 0.0:
            together += _decibels(strip) + strip.correction
            added += strip.correction
            heard += 1
            held = held or strip.held == 1
    if on and heard == 0:
        return
    target = (together if held else together - added) / max(heard, 1)
    most = DB_PER_SECOND * seconds
    for number in range(CHANNELS):
        strip = state.channel[number]
        wanted = strip.correction
        if not on:
            wanted = 0.0
        elif strip.held == 0 and strip.known_s >= _KNOWN_SECONDS:
            wanted = min(max(target - _decibels(strip), -BALANCE_DB), BALANCE_DB)
        strip.correction += min(max(wanted - strip.correction, -most), most)


@kernel
def _decibels(strip: Any) -> float:
    """The channel's own loudness."""
    return 10.0 * math.log10(max(strip.loudness, _SILENT))
