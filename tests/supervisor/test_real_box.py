# SPDX-License-Identifier: GPL-3.0-or-later
"""The box as `appliance run` starts it: engine, control, gen and visuals, one data folder, commands from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from appliance.bus.memory import FOLDER, box_name

from .conftest import NAMES, ROOT, Running, lives, until


@pytest.fixture
def run(data):
    running: list[Running] = []

    def begin(*words: str) -> Running:
        command = [sys.executable, "-m", "appliance", "run", "--data", str(data), "--display", "none", "--http", "127.0.0.1:0",
                   "--osc", "127.0.0.1:0", *words]
        running.append(Running(data, command))
        return running[-1]

    yield begin
    for one in running:
        one.end()


@pytest.fixture
def appliance(data):
    def command(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "appliance", *words, "--data", str(data)], capture_output=True, text=True,
                              check=False, timeout=30, env={**os.environ, "PYTHONPATH": str(ROOT)})
        return (done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}").strip()

    return command


def all_run(running: Running) -> bool:
    return all(running.pid(name) and int(running.box.process(name)["role"]) in (2, 3, 4) for name in NAMES)


def test_a_box_without_jack_from_start_to_end(run, appliance, data):
    running = run("--audio", "clock")
    words = running.ready(60)
    assert words["audio"] == "clock" and words["display"] == "offscreen" and words["data"] == str(data)
    assert words["http"].startswith("http://127.0.0.1:") and words["osc"].startswith("127.0.0.1:")
    until(lambda: all_run(running), 30, running.said)

    facts = json.loads(appliance("status", "--json"))
    assert [(row["name"], row["restarts"]) for row in facts["processes"]] == [(name, 0) for name in NAMES]
    assert facts["clock"]["play"] and facts["clock"]["bpm"] == 120
    assert "engine-a" in appliance("status")

    assert appliance("send", "/mixer/crossfader", "-0.5") == ""
    assert appliance("get", "/mixer/crossfader") == "-0.5"
    refused = appliance("send", "/mixer/crossfader", "7")
    assert refused.startswith("1: ") and refused.count("\n") == 0 and "-1 … 1" in refused
    assert "did you mean /mixer/crossfader?" in appliance("send", "/mixer/crosfader", "0")
    assert appliance("ls", "/mixer/crossfader").startswith("/mixer/crossfader")

    for name in NAMES:  # each is killed, each comes back, and what was set is still set
        old = running.pid(name)
        os.kill(old, signal.SIGKILL)
        running.back(name, old, 30)
        assert appliance("get", "/mixer/crossfader") == "-0.5"
    until(lambda: all_run(running), 30, running.said)
    before = json.loads(appliance("status", "--json"))["clock"]["position"]
    until(lambda: json.loads(appliance("status", "--json"))["clock"]["position"] > before + 0.5, 20, "the clock goes on")

    pids = [running.pid(name) for name in NAMES]
    assert running.stop() == 0
    assert not any(lives(pid) for pid in pids)
    assert not list(FOLDER.glob(f"{box_name(data)}-*"))
    again = run("--audio", "clock")
    again.ready(60)
    until(lambda: appliance("get", "/mixer/crossfader") == "-0.5", 10, "the session is back after a stop")
    until(lambda: all_run(again), 30, again.said)

    again.process.kill()
    again.process.wait()
    until(lambda: not _of_box(str(data)), 5, f"left behind: {_of_box(str(data))}")


def _of_box(data: str) -> list[str]:
    """Command lines of the processes that name the data folder."""
    found = subprocess.run(["pgrep", "-af", data], capture_output=True, text=True, check=False).stdout.splitlines()
    return [line for line in found if "pgrep" not in line]


def test_watch_hears_what_others_do(run, appliance, data):
    running = run("--audio", "clock")
    running.ready(60)
    watcher = subprocess.Popen([sys.executable, "-m", "appliance", "watch", "/channel/1/*", "--data", str(data)],
                               stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert watcher.stdout is not None
    lines = iter(watcher.stdout.readline, "")
    next(line for line in lines if line.startswith("/channel/1/fader "))
    appliance("send", "/channel/1/fader", "0.25")
    assert next(line for line in lines if line.startswith("/channel/1/fader ")) == "/channel/1/fader 0.25\n"
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(5) == 0


def test_status_tells_the_truth_while_control_is_down(run, appliance):
    running = run("--audio", "clock")
    running.ready(60)
    os.kill(running.pid("control"), signal.SIGSTOP)
    facts = json.loads(appliance("status", "--json"))
    assert facts["clock"]["play"] and len(facts["processes"]) == 4


def test_hung_processes_are_back_with_what_was_set(run, appliance, data):
    running = run("--audio", "clock")
    running.ready(60)
    until(lambda: all_run(running) and all(running.box.process(name)["beat_ns"] for name in NAMES[1:]), 30, running.said)
    assert appliance("send", "/mixer/crossfader", "-0.5") == ""
    assert appliance("send", "/gen/prompt", "slow and dark") == ""
    cycles = int(running.box.engine(0)["cycles"])
    old = {name: running.pid(name) for name in NAMES[1:]}
    for pid in old.values():
        os.kill(pid, signal.SIGSTOP)
    for name, pid in old.items():
        running.back(name, pid, 15)
        assert f"{name} was stopped and was killed" in running.said
        assert not lives(pid)
    assert running.restarts("engine-a") == 0 and int(running.box.engine(0)["cycles"]) > cycles + 500, "the sound went on"
    until(lambda: appliance("get", "/gen/prompt") == "slow and dark", 10, "what only control knew")
    assert appliance("get", "/mixer/crossfader") == "-0.5"
    assert running.stop() == 0


def test_gen_and_visuals_in_their_safe_forms(run, appliance, data):
    running = run("--audio", "clock")
    http = running.ready(60)["http"]
    until(lambda: all_run(running), 30, running.said)
    until(lambda: '"scene": "pulse"' in appliance("get", "/visuals/state"), 20, "the first scene")
    for name in ("gen", "visuals") * 3:
        old = running.pid(name)
        os.kill(old, signal.SIGSEGV)
        running.back(name, old, 15)
    until(lambda: '"logo"' in appliance("get", "/visuals/state") and "safe form" in appliance("get", "/visuals/message"), 10,
          "the logo")
    assert appliance("send", "/visuals/scene", "tunnel") == ""
    until(lambda: '"scene": "tunnel"' in appliance("get", "/visuals/state"), 20, "a scene that was chosen since")
    assert appliance("send", "/gen/generate", "kick", "/pad/16").isdigit()
    until(lambda: appliance("get", "/pad/16/file"), 20, "generated all the same")
    with urllib.request.urlopen(f"{http}/healthz", timeout=10) as answer:
        told = json.loads(answer.read())
    assert told["ok"] and told["audio"] == "clock"
    assert sorted(line.split()[0] for line in told["warnings"]) == ["gen", "visuals"]
    assert "safe form: the embedded generator only" in appliance("status")
    assert running.stop() == 0


def test_a_box_on_a_jack_server_of_its_own(run, server_name):
    running = run("--jack-server", server_name)
    assert running.ready(60)["audio"] == f"jack:{server_name}"
    until(lambda: running.pid("engine-b") and running.box.engine(1)["ready"], 20, running.said)
    ports = _ports(server_name)
    assert {"appliance-a:master_1", "appliance-a:master_2", "appliance-a:cue_1", "appliance-a:midi_in"} <= ports
    old = running.pid("engine-a")
    os.kill(old, signal.SIGKILL)
    running.back("engine-a", old, 20)
    assert "appliance-a:master_1" in until(lambda: _ports(server_name), 5)

    pids = [running.pid(name) for name in ("engine-a", "engine-b")]
    for number in (signal.SIGKILL, signal.SIGSTOP):
        jackd, generation = _jackd(server_name), _generation(running)
        os.kill(jackd, number)
        until(lambda old=jackd: _jackd(server_name) not in (0, old), 10, running.said)
        until(lambda last=generation: _generation(running) > last, 10, "both engines are called by the new server")
        assert {"appliance-a:master_1", "appliance-b:master_1"} <= until(lambda: _ports(server_name), 5)
    assert "jackd has called no engine for 1." in running.said
    assert [running.pid(name) for name in ("engine-a", "engine-b")] == pids, "they live on by the clock meanwhile"
    worker = until(lambda: _children(running.pid("gen")), 10, "gen's worker")
    left = [*pids, *worker, _jackd(server_name), *(running.pid(name) for name in NAMES[1:])]
    running.process.kill()
    running.process.wait()
    until(lambda: not any(lives(pid) for pid in left), 5, "processes left")
    again = run("--jack-server", server_name)
    again.ready(60)
    assert again.stop() == 0


def _generation(running: Running) -> int:
    return min(int(running.box.engine(index)["server"]) for index in (0, 1))


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _ports(server: str) -> set[str]:
    done = subprocess.run(["jack_lsp"], capture_output=True, text=True, check=False, timeout=10,
                          env={**os.environ, "JACK_DEFAULT_SERVER": server, "JACK_NO_START_SERVER": "1"})
    return set(done.stdout.split()) if done.returncode == 0 else set()


def _jackd(server: str) -> int:
    done = subprocess.run(["pgrep", "-f", f"^jackd .*-n {server} "], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0]) if done.stdout else 0
