# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps freed memory in the process while it works: numpy's large arrays otherwise go back to the system and cost page faults
again. On a virtual machine that was more than a third of all time spent on a loop. At rest it is given back.
"""

from __future__ import annotations

import contextlib
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


def give_back() -> None:
    """Return freed memory to the system; where the C library cannot, nothing happens."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
