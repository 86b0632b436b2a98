# SPDX-License-Identifier: GPL-3.0-or-later
"""A box with a gen process in it, as the supervisor starts it. Control is played by a small hub backend."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.bus.box import Box
from appliance.bus.hub import HubServer
from appliance.bus.memory import unlink
from appliance.config import Config, Gen
from appliance.errors import BadValue


class Control:
    """What gen sees of control: text of pads, loads, and what gen publishes."""

    def __init__(self, path: Path) -> None:
        self.files: dict[str, str] = {}
        self.loads: list[tuple[str, str, dict[str, Any]]] = []
        self.done: list[tuple[str, list[Any]]] = []
        """What was called besides: ``(address, arguments)``."""
        self.sets: list[tuple[str, Any]] = []
        self.states: dict[str, Any] = {}
        self.jobs: list[dict[str, Any]] = []
        self.refuse = False
        self.hub = HubServer(path, self)

    async def get(self, address: str) -> Any:
        return self.files.get(address.removesuffix("/file"), "")

    async def set(self, address: str, value: Any) -> Any:
        self.states[address] = value
        self.sets.append((address, value))
        return value

    async def do(self, address: str, args: list[Any]) -> Any:
        if not address.endswith("/load"):
            self.done.append((address, args))
            return None
        if self.refuse:
            raise BadValue("the pad is being recorded on")
        self.loads.append((address, args[0], args[1]))
        self.files[address.removesuffix("/load")] = args[0]
        self.hub.announce(f"{address.removesuffix('/load')}/file", args[0])
        return None

    def ls(self, pattern: str) -> list[dict[str, Any]]:
        return []

    def current(self, pattern: str, *, private: bool = False) -> list[tuple[str, Any]]:
        return []

    def published(self, address: str, value: Any) -> None:
        self.states[address] = value
        if address == "/gen/job":
            self.jobs.append(value)

    def served(self, prefix: str, present: bool) -> None:
        pass


class Running:
    """A box with a gen process in it."""

    def __init__(
        self, data: Path, *, fill: bool = False, stand_in: bool = False, ahead: float = 0.0, gen: dict[str, Any] | None = None
    ) -> None:
        config = Config()
        config.gen = Gen(fill=fill, stand_in=stand_in, look_ahead_cpu=ahead, **(gen or {}))
        config.audio.rate = 12_000 if ahead else config.audio.rate  # many clips are made
        self.box = Box.create(data, config)
        self.control = Control(self.box.hub_path)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance.gen", "--box", str(self.box.run / "box.json")
        )
        async with asyncio.timeout(60):
            while not all(map(self.control.hub.serves, ("/gen/generate", "/drop/say"))):
                await asyncio.sleep(0.01)

    async def do(self, address: str, *args: Any) -> Any:
        return await self.control.hub.call(address, list(args))

    async def until(self, condition: Any, timeout_s: float = 60) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """SIGKILL, as a crash would end it, and a new process."""
        assert self.process
        self.process.kill()
        await self.process.wait()
        await self.start()

    async def job(self, id_: int) -> dict[str, Any]:
        """All that is known of a job."""
        return (await self.do("/gen/jobs", id_))[0]

    def close(self) -> None:
        self.box.segment.close()
        unlink(self.box.segment.name)

    async def stop(self) -> float:
        assert self.process
        began = time.monotonic()
        if self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
        return time.monotonic() - began


@pytest.fixture
async def running(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    running = Running(tmp_path / "data", **getattr(request, "param", {}))
    await running.control.hub.start()
    await running.start()
    try:
        yield running
    finally:
        await running.stop()
        await running.control.hub.stop()
        running.close()
