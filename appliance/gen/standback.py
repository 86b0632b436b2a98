# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker stands back: it computes and reads when nobody else wants to."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform

NICE = 10
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_WHO_PROCESS = 1
_IDLE_CLASS = 3 << 13


def stand_back() -> None:
    """Low priority, long turns that begin last (SCHED_BATCH), and the idle class of input and output, where that is known."""
    os.setpriority(os.PRIO_PROCESS, 0, max(os.getpriority(os.PRIO_PROCESS, 0), NICE))
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).syscall(number, _WHO_PROCESS, 0, _IDLE_CLASS)
