# SPDX-License-Identifier: GPL-3.0-or-later
"""JACK's transport: the master clock follows it (source ``jack``), or leads it (``/clock/jack``).

The transport counts the audio server's own frames, so nothing drifts: position and tempo are taken over once and compared in
each block. A timebase master tells bars, beats and ticks; without one the position in seconds is counted in beats of our tempo.
What the server is to do (start, stop, go somewhere) stands in ``ctx.transport`` for the backend.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.engine import transport
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES
from appliance.engine.jit import kernel
from appliance.engine.steering import HIGHEST_BPM, LOWEST_BPM, change_source, hold, set_running, tell_tempo
from appliance.nodes.clock import SOURCES

_JACK = SOURCES.index("jack")
_FARTHEST_BEATS = 0.25
"""The clock has been moved when it is further than this from where it was expected."""
_SAME_BPM = 1e-6
START, STOP = 1, -1


@kernel
def _late_frames(ctx: Any, state: Any) -> int:
    """What the server's position is ahead of the clock: the master is heard so much later, plus the offset."""
    return LOOK_AHEAD_FRAMES + int(state.values.clock.jack_offset * 0.001 * ctx.rate)


@kernel
def follow_transport(ctx: Any, state: Any, late_frames: int) -> None:
    """At a block's beginning, which lies ``late_frames`` behind the cycle whose transport is known (0 but for what is
    rendered after a take-over)."""
    change_source(ctx, state, _JACK)
    clock, song = state.clock, ctx.transport
    if song.known == 0 or ctx.freewheel == 1:
        hold(ctx, state)
        return
    ctx.transport.wish = 0
    if clock.followed == 1 and clock.running != song.rolling and song.rolling == clock.rolling:
        ctx.transport.wish = START if clock.running == 1 else STOP  # a person's wish; the clock is there already
        return
    moved = clock.followed == 0 or song.rolling != clock.rolling
    clock.rolling = song.rolling
    set_running(ctx, state, song.rolling)
    if song.bbt == 1 and LOWEST_BPM <= song.bpm <= HIGHEST_BPM:
        _follow_beats(ctx, state, late_frames, moved)
    else:
        _follow_frames(ctx, state, late_frames, moved)
    clock.followed = 1


@kernel
def _move_to(ctx: Any, state: Any, beat: float) -> None:
    """Bars are counted from the song's beginning."""
    clock = state.clock
    clock.anchor_frame = state.frame
    clock.anchor_beat = beat
    clock.bar_beat = 0.0
    clock.bar_number = 0


@kernel
def _follow_beats(ctx: Any, state: Any, late_frames: int, moved: bool) -> None:
    """A tick is coarse: within it the clock stays where it is, so that it gets no less steady than the server's frames."""
    clock, song = state.clock, ctx.transport
    if abs(song.bpm - clock.bpm) > _SAME_BPM:
        transport.anchor(clock, state.frame, ctx.rate)
        clock.ramping = 0
        clock.bpm = song.bpm
    clock.in_bpm = song.bpm
    tell_tempo(ctx, state, song.bpm)
    ahead = _late_frames(ctx, state) - late_frames * song.rolling
    first = song.beat + ahead * song.bpm / (60.0 * ctx.rate)
    last = first + song.grain_beats
    ours = transport.beat_at(clock, state.frame, ctx.rate)
    frame = song.bpm / (60.0 * ctx.rate)
    if moved or ours < first - _FARTHEST_BEATS or ours > last + _FARTHEST_BEATS:
        _move_to(ctx, state, first)
    elif ours < first - frame or ours > last + frame:
        transport.anchor(clock, state.frame, ctx.rate)
        clock.anchor_beat = first if ours < first else last


@kernel
def _follow_frames(ctx: Any, state: Any, late_frames: int, moved: bool) -> None:
    clock, song = state.clock, ctx.transport
    clock.in_bpm = 0.0
    frame = song.frame - late_frames * song.rolling
    passed = (state.frame - clock.transport_at) * song.rolling
    if moved or frame != clock.transport_frame + passed:
        ahead = _late_frames(ctx, state)
        _move_to(ctx, state, (frame + ahead) * clock.bpm / (60.0 * ctx.rate))
    clock.transport_frame = frame
    clock.transport_at = state.frame


@kernel
def lead_transport(ctx: Any, state: Any) -> None:
    """After a block, while the box is timebase master: the transport starts and stops when the clock does, and goes where the
    clock is set to. Between that, others may use it as they like."""
    clock, song = state.clock, ctx.transport
    ctx.transport.wish = 0
    ctx.transport.locate = -1
    if ctx.timebase == 0 or int(state.values.clock.source) == _JACK:
        ctx.transport.told_running = -1
        return
    beat = transport.beat_at(clock, state.frame, ctx.rate)
    due = song.told_beat + (state.frame - song.told_frame) * clock.running * clock.bpm / (60.0 * ctx.rate)
    starts = song.told_running != clock.running and song.rolling == 0
    if starts or (song.told_running >= 0 and abs(beat - due) > _FARTHEST_BEATS):
        ctx.transport.locate = max(int(beat * 60.0 * ctx.rate / clock.bpm), 0)
    if song.told_running != clock.running:
        ctx.transport.wish = START if clock.running == 1 else STOP
    ctx.transport.told_running = clock.running
    ctx.transport.told_beat = beat
    ctx.transport.told_frame = state.frame


@kernel
def position_told(ctx: Any, state: Any) -> tuple[float, float]:
    """``(beat, bar's first beat)`` that the server is told for its next cycle: what is heard at its first frame."""
    clock = state.clock
    beat = transport.beat_at(clock, state.frame - _late_frames(ctx, state), ctx.rate)
    bars = math.floor((beat - clock.bar_beat) / clock.bar_length + 1e-9)
    return beat, clock.bar_beat + bars * clock.bar_length
