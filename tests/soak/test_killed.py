# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole box in which generation or control is killed again and again while clips are asked for: each comes, and once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
import soundfile as sf

from appliance.bus.box import Box
from appliance.bus.hub import HubClient
from appliance.errors import ApplianceError
from appliance.library.store import audio_hash
from benchmarks.box import start_box

KILLS = 50


async def _ask_and_kill(box: Box, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    hub = HubClient(box.hub_path, "test")
    await hub.start()
    await hub.connected(60)
    promised: dict[int, str] = {}
    asked = 0
    for _ in range(kills):
        for _ in range(2):
            target = f"/bank/{1 + asked // 16 % 8}/pad/{1 + asked % 16}"
            request = {"prompt": "techno", "parts": ["drums"], "bars": 1, "seed": asked}
            asked += 1
            try:
                promised[await hub.do("/gen/generate", request, target)] = target
            except ApplianceError:  # nobody was there: nothing was promised, and the pad stays as it is or gets it
                await hub.connected(60)
        await asyncio.sleep(chance.random() * 1.5)
        name = chance.choice(("gen", "control"))
        row = box.process(name)
        old = int(row["pid"])
        os.kill(old, signal.SIGKILL)
        async with asyncio.timeout(30):
            while int(row["pid"]) in (0, old) or not int(row["beat_ns"]):
                await asyncio.sleep(0.02)
    async with asyncio.timeout(120):
        while True:
            try:
                jobs = {job["id"]: job for job in await hub.do("/gen/jobs")}
                if promised.keys() <= jobs.keys() and all(job["state"] == "done" for job in jobs.values()):
                    files = {target: await hub.get(f"{target}/file") for target in promised.values()}
                    if all(Path(files[target]).stem == jobs[id_]["results"][0] for id_, target in promised.items()):
                        break
            except ApplianceError:
                pass
            await asyncio.sleep(0.2)
    assert len(promised) > kills and len({(job["target"], job["name"], *job["results"]) for job in jobs.values()}) == len(jobs)
    for id_, target in promised.items():
        assert await hub.get(f"{target}/takes") == 1, f"{target} got the clip of job {id_} once"
        audio, rate = sf.read(files[target], dtype="float32")
        assert audio_hash(audio, rate) == Path(files[target]).stem
    await hub.stop()


@pytest.mark.soak
def test_generation_or_control_killed_at_50_moments_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    process = start_box(tmp_path, "gen: {fill: false}\n", jack=False)
    try:
        asyncio.run(_ask_and_kill(Box.attach(tmp_path, "test"), KILLS, seed=3))
    finally:
        process.terminate()
        process.wait(20)
