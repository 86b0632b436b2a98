# SPDX-License-Identifier: GPL-3.0-or-later
"""A real desk on a real box in shared memory, without the other processes; a JACK server of the tests' own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.bus.box import Box
from appliance.bus.memory import box_name, sweep
from appliance.config import Config
from appliance.control.desk import Desk


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    config = Config.model_validate({"http": {"port": 0}, "osc": {"port": 0}})
    box = Box.create(tmp_path / "data", config)
    box.commands.send(0)  # compiles the atomics here, not in the middle of a test
    box.record["command_head"] = 0
    box.telemetry.snapshot()
    yield box
    sweep(box_name(box.data))


@pytest_asyncio.fixture
async def desk(box: Box) -> AsyncIterator[Desk]:
    """The desk with its announcing tick, as control's main loop runs it."""
    desk = Desk(box)

    async def tick() -> None:
        while True:
            desk.announcer.tick()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(tick())
    yield desk
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture(scope="session")
def jack_server() -> Iterator[str]:
    """A JACK server with the dummy device, real time where this machine allows it."""
    if shutil.which("jackd") is None:
        pytest.skip("jackd is not installed")
    name = f"surfaces-{os.getpid()}"
    environment = {**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"}
    for real_time in (["-R", "-P", "80"], ["-r"]):
        server = subprocess.Popen(
            ["jackd", *real_time, "-n", name, "-d", "dummy", "-r", "48000", "-p", "128"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        if _comes_up(name, server):
            break
    else:
        pytest.skip("jackd does not start here")
    yield name
    server.terminate()
    server.wait(5)


def _comes_up(name: str, server: subprocess.Popen[bytes]) -> bool:
    for _ in range(50):
        if server.poll() is not None:
            return False
        probe = subprocess.run(["jack_lsp", "-s", name], capture_output=True, check=False)
        if probe.returncode == 0:
            return True
        time.sleep(0.1)
    server.terminate()  # in order: JACK keeps the names of servers that were killed, and has room for eight
    server.wait()
    return False
