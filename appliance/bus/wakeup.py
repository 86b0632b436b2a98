# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a word of the shared memory to change, without looking at it again and again (futex(2) of Linux).

Never on the audio thread. The lower half of the word counts, so a word that is only counted up serves.
"""

from __future__ import annotations

import ctypes
import platform
import time

_SYSCALL = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0)
_WAIT, _WAKE = 0, 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_HALF = 0xFFFFFFFF
_POLL_S = 0.008
"""On a machine whose number of the system call is not known here."""


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def wait(address: int, seen: int, seconds: float) -> None:
    """Return when the word at ``address`` is no longer ``seen`` and somebody has called :func:`wake`, or after ``seconds``."""
    if not _SYSCALL:
        time.sleep(min(seconds, _POLL_S))
        return
    timeout = _Timespec(int(seconds), int(seconds % 1 * 1e9))
    _LIBC.syscall(ctypes.c_long(_SYSCALL), ctypes.c_void_p(address), ctypes.c_long(_WAIT), ctypes.c_uint32(seen & _HALF),
                  ctypes.byref(timeout), None, ctypes.c_long(0))


def wake(address: int) -> None:
    """Wake whoever waits for the word, in all processes."""
    if _SYSCALL:
        _LIBC.syscall(ctypes.c_long(_SYSCALL), ctypes.c_void_p(address), ctypes.c_long(_WAKE), ctypes.c_uint32(0x7FFFFFFF),
                      None, None, ctypes.c_long(0))
