# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the box well? From the process table and the engine's last sign of life; reasons in plain words when it is not."""

from __future__ import annotations

import time
from typing import Any

from appliance.bus.box import Box, Role

SILENT_S = 2.0
"""A process that has not beaten for so long counts as hung; an engine that told nothing for so long does not play."""


def health(box: Box) -> tuple[bool, dict[str, Any]]:
    """Whether all is well, and what ``/healthz`` answers."""
    reasons: list[str] = []
    processes: dict[str, Any] = {}
    now_ns = time.monotonic_ns()
    for name in _expected(box):
        row = box.process(name)
        pid, beat_ns, role = int(row["pid"]), int(row["beat_ns"]), _role(int(row["role"]))
        processes[name] = {"pid": pid, "role": role, "restarts": int(row["restarts"])}
        if not pid:
            reasons.append(f"{name} is not running ({role}); the supervisor starts it again")
        elif beat_ns and now_ns - beat_ns > SILENT_S * 1e9:
            reasons.append(f"{name} has not answered for {(now_ns - beat_ns) / 1e9:.1f} s; the supervisor starts it again")
    told_ns = int(box.telemetry.snapshot()["clock"]["monotonic_ns"])
    if now_ns - told_ns > SILENT_S * 1e9:
        reasons.append("the engine does not play: see `appliance status` and the audio server")
    return not reasons, {"ok": not reasons, "reasons": reasons, "processes": processes}


def _expected(box: Box) -> list[str]:
    names = ["engine-a", "control"]
    if int(box.process("engine-b")["pid"]):
        names.insert(1, "engine-b")
    if box.config.gen.enabled:
        names.append("gen")
    if box.config.visuals.enabled:
        names.append("visuals")
    return names


def _role(number: int) -> str:
    return Role(number).name.lower() if number in set(Role) else str(number)
