# SPDX-License-Identifier: GPL-3.0-or-later
"""The gen process as the supervisor starts it: shared memory, hub, signals. Control is played by a small hub backend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf

from appliance.errors import ApplianceError

from .conftest import Running


async def test_a_prompt_becomes_a_clip_on_the_pad(running: Running) -> None:
    running.box.values.set("/clock/bpm", 140.0)
    running.box.values.set("/gen/key", "D minor")
    running.box.values.set("/gen/bars", 2)
    running.box.values.set("/pads/bank", 3)
    id_ = await running.do("/gen/generate", "only drums, dark", "/pad/5")
    await running.until(lambda: running.control.loads)
    address, path, options = running.control.loads[0]
    assert address == "/bank/3/pad/5/load"
    assert options == {"name": "only drums, dark", "role": "drums", "bpm": 140.0, "beats": 8.0, "at": "bar"}
    info = sf.info(path)
    assert (info.frames, info.samplerate, info.channels) == (round(8 * 60 / 140 * 48000), 48000, 2)
    await running.until(lambda: running.control.states.get("/gen/job", {}).get("state") == "done")
    mine = [job for job in running.control.jobs if job["id"] == id_]
    assert mine[0]["state"] == "queued" and "running" in [job["state"] for job in mine]
    assert mine[-1]["progress"] == 1.0 and mine[-1]["target"] == "/bank/3/pad/5"
    await running.until(lambda: running.control.states["/gen/queued"] == running.control.states["/gen/running"] == 0)


async def test_an_empty_prompt_means_the_one_that_is_set(running: Running) -> None:
    running.control.hub.announce("/gen/prompt", "only lead, bright")
    await running.do("/gen/jobs")  # the prompt came before it on the same connection
    await running.do("/gen/generate", "", "/pad/8")
    await running.until(lambda: running.control.loads)
    address, _, options = running.control.loads[0]
    assert (address, options["name"], options["role"]) == ("/bank/1/pad/8/load", "only lead, bright", "lead")


async def test_asking_twice_gives_two_takes_and_the_same_seed_gives_one(running: Running) -> None:
    await running.do("/gen/generate", "only bass", "/pad/1")
    await running.do("/gen/generate", "only bass", "/pad/2")
    await running.do("/gen/generate", {"prompt": "only bass", "seed": 5}, "/pad/3")
    await running.do("/gen/generate", {"prompt": "only bass", "seed": 5}, "/deck/1")
    await running.until(lambda: len(running.control.loads) == 4)
    files = {address: path for address, path, _ in running.control.loads}
    assert files["/bank/1/pad/1/load"] != files["/bank/1/pad/2/load"]
    assert files["/bank/1/pad/3/load"] == files["/deck/1/load"]


async def test_fill_leaves_loaded_pads_alone(running: Running) -> None:
    running.box.values.set("/gen/bars", 1)
    running.control.files["/bank/2/pad/4"] = "/mine.wav"
    ids = await running.do("/gen/fill", 2)
    assert len(ids) == 15
    await running.until(lambda: len(running.control.loads) == 15)
    assert "/bank/2/pad/4/load" not in {address for address, _, _ in running.control.loads}
    assert {options["role"] for _, _, options in running.control.loads} == {"drums", "bass", "chords", "lead", "texture"}


@pytest.mark.parametrize("running", [{"fill": True}], indirect=True)
async def test_an_empty_box_fills_itself_once(running: Running) -> None:
    await running.until(lambda: len(running.control.loads) == 16)
    await asyncio.sleep(0.3)  # until it has noted that the last one was taken, too
    assert running.control.loads[0][0] == "/bank/1/pad/1/load"
    running.control.files.clear()
    running.control.loads.clear()
    assert running.process
    running.process.kill()
    await running.process.wait()
    await running.start()
    await asyncio.sleep(0.5)
    assert not running.control.loads  # cleared on purpose: not filled again before the next start of the box


BAD_CALLS: list[tuple[str, list[Any], str]] = [
    ("/gen/generate", [{"bars": 1000}], "1 … 64"),
    ("/gen/generate", [{"key": "H minor"}], "no key"),
    ("/gen/generate", ["x" * 20000], "10,000 at most"),
    ("/gen/generate", ["a\x00b"], "binary"),
    ("/gen/generate", [{"backend": "wonder"}], "no generator 'wonder'"),
    ("/gen/generate", ["techno", "/pad/17"], "no address"),
    ("/gen/generate", ["techno", 7], "address like /pad/3"),
    ("/gen/generate", ["techno", "/pad/1", 3], "no more"),
    ("/gen/fill", [9], "1 … 8"),
    ("/gen/fill", ["many"], "1 … 8"),
    ("/gen/cancel", [], "job id"),
    ("/gen/cancel", [12345], "no job 12345"),
    ("/gen/retry", [12345], "no job 12345"),
    ("/gen/jobs", ["broken"], "queued, running"),
    ("/gen/nonsense", [], "nothing that generation can do"),
]


async def test_bad_calls_are_refused_in_one_line(running: Running) -> None:
    for address, args, words in BAD_CALLS:
        with pytest.raises(ApplianceError) as caught:
            await running.do(address, *args)
        assert words in caught.value.message and "\n" not in caught.value.message and caught.value.status < 500
    assert await running.do("/gen/jobs") == []


async def test_cancel_retry_and_the_list_of_jobs(running: Running) -> None:
    long = {"prompt": "techno", "bars": 32, "candidates": 5, "seed": 1}
    first = await running.do("/gen/generate", long)
    second = await running.do("/gen/generate", {**long, "seed": 2, "name": "Later"}, "/pad/1")
    await running.until(lambda: any(j["id"] == first and j["state"] == "running" for j in running.control.jobs))
    assert (await running.do("/gen/cancel", second))["state"] == "cancelled"
    assert (await running.do("/gen/cancel", first))["state"] == "cancelled"
    states = {job["id"]: job["state"] for job in await running.do("/gen/jobs")}
    assert states == {first: "cancelled", second: "cancelled"}
    assert await running.do("/gen/retry", second) == second
    await running.until(lambda: any(j["id"] == second and j["state"] == "running" for j in running.control.jobs))
    await running.do("/gen/cancel", second)
    assert not running.control.loads


async def test_a_target_that_refuses_is_reported(running: Running) -> None:
    running.control.refuse = True
    id_ = await running.do("/gen/generate", {"prompt": "only bass", "bars": 1}, "/pad/1")
    await running.until(lambda: "refused" in running.control.states.get("/gen/message", ""))
    assert "being recorded on" in running.control.states["/gen/message"]
    assert [job["state"] for job in await running.do("/gen/jobs") if job["id"] == id_] == ["done"]


async def test_killed_in_the_middle_it_finishes_after_its_restart(running: Running) -> None:
    requests = [{"prompt": "techno", "bars": 8, "seed": seed} for seed in (1, 2, 3)]
    ids = [await running.do("/gen/generate", request, f"/pad/{request['seed']}") for request in requests]
    await running.until(lambda: any(j["state"] == "running" for j in running.control.jobs))
    assert running.process
    running.process.kill()
    await running.process.wait()
    await running.start()
    await running.until(lambda: len({address for address, _, _ in running.control.loads}) == 3)
    await running.until(lambda: running.control.states.get("/gen/running") == 0)
    assert {job["id"]: job["state"] for job in await running.do("/gen/jobs")} == dict.fromkeys(ids, "done")


async def test_control_may_restart_while_jobs_run(running: Running) -> None:
    await running.do("/gen/generate", {"prompt": "techno", "bars": 8, "seed": 1}, "/pad/1")
    await running.control.hub.stop()
    await asyncio.sleep(0.6)
    await running.control.hub.start()
    await running.until(lambda: running.control.loads)


async def test_it_beats_and_stops_within_a_second_of_sigterm(running: Running) -> None:
    await running.do("/gen/generate", {"prompt": "techno", "bars": 32, "candidates": 5})
    beats = set()
    for _ in range(20):
        beats.add(int(running.box.process("gen")["beat_ns"]))
        await asyncio.sleep(0.05)
    assert len(beats) >= 5  # five a second are asked for
    assert running.process
    nice = os.getpriority(os.PRIO_PROCESS, running.process.pid)
    assert nice == os.getpriority(os.PRIO_PROCESS, 0), "it answers hands: only its workers stand back"
    assert await running.stop() < 1.0
    assert running.process.returncode in (0, -signal.SIGTERM)


class SmallDisk:
    """A box's data on a file system of 6 MB, which can be filled but for some bytes, and emptied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(self._ballast, max(self._ballast.stat().st_size - leave_bytes, 0))

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "data"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", folder], check=True)


async def test_on_a_full_disk_jobs_wait_and_go_on_when_there_is_room(
    small_disk: SmallDisk, running: Running
) -> None:
    control = running.control
    running.box.values.set("/gen/bars", 2)
    await running.do("/gen/generate", "only bass", "/pad/1")
    await running.until(lambda: len(control.loads) == 1)
    small_disk.fill()
    with pytest.raises(ApplianceError) as caught:
        await running.do("/gen/generate", "only drums " + "x" * 3000, "/pad/2")
    assert caught.value.status == 507 and "disk is full" in caught.value.message
    small_disk.free()
    small_disk.fill(leave_bytes=300_000)  # room for the job, none for its audio
    id_ = await running.do("/gen/generate", "only chords", "/pad/3")
    await running.until(lambda: "disk is full" in control.states.get("/gen/message", ""))
    await asyncio.sleep(4.5)
    said = [job for job in control.jobs if job["id"] == id_ and "disk is full" in job["message"]]
    assert len(said) == 1, "said once, not with every try"
    assert (await running.do("/gen/jobs", "failed")) == []
    small_disk.free()
    await running.until(lambda: len(control.loads) == 2)
    assert sf.info(control.loads[1][1]).frames == 4 * 48000
    await running.stop()
    small_disk.fill()
    starting = asyncio.create_task(running.start())
    await asyncio.sleep(1.5)
    assert not starting.done() and running.process and running.process.returncode is None, "it waits for room"
    small_disk.free()
    await starting
    await running.do("/gen/generate", "only lead", "/pad/4")
    await running.until(lambda: len(control.loads) == 3)
