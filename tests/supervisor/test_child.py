# SPDX-License-Identifier: GPL-3.0-or-later
"""A process under the supervisor: its threads hurry while it starts again, and stand back when it is there."""

from __future__ import annotations

import os
import selectors
import sys
import time
from pathlib import Path

import pytest

from appliance.supervision.child import HURRY, Child
from appliance.supervision.journal import Journal

THREADS = """
import os, threading, time
def modest():
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 12)
    time.sleep(60)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
threading.Thread(target=modest, daemon=True).start()
print("there", flush=True)
time.sleep(60)
"""


def niceness(pid: int) -> list[int]:
    return sorted(os.getpriority(os.PRIO_PROCESS, int(path.name)) for path in Path(f"/proc/{pid}/task").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may go below 0")
def test_all_threads_stand_back_when_it_is_there() -> None:
    with selectors.DefaultSelector() as selector:
        child = Child("visuals", selector, 5, starts=1)
        child.start([sys.executable, "-c", THREADS], os.environ)
        try:
            end = time.monotonic() + 10
            while time.monotonic() < end and niceness(child.pid) != [HURRY, HURRY, 12]:
                time.sleep(0.01)
            assert niceness(child.pid) == [HURRY, HURRY, 12]
            child.settle()
            assert niceness(child.pid) == [5, 5, 12], "who has chosen keeps it"
        finally:
            child.reap(Journal())
