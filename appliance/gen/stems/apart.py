# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip or track is taken apart once, and its four stems are made one job each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends import VERSIONS
from appliance.gen.backends.base import Cancelled, GenerationCancelled, Progress
from appliance.gen.finished import finished
from appliance.gen.stems import filters
from appliance.gen.stems.request import StemRequest

Samples = NDArray[np.float32]
Separate = Callable[[Samples, int, Progress], tuple[dict[str, Samples], str, list[str]]]
"""Sound (frames, 2) and its rate to its stems, who made them, and what a person is to be told. May be stopped by progress."""


class Apart:
    """The stems of what was taken apart last are kept: those who ask for them come one after the other."""

    def __init__(self, separate: Separate) -> None:
        self._separate = separate
        self._last: tuple[Any, dict[str, Samples], int, str, list[str]] | None = None

    def forget(self) -> None:
        self._last = None

    def make(self, request: StemRequest, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
        """Returns the fields of the stem's clip. Stems keep level, length and rate of the mix: they add up to it."""

        def poll(done: float) -> None:
            if cancelled():
                raise GenerationCancelled("cancelled")
            progress(done)

        which = (request.material.identity, request.model)
        if self._last is None or self._last[0] != which:
            self._last = None
            audio, rate = request.material.read(folder)
            stems, maker, said = self._separate(audio, rate, poll)
            self._last = (which, stems, rate, maker, said)
        _, stems, rate, maker, said = self._last
        poll(1.0)
        material = request.material
        return finished(
            np.ascontiguousarray(stems[request.stem]), rate, folder, name=request.title(), role=request.role,
            bpm=material.bpm, bars=material.bars, beats=material.beats, key=material.key, said=said,
            lineage=material.lineage | {"backend": maker, "version": VERSIONS[maker], "stem": request.stem},
        )  # fmt: skip


def by_filters(audio: Samples, rate: int, progress: Progress) -> tuple[dict[str, Samples], str, list[str]]:
    """See :mod:`.filters`."""
    return filters.separate(audio, rate, lambda frames: progress(frames / max(len(audio), 1))), "filters", []
