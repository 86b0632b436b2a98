# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps freed memory in the process: numpy's large arrays otherwise go back to the system and cost page faults again.

On a virtual machine that was more than a third of all time spent on a loop.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_memory(megabytes: int = 256) -> bool:
    """Let malloc keep up to ``megabytes`` of freed memory. For workers; False where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    done = mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
    done &= mallopt(_M_TRIM_THRESHOLD, megabytes * 2**20)
    done &= mallopt(_M_TOP_PAD, 16 * 2**20)
    return bool(done)
