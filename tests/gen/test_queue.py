# SPDX-License-Identifier: GPL-3.0-or-later
"""The durable queue, and what SIGKILL does to it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.errors import ApplianceError, BadValue
from appliance.gen import queue as queue_module
from appliance.gen.queue import JobQueue
from appliance.gen.request import GenRequest, parse_request


def ask(seed: int, **fields: object) -> GenRequest:
    return parse_request({"prompt": "techno", "seed": seed, "bars": 1, **fields})


@pytest.fixture
def queue(tmp_path: Path) -> JobQueue:
    return JobQueue(tmp_path / "jobs.sqlite")


def test_priority_first_then_the_oldest(queue: JobQueue) -> None:
    ids = [queue.submit(ask(seed), priority=priority)[0].id for seed, priority in ((1, 0), (2, 0), (3, 10))]
    claimed = [job.id for job in (queue.claim(), queue.claim(), queue.claim()) if job]
    assert claimed == [ids[2], ids[0], ids[1]] and queue.claim() is None


def test_the_same_for_the_same_target_is_queued_once(queue: JobQueue) -> None:
    first, new = queue.submit(ask(1), target="/pad/1")
    again, second = queue.submit(ask(1, name="Other name"), target="/pad/1", priority=5)
    assert new and not second and again.id == first.id and again.priority == 5
    assert queue.submit(ask(1), target="/pad/2")[1] and queue.submit(ask(2), target="/pad/1")[1]
    queue.claim()
    assert not queue.submit(ask(1), target="/pad/1")[1]  # it runs: still not twice
    queue.finish(first.id, ["hash"])
    assert queue.submit(ask(1), target="/pad/1")[1]


def test_failure_backs_off_and_ends_after_three_attempts(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "BACK_OFF_S", (0.02, 0.02, 0.02))
    id_ = queue.submit(ask(1))[0].id
    for attempt in (1, 2, 3):
        job = queue.claim()
        assert job is not None and job.attempts == attempt
        job = queue.fail(id_, "the worker was killed", retry=True)
        if attempt < 3:
            assert job.state == "queued" and queue.claim() is None  # not before its time
            assert 0 < (queue.next_due_s("procedural") or 0) <= 0.02
            time.sleep(0.03)
    assert job.state == "failed" and job.message == "the worker was killed"
    assert queue.retry(id_).state == "queued" and queue.claim() is not None


def test_cancel_ends_what_waits_and_what_runs_but_nothing_else(queue: JobQueue) -> None:
    one, two = queue.submit(ask(1))[0].id, queue.submit(ask(2))[0].id
    assert queue.cancel(two).state == "cancelled"
    queue.claim()
    queue.cancel(one)
    assert queue.finish(one, ["late"]).state == "cancelled" and queue.fail(one, "late").state == "cancelled"
    with pytest.raises(BadValue, match="cancelled already"):
        queue.cancel(one)
    with pytest.raises(BadValue, match="no job 99"):
        queue.cancel(99)


def test_delivery_is_remembered(queue: JobQueue) -> None:
    id_ = queue.submit(ask(1), target="/pad/1")[0].id
    queue.submit(ask(2))
    while job := queue.claim():
        queue.finish(job.id, ["h"])
    assert [job.id for job in queue.undelivered()] == [id_]
    queue.deliver(id_)
    assert not queue.undelivered()


def test_old_jobs_are_forgotten_and_the_log_says_what_it_took(queue: JobQueue) -> None:
    for seed in range(5):
        queue.submit(ask(seed))
        job = queue.claim()
        assert job and queue.finish(job.id, [f"hash{seed}"]).took_s is not None
    assert queue.prune(2) == 3
    assert [job.results for job in queue.jobs()] == [("hash4",), ("hash3",)]
    assert queue.jobs()[0].request == ask(4).resolved()


def test_a_damaged_file_is_set_aside_and_work_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"not a database" * 1000)
    queue = JobQueue(path)
    assert queue.submit(ask(1))[1]
    assert "damaged" in caplog.text and list(tmp_path.glob("*.damaged-*"))


def test_a_full_disk_is_one_plain_line(tmp_path: Path) -> None:
    script = f"""
import resource
from pathlib import Path
from appliance.errors import ApplianceError
from appliance.gen.queue import JobQueue
from appliance.gen.request import parse_request
queue = JobQueue(Path({str(tmp_path / "jobs.sqlite")!r}))
queue.submit(parse_request({{"seed": 0}}))
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    for seed in range(1, 1000):
        queue.submit(parse_request({{"prompt": "x" * 5000, "seed": seed}}))
except ApplianceError as error:
    print(error.message)
assert queue.get(1).state == "queued"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "jobs.sqlite" in done.stdout and done.stdout.count("\n") == 1
    assert JobQueue(tmp_path / "jobs.sqlite").get(1).state == "queued"


# A process that works the queue as gen does: claim, make, write atomically under the content's hash, finish.
_WORKING = """
import sys, hashlib
from pathlib import Path
import numpy as np
from appliance.gen.queue import JobQueue
from appliance.library.store import AudioStore
data = Path(sys.argv[1])
queue, store = JobQueue(data / "jobs.sqlite"), AudioStore(data)
queue.recover()
print("working", flush=True)
while job := queue.claim():
    clip = store.made(job.hash)
    if clip is None:
        with (data / "made.log").open("a") as log:
            log.write(f"{job.id}\\n")
        audio = np.random.default_rng(job.request.seed).uniform(-1, 1, (3000, 2)).astype(np.float32)
        clip = store.put(audio, 48000, name=job.name, role="bass", request=job.hash)
    queue.finish(job.id, [clip.hash])
"""


def test_nothing_is_lost_or_done_twice_over_kills_at_random_moments(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "jobs.sqlite")
    ids = [queue.submit(ask(seed))[0].id for seed in range(40)]
    rng = random.Random(1)
    kills = 0
    while queue.counts()["done"] < len(ids) and kills < 200:
        with subprocess.Popen([sys.executable, "-c", _WORKING, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            if kills < 12:
                time.sleep(rng.uniform(0, 0.03))
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            else:
                process.wait(30)
    assert kills >= 5
    jobs = queue.jobs()
    assert len(jobs) == 40 and all(job.state == "done" and len(job.results) == 1 for job in jobs)
    assert len({job.results[0] for job in jobs}) == 40
    files = [path for path in (tmp_path / "audio").rglob("*.wav") if not path.name.startswith(".")]
    assert len(files) == 40
    made = [int(line) for line in (tmp_path / "made.log").read_text().split()]
    assert len(made) - len(set(made)) <= kills  # only what was cut off in the middle was begun again


def test_jobs_from_another_version_of_the_file_are_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "jobs.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(ApplianceError, match="newer version"):
        JobQueue(path)
