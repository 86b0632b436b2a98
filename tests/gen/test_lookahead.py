# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made before anybody asks comes at once, and is behind all that somebody waits for: the gen process, over the hub."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.bus.box import Box
from appliance.bus.memory import unlink
from appliance.config import Config
from appliance.gen.budget import BUSY_PCT, LEAST_FREE_MB, Budget

from .conftest import Running

AHEAD = pytest.mark.parametrize("running", [{"ahead": 1.0}], indirect=True)
BASS = {"prompt": "only bass", "bars": 1, "seed": 4, "energy": 0.8}


async def loaded(running: Running, pad: int, **fields: Any) -> Path:
    before = len(running.control.loads)
    await running.do("/gen/generate", {**BASS, **fields}, f"/pad/{pad}")
    await running.until(lambda: len(running.control.loads) > before, 60)
    return Path(running.control.loads[-1][1])


@AHEAD
async def test_a_ready_candidate_comes_at_once_and_is_another_each_time(running: Running) -> None:
    running.box.values.set("/gen/candidates", 1)
    running.box.values.set("/gen/bars", 1)
    first = await loaded(running, 3)
    heard = {str(first)}

    def prepared() -> bool:
        return any(address == "/bank/1/pad/3/prepare" and args[1]["role"] == "bass" and args[0] not in heard
                   for address, args in running.control.done)

    for number in range(2):
        await running.until(prepared)
        id_ = await running.do("/bank/1/pad/3/new")
        await running.until(lambda number=number: len(running.control.loads) == number + 2)
        address, path, options = running.control.loads[-1]
        assert (address, options["at"]) == ("/bank/1/pad/3/load", "grid")
        job = await running.job(id_)
        assert job["took_s"] == 0 and job["request"]["energy"] == 0.8 and job["request"]["parts"] == ["bass"]
        assert path not in heard
        heard.add(path)
        running.control.hub.announce("/bank/1/pad/3/file", path)
        if number == 0:
            running.control.states.clear()
            await running.kill()  # what was heard is remembered
            running.control.hub.announce("/bank/1/pad/3/file", path)
    await running.do("/bank/1/pad/3/new", 0.0)  # a button let go
    assert len(running.control.loads) == 3
    await running.until(lambda: running.control.states["/bank/1/pad/3/takes"] == 3)


@AHEAD
async def test_it_makes_way_for_what_somebody_waits_for(running: Running) -> None:
    """Every press on a pad without a candidate comes while something is made ahead: that is broken off."""
    running.box.values.set("/gen/bars", 8)
    await running.until(lambda: running.control.states.get("/gen/ahead") == "making")
    worker = await _worker(running)
    for pad in range(1, 4):
        assert running.control.states.get("/gen/ahead") == "making"
        await running.do("/gen/generate", {"prompt": "only drums", "bars": 1, "seed": pad}, f"/bank/2/pad/{pad}")
        await running.until(lambda pad=pad: len(running.control.loads) == pad)
        await asyncio.sleep(0.2)
    assert await _worker(running) == worker, "its worker was not killed for it"
    assert len(await running.do("/gen/jobs")) == 3


async def _worker(running: Running) -> str:
    assert running.process
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    return children.split()[0]


def test_nothing_is_made_ahead_on_battery_for_a_busy_engine_or_a_full_disk(tmp_path: Path, monkeypatch: Any) -> None:
    box = Box.create(tmp_path / "data", Config())
    supply = tmp_path / "BAT0"
    supply.mkdir()
    (supply / "status").write_text("Charging\n")
    system = box.record["telemetry"][0]["system"]

    def budget(share: float = 0.25) -> Budget:
        return Budget(box, share, tmp_path)

    assert budget().refusal() == "" and budget(0.0).refusal() == "off"
    (supply / "status").write_text("Discharging\n")
    assert budget().refusal() == "on battery"
    (supply / "status").write_text("Full\n")
    system["load_pct"] = BUSY_PCT + 1
    assert budget().refusal() == "the engine is busy"
    system["load_pct"] = 5.0
    system["overruns"] = 3
    late = budget()
    assert late.refusal() == "" and late.wait_s() > 5, "it has just been late"
    system["overruns"] = 0
    paid = budget()
    assert paid.wait_s() == 0
    paid.used(2.0)
    assert 5.5 < paid.wait_s() <= 6.0, "a quarter of the time"
    usage = SimpleNamespace(free=(LEAST_FREE_MB - 1) * 2**20)
    monkeypatch.setattr("appliance.gen.budget.shutil.disk_usage", lambda _path: usage)
    assert budget().refusal() == "the disk is nearly full"
    box.segment.close()
    unlink(box.segment.name)
