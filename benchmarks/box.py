# SPDX-License-Identifier: GPL-3.0-or-later
"""The box as a whole: how soon it plays, how soon a killed process is back, what it costs when nobody touches it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from appliance.bus.box import Box, Role
from appliance.bus.hub import HubClient
from benchmarks.report import Row

IDLE_S = 10.0
NAMES = ("engine-a", "control", "gen", "visuals")
BACK_S = {"engine-a": 1.5, "control": 2.0, "gen": 2.0, "visuals": 2.0}
HUNG_BACK_S = 4.0
PATIENCE_S = 60.0


def rows() -> Iterator[Row]:
    """Starts a box of its own in a temporary folder, with a JACK server of its own where there is one to be had."""
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as folder:
        began = time.monotonic()
        process = start_box(Path(folder), "gen: {look_ahead_cpu: 0}  # idle is when everything is ready\n")
        try:
            yield Row("start_to_sound_s", time.monotonic() - began, "s", 4.0)
            box = Box.attach(Path(folder))
            yield from _pads(box, began)
            _wait(lambda: all(int(box.process(name)["role"]) in (2, 3, 4) for name in NAMES))
            for name in NAMES:
                yield Row(f"{name.removesuffix('-a')}_back_s", _kill(box, name), "s", BACK_S[name])
            for name in NAMES[1:]:
                yield Row(f"{name}_hung_back_s", _kill(box, name, signal.SIGSTOP), "s", HUNG_BACK_S)
            yield from _picture(box)
            yield Row("engine_hung_to_killed_ms", max(_hang(box) for _ in range(5)) * 1e3, "ms", 100.0)
            _wait(lambda: all(int(box.process(name)["role"]) in (2, 3, 4) for name in NAMES))
            time.sleep(5)
            yield from _idle(box, process.pid)
            began = time.monotonic()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        yield Row("stop_s", time.monotonic() - began, "s", 5.0)


def start_box(data: Path, more: str = "", *, jack: bool = True) -> subprocess.Popen[str]:
    """A box in ``data`` that is ready, on a JACK server of its own, ``bench-PID`` with our number, where one can be had and is
    wanted. ``more``: further lines of its config."""
    config = data / "bench.yaml"
    config.write_text("safe: {crashes: 0}  # they are killed more often than that\n" + more)
    jack = jack and shutil.which("jackd") is not None
    audio = ["--audio", "jack", "--jack-server", f"bench-{os.getpid()}"] if jack else ["--audio", "clock"]
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "run", "--config", str(config), *audio, "--display", "none",
         "--http", "127.0.0.1:0", "--osc", "127.0.0.1:0", "--data", str(data)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    if process.stdout is None or not process.stdout.readline().startswith("ready "):
        raise RuntimeError(f"the box did not start (exit status {process.poll()}); `appliance doctor` may know why")
    return process


def _pads(box: Box, began: float) -> Iterator[Row]:
    """A pad is playable when the engine has its clip."""
    for count, name, limit in ((1, "first_pad_s", 3.0), (16, "first_pads_s", 10.0)):
        _wait(lambda count=count: int((box.telemetry.snapshot()["pad"]["clip"][:16] > 0).sum()) >= count)
        yield Row(name, time.monotonic() - began, "s", limit)


def _kill(box: Box, name: str, number: int = signal.SIGKILL) -> float:
    """Seconds from the signal until the process that replaces it beats, or renders."""
    row, engine = box.process(name), box.engine(0)
    old = int(row["pid"])
    os.kill(old, number)
    began = time.monotonic()
    _wait(lambda: int(row["pid"]) not in (0, old))
    if name == "engine-a":
        cycles = int(engine["cycles"])
        _wait(lambda: int(engine["ready"]) and int(engine["cycles"]) > cycles)
    else:
        _wait(lambda: int(row["beat_ns"]))
    return time.monotonic() - began


def _picture(box: Box) -> Iterator[Row]:
    """Seconds from SIGKILL of visuals until the logo, and until the scene, is on the output again."""
    seen: list[tuple[float, dict[str, Any]]] = []

    async def watch() -> None:
        hub = HubClient(box.hub_path, "bench")
        hub.watch("/visuals/state", lambda _, value: seen.append((time.monotonic(), value)))
        await hub.start()
        await hub.connected(10)
        await asyncio.sleep(0.2)
        seen.clear()
        os.kill(int(box.process("visuals")["pid"]), signal.SIGKILL)
        began = time.monotonic()
        while not any(state.get("scene") not in ("", "logo") for _, state in seen) and time.monotonic() < began + PATIENCE_S:
            await asyncio.sleep(0.01)
        seen[:] = [(at - began, state) for at, state in seen]
        await hub.stop()

    asyncio.run(watch())
    yield Row("visuals_logo_s", min((at for at, state in seen if state.get("output") != "none"), default=PATIENCE_S), "s", 2.0)
    shown = (at for at, state in seen if state.get("scene") not in ("", "logo"))
    yield Row("visuals_scene_s", min(shown, default=PATIENCE_S), "s", 6.0)


def _hang(box: Box) -> float:
    """Seconds from SIGSTOP of the engine until it is gone; waits until the next one plays."""
    row, engine = box.process("engine-a"), box.engine(0)
    old = int(row["pid"])
    os.kill(old, signal.SIGSTOP)
    began = time.monotonic()
    _wait(lambda: int(row["pid"]) != old, 0.001)
    gone_s = time.monotonic() - began
    _wait(lambda: int(row["pid"]) not in (0, old) and int(engine["ready"]) and int(row["role"]) in (Role.PLAYING, Role.STANDBY))
    return gone_s


def _idle(box: Box, supervisor: int) -> Iterator[Row]:
    """CPU time of all processes, and the memory that is the engine's alone or its share (PSS)."""
    pids = {name: int(box.process(name)["pid"]) for name in NAMES} | {"supervisor": supervisor}
    before = {name: _cpu_s(pid) for name, pid in pids.items()}
    time.sleep(IDLE_S)
    share = {name: (_cpu_s(pid) - before[name]) / IDLE_S * 100 for name, pid in pids.items()}
    yield Row("idle_without_visuals_pct", sum(share.values()) - share["visuals"], "% of a core", 10.0)
    yield Row("idle_supervisor_pct", share["supervisor"], "% of a core", 1.0)
    yield Row("idle_visuals_pct", share["visuals"], "% of a core")
    yield Row("engine_pss_mb", _pss_mb(pids["engine-a"]), "MB", 250.0)


def _cpu_s(pid: int) -> float:
    """CPU time of all threads to the nanosecond; the ticks of ``stat`` count a thread that wakes with the timer too often."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def _pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def _wait(true: Callable[[], object], pause_s: float = 0.005) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing within {PATIENCE_S:g} s")
        time.sleep(pause_s)
