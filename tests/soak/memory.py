# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory the processes of the box hold, over time.

A process that was just started has not touched all it needs, so a sample counts from ``WARM_S`` after its start. What is
shared is shared out to those who map it (PSS), so the sum over all processes is the box; restarted processes stand under
their role. """

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.soak.stage import Stage

EVERY_S = 5.0
WARM_S = 15.0
ROLES = ("engine-a", "engine-b", "control", "gen", "visuals", "supervisor")


@dataclass(frozen=True)
class Sample:
    """``private_kb``: anonymous memory; ``pss_kb``: with the share of what is mapped; with those that it has started."""

    second: float
    role: str
    pid: int
    age_s: float
    pss_kb: int
    private_kb: int


def pss_of(pid: int) -> tuple[int, int]:
    """``(PSS, anonymous)`` in kB of a process and its children; zeros when it is gone."""
    total = np.zeros(2, np.int64)
    with contextlib.suppress(OSError, ValueError):
        rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        total += [int(rows[name].split()[0]) for name in ("Pss", "Pss_Anon")]
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            total += pss_of(int(child))
    return int(total[0]), int(total[1])


class MemoryWatch:
    """Samples until it is closed."""

    def __init__(self, stage: Stage) -> None:
        self.samples: list[Sample] = []
        self._stage = stage
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    def close(self) -> list[Sample]:
        self._stop.set()
        self._thread.join(10)
        return self.samples

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            for role in ROLES:
                row = self._stage.box.process(role)
                pid, started = int(row["pid"]), int(row["started_ns"])
                if not pid:
                    continue
                pss, private = (pss_of(pid) if role != "supervisor" else _alone(pid))
                if pss:
                    age = (time.monotonic_ns() - started) / 1e9
                    self.samples.append(Sample(time.monotonic() - self._began, role, pid, age, pss, private))


def _alone(pid: int) -> tuple[int, int]:
    """The supervisor's children are the other roles."""
    with contextlib.suppress(OSError, ValueError):
        rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        return int(rows["Pss"].split()[0]), int(rows["Pss_Anon"].split()[0])
    return 0, 0


@dataclass(frozen=True)
class Growth:
    """``percent`` from ``from_s`` to the end by the median slope (Theil and Sen); NaN with fewer than ten samples."""

    role: str
    samples: int
    private_mb: float
    pss_mb: float
    percent: float


def growth(samples: list[Sample], from_s: float = 120.0) -> list[Growth]:
    """Of each role, and last of all of them together."""
    found: list[Growth] = []
    for role in ROLES:
        ours = [s for s in samples if s.role == role and s.second >= from_s and s.age_s >= WARM_S]
        if ours:
            found.append(_growth(role, np.array([s.second for s in ours]), np.array([s.private_kb for s in ours]),
                                 np.array([s.pss_kb for s in ours])))
    return found


def _growth(role: str, seconds: np.ndarray, private_kb: np.ndarray, pss_kb: np.ndarray) -> Growth:
    percent = float("nan")
    if len(seconds) >= 10:
        i, j = np.triu_indices(len(seconds), 1)
        apart = seconds[j] - seconds[i] > 10
        slopes = (private_kb[j] - private_kb[i])[apart] / (seconds[j] - seconds[i])[apart]
        slope = float(np.median(slopes)) if len(slopes) else 0.0
        percent = 100.0 * slope * (seconds[-1] - seconds[0]) / max(float(np.median(private_kb)), 1.0)
    return Growth(role, len(seconds), float(np.median(private_kb)) / 1000, float(np.median(pss_kb)) / 1000, percent)
