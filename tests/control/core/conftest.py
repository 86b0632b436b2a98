# SPDX-License-Identifier: GPL-3.0-or-later
"""A real box in a temporary folder: shared memory, the engine paced by the clock, control, and a client on its socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
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

    def start(self, name: str, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        module = "engine" if name.startswith("engine") else name
        row = self.box.process(name)
        child = subprocess.Popen([sys.executable, "-m", f"appliance.{module}", "--box", str(self.box.run / "box.json"), *arguments],
                                 stderr=(self.data / f"{name}.log").open("ab"), **more)
        row["pid"] = child.pid
        self.children[name] = child
        return child

    def start_engine(self) -> None:
        self.start("engine-a", "--engine", "a", "--backend", "clock")
        wait_for(lambda: bool(self.box.engine(0)["ready"]), "the engine to be ready")

    def kill(self, name: str, number: int = signal.SIGKILL) -> float:
        """Send a signal, wait for the end; returns the seconds it took."""
        child = self.children.pop(name)
        begun = time.monotonic()
        child.send_signal(number)
        child.wait(10)
        self.box.process(name)["pid"] = 0
        if name.startswith("engine"):
            self.box.engine(0)["ready"] = 0
        return time.monotonic() - begun

    def stop(self) -> None:
        for name in ("control", "engine-a", "gen"):
            if name in self.children:
                with contextlib.suppress(ProcessLookupError):
                    self.kill(name, signal.SIGTERM)

    def forget(self) -> None:
        """The end of the box: its shared memory goes."""
        self.stop()
        sweep(box_name(self.data))

    def reboot(self) -> None:
        """All of the box again, on the same data."""
        self.forget()
        time.sleep(0.01)
        self.box = Box.create(self.data, self.config)

    def log(self, name: str = "control") -> str:
        return (self.data / f"{name}.log").read_text()

    @contextlib.asynccontextmanager
    async def client(self, name: str = "test") -> AsyncIterator[HubClient]:
        client = HubClient(self.box.hub_path, name)
        await client.start()
        await client.connected(10)
        try:
            yield client
        finally:
            await client.stop()


def wait_for(true: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        time.sleep(0.005)


async def until(true: Callable[[], Any], what: str, timeout_s: float = 10.0) -> Any:
    """Wait for an (async) condition on the event loop; returns what it gave."""
    end = time.monotonic() + timeout_s
    while True:
        result = true()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        await asyncio.sleep(0.01)


def quick_config(**session: Any) -> Config:
    config = Config()
    config.audio.backend = "clock"
    config.gen.enabled = False
    config.http.port = config.osc.port = 0
    config.visuals.enabled = False
    config.session.autosave_s = 0.2
    for name, value in session.items():
        setattr(config.session, name, value)
    return config


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A box with nothing started."""
    made = Rig(tmp_path / "data", quick_config())
    yield made
    made.forget()


@pytest.fixture
def playing(rig: Rig) -> Rig:
    """A box with engine and control."""
    rig.start("control")
    rig.start_engine()
    return rig


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    return write_loop(tmp_path / "loop.wav")


def write_loop(path: Path, seconds: float = 2.0, rate: int = RATE, channels: int = 2, hz: float = 220.0) -> Path:
    """A tone; 2 s are a bar at 120 BPM."""
    frames = np.arange(round(seconds * rate))
    tone = (0.3 * np.sin(2 * np.pi * hz / rate * frames)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.repeat(tone[:, None], channels, axis=1), rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


def pad_state(rig: Rig, cell: int) -> int:
    return int(rig.box.telemetry.snapshot()["pad"]["state"][cell])


def as_root() -> bool:
    return os.geteuid() == 0
