# SPDX-License-Identifier: GPL-3.0-or-later
"""control → engine: Ableton Link's session as one consistent record (``layout.LINK``), under a sequence lock."""

from __future__ import annotations

import numpy as np

from appliance.bus import layout
from appliance.bus.atomic import fence_release, load_relaxed, store_relaxed, store_release
from appliance.bus.lean import njit
from appliance.bus.memory import PrivateSegment, Segment


@njit(cache=True, nogil=True)
def _write(address: int, source: np.ndarray) -> None:
    """Words 1 … of the record. The sequence is odd meanwhile, also when a writer before us died in the middle."""
    sequence = load_relaxed(address) | 1
    store_relaxed(address, sequence)
    fence_release()
    for i in range(1, source.shape[0]):
        store_relaxed(address + 8 * i, source[i])
    store_release(address, sequence + 1)


class LinkWord:
    """The writing end; one writer (control)."""

    def __init__(self, segment: Segment | PrivateSegment) -> None:
        self._address = segment.address + layout.offset("link")
        self._words = np.zeros(layout.LINK.itemsize // 8, np.int64)
        self._record = self._words.view(layout.LINK)[0]

    def tell(self, monotonic_ns: int, beat: float, bpm: float, peers: int) -> None:
        """At this monotonic time the session is at ``beat``; time 0: there is none."""
        record = self._record
        record["monotonic_ns"], record["beat"], record["bpm"], record["peers"] = monotonic_ns, beat, bpm, peers
        _write(self._address, self._words)

    def end(self) -> None:
        """There is no session."""
        self.tell(0, 0.0, 0.0, 0)
