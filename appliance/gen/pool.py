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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from appliance.bus.lifeline import tied
from appliance.errors import ApplianceError, Unavailable
from appliance.gen.backends import WORKERS
from appliance.gen.work import Request

log = logging.getLogger(__name__)
START_TIMEOUT_S = 60.0
CANCEL_GRACE_S = 0.25
"""A cancelled job's worker has so long to say that it has ended it. After that the job counts as cancelled all the same, and
the worker ends it by itself."""
LINE_LIMIT = 4 * 1024 * 1024
_ENDED = ("done", "cancelled", "failed")


class JobFailed(ApplianceError):
    """A job went wrong in its worker; ``retry`` tells whether another try may help."""

    def __init__(self, message: str, *, retry: bool, status: int = 500) -> None:
        super().__init__(message, status=status)
        self.retry = retry


class JobCancelled(ApplianceError):
    status = 409


class WorkerProcess:
    """One worker. Started when needed, restarted after it died; runs one job at a time."""

    def __init__(
        self, name: str, data: Path, python: str | None = "", *, stall_s: float = 30.0, obey_s: float = 2.0,
        idle_s: float | None = None, settings: Mapping[str, Any] | None = None, threads: int = 1,
    ) -> None:
        """``name`` is one of :data:`appliance.gen.backends.WORKERS`; ``python`` the interpreter (empty: ours; None: none).

        A worker that says nothing for ``stall_s`` during a job is killed, and so is one that has not ended a cancelled job
        after ``obey_s``. With ``idle_s`` it starts with its first job and is ended after so long without one. ``settings`` are
        the worker's own; its libraries keep to so many ``threads``.
        """
        self.name = name
        self.backends = WORKERS.get(name, (name,))
        self.idle_s = idle_s
        self._data = data
        self._python = python if python is None else python or sys.executable
        self._stall_s = stall_s
        self._obey_s = obey_s
        self._settings = dict(settings or {})
        self._threads = threads
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._cancel = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None  # of a cancelled job, in the worker

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Have a worker that is ready. Raises :class:`JobFailed` when it cannot be started or is not ready in time."""
        if self._ending is not None:
            await asyncio.wait({self._ending})
            self._ending = None
        if self.pid is not None:
            return
        await self._end()
        if self._python is None:
            raise JobFailed("there is no interpreter for models; `make gen-env` makes one, name it as gen.python in the config",
                            retry=False)
        if not shutil.which(self._python):
            self._refuse("there is no such program")
        ours, theirs = socket.socketpair()
        command = [self._python, "-m", "appliance.gen.worker", "--fd", str(theirs.fileno()), "--name", self.name,
                   "--data", str(self._data), "--settings", json.dumps(self._settings)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tied(command), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr.fileno(), env=environment(self._threads),
            )  # fmt: skip
        except OSError as error:
            ours.close()
            self._refuse(str(error.strerror))
        finally:
            theirs.close()
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)
        message = await self._next(START_TIMEOUT_S)
        if message.get("op") == "refused":
            await self._end()
            raise JobFailed(str(message.get("message")), retry=False)
        if message.get("op") != "ready":
            await self._give_up("answered something else than that it is ready")

    def _refuse(self, why: str) -> NoReturn:
        what = f"the worker's interpreter {self._python} cannot be started ({why})"
        raise JobFailed(f"{what}; `make gen-env` makes one for models, see gen.python in the config", retry=False) from None

    async def generate(
        self, job: int, request: Request, candidates: list[int], on_progress: Callable[[float], None]
    ) -> list[dict[str, Any]]:
        """Make candidates of a request; the clips' fields, in order (see ``worker.make_any``).

        Raises :class:`JobFailed`, :class:`JobCancelled` (at most ``CANCEL_GRACE_S`` after :meth:`cancel`).
        """
        self._cancel.clear()
        await self._started()
        self._send({"op": "generate", "job": job, "request": request.model_dump(mode="json"), "candidates": candidates})
        clips: list[dict[str, Any]] = []
        while True:
            message = await self._next_or_cancel()
            if message is None:
                await self._cancelled(job)
                raise JobCancelled("cancelled")
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
        for task in (self._starting, self._ending):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        self._starting = self._ending = None
        await self._end()

    async def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._process = self._reader = self._writer = None

    async def _started(self) -> None:
        """Have a worker that is ready. A job that is cancelled meanwhile does not wait for it."""
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self.start())
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        cancelled = asyncio.ensure_future(self._cancel.wait())
        try:
            await asyncio.wait({self._starting, cancelled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()
        if self._cancel.is_set():
            raise JobCancelled("cancelled")
        self._starting.result()

    async def _cancelled(self, job: int) -> None:
        """Tell the worker, and give it a moment to say that it has ended the job."""
        self._send({"op": "cancel", "job": job})
        self._ending = asyncio.create_task(self._obeyed(job))
        await asyncio.wait({self._ending}, timeout=CANCEL_GRACE_S)

    async def _obeyed(self, job: int) -> None:
        """The worker has ended a job that was cancelled, or has been ended itself."""
        try:
            async with asyncio.timeout(self._obey_s):
                while (message := await self._line()).get("job") != job or message.get("op") not in _ENDED:
                    pass
        except TimeoutError:
            log.warning("the %s worker did not end a cancelled job within %g s and was ended", self.name, self._obey_s)
            await self._end()
        except JobFailed:
            pass  # it is gone, and the job with it

    async def _next_or_cancel(self) -> dict[str, Any] | None:
        """The next message; None when the job is to be cancelled."""
        if self._cancel.is_set():
            return None
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
            await self._end()
            why = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            raise JobFailed(f"the {self.name} worker {why}", retry=True)
        if not isinstance(message, dict):
            await self._give_up("sent garbage")
        return message

    async def _give_up(self, what: str) -> None:
        await self._end()
        log.warning("the %s worker %s and was ended", self.name, what)
        raise JobFailed(f"the {self.name} worker {what} and was ended", retry=True)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is None:
            raise Unavailable("the worker is gone")
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def environment(threads: int = 1) -> dict[str, str]:
    """The worker finds our package, and its libraries keep to so many threads: the engine's cores are not theirs."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **counts}


def _is_fraction(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
