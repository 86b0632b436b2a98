# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's blocks while generation is hard at work: a model and four loops of the embedded generator at once, each in a
worker of its own, as the box starts them. Stretches at rest and at work take turns, so that a moment when the machine is slow
is as likely to fall on either."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from appliance.config import Gen
from appliance.errors import Unavailable
from appliance.gen.modelling import Models
from appliance.gen.pool import JobCancelled, WorkerProcess
from appliance.gen.request import parse_request
from benchmarks.boxes import EngineBox, jack_server
from benchmarks.engine import MEASURE_S, PERIOD, _engine, _perform, audio, block_shares, hogs, least
from benchmarks.report import Row

ROOT = Path(__file__).parents[1]
STRETCHES, LOOPS = 4, 4


def gen_python() -> str | None:
    """The models' interpreter, where there is one."""
    return shutil.which(os.environ.get("APPLIANCE_GEN_PYTHON") or str(ROOT / ".venv-gen" / "bin" / "python"))


def load_rows() -> list[Row]:
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        try:
            server = stack.enter_context(jack_server(f"bench-gen-{os.getpid()}", PERIOD))
            backend = "jack"
        except Unavailable:
            server, backend = "default", "clock"
        engine = stack.enter_context(_engine(Path(folder) / "box", backend, server, busy=False))
        engine.start(backend, server)
        _perform(engine, [engine.clip(audio(number), bpm=120, beats=16) for number in range(4)])
        return asyncio.run(_ratio(engine, Path(folder)))


async def _ratio(engine: EngineBox, folder: Path) -> list[Row]:
    found = model(folder)
    idle: list[np.ndarray] = []
    busy: list[np.ndarray] = []
    for _ in range(STRETCHES):
        await asyncio.sleep(1 + MEASURE_S)
        idle.append(await asyncio.to_thread(block_shares, engine, MEASURE_S))
        async with _at_work(folder, found):
            await asyncio.sleep(1 + MEASURE_S)
            busy.append(await asyncio.to_thread(block_shares, engine, MEASURE_S))
    job = "a job of torch" if found else "a program that multiplies matrices in place of torch"
    unit = f"× the p99 of blocks without: {job} and {LOOPS} loops are made"
    return [Row("engine_p99_ratio", least(busy, 99) / least(idle, 99), unit, 1.3)]


def model(folder: Path) -> tuple[str, Path] | None:
    """A model large enough that its weights do not fit into the processor's caches; None where there is no torch."""
    python = gen_python()
    if python is None:
        print("engine_p99_ratio is measured without torch: `make gen-env` installs it", file=sys.stderr)
        return None
    subprocess.run([python, "-m", "tests.gen.tinymodels", str(folder / "models"), "--large"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    return python, folder / "models" / "large"


@contextlib.asynccontextmanager
async def _at_work(folder: Path, model: tuple[str, Path] | None) -> AsyncIterator[None]:
    """Workers that make one long thing after the other."""
    long = {"prompt": "techno", "bars": 32}
    asked: list[tuple[WorkerProcess, dict[str, Any]]] = [(WorkerProcess("procedural", folder), long) for _ in range(LOOPS)]
    if model is not None:
        models = Models(Gen(python=model[0]))
        worker = WorkerProcess("models", folder, model[0], stall_s=300, settings=models.settings.model_dump(),
                               threads=models.threads)
        asked.append((worker, {**long, "backend": "stable_audio", "model": str(model[1]), "steps": 1000}))
    with contextlib.ExitStack() as stack:
        if model is None:
            stack.enter_context(hogs(1))
        ready = [asyncio.Event() for _ in asked]
        tasks = [asyncio.create_task(_make(worker, fields, event))
                 for (worker, fields), event in zip(asked, ready, strict=True)]
        try:
            await asyncio.gather(*(event.wait() for event in ready))
            yield
            assert not any(task.done() for task in tasks), "a worker has failed"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for worker, _ in asked:
                await worker.stop()


async def _make(worker: WorkerProcess, fields: dict[str, Any], ready: asyncio.Event) -> None:
    for seed in range(10_000):
        with contextlib.suppress(JobCancelled):
            await worker.generate(seed, parse_request({**fields, "seed": seed}).resolved(), [0], lambda _: ready.set())
