# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop point: whether a step or a kink is heard there, and what takes it out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
_GLIDES_MS = ((2.0, 0.5), (4.0, 1.0), (8.0, 1.5))
"""Of the tail and of the head; a head is under 2 ms, so that its attack is where it belongs."""


def seam_ratio(loop: Samples) -> float:
    """The largest second difference across the loop point over the 99.9th percentile of the clip's own."""
    around = np.concatenate((loop[-2:], loop[:2])).astype(np.float64)
    at_seam = float(np.abs(np.diff(around, 2, axis=0)).max())
    inside = np.abs(loop[2:] - 2 * loop[1:-1] + loop[:-2]).max(axis=1)
    place = min(int(0.999 * len(inside)), len(inside) - 1)
    usual = float(np.partition(inside, place)[place])
    return at_seam / usual if usual > 0 else (0.0 if at_seam == 0 else math.inf)


def close_seam(cut: list[Samples], rate: int) -> bool:
    """Take a step or kink out of the loop point of a mix and its stems, in place; False when none is heard.

    Where the material's own shape cannot lead over, both sides glide into what lies half-way between them.
    """
    if seam_ratio(cut[0]) <= 1:
        return False
    _join(cut, rate)
    for tail_ms, head_ms in _GLIDES_MS:
        if seam_ratio(cut[0]) <= 1:
            break
        _glide(cut, max(int(tail_ms * rate / 1000), 3), max(int(head_ms * rate / 1000), 3))
    return True


def _join(cut: list[Samples], rate: int) -> None:
    """Take a step or kink out of the loop point, in place, where the material has nothing before or behind to fade with.

    The last 10 ms glide into the head's point reflection (2 x[0] - x[k]), which leads into the head with its own value and
    slope. Where the head begins with a blow that would throw the tail off, the head rises from the tail within 0.5 ms.
    """
    tail = min(int(0.010 * rate), len(cut[0]) // 4)
    loop = cut[0]
    reflected = 2 * loop[0] - loop[tail:0:-1]
    usual = max(float(np.abs(loop[-4 * tail :]).max()), 0.25 * float(np.abs(loop).max()))
    if float(np.abs(reflected).max()) <= 1.5 * usual:
        share = ((np.arange(tail, dtype=np.float32) + 1) / tail)[:, None]
        share = share * share * (3 - 2 * share)
        for layer in cut:
            layer[-tail:] += (2 * layer[0] - layer[tail:0:-1] - layer[-tail:]) * share
        return
    head = min(int(0.0005 * rate) + 2, tail)
    share = ((np.arange(head, dtype=np.float32) + 1) / (head + 1))[:, None]
    share = share * share * (3 - 2 * share)
    for layer in cut:
        slope = (layer[-1] - layer[-2]) * 0.5
        held = layer[-1] + slope * (1 - 0.5 ** np.arange(1, head + 1, dtype=np.float32))[:, None]
        layer[:head] = held + (layer[:head] - held) * share


def _glide(cut: list[Samples], tail: int, head: int) -> None:
    """Bring both ends, in place, to the value half-way between where the glides begin; their last two frames are at it, so the
    second difference across the loop point is 0."""
    tail, head = (min(length, len(cut[0]) // 4) for length in (tail, head))
    for layer in cut:
        middle = 0.5 * (layer[-tail - 1] + layer[head])
        layer[-tail:] = middle + (layer[-tail:] - middle) * _smooth(tail)[::-1]
        layer[:head] = middle + (layer[:head] - middle) * _smooth(head)


def _smooth(frames: int) -> Samples:
    """0 for two frames, then up to 1, without a step in slope or bend; (frames, 1)."""
    at = np.maximum(np.arange(frames, dtype=np.float32) - 1, 0)[:, None] / max(frames - 1, 1)
    return (at * at * at * (at * (6 * at - 15) + 10)).astype(np.float32)
