# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI clock in: the master clock follows another one's ticks, each taken at the frame at which it came.

Ticks jitter by milliseconds. A straight line through the last 96 of them (two seconds at 120 BPM) tells tempo and phase; the
clock turns a little faster or slower until it is on that line. When the ticks leave the line, the tempo has changed: only the
newest count from then on. When none come any more, the tempo holds.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.bus.layout import CLOCK_TICKS
from appliance.engine import transport
from appliance.engine.jit import kernel
from appliance.engine.steering import HIGHEST_BPM, LOWEST_BPM, hold, set_running, steer
from appliance.nodes.clock import SOURCES

TICKS = 24
_MIDI = SOURCES.index("midi")
_FEWEST = 12
"""So many ticks make a tempo."""
_NEWEST = 8
_OFF_THE_LINE_S = 0.004
"""The last eight ticks are further off than jitter explains, in the mean."""
_NO_LINE_S = 0.008
"""One of the fewest ticks is further off: they are no tempo, but the bend between two."""
_SILENT_S = 0.5


@kernel
def is_clock(status: int) -> bool:
    """Ticks, start, continue, stop and song position; also what is sent as often and says nothing (0xF9, 0xFD, 0xFE)."""
    return status >= 0xF8 or status == 0xF2


@kernel
def take_clock(ctx: Any, state: Any, port: int, status: int, data1: int, data2: int) -> None:
    """A message of another clock, at this frame."""
    clock, values = state.clock, state.values.clock
    if int(values.source) != _MIDI:
        clock.in_count = 0
        return
    silent = clock.in_count == 0 or state.frame - clock.in_ticks[0] > _SILENT_S * ctx.rate
    if port != clock.in_port and not silent:
        return  # one clock at a time
    clock.in_port = port
    if status == 0xF8:
        _tick(ctx, state, silent)
    elif status == 0xFA:
        clock.in_beat = -1.0 / TICKS  # the next tick is beat 0
        clock.in_waits = 1
    elif status == 0xF2:
        clock.in_beat = (data1 + 128 * data2) / 4.0 - 1.0 / TICKS
        clock.in_waits = 1
    elif status == 0xFB:
        clock.in_waits = 1
    elif status == 0xFC:
        set_running(ctx, state, 0)


@kernel
def await_ticks(ctx: Any, state: Any) -> None:
    """Once a cell: no tick for half a second, and the clock is gone."""
    clock = state.clock
    if clock.followed == 1 and state.frame - clock.in_ticks[0] > _SILENT_S * ctx.rate:
        hold(ctx, state)


@kernel
def _tick(ctx: Any, state: Any, silent: bool) -> None:
    clock = state.clock
    if silent:
        clock.in_count = 0
    for i in range(min(clock.in_count, CLOCK_TICKS - 1), 0, -1):
        clock.in_ticks[i] = clock.in_ticks[i - 1]
    clock.in_ticks[0] = state.frame
    clock.in_count = min(clock.in_count + 1, CLOCK_TICKS)
    if silent and clock.running == 1 and clock.in_waits == 0:  # it has gone on unheard, as we have
        clock.in_beat = math.floor(transport.beat_at(clock, state.frame, ctx.rate) * TICKS + 0.5) / TICKS
    elif clock.running == 1 or clock.in_waits == 1:
        clock.in_beat += 1.0 / TICKS
    if clock.in_waits == 1:
        clock.in_waits = 0
        clock.anchor_frame = state.frame
        clock.anchor_beat = clock.in_beat
        clock.ticking = 0
        if clock.in_beat <= 0.0:
            transport.restart(clock, state.frame)
        set_running(ctx, state, 1)
    if clock.in_count >= _FEWEST:
        _follow(ctx, state)


@kernel
def _line(clock: Any, count: int) -> tuple[float, float]:
    """The straight line through the newest ``count`` ticks: frames a tick, and where the newest should have come, relative to
    where it came."""
    sum_t = sum_nt = 0.0
    for i in range(count):
        t = float(clock.in_ticks[i] - clock.in_ticks[0])
        sum_t += t
        sum_nt += -i * t
    mean_n, mean_t = -0.5 * (count - 1), sum_t / count
    spread = count * (count * count - 1.0) / 12.0
    slope = (sum_nt - count * mean_n * mean_t) / spread
    return slope, mean_t - slope * mean_n


@kernel
def _bend(clock: Any, slope: float, newest: float) -> float:
    """How many frames the worst of the newest ticks is off the line."""
    worst = 0.0
    for i in range(_FEWEST):
        worst = max(worst, abs(float(clock.in_ticks[i] - clock.in_ticks[0]) - (newest - i * slope)))
    return worst


@kernel
def _follow(ctx: Any, state: Any) -> None:
    clock = state.clock
    slope, newest = _line(clock, clock.in_count)
    if clock.in_count > _FEWEST:
        off = 0.0
        for i in range(_NEWEST):
            off += float(clock.in_ticks[i] - clock.in_ticks[0]) - (newest - i * slope)
        if abs(off) / _NEWEST > _OFF_THE_LINE_S * ctx.rate:
            clock.in_count = _FEWEST
            slope, newest = _line(clock, _FEWEST)
    if slope <= 0.0 or (clock.in_count < 2 * _FEWEST and _bend(clock, slope, newest) > _NO_LINE_S * ctx.rate):
        return
    bpm = 60.0 * ctx.rate / (slope * TICKS)
    if not LOWEST_BPM <= bpm <= HIGHEST_BPM:
        hold(ctx, state)
        return
    late = int(state.values.clock.in_offset * 0.001 * ctx.rate)
    theirs = clock.in_beat + (-newest - late) / (slope * TICKS)  # where their song is at this frame
    ours = transport.beat_at(clock, state.frame, ctx.rate)
    steer(ctx, state, bpm, theirs - ours, False)
    clock.followed = 1
