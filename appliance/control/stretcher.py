# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that stretch loops: started when the first job comes, kept for the next ones, replaced when they break."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.bus.lifeline import tied
from appliance.errors import ApplianceError, Unavailable

LIMIT_S = 60.0
_COMMAND = (sys.executable, "-m", "appliance.library.stretch")


SLOTS = min(os.cpu_count() or 1, 2)
"""The sound needs the rest of the processors."""


class NotStretched(ApplianceError):
    """What went wrong, for a person."""


class NoLongerWanted(Exception):
    """By the time that there was room for a job."""


@dataclass(frozen=True)
class Job:
    """``segment``: the clip's name in shared memory; see :mod:`appliance.library.stretch`."""

    segment: str
    frames: int
    rate: int
    speed: float
    semitones: float
    quick: bool
    file: str


class Stretcher:
    """``SLOTS`` jobs at a time."""

    def __init__(self, command: tuple[str, ...] = _COMMAND, limit_s: float = LIMIT_S) -> None:
        self._command = command
        self._limit_s = limit_s
        self._slots = asyncio.Semaphore(SLOTS)
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()

    async def render(self, job: Job, wanted: Callable[[], bool]) -> None:
        """Write the job's file. Raises :class:`NoLongerWanted` when ``wanted`` says so at its turn, :class:`NotStretched`, and
        Unavailable when no process can be started."""
        async with self._slots:
            if not wanted():
                raise NoLongerWanted
            process = self._idle.pop() if self._idle else await self._start()
            try:
                async with asyncio.timeout(self._limit_s):
                    answer = await self._ask(process, job)
            except TimeoutError:
                self._end(process)
                raise NotStretched(f"the stretcher was ended after {self._limit_s:g} s without a result") from None
            except BaseException:
                self._end(process)
                raise
            self._idle.append(process)
        if error := answer.get("error"):
            raise NotStretched(error)

    async def _start(self) -> asyncio.subprocess.Process:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *tied([*self._command]), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment)
        except OSError as error:
            raise Unavailable(f"the stretcher cannot be started ({error.strerror})") from None
        self._all.add(process)
        return process

    @staticmethod
    async def _ask(process: asyncio.subprocess.Process, job: Job) -> dict[str, str]:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write((json.dumps(asdict(job)) + "\n").encode())
            await process.stdin.drain()
            line = await process.stdout.readline()
            return json.loads(line)
        except (OSError, ValueError):
            raise NotStretched("the stretcher ended without a result; see the log") from None

    def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    def close(self) -> None:
        for process in list(self._all):
            self._end(process)
