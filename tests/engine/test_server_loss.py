# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio server dies, comes back, changes its period or its rate: the engines outlive it and the set stays on the beat."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.bus.commit import committed
from appliance.bus.layout import KNOCKS
from appliance.config import Config
from appliance.supervision import jackfiles
from benchmarks.boxes import EngineBox, wait_for
from tests.signals import RATE

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")


class Server:
    """A jackd that can be killed and started again."""

    def __init__(self) -> None:
        self.name = f"loss-{os.getpid()}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, rate: int = RATE, period: int = 128) -> None:
        jackfiles.reclaim()
        environment = {**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"}
        command = ["jackd", "-R", "-P", "80", "-n", self.name, "-d", "dummy", "-r", str(rate), "-p", str(period)]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            jackfiles.sweep(self.name, self.process.pid)
            self.process = None


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.start()
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture
def live(server: Server, tmp_path: Path) -> Iterator[EngineBox]:
    made = EngineBox(tmp_path / "data", Config.model_validate({"audio": {"server": server.name, "connect": False}}))
    try:
        made.box.values.set("/clock/bpm", 120.0)
        start(made, server, "a")
        start(made, server, "b")
        yield made
    finally:
        made.close()


def start(live: EngineBox, server: Server, letter: str) -> None:
    live.start("jack", server.name, letter)
    wait_for(lambda: on_server(live, letter), 5, f"engine {letter} is on the server")


def on_server(live: EngineBox, letter: str) -> bool:
    return int(live.box.engine("ab".index(letter))["server"]) > 0


def clicks_on(live: EngineBox) -> None:
    """One-frame clicks on every beat: a loop of one beat on the clock."""
    mark = np.zeros((RATE // 2, 2), np.float32)
    mark[0] = 0.5
    live.load_pad(1, live.clip(mark, bpm=120, beats=1))
    live.do("/pad/1/trigger")
    time.sleep(0.2)


def beats_off(live: EngineBox, server: Server) -> float:
    """How far the clicks of whichever engine plays are from their beats, in frames: their median, for the server hands out the
    block before again when the machine makes an engine late. Recorded again when the machine has lost the clicks' cycles."""
    for _ in range(4):
        clicks, state = clicks_in(live, server, 1.6)
        if len(clicks) >= 2:
            break
    assert len(clicks) >= 2, "no clicks are heard"
    clock, rate = state["clock"], float(state["rate"])
    frames = int(state["frame"]) - int(state["block_frames"]) + (clicks - int(state["audio_time"]))
    beats = clock["anchor_beat"] + (frames - clock["anchor_frame"]) * clock["bpm"] / 60 / rate
    return float(np.median(np.abs(beats - np.round(beats)))) * 60 / float(clock["bpm"]) * rate


def clicks_in(live: EngineBox, server: Server, seconds: float) -> tuple[np.ndarray, np.void]:
    """Frame times of the clicks, and the engine's state at the end."""
    recorder = jackgear.Recorder(server.name, 5, f"recorder-{time.monotonic_ns()}")
    try:
        for letter in live.processes:
            recorder.listen(f"appliance-{letter}:cue_1")
        time.sleep(seconds)
        first, heard = recorder.take()
        state = committed(live.box.segment).copy()[0]
    finally:
        recorder.close()
    return np.flatnonzero(np.nan_to_num(heard[:, 0]) > 0.3) + first, state


def beat(live: EngineBox) -> tuple[float, float]:
    told = live.box.telemetry.snapshot()["clock"]
    return float(told["beat"]), int(told["monotonic_ns"]) * 1e-9


def test_the_set_goes_on_without_a_server_and_is_heard_when_it_is_back(live: EngineBox, server: Server) -> None:
    live.box.values.set("/channel/5/cue", True)
    clicks_on(live)
    assert beats_off(live, server) < 1
    pids = {letter: process.pid for letter, process in live.processes.items()}
    was_beat, was_s = beat(live)
    server.kill()
    wait_for(lambda: not on_server(live, "a") and not on_server(live, "b"), 2, "both engines notice")
    time.sleep(0.7)
    now_beat, now_s = beat(live)
    assert now_s - was_s > 0.5, "the clock stands while there is no server"
    assert abs(now_beat - was_beat - 2 * (now_s - was_s)) < 0.05
    server.start()
    back_s = wait_for(lambda: on_server(live, "a") and on_server(live, "b"), 5, "both engines are back")
    wait_for(lambda: live.playing, 2, "one plays")
    assert beats_off(live, server) < 1
    there_beat, there_s = beat(live)
    assert abs(there_beat - was_beat - 2 * (there_s - was_s)) < 0.05, "the set is not where it should be"
    assert {letter: process.pid for letter, process in live.processes.items()} == pids
    assert all(process.poll() is None for process in live.processes.values())
    print(f"back {back_s:.2f} s after the server's start")


def test_the_period_changes(live: EngineBox, server: Server) -> None:
    live.box.values.set("/channel/5/cue", True)
    clicks_on(live)
    conductor = jackgear.jack.Client("conductor", servername=server.name, no_start_server=True)
    try:
        for period in (64, 1024, 128):
            conductor.blocksize = period
            wait_for(lambda period=period: committed(live.box.segment)["block_frames"][0] == period, 2, f"blocks of {period}")
            wait_for(lambda: live.playing, 2, "one plays")
            assert beats_off(live, server) < 1
    finally:
        conductor.close()


def test_another_rate_starts_the_engine_again(live: EngineBox, server: Server) -> None:
    was_beat, was_s = beat(live)
    server.kill()
    server.start(rate=44100)
    for letter in "ab":
        assert live.processes[letter].wait(5) == 5, "it ends to start again at the new rate"
        live.box.process(f"engine-{letter}")["pid"] = 0
        live.box.engine("ab".index(letter))["ready"] = 0
    start(live, server, "a")
    wait_for(lambda: live.playing == "a", 2, "it plays")
    time.sleep(0.3)
    assert float(committed(live.box.segment)["rate"][0]) == 44100
    now_beat, now_s = beat(live)
    assert abs(now_beat - was_beat - 2 * (now_s - was_s)) < 0.05, "beats are kept, not frames"


def test_an_engine_that_is_not_let_in_says_so(live: EngineBox, server: Server) -> None:
    """For the supervisor, which replaces a server that lets nobody in."""
    live.kill("b")
    assert server.process
    server.process.send_signal(signal.SIGSTOP)
    try:
        starting = threading.Thread(target=live.start, args=("jack", server.name, "b"))
        starting.start()
        words = live.box.engine(1)
        wait_for(lambda: int(words["server"]) == KNOCKS, 15, "it knocks")
        assert not words["ready"]
    finally:
        server.process.send_signal(signal.SIGCONT)
    starting.join()
    wait_for(lambda: words["ready"], 15, "it is let in")
    assert int(words["server"]) != KNOCKS
