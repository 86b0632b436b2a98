# SPDX-License-Identifier: GPL-3.0-or-later
"""What an analysis has found, as it is kept with the track."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from appliance.bus.grids import Grid
from appliance.library.analysis.camelot import camelot
from appliance.library.tempo import BEATS_IN_BAR

VERSION = 2
"""Of the way in which tracks are analysed: what an older one has found is looked for again."""
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Analysis(BaseModel):
    """``grid`` None: no beat was made out. ``steady``: one tempo holds throughout. ``beats``: of a loop, whose length is a
    whole number of them; else 0. ``key``: ``A minor``, empty: none. ``loudness``: integrated, in LUFS; None for silence.

    ``energy``: 0 … 10, and its course, a value each half second (:mod:`.energy`). ``balance``: shares of the power in the bands
    of :data:`.spectrum.BANDS`. ``embedding``: of length 1; empty for silence (:mod:`.embedding`). ``waveform``: columns as
    :func:`.waveform.unpacked` reads them. What the first version did not have is empty there."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int = 1  # what is kept leaves out what is as by default, so this stays
    seconds: float = Field(default=0.0, ge=0)
    grid: Grid | None = None
    steady: bool = True
    beats: float = Field(default=0.0, ge=0)
    key: str = ""
    key_likeness: float = 0.0
    loudness: Number | None = None
    energy: float = Field(default=0.0, ge=0, le=10)
    energy_curve: tuple[Share, ...] = ()
    balance: tuple[Share, ...] = ()
    embedding: tuple[Number, ...] = ()
    waveform: str = ""

    @property
    def bpm(self) -> float:
        """0 when there is no beat; of a grid with many anchors the mean."""
        if self.grid is None:
            return 0.0
        if len(self.grid.anchors) < 2:
            return self.grid.bpm
        (begin, first), (end, last) = self.grid.anchors[0], self.grid.anchors[-1]
        return 60.0 * (last - first) / (end - begin)

    @property
    def downbeat_s(self) -> float:
        """Seconds at which the first bar begins that begins in the clip; 0 when there is no beat."""
        if self.grid is None:
            return 0.0
        first = math.ceil(self.grid.beat_at(0.0) / BEATS_IN_BAR - 1e-6)
        return max(self.grid.second_of(float(first * BEATS_IN_BAR)), 0.0)

    @property
    def camelot(self) -> str:
        """``8A`` for A minor; empty when there is no key."""
        return camelot(self.key)
