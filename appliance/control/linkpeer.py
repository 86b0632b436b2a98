# SPDX-License-Identifier: GPL-3.0-or-later
"""A hold on the library of Ableton Link: when the session is at which beat, by the monotonic clock, and changes to it.

Only what the library gives at once is used: no callbacks, no futures. Its threads therefore never wait for Python.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from appliance.errors import Unavailable

PACKAGE = "aalink"
LOWEST_BPM, HIGHEST_BPM = 20.0, 999.0
"""What Link itself allows."""
_CLOSE_NS = 20_000
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Moment:
    """At ``ns`` of the monotonic clock the session is at ``beat`` and goes on with ``bpm``."""

    ns: int
    beat: float
    bpm: float

    def beat_at(self, ns: int) -> float:
        return self.beat + (ns - self.ns) * self.bpm / 60e9


class LinkPeer:
    """One peer, not yet in a session; to be made while an event loop runs.

    Raises :class:`Unavailable` when the library is not installed.
    """

    def __init__(self, bpm: float) -> None:
        try:
            library = import_module(PACKAGE)
        except ImportError as error:
            raise Unavailable(f"Ableton Link cannot be used ({error}); install it with `pip install {PACKAGE}`") from None
        self._link: Any = library.Link(min(max(bpm, LOWEST_BPM), HIGHEST_BPM))
        self._link.start_stop_sync_enabled = True

    def join(self) -> None:
        self._link.enabled = True

    def leave(self) -> None:
        """Say good-bye to the others; then the object is of no more use."""
        self._link.enabled = False

    @property
    def peers(self) -> int:
        """Others in the session."""
        return int(self._link.num_peers)

    @property
    def playing(self) -> bool:
        return bool(self._link.playing)

    def play(self, playing: bool) -> None:
        self._link.playing = playing

    def look(self, bar_beats: float) -> Moment:
        """Where the session is now. The beat's phase in a bar of ``bar_beats`` is the session's."""
        if self._link.quantum != bar_beats:
            self._link.quantum = bar_beats
        best_ns, found = 1 << 62, (0, 0.0)
        for _ in range(_TRIES):  # other threads may come in between the two clocks
            before = time.monotonic_ns()
            beat = float(self._link.beat)
            took = time.monotonic_ns() - before
            if took < best_ns:
                best_ns, found = took, (before + took // 2, beat)
            if took < _CLOSE_NS:
                break
        return Moment(*found, float(self._link.tempo))

    def set_bpm(self, bpm: float) -> None:
        self._link.tempo = min(max(bpm, LOWEST_BPM), HIGHEST_BPM)

    def move(self, beats: float, bar_beats: float) -> None:
        """The session jumps forward by so many beats, for everybody."""
        moment = self.look(bar_beats)
        self._link.force_beat(moment.beat_at(time.monotonic_ns()) + beats)
