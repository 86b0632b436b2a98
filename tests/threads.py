# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells of an engine's audio thread."""

from __future__ import annotations

import time
from pathlib import Path

FIFO = 1


def _fields(pid: int, thread: int) -> list[str]:
    """The fields of ``/proc/PID/task/TID/stat`` from the third on (see proc(5))."""
    return Path(f"/proc/{pid}/task/{thread}/stat").read_text().rsplit(")", 1)[1].split()


def audio_thread(pid: int) -> int:
    """The thread that renders: the one with real-time priority, else the busiest beside the main one."""
    time.sleep(1.0)
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid]
    real_time = [thread for thread in threads if int(_fields(pid, thread)[38]) == FIFO]
    return real_time[0] if real_time else max(threads, key=lambda t: sum(map(int, _fields(pid, t)[11:13])))


def page_faults(pid: int, thread: int) -> int:
    """Minor and major page faults of a thread since it began."""
    fields = _fields(pid, thread)
    return int(fields[7]) + int(fields[9])
