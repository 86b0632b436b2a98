# SPDX-License-Identifier: GPL-3.0-or-later
"""A box's shared memory with a real engine process, for tests that need no more of the box than that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from appliance.bus.box import Box
from appliance.bus.clips import Clip
from appliance.bus.commands import Code
from appliance.bus.memory import box_name, sweep
from appliance.config import Config
from appliance.nodes import NAMESPACE


def wait_for(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> None:
    """Poll until ``condition`` holds; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        time.sleep(0.005)


class EngineBox:
    """Create with a data folder; ``start`` an engine on the clock backend or on a JACK server."""

    def __init__(self, data: Path, config: Config | None = None) -> None:
        self.data = data
        self.box = Box.create(data, config or Config())
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, backend: str = "clock", server: str = "default") -> None:
        cycles = int(self.box.engine(0)["cycles"])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "appliance.engine", "--box", str(self.box.run / "box.json"), "--engine", "a",
             "--backend", backend, "--server", server],
            env=dict(os.environ), start_new_session=True,
        )
        self.box.process("engine-a")["pid"] = self.process.pid
        wait_for(lambda: int(self.box.engine(0)["cycles"]) > cycles + 2 or self.process.poll() is not None, 60, "engine plays")
        assert self.process.poll() is None, "the engine did not start"

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
        clip = self.box.clips.place(len(audio), self.box.rate, bpm=bpm, beats=beats)
        self.box.clips.fill(clip, [audio])
        wait_for(lambda: self.box.clips.mapped(clip), 5, "the engine maps the clip")
        return clip

    def do(self, address: str, a: float = 1.0, *, frame: int = 0) -> int:
        found = self.box.values.find(address)
        return self.box.commands.send(NAMESPACE.command(found.group.record, found.node.name), found.index, a, frame=frame)

    def load_pad(self, pad: int, clip: Clip | None) -> None:
        self.box.commands.send(Code.LOAD_PAD, pad - 1, float(clip.handle if clip else 0))
