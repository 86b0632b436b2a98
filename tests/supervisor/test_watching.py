# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that die, hang or never start are brought back; nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from appliance.bus.box import hub_path
from appliance.bus.memory import FOLDER, box_name
from appliance.supervision.child import process_state
from appliance.supervision.leftovers import Lock, claim, sweep_strangers
from appliance.supervision.watch import INSIDE_S, Watch
from appliance.supervisor import POLL_S

from .conftest import NAMES, lives, until


def test_one_line_tells_that_it_is_ready(start, data):
    running = start()
    words = running.ready()
    assert words == {"http": "http://127.0.0.1:8600", "osc": "127.0.0.1:9000", "audio": "clock", "display": "offscreen",
                     "data": str(data)}
    until(lambda: "gen: gen has started" in running.said, what="lines of a process carry its name")


def test_killed_processes_are_back_at_once_and_values_outlive_them(start):
    running = start()
    running.ready()
    running.box.values.set("/mixer/crossfader", -0.25)
    for name in NAMES:
        old = until(lambda name=name: running.pid(name), what=name)
        others = {other: running.pid(other) for other in NAMES if other != name and running.pid(other)}
        os.kill(old, signal.SIGKILL)
        running.back(name, old)
        assert running.restarts(name) == 1
        assert f"{name} was ended by SIGKILL; it starts again now" in running.said
        assert all(running.pid(other) == pid for other, pid in others.items()), "the others go on"
    assert running.box.values.get("/mixer/crossfader") == -0.25


def test_a_stopped_engine_is_replaced(start):
    running = start()
    running.ready()
    old = running.pid("engine-a")
    os.kill(old, signal.SIGSTOP)
    running.back("engine-a", old)
    assert "engine-a was stopped and was killed" in running.said


def test_an_engine_that_stays_in_a_block_is_replaced(start):
    running = start(engine_a=["stuck"])
    running.ready()
    old = running.pid("engine-a")
    until(lambda: running.pid("engine-a") not in (0, old), 15, running.said)
    assert "has not come back from a block" in running.said


LOOPS = """
import threading
def loop():
    while True: pass
thread = threading.Thread(target=loop, daemon=True)
thread.start()
print("loops", flush=True)
thread.join()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a processor away with real-time priority")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="takes a processor away, and needs another to look on")
def test_an_engine_without_a_processor_is_left_alone_and_one_that_loops_is_not():
    """A thread at work whose processor is taken away, as a virtual machine's may be; then the same thread, with one again."""
    there, own = sorted(os.sched_getaffinity(0))[:2]
    mine = os.sched_getaffinity(0)
    engine = subprocess.Popen(["taskset", "-c", str(there), sys.executable, "-c", LOOPS], stdout=subprocess.PIPE)
    assert engine.stdout and engine.stdout.readline() == b"loops\n"
    thief = None
    try:
        os.sched_setaffinity(0, {own})
        thief = subprocess.Popen(["taskset", "-c", str(there), "chrt", "-f", "50", sys.executable, "-c", "while True: pass"])
        time.sleep(0.2)
        watch, entered_ns = Watch(), time.monotonic_ns()
        assert not any(watched_for(0.5, watch, entered_ns, engine.pid))
        thief.kill()
        thief.wait()
        assert any("has not come back" in fault for fault in watched_for(0.5, watch, entered_ns, engine.pid))
    finally:
        os.sched_setaffinity(0, mine)
        for process in filter(None, (engine, thief)):
            process.kill()
            process.wait()


def watched_for(seconds, watch, entered_ns, pid):
    """What the supervisor's looks at an engine in one and the same block tell."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        time.sleep(POLL_S)
        yield watch.inside(entered_ns, 0, INSIDE_S["jack"], POLL_S, pid)


def test_an_engine_that_is_called_no_more_is_left_alone(start):
    """That is the audio server's fault: killing the engine would not help."""
    running = start()
    running.ready()
    engine = running.box.engine(0)
    old = running.pid("control")
    os.kill(old, signal.SIGSTOP)  # meanwhile another process is watched, and killed after two seconds
    engine["left_ns"] = time.monotonic_ns() + 10**12
    running.back("control", old)
    assert running.restarts("engine-a") == 0


def test_a_silent_process_is_replaced(start):
    running = start()
    running.ready()
    old = until(lambda: running.pid("gen"))
    until(lambda: running.box.process("gen")["beat_ns"])
    os.kill(old, signal.SIGSTOP)
    running.back("gen", old)
    assert not lives(old)
    assert "gen was stopped and was killed" in running.said


def test_a_process_that_dies_again_and_again_waits_longer_each_time(start):
    running = start(gen=["dies"])
    running.ready()
    until(lambda: running.said.count("gen ended with exit status 3") >= 4, 15, running.said)
    waits = [line.rpartition("again ")[2] for line in running.said.splitlines() if "gen ended with exit status 3" in line]
    assert waits[:4] == ["now", "in 0.1 s", "in 0.2 s", "in 0.4 s"]


def test_stops_in_order_and_leaves_nothing(start, data):
    running = start(audio={"backend": "clock"})
    running.ready()
    until(lambda: all(running.pid(name) for name in NAMES))
    until(lambda: all(f"{name}: {name} has started" in running.said for name in NAMES))
    pids = [running.pid(name) for name in NAMES]
    assert running.stop() == 0
    order = [line.split()[1] for line in running.said.splitlines() if line.endswith("has stopped")]
    assert set(order[:2]) == {"visuals", "gen"}
    assert order[2:] == ["control", "engine-a"]
    assert not any(lives(pid) for pid in pids)
    assert not list(FOLDER.glob(f"{box_name(data)}-*"))
    assert not (data / "run" / "box.json").exists()


def test_who_does_not_stop_is_killed(start):
    running = start(gen=["deaf"], visuals=["deaf"])
    running.ready()
    until(lambda: all(f"{name}: {name} has started" in running.said for name in NAMES))
    assert running.stop() == 0
    assert "gen has not stopped within 1 s and was killed" in running.said


def test_what_a_process_had_started_goes_with_it(start):
    running = start(gen=["parent"])
    running.ready()
    until(lambda: "gen: gen has started" in running.said)
    gen = running.pid("gen")
    child = until(lambda: _children(gen))[0]
    os.kill(gen, signal.SIGKILL)
    until(lambda: not lives(child), what="the child of a killed process")


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def test_a_killed_supervisor_takes_all_with_it_and_the_next_one_sweeps(start, data):
    running = start()
    running.ready()
    until(lambda: all(running.pid(name) for name in NAMES))
    pids = [running.pid(name) for name in NAMES]
    running.process.kill()
    running.process.wait()
    until(lambda: not any(lives(pid) for pid in pids), 5, "processes left")
    assert list(FOLDER.glob(f"{box_name(data)}-*")), "nobody could have removed it"
    stray = FOLDER / f"{box_name(data)}-clip-7-1"
    stray.write_bytes(b"x")
    again = start()
    again.ready()
    assert not stray.exists()
    assert again.stop() == 0
    assert not list(FOLDER.glob(f"{box_name(data)}-*"))


def test_what_boxes_of_other_data_folders_left_is_swept_too(tmp_path):
    mine, gone, alive = (tmp_path / name for name in ("mine", "gone", "alive"))
    lock = Lock(alive)
    lock.take()
    for folder in (mine, gone, alive):
        claim(folder)
        (FOLDER / f"{box_name(folder)}-box").write_bytes(b"x")
    try:
        assert str(hub_path(gone).parent) in sweep_strangers(mine)
        assert not hub_path(gone).parent.exists() and not (FOLDER / f"{box_name(gone)}-box").exists()
        for folder in (mine, alive):
            assert hub_path(folder).parent.is_dir() and (FOLDER / f"{box_name(folder)}-box").exists()
    finally:
        lock.release()
        sweep_strangers(gone)
        sweep_strangers(mine)
    assert not hub_path(alive).parent.exists() and not hub_path(mine).parent.exists()


def test_a_process_that_outlived_a_killed_supervisor_is_found(start, data, tmp_path):
    """A process that got rid of the tie (a program with capabilities of its own does) is found by its record."""
    box_file = str(data / "run" / "box.json")
    orphan = subprocess.Popen(["sh", "-c", "sleep 1000; :", box_file], start_new_session=True)
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        (data / "run").mkdir(parents=True)
        (FOLDER / f"{box_name(data)}-processes").write_text(json.dumps({
            "gen": {"pid": orphan.pid, "start": process_state(orphan.pid)[1], "mark": box_file},
            "control": {"pid": stranger.pid, "start": process_state(stranger.pid)[1] - 1, "mark": box_file},
        }))
        running = start()
        running.ready()
        assert orphan.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None, "a stranger with the number of one of ours is left alone"
    finally:
        orphan.kill()
        stranger.kill()
        stranger.wait()


def test_a_second_box_on_the_same_data_is_refused(start):
    first = start()
    first.ready()
    old = first.pid("engine-a")
    second = start()
    assert second.process.wait(10) == 1
    refusals = [line for line in second.said.splitlines() if "already runs with the data folder" in line]
    assert len(refusals) == 1 and str(first.process.pid) in refusals[0]
    assert first.pid("engine-a") == old and lives(old)


def test_systemd_hears_of_it(start, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(10)
        running = start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"})
        heard = ""
        while "READY=1" not in heard or heard.count("WATCHDOG=1") < 3:
            heard += ear.recv(4096).decode() + "\n"
        assert "STATUS=plays; http://127.0.0.1:8600, OSC 127.0.0.1:9000, clock" in heard
        running.process.terminate()
        while "STOPPING=1" not in heard:
            heard += ear.recv(4096).decode() + "\n"
        running.process.wait(10)


def test_the_supervisor_needs_no_compiled_code():
    """It starts the others; a second of imports would be a second of silence."""
    code = "import sys, appliance.supervisor; raise SystemExit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
