# SPDX-License-Identifier: GPL-3.0-or-later
"""The live channel's stream: what another process writes into a ring is played on a strip, and fades out before it runs dry.

The ring is never rewritten before it was played, so a block can be rendered again, by whichever engine. A stream goes on by
itself, from where it stalled; or, with an origin, it stands on the grid: its first frame belongs to that frame of the engine,
and what came too late is not heard.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import load_acquire, pointer
from appliance.bus.layout import FEED_FRAMES
from appliance.engine.dsp.glide import begin_fade, decibels, eased, glide_decibels, settle
from appliance.engine.jit import kernel
from appliance.nodes.mixer import CHANNELS

FADE_FRAMES = 256
RESERVE_FRAMES = 2 * FADE_FRAMES
"""With less than that left it fades out: the fade itself, and what a sub-block takes."""
WAITING, SOUNDING, LEAVING = range(3)
_RING = layout.offset("feed")
_STREAM, _BEGIN, _ORIGIN, _ENDED, _HEAD = (
    layout.offset(f"feed_{name}") for name in ("stream", "begin", "origin", "ended", "head")
)


@kernel
def update(state: Any) -> None:
    """Once a cell."""
    glide_decibels(state.feed.gain, state.values.live.gain)


@kernel
def ahead(ctx: Any, state: Any) -> int:
    """Frames of the stream that have come and were not played. Where the next one begins it ends."""
    feed = state.feed
    end = load_acquire(ctx.base + _HEAD)
    if feed.stream != load_acquire(ctx.base + _STREAM):
        end = min(end, load_acquire(ctx.base + _BEGIN))
    return max(end - feed.position, 0)


@kernel
def render(ctx: Any, state: Any, start: int, count: int) -> None:
    """Add what is due to the strip, ``count`` frames of the cell from ``start`` on."""
    feed = state.feed
    channel = min(max(int(state.values.live.channel), 1), CHANNELS) - 1
    stream = load_acquire(ctx.base + _STREAM)
    if feed.phase == WAITING:
        if feed.stream != stream:
            feed.stream = stream
            feed.position = load_acquire(ctx.base + _BEGIN)
        feed.channel = channel
        if not _may_begin(ctx, state, count):
            return
        feed.phase = SOUNDING
        begin_fade(feed.fade, 0.0, 1.0, FADE_FRAMES)
    left = ahead(ctx, state)
    over = feed.stream != stream or feed.channel != channel
    if feed.phase == SOUNDING and (over or left < RESERVE_FRAMES + count):
        feed.phase = LEAVING
        if not over and load_acquire(ctx.base + _ENDED) == 0:
            feed.stalls += 1
        begin_fade(feed.fade, feed.fade.level, 0.0, FADE_FRAMES)
    _add(ctx, state, start, min(count, left))
    if feed.phase == LEAVING and (feed.fade.left == 0 or left <= count):
        feed.phase = WAITING


@kernel
def _may_begin(ctx: Any, state: Any, count: int) -> bool:
    """Enough has come; on the grid its time has come, too."""
    feed = state.feed
    if feed.stream == 0:
        return False
    origin = load_acquire(ctx.base + _ORIGIN)
    if origin >= 0:
        feed.position = load_acquire(ctx.base + _BEGIN) + max(state.frame - origin, 0)
        if state.frame < origin:
            return False
    enough = max(state.values.live.buffer * ctx.rate, RESERVE_FRAMES + count)
    if load_acquire(ctx.base + _ENDED) == 1:
        enough = RESERVE_FRAMES + count
    return ahead(ctx, state) >= min(enough, FEED_FRAMES // 2)


@kernel
def _add(ctx: Any, state: Any, start: int, count: int) -> None:
    feed = state.feed
    ring = carray(pointer(ctx.base + _RING), (FEED_FRAMES, 2), np.float32)
    left, right = ctx.channel[feed.channel, 0], ctx.channel[feed.channel, 1]
    level, step, fading = feed.fade.level, feed.fade.step, feed.fade.left
    gain, slope = feed.gain.now, feed.gain.step
    for i in range(count):
        if fading > 0:
            level += step
            fading -= 1
            if fading == 0:
                level = 0.0 if step < 0.0 else 1.0
        place = (feed.position + i) & (FEED_FRAMES - 1)
        scale = np.float32(eased(level) * (gain + slope * (start + i + 1)))
        left[start + i] += scale * ring[place, 0]
        right[start + i] += scale * ring[place, 1]
    feed.fade.level, feed.fade.left = level, fading
    feed.position += count
    ctx.channel_used[feed.channel] = 1


@kernel
def skip(state: Any, frames: int) -> None:
    """Go on as if ``frames`` had been heard."""
    if state.feed.phase != WAITING:
        state.feed.position += frames


@kernel
def settle_feed(state: Any) -> None:
    """At the very first block: nothing fades in."""
    settle(state.feed.gain, decibels(state.values.live.gain))
