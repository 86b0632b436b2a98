# SPDX-License-Identifier: GPL-3.0-or-later
"""While a clip is made, the nearest one of the store may stand in for it: by parts, metre, style, key and tempo."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from appliance.bus.hub import HubClient
from appliance.errors import ApplianceError
from appliance.gen.queue import Job, JobQueue
from appliance.gen.request import PARTS, GenRequest
from appliance.gen.taking import load_options
from appliance.gen.theory import parse_key
from appliance.library.store import AudioStore, Clip

log = logging.getLogger(__name__)
LOOKED_AT = 500
"""The newest clips are compared."""
_PARTS, _STYLE, _KEY, _TEMPO, _ENERGY = 6.0, 3.0, 0.5, 8.0, 1.0


class StandingIn:
    """Brings stand-ins to empty pads, when the config asks for it. The real clip takes the place on a bar line."""

    def __init__(
        self, wanted: bool, queue: JobQueue, store: AudioStore, hub: HubClient, loaded: dict[str, str],
        tell: Callable[[str, Any], None],
    ) -> None:
        self._wanted = wanted
        self._queue = queue
        self._store = store
        self._hub = hub
        self._loaded = loaded
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, job: Job) -> None:
        """A job is new: if its pad is empty, something may play there meanwhile."""
        empty = job.target.startswith("/bank/") and not self._loaded.get(f"{job.target}/file")
        if self._wanted and empty and job.state == "queued" and isinstance(job.request, GenRequest):
            task = asyncio.get_running_loop().create_task(self._bring(job, job.request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _bring(self, job: Job, request: GenRequest) -> None:
        try:
            clip = nearest(self._store, request, request.sample_rate)
            if clip is None or self._queue.get(job.id).state not in ("queued", "running"):
                return
            self._tell("/gen/message", f"{clip.name} stands in for {job.name} until that is made")
            await self._hub.do(f"{job.target}/load", str(clip.path), load_options(clip))
        except ApplianceError as error:  # the pad waits for the real one
            log.info("job %d: nothing stands in (%s)", job.id, error.message)


def nearest(store: AudioStore, request: GenRequest, rate: int) -> Clip | None:
    """The clip of the store that is most like what a resolved request will make; None when none shares a part, the metre and
    the rate (Hz)."""
    found = [(distance, -clip.created, clip) for clip in store.clips(limit=LOOKED_AT)
             if clip.rate == rate and (distance := _distance(request, clip.lineage.get("request"))) is not None]
    found.sort(key=lambda entry: entry[:2])
    return next((clip for _, _, clip in found if clip.path.is_file()), None)


def _distance(request: GenRequest, made: Any) -> float | None:
    """0: the same in all that is compared; None: no stand-in at all."""
    if not isinstance(made, dict) or made.get("beats_per_bar") != request.beats_per_bar or not made.get("bpm"):
        return None
    wanted, there = set(request.parts or PARTS), set(made.get("parts") or PARTS)
    if not wanted & there:
        return None
    apart = _PARTS * (1 - len(wanted & there) / len(wanted | there))
    apart += _STYLE * (made.get("style") != request.style)
    apart += _TEMPO * abs(math.log2(float(made["bpm"]) / float(request.bpm or 120)))
    apart += _ENERGY * abs(float(made.get("energy") or 0) - float(request.energy or 0))
    if wanted & there != {"drums"}:
        apart += _KEY * _fifths(str(request.key), str(made.get("key")))
    return apart


def _fifths(one: str, other: str) -> int:
    """Steps on the circle of fifths between two keys, 0 … 6; a minor key counts as the major one of the same notes."""
    places = [parse_key(name) for name in (one, other)]
    turned = [(key.tonic + (3 if key.degree(2) == 3 else 0)) * 7 % 12 for key in places]
    steps = abs(turned[0] - turned[1])
    return min(steps, 12 - steps)
