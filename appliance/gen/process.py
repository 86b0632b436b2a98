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
from appliance.gen.backends import EMBEDDED, VERSIONS
from appliance.gen.backends.procedural.bank import bank_requests
from appliance.gen.pool import WorkerProcess
from appliance.gen.prompt import read_prompt
from appliance.gen.queue import STATES, Job, JobQueue
from appliance.gen.request import GenRequest, parse_request
from appliance.gen.runner import DISK_FULL, DISK_RETRY_S, Runner
from appliance.library.store import AudioStore, Clip
from appliance.nodes.clock import METRE_BEATS, METRES
from appliance.nodes.pad import BANKS, PADS, ROLES

log = logging.getLogger(__name__)
NICE = 10
BEAT_S = 0.1
RETRY_S = 0.3
#: A pad that somebody waits for comes before the filling of empty ones.
PRIORITY_ASKED, PRIORITY_FILL = 10, 0
_FILL_FACT = "filled in boot"


class GenProcess:
    """Everything of the process but its signals. In its safe form only the embedded generator works; jobs of others wait."""

    def __init__(self, box: Box, hub: HubClient, *, safe: bool = False) -> None:
        self._box = box
        self._hub = hub
        self._queue = JobQueue(box.data / "gen" / "jobs.sqlite")
        self._store = AudioStore(box.data)
        self._settings = box.config.gen
        self._prompt = ""
        self._takes: dict[str, int] = {}
        self._loaded: dict[str, str] = {}  # files of pads and decks: their clips are never pruned
        self._runners: dict[str, Runner] = {}
        for backend in (EMBEDDED,) if safe else VERSIONS:
            worker = WorkerProcess(backend, box.data, "" if safe else self._settings.python)
            self._runners[backend] = Runner(self._queue, self._store, worker, self._announce, self._deliver)
        self._outbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def recover(self) -> None:
        """Once, before :meth:`run`. Raises Unavailable (507) on a full disk."""
        again = self._queue.recover()
        if again:
            log.info("%d jobs that were interrupted are queued again", again)

    async def run(self) -> None:
        """Work until cancelled."""
        self._store.sweep()
        self._hub.serve("/gen", self._serve)
        self._hub.watch("/gen/prompt", self._prompt_changed)
        for pattern in ("/bank/*/pad/*/file", "/deck/*/file"):
            self._hub.watch(pattern, self._loaded.__setitem__)
        await self._hub.start()
        self._count()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._publish())
            tasks.create_task(self._first_fill())
            for runner in self._runners.values():
                tasks.create_task(runner.run())
            tasks.create_task(next(iter(self._runners.values())).deliver_for_ever())

    def close(self) -> None:
        self._queue.close()
        self._store.close()

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
                return await self._fill(_whole(arguments, "bank", 1, BANKS, default=self._box.values.bank))
            case "/gen/cancel":
                job = self._queue.get(_whole(arguments, "job id", 1, 2**53))
                return self._runners.get(job.backend, self._runners[EMBEDDED]).cancel(job.id).public()
            case "/gen/retry":
                job = self._queue.retry(_whole(arguments, "job id", 1, 2**53))
                self._changed(job)
                return job.id
            case "/gen/jobs":
                return self._jobs(arguments)
            case _:
                raise UnknownAddress(f"{address} is nothing that generation can do")

    def _generate(self, arguments: list[Any]) -> int:
        """``[prompt or object, target]``: queue it; the id of the job. An empty prompt, or none, means that of /gen/prompt."""
        asked = arguments[0] if arguments and arguments[0] != "" else self._prompt
        target = self._target(arguments[1]) if len(arguments) > 1 and arguments[1] else ""
        if len(arguments) > 2:
            raise BadValue("/gen/generate takes a prompt or request and a target, no more")
        request = self._completed(parse_request(asked))
        if request.backend not in self._runners:
            raise BadValue(f"there is no generator {request.backend!r}; there is {', '.join(self._runners)}")
        version = VERSIONS[request.backend]
        if parse_request(asked).seed is None:
            request = self._next_take(request, version)
        job, new = self._queue.submit(request, version=version, priority=PRIORITY_ASKED, target=target)
        if new:
            self._changed(job)
        return job.id

    def _next_take(self, request: GenRequest, version: str) -> GenRequest:
        """Asked for the same thing again: /gen/seed's first take, then its second, … in an order that always is the same."""
        name = request.content_hash(version)
        number = self._takes.get(name, 0)
        self._takes[name] = number + 1
        return request.candidate(number).model_copy(update={"candidates": request.candidates})

    def _completed(self, request: GenRequest) -> GenRequest:
        """What the request leaves open and its prompt does not say comes from the box: style, key, tempo, metre, knobs."""
        values = self._box.values
        given = request.model_dump(exclude_none=True)
        fields = {
            "style": values.get("/gen/style"), "key": values.get("/gen/key"), "bars": values.get("/gen/bars"),
            "section": values.get("/gen/section"), "energy": values.get("/gen/energy"),
            "complexity": values.get("/gen/complexity"), "humanize": values.get("/gen/humanize"), "bpm": self._bpm(),
        }  # fmt: skip
        fields |= {name: value for name, value in read_prompt(request.prompt).items() if name in fields}
        fields |= given
        fields.setdefault("seed", values.get("/gen/seed"))
        fields.setdefault("harmony_seed", values.get("/gen/seed"))
        if "beats_per_bar" not in request.model_fields_set:
            fields["beats_per_bar"] = METRE_BEATS[METRES.index(values.get("/clock/metre"))]
        if "sample_rate" not in request.model_fields_set:
            fields["sample_rate"] = self._rate()
        return parse_request(fields).resolved()

    async def _fill(self, bank: int) -> list[int]:
        """Queue clips for the empty pads of a bank; the ids of the jobs."""
        values = self._box.values
        seed = int(values.get("/gen/seed")) + bank - 1
        requests = bank_requests(
            seed, self._bpm(), values.get("/gen/key"), style=values.get("/gen/style"), sample_rate=self._rate(),
            bars=values.get("/gen/bars"), beats_per_bar=METRE_BEATS[METRES.index(values.get("/clock/metre"))],
        )  # fmt: skip
        jobs = []
        for pad, request in enumerate(requests, start=1):
            target = f"/bank/{bank}/pad/{pad}"
            if await self._hub.get(f"{target}/file"):
                continue
            job, new = self._queue.submit(
                request, version=VERSIONS[request.backend], priority=PRIORITY_FILL, target=target
            )
            jobs.append(job.id)
            if new:
                self._changed(job)
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
        state = arguments[0] if arguments else None
        if state is not None and state not in STATES:
            raise BadValue(f"jobs are {', '.join(STATES)}; not {str(state)[:40]!r}")
        return [job.public(self._progress(job)) for job in self._queue.jobs(state)]

    def _progress(self, job: Job) -> float | None:
        runner = self._runners.get(job.backend)
        return runner.progress if runner and runner.current and runner.current.id == job.id else None

    def _target(self, target: Any) -> str:
        """The absolute address of a pad or deck; /pad/3 is the third of the bank that is chosen now."""
        if not isinstance(target, str):
            raise BadValue(f"the target is an address like /pad/3, not {target!r}"[:200])
        return self._box.values.find(f"{target.rstrip('/')}/load").address.removesuffix("/load")

    def _bpm(self) -> float:
        bpm = float(self._box.values.get("/clock/bpm"))
        while bpm < 40:
            bpm *= 2
        while bpm > 240:
            bpm /= 2
        return bpm

    def _rate(self) -> int:
        return int(self._box.rate) or self._box.config.audio.rate

    def _prompt_changed(self, _address: str, value: Any) -> None:
        self._prompt = value if isinstance(value, str) else ""

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

    def _count(self) -> None:
        counts = self._queue.counts()
        self._outbox.put_nowait(("/gen/queued", counts["queued"]))
        self._outbox.put_nowait(("/gen/running", counts["running"]))

    def _tidy(self) -> None:
        self._queue.prune(self._settings.keep_jobs)
        if not self._loaded:
            return  # control has not said yet what is loaded
        recent = {hash_ for job in self._queue.jobs("done", 500) for hash_ in job.results}
        loaded = {Path(file).stem for file in self._loaded.values() if file}
        self._store.prune(self._settings.keep_audio_mb * 2**20, frozenset(recent | loaded))

    async def _deliver(self, job: Job, clip: Clip) -> None:
        await self._hub.connected()
        role = clip.role if clip.role in ROLES else "none"
        options = {"name": job.name, "role": role, "bpm": clip.bpm, "beats": clip.beats}
        await self._hub.do(f"{job.target}/load", str(clip.path), options)


def _whole(arguments: list[Any], what: str, low: int, high: int, default: int | None = None) -> int:
    if not arguments and default is not None:
        return default
    value = arguments[0] if arguments else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        limits = f" {low} … {high}" if high < 1000 else ""
        raise BadValue(f"takes a {what}{limits}, not {str(value)[:40]!r}")
    return value


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
