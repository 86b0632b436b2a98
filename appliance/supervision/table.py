# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shared memory tells of a running box: its processes, its clock, its late blocks."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from appliance.bus import layout
from appliance.bus.box import Box, Role
from appliance.errors import Unavailable
from appliance.supervision.child import process_state

SHOWN = ("engine-a", "engine-b", "control", "gen", "visuals")


def status(box: Box) -> dict[str, Any]:
    """Processes, clock and late blocks. Raises :class:`Unavailable` when the box's supervisor is gone."""
    supervisor = box.process("supervisor")
    if process_state(int(supervisor["pid"]))[0] in ("", "Z", "X"):
        raise Unavailable(f"the box with the data folder {box.data} has been killed; start it again with `appliance run`")
    now_ns = time.monotonic_ns()
    processes = [_process(name, box.process(name), now_ns) for name in SHOWN
                 if int(box.process(name)["started_ns"]) or int(box.process(name)["role"])]
    telemetry = _telemetry(box)
    clock = telemetry["clock"]
    engines = [box.engine(i) for i in range(layout.ENGINES)]
    return {
        "data": str(box.data),
        "supervisor": {"pid": int(supervisor["pid"]), "uptime_s": _seconds(supervisor["started_ns"], now_ns)},
        "processes": processes,
        "clock": {"play": bool(clock["running"]), "bpm": round(float(clock["bpm"]), 3), "bar": int(clock["bar"]),
                  "beat": int(clock["beat_in_bar"]), "position": round(float(clock["beat"]), 3)},
        "audio": {"server": box.audio, "rate": float(box.record["rate"][0]), "period": int(box.record["period"][0]),
                  "load_pct": round(float(telemetry["system"]["load_pct"]), 2)},
        "overruns": sum(int(engine["overruns"]) for engine in engines),
        "xruns": sum(int(engine["xruns"]) for engine in engines),
    }


def _process(name: str, row: Any, now_ns: int) -> dict[str, Any]:
    pid = int(row["pid"])
    return {"name": name, "pid": pid, "role": Role(int(row["role"])).name.lower(), "restarts": int(row["restarts"]),
            "safe": int(row["safe"]), "uptime_s": _seconds(row["started_ns"], now_ns) if pid else 0.0}


def _seconds(since_ns: Any, now_ns: int) -> float:
    return round((now_ns - int(since_ns)) / 1e9, 1)


def _telemetry(box: Box) -> Any:
    """One snapshot of telemetry, read without compiled code: copied until the sequence word stood still (64 tries)."""
    words = box.segment.view(np.int64, layout.TELEMETRY.itemsize // 8, layout.offset("telemetry"))
    copy = words.copy()
    for _ in range(64):
        if not copy[0] & 1 and words[0] == copy[0]:
            break
        copy = words.copy()
    return copy.view(layout.TELEMETRY)[0]
