# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits in the queue: who comes first, what is there at once, what SIGKILL does to it. Over the hub, as a user would."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import soundfile as sf

from appliance.errors import ApplianceError
from appliance.library.store import audio_hash

from .conftest import Running

LONG = {"prompt": "techno", "bars": 32, "candidates": 5, "seed": 99}


async def at_work(running: Running, id_: int) -> None:
    await running.until(lambda: any(j["id"] == id_ and j["state"] == "running" for j in running.control.jobs))


async def test_the_pad_that_waits_to_play_comes_first(running: Running) -> None:
    long = await running.do("/gen/generate", LONG)
    await at_work(running, long)
    for pad in (1, 2, 3):
        await running.do("/gen/generate", {"prompt": "only bass", "bars": 1, "seed": pad}, f"/pad/{pad}")
    assert await running.do("/gen/want", "/pad/2") == 1  # control says so when an empty pad is hit
    running.control.hub.announce("/bank/1/pad/3/state", "queued")  # a loaded one is armed
    await running.until(lambda: sum(job["priority"] == 20 for job in running.control.jobs) == 2)
    await running.do("/gen/cancel", long)
    await running.until(lambda: len(running.control.loads) == 3)
    assert [address for address, _, _ in running.control.loads] == [f"/bank/1/pad/{pad}/load" for pad in (2, 3, 1)]
    assert await running.do("/gen/want", "/pad/4") == 0
    for bad in ([], [7], ["/pad/99"]):
        with pytest.raises(ApplianceError) as caught:
            await running.do("/gen/want", *bad)
        assert caught.value.status < 500


async def test_what_was_made_before_waits_for_no_job(running: Running) -> None:
    asked = {"prompt": "only drums", "bars": 1, "seed": 3, "candidates": 2}
    await running.do("/gen/generate", asked, "/pad/1")
    await running.until(lambda: len(running.control.loads) == 1)
    long = await running.do("/gen/generate", LONG)
    await at_work(running, long)
    again = await running.do("/gen/generate", asked, "/pad/2")
    await running.until(lambda: len(running.control.loads) == 2)
    assert (await running.job(long))["state"] == "running"
    assert running.control.loads[0][1] == running.control.loads[1][1]
    assert len((await running.job(again))["results"]) == 2
    await running.do("/gen/cancel", long)


async def test_the_log_tells_what_was_asked_how_long_it_took_and_what_came_out(running: Running) -> None:
    id_ = await running.do("/gen/generate", {"prompt": "only lead", "bars": 1, "seed": 5}, "/pad/1")
    await running.until(lambda: running.control.loads)
    job = await running.job(id_)
    assert job["request"]["prompt"] == "only lead" and job["request"]["seed"] == 5 and job["backend"] == "procedural"
    assert job["took_s"] > 0 and job["attempts"] == 1 and job["asked_s"] > 1.7e9
    assert job["results"] == [Path(running.control.loads[0][1]).stem]
    with pytest.raises(ApplianceError, match="no job 12345"):
        await running.do("/gen/jobs", 12345)


@pytest.mark.parametrize("running", [{"stand_in": True}], indirect=True)
async def test_the_nearest_clip_stands_in_until_the_real_one_is_made(running: Running) -> None:
    for part, key in (("drums", "A minor"), ("bass", "D# minor"), ("bass", "A minor")):
        asked = {"parts": [part], "prompt": part, "key": key, "bars": 1, "seed": 1, "name": f"{part} {key}"}
        await running.do("/gen/generate", asked, "/pad/1")
        await running.until(lambda: running.control.states.get("/gen/job", {}).get("state") == "done")
    await running.until(lambda: len(running.control.loads) >= 3)
    long = await running.do("/gen/generate", LONG)
    await at_work(running, long)
    before = len(running.control.loads)
    asked = {"parts": ["bass"], "prompt": "bass", "key": "E minor", "bars": 2, "seed": 8}
    id_ = await running.do("/gen/generate", asked, "/pad/2")
    await running.until(lambda: len(running.control.loads) > before)
    address, _, options = running.control.loads[-1]
    assert (address, options["name"], options["at"]) == ("/bank/1/pad/2/load", "bass A minor", "bar")
    assert (await running.job(id_))["state"] == "queued"
    await running.do("/gen/cancel", long)
    await running.until(lambda: len(running.control.loads) > before + 1)
    assert running.control.loads[-1][2]["name"] == "bass" and running.control.loads[-1][2]["at"] == "bar"
    await running.until(lambda: running.control.states.get("/bank/1/pad/2/takes") == 1)  # the stand-in was none


async def _killed(running: Running, kills: int, seed: int) -> None:
    """Jobs are asked for while the process is killed again and again; each is done once, and its clip brought once."""
    chance = random.Random(seed)
    ids: dict[int, str] = {}
    for number in range(kills):
        for _ in range(2):
            target = f"/bank/{1 + len(ids) // 16 % 8}/pad/{1 + len(ids) % 16}"
            ids[await running.do("/gen/generate", {"prompt": "techno", "bars": 2, "seed": len(ids)}, target)] = target
        await asyncio.sleep(chance.random() * (1.5 if number % 2 else 0.2))
        await running.kill()
    await running.until(lambda: len(running.control.loads) >= len(ids), 60 + kills)
    await running.until(lambda: running.control.states.get("/gen/running") == running.control.states["/gen/queued"] == 0)
    await asyncio.sleep(0.5)
    brought = sorted(address for address, _, _ in running.control.loads)
    assert brought == sorted(f"{target}/load" for target in ids.values())
    files = {address: path for address, path, _ in running.control.loads}
    for id_, target in ids.items():
        job = await running.job(id_)
        assert (job["state"], job["results"]) == ("done", [Path(files[f"{target}/load"]).stem])
    for path in files.values():
        audio, rate = sf.read(path, dtype="float32")
        assert audio_hash(audio, rate) == Path(path).stem


async def test_killed_again_and_again_nothing_is_lost_or_done_twice(running: Running) -> None:
    await _killed(running, 4, seed=1)


@pytest.mark.soak
async def test_killed_at_50_moments_nothing_is_lost_or_done_twice(running: Running) -> None:
    await _killed(running, 50, seed=2)
