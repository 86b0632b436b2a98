# SPDX-License-Identifier: GPL-3.0-or-later
"""A real GL context, a real box with its hub, a real X server with two monitors, and a drum machine for the analysis."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.bus.box import Box
from appliance.bus.hub import HubServer
from appliance.bus.memory import unlink
from appliance.bus.pattern import compile_pattern
from appliance.config import Config
from appliance.errors import Unavailable
from appliance.visuals.analysis import Listening
from appliance.visuals.gl import Gl, open_headless

ROOT = Path(__file__).parents[2]
RATE = 48000


@pytest.fixture(scope="session")
def shared_gl() -> Iterator[Gl]:
    try:
        gl = open_headless()
    except Unavailable as error:
        pytest.skip(error.message)
    yield gl
    gl.context.release()


@pytest.fixture
def gl(shared_gl: Gl) -> Iterator[Gl]:
    """The session's context, current in this test."""
    with shared_gl.context:
        yield shared_gl


def beat_box(seconds: float, kick: bool = True, hat: bool = True) -> np.ndarray:
    """120 BPM: a kick on every beat, a hi-hat on every off-beat, as mono float32."""
    rng = np.random.default_rng(7)
    sound = np.zeros(int(seconds * RATE), np.float32)
    t = np.arange(int(0.2 * RATE)) / RATE
    drum = 0.8 * np.sin(2 * np.pi * (48 * t + 6 * (1 - np.exp(-t * 40)))) * np.exp(-t * 14) * (1 - t / 0.2)
    noise = rng.standard_normal(t.size)
    cymbal = 0.2 * np.diff(np.diff(noise, prepend=0), prepend=0) * np.exp(-t * 60) * 0.4
    for number in range(int(seconds * 4)):
        start = number * RATE // 4
        voice = (drum if kick else None) if number % 2 == 0 else (cymbal if hat else None)
        if voice is not None:
            part = voice[: sound.size - start]
            sound[start : start + part.size] += part.astype(np.float32)
    return sound


def listening(sound: np.ndarray, frame: int) -> Listening:
    """What the engine's telemetry would tell at this frame of the sound, at 120 BPM."""
    ring = np.concatenate([np.zeros(4096, np.float32), sound])[frame : frame + 4096]
    return Listening(ring, frame, RATE, frame / RATE * 2, 4.0, 120.0, True)


class Desk:
    """The hub's serving end with nothing behind it but a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"/visuals/scene": "pulse"}
        self.server: HubServer | None = None

    async def get(self, address: str) -> Any:
        return self.values.get(address)

    async def set(self, address: str, value: Any) -> Any:
        self.values[address] = value
        assert self.server is not None
        self.server.announce(address, value)
        return value

    async def do(self, address: str, args: list[Any]) -> Any:
        assert self.server is not None
        return await self.server.call(address, args)

    def ls(self, pattern: str) -> list[dict[str, Any]]:
        return []

    def current(self, pattern: str, *, private: bool = False) -> list[tuple[str, Any]]:
        wanted = compile_pattern(pattern, deep=True)
        return [(a, v) for a, v in self.values.items() if wanted.fullmatch(a)]

    def published(self, address: str, value: Any) -> None:
        self.values[address] = value

    def served(self, prefix: str, present: bool) -> None:
        pass


class Stage:
    """A box with its hub, in which the visuals process is started as the supervisor would."""

    def __init__(self, data: Path, config: Config) -> None:
        self.box = Box.create(data, config)
        self.desk = Desk()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.desk.server = HubServer(self.box.hub_path, self.desk)
        self.wait_for(self.desk.server.start())
        self.process: subprocess.Popen[str] | None = None

    def wait_for(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(15)

    def start(self, **environment: str) -> None:
        path = self.box.run / "box.json"
        env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
        self.log = self.box.data / "visuals.log"
        with self.log.open("a") as log:
            command = [sys.executable, "-m", "appliance.visuals", "--box", str(path)]
            self.process = subprocess.Popen(command, env=env, stderr=log, text=True)

    def set(self, address: str, value: Any) -> None:
        if address in ("/visuals/scene",):
            self.wait_for(self.desk.set(address, value))
        else:
            self.box.values.set(address, value)

    def do(self, address: str, *args: Any) -> Any:
        return self.wait_for(self.desk.do(address, list(args)))

    @property
    def state(self) -> dict[str, Any]:
        return self.desk.values.get("/visuals/state") or {}

    @property
    def message(self) -> str:
        return self.desk.values.get("/visuals/message") or ""

    def beat_age_s(self) -> float:
        return (time.monotonic_ns() - int(self.box.process("visuals")["beat_ns"])) * 1e-9

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
        """Waits for something to become true; fails with the process's log when it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.03)
        pytest.fail(f"{what}: not seen; state {self.state}, message {self.message!r}\n{self.log.read_text()}")

    def shows(self, scene: str) -> None:
        self.until(lambda: self.state.get("scene") == scene, f"{scene} on show")

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(5)
        self.process = None
        return status

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        assert self.desk.server is not None
        self.wait_for(self.desk.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        unlink(self.box.segment.name)


@pytest.fixture
def open_stage(tmp_path: Path, shared_gl: Gl) -> Iterator[Callable[..., Stage]]:
    """Makes boxes whose picture is small, on a display of your choice; all are taken down after the test."""
    del shared_gl  # needed only to skip where nothing can draw
    stages: list[Stage] = []

    def open_one(display: str = "none", width: int = 160, height: int = 90) -> Stage:
        config = Config()
        config.visuals.display, config.visuals.width, config.visuals.height = display, width, height
        stages.append(Stage(tmp_path, config))
        return stages[-1]

    yield open_one
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(open_stage: Callable[..., Stage]) -> Stage:
    """A box whose picture is offscreen and small."""
    return open_stage()


@pytest.fixture(scope="session")
def drums() -> Callable[..., np.ndarray]:
    """The drum machine: `drums(seconds, kick=True, hat=True)`."""
    return beat_box


@pytest.fixture(scope="session")
def listen() -> Callable[[np.ndarray, int], Listening]:
    """What telemetry tells of a sound at a frame."""
    return listening


_XORG = """
Section "ServerFlags"
  Option "DontVTSwitch" "true"
  Option "AllowMouseOpenFail" "true"
  Option "AutoAddDevices" "false"
  Option "AutoAddGPU" "false"
EndSection
Section "Device"
  Identifier "dummy"
  Driver "dummy"
  VideoRam 64000
EndSection
Section "Monitor"
  Identifier "monitor"
  HorizSync 5.0-1000.0
  VertRefresh 5.0-200.0
  Modeline "640x360" 18.00 640 664 728 816 360 363 368 374 -hsync +vsync
EndSection
Section "Screen"
  Identifier "screen"
  Device "dummy"
  Monitor "monitor"
  DefaultDepth 24
  SubSection "Display"
    Depth 24
    Modes "640x360"
    Virtual 2048 1024
  EndSubSection
EndSection
"""


class Monitors:
    """An X server with two monitors of 640 x 360, side by side: DUMMY0 is the first, DUMMY1 the second."""

    def __init__(self, display: str) -> None:
        self.display = display

    def xrandr(self, *arguments: str) -> None:
        subprocess.run(["xrandr", "-d", self.display, *arguments], check=True, capture_output=True)

    def plug(self, mode: str = "640x360") -> None:
        self.xrandr("--output", "DUMMY1", "--mode", mode, "--right-of", "DUMMY0")
        self.xrandr("--query")  # the dummy driver tells that it is connected only when it is asked again

    def unplug(self) -> None:
        self.xrandr("--output", "DUMMY1", "--off")

    def grab(self, left: int, width: int = 640, height: int = 360) -> np.ndarray:
        """What can be seen there, height × width × 3."""
        from PIL import ImageGrab

        picture = ImageGrab.grab(bbox=(left, 0, left + width, height), xdisplay=self.display)
        return np.asarray(picture.convert("RGB")).astype(float)


@pytest.fixture
def monitors(tmp_path: Path) -> Iterator[Monitors]:
    for program in ("Xorg", "xrandr"):
        if shutil.which(program) is None:
            pytest.skip(
                f"{program} is not installed (Debian: xserver-xorg-core xserver-xorg-video-dummy x11-xserver-utils)"
            )
    config = tmp_path / "xorg.conf"
    config.write_text(_XORG)
    read, write = os.pipe()
    arguments = [
        "-config",
        str(config),
        "-noreset",
        "-nolisten",
        "tcp",
        "-novtswitch",
        "-sharevts",
        "-displayfd",
        str(write),
        "vt7",
    ]
    with (tmp_path / "xorg.out").open("w") as log:
        server = subprocess.Popen(
            ["Xorg", *arguments, "-logfile", str(tmp_path / "xorg.log")], pass_fds=[write], stderr=log
        )
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    if not number:
        server.wait(5)
        pytest.skip(f"Xorg does not start with the dummy driver here: {(tmp_path / 'xorg.out').read_text()[-300:]}")
    monitors = Monitors(f":{number}")
    try:
        _two_monitors(monitors)
        yield monitors
    finally:
        server.terminate()
        server.wait(5)


def _two_monitors(monitors: Monitors) -> None:
    monitors.xrandr("--output", "DUMMY0", "--mode", "640x360")
    monitors.xrandr("--addmode", "DUMMY1", "640x360")
    monitors.xrandr("--newmode", "320x200", *"6.00 320 336 368 400 200 203 208 214".split())
    monitors.xrandr("--addmode", "DUMMY1", "320x200")
    monitors.plug()
