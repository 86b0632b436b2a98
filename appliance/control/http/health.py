# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the box well? From the process table and the engine's last sign of life; reasons in plain words when it is not."""

from __future__ import annotations

import time
from typing import Any

from appliance.bus.box import Box, Role
from appliance.bus.safeform import safe_form

ENGINES = ("engine-a", "engine-b")
SILENT_S = 2.0
"""A process that has not beaten for so long counts as hung; an engine that told nothing for so long does not play."""


def health(box: Box) -> tuple[bool, dict[str, Any]]:
    """Whether all is well, and what ``/healthz`` answers. ``warnings`` are what the show goes on without."""
    reasons: list[str] = []
    warnings: list[str] = []
    processes: dict[str, Any] = {}
    now_ns = time.monotonic_ns()
    for name in _expected(box):
        row = box.process(name)
        pid, beat_ns, role = int(row["pid"]), int(row["beat_ns"]), _role(int(row["role"]))
        safe = int(row["safe"])
        processes[name] = {"pid": pid, "role": role, "restarts": int(row["restarts"]), "safe": safe}
        if safe:
            warnings.append(f"{name} runs in its safe form after crashes: {safe_form(name, safe)}")
        if name in ENGINES:
            continue
        if not pid:
            reasons.append(f"{name} is not running ({role}); the supervisor starts it again")
        elif beat_ns and now_ns - beat_ns > SILENT_S * 1e9:
            reasons.append(f"{name} has not answered for {(now_ns - beat_ns) / 1e9:.1f} s; the supervisor starts it again")
    told_ns = int(box.telemetry.snapshot()["clock"]["monotonic_ns"])
    if now_ns - told_ns > SILENT_S * 1e9:
        reasons.append("the engine does not play: see `appliance status` and the audio server")
    _judge_engines(box, reasons, warnings, now_ns)
    audio = box.audio
    if box.config.audio.backend == "jack" and audio == "clock":
        warnings.append("there is no audio server: the engine paces itself by the clock and is not heard")
    return not reasons, {"ok": not reasons, "reasons": reasons, "warnings": warnings, "audio": audio, "processes": processes}


def _judge_engines(box: Box, reasons: list[str], warnings: list[str], now_ns: int) -> None:
    """One engine that plays is enough; that the other is missing is worth a word."""
    faults: list[str] = []
    wanted = [name for name in ENGINES if name in _expected(box)]
    for name in wanted:
        row = box.process(name)
        pid, beat_ns = int(row["pid"]), int(row["beat_ns"])
        if not pid:
            faults.append(f"{name} is not running ({_role(int(row['role']))}); the supervisor starts it again")
        elif beat_ns and now_ns - beat_ns > SILENT_S * 1e9:
            faults.append(f"{name} has not answered for {(now_ns - beat_ns) / 1e9:.1f} s; the supervisor starts it again")
    (reasons if len(faults) == len(wanted) else warnings).extend(faults)


def _expected(box: Box) -> list[str]:
    standby = box.process("engine-b")
    names = ["engine-a", *(["engine-b"] if int(standby["started_ns"]) else []), "control"]
    if box.config.gen.enabled:
        names.append("gen")
    if box.config.visuals.enabled:
        names.append("visuals")
    return names


def _role(number: int) -> str:
    return Role(number).name.lower() if number in set(Role) else str(number)
