# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks and tests run: a real engine on a box's shared memory, and a JACK server of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from appliance.bus.box import Box, Role
from appliance.bus.clips import Clip
from appliance.bus.commands import Code
from appliance.bus.memory import box_name, sweep
from appliance.config import Config
from appliance.errors import Unavailable
from appliance.nodes import NAMESPACE


def wait_for(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> float:
    """Poll until ``condition`` holds; returns the seconds it took. Raises AssertionError after ``seconds``."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what or condition}"
        time.sleep(0.002)
    return time.monotonic() - began


@contextlib.contextmanager
def jack_server(name: str, period: int = 128, loopback: int = 0, outputs: int = 2) -> Iterator[str]:
    """A server with the dummy device, real time where this machine allows it. Raises Unavailable where there is none."""
    if shutil.which("jackd") is None:
        raise Unavailable("jackd is not installed")
    environment = {**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"}
    extra = ["-L", str(loopback)] if loopback else []
    for real_time in (["-R", "-P", "80"], ["-r"]):
        server = subprocess.Popen(
            ["jackd", *real_time, *extra, "-n", name, "-d", "dummy", "-r", "48000", "-p", str(period), "-P", str(outputs)],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        if _answers(name, server):
            break
    else:
        raise Unavailable("jackd does not start here")
    try:
        yield name
    finally:
        server.terminate()
        server.wait(10)


def _answers(name: str, server: subprocess.Popen[bytes]) -> bool:
    for _ in range(50):
        if server.poll() is not None:
            return False
        if subprocess.run(["jack_lsp", "-s", name], capture_output=True, check=False).returncode == 0:
            return True
        time.sleep(0.1)
    server.kill()
    server.wait()
    return False


class EngineBox:
    """A box's block in ``data`` and its engine processes; nothing else of the box runs."""

    def __init__(self, data: Path, config: Config | None = None) -> None:
        self.data = data
        self.box = Box.create(data, config or Config())
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """Engine a."""
        return self.processes.get("a")

    def start(self, backend: str = "clock", server: str = "default", letter: str = "a") -> float:
        """Start an engine; returns the seconds until it was called for its first blocks."""
        index = "ab".index(letter)
        words = self.box.engine(index)
        cycles = int(words["cycles"])
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.engine", "--box", str(self.box.run / "box.json"), "--engine", letter,
             "--backend", backend, "--server", server],
            start_new_session=True,
        )
        self.processes[letter] = process
        self.box.process(f"engine-{letter}")["pid"] = process.pid
        took = wait_for(lambda: int(words["cycles"]) > cycles + 6 or process.poll() is not None, 90, "engine plays")
        assert process.poll() is None, "the engine did not start"
        return took

    @property
    def playing(self) -> str:
        """The letter of the engine whose blocks count; empty while none plays."""
        for index, letter in enumerate("ab"):
            row = self.box.process(f"engine-{letter}")
            if letter in self.processes and self.processes[letter].poll() is None and row["role"] == Role.PLAYING:
                return letter if self.box.engine(index)["ready"] else ""
        return ""

    def kill(self, letter: str = "a") -> None:
        process = self.processes[letter]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.box.process(f"engine-{letter}")["pid"] = 0
        self.box.engine("ab".index(letter))["ready"] = 0

    def close(self) -> None:
        self.box.record["closing"] = 1
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for letter, process in self.processes.items():
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                self.kill(letter)
        sweep(box_name(self.data))

    def clip(self, audio: np.ndarray, *, bpm: float = 0.0, beats: float = 0.0) -> Clip:
        """Load float32 audio, frames × 2; returns when the engine has mapped and locked it."""
        clip = self.box.clips.place(len(audio), self.box.rate, bpm=bpm, beats=beats)
        self.box.clips.fill(clip, [audio])
        wait_for(lambda: self.box.clips.mapped(clip, self.box.engines), 5, "the engines map the clip")
        return clip

    def do(self, address: str, a: float = 1.0, *, frame: int = 0) -> int:
        found = self.box.values.find(address)
        return self.box.commands.send(NAMESPACE.command(found.group.record, found.node.name), found.index, a, frame=frame)

    def load_pad(self, pad: int, clip: Clip | None) -> None:
        self.box.commands.send(Code.LOAD_PAD, pad - 1, float(clip.handle if clip else 0))

    def load_deck(self, deck: int, clip: Clip | None) -> None:
        self.box.commands.send(Code.LOAD_DECK, deck - 1, float(clip.handle if clip else 0))
