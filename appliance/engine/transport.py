# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock: beats computed from frames, never accumulated; tempo, metre, tap, and where the next grid line is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.jit import kernel
from appliance.nodes.clock import METRE_BEATS, QUANTIZE_BEATS

_METRES = np.array(METRE_BEATS)
_GRIDS = np.array(QUANTIZE_BEATS)
_ON_THE_LINE = 1e-6
TAP_SECONDS = 2.0
HAND_S = 0.25
"""A person's hand on tempo or beat counts for so long, until Link's session has it."""


@kernel
def frames_apart(later: int, earlier: int) -> int:
    """Difference of two frame times of the audio server, which wrap at 32 bits."""
    return (((later - earlier) & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


@kernel
def beat_at(clock: Any, frame: int, rate: float) -> float:
    """Beats (quarter notes) since the clock's start at ``frame``."""
    if clock.running == 0:
        return clock.anchor_beat
    return clock.anchor_beat + (frame - clock.anchor_frame) * clock.bpm / (60.0 * rate)


@kernel
def frame_of(clock: Any, beat: float, rate: float) -> int:
    """The first frame at or after ``beat``; a very late one while the clock stands."""
    if clock.running == 0 or clock.bpm <= 0.0:
        return 1 << 62
    return clock.anchor_frame + int(math.ceil((beat - clock.anchor_beat) * 60.0 * rate / clock.bpm - _ON_THE_LINE))


@kernel
def anchor(clock: Any, frame: int, rate: float) -> None:
    """Make ``frame`` the point from which beats are counted, before tempo or run change there."""
    beat = beat_at(clock, frame, rate)
    clock.anchor_frame = frame
    clock.anchor_beat = beat


@kernel
def restart(clock: Any, frame: int) -> None:
    """This frame is beat 1 of bar 1."""
    clock.anchor_frame = frame
    clock.anchor_beat = 0.0
    clock.bar_beat = 0.0
    clock.bar_number = 0
    clock.ticking = 0  # who follows hears of it
    clock.followed = 0


@kernel
def align(clock: Any, beat: float, bpm: float, frame: int, rate: float) -> None:
    """Tempo ``bpm`` from this frame on, and beats that fall where those of ``beat`` do; moved by half a beat at most."""
    anchor(clock, frame, rate)
    clock.bpm = bpm
    apart = beat - clock.anchor_beat
    clock.anchor_beat += apart - math.floor(apart + 0.5)


@kernel
def update_clock(clock: Any, values: Any, frame: int, rate: float) -> None:
    """Once a cell: follow tempo, run and metre. A new metre counts from the next bar line."""
    if clock.bar_length <= 0.0:
        clock.metre = int(values.clock.metre)
        clock.bar_length = _METRES[clock.metre]
    running = 1 if values.clock.play >= 0.5 else 0
    if values.clock.bpm != clock.told_bpm or running != clock.running:
        anchor(clock, frame, rate)
        if values.clock.bpm != clock.told_bpm:
            clock.ramping = 0
            clock.bpm = min(max(values.clock.bpm, 1.0), 1000.0)
            clock.told_bpm = values.clock.bpm
            clock.held_until = frame + int(HAND_S * rate)
        clock.running = running
    metre = min(max(int(values.clock.metre), 0), _METRES.shape[0] - 1)
    if metre != clock.metre:
        beat = beat_at(clock, frame, rate)
        bars = math.ceil((beat - clock.bar_beat) / clock.bar_length - _ON_THE_LINE)
        line = clock.bar_beat + bars * clock.bar_length
        if beat >= line - _ON_THE_LINE or frame_of(clock, line, rate) < frame + 64:
            clock.bar_number += int(bars)
            clock.bar_beat = line
            clock.metre = metre
            clock.bar_length = _METRES[metre]


@kernel
def begin_ramp(clock: Any, goal: float, bars: float, frame: int, rate: float) -> None:
    """From the tempo of now to ``goal``, evenly in time, over so many bars of the metre."""
    clock.ramping = 1
    clock.ramp_from = clock.bpm
    clock.ramp_to = goal
    clock.ramp_begin = frame
    clock.ramp_frames = bars * clock.bar_length * 60.0 * rate / (0.5 * (clock.bpm + goal))


@kernel
def follow_ramp(clock: Any, frame: int, rate: float) -> bool:
    """Once a cell: its tempo is that of the ramp in its middle, so that as many beats pass as should. True when it is over."""
    share = (frame + CELL_FRAMES / 2 - clock.ramp_begin) / max(clock.ramp_frames, 1.0)
    anchor(clock, frame, rate)
    if share < 1.0 and clock.running == 1:
        clock.bpm = clock.ramp_from + (clock.ramp_to - clock.ramp_from) * share
        return False
    clock.bpm = clock.ramp_to
    clock.ramping = 0
    return True


@kernel
def bar_of(clock: Any, beat: float) -> int:
    """Number of the bar, from 0, in which ``beat`` lies."""
    return clock.bar_number + int(math.floor((beat - clock.bar_beat) / clock.bar_length + _ON_THE_LINE))


@kernel
def next_line(clock: Any, beat: float, grid: int) -> float:
    """The first line of ``QUANTIZES[grid]`` at or after ``beat``; ``beat`` itself when the grid is off."""
    length = _GRIDS[min(max(grid, 0), _GRIDS.shape[0] - 1)]
    if length == 0.0:
        return beat
    if length > 0.0:
        return clock.bar_beat + math.ceil((beat - clock.bar_beat) / length - _ON_THE_LINE) * length
    bars = -length
    bar = clock.bar_number + (beat - clock.bar_beat) / clock.bar_length
    wanted = math.ceil(bar / bars - _ON_THE_LINE) * bars
    return clock.bar_beat + (wanted - clock.bar_number) * clock.bar_length


@kernel
def tap(clock: Any, frame: int, rate: float) -> float:
    """A tap at ``frame``; returns the tempo of the last up to four taps, or 0 while there are too few."""
    if clock.tap_count > 0 and frame - clock.taps[0] > TAP_SECONDS * rate:
        clock.tap_count = 0
    for i in range(3, 0, -1):
        clock.taps[i] = clock.taps[i - 1]
    previous = clock.tap_count
    clock.taps[0] = frame
    clock.tap_count = min(previous + 1, 4)
    if clock.tap_count < 2:
        return 0.0
    span = clock.taps[0] - clock.taps[clock.tap_count - 1]
    if span <= 0:
        return 0.0
    bpm = 60.0 * rate * (clock.tap_count - 1) / span
    return min(max(bpm, 20.0), 300.0)
