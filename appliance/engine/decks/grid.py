# SPDX-License-Identifier: GPL-3.0-or-later
"""Beats of a clip: its grid, straight from anchor to anchor, and on from the last one at the grid's tempo.

Without a grid the first frame is beat 0, at the clip's tempo; when that is not known either, lengths in beats are the clock's.
"""

from __future__ import annotations

from typing import Any

from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer
from appliance.bus.layout import CLOCK_STATE, DECK_STATE, GRID, GRIDS
from appliance.engine.context import context_at
from appliance.engine.dsp import voice
from appliance.engine.jit import address_of, f64, i64, kernel, leaf, record_at, unit

_GRID = layout.offset("grid")
_deck_at, _clock_at = record_at(DECK_STATE), record_at(CLOCK_STATE)


@kernel
def _grid(ctx: Any, deck: Any) -> Any:
    return carray(pointer(ctx.base + _GRID), (GRIDS,), GRID)[deck.grid if 0 <= deck.grid < GRIDS else 0]


@kernel
def known(ctx: Any, deck: Any) -> bool:
    """Whether the clip's beats are known, so that it can be locked to the clock."""
    return deck.clip != 0 and (_grid(ctx, deck).count > 0 or voice.clip_row(ctx, deck.clip).bpm > 0.0)


@kernel
def _segment(grid: Any, at: float, by_beat: bool) -> int:
    """Index of the anchor before ``at``, a frame or a beat; the first one for what lies before it."""
    low, high = 0, grid.count
    while high - low > 1:
        middle = (low + high) // 2
        if (grid.beat[middle] if by_beat else grid.frame[middle]) <= at:
            low = middle
        else:
            high = middle
    return low


@kernel
def _frames_a_beat(ctx: Any, deck: Any, clock: Any, grid: Any, segment: int) -> float:
    """Clip frames in a beat, after an anchor."""
    if segment + 1 < grid.count:
        beats = grid.beat[segment + 1] - grid.beat[segment]
        return (grid.frame[segment + 1] - grid.frame[segment]) / beats
    row = voice.clip_row(ctx, deck.clip)
    bpm = grid.bpm if grid.count > 0 and grid.bpm > 0.0 else (row.bpm if row.bpm > 0.0 else clock.bpm)
    rate = row.rate if row.rate > 0.0 else ctx.rate
    return 60.0 * rate / bpm if bpm > 0.0 else rate


@kernel
def _beat_frames(ctx: Any, deck: Any, clock: Any, frame: float) -> float:
    grid = _grid(ctx, deck)
    return _frames_a_beat(ctx, deck, clock, grid, _segment(grid, frame, False))


@unit("beat_frames", f64, i64, i64, i64, f64)
def _beat_frames_unit(ctx: int, deck: int, clock: int, frame: float) -> float:
    return _beat_frames(context_at(ctx), _deck_at(deck), _clock_at(clock), frame)


@leaf
def beat_frames(ctx: Any, deck: Any, clock: Any, frame: float) -> float:
    """Clip frames in a beat at a place."""
    return _beat_frames_unit(address_of(ctx), address_of(deck), address_of(clock), frame)


@kernel
def _beat_of(ctx: Any, deck: Any, clock: Any, frame: float) -> float:
    grid = _grid(ctx, deck)
    segment = _segment(grid, frame, False)
    length = _frames_a_beat(ctx, deck, clock, grid, segment)
    if grid.count == 0:
        return frame / length
    return grid.beat[segment] + (frame - grid.frame[segment]) / length


@unit("beat_of", f64, i64, i64, i64, f64)
def _beat_of_unit(ctx: int, deck: int, clock: int, frame: float) -> float:
    return _beat_of(context_at(ctx), _deck_at(deck), _clock_at(clock), frame)


@leaf
def beat_of(ctx: Any, deck: Any, clock: Any, frame: float) -> float:
    """Beat, with fraction, at a place in clip frames."""
    return _beat_of_unit(address_of(ctx), address_of(deck), address_of(clock), frame)


@kernel
def _frame_of(ctx: Any, deck: Any, clock: Any, beat: float) -> float:
    grid = _grid(ctx, deck)
    segment = _segment(grid, beat, True)
    length = _frames_a_beat(ctx, deck, clock, grid, segment)
    if grid.count == 0:
        return beat * length
    return grid.frame[segment] + (beat - grid.beat[segment]) * length


@unit("frame_of", f64, i64, i64, i64, f64)
def _frame_of_unit(ctx: int, deck: int, clock: int, beat: float) -> float:
    return _frame_of(context_at(ctx), _deck_at(deck), _clock_at(clock), beat)


@leaf
def frame_of(ctx: Any, deck: Any, clock: Any, beat: float) -> float:
    """The inverse of :func:`beat_of`."""
    return _frame_of_unit(address_of(ctx), address_of(deck), address_of(clock), beat)
