# SPDX-License-Identifier: GPL-3.0-or-later
"""The gen process: answers /gen/… on the hub, owns the queue, keeps the workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import Any

from appliance.bus.box import Box, Role
from appliance.bus.hub import HubClient
from appliance.errors import ApplianceError, BadValue, UnknownAddress
from appliance.gen.asking import Asking, whole
from appliance.gen.backends import EMBEDDED, WORKERS
from appliance.gen.budget import Budget
from appliance.gen.drop import DropRequest
from appliance.gen.dropping import Dropping
from appliance.gen.fusing import Fusing
from appliance.gen.importing import Importing
from appliance.gen.live.keeper import LiveStream
from appliance.gen.lookahead import LookAhead
from appliance.gen.modelling import Modelling, Models
from appliance.gen.pool import WorkerProcess
from appliance.gen.prompting import Prompting
from appliance.gen.queue import STATES, Job, JobQueue
from appliance.gen.renewing import Renewing
from appliance.gen.retention import Retention
from appliance.gen.runner import DISK_FULL, DISK_RETRY_S, Runner, cached
from appliance.gen.sources import Sources
from appliance.gen.standin import StandingIn
from appliance.gen.stemming import Stemming
from appliance.gen.takes import TakeStore
from appliance.gen.taking import OVERTAKEN, Taking, is_let_go, load_options
from appliance.gen.varying import Varying
from appliance.gen.work import Request, version_of
from appliance.library.store import AudioStore, Clip
from appliance.nodes.gen import GENERATORS
from appliance.nodes.pad import BANKS, PADS, ROLES

log = logging.getLogger(__name__)
BEAT_S = 0.1
RETRY_S = 0.3
#: A pad that waits to play comes before what was asked for, and that before the filling of empty ones.
PRIORITY_WANTED, PRIORITY_ASKED, PRIORITY_FILL = 20, 10, 0
_FILL_FACT = "filled in boot"
MATERIAL_IDLE_S = 60.0
MODELS_STALL_S, MODELS_OBEY_S = 300.0, 30.0
"""A model may load for long, and a step of it may take long on a slow processor."""
_PLAYS = ("queued", "playing")


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
        self._models = Models(self._settings)
        self._runners: dict[str, Runner] = {}  # by backend; some share one
        made = asyncio.Event()
        for worker in (self._worker(name) for name in ((EMBEDDED,) if safe else WORKERS)):
            runner = Runner(self._queue, self._store, worker, self._announce, self._deliver, made)
            self._runners |= dict.fromkeys(worker.backends, runner)
        self._asking = Asking(box, tuple(name for name in GENERATORS if name in self._runners))
        self._ahead = LookAhead(
            self._asking, self._store, self._queue, Budget(box, 0.0 if safe else self._settings.look_ahead_cpu), self._loaded,
            self._plays, lambda: int(box.values.get("/gen/candidates")), self._tell, self._prepare)
        self._runners[EMBEDDED].spare = self._ahead
        self._renewing = Renewing(
            self._asking, self._ahead, self._store, hub, self._submit_now, self._plays, self._clip_on,
            lambda target: self._roles.get(target, ""), self._arrived)
        self._states: dict[str, Any] = {}
        self._roles: dict[str, str] = {}
        self._lines: dict[int, tuple[str, bool]] = {}
        """Of jobs that somebody waits for: the line on which their clip comes, and whether it is a take."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._retention = Retention(self._queue, self._store, self._settings, box.data / "sessions", self._takes.hashes)
        self._outbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._taking = Taking(self._takes, self._store, hub, self._tell)
        self._standing_in = StandingIn(self._settings.stand_in, self._queue, self._store, hub, self._loaded, self._tell)
        sources = Sources(self._asking, self._store, self._loaded, box.data)
        self._modelling = Modelling(self._models, sources, self._asking,
                                    lambda line: self._tell("/gen/message", line))
        self._varying = Varying(self._asking, self._store, self._takes, self._loaded,
                                lambda request, target: self._submit(request, target, PRIORITY_ASKED).id,
                                lambda: self._models.remakes and not safe, self._modelling.remade)
        self._fusing = Fusing(self._asking, self._store, self._varying)
        self._prompting = Prompting(box, self._asking, hub)
        self._dropping = Dropping(box, self._asking, hub, lambda request, pad: self._submit(request, pad, PRIORITY_ASKED),
                                  self._tell, None if safe else self._models, sources)
        self._importing = Importing(self._asking, sources)
        self._stemming = Stemming(self._asking, sources, self._loaded, lambda: "" if safe else self._models.demucs)
        self._live = LiveStream(box, hub, self._store, self._taking, self._asking, self._varying.empty_pad, self._tell,
                                safe=safe)
        self._left_over: set[int] = set()  # jobs whose clip the process before this one may have brought to its target

    def _worker(self, name: str) -> WorkerProcess:
        """The embedded generator's is always there; the others come with their first job and go when there is none."""
        match name:
            case "models":
                return WorkerProcess(name, self._box.data, self._settings.python or None, stall_s=MODELS_STALL_S,
                                     obey_s=MODELS_OBEY_S, idle_s=self._settings.idle_s, threads=self._models.threads,
                                     settings=self._models.settings.model_dump())
            case "material":
                idle_s = min(self._settings.idle_s, MATERIAL_IDLE_S)
                return WorkerProcess(name, self._box.data, obey_s=MODELS_OBEY_S, idle_s=idle_s)
            case _:
                return WorkerProcess(name, self._box.data)

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
        self._dropping.start()
        self._hub.watch("/bank/*/pad/*/role", self._role_changed)
        await self._hub.start()
        self._count()
        self._taking.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._publish())
            tasks.create_task(self._first_fill())
            tasks.create_task(self._live.run())
            for runner in dict.fromkeys(self._runners.values()):
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
            case "/gen/section/next":
                return await self._renewing.section(arguments)
            case "/gen/auto":
                return await self._renewing.auto(arguments)
            case "/gen/vary":
                return self._varying.of_library(arguments)
            case "/gen/jobs":
                return self._jobs(arguments)
            case "/gen/prompts" | "/gen/prompt/keep" | "/gen/prompt/recall" | "/gen/prompt/forget" | "/gen/prompt/suggest":
                return await self._prompting.serve(address.removeprefix("/gen/"), arguments)
            case "/gen/stems":
                return self._stems(arguments[0] if arguments else "", arguments[1:])
            case _ if address.startswith("/gen/live/"):
                return self._live.serve(address, arguments)
            case _:
                raise UnknownAddress(f"{address} is nothing that generation can do")

    async def _serve_place(self, address: str, arguments: list[Any]) -> Any:
        """Of a pad or deck: its variations, takes, imports and stems."""
        place, _, what = address.partition("/take/") if "/take/" in address else address.rpartition("/")
        match what:
            case "vary":
                return self._varying.of_place(place, arguments)
            case "new":
                return self._renewing.new(place, arguments)
            case "import":
                return self._submit(self._importing.request(arguments), place, PRIORITY_ASKED).id
            case "stems":
                return None if arguments and is_let_go(arguments[0]) else self._stems(place, _unpressed(arguments))
            case _:
                pass
        return self._taking.serve(place, what, arguments)

    def _file_changed(self, address: str, file: str) -> None:
        self._loaded[address] = file
        self._taking.file_changed(address.removesuffix("/file"), file or "")
        self._ahead.changed(address.removesuffix("/file"))

    def _role_changed(self, address: str, role: str) -> None:
        self._roles[address.removesuffix("/role")] = role if role in ROLES[1:] else ""

    def _plays(self, target: str) -> bool:
        return self._states.get(target) in _PLAYS

    def _clip_on(self, target: str) -> Clip | None:
        return self._store.get(Path(self._loaded.get(f"{target}/file") or "").stem)

    def _prepare(self, target: str, clip: Clip) -> None:
        """Have control take it into memory; without a word where it cannot: then it is loaded when it is wanted."""
        task = asyncio.get_running_loop().create_task(self._prepared(target, clip))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepared(self, target: str, clip: Clip) -> None:
        with contextlib.suppress(ApplianceError):
            await self._hub.do(f"{target}/prepare", str(clip.path), load_options(clip, at="now"))

    def _generate(self, arguments: list[Any]) -> int:
        """``[prompt or object, target]``: queue it; the id of the job. An empty prompt, or none, means that of /gen/prompt."""
        if len(arguments) > 2:
            raise BadValue("/gen/generate takes a prompt or request and a target, no more")
        target = self._asking.target(arguments[1]) if len(arguments) > 1 and arguments[1] else ""
        asked = self._modelling.completed(arguments[0] if arguments else "", self._box.values.get("/gen/generator"))
        return self._submit(self._asking.request(asked), target, PRIORITY_ASKED).id

    def _stems(self, where: Any, places: list[Any]) -> list[int]:
        """The ids of the jobs, one a stem."""
        asked = self._stemming.requests(where, places)
        return [self._submit(request, target, PRIORITY_ASKED).id for request, target in asked]

    def _submit(self, request: Request, target: str, priority: int) -> Job:
        """Queue it; what was made before is done at once, whatever is at work."""
        job, new = self._queue.submit(
            request, version=version_of(request), priority=priority, target=target, results=cached(self._store, request)
        )
        if new:
            self._changed(job)
            self._standing_in.begin(job)
        return job

    def _submit_now(self, request: Request, target: str, line: str, take: bool) -> Job:
        """Somebody waits for it; its clip comes on this line, as a take or not."""
        job = self._submit(request, target, PRIORITY_WANTED)
        self._lines[job.id] = line, take
        return job

    def _arrived(self, job: Job) -> bool:
        return self._queue.get(job.id).delivered

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
        target = address.removesuffix("/state")
        before, self._states[target] = self._states.get(target), state
        if (before in _PLAYS) != (state in _PLAYS):
            self._ahead.look_again()
        if state in _PLAYS:
            self._hurry(target)

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
            in_use = {Path(file).stem for file in self._loaded.values() if file} | self._ahead.hashes()
            if self._retention.tidy(frozenset(in_use)):
                self._ahead.look_again()

    async def _deliver(self, job: Job, clip: Clip) -> None:
        await self._hub.connected()
        line, take = self._lines.get(job.id, ("grid" if job.priority >= PRIORITY_WANTED else "bar", True))
        if job.id not in self._left_over or await self._hub.get(f"{job.target}/file") != str(clip.path):
            try:
                await self._hub.do(f"{job.target}/load", str(clip.path), load_options(clip, job.name, at=line))
            except ApplianceError as error:
                if error.status != OVERTAKEN:
                    raise
        if take:
            self._taking.delivered(job.target, list(job.results))
        self._lines.pop(job.id, None)
        if isinstance(job.request, DropRequest):
            await self._dropping.delivered(job)


def _unpressed(arguments: list[Any]) -> list[Any]:
    """A button that was pressed says no more than that."""
    return arguments[1:] if arguments and isinstance(arguments[0], int | float) else arguments


async def main(box: Box, *, safe: bool = False) -> None:
    """Run until SIGTERM or SIGINT; ``safe``: in its safe form."""
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
