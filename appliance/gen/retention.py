# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept: jobs by number and age, audio by size. What somebody may still want to hear is never deleted.

In use are clips on pads and decks, in takes, in sessions on the disk, pinned ones, and those of jobs that have just ended.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

from appliance.config import Gen
from appliance.errors import ApplianceError
from appliance.gen.queue import JobQueue
from appliance.library.store import AudioStore

log = logging.getLogger(__name__)
RECENT_JOBS = 100
"""The clips of so many jobs are kept: one was made just now and nobody has taken it yet."""
_HASH = re.compile(rb"\b[0-9a-f]{64}\b")


class Retention:
    """Keeps log and store of generation within the limits of the config. ``takes`` tells the hashes of all takes."""

    def __init__(
        self, queue: JobQueue, store: AudioStore, settings: Gen, sessions: Path, takes: Callable[[], frozenset[str]]
    ) -> None:
        self._queue = queue
        self._store = store
        self._settings = settings
        self._sessions = sessions
        self._takes = takes

    def tidy(self, loaded: frozenset[str]) -> int:
        """Delete what is over the limits; ``loaded`` are hashes of the clips on pads and decks. Returns how many clips went.

        A file that cannot be read or deleted is said in the log; the next time tries again.
        """
        try:
            self._queue.prune(self._settings.keep_jobs, self._settings.keep_jobs_days * 86400)
            if self._store.size_bytes() <= self._settings.keep_audio_mb * 2**20:
                return 0
            recent = {hash_ for job in self._queue.jobs("done", RECENT_JOBS) for hash_ in job.results}
            in_use = loaded | recent | self._takes() | self._in_sessions()
            return self._store.prune(self._settings.keep_audio_mb * 2**20, frozenset(in_use))
        except (ApplianceError, OSError) as error:
            log.warning("old jobs and clips could not be deleted: %s", error)
            return 0

    def _in_sessions(self) -> frozenset[str]:
        """Hashes that any saved session, its history or its journal names."""
        files = [path for path in self._sessions.rglob("*") if path.is_file()]
        return frozenset(hash_.decode() for path in files for hash_ in _HASH.findall(path.read_bytes()))
