# SPDX-License-Identifier: GPL-3.0-or-later
"""The gen process: answers /gen/… on the hub, owns the queue, keeps the workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Any

from appliance.bus.box import Box, Role
from appliance.bus.hub import HubClient
from appliance.errors import ApplianceError, BadValue, UnknownAddress
from appliance.gen.asking import Asking, whole
from appliance.gen.backends import EMBEDDED, VERSIONS
from appliance.gen.fusing import Fusing
from appliance.gen.fusion import Request, version_of
from appliance.gen.live.keeper import LiveStream
from appliance.gen.pool import WorkerProcess
from appliance.gen.queue import STATES, Job, JobQueue
from appliance.gen.retention import Retention
from appliance.gen.runner import DISK_FULL, DISK_RETRY_S, Runner, cached
from appliance.gen.standin import StandingIn
from appliance.gen.takes import TakeStore
from appliance.gen.taking import OVERTAKEN, Taking, load_options
from appliance.gen.varying import Varying
from appliance.library.store import AudioStore, Clip
from appliance.nodes.pad import BANKS, PADS

log = logging.getLogger(__name__)
NICE = 10
BEAT_S = 0.1
RETRY_S = 0.3
#: A pad that waits to play comes before what was asked for, and that before the filling of empty ones.
PRIORITY_WANTED, PRIORITY_ASKED, PRIORITY_FILL = 20, 10, 0
_FILL_FACT = "filled in boot"


class GenProcess:
    """Everything of the process but its signals. In its safe form only the embedded generator works; jobs of others wait."""

    def __init__(self, box: Box, hub: HubClient, *, safe: bool = False) -> None:
        self._box = box
        self._hub = hub
        self._queue = JobQueue(box.data / "gen" / "jobs.sqlite")
        self._store = AudioStore(box.data)
        self._takes = TakeStore(box.data / "gen" / "takes.sqlite")
        self._settings = box.config.gen
        self._loaded: dict[str, str] = {}  # files of pads and decks: their clips are never pruned
        self._runners: dict[str, Runner] = {}
        for backend in (EMBEDDED,) if safe else VERSIONS:
            worker = WorkerProcess(backend, box.data, "" if safe else self._settings.python)
            self._runners[backend] = Runner(self._queue, self._store, worker, self._announce, self._deliver)
        self._asking = Asking(box, tuple(self._runners))
        self._retention = Retention(self._queue, self._store, self._settings, box.data / "sessions", self._takes.hashes)
        self._outbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._taking = Taking(self._takes, self._store, hub, self._tell)
        self._standing_in = StandingIn(self._settings.stand_in, self._queue, self._store, hub, self._loaded, self._tell)
        self._varying = Varying(self._asking, self._store, self._takes, self._loaded,
                                lambda request, target: self._submit(request, target, PRIORITY_ASKED).id)
        self._fusing = Fusing(self._asking, self._store, self._varying)
        self._live = LiveStream(box, hub, self._store, self._taking, self._asking, self._varying.empty_pad, self._tell,
                                safe=safe)
        self._left_over: set[int] = set()  # jobs whose clip the process before this one may have brought to its target

    def recover(self) -> None:
        """Once, before :meth:`run`. Raises Unavailable (507) on a full disk."""
        again = self._queue.recover()
        self._left_over = {job.id for job in self._queue.undelivered()}
        if again:
            log.info("%d jobs that were interrupted are queued again", again)

    async def run(self) -> None:
        """Work until cancelled."""
        self._store.sweep()
        self._hub.serve("/gen", self._serve)
        self._hub.serve("/bank", self._serve_place)
        self._hub.serve("/deck", self._serve_place)
        self._hub.watch("/gen/prompt", self._prompt_changed)
        self._live.watch()
        for pattern in ("/bank/*/pad/*/file", "/deck/*/file"):
            self._hub.watch(pattern, self._file_changed)
        self._hub.watch("/bank/*/pad/*/state", self._pad_state)
        await self._hub.start()
        self._count()
        self._taking.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._publish())
            tasks.create_task(self._first_fill())
            tasks.create_task(self._live.run())
            for runner in self._runners.values():
                tasks.create_task(runner.run())
            tasks.create_task(next(iter(self._runners.values())).deliver_for_ever())

    def close(self) -> None:
        self._queue.close()
        self._store.close()
        self._takes.close()

    async def _beat(self) -> None:
        while True:
            self._box.beat()
            await asyncio.sleep(BEAT_S)

    async def _publish(self) -> None:
        while True:
            address, value = await self._outbox.get()
            await self._hub.publish(address, value)

    async def _serve(self, address: str, arguments: list[Any]) -> Any:
        match address:
            case "/gen/generate":
                return self._generate(arguments)
            case "/gen/fill":
                return await self._fill(whole(arguments, "bank", 1, BANKS, default=self._box.values.bank))
            case "/gen/cancel":
                job = self._queue.get(whole(arguments, "job id", 1, 2**53))
                return self._runners.get(job.backend, self._runners[EMBEDDED]).cancel(job.id).public()
            case "/gen/retry":
                job = self._queue.retry(whole(arguments, "job id", 1, 2**53))
                self._changed(job)
                return job.id
            case "/gen/want":
                return self._want(arguments)
            case "/gen/fuse":
                return self._submit(*self._fusing.request(arguments), PRIORITY_ASKED).id
            case "/gen/vary":
                return self._varying.of_library(arguments)
            case "/gen/jobs":
                return self._jobs(arguments)
            case _ if address.startswith("/gen/live/"):
                return self._live.serve(address, arguments)
            case _:
                raise UnknownAddress(f"{address} is nothing that generation can do")

    async def _serve_place(self, address: str, arguments: list[Any]) -> Any:
        """Of a pad or deck: its variations and takes."""
        place, _, what = address.partition("/take/") if "/take/" in address else address.rpartition("/")
        if address.endswith("/vary"):
            return self._varying.of_place(place, arguments)
        return self._taking.serve(place, what, arguments)

    def _file_changed(self, address: str, file: str) -> None:
        self._loaded[address] = file
        self._taking.file_changed(address.removesuffix("/file"), file or "")

    def _generate(self, arguments: list[Any]) -> int:
        """``[prompt or object, target]``: queue it; the id of the job. An empty prompt, or none, means that of /gen/prompt."""
        if len(arguments) > 2:
            raise BadValue("/gen/generate takes a prompt or request and a target, no more")
        target = self._asking.target(arguments[1]) if len(arguments) > 1 and arguments[1] else ""
        return self._submit(self._asking.request(arguments[0] if arguments else ""), target, PRIORITY_ASKED).id

    def _submit(self, request: Request, target: str, priority: int) -> Job:
        """Queue it; what was made before is done at once, whatever is at work."""
        job, new = self._queue.submit(
            request, version=version_of(request), priority=priority, target=target, results=cached(self._store, request)
        )
        if new:
            self._changed(job)
            self._standing_in.begin(job)
        return job

    def _want(self, arguments: list[Any]) -> int:
        """``[pad or deck]``: somebody waits for it; how many jobs come first now."""
        if len(arguments) != 1:
            raise BadValue("takes the pad or deck that somebody waits for, like /pad/3")
        return self._hurry(self._asking.target(arguments[0]))

    def _hurry(self, target: str) -> int:
        raised = self._queue.hurry(target, PRIORITY_WANTED)
        for job in raised:
            self._announce(job, None)
        return len(raised)

    def _pad_state(self, address: str, state: Any) -> None:
        if state in ("queued", "playing"):
            self._hurry(address.removesuffix("/state"))

    async def _fill(self, bank: int) -> list[int]:
        """Queue clips for the empty pads of a bank; the ids of the jobs."""
        jobs: list[int] = []
        for pad, request in enumerate(self._asking.bank(bank), start=1):
            target = f"/bank/{bank}/pad/{pad}"
            if not await self._hub.get(f"{target}/file"):
                jobs.append(self._submit(request, target, PRIORITY_FILL).id)
        return jobs

    async def _first_fill(self) -> None:
        """Once a start of the box: when every pad of bank 1 is empty, fill it, so that there is music to play."""
        if not self._settings.fill:
            return
        boot = str((self._box.run / "box.json").stat().st_mtime_ns)  # written once a start, by the supervisor
        while self._queue.fact(_FILL_FACT) != boot:
            await self._hub.connected()
            try:
                files = [await self._hub.get(f"/bank/1/pad/{pad}/file") for pad in range(1, PADS + 1)]
                if not any(files):
                    await self._fill(1)
                self._queue.remember(_FILL_FACT, boot)
            except ApplianceError as error:
                if error.status not in (503, DISK_FULL):
                    log.error("bank 1 cannot be filled: %s", error.message)
                    return
                # control has just gone away, or there is no room: it comes back
                await asyncio.sleep(DISK_RETRY_S if error.status == DISK_FULL else RETRY_S)

    def _jobs(self, arguments: list[Any]) -> list[dict[str, Any]]:
        """``[state or id]``: the newest jobs, of one state or all; of one id all that is known of it."""
        asked = arguments[0] if arguments else None
        if isinstance(asked, int) or (isinstance(asked, str) and asked.isdigit()):
            job = self._queue.get(whole(arguments, "job id", 1, 2**53))
            return [job.record(self._progress(job))]
        if asked is not None and asked not in STATES:
            raise BadValue(f"jobs are {', '.join(STATES)}, or one by its id; not {str(asked)[:40]!r}")
        return [job.public(self._progress(job)) for job in self._queue.jobs(asked)]

    def _progress(self, job: Job) -> float | None:
        runner = self._runners.get(job.backend)
        return runner.progress if runner and runner.current and runner.current.id == job.id else None

    def _prompt_changed(self, _address: str, value: Any) -> None:
        self._asking.prompt = value if isinstance(value, str) else ""

    def _changed(self, job: Job) -> None:
        self._announce(job, None)
        if job.backend in self._runners:
            self._runners[job.backend].wake()

    def _announce(self, job: Job, progress: float | None) -> None:
        self._outbox.put_nowait(("/gen/job", job.public(progress)))
        if progress in (None, 0.0):
            self._count()
            if job.message:
                self._outbox.put_nowait(("/gen/message", f"{job.name}: {job.message}"))
        if job.state in ("done", "failed", "cancelled") and job.id % 50 == 0:
            self._tidy()

    def _tell(self, address: str, value: Any) -> None:
        self._outbox.put_nowait((address, value))

    def _count(self) -> None:
        counts = self._queue.counts()
        self._outbox.put_nowait(("/gen/queued", counts["queued"]))
        self._outbox.put_nowait(("/gen/running", counts["running"]))

    def _tidy(self) -> None:
        if self._loaded:  # else control has not said yet what is loaded
            self._retention.tidy(frozenset(Path(file).stem for file in self._loaded.values() if file))

    async def _deliver(self, job: Job, clip: Clip) -> None:
        await self._hub.connected()
        if job.id in self._left_over and await self._hub.get(f"{job.target}/file") == str(clip.path):
            self._taking.delivered(job.target, list(job.results))
            return
        try:
            await self._hub.do(f"{job.target}/load", str(clip.path), load_options(clip, job.name))
        except ApplianceError as error:
            if error.status != OVERTAKEN:
                raise
        self._taking.delivered(job.target, list(job.results))


async def main(box: Box, *, safe: bool = False) -> None:
    """Run until SIGTERM or SIGINT; ``safe``: in its safe form."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(os.getpriority(os.PRIO_PROCESS, 0), NICE))
    hub = HubClient(box.hub_path, "gen")
    task = asyncio.create_task(_work(box, hub, safe=safe))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    box.say_role(Role.RUNNING)
    try:
        await task
    except asyncio.CancelledError:
        log.info("stopping")
    finally:
        await hub.stop()


async def _work(box: Box, hub: HubClient, *, safe: bool) -> None:
    process = await _opened(box, hub, safe=safe)
    try:
        await process.run()
    finally:
        process.close()


async def _opened(box: Box, hub: HubClient, *, safe: bool) -> GenProcess:
    """The process with its files open; with a full disk when there is room."""
    told = False
    while True:
        process: GenProcess | None = None
        try:
            process = GenProcess(box, hub, safe=safe)
            process.recover()
            return process
        except ApplianceError as error:
            if process is not None:
                process.close()
            if error.status != DISK_FULL:
                raise
            if not told:
                log.error("generation waits: %s", error.message)
            told = True
        for _ in range(round(DISK_RETRY_S / BEAT_S)):
            box.beat()
            await asyncio.sleep(BEAT_S)
