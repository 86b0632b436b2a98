# SPDX-License-Identifier: GPL-3.0-or-later
"""Two engines under one supervisor, and the audio server as they tell of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from appliance.bus.box import Role, hub_path
from appliance.bus.memory import FOLDER, box_name

from .conftest import BOTH, lives, until
from .test_audioserver import answers, foreign, jackd_of  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("server_name")


@pytest.fixture
def two(start, server_name):
    """A box with both engines on a JACK server of its own."""
    running = start(audio={"server": server_name, "device": "dummy", "period": 1024}, environment={"TEST_LATER_S": "2"})
    assert running.ready()["audio"] == f"jack:{server_name}"
    until(lambda: running.pid("engine-b") and running.box.engine(1)["ready"], what=running.said)
    yield running
    if running.process.poll() is None:
        running.stop()


def role(running, name: str) -> int:
    return int(running.box.process(name)["role"])


def test_the_second_engine_comes_later_and_both_are_looked_after(two):
    began, started = (int(two.box.process(name)["started_ns"]) for name in ("supervisor", "engine-b"))
    assert started - began > 2e9, "at the start the processor is for the first sound"
    assert (role(two, "engine-a"), role(two, "engine-b")) == (Role.PLAYING, Role.STANDBY)
    for name, number in (("engine-a", signal.SIGKILL), ("engine-b", signal.SIGSTOP), ("engine-b", signal.SIGKILL)):
        old, other = two.pid(name), two.pid("engine-b" if name == "engine-a" else "engine-a")
        os.kill(old, number)
        two.back(name, old, 3)
        assert not lives(old) and lives(other), "only that one"
    assert "engine-b was stopped and was killed" in two.said
    pids = [two.pid(name) for name in BOTH]
    assert two.stop() == 0
    order = [line.split()[1] for line in two.said.splitlines() if line.endswith("has stopped")]
    assert order[2] == "control" and set(order[3:]) == {"engine-a", "engine-b"}
    assert not any(lives(pid) for pid in pids)


def test_a_killed_supervisor_leaves_no_engine_and_the_next_start_no_memory(two, start, data):
    pids = [two.pid(name) for name in BOTH] + [jackd_of(two)]
    two.process.kill()
    two.process.wait()
    until(lambda: not any(lives(pid) for pid in pids), 5, "processes left")
    assert hub_path(data).parent.is_dir()
    again = start()
    again.ready()
    assert again.stop() == 0
    assert not list(FOLDER.glob(f"{box_name(data)}-*"))
    assert not hub_path(data).parent.exists()


def test_a_server_of_ours_that_calls_nobody_is_started_again(two, server_name):
    old = jackd_of(two)
    os.kill(old, signal.SIGSTOP)
    (two.box.run / "uncalled").touch()
    until(lambda: "jackd has called no engine for 1." in two.said, 5, two.said)
    (two.box.run / "uncalled").unlink()
    until(lambda: jackd_of(two) not in (0, old) and answers(server_name), 5, two.said)
    until(lambda: two.box.audio == f"jack:{server_name}", 3, "it says so")
    assert two.restarts("engine-a") == two.restarts("engine-b") == 0, "the engines live on"
    time.sleep(1.5)
    assert two.said.count("it hangs and was killed") == 1


def test_a_server_of_others_that_goes_is_looked_for_and_then_replaced(start, foreign, server_name):  # noqa: F811
    running = start(audio={"server": server_name, "device": "dummy"})
    running.ready()
    until(lambda: running.box.engine(0)["server"] > 0, what="it plays there")
    foreign.kill()
    foreign.wait()
    (running.box.run / "lost").touch()
    until(lambda: "the engines have lost the JACK server" in running.said, 3, running.said)
    assert running.box.audio == "clock" or until(lambda: running.box.audio == "clock", 2)
    until(lambda: "starts jackd (no sound card" in running.said, 5, running.said)
    (running.box.run / "lost").unlink()
    until(lambda: running.box.audio == f"jack:{server_name}", 5, running.said)
    assert running.restarts("engine-a") == 0


def test_a_server_that_no_engine_has_come_to_is_looked_for_too(start, foreign, server_name):  # noqa: F811
    """It may go in the moment between the engines' coming and the supervisor's next look: nobody has ever seen them there."""
    running = start(audio={"server": server_name, "start_server": False}, engine_a=["apart"], engine_b=["apart"])
    running.ready()
    foreign.kill()
    foreign.wait()
    until(lambda: "the engines have lost the JACK server" in running.said, 10, running.said)
    until(lambda: running.box.audio == "clock", 2, running.said)


def test_an_engine_that_asks_for_it_is_started_again_and_no_crash_is_counted(start):
    running = start(engine_a=["again"])
    running.ready()
    assert "engine-a ended with exit status 5; it starts again now" in running.said
    assert running.restarts("engine-a") == 1


def test_after_the_clock_a_server_that_appears_is_used(start, server_name):
    """A server of others is there at once; the engine that was started for the clock is started anew for it."""
    running = start(audio={"server": server_name, "start_server": False})
    assert running.ready()["audio"] == "clock"
    assert "audio.start_server is off" in running.said
    assert running.pid("engine-b") == 0, "nothing to stand by for"
    server = subprocess.Popen(["jackd", "-r", "-n", server_name, "-d", "dummy", "-p", "1024"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env={**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"})
    try:
        until(lambda: running.box.audio == f"jack:{server_name}", 8, running.said)
        until(lambda: running.pid("engine-b") and running.box.engine(1)["ready"], 5, running.said)
        until(lambda: "engine-a cannot reach the audio server" in running.said, 5, running.said)
        assert "there is an audio server again" in running.said
        until(lambda: running.restarts("engine-a") == 1 and running.box.engine(0)["ready"], 5, running.said)
        assert running.restarts("engine-b") == 0, "one after the other"
    finally:
        running.stop()
        server.terminate()
        server.wait(5)
