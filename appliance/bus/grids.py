# SPDX-License-Identifier: GPL-3.0-or-later
"""Beat grids: what control knows of a clip's beats, put where the engine reads them.

A place of the table is written whole before a command names it, and the places go round: until one is written again, thirty
others have been, and one that a deck reads is passed over.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from appliance.bus import layout
from appliance.errors import BadValue

if TYPE_CHECKING:
    from appliance.bus.memory import PrivateSegment, Segment

LOWEST_BPM, HIGHEST_BPM = 20.0, 1000.0
_STEPS_A_FRAME = 1024
"""Anchors stand on such steps, so that writing one down in seconds and back gives the same."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Grid(BaseModel):
    """``anchors``: places in seconds of the clip with their beats (0: the first downbeat), both rising; beats lie evenly
    between two of them, and at ``bpm`` after the last one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    bpm: float = Field(ge=LOWEST_BPM, le=HIGHEST_BPM)
    anchors: tuple[tuple[Finite, Finite], ...] = Field(default=((0.0, 0.0),), min_length=1, max_length=layout.GRID_ANCHORS)

    @model_validator(mode="after")
    def _rising(self) -> Grid:
        for (a, beat_a), (b, beat_b) in pairwise(self.anchors):
            if b <= a or beat_b <= beat_a:
                raise ValueError(f"anchors rise in time and beat; beat {beat_b:g} at {b:g} s comes after {beat_a:g} at {a:g} s")
        return self

    @classmethod
    def straight(cls, bpm: float, first_s: float = 0.0) -> Grid:
        """One tempo; a downbeat at ``first_s`` seconds. Raises :class:`BadValue`."""
        if not LOWEST_BPM <= bpm <= HIGHEST_BPM:
            raise BadValue(f"a grid's tempo is {LOWEST_BPM:g} … {HIGHEST_BPM:g} BPM, not {bpm:g}")
        return cls(bpm=bpm, anchors=((first_s, 0.0),))

    def scaled(self, factor: float) -> Grid:
        """``factor`` times as many beats in the same time. Raises :class:`BadValue`."""
        if not LOWEST_BPM <= self.bpm * factor <= HIGHEST_BPM:
            raise BadValue(f"a grid's tempo is {LOWEST_BPM:g} … {HIGHEST_BPM:g} BPM, not {self.bpm * factor:g}")
        return Grid(bpm=self.bpm * factor, anchors=tuple((s, beat * factor) for s, beat in self.anchors))

    def moved(self, seconds: float) -> Grid:
        return Grid(bpm=self.bpm, anchors=tuple((s + seconds, beat) for s, beat in self.anchors))

    def beat_at(self, seconds: float) -> float:
        return self._between(seconds, 0)

    def second_of(self, beat: float) -> float:
        return self._between(beat, 1)

    def _between(self, x: float, column: int) -> float:
        """From seconds (column 0) to beats or from beats (column 1) to seconds."""
        place = max(sum(1 for anchor in self.anchors if anchor[column] <= x) - 1, 0)
        here = self.anchors[place]
        if place + 1 < len(self.anchors):
            after = self.anchors[place + 1]
            slope = (after[1] - here[1]) / (after[0] - here[0])
        else:
            slope = self.bpm / 60.0
        return here[1 - column] + (x - here[column]) * (slope if column == 0 else 1.0 / slope)

    def on_beat(self, seconds: float) -> Grid:
        """The grid moved by the least that puts a beat there."""
        nearest = self.second_of(math.floor(self.beat_at(seconds) + 0.5))
        return self.moved(seconds - nearest)


class Grids:
    """The table in shared memory; one writer (control)."""

    def __init__(self, segment: Segment | PrivateSegment) -> None:
        self._segment = segment
        self._table = segment.view(layout.GRID, layout.GRIDS, layout.offset("grid"))
        self._last = max(self._used(), default=0)

    def _used(self) -> set[int]:
        """Places that decks read."""
        from appliance.bus.commit import committed  # compiled code: who wants a Grid alone goes without

        return {int(place) for place in committed(self._segment)["deck"]["grid"][0]}

    def put(self, grid: Grid, rate: float, place: int = 0) -> int:
        """Write a grid for a clip of ``rate`` frames a second; its place. ``place`` 0: the next free one."""
        if place == 0:
            used = self._used()
            place = self._last
            while (place := place % (layout.GRIDS - 1) + 1) in used:
                pass
            self._last = place
        row = self._table[place]
        count = len(grid.anchors)
        frames = np.array([s for s, _ in grid.anchors]) * rate
        row["frame"][:count] = np.round(frames * _STEPS_A_FRAME) / _STEPS_A_FRAME
        row["beat"][:count] = [beat for _, beat in grid.anchors]
        row["bpm"] = grid.bpm
        row["count"] = count
        return place

    def read(self, place: int, rate: float) -> Grid | None:
        """What stands in a place."""
        row = self._table[place]
        count = int(row["count"])
        if not 0 < place < layout.GRIDS or not 0 < count <= layout.GRID_ANCHORS:
            return None
        anchors = zip(row["frame"][:count] / rate, row["beat"][:count], strict=True)
        return Grid(bpm=float(row["bpm"]), anchors=tuple((float(s), float(beat)) for s, beat in anchors))
