# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers as real processes: good ones, killed ones, hung ones, and ones that talk nonsense."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.gen.pool import JobCancelled, JobFailed, WorkerProcess
from appliance.gen.queue import Job, JobQueue
from appliance.gen.request import GenRequest, parse_request
from appliance.gen.runner import Runner
from appliance.gen.worker import REST_S
from appliance.library.store import AudioStore, Clip


def ask(**fields: object) -> GenRequest:
    return parse_request({"prompt": "techno", "seed": 1, "bars": 1, **fields}).resolved()


def memory_of(pid: int) -> int:
    """Bytes of its own."""
    rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return 1024 * int(rows["Pss_Anon"].split()[0])


def false_worker(folder: Path, body: str) -> str:
    """An interpreter for the pool that runs ``body`` instead of the worker; ``link`` is its socket."""
    script = folder / "interpreter"
    script.write_text(
        f"#!{sys.executable}\nimport json, os, signal, socket, sys, time\n"
        "link = socket.socket(fileno=int(sys.argv[sys.argv.index('--fd') + 1]))\n"
        "say = lambda **m: link.sendall(json.dumps(m).encode() + b'\\n')\n"
        f"say(op='ready', backend='procedural', version='1')\n{body}\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


async def test_a_worker_makes_clips_that_are_in_the_store(tmp_path: Path) -> None:
    worker = WorkerProcess("procedural", tmp_path)
    heard: list[float] = []
    clips = await worker.generate(1, ask(candidates=2), [0, 1], heard.append)
    assert len({clip["hash"] for clip in clips}) == 2 and heard[-1] == 1.0 and heard == sorted(heard)
    for clip in clips:
        audio, rate = sf.read(tmp_path / "audio" / clip["hash"][:2] / f"{clip['hash']}.wav", dtype="float32")
        assert rate == 48000 and len(audio) == clip["frames"] == ask().frames and np.abs(audio).max() <= 0.9
    pid = worker.pid
    assert pid and os.getpriority(os.PRIO_PROCESS, pid) >= 10
    await worker.generate(2, ask(seed=2), [0], heard.append)
    assert worker.pid == pid  # it stays warm
    await worker.stop()
    assert worker.pid is None


async def test_cancel_takes_effect_within_half_a_second(tmp_path: Path) -> None:
    worker = WorkerProcess("procedural", tmp_path)
    await worker.start()
    task = asyncio.create_task(worker.generate(1, ask(bars=32, candidates=5), [0, 1, 2, 3, 4], lambda _: None))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    worker.cancel()
    with pytest.raises(JobCancelled):
        await task
    assert time.monotonic() - began < 0.5 + 0.2  # and some room for a busy machine
    assert len(await worker.generate(2, ask(), [0], lambda _: None)) == 1
    await worker.stop()


async def test_a_worker_at_rest_gives_its_memory_back(tmp_path: Path) -> None:
    worker = WorkerProcess("procedural", tmp_path)
    await worker.generate(1, ask(), [0], lambda _: None)
    assert worker.pid
    await asyncio.sleep(REST_S + 1)
    before = memory_of(worker.pid)
    await worker.generate(2, ask(bars=16), [0], lambda _: None)
    grown = memory_of(worker.pid) - before
    await asyncio.sleep(REST_S + 1)
    left = memory_of(worker.pid) - before
    await worker.stop()
    print(f"{grown / 1e6:.0f} MB more after a long loop, {left / 1e6:.0f} MB at rest")
    assert grown > 20e6 and left < 0.1 * grown


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("link.recv(1 << 16); os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
        ("link.recv(1 << 16); sys.exit(3)", "ended with status 3"),
        ("link.recv(1 << 16); link.sendall(b'\\xff\\xfe garbage\\n'); time.sleep(60)", "garbage"),
        ("link.recv(1 << 16); link.sendall(b'[1, 2]\\n'); time.sleep(60)", "garbage"),
        ("link.recv(1 << 16); say(op='done', job=1); time.sleep(60)", "no answer"),
        ("link.recv(1 << 16); say(op='progress', job=1, value='much'); time.sleep(60)", "no answer"),
        ("link.recv(1 << 16); say(op='progress', job=77, value=0.5); time.sleep(60)", "another job"),
        ("link.recv(1 << 16); time.sleep(60)", "said nothing for 0.3 s"),
    ],
)  # fmt: skip
async def test_a_bad_worker_is_ended_and_the_job_fails_plainly(tmp_path: Path, body: str, words: str) -> None:
    worker = WorkerProcess("procedural", tmp_path, python=false_worker(tmp_path, body), stall_s=0.3)
    with pytest.raises(JobFailed, match=words) as caught:
        await worker.generate(1, ask(), [0], lambda _: None)
    assert caught.value.retry and worker.pid is None


async def test_a_worker_that_cannot_be_cancelled_is_killed(tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    worker = WorkerProcess("procedural", tmp_path, python=false_worker(tmp_path, body), obey_s=1)
    await worker.start()
    task = asyncio.create_task(worker.generate(1, ask(), [0], lambda _: None))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    worker.cancel()
    with pytest.raises(JobCancelled):
        await task
    assert time.monotonic() - began < 0.7 and worker.pid, "it counts as cancelled, and the worker has some time to end it"
    while worker.pid:
        await asyncio.sleep(0.02)
    assert time.monotonic() - began < 2.0
    await worker.stop()


async def test_a_job_that_is_cancelled_while_its_worker_starts_does_not_wait_for_it(tmp_path: Path) -> None:
    worker = WorkerProcess("procedural", tmp_path)
    task = asyncio.create_task(worker.generate(1, ask(), [0], lambda _: None))
    await asyncio.sleep(0.05)
    worker.cancel()
    with pytest.raises(JobCancelled):
        await task
    assert worker._starting and not worker._starting.done(), "it is still starting"
    assert len(await worker.generate(2, ask(), [0], lambda _: None)) == 1
    await worker.stop()


async def test_a_job_that_was_cancelled_too_late_can_be_asked_again(tmp_path: Path) -> None:
    """The word to cancel comes when the worker has ended the job: the next job of that number is another one."""
    worker = WorkerProcess("procedural", tmp_path)
    await worker.generate(7, ask(), [0], lambda _: None)
    worker._send({"op": "cancel", "job": 7})
    assert len(await worker.generate(7, ask(), [0], lambda _: None)) == 1
    await worker.stop()


async def test_a_worker_that_nobody_needs_ends_and_comes_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.worker.idle_s = 0.5
    task = asyncio.create_task(stage.runner.run())
    await asyncio.sleep(0.3)
    assert stage.worker.pid is None, "it starts with its first job"
    for seed in (1, 2):
        id_ = stage.queue.submit(ask(seed=seed))[0].id
        stage.runner.wake()
        while stage.queue.get(id_).state != "done":
            await asyncio.sleep(0.02)
        assert stage.worker.pid
        while stage.worker.pid:
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_workers_stand_back(tmp_path: Path) -> None:
    worker = WorkerProcess("procedural", tmp_path)
    await worker.start()
    assert worker.pid and os.getpriority(os.PRIO_PROCESS, worker.pid) >= 10
    assert os.sched_getscheduler(worker.pid) == os.SCHED_BATCH
    environment = Path(f"/proc/{worker.pid}/environ").read_text()
    assert "OMP_NUM_THREADS=1" in environment
    await worker.stop()


async def test_missing_interpreter_and_unknown_backend_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"cannot be started.*gen\.python"):
        await WorkerProcess("procedural", tmp_path, python="/nowhere/python").generate(1, ask(), [0], lambda _: None)
    with pytest.raises(JobFailed, match="no generator 'wonder'"):
        await WorkerProcess("wonder", tmp_path).generate(1, ask(), [0], lambda _: None)


async def test_a_worker_does_not_outlive_its_parent(tmp_path: Path) -> None:
    worker = WorkerProcess("procedural", tmp_path)
    await worker.start()
    pid = worker.pid
    assert pid and worker._writer
    worker._writer.close()
    for _ in range(100):
        if worker.pid is None:
            break
        await asyncio.sleep(0.02)
    assert worker.pid is None
    await worker.stop()


class Stage:
    """A runner with its queue and store, and everything it announces."""

    def __init__(self, data: Path, python: str = "") -> None:
        self.queue = JobQueue(data / "jobs.sqlite")
        self.store = AudioStore(data)
        self.worker = WorkerProcess("procedural", data, python=python, stall_s=5)
        self.heard: list[tuple[int, str]] = []
        self.delivered: list[tuple[str, Clip]] = []
        self.runner = Runner(self.queue, self.store, self.worker, self.announce, self.deliver)

    def announce(self, job: Job, _progress: float | None) -> None:
        self.heard.append((job.id, job.state))

    async def deliver(self, job: Job, clip: Clip) -> None:
        self.delivered.append((job.target, clip))

    async def until(self, *ids: int) -> None:
        """Run until these jobs have ended."""
        tasks = [asyncio.create_task(self.runner.run()), asyncio.create_task(self.runner.deliver_for_ever())]
        try:
            async with asyncio.timeout(20):
                while any(self.queue.get(id_).state in ("queued", "running") for id_ in ids) or self.queue.undelivered():
                    await asyncio.sleep(0.01)
                    assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_jobs_reach_their_targets_and_a_repeated_request_comes_from_the_cache(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    first = stage.queue.submit(ask(), version="1", target="/bank/1/pad/1")[0].id
    await stage.until(first)
    assert stage.queue.get(first).state == "done" and stage.delivered[0][1].path.is_file()
    stage = Stage(tmp_path, python="/nowhere/python")  # nobody can make anything: it must be found
    second = stage.queue.submit(ask(name="Again"), version="1", target="/bank/1/pad/2")[0].id
    await stage.until(second)
    assert stage.queue.get(second).results == stage.queue.get(first).results
    assert stage.delivered[0][0] == "/bank/1/pad/2" and stage.delivered[0][1].beats == 4


async def test_a_killed_worker_costs_a_retry_and_the_next_job_goes_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    one, two = (stage.queue.submit(ask(seed=seed, bars=8))[0].id for seed in (1, 2))
    running = asyncio.create_task(stage.until(one, two))
    while (one, "running") not in stage.heard:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert stage.worker.pid
    os.kill(stage.worker.pid, signal.SIGKILL)
    await running
    assert stage.queue.get(one).state == stage.queue.get(two).state == "done"
    assert stage.queue.get(one).attempts == 2


async def test_a_job_that_never_works_fails_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.gen import queue as queue_module

    monkeypatch.setattr(queue_module, "BACK_OFF_S", (0.01,))
    stage = Stage(tmp_path, python=false_worker(tmp_path, "link.recv(1 << 16); os.kill(os.getpid(), signal.SIGKILL)"))
    id_ = stage.queue.submit(ask())[0].id
    await stage.until(id_)
    job = stage.queue.get(id_)
    assert (job.state, job.attempts) == ("failed", 3) and "signal 9" in job.message
