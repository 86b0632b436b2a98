# SPDX-License-Identifier: GPL-3.0-or-later
"""Buffers times smoothed gains. ``at`` counts within the cell, so that a gain is the same however the cell is cut.

Loops run over slices from 0: with an index that could be negative the compiler would not use the vector units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from appliance.bus.atomic import pointer
from appliance.engine.jit import kernel


@kernel
def scale(buffer: np.ndarray, at: int, shift: int, count: int, control: Any) -> None:
    """Multiply ``count`` frames from ``at + shift`` with a GLIDE, in place."""
    now, step = control.now, control.step
    if now == 1.0 and step == 0.0:
        return
    span = buffer[at + shift : at + shift + count]
    if step == 0.0:
        gain = np.float32(now)
        for i in range(count):
            span[i] *= gain
        return
    for i in range(count):
        span[i] *= np.float32(now + step * (at + i + 1))


@kernel
def add_scaled(source: np.ndarray, target: np.ndarray, at: int, shift: int, count: int, control: Any) -> None:
    """Add ``source`` from ``at`` on, times a GLIDE, to ``target`` from ``at + shift`` on."""
    now, step = control.now, control.step
    here, there = source[at : at + count], target[at + shift : at + shift + count]
    if step == 0.0:
        gain = np.float32(now)
        for i in range(count):
            there[i] += here[i] * gain
        return
    for i in range(count):
        there[i] += here[i] * np.float32(now + step * (at + i + 1))


@kernel
def peak_scaled(buffer: np.ndarray, at: int, count: int, control: Any, peak: float) -> float:
    """The larger of ``peak`` and the loudest frame times the most that a GLIDE reaches in this cell."""
    return max(peak, loudest(buffer, at, count) * max(control.now, control.end))


@kernel
def loudest(buffer: np.ndarray, at: int, count: int) -> float:
    """The peak of ``count`` frames from ``at``."""
    bits = carray(pointer(buffer.ctypes.data + 4 * at), (count,), np.int32)
    highest = np.int32(0)
    for i in range(count):  # sizes of floats are ordered as their bits are, and whole numbers can be compared many at a time
        highest = max(highest, bits[i] & np.int32(0x7FFFFFFF))
    return np.float64(np.int32(highest).view(np.float32))


@kernel
def clear(buffer: np.ndarray, at: int, count: int) -> None:
    span = buffer[at : at + count]
    for i in range(count):
        span[i] = np.float32(0.0)
