# SPDX-License-Identifier: GPL-3.0-or-later
"""Did the machine stand still? On every core a thread above all audio priorities sleeps half a millisecond, again and
again, and notes when it is woken too late. Nothing of the box can keep it waiting: only the machine can (a virtual one,
whose core was taken away)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

import numpy as np

from appliance.bus.atomic import load_acquire, pointer, store_release
from appliance.bus.lean import carray, njit, types

_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))
_sleep = types.ExternalFunction("clock_nanosleep", types.int32(types.int32, types.int32, types.intp, types.intp))

EVERY_NS = 500_000
LATE_NS = 1_000_000
"""More than a third of a period of 128 frames: enough to make a block late."""
MOST = 1 << 16
PRIORITY = 95
BEFORE_NS = 12_000_000
"""JACK hears of a stall up to a few cycles later."""
SHORT_FRAMES = 512
_MONOTONIC, _ABSOLUTE = 1, 1


@njit(types.void(types.intp), nogil=True, cache=True, error_model="numpy")
def _watch(context):
    # words: 0 stop, 1 count, 2 3 timespec, 4 address of rows (time it should have woken, ns late), 5 ns between two looks
    x = carray(pointer(context), (8,), np.int64)
    rows = carray(pointer(x[4]), (MOST, 2), np.int64)
    _gettime(_MONOTONIC, context + 16)
    due = x[2] * 1_000_000_000 + x[3]
    while load_acquire(context) == 0:
        due += x[5]
        x[2] = due // 1_000_000_000
        x[3] = due % 1_000_000_000
        _sleep(_MONOTONIC, _ABSOLUTE, context + 16, 0)
        _gettime(_MONOTONIC, context + 16)
        now = x[2] * 1_000_000_000 + x[3]
        if now - due > LATE_NS:
            rows[x[1] & (MOST - 1), 0] = due
            rows[x[1] & (MOST - 1), 1] = now - due
            store_release(context + 8, x[1] + 1)
            due = now


class Stalls:
    """Watches from its making to :meth:`write`, every ``every_ns``. Without the right to real-time priority it watches nothing:
    it would cry wolf."""

    def __init__(self, every_ns: int = EVERY_NS) -> None:
        self._words: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._threads: list[threading.Thread] = []
        for core in sorted(os.sched_getaffinity(0)):
            words, rows = np.zeros(8, np.int64), np.ones((MOST, 2), np.int64)
            words[4], words[5] = rows.ctypes.data, every_ns
            thread = threading.Thread(target=self._run, args=(core, words), name=f"core {core}", daemon=True)
            self._words.append(words)
            self._rows.append(rows)
            self._threads.append(thread)
            thread.start()

    @staticmethod
    def _run(core: int, words: np.ndarray) -> None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {core})
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
            _watch(words.ctypes.data)

    def close(self) -> None:
        for words in self._words:
            words[0] = 1
        for thread in self._threads:
            thread.join(2)

    def since(self, began_ns: int) -> np.ndarray:
        """How late each core was woken since the monotonic ``began_ns``, in ns; of all cores together."""
        kept = [rows[: min(int(words[1]), MOST)]
                for words, rows in zip(self._words, self._rows, strict=True)]
        return np.concatenate([rows[rows[:, 0] >= began_ns, 1] for rows in kept])

    def write(self, path: Path) -> None:
        """End, and write the stalls: lines of core, monotonic ns, ns late."""
        self.close()
        lines = [f"{core} {when} {late}\n" for core, (words, rows) in enumerate(zip(self._words, self._rows, strict=True))
                 for when, late in rows[: min(int(words[1]), MOST)]]
        path.write_text("".join(lines))


def fork_stalls(path: Path) -> int:
    """Watch in a process of its own until SIGTERM, then write; returns its number."""
    child = os.fork()
    if child:
        return child
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stalls = Stalls()
    while not stop.wait(0.1) and os.getppid() > 1:
        pass
    stalls.write(path)
    os._exit(0)


def read_stalls(path: Path) -> np.ndarray:
    """Rows of when a core stood still and when it went on, monotonic ns; in the order of time."""
    if not path.exists():
        return np.zeros((0, 2), np.int64)
    rows = np.array([tuple(map(int, line.split())) for line in path.read_text().splitlines()], np.int64).reshape(-1, 3)
    found = np.stack([rows[:, 1], rows[:, 1] + rows[:, 2]], 1)
    return found[np.argsort(found[:, 0])]


def frames_lost(began_ns: int, ended_ns: int, stalls: np.ndarray) -> int:
    """How long a disturbance may be for ``stalls`` (see :func:`read_stalls`) to be its cause; 0: none was near."""
    near = stalls[(stalls[:, 0] <= ended_ns) & (stalls[:, 1] >= began_ns - BEFORE_NS)]
    return SHORT_FRAMES + int(3 * 48e-6 * float((near[:, 1] - near[:, 0]).sum())) if len(near) else 0


def share_still(began_ns: int, ended_ns: int, stalls: np.ndarray) -> float:
    """Share of the cores' time between two moments in which they stood still (see :func:`read_stalls`), 0 … 1."""
    inside = np.minimum(stalls[:, 1], ended_ns) - np.maximum(stalls[:, 0], began_ns)
    cores = len(os.sched_getaffinity(0))
    return float(np.maximum(inside, 0).sum()) / max((ended_ns - began_ns) * cores, 1)
