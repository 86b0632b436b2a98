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
    processes: int
    pss_kb: int
    private_kb: int


def memory_of(pid: int, *, children: bool) -> np.ndarray:
    """Processes, PSS and anonymous memory in kB of a process (and of those that it has started); zeros when it is gone."""
    total = np.zeros(3, np.int64)
    with contextlib.suppress(OSError, ValueError):
        rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        total += [1, *(int(rows[name].split()[0]) for name in ("Pss", "Pss_Anon"))]
    if children:
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                total += memory_of(int(child), children=True)
    return total


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
                # the supervisor's children are the other roles
                processes, pss, private = memory_of(pid, children=role != "supervisor").tolist()
                if pss:
                    age_s = (time.monotonic_ns() - started) / 1e9
                    self.samples.append(Sample(time.monotonic() - self._began, role, pid, age_s, processes, pss, private))


@dataclass(frozen=True)
class Growth:
    """Of private memory. ``percent`` from ``from_s`` to the end, by the median slope (Theil and Sen) between any two
    samples of one and the same process with as many children; NaN with fewer than ten such pairs."""

    role: str
    samples: int
    private_mb: float
    pss_mb: float
    percent: float


def growth(samples: list[Sample], from_s: float = 120.0) -> list[Growth]:
    """Of each role."""
    found: list[Growth] = []
    for role in ROLES:
        ours = [s for s in samples if s.role == role and s.second >= from_s and s.age_s >= WARM_S]
        if ours:
            found.append(_growth(role, ours))
    return found


def _growth(role: str, samples: list[Sample]) -> Growth:
    second, private_kb = np.array([s.second for s in samples]), np.array([s.private_kb for s in samples])
    same = np.unique([(s.pid, s.processes) for s in samples], axis=0, return_inverse=True)[1].reshape(-1)
    i, j = np.triu_indices(len(samples), 1)
    pairs = (same[i] == same[j]) & (second[j] - second[i] > 2 * EVERY_S)
    percent = float("nan")
    if pairs.sum() >= 10:
        slope = float(np.median((private_kb[j] - private_kb[i])[pairs] / (second[j] - second[i])[pairs]))
        percent = 100.0 * slope * float(second[-1] - second[0]) / max(float(np.median(private_kb)), 1.0)
    pss_mb = float(np.median([s.pss_kb for s in samples])) / 1000
    return Growth(role, len(samples), float(np.median(private_kb)) / 1000, pss_mb, percent)
