# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deleted and what never: jobs by number and age, audio by size."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from appliance.config import Gen
from appliance.gen import queue as queue_module
from appliance.gen.queue import JobQueue
from appliance.gen.request import parse_request
from appliance.gen.retention import Retention
from appliance.library.store import AudioStore

SECONDS = 25  # of float32 stereo at 48 kHz: 9.6 MB


def test_clips_on_pads_in_takes_in_sessions_and_pinned_ones_stay(tmp_path: Path) -> None:
    store, queue = AudioStore(tmp_path), JobQueue(tmp_path / "jobs.sqlite")
    names = ("on a pad", "take", "session", "pinned", "nobody's", "of a new job", *(str(n) for n in range(4)))
    clips = {}
    for number, name in enumerate(names):
        audio = np.full((SECONDS * 48000, 2), 0.01 * (number + 1), np.float32)
        clips[name] = store.put(audio, 48000, name=name, role="bass")
    store.pin(clips["pinned"].hash)
    (tmp_path / "sessions" / "history").mkdir(parents=True)
    (tmp_path / "sessions" / "history" / "old.yaml").write_text(f"pads:\n  - path: {clips['session'].path}\n")
    job, _ = queue.submit(parse_request({"seed": 1}))
    queue.claim()
    queue.finish(job.id, [clips["of a new job"].hash])
    takes = frozenset({clips["take"].hash})
    retention = Retention(queue, store, Gen(keep_audio_mb=64), tmp_path / "sessions", lambda: takes)
    gone = retention.tidy(frozenset({clips["on a pad"].hash}))
    left = {name for name in names if clips[name].path.is_file()}
    assert {"on a pad", "take", "session", "pinned", "of a new job"} <= left and "nobody's" not in left
    assert gone == len(names) - len(left) and store.size_bytes() <= 64 * 2**20
    assert retention.tidy(frozenset()) == 0, "what fits is left alone"


def test_jobs_go_by_number_and_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = JobQueue(tmp_path / "jobs.sqlite")
    ids = []
    for seed in range(15):
        ids.append(queue.submit(parse_request({"seed": seed}))[0].id)
        queue.claim()
        queue.finish(ids[-1], [])
    waiting = queue.submit(parse_request({"seed": 100}))[0].id
    retention = Retention(queue, AudioStore(tmp_path), Gen(keep_jobs=10, keep_jobs_days=1), tmp_path / "sessions", frozenset)
    retention.tidy(frozenset())
    assert [job.id for job in queue.jobs()] == [waiting, *reversed(ids[5:])]
    now_s = time.time()
    monkeypatch.setattr(queue_module.time, "time", lambda: now_s + 2 * 86400)
    retention.tidy(frozenset())
    assert [job.id for job in queue.jobs()] == [waiting]
