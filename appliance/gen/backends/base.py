# SPDX-License-Identifier: GPL-3.0-or-later
"""What every generator promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ApplianceError
from appliance.gen.request import GenRequest

Samples = NDArray[np.float32]
Progress = Callable[[float], None]
Cancelled = Callable[[], bool]


class GenerationCancelled(ApplianceError):
    """The job was cancelled while it ran."""

    status = 409


@dataclass(slots=True)
class Audio:
    """Finished material: ``mix`` (frames, 2) float32 and the stems it is the sum of, by part."""

    mix: Samples
    sample_rate: int
    stems: dict[str, Samples] = field(default_factory=dict)


def stereo(sound: Samples, frames: int) -> Samples:
    """What a model gives, (channels, n), as (frames, 2) or less, without NaN and infinity."""
    sides = np.repeat(sound, 2, axis=0) if len(sound) == 1 else sound[:2]
    return np.ascontiguousarray(np.nan_to_num(sides.T[:frames], posinf=0.0, neginf=0.0), np.float32)


class Backend(Protocol):
    """A generator. ``version`` changes whenever the same request would give other audio."""

    name: str
    version: str

    def warm(self) -> None:
        """Load what takes time, before the first request."""

    def generate(self, request: GenRequest, progress: Progress, cancelled: Cancelled) -> Audio:
        """Play ``request`` (resolved). Calls ``progress`` with 0…1 and asks ``cancelled`` at least every 0.3 s; raises
        :class:`GenerationCancelled` when told so, :class:`ApplianceError` when it cannot be done."""
        ...
