# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes jobs off the queue, has them made (or finds them in the cache), stores them and brings them to their targets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

from appliance.errors import ApplianceError
from appliance.gen.pool import JobCancelled, JobFailed, WorkerProcess
from appliance.gen.queue import Job, JobQueue
from appliance.gen.work import Request, version_of
from appliance.library.store import AudioStore, Clip

log = logging.getLogger(__name__)
PROGRESS_EVERY_S = 0.1
DELIVERY_RETRY_S = 0.5
DISK_RETRY_S = 2.0
DISK_FULL = 507
Announce = Callable[[Job, float | None], None]
Deliver = Callable[[Job, Clip], Awaitable[None]]


class Spare(Protocol):
    """What may be made while nobody waits for anything."""

    def next(self) -> Request | None:
        """The next thing to make; None: nothing now."""
        ...

    def made(self, request: Request, took_s: float) -> None:
        """It is in the store."""

    def failed(self, request: Request, message: str) -> None:
        """It cannot be made."""

    def wait_s(self) -> float:
        """Seconds until :meth:`next` may be asked again."""
        ...


def cached(store: AudioStore, request: Request) -> list[str] | None:
    """Hashes of the clips that were made for a request before, one a candidate; None when one is missing."""
    version = version_of(request)
    clips = [store.made(request.candidate(number).content_hash(version)) for number in range(request.candidates)]
    return [clip.hash for clip in clips if clip] if all(clips) else None


class Runner:
    """The work of one backend: one worker, one job at a time, in the order of the queue.

    ``announce`` hears of every change of a job; ``deliver`` brings a clip to the job's target and raises an
    :class:`ApplianceError` when it is refused (status 503: not now, try again). ``spare`` gives work for when no job is due;
    it stands in no list, and is broken off for any job.
    """

    def __init__(
        self, queue: JobQueue, store: AudioStore, worker: WorkerProcess, announce: Announce, deliver: Deliver,
        made: asyncio.Event | None = None,
    ) -> None:
        """``made`` is set when there is something to deliver; runners of one queue share it."""
        self._queue = queue
        self._store = store
        self._worker = worker
        self._announce = announce
        self._deliver = deliver
        self._wake = asyncio.Event()
        self._deliver_wake = made or asyncio.Event()
        self.current: Job | None = None
        self.progress = 0.0
        self._full_told = False
        self.spare: Spare | None = None
        self._spare_numbers = itertools.count(-1, -1)

    def wake(self) -> None:
        """There is something new in the queue."""
        self._wake.set()
        self._deliver_wake.set()

    async def run(self) -> None:
        """Work for ever; ends only by cancellation."""
        if self._worker.idle_s is None:
            with contextlib.suppress(JobFailed):
                await self._worker.start()  # warm before it is needed; one that cannot start says so with its first job
        try:
            while True:
                self._wake.clear()
                try:
                    job = self._queue.claim(*self._worker.backends)
                    if job is not None:
                        await self._do(job)
                        continue
                    if self.spare is not None and (request := self.spare.next()) is not None:
                        await self._make_spare(self.spare, request)
                        continue
                    wait_s = self._queue.next_due_s(*self._worker.backends)
                    if self.spare is not None:
                        wait_s = min(self.spare.wait_s(), wait_s if wait_s is not None else self.spare.wait_s())
                except ApplianceError as error:  # the queue itself: a full disk, a file that has gone
                    self._say_once(f"jobs wait: {error.message}")
                    wait_s = DISK_RETRY_S
                if wait_s is None and self._worker.idle_s is not None and not await _wait(self._wake, self._worker.idle_s):
                    await self._worker.stop()
                await _wait(self._wake, wait_s)
        finally:
            await self._worker.stop()

    async def deliver_for_ever(self) -> None:
        """Bring finished clips to their targets, again after a restart, until each was taken or refused. One that waits for
        its bar line does not hold up the others."""
        under_way: dict[int, asyncio.Task[None]] = {}
        try:
            while True:
                self._deliver_wake.clear()
                try:
                    jobs = self._queue.undelivered()
                except ApplianceError as error:
                    self._say_once(f"clips wait: {error.message}")
                    await _wait(self._deliver_wake, DELIVERY_RETRY_S)
                    continue
                for job in jobs:
                    if job.id not in under_way:
                        task = under_way[job.id] = asyncio.create_task(self._deliver_until_taken(job))
                        task.add_done_callback(lambda _, id_=job.id: under_way.pop(id_))
                await self._deliver_wake.wait()
        finally:
            for task in list(under_way.values()):
                task.cancel()

    async def _deliver_until_taken(self, job: Job) -> None:
        while True:
            try:
                if await self._delivered(job):
                    return
            except ApplianceError as error:
                self._say_once(f"clips wait: {error.message}")
            await asyncio.sleep(DELIVERY_RETRY_S)

    def cancel(self, id_: int) -> Job:
        """Cancel a job that waits or runs. Raises :class:`BadValue`."""
        job = self._queue.cancel(id_)
        if self.current is not None and self.current.id == id_:
            self._worker.cancel()
        self._announce(job, None)
        return job

    async def _do(self, job: Job) -> None:
        self.current, self.progress = job, 0.0
        self._announce(job, 0.0)
        try:
            results, said = await self._made(job)
        except JobCancelled:
            ended = self._queue.get(job.id)
        except ApplianceError as error:
            ended = await self._failed(job, error)
        else:
            ended = await self._settled(lambda: self._queue.finish(job.id, results, said))
            self._deliver_wake.set()
            self._room_again()
        finally:
            self.current = None
        self._announce(ended, None)

    async def _make_spare(self, spare: Spare, request: Request) -> None:
        """Make what nobody waits for. A job that comes breaks it off; it is begun anew afterwards."""
        began = time.monotonic()
        number = next(self._spare_numbers)
        work = asyncio.ensure_future(self._worker.generate(number, request, [0], lambda _: None))
        try:
            while not work.done():
                woken = asyncio.ensure_future(self._wake.wait())
                try:
                    await asyncio.wait({work, woken}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    woken.cancel()
                self._wake.clear()
                if self._queue.next_due_s(*self._worker.backends) == 0.0:
                    self._worker.cancel()
                    break
            clip = (await work)[0]
            self._register(request.content_hash(version_of(request)), clip)
        except JobCancelled:
            return
        except ApplianceError as error:
            spare.failed(request, error.message)
        else:
            spare.made(request, time.monotonic() - began)
        finally:
            work.cancel()

    async def _failed(self, job: Job, error: ApplianceError) -> Job:
        """A full disk is no fault of the job's: it waits until there is room."""
        if error.status == DISK_FULL:
            if self._say_once(f"jobs wait: {error.message}"):
                self._announce(replace(job, message=error.message), None)
            return await self._settled(lambda: self._queue.put_back(job.id, DISK_RETRY_S))
        retry = isinstance(error, JobFailed) and error.retry
        ended = await self._settled(lambda: self._queue.fail(job.id, error.message, retry=retry))
        log.warning("job %d (%s): %s%s", job.id, job.name, error.message,
                    "; will be tried again" if ended.state == "queued" else "")
        return ended

    async def _settled(self, write: Callable[[], Job]) -> Job:
        """Write down how a job ended, when there is room for it; until then it counts as running."""
        while True:
            try:
                return write()
            except ApplianceError as error:
                if error.status != DISK_FULL:
                    raise
                self._say_once(f"jobs wait: {error.message}")
            await asyncio.sleep(DISK_RETRY_S)

    def _say_once(self, message: str) -> bool:
        """Not again until there was room; whether it was said."""
        if self._full_told:
            return False
        self._full_told = True
        log.error("%s", message)
        return True

    def _room_again(self) -> None:
        if self._full_told:
            self._full_told = False
            log.info("there is room on the disk again; jobs go on")

    async def _made(self, job: Job) -> tuple[list[str], str]:
        """Hashes of the job's clips: from the cache what is there, from the worker what is missing. And what the worker has to
        say of them."""
        version = version_of(job.request)
        names = [job.request.candidate(number).content_hash(version) for number in range(job.request.candidates)]
        found = {number: clip for number, name in enumerate(names) if (clip := self._store.made(name))}
        missing = [number for number in range(len(names)) if number not in found]
        said: list[str] = []
        if missing:
            clips = await self._worker.generate(job.id, job.request, missing, self._progressed)
            for number, fields in zip(missing, clips, strict=True):
                found[number] = self._register(names[number], fields)
                said += [str(line)[:300] for line in fields.get("said") or ()]
        return [found[number].hash for number in range(len(names))], "; ".join(dict.fromkeys(said))

    def _register(self, name: str, fields: dict[str, Any]) -> Clip:
        try:
            kept = {key: fields[key] for key in ("frames", "rate", "name", "role", "bpm", "bars", "beats", "key", "loudness")}
            return self._store.register(str(fields["hash"]), **kept, lineage=fields["lineage"], request=name)
        except KeyError as error:
            raise JobFailed(f"the worker's answer lacks {error}", retry=True) from None

    def _progressed(self, value: float) -> None:
        if self.current is not None and (value - self.progress >= 0.02 or value >= 1):
            self.progress = value
            self._announce(self.current, value)

    async def _delivered(self, job: Job) -> bool:
        clip = self._store.get(job.results[0]) if job.results else None
        if clip is None:
            await self._delivery_ended(job, "made, but its audio has vanished; ask for it again")
            return True
        try:
            await self._deliver(job, clip)
        except ApplianceError as error:
            if error.status == 503:
                return False
            log.warning("job %d (%s): %s refused it: %s", job.id, job.name, job.target, error.message)
            await self._delivery_ended(job, f"made, but {job.target} refused it: {error.message}")
            return True
        await self._delivery_ended(job, "")
        return True

    async def _delivery_ended(self, job: Job, message: str) -> None:
        """Written down before anything else is delivered: else the same clip would be loaded again and again."""
        self._announce(await self._settled(lambda: self._queue.deliver(job.id, message)), None)


async def _wait(event: asyncio.Event, timeout_s: float | None) -> bool:
    """Until the event or the time is there; whether it was the event. Not ``wait_for``: in Python 3.11 it can swallow a
    cancellation."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    return event.is_set()
