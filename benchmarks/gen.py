# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench gen``: how fast loops are made, conformed, found again and cancelled. One core, as on a stage box."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from appliance.bus.box import Box
from appliance.bus.hub import HubClient
from appliance.gen.backends.procedural import ProceduralBackend
from appliance.gen.backends.procedural.bank import bank_requests
from appliance.gen.conform import conform
from appliance.gen.heap import keep_memory
from appliance.gen.loudness import integrated_lufs
from appliance.gen.pool import JobCancelled, WorkerProcess
from appliance.gen.queue import Job, JobQueue
from appliance.gen.request import STYLE_BPM, GenRequest, parse_request
from appliance.gen.runner import Runner
from appliance.gen.runner import cached as cached_clips
from appliance.gen.worker import make_clip
from appliance.library.store import AudioStore, Clip
from appliance.nodes.gen import KEYS
from benchmarks import genload
from benchmarks.box import start_box
from benchmarks.report import Row

RATE_HZ = 48_000
PRESSES = 40
_BACKEND = ProceduralBackend()


def rows() -> list[Row]:
    """The figures; ``limit`` is the least (x real time) or the most (s, ms) that will do."""
    keep_memory()  # as the worker does
    _BACKEND.warm()
    conforming, measuring, pyloudnorms = _conform_x_realtime()
    with tempfile.TemporaryDirectory() as folder:
        bank_s, first_s, cached_ms, cancel_s = asyncio.run(_through_the_queue(Path(folder)))
    return [
        Row("procedural_x_realtime", _procedural_x_realtime(), "×", 25, at_least=True),
        Row("first_drum_loop_s", _first_drum_loop_s(), "s", 0.3),
        Row("conform_x_realtime", conforming, "×", at_least=True),
        Row("loudness_x_realtime", measuring, "×", None, pyloudnorms, at_least=True),
        Row("first_clip_s", first_s, "s", 3),
        Row("bank_of_16_s", bank_s, "s", 10),
        Row("press_to_pad_p95_s", asyncio.run(_press_to_pad()), "s", 1),
        Row("cached_ms", cached_ms, "ms", 20),
        Row("cancel_s", cancel_s, "s", 0.5),
        *cancel_of_models(),
        *genload.load_rows(),
    ]


def _timed(action: Callable[[], Any]) -> float:
    """Processor seconds of this process, system calls included: what other programs do meanwhile does not count."""
    began = time.process_time()
    action()
    return time.process_time() - began


def _play(request: GenRequest) -> np.ndarray:
    return _BACKEND.generate(request, lambda _: None, lambda: False).mix


def _procedural_x_realtime() -> float:
    """Four bars of the full mix with its stems; seconds of audio a second of one core: the slowest style's median of three."""
    medians: list[float] = []
    for style in STYLE_BPM:
        fields = {"prompt": "a loop", "style": style, "bars": 4}
        requests = [parse_request({**fields, "seed": seed}).resolved() for seed in range(3)]
        medians.append(statistics.median(
            request.frames / RATE_HZ / _timed(lambda request=request: _play(request)) for request in requests
        ))  # fmt: skip
    return min(medians)


def _first_drum_loop_s() -> float:
    """Four bars of drums in a warm worker: made, conformed and on disk; median of five."""
    with tempfile.TemporaryDirectory() as folder:
        requests = [parse_request({"prompt": "techno", "parts": ["drums"], "seed": seed}).resolved() for seed in range(5)]
        return statistics.median(
            _timed(lambda request=request: make_clip(_BACKEND, request, Path(folder), lambda _: None, lambda: False))
            for request in requests
        )


def _conform_x_realtime() -> tuple[float, float, float | None]:
    """Conform of a four-bar mix; beside it what pyloudnorm takes for the loudness alone, where it is installed."""
    request = parse_request({"prompt": "techno", "seed": 1}).resolved()
    mix = _play(request)
    seconds = len(mix) / RATE_HZ
    bpm = request.bpm or 120

    def conformed() -> None:
        conform(mix, RATE_HZ, bpm=bpm, bars=4, target_lufs=-14, downbeat_frame=0)

    ours = statistics.median(_timed(conformed) for _ in range(5))
    measuring = statistics.median(_timed(lambda: integrated_lufs(mix, RATE_HZ)) for _ in range(3))
    try:
        import pyloudnorm
    except ImportError:
        return seconds / ours, seconds / measuring, None
    meter = pyloudnorm.Meter(RATE_HZ)
    wide = mix.astype(np.float64)
    theirs = statistics.median(_timed(lambda: meter.integrated_loudness(wide)) for _ in range(3))
    return seconds / ours, seconds / measuring, seconds / theirs  # fmt: skip


async def _through_the_queue(data: Path) -> tuple[float, float, float, float]:
    """A fresh worker fills a bank, from its start on; the same bank again from the cache; a long job is cancelled."""
    queue, store, worker = JobQueue(data / "jobs.sqlite"), AudioStore(data), WorkerProcess("procedural", data)
    arrived: list[float] = []
    wanted = asyncio.Event()

    async def deliver(_job: Job, _clip: Clip) -> None:
        arrived.append(time.perf_counter())
        wanted.set()

    runner = Runner(queue, store, worker, lambda _job, _progress: None, deliver)
    began = time.perf_counter()
    tasks = [asyncio.create_task(runner.run()), asyncio.create_task(runner.deliver_for_ever())]
    requests = bank_requests(1, 126, "A minor")
    for request in requests:
        queue.submit(request, version=_BACKEND.version, target="/pad/1")
    runner.wake()
    while len(arrived) < len(requests):
        wanted.clear()
        await wanted.wait()
    bank_s, first_s = arrived[-1] - began, arrived[0] - began

    queue.submit(parse_request({"prompt": "techno", "bars": 32, "candidates": 5, "seed": 3}), version=_BACKEND.version)
    runner.wake()  # what was made before waits for no job
    cached: list[float] = []
    for request in requests:
        wanted.clear()
        asked = time.perf_counter()
        queue.submit(request, version=_BACKEND.version, target="/pad/2", results=cached_clips(store, request))
        runner.wake()
        await wanted.wait()
        cached.append(1000 * (time.perf_counter() - asked))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return bank_s, first_s, statistics.median(cached), await _cancel_s(worker)


async def _press_to_pad() -> float:
    """Seconds from ``/pad/N/new`` on a pad that has no candidate yet until the engine has the clip, the 95th percentile of
    ``PRESSES`` on a whole box, while look-ahead uses a core as fast as it can."""
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as folder:
        process = start_box(Path(folder), "gen: {fill: false, look_ahead_cpu: 1.0}\n")
        try:
            return await _presses(Box.attach(Path(folder), "bench"))
        finally:
            process.terminate()
            process.wait(20)


async def _presses(box: Box) -> float:
    hub = HubClient(box.hub_path, "bench")
    ahead: list[str] = []
    hub.watch("/gen/ahead", lambda _, value: ahead.append(str(value)))
    await hub.start()
    await hub.connected(60)
    await hub.set("/gen/candidates", 5)
    took: list[float] = []
    chance = random.Random(1)
    try:
        for number in range(PRESSES):
            await asyncio.sleep(0.3 + chance.random())
            while not ahead or ahead[-1] != "making":
                await hub.set("/gen/key", KEYS[number % len(KEYS)])  # everything is to be made anew
                await asyncio.sleep(0.3 + chance.random())
            cell = 16 + number
            began = time.monotonic()
            await hub.do(f"/bank/{cell // 16 + 1}/pad/{cell % 16 + 1}/new")
            while not int(box.telemetry.snapshot()["pad"]["clip"][cell]):
                await asyncio.sleep(0.005)
            took.append(time.monotonic() - began)
    finally:
        await hub.stop()
    return float(np.percentile(took, 95))


async def _cancel_s(worker: WorkerProcess, **fields: Any) -> float:
    """The longest of five cancellations of a long job, at different moments: until the job counts as cancelled, and the worker
    has been given the next one or is ending it."""
    longest = 0.0
    request = parse_request({"prompt": "techno", "bars": 32, "seed": 3, **fields}).resolved()
    await worker.start()
    for number in range(5):
        task = asyncio.create_task(worker.generate(number, request, [0], lambda _: None))
        await asyncio.sleep(0.1 + 0.15 * number)
        began = time.perf_counter()
        worker.cancel()
        try:
            await task
        except JobCancelled:
            longest = max(longest, time.perf_counter() - began)
        else:
            longest = math.inf
    await worker.stop()
    return longest


def cancel_of_models() -> list[Row]:
    """The same of a model, where there is an environment for models: while it loads, and within its steps."""
    with tempfile.TemporaryDirectory() as folder:
        model = genload.model(Path(folder))
        if model is None:
            return []
        python, path = model
        worker = WorkerProcess("models", Path(folder), python, stall_s=300, obey_s=30, idle_s=60)
        longest = asyncio.run(_cancel_s(worker, backend="stable_audio", model=str(path), steps=1000, bars=4))
    return [Row("cancel_model_s", longest, "s", 0.5)]
