# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole box on a JACK server that it starts itself, with JACK's loopback driver, under load, and recorded.

The supervisor knows nothing of loopback drivers: a program named ``jackd``, first in its path, adds ``-L 2`` and becomes
the real one. """

from __future__ import annotations

import contextlib
import ctypes.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from appliance.bus.box import Box, Role
from appliance.errors import Unavailable

ENGINES = ("engine-a", "engine-b")
DATA_MB = 400
"""Size of the data folder where it can have a file system of its own."""
PERIOD = 128
BUSY = """
import os
parent, x = os.getppid(), 0
while os.getppid() == parent:  # not longer than the soak
    for _ in range(10**6): x += 1
"""


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def can_soak() -> str:
    """Why no soak can be played on this machine, or nothing."""
    if not shutil.which("jackd"):
        return "jackd is not installed"
    if not ctypes.util.find_library("jack"):
        return "libjack is not installed"
    return ""


class Stage:
    """``folder`` takes the box's data, its log and the recording; ``hogs``: busy processes beside the box."""

    def __init__(self, folder: Path, *, hogs: int = 2, visuals: bool = True) -> None:
        self.folder, self.hogs = folder, hogs
        self.server = f"soak-{os.getpid()}"
        self.data = folder / "data"
        self.recording = folder / "recording"
        self.log = folder / "log"
        self._visuals = visuals
        self._stack = contextlib.ExitStack()
        self._http = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        self.osc_port = free_port(socket.SOCK_DGRAM)
        self.small_disk = False

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.data.mkdir(parents=True)
            self.recording.mkdir()
            stack.enter_context(self._own_disk())
            self.supervisor = self._start_box(stack)
            self.box = Box.attach(self.data, "soak")
            self.recorder = self._start("tests.soak.recorder", self.server, str(self.recording), stack=stack, ready=True)
            self.player = self._start("tests.soak.player", self.server, str(self.folder / "notes"), stack=stack)
            for _ in range(self.hogs):
                self._start_program([sys.executable, "-c", BUSY], stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def _own_disk(self) -> Iterator[None]:
        """A small file system for the data, so that it can be filled; without the right to mount one there is none."""
        mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DATA_MB}m", "tmpfs", str(self.data)], capture_output=True, check=False
        ).returncode == 0
        self.small_disk = mounted
        try:
            yield
        finally:
            if mounted:
                subprocess.run(["umount", "-l", str(self.data)], check=False)

    def _start_box(self, stack: contextlib.ExitStack) -> subprocess.Popen[str]:
        (self.folder / "bin").mkdir()
        shim = self.folder / "bin" / "jackd"
        shim.write_text(f'#!/bin/sh\nexec "{shutil.which("jackd")}" -L 2 "$@"\n')
        shim.chmod(0o755)
        config = self.folder / "config.yaml"
        config.write_text(json.dumps({
            "audio": {"device": "dummy", "period": PERIOD, "outputs": ["loopback:playback_1", "loopback:playback_2"]},
            "gen": {"fill": False, "look_ahead_cpu": 0}, "visuals": {"enabled": self._visuals}, "mappings": {"alsa": False},
        }))
        box = subprocess.Popen(
            [sys.executable, "-m", "appliance", "run", "--config", str(config), "--data", str(self.data), "--audio", "jack",
             "--jack-server", self.server, "--display", "none", "--http", self._http, "--osc", f"127.0.0.1:{self.osc_port}"],
            stdout=subprocess.PIPE, stderr=self.log.open("w"), text=True,
            env={**os.environ, "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        )
        stack.callback(self._stop, box, 15)
        assert box.stdout
        words = box.stdout.readline().split()
        if words[:1] != ["ready"]:
            raise Unavailable(f"the box does not start:\n{self.log.read_text()}")
        if f"audio=jack:{self.server}" not in words:
            raise Unavailable(f"the box found no JACK server: {' '.join(words)}")
        return box

    def _start(self, module: str, *arguments: str, stack: contextlib.ExitStack, ready: bool = False) -> subprocess.Popen[str]:
        process = self._start_program([sys.executable, "-m", module, *arguments], stack)
        if ready:
            assert process.stdout and process.stdout.readline().strip() == "ready", f"{module} does not start"
        return process

    def _start_program(self, command: list[str], stack: contextlib.ExitStack) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=(self.folder / "gear.log").open("a"), text=True)
        stack.callback(self._stop, process, 10)
        return process

    @staticmethod
    def _stop(process: subprocess.Popen[str], patience_s: float) -> None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # -- talking to the box

    def http(self, method: str, address: str, body: Any = None, timeout_s: float = 3.0) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self._http}/api/v1{address}", data, {"Content-Type": "application/json"},
                                         method=method)
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return json.loads(answer.read() or b"null")

    @property
    def http_address(self) -> tuple[str, int]:
        host, _, port = self._http.rpartition(":")
        return host, int(port)

    # -- the process table

    def pid(self, name: str) -> int:
        return int(self.box.process(name)["pid"])

    def role(self, name: str) -> int:
        return int(self.box.process(name)["role"])

    def engine(self, role: Role) -> str:
        """The engine of that role, or nothing."""
        return next((name for name in ENGINES if self.pid(name) and self.role(name) == role), "")

    def works(self, name: str) -> bool:
        """It runs and has said so; an engine plays or stands by."""
        if not self.pid(name):
            return False
        if name in ENGINES:
            return self.role(name) in (Role.PLAYING, Role.STANDBY) and bool(self.box.engine(ENGINES.index(name))["ready"])
        return self.role(name) == Role.RUNNING and int(self.box.process(name)["beat_ns"]) > 0

    def sounding(self) -> bool:
        """Some engine plays and the audio server calls it."""
        playing = self.engine(Role.PLAYING)
        if not playing:
            return False
        words = self.box.engine(ENGINES.index(playing))
        before = int(words["cycles"])
        time.sleep(0.02)
        generation = int(self.box.record["audio_generation"][0])
        return int(words["cycles"]) > before and (generation == 0 or int(words["server"]) == generation)

    def jackd_pid(self) -> int:
        """The server of this box, by its command line."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if words[0].endswith(b"jackd") and self.server.encode() in words:
                    return int(path.parent.name)
        return 0
