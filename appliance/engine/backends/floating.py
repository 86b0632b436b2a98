# SPDX-License-Identifier: GPL-3.0-or-later
"""Denormal numbers as zero, for the calling thread: a filter that fades into them would cost many times as much.

Set through the C library's ``fegetenv``/``fesetenv``: on x86-64 the word MXCSR stands at byte 28 of the environment, on
AArch64 FPCR at byte 0. Every thread that renders sets it, the offline one too, so that all give the same bits.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator

import numpy as np
from numba import carray, types

from appliance.bus.atomic import pointer
from appliance.engine.jit import kernel

_get = types.ExternalFunction("fegetenv", types.int32(types.intp))
_set = types.ExternalFunction("fesetenv", types.int32(types.intp))

_ARM = platform.machine() == "aarch64"
_WORD = 0 if _ARM else 7
_BITS = (1 << 24) if _ARM else 0x8040


@kernel
def flush_denormals_at(environment: int) -> None:
    """Switch flush-to-zero on for this thread; ``environment`` is the address of 64 spare bytes."""
    words = carray(pointer(environment), (16,), np.uint32)
    _get(environment)
    words[_WORD] = np.uint32(words[_WORD] | np.uint32(_BITS))
    _set(environment)


@kernel
def read_environment(environment: int) -> None:
    _get(environment)


@kernel
def write_environment(environment: int) -> None:
    _set(environment)


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """The same from Python, for the calling thread and the length of a block: other arithmetic wants its denormals."""
    before = np.zeros(64, np.uint32)
    working = np.zeros(16, np.uint32)
    read_environment(before.ctypes.data)
    flush_denormals_at(working.ctypes.data)
    try:
        yield
    finally:
        write_environment(before.ctypes.data)
