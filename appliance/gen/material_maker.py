# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ``material`` worker does: recordings become loops, and tracks are taken apart by filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from appliance.errors import BadValue
from appliance.gen.backends.base import Cancelled, GenerationCancelled, Progress
from appliance.gen.finished import finished
from appliance.gen.import_request import ImportRequest
from appliance.gen.imports import import_loop
from appliance.gen.stems.apart import Apart, by_filters
from appliance.gen.stems.request import StemRequest
from appliance.gen.work import Request
from appliance.library.analysis.listen import analyse_frames
from appliance.library.tempo import BEATS_IN_BAR


class MaterialMaker:
    """A :class:`appliance.gen.worker.Maker`."""

    name = "material"

    def __init__(self) -> None:
        self._apart = Apart(by_filters)

    def warm(self) -> None:
        """Nothing takes long to load."""

    def make(self, request: Request, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
        """Raises :class:`BadValue`, :class:`BadFile`, :class:`GenerationCancelled`."""
        if isinstance(request, StemRequest):
            return self._apart.make(request, folder, progress, cancelled)
        if isinstance(request, ImportRequest):
            return make_import(request, folder, progress, cancelled)
        raise BadValue(f"the worker for material cannot make {request.title()}")


def make_import(request: ImportRequest, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """A loop out of a recording. Returns the fields of its clip."""

    def poll(done: float) -> None:
        if cancelled():
            raise GenerationCancelled("cancelled")
        progress(done)

    audio, rate = request.material.read(folder)
    poll(0.1)
    found = analyse_frames(audio, rate)
    poll(0.6)
    loop, report = import_loop(request, audio, rate, found)
    poll(1.0)
    beats = round(len(loop) / request.sample_rate * request.bpm / 60)
    heard = f"{found.bpm:.4g} bpm" if found.bpm else "no tempo"
    said = [f"{request.title()}: {heard} heard, {beats / BEATS_IN_BAR:g} bars made", *report.notes]
    return finished(
        loop, request.sample_rate, folder, name=request.title(), role=request.role, bpm=request.bpm,
        bars=round(beats / BEATS_IN_BAR), beats=float(beats), key=request.key or found.key or None,
        loudness=report.loudness_lufs, notes=report.notes, said=said,
        lineage=request.material.lineage | {
            "backend": "import", "import": request.model_dump(mode="json", exclude={"material"}, exclude_none=True),
        },
    )  # fmt: skip
