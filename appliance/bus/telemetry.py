# SPDX-License-Identifier: GPL-3.0-or-later
"""engine → everyone: clock, meters, positions, as one consistent snapshot (sequence lock) and a ring of the last sound."""

from __future__ import annotations

import numpy as np

from appliance.bus import layout
from appliance.bus.atomic import fence_acquire, load_acquire, load_relaxed
from appliance.bus.lean import njit
from appliance.bus.memory import PrivateSegment, Segment

_WORDS = layout.TELEMETRY.itemsize // 8
_TRIES = 64


@njit(cache=True, nogil=True)
def _copy(address: int, source: np.ndarray, target: np.ndarray) -> bool:
    """Copy ``source`` to ``target`` while the sequence word at ``address`` stands still; False after 64 tries."""
    for _ in range(_TRIES):
        before = load_acquire(address)
        if before & 1:
            continue
        for i in range(source.shape[0]):
            target[i] = source[i]
        fence_acquire()
        if load_relaxed(address) == before:
            return True
    return False


class Telemetry:
    """The reading end. A snapshot that cannot be had (the engine died in the middle of one) leaves the last good one."""

    def __init__(self, segment: Segment | PrivateSegment) -> None:
        self._address = segment.address + layout.offset("telemetry")
        self._source = segment.view(np.int64, _WORDS, layout.offset("telemetry"))
        self._words = np.zeros(_WORDS, np.int64)
        self._scratch = np.zeros(_WORDS, np.int64)
        self._scope = segment.view(np.float32, layout.SCOPE_FRAMES, layout.offset("scope"))

    def snapshot(self) -> np.void:
        """The telemetry record (``layout.TELEMETRY``) of one block; valid until the next call."""
        if _copy(self._address, self._source, self._scratch):
            self._words, self._scratch = self._scratch, self._words
        return self._words.view(layout.TELEMETRY)[0]

    def scope(self, frames: int = 2048) -> tuple[int, np.ndarray]:
        """The last ``frames`` (up to 4096) of the master as mono float32, and the frame after the last of them."""
        frames = min(frames, layout.SCOPE_FRAMES // 2)
        end = int(self.snapshot()["clock"]["frame"])
        return end, self._scope[np.arange(end - frames, end) % layout.SCOPE_FRAMES]

    def field(self, snapshot: np.void, path: str, index: int) -> float:
        """``deck.playing`` of member ``index``: what a node's ``reads`` names."""
        record, name = path.split(".")
        part = snapshot[record]
        return float(part[index][name] if part.ndim else part[name])
