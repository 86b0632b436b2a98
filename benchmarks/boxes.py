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

from appliance.bus.box import Box
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
def jack_server(name: str, period: int = 128, loopback: int = 0) -> Iterator[str]:
    """A server with the dummy device, real time where this machine allows it. Raises Unavailable where there is none."""
    if shutil.which("jackd") is None:
        raise Unavailable("jackd is not installed")
    environment = {**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"}
    extra = ["-L", str(loopback)] if loopback else []
    for real_time in (["-R", "-P", "80"], ["-r"]):
        server = subprocess.Popen(
            ["jackd", *real_time, *extra, "-n", name, "-d", "dummy", "-r", "48000", "-p", str(period)],
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
    """A box's block in ``data`` and one engine process on it; nothing else of the box runs."""

    def __init__(self, data: Path, config: Config | None = None) -> None:
        self.data = data
        self.box = Box.create(data, config or Config())
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, backend: str = "clock", server: str = "default") -> float:
        """Start the engine; returns the seconds until its first blocks were played."""
        cycles = int(self.box.engine(0)["cycles"])
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.engine", "--box", str(self.box.run / "box.json"), "--engine", "a",
             "--backend", backend, "--server", server],
            start_new_session=True,
        )
        self.process = process
        self.box.process("engine-a")["pid"] = process.pid
        words = self.box.engine(0)
        took = wait_for(lambda: int(words["cycles"]) > cycles + 2 or process.poll() is not None, 90, "engine plays")
        assert process.poll() is None, "the engine did not start"
        return took

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.kill()
        sweep(box_name(self.data))

    def clip(self, audio: np.ndarray, *, bpm: float = 0.0, beats: float = 0.0) -> Clip:
        """Load float32 audio, frames × 2; returns when the engine has mapped and locked it."""
        clip = self.box.clips.place(len(audio), self.box.rate, bpm=bpm, beats=beats)
        self.box.clips.fill(clip, [audio])
        wait_for(lambda: self.box.clips.mapped(clip), 5, "the engine maps the clip")
        return clip

    def do(self, address: str, a: float = 1.0, *, frame: int = 0) -> int:
        found = self.box.values.find(address)
        return self.box.commands.send(NAMESPACE.command(found.group.record, found.node.name), found.index, a, frame=frame)

    def load_pad(self, pad: int, clip: Clip | None) -> None:
        self.box.commands.send(Code.LOAD_PAD, pad - 1, float(clip.handle if clip else 0))

    def load_deck(self, deck: int, clip: Clip | None) -> None:
        self.box.commands.send(Code.LOAD_DECK, deck - 1, float(clip.handle if clip else 0))
