# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that analyses a file: started for it, told nothing, asked once, and ended when it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from appliance.bus.lifeline import tied
from appliance.errors import ApplianceError, Unavailable
from appliance.library.analysis.result import Analysis

log = logging.getLogger(__name__)

LIMIT_S = 600.0
"""It may have to wait for the processor on a busy box; an album takes seconds of it."""
_MOST_BYTES = 1 << 20
_COMMAND = (sys.executable, "-m", "appliance.library.analysis")


class NotAnalysed(ApplianceError):
    """What went wrong, for a person."""


class Analyser:
    """One at a time. ``command`` is given the file; it prints an analysis or ``{"error": …}`` as a line of JSON."""

    def __init__(self, command: tuple[str, ...] = _COMMAND, limit_s: float = LIMIT_S) -> None:
        self._command = command
        self._limit_s = limit_s
        self._process: asyncio.subprocess.Process | None = None

    async def listen(self, file: Path) -> Analysis:
        """Raises :class:`NotAnalysed` with what was wrong with the file or the analyser, Unavailable when there is none."""
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *tied([*self._command, str(file)]), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, env=_environment(), limit=_MOST_BYTES,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"the analyser cannot be started ({error.strerror})") from None
        try:
            async with asyncio.timeout(self._limit_s):
                out, complaint = await process.communicate()
        except TimeoutError:
            raise NotAnalysed(f"the analyser was ended after {self._limit_s:g} s without a result") from None
        finally:
            self.end()
            await process.wait()
        return self._read(out, complaint, process.returncode or 0)

    def end(self) -> None:
        """Kill what runs."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    @staticmethod
    def _read(out: bytes, complaint: bytes, status: int) -> Analysis:
        lines = complaint.decode(errors="replace").strip().splitlines()
        if status != 0:
            if lines:
                log.warning("the analyser: %s", lines[-1])
            if lines and lines[-1].startswith("ModuleNotFoundError"):
                raise Unavailable(f"files are not analysed: {lines[-1].partition(': ')[2]}; install the box again")
            why = f"was ended by signal {-status}" if status < 0 else "failed; see the log"
            raise NotAnalysed(f"the analyser {why}")
        try:
            said = json.loads(out)
            if isinstance(said, dict) and isinstance(said.get("error"), str):
                raise NotAnalysed(said["error"])
            return Analysis.model_validate(said)
        except (ValueError, ValidationError):
            raise NotAnalysed("the analyser gave no result that can be read") from None


def _environment() -> dict[str, str]:
    """It finds our package, and its libraries keep to one thread."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, "PYTHONPATH": path, **threads}
