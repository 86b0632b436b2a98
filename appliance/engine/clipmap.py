# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps and locks clips for the callback, on a helper thread: the callback never meets a page that is not there.

A clip's address is published to the callback after its pages are locked. A retired clip's address is taken away first; it is
unmapped when two further blocks are committed and no voice of the committed state reads it. Of a clip that streams only
windows are locked (:mod:`appliance.engine.streams`).
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from typing import Any

import numpy as np

from appliance.bus import atomic, layout, wakeup
from appliance.bus.clips import PLACE_BITS, ClipState, handle_of
from appliance.bus.commit import clips_in, committed
from appliance.bus.memory import Segment
from appliance.bus.streamfile import is_stream
from appliance.engine.dsp.windows import STREAMS, WINDOWS
from appliance.engine.streams import Stream
from appliance.errors import Unavailable

log = logging.getLogger(__name__)

POLL_S = 0.008
"""While a clip is on its way out or one streams; else the table says when it has changed."""
IDLE_S = 0.25
FIRST_WINDOWS_S = 0.05
"""Time for a stream's first windows before it may be played."""
_LIBC = ctypes.CDLL(None, use_errno=True)


def lock_pages(address: int, size: int) -> bool:
    """Lock memory so that it is never paged; False when the system's limit forbids it (it is then touched instead)."""
    return _LIBC.mlock(ctypes.c_void_p(address), ctypes.c_size_t(size)) == 0


def touch_pages(address: int, size: int) -> None:
    """Read one byte of every page, so that it is mapped."""
    np.frombuffer((ctypes.c_char * size).from_address(address), np.uint8)[::4096].sum()


class ClipMap:
    """Keeps ``context.clip_address`` in step with the clip table of the box.

    Clips whose handle is in ``refused`` are not mapped: what plays them is silent.
    """

    def __init__(self, segment: Segment, context: np.ndarray, engine: int, refused: frozenset[int] = frozenset()) -> None:
        self._segment = segment
        self._context = context
        self._engine = engine
        self._refused = refused
        self._table = segment.view(layout.CLIP, layout.CLIPS, layout.offset("clip"))
        self._held: dict[int, Segment | Stream] = {}
        self._windows = np.zeros((layout.CLIPS, WINDOWS), np.int64)
        self._windows[:] = 0  # its pages are there now
        lock_pages(self._windows.ctypes.data, self._windows.nbytes)
        context["windows"] = self._windows.ctypes.data
        self._leaving: dict[int, tuple[int, int]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._warned = False
        self._changes = segment.view(np.int64, 1, layout.offset("clip_changes"))
        self._changes_at = segment.address + layout.offset("clip_changes")
        self._seen = -1

    def start(self) -> None:
        """Map what is there already, then go on in the background."""
        self._table["mapped"][:, self._engine] = 0
        self.step()
        self._thread = threading.Thread(target=self._run, name="clip map", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        wakeup.wake(self._changes_at)
        if self._thread:
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            busy = bool(self._leaving) or any(isinstance(held, Stream) for held in self._held.values())
            wakeup.wait(self._changes_at, self._seen, POLL_S if busy else IDLE_S)
            try:
                self.step()
            except Exception:
                log.exception("clip map")
                time.sleep(0.2)

    def step(self) -> None:
        """One look at the table, when it has changed or something is on its way out, and at what streams."""
        self._follow_table()
        for held in self._held.values():
            if isinstance(held, Stream):
                held.follow(committed(self._segment))

    def _follow_table(self) -> None:
        changes = int(self._changes[0])
        if changes == self._seen and not self._leaving:
            return
        self._seen = changes
        states = self._table["state"]
        for place in np.flatnonzero(states != ClipState.FREE):
            if int(place) not in self._held and (states[place] != ClipState.RETIRING or self._is_heard(int(place))):
                self._map(int(place))
        for place in list(self._held):
            row = self._table[place]
            stale = int(row["generation"]) != int(self._context["clip_generation"][0, place])
            if place not in self._leaving and (states[place] in (ClipState.RETIRING, ClipState.FREE) or stale):
                self._take_away(place)
        for place in list(self._leaving):
            self._unmap(place)

    def _map(self, place: int) -> None:
        row = self._table[place]
        generation, name = int(row["generation"]), row["segment"].decode()
        if place in self._leaving or not name or handle_of(generation, place) in self._refused:
            return
        if is_stream(name):
            self._map_stream(place, generation, name)
            return
        try:
            segment = Segment.open(name)
        except Unavailable:
            return
        if not lock_pages(segment.address, segment.size):
            touch_pages(segment.address, segment.size)
            if not self._warned:
                self._warned = True
                log.warning("clips cannot be locked in memory (limit reached); raise LimitMEMLOCK, see `appliance doctor`")
        self._publish(place, generation, segment, segment.address)

    def _is_heard(self, place: int) -> bool:
        """A new engine also needs what is given up, but still sounds."""
        return handle_of(int(self._table[place]["generation"]), place) in clips_in(committed(self._segment))

    def _map_stream(self, place: int, generation: int, name: str) -> None:
        row = self._table[place]
        try:
            stream = Stream(name, (generation << PLACE_BITS) | place, float(row["rate"]), self._windows[place])
        except OSError as error:
            log.warning("%s cannot be mapped (%s)", name, error.strerror)
            return
        stream.follow(committed(self._segment), FIRST_WINDOWS_S)
        self._publish(place, generation, stream, stream.address | STREAMS)

    def _publish(self, place: int, generation: int, held: Segment | Stream, address: int) -> None:
        """The callback may read it from now on."""
        self._held[place] = held
        self._context["clip_generation"][0, place] = generation
        atomic.write(self._address_of(place), address)
        self._table[place]["mapped"][self._engine] = generation

    def _address_of(self, place: int) -> int:
        field: Any = (self._context.dtype.fields or {})["clip_address"]
        return int(self._context.ctypes.data) + field[1] + 8 * place

    def _take_away(self, place: int) -> None:
        """No voice can start on it from now on."""
        handle = (int(self._context["clip_generation"][0, place]) << PLACE_BITS) | place
        self._leaving[place] = (handle, int(committed(self._segment)["cycles"][0]))

    def _unmap(self, place: int) -> None:
        handle, cycle = self._leaving[place]
        state = committed(self._segment)
        if int(state["cycles"][0]) < cycle + 2 and self._plays():
            return
        if handle in clips_in(state):
            return
        atomic.write(self._address_of(place), 0)
        after = int(state["cycles"][0])
        deadline = time.monotonic() + 0.2
        while self._plays() and int(committed(self._segment)["cycles"][0]) < after + 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        segment = self._held.pop(place)
        del self._leaving[place]
        segment.close()
        if int(self._table[place]["mapped"][self._engine]) == handle >> PLACE_BITS:
            self._table[place]["mapped"][self._engine] = 0

    def _plays(self) -> bool:
        return bool(self._context["epoch"][0])
