# SPDX-License-Identifier: GPL-3.0-or-later
"""A real box in a temporary folder: shared memory, the engine paced by the clock, control, a client on its socket."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from appliance.bus.box import Box
from appliance.bus.hub import HubClient
from appliance.bus.memory import box_name, sweep
from appliance.config import Config

RATE = 48000


class Rig:
    """Starts and stops the processes of one box as the supervisor does."""

    def __init__(self, data: Path, config: Config) -> None:
        self.data = data
        self.config = config
        self.box = Box.create(data, config)
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.messages: list[str] = []
        self._log_from = 0

    def start(self, name: str, *arguments: str, **more: Any) -> None:
        module = "engine" if name.startswith("engine") else name
        command = [sys.executable, "-m", f"appliance.{module}", "--box", str(self.box.run / "box.json"), *arguments]
        with (self.data / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(command, stderr=log, **more)
        self.box.process(name)["pid"] = child.pid
        self.children[name] = child

    def start_control(self, **more: Any) -> None:
        self.start("control", **more)

    def start_engine(self) -> None:
        self.start("engine-a", "--engine", "a", "--backend", "clock")
        end = time.monotonic() + 90  # kernels may have to be compiled first
        while not self.box.engine(0)["ready"]:
            assert time.monotonic() < end and self.children["engine-a"].poll() is None, self.log("engine-a")
            time.sleep(0.005)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal and wait for the end."""
        child = self.children.pop(name)
        child.send_signal(number)
        child.wait(10)
        self.box.process(name)["pid"] = 0
        if name.startswith("engine"):
            self.box.engine(0)["ready"] = 0

    def stop(self) -> None:
        for name in ("control", "engine-a"):
            if name in self.children:
                self.kill(name, signal.SIGTERM if name == "control" else signal.SIGKILL)

    def forget(self) -> None:
        """The end of the box: its shared memory goes."""
        self.stop()
        sweep(box_name(self.data))

    def reboot(self) -> None:
        """All of the box again, on the same data; nothing is started yet."""
        self.forget()
        self.box = Box.create(self.data, self.config)

    def log(self, name: str = "control") -> str:
        return (self.data / f"{name}.log").read_text()[self._log_from if name == "control" else 0 :]

    async def reset(self) -> None:
        """Back to an empty session with every value at its default, for the next test."""
        empty = self.data / "empty.yaml"
        empty.write_text("session: 1\n")
        async with self.client("reset") as hub:
            await hub.set("/panic/mute", False)
            await hub.do("/session/load", str(empty))
            await self.until(lambda: not self.box.telemetry.snapshot()["pad"]["state"].any(), "all pads to be empty")
        self.messages.clear()
        self._log_from = len((self.data / "control.log").read_text())

    @property
    def session_file(self) -> Path:
        return self.data / "sessions" / "default.yaml"

    @contextlib.asynccontextmanager
    async def client(self, name: str = "test") -> AsyncIterator[HubClient]:
        """A client that also collects what the box has to say in ``messages``."""
        client = HubClient(self.box.hub_path, name)
        client.watch("/system/message", lambda _address, text: self.messages.append(text))
        await client.start()
        await client.connected(60)
        try:
            yield client
        finally:
            await client.stop()

    async def back(self, hub: HubClient) -> None:
        """Start control again and wait until the client has found it."""
        await self.until(lambda: not hub.online, "the client to notice")
        self.start_control()
        await hub.connected(60)

    @staticmethod
    async def until(true: Callable[[], Any], what: str, timeout_s: float = 15.0) -> Any:
        """Wait for a condition, plain or async; returns what it gave."""
        end = time.monotonic() + timeout_s
        while True:
            result = true()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
            await asyncio.sleep(0.01)

    async def said(self, words: str) -> str:
        """Wait for a message with these words; returns it."""
        return await self.until(lambda: next((m for m in self.messages if words in m), ""), f"the message {words!r}")

    def pad(self, cell: int) -> Any:
        return self.box.telemetry.snapshot()["pad"][cell]

    @staticmethod
    def write_loop(
        path: Path, seconds: float = 2.0, rate: int = RATE, channels: int = 2, hz: float = 220.0, **more: Any
    ) -> Path:
        """A tone; 2 s are a bar at 120 BPM."""
        tone = (0.3 * np.sin(2 * np.pi * hz / rate * np.arange(round(seconds * rate)))).astype(np.float32)
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, np.repeat(tone[:, None], channels, axis=1), rate, **more)
        return path


def quick_config() -> Config:
    config = Config()
    config.audio.backend = "clock"
    config.gen.enabled = False
    config.http.port = config.osc.port = 0
    config.visuals.enabled = False
    config.analysis.enabled = False
    config.mappings.alsa = False  # where there is none, that is a fault, and the voice says it
    config.session.autosave_s = 0.2
    return config


@pytest.fixture
def config() -> Config:
    """What the box is started with; a test may change it before it asks for the rig."""
    return quick_config()


@pytest.fixture
def rig(tmp_path: Path, config: Config) -> Iterator[Rig]:
    """A box with nothing started."""
    made = Rig(tmp_path / "data", config)
    yield made
    made.forget()


@pytest.fixture
def own(rig: Rig) -> Rig:
    """A box with engine and control, for a test that kills or restarts them."""
    rig.start_control()
    rig.start_engine()
    return rig


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("stage") / "data", quick_config())
    made.start_control()
    made.start_engine()
    yield made
    made.forget()


@pytest.fixture
def playing(stage: Rig) -> Rig:
    """A box with engine and control that all tests share, emptied for this one."""
    asyncio.run(stage.reset())
    return stage


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Two seconds, a bar at 120 BPM."""
    return Rig.write_loop(tmp_path / "loop.wav")
