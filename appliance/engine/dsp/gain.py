# SPDX-License-Identifier: GPL-3.0-or-later
"""Buffers times smoothed gains. ``at`` counts within the cell, so that a gain is the same however the cell is cut."""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.engine.jit import kernel


@kernel
def scale(buffer: np.ndarray, at: int, count: int, control: Any) -> None:
    """Multiply ``count`` frames from ``at`` with a GLIDE, in place."""
    now, step = control.now, control.step
    if now == 1.0 and step == 0.0:
        return
    for i in range(at, at + count):
        buffer[i] *= np.float32(now + step * (i + 1))


@kernel
def add_scaled(source: np.ndarray, target: np.ndarray, at: int, shift: int, count: int, control: Any) -> None:
    """Add ``source`` from ``at`` on, times a GLIDE, to ``target`` from ``at + shift`` on."""
    now, step = control.now, control.step
    for i in range(at, at + count):
        target[i + shift] += source[i] * np.float32(now + step * (i + 1))


@kernel
def peak_scaled(buffer: np.ndarray, at: int, count: int, control: Any, peak: float) -> float:
    """The larger of ``peak`` and the loudest frame times a GLIDE."""
    now, step = control.now, control.step
    loudest = np.float32(peak)
    for i in range(at, at + count):
        loudest = max(loudest, abs(buffer[i] * np.float32(now + step * (i + 1))))
    return np.float64(loudest)


@kernel
def clear(buffer: np.ndarray, at: int, count: int) -> None:
    for i in range(at, at + count):
        buffer[i] = np.float32(0.0)
