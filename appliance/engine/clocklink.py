# SPDX-License-Identifier: GPL-3.0-or-later
"""The source ``link``: the master clock follows Ableton Link's session.

Control sees the session and says at which monotonic time it is at which beat (``layout.LINK``). The engine knows when a frame
is heard: the time of its cycle, the limiter's look-ahead and the latency of what the master is connected to. So it knows which
beat is due at it, modulo a bar: where Link counts from says nothing, only bars begin together.
"""

from __future__ import annotations

import math
from typing import Any

from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import fence_acquire, load_acquire, load_relaxed, pointer
from appliance.engine import transport
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES
from appliance.engine.jit import kernel
from appliance.engine.steering import HIGHEST_BPM, LOWEST_BPM, hold, steer

_LINK = layout.offset("link")
_TRIES = 4
_EVERY_FRAMES = 1024
_GONE_NS = 2_000_000_000
"""Control looks fifty times a second. What it said last holds so long, while it starts anew."""


@kernel
def heard_ns(ctx: Any, state: Any, frame: int) -> int:
    """The monotonic time at which the beat of a frame is heard from the master."""
    frames = frame - state.block_begin + LOOK_AHEAD_FRAMES + ctx.playback_latency
    return state.block_ns + int(frames * 1e9 / ctx.rate)


@kernel
def _session(ctx: Any) -> tuple[int, float, float]:
    """``(monotonic time, beat, tempo)``; time 0 while there is no session, or none that could be read."""
    address = ctx.base + _LINK
    link = carray(pointer(address), (1,), layout.LINK)[0]
    for _ in range(_TRIES):
        before = load_acquire(address)
        if before & 1 == 0:
            at, beat, bpm = link.monotonic_ns, link.beat, link.bpm
            fence_acquire()
            if load_relaxed(address) == before:
                return at, beat, bpm
    return 0, 0.0, 0.0


@kernel
def follow_link(ctx: Any, state: Any) -> None:
    """Once a cell: steer when it is time; at once when following begins."""
    clock = state.clock
    if clock.ramping == 1:  # a person's; Link's session goes along
        clock.held_until = state.frame + int(transport.HAND_S * ctx.rate)
    changed = clock.anchor_frame == state.frame
    begins = changed or clock.followed == 0
    if state.frame < clock.held_until or (not begins and state.frame % _EVERY_FRAMES != 0) or ctx.freewheel == 1:
        return
    at, beat, bpm = _session(ctx)
    if at == 0 or state.block_ns - at > _GONE_NS or not LOWEST_BPM <= bpm <= HIGHEST_BPM:
        hold(ctx, state)
        return
    passed = heard_ns(ctx, state, state.frame) - at + state.values.clock.link_offset * 1e6
    theirs = beat + passed * bpm / 60e9
    apart = theirs - (transport.beat_at(clock, state.frame, ctx.rate) - clock.bar_beat)
    apart -= math.floor(apart / clock.bar_length + 0.5) * clock.bar_length
    steer(ctx, state, bpm, apart, changed)
    clock.followed = 1
