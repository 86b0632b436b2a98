# SPDX-License-Identifier: GPL-3.0-or-later
"""A box run by a supervisor process of its own, with the shipped processes or with stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.bus.box import Box
from appliance.bus.lifeline import tied
from appliance.bus.memory import FOLDER, box_name
from appliance.config import Config
from appliance.supervision.child import process_state

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).with_name("fake_process.py")
NAMES = ("engine-a", "control", "gen", "visuals")
BOTH = ("engine-a", "engine-b", *NAMES[1:])
"""With the standby, which runs where JACK does."""

START = """
import json, os, sys
from pathlib import Path
import appliance.supervision.cards
import appliance.supervisor
from appliance.config import Config
from appliance.errors import ApplianceError
from appliance.supervisor import Supervisor
appliance.supervisor.LATER_S["engine-b"] = float(os.environ.get("TEST_LATER_S", "0.5"))
appliance.supervision.cards.FOLDER = Path(os.environ.get("TEST_CARDS", "/proc/asound"))
try:
    config = Config.model_validate(json.loads(sys.argv[2]))
    raise SystemExit(Supervisor(Path(sys.argv[1]), config, json.loads(sys.argv[3])).run())
except ApplianceError as error:
    raise SystemExit(error.message)
"""


def until(true: Callable[[], Any], timeout_s: float = 10.0, what: str = "") -> Any:
    """Wait for ``true()`` to hold and return what it gave."""
    deadline = time.monotonic() + timeout_s
    while not (result := true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.005)
    return result


def lives(pid: int) -> bool:
    return process_state(pid)[0] not in ("", "Z", "X")


class Running:
    """A supervisor in a process of its own, and what it says."""

    def __init__(self, data: Path, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.data = data
        self.out, self.err = data.with_suffix(".out"), data.with_suffix(".err")
        with self.out.open("w") as out, self.err.open("a") as err:
            self.process = subprocess.Popen(tied(command), stdout=out, stderr=err, start_new_session=True,
                                            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})})

    @property
    def said(self) -> str:
        return self.err.read_text()

    def ready(self, timeout_s: float = 30.0) -> dict[str, str]:
        """Wait for the line on stdout; its words by name."""
        until(lambda: "\n" in self.out.read_text() or self.process.poll() is not None, timeout_s, f"ready: {self.said}")
        line = self.out.read_text()
        assert line.startswith("ready ") and line.count("\n") == 1, line + self.said
        return dict(word.split("=", 1) for word in line.split()[1:])

    @property
    def box(self) -> Box:
        return Box.attach(self.data)

    def pid(self, name: str) -> int:
        return int(self.box.process(name)["pid"])

    def restarts(self, name: str) -> int:
        return int(self.box.process(name)["restarts"])

    def back(self, name: str, old: int, timeout_s: float = 10.0) -> int:
        """Wait until ``name`` runs again, as another process than ``old``, and has beaten or rendered."""
        row = self.box.process(name)
        until(lambda: int(row["pid"]) not in (0, old) and int(row["role"]) in (2, 3, 4), timeout_s, f"{name} back: {self.said}")
        return int(row["pid"])

    def stop(self, timeout_s: float = 10.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "box"
    yield folder
    for leftover in FOLDER.glob(f"{box_name(folder)}-*"):
        leftover.unlink()


@pytest.fixture
def start(data: Path) -> Iterator[Callable[..., Running]]:
    """``start()`` runs stand-ins, ``start(gen=["mute"])`` gives one of them words; ``audio={…}`` sets the config's part.

    In the environment, TEST_LATER_S tells when the second engine starts, TEST_CARDS where the sound cards are listed.
    """
    running: list[Running] = []

    def begin(audio: dict[str, Any] | None = None, environment: dict[str, str] | None = None, **words: list[str]) -> Running:
        config = Config.model_validate({"audio": audio or {"backend": "clock"}, "http": {"port": 0}, "osc": {"port": 0},
                                        "visuals": {"display": "none"}})
        programs = {name: ["{python}", str(FAKE), name, "{box}", *words.get(name.replace("-", "_"), [])] for name in BOTH}
        running.append(Running(data, [sys.executable, "-c", START, str(data), config.model_dump_json(), json.dumps(programs)],
                               environment))
        return running[-1]

    yield begin
    for one in running:
        one.end()


@pytest.fixture
def server_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for a JACK server that nobody else has."""
    if not shutil.which("jackd"):
        pytest.skip("jackd is not installed")
    name = f"t{os.getpid()}x{abs(hash(request.node.name)) % 10000}"
    yield name
    assert not list(FOLDER.glob(f"jack*{name}*")), "a JACK server of the test was left"
