# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made before anybody asks: for every pad, in the box's style, key and tempo, behind all that somebody waits for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.bus.box import Box
from appliance.bus.memory import unlink
from appliance.config import Config
from appliance.errors import ApplianceError
from appliance.gen.budget import BUSY_PCT, LEAST_FREE_MB, Budget

from .conftest import Running

AHEAD = pytest.mark.parametrize("running", [{"ahead": 1.0}], indirect=True)
BASS = {"prompt": "only bass", "bars": 1, "seed": 4, "energy": 0.8}


def ready(running: Running, pad: int) -> int:
    return running.control.states.get(f"/bank/1/pad/{pad}/candidates", 0)


async def loaded(running: Running, pad: int, **fields: Any) -> Path:
    before = len(running.control.loads)
    await running.do("/gen/generate", {**BASS, **fields}, f"/pad/{pad}")
    await running.until(lambda: len(running.control.loads) > before, 60)
    return Path(running.control.loads[-1][1])


def request_of(running: Running, path: str) -> dict[str, Any]:
    from appliance.library.store import AudioStore

    store = AudioStore(running.box.data)
    try:
        clip = store.get(Path(path).stem)
        assert clip
        return clip.lineage["request"]
    finally:
        store.close()


@AHEAD
async def test_a_ready_candidate_comes_at_once_and_is_another_each_time(running: Running) -> None:
    running.box.values.set("/gen/candidates", 1)
    running.box.values.set("/gen/bars", 1)
    first = await loaded(running, 3)
    await running.until(lambda: ready(running, 3) == 1)
    heard = {first}
    for number in range(3):
        await running.until(lambda: ready(running, 3) == 1)
        await running.until(lambda: running.control.states.get("/gen/ahead") == "ready", 60)
        prepared = [args[0] for address, args in running.control.done if address == "/bank/1/pad/3/prepare"]
        id_ = await running.do("/bank/1/pad/3/new")
        await running.until(lambda number=number: len(running.control.loads) == number + 2)
        address, path, options = running.control.loads[-1]
        assert (address, options["at"], path) == ("/bank/1/pad/3/load", "grid", prepared[-1])
        job = await running.job(id_)
        assert job["took_s"] == 0 and job["request"]["energy"] == 0.8 and job["request"]["parts"] == ["bass"]
        assert Path(path) not in heard
        heard.add(Path(path))
        running.control.hub.announce("/bank/1/pad/3/file", path)
        if number == 1:
            await running.kill()  # what was heard is remembered
            running.control.hub.announce("/bank/1/pad/3/file", path)
    await running.do("/bank/1/pad/3/new", 0.0)  # a button let go
    assert len(running.control.loads) == 4
    assert running.control.states["/bank/1/pad/3/takes"] == 4


@AHEAD
async def test_empty_pads_of_the_chosen_bank_have_what_would_fill_them(running: Running) -> None:
    running.box.values.set("/gen/candidates", 1)
    running.box.values.set("/gen/bars", 1)
    await running.until(lambda: all(ready(running, pad) == 1 for pad in range(1, 17)), 60)
    assert not running.control.loads and await running.do("/gen/jobs") == []
    await running.do("/bank/1/pad/6/new")
    await running.until(lambda: running.control.loads)
    assert running.control.loads[0][2]["role"] == "bass" and running.control.loads[0][2]["name"] == "Groove bass"
    await running.until(lambda: ready(running, 6) == 1)


@AHEAD
async def test_another_tempo_is_followed_at_once_and_true_ones_are_made_behind(running: Running) -> None:
    values = running.box.values
    values.set("/gen/candidates", 1)
    values.set("/gen/bars", 1)
    await loaded(running, 3)
    await running.until(lambda: running.control.states.get("/gen/ahead") == "ready", 60)
    long = await running.do("/gen/generate", {"prompt": "techno", "bars": 32, "candidates": 5, "seed": 9})
    await running.until(lambda: any(j["id"] == long and j["state"] == "running" for j in running.control.jobs))
    values.set("/clock/bpm", 133.0)  # nothing true can be made now
    await running.do("/bank/1/pad/3/new")
    await running.until(lambda: len(running.control.loads) == 2)
    assert running.control.loads[-1][2]["bpm"] == 120.0, "it follows the clock"
    await running.do("/gen/cancel", long)
    await running.until(lambda: running.control.states.get("/gen/ahead") == "ready", 60)
    values.set("/gen/key", "D major")
    values.set("/gen/style", "dub")
    await asyncio.sleep(0.7)
    await running.until(lambda: running.control.states.get("/gen/ahead") == "ready", 60)
    await running.do("/bank/1/pad/3/new")
    await running.until(lambda: len(running.control.loads) == 3)
    made = request_of(running, running.control.loads[-1][1])
    assert (made["bpm"], made["key"], made["style"], made["energy"]) == (133.0, "D major", "dub", 0.8)


@AHEAD
async def test_it_makes_way_for_what_somebody_waits_for(running: Running) -> None:
    """Every press on a pad without a candidate comes while something is made ahead: that is broken off."""
    running.box.values.set("/gen/bars", 8)
    await running.until(lambda: running.control.states.get("/gen/ahead") == "making")
    worker = await _worker(running)
    for pad in range(1, 5):
        assert running.control.states.get("/gen/ahead") == "making"
        await running.do("/gen/generate", {"prompt": "only drums", "bars": 1, "seed": pad}, f"/bank/2/pad/{pad}")
        await running.until(lambda pad=pad: len(running.control.loads) == pad)
        await asyncio.sleep(0.2)
    assert await _worker(running) == worker, "its worker was not killed for it"
    assert len(await running.do("/gen/jobs")) == 4


async def _worker(running: Running) -> str:
    assert running.process
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    return children.split()[0]


@AHEAD
async def test_the_next_section_is_ready_for_what_plays(running: Running) -> None:
    running.box.values.set("/gen/candidates", 1)
    running.box.values.set("/gen/bars", 1)
    running.box.values.set("/gen/section", "build")
    paths = [str(await loaded(running, pad, section="build", seed=pad)) for pad in (1, 2)]
    running.control.hub.announce("/bank/1/pad/2/state", "playing")
    await running.do("/gen/jobs")
    await running.until(lambda: running.control.states.get("/gen/ahead") == "ready", 60)
    assert await running.do("/gen/section/next") == "drop"
    await running.until(lambda: len(running.control.loads) == 3)
    address, path, options = running.control.loads[-1]
    assert (address, options["at"]) == ("/bank/1/pad/2/load", "phrase")
    now, before = request_of(running, path), request_of(running, paths[1])
    assert {key for key in now if now[key] != before.get(key)} == {"section"} and now["section"] == "drop"
    assert (await running.do("/gen/jobs"))[0]["took_s"] == 0
    assert running.control.states["/gen/section"] == "drop"
    assert running.control.states["/bank/1/pad/2/takes"] == 1, "it is the same take"
    with pytest.raises(ApplianceError, match="no section 'chorus'"):
        await running.do("/gen/section/next", "chorus")


async def test_auto_adds_what_is_missing_where_there_is_room(running: Running) -> None:
    running.box.values.set("/gen/bars", 1)
    for pad, part in ((1, "drums"), (2, "bass"), (3, "bass"), (4, "chords")):
        await loaded(running, pad, prompt=f"only {part}", parts=[part])
        running.control.hub.announce(f"/bank/1/pad/{pad}/role", part)
    running.control.hub.announce("/bank/1/pad/1/state", "playing")
    assert await running.do("/gen/auto") == {"pad": "/bank/1/pad/2", "role": "bass", "line": "phrase"}
    assert running.control.done[-1] == ("/bank/1/pad/2/launch", ["phrase"])
    running.control.hub.announce("/bank/1/pad/2/state", "queued")
    assert (await running.do("/gen/auto", "", "bar"))["pad"] == "/bank/1/pad/4", "no second bass"
    running.control.hub.announce("/bank/1/pad/4/state", "playing")
    added = await running.do("/gen/auto")
    assert added["role"] == "lead"  # none is loaded: an empty pad gets one
    await running.until(lambda: running.control.done[-1] == (f"{added['pad']}/launch", ["phrase"]))
    assert running.control.loads[-1][0] == f"{added['pad']}/load" and running.control.loads[-1][2]["role"] == "lead"
    with pytest.raises(ApplianceError, match="nothing to add"):
        await running.do("/gen/auto", "bass")


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
