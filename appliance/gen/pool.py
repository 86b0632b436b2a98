# SPDX-License-Identifier: GPL-3.0-or-later
"""The gen process's end of a worker: start it, give it a job, stop it, and survive whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from appliance.bus.lifeline import tied
from appliance.errors import ApplianceError, Unavailable
from appliance.gen.fusion import Request

log = logging.getLogger(__name__)
START_TIMEOUT_S = 60.0
CANCEL_GRACE_S = 0.25
LINE_LIMIT = 4 * 1024 * 1024


class JobFailed(ApplianceError):
    """A job went wrong in its worker; ``retry`` tells whether another try may help."""

    def __init__(self, message: str, *, retry: bool, status: int = 500) -> None:
        super().__init__(message, status=status)
        self.retry = retry


class JobCancelled(ApplianceError):
    status = 409


class WorkerProcess:
    """One worker of one backend. Started when needed, restarted after it died; runs one job at a time."""

    def __init__(self, backend: str, data: Path, python: str = "", stall_s: float = 30.0) -> None:
        """``python`` is the interpreter (empty: ours); a worker that says nothing for ``stall_s`` during a job is killed."""
        self.backend = backend
        self._data = data
        self._python = python or sys.executable
        self._stall_s = stall_s
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._cancel = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Have a worker that is ready. Raises :class:`JobFailed` when it cannot be started or is not ready in time."""
        if self.pid is not None:
            return
        await self.stop()
        if not shutil.which(self._python):
            self._refuse("there is no such program")
        ours, theirs = socket.socketpair()
        command = [self._python, "-m", "appliance.gen.worker", "--fd", str(theirs.fileno()), "--backend", self.backend,
                   "--data", str(self._data)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tied(command), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr.fileno(), env=environment(),
            )  # fmt: skip
        except OSError as error:
            ours.close()
            self._refuse(str(error.strerror))
        finally:
            theirs.close()
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)
        message = await self._next(START_TIMEOUT_S)
        if message.get("op") == "refused":
            await self.stop()
            raise JobFailed(str(message.get("message")), retry=False)
        if message.get("op") != "ready":
            await self._give_up("answered something else than that it is ready")

    def _refuse(self, why: str) -> NoReturn:
        what = f"the worker's interpreter {self._python} cannot be started ({why})"
        raise JobFailed(f"{what}; see gen.python in the config", retry=False) from None

    async def generate(
        self, job: int, request: Request, candidates: list[int], on_progress: Callable[[float], None]
    ) -> list[dict[str, Any]]:
        """Make candidates of a request; the clips' fields, in order (see ``worker.make_clip``).

        Raises :class:`JobFailed`, :class:`JobCancelled` (at most half a second after :meth:`cancel`).
        """
        self._cancel.clear()
        await self.start()
        self._send({"op": "generate", "job": job, "request": request.model_dump(mode="json"), "candidates": candidates})
        clips: list[dict[str, Any]] = []
        deadline_s: float | None = None
        while True:
            message = await self._next_or_cancel(deadline_s)
            if message is None:
                self._send({"op": "cancel", "job": job})
                deadline_s = asyncio.get_running_loop().time() + CANCEL_GRACE_S
                continue
            if message.get("job") != job:
                await self._give_up("talked about another job")
            match message.get("op"):
                case "progress" if _is_fraction(message.get("value")):
                    on_progress(float(message["value"]))
                case "made" if isinstance(message.get("clip"), dict):
                    clips.append(message["clip"])
                case "done" if len(clips) == len(candidates):
                    if self._cancel.is_set():
                        raise JobCancelled("cancelled")
                    return clips
                case "cancelled":
                    raise JobCancelled("cancelled")
                case "failed":
                    status = message.get("status")
                    raise JobFailed(str(message.get("message", "failed")), retry=bool(message.get("retry")),
                                    status=status if isinstance(status, int) else 500)
                case _:
                    await self._give_up("sent something that is no answer")

    def cancel(self) -> None:
        """Stop the job that runs; :meth:`generate` raises :class:`JobCancelled` soon."""
        self._cancel.set()

    async def stop(self) -> None:
        """End the worker, by force."""
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._process = self._reader = self._writer = None

    async def _next_or_cancel(self, deadline_s: float | None) -> dict[str, Any] | None:
        """The next message; None when the job is to be cancelled and the worker has not been told. A worker that was told
        and has not obeyed at ``deadline_s`` (of the loop's clock) is killed."""
        if deadline_s is not None:
            try:
                async with asyncio.timeout_at(deadline_s):
                    return await self._line()
            except TimeoutError:
                await self.stop()
                raise JobCancelled("cancelled; the worker did not obey and was ended") from None
            except JobFailed:
                raise JobCancelled("cancelled") from None
        line = asyncio.ensure_future(self._next(self._stall_s))
        cancelled = asyncio.ensure_future(self._cancel.wait())
        try:
            await asyncio.wait({line, cancelled}, return_when=asyncio.FIRST_COMPLETED)
            if line.done():
                return line.result()
            line.cancel()
            await asyncio.wait({line})  # a stream has one reader at a time
            return None if line.cancelled() else line.result()
        finally:
            line.cancel()
            cancelled.cancel()

    async def _next(self, timeout_s: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._line()
        except TimeoutError:
            await self._give_up(f"has said nothing for {timeout_s:g} s")
            raise

    async def _line(self) -> dict[str, Any]:
        assert self._reader is not None
        try:
            line = await self._reader.readline()
            message = json.loads(line) if line else None
        except ConnectionError:
            message = None
        except ValueError:
            await self._give_up("sent garbage")
            raise
        if message is None:
            status = await self._process.wait() if self._process else 0
            await self.stop()
            why = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            raise JobFailed(f"the {self.backend} worker {why}", retry=True)
        if not isinstance(message, dict):
            await self._give_up("sent garbage")
        return message

    async def _give_up(self, what: str) -> None:
        await self.stop()
        log.warning("the %s worker %s and was ended", self.backend, what)
        raise JobFailed(f"the {self.backend} worker {what} and was ended", retry=True)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is None:
            raise Unavailable("the worker is gone")
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def environment() -> dict[str, str]:
    """The worker finds our package, and its libraries keep to one thread: the engine's cores are not theirs."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **threads}


def _is_fraction(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
