# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine process: attach, load the compiled kernels, lock memory, play; then stay out of the way.

After ``start`` the audio thread runs compiled code only. Python's main thread beats, says whether this engine plays or stands
by, and follows the audio server: when it goes, the clock takes its place until it is back. A helper thread maps clips.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.box import Box, Role
from appliance.bus.clips import doubtful
from appliance.bus.commit import EPOCH_SHIFT, commit_word
from appliance.engine.clipmap import ClipMap
from appliance.engine.compile import stamp
from appliance.engine.context import make_context
from appliance.engine.dsp import rubberband
from appliance.engine.wakeful import stay_awake
from appliance.errors import ApplianceError

log = logging.getLogger("engine")

BEAT_S = 0.1
FADE_OUT_S = 0.03
RATE_CHANGED = 5
"""Exit status: start again at once, nothing is wrong."""
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


class RateChanged(ApplianceError):
    """The audio server runs at another rate: this process ends, the next one plays at that."""


class Engine:
    """One engine of the box; ``letter`` a or b. ``kind`` jack: the server ``server`` where it can be had, else the clock.

    ``safe`` 1 or 2: it does without the clips that may have killed the engines before it.
    """

    def __init__(self, box: Box, letter: str, kind: str, server: str, *, safe: int = 0) -> None:
        self.box = box
        self.index = "ab".index(letter)
        self._letter = letter
        self._kind = kind
        self._server = server
        self._stop = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self.context = make_context(box.base, box.rate, self.index)
        self.words = box.engine(self.index)
        for word in ("ready", "server", "entered_ns", "left_ns"):
            self.words[word] = 0
        self.backend: Any = self._open_jack() or self._open_clock(box.config.audio.rate, box.config.audio.period)
        self._take_rate()
        refused = doubtful(box.clips.table, safe, int(box.process()["started_ns"]))
        self.clips = ClipMap(box.segment, self.context, self.index, refused)

    def _make_shifters(self) -> None:
        """On a thread of its own: the sound does not wait for key lock."""
        if not rubberband.is_there():
            if self._letter == "a":
                log.warning("%s is not installed (Debian: librubberband2): decks have no key lock, the pitch follows the speed",
                            rubberband.LIBRARY)
            return
        self._shifters = rubberband.Shifters(layout.DECKS, self.backend.rate)
        preferred = rubberband.R3 if self.box.config.engine.keylock == "r3" else rubberband.R2
        self._shifters.give_to(self.context, preferred)

    # -- the audio server, and the clock while there is none

    def _open_jack(self) -> Any:
        """A client of the JACK server, or None while it cannot be had."""
        if self._kind != "jack":
            return None
        from appliance.engine.backends.jack import JackBackend

        generation = int(self.box.record["audio_generation"][0])
        if not self.words["ready"]:
            self.words["server"] = layout.KNOCKS
        try:
            backend = JackBackend(self.context, f"appliance-{self._letter}", self._server, self._wake)
        except ApplianceError as error:
            log.debug(error.message)
            return None
        finally:
            if not self.words["ready"]:
                self.words["server"] = 0
        peer = f"appliance-{'ba'[self.index]}"
        started = int(self.box.process("supervisor")["started_ns"])
        backend.watch_links(peer, self.box.config.audio, self.box.run / "connections.json", started)
        self._generation = generation
        return backend

    def _open_clock(self, rate: float, period: int) -> Any:
        from appliance.engine.backends.clock import ClockBackend

        return ClockBackend(self.context, float(rate), period)

    def _take_rate(self) -> None:
        self.context["rate"] = self.backend.rate
        made = make_context(0, self.backend.rate)
        self.context["isolator"], self.context["k_weighting"] = made["isolator"], made["k_weighting"]
        self.box.record["rate"] = self.backend.rate
        self.box.record["period"] = self.backend.period

    def _go(self) -> None:
        """Let the backend call us. A clock's frame times are its own: its server counts below zero."""
        if self.backend.name == "jack":
            self.context["server"] = self._generation
            try:
                self.backend.start()
                self.words["server"] = self._generation
            except ApplianceError as error:
                log.warning(error.message)
                self._wake_up()  # it counts as gone, at once
        else:
            self.context["server"] = -1 - self.index
            self.backend.start()
            self.words["server"] = 0

    def _leave_server(self) -> None:
        """The audio server is gone: go on by the clock, so that the set is where it should be when the sound comes back."""
        log.error("the JACK server has gone away; the set goes on by the clock until it is back")
        self.words["server"] = 0
        atomic.swap(self.box.base + layout.offset("audio_generation"), self._generation, self._generation + 1)
        self.backend.stop()
        self.backend = self._open_clock(self.backend.rate, self.backend.period)
        self._go()

    def _seek_server(self) -> None:
        """Move back to the audio server as soon as there is one. Raises :class:`RateChanged`."""
        backend = self._open_jack()
        if backend is None:
            return
        if backend.rate != self.backend.rate:
            backend.stop()
            rates = f"{backend.rate:.0f} Hz, not {self.backend.rate:.0f}"
            raise RateChanged(f"the JACK server runs at {rates}; the engine starts again")
        self.backend.stop()
        self.backend = backend
        self._go()
        log.info("%s is back on the JACK server", self.box.name)

    # -- playing or standing by

    @property
    def playing(self) -> bool:
        """Whether this engine's blocks count."""
        epoch = int(self.context["epoch"][0])
        return epoch != 0 and commit_word(self.box.segment) >> EPOCH_SHIFT == epoch

    def start(self) -> None:
        """Stand by; where nobody plays that means to play, within three blocks."""
        self._lock_memory()
        self._awake = stay_awake() if self.box.config.engine.wakeful else None
        self.clips.start()
        gc.collect()
        gc.freeze()
        self._go()
        self.words["ready"] = 1
        self._look_after()
        threading.Thread(target=self._make_shifters, name="shifters", daemon=True).start()
        if self.box.config.engine.busy_thread:
            threading.Thread(target=_be_busy, name="busy", daemon=True).start()
        log.info("%s is there: %s at %.0f Hz, %d frames a period", self.box.name, self.backend.name, self.backend.rate,
                 self.backend.period)

    def _look_after(self) -> None:
        playing = self.playing
        self.box.say_role(Role.PLAYING if playing else Role.STANDBY)
        self.backend.tend(playing=playing)
        self.words["xruns"] += self.backend.take_xruns()
        leads = self.box.values.get("/clock/jack") and self.box.values.get("/clock/source") != "jack"
        self.backend.lead(wanted=playing and leads)

    def _lock_memory(self) -> None:
        """Lock what the callback touches: context, box, stack; the rest of the process as it is touched."""
        from appliance.engine.clipmap import lock_pages, touch_pages

        touch_pages(self.context.ctypes.data, self.context.nbytes)
        touch_pages(self.box.base, self.box.segment.size)
        if not self.box.config.audio.lock_memory:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        locked = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0
        locked = lock_pages(self.box.base, self.box.segment.size) and locked
        if not (lock_pages(self.context.ctypes.data, self.context.nbytes) and locked):
            log.warning("memory cannot be locked; raise LimitMEMLOCK, see `appliance doctor`")

    def run(self) -> None:
        """Beat until the box closes or SIGTERM comes."""
        while not self._stop:
            if select.select([self._wake], [], [], BEAT_S)[0]:
                os.eventfd_read(self._wake)
            self.box.beat()
            if self.backend.name == "jack" and not self.backend.alive:
                self._leave_server()
            elif self.backend.name == "clock" and self._kind == "jack":
                self._seek_server()
            self._look_after()

    def request_stop(self, *_: Any) -> None:
        self._stop = True
        self._wake_up()

    def _wake_up(self) -> None:
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """Leave; when no other engine goes on, fade out first. The mute that a person has set stays as it is."""
        self.words["ready"] = 0
        alone = not self.box.engine(1 - self.index)["ready"]
        fades = self.playing and (alone or self.box.closing)
        muted = self.box.values.get("/panic/mute")
        if fades:
            self.box.values.set("/panic/mute", True)
            time.sleep(FADE_OUT_S)
        self.backend.stop()
        if fades:
            self.box.values.set("/panic/mute", muted)
        self.clips.stop()
        self.box.say_role(Role.STOPPED)


def _be_busy() -> None:
    """For benchmarks: a Python thread that holds the interpreter as much as it can."""
    total = 0
    while True:
        for number in range(10_000):
            total += number


def save_costs(context: np.ndarray, path: Path) -> None:
    """Write the last blocks' own-thread CPU time (ns) and length (frames), for ``appliance bench engine``."""
    count = int(context["cost_count"][0])
    size = context["cost_ns"].shape[1]
    order = np.arange(max(0, count - size), count) % size
    temporary = path.with_suffix(".part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, cost_ns=context["cost_ns"][0][order], frames=context["block_frames"][0][order])
        temporary.replace(path)
    except OSError as error:  # a full disk must not end the engine
        log.warning("%s: cannot be written (%s)", path, error.strerror or error)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def main(box_path: str, letter: str, backend: str, server: str, *, safe: int = 0) -> int:
    """Run an engine until it is told to stop; ``safe`` is its safe form. Returns the exit status."""
    box = Box.attach(box_path, f"engine-{letter}")
    box.say_role(Role.STARTING)
    box.beat()
    if not stamp().exists():
        log.warning("the kernels of this version are not compiled, so this start takes a minute; `make kernels` does it")
    engine = Engine(box, letter, backend, server, safe=safe)
    signal.signal(signal.SIGTERM, engine.request_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: save_costs(engine.context, box.run / f"costs-{letter}.npz"))
    engine.start()
    try:
        engine.run()
    except RateChanged as error:
        log.warning(error.message)
        return RATE_CHANGED
    finally:
        engine.stop()
    return 0
