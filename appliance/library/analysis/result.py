# SPDX-License-Identifier: GPL-3.0-or-later
"""What an analysis has found, as it is kept with the track."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from appliance.bus.grids import Grid

VERSION = 1
"""Of the way in which tracks are analysed: what an older one has found is looked for again."""


class Analysis(BaseModel):
    """``grid`` None: no beat was made out. ``steady``: one tempo holds throughout. ``beats``: of a loop, whose length is a
    whole number of them; else 0. ``key``: ``A minor``, empty: none. ``loudness``: integrated, in LUFS; None for silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int = VERSION
    seconds: float = Field(default=0.0, ge=0)
    grid: Grid | None = None
    steady: bool = True
    beats: float = Field(default=0.0, ge=0)
    key: str = ""
    key_likeness: float = 0.0
    loudness: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @property
    def bpm(self) -> float:
        """0 when there is no beat; of a grid with many anchors the mean."""
        if self.grid is None:
            return 0.0
        if len(self.grid.anchors) < 2:
            return self.grid.bpm
        (begin, first), (end, last) = self.grid.anchors[0], self.grid.anchors[-1]
        return 60.0 * (last - first) / (end - begin)
