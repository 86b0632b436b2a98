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
GROWN_S = 120.0
"""At that age a process has touched all that it needs."""
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
    """Of private memory: by how many percent the last third of the time stands above the first, in the middle of all pairs
    of samples of the same age (a young process has not yet touched all it needs) and with as many children. ``spread``: by
    how much that may be wrong. NaN where there are fewer than ten pairs."""

    role: str
    samples: int
    private_mb: float
    pss_mb: float
    percent: float
    spread: float = 0.0

    @property
    def surely(self) -> float:
        return self.percent - self.spread


def growth(samples: list[Sample], from_s: float = 120.0) -> list[Growth]:
    """Of each role."""
    found: list[Growth] = []
    for role in ROLES:
        ours = [s for s in samples if s.role == role and s.second >= from_s and s.age_s >= WARM_S]
        if ours:
            found.append(_growth(role, ours))
    return found


def _growth(role: str, samples: list[Sample]) -> Growth:
    begin, end = samples[0].second, samples[-1].second
    early = [s for s in samples if s.second <= begin + (end - begin) / 3]
    late = [s for s in samples if s.second >= end - (end - begin) / 3]
    apart = np.array([b.private_kb - a.private_kb for a in early for b in late if _alike(a, b)], float)
    private_kb = float(np.median([s.private_kb for s in samples]))
    percent = spread = float("nan")
    if len(apart) >= 10:
        low, middle, high = np.percentile(apart, [25, 50, 75])
        percent = 100.0 * float(middle) / private_kb
        spread = 150.0 * float(high - low) / private_kb / float(np.sqrt(min(_looks(early), _looks(late))))
    pss_mb = float(np.median([s.pss_kb for s in samples])) / 1000
    return Growth(role, len(samples), private_kb / 1000, pss_mb, percent, spread)


def _alike(a: Sample, b: Sample) -> bool:
    return a.processes == b.processes and abs(min(a.age_s, GROWN_S) - min(b.age_s, GROWN_S)) <= 2 * EVERY_S


def _looks(samples: list[Sample]) -> float:
    """How many of them tell something new: one a life, or one a minute of a long one."""
    return max(len({s.pid for s in samples}), len(samples) * EVERY_S / 60, 1.0)
