# SPDX-License-Identifier: GPL-3.0-or-later
"""Fusion: two to four clips of the store become one loop. What is asked for; :mod:`appliance.gen.fuse` plays it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from appliance.errors import BadValue
from appliance.gen.parsing import parsed
from appliance.gen.request import (
    MAX_BARS,
    MAX_BPM,
    MAX_DURATION_S,
    MIN_BPM,
    Role,
    loop_frames,
)
from appliance.gen.whole import WholeRequest

Align = Literal["start", "downbeat", "weave"]
ALIGNMENTS: tuple[Align, ...] = ("start", "downbeat", "weave")
FUSION_VERSION = "fusion 2"


class Parent(BaseModel):
    """A clip that goes in: its hash, tempo, and how much of it is heard. ``exact``: a generated one, whose first frame is its
    downbeat; of others it is searched for."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    bpm: float = Field(ge=MIN_BPM, le=MAX_BPM)
    weight: float = Field(1.0, ge=0, le=4)
    exact: bool = True


class FusionRequest(WholeRequest):
    """One fusion. ``align``: start lays the clips over each other from their first frame, downbeat from their first downbeat,
    weave lets them take turns bar by bar, by weight."""

    parents: tuple[Parent, ...] = Field(min_length=2, max_length=4)
    align: Align = "downbeat"
    bpm: float = Field(ge=MIN_BPM, le=MAX_BPM)
    bars: int = Field(ge=1, le=MAX_BARS)
    beats_per_bar: float = Field(4, ge=2, le=8, multiple_of=0.5)
    sample_rate: int = Field(48_000, ge=8_000, le=192_000)
    backend: Literal["procedural"] = "procedural"
    role: Role = "mix"
    key: str | None = None

    @property
    def beats(self) -> float:
        return self.bars * self.beats_per_bar

    @property
    def frames(self) -> int:
        return loop_frames(self.bars, self.beats_per_bar, self.bpm, self.sample_rate)

    def title(self) -> str:
        return self.name or "fusion"


def parse_fusion(fields: Mapping[str, Any]) -> FusionRequest:
    """Raises :class:`BadValue`, one line for a person."""
    request = parsed(FusionRequest, "fusion", fields)
    if not any(parent.weight for parent in request.parents):
        raise BadValue("fusion: every weight is 0; nothing would be heard")
    if request.frames > MAX_DURATION_S * request.sample_rate:
        raise BadValue(f"fusion: {request.bars} bars at {request.bpm:g} bpm are longer than {MAX_DURATION_S:.0f} s")
    return request
