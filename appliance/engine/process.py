# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine process: attach, load the compiled kernels, lock memory, play; then stay out of the way.

After ``start`` the audio thread runs compiled code only. Python's main thread beats, watches the audio server and the word
that the box is closing; a helper thread maps clips.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.box import Box, Role
from appliance.bus.commit import EPOCH_SHIFT, commit_word
from appliance.engine.clipmap import ClipMap
from appliance.engine.compile import stamp
from appliance.engine.context import make_context
from appliance.errors import ApplianceError

log = logging.getLogger("engine")

BEAT_S = 0.05
FADE_OUT_S = 0.03
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


class Engine:
    """One engine of the box; ``letter`` a or b."""

    def __init__(self, box: Box, letter: str, backend: str, server: str) -> None:
        self.box = box
        self.index = "ab".index(letter)
        self.context = make_context(box.base, box.rate, self.index)
        self.words = box.engine(self.index)
        self.words["ready"] = 0
        self.words["entered_ns"] = self.words["left_ns"] = 0
        self.backend: Any = self._make_backend(backend, letter, server)
        self.context["rate"] = self.backend.rate
        self.context["isolator"] = make_context(0, self.backend.rate)["isolator"]
        box.record["rate"] = self.backend.rate
        box.record["period"] = self.backend.period
        self.clips = ClipMap(box.segment, self.context, self.index)
        self._stop = threading.Event()

    def _make_backend(self, kind: str, letter: str, server: str) -> Any:
        if kind == "clock":
            from appliance.engine.backends.clock import ClockBackend

            audio = self.box.config.audio
            return ClockBackend(self.context, float(audio.rate), audio.period)
        from appliance.engine.backends.jack import JackBackend

        backend = JackBackend(self.context, f"appliance-{letter}", server)
        backend.on_xrun(self._xrun)
        return backend

    def _xrun(self, delay: float) -> None:
        self.words["xruns"] += 1

    def start(self) -> None:
        """Take the state over and play."""
        self._lock_memory()
        self.clips.start()
        self._take_epoch()
        gc.collect()
        gc.freeze()
        self.backend.start()
        self.words["ready"] = 1
        self.box.say_role(Role.PLAYING)
        if self.backend.name == "jack" and self.box.config.audio.connect:
            audio = self.box.config.audio
            for problem in self.backend.connect(audio.outputs, audio.inputs):
                log.warning(problem)
        if self.box.config.engine.busy_thread:
            threading.Thread(target=_be_busy, name="busy", daemon=True).start()
        log.info("%s plays through %s at %.0f Hz, %d frames a period", self.box.name, self.backend.name, self.backend.rate,
                 self.backend.period)

    def _take_epoch(self) -> None:
        """Become the engine whose blocks count: the one before us is dead, or there was none."""
        address = self.box.base + layout.offset("commit")
        while True:
            word = commit_word(self.box.segment)
            epoch = (word >> EPOCH_SHIFT) + 1
            rest = word & ((1 << EPOCH_SHIFT) - 1)
            self.context["epoch"] = epoch
            if int(atomic.swap(address, word, (epoch << EPOCH_SHIFT) | rest)) == word:
                return

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
        """Beat until the box closes, SIGTERM comes or the audio server goes away."""
        while not self._stop.wait(BEAT_S):
            self.box.beat()
            if not self.backend.healthy():
                raise ApplianceError("the audio server went away; the engine starts again when it is back", status=503)

    def request_stop(self, *_: Any) -> None:
        self._stop.set()

    def stop(self) -> None:
        """Fade out, then leave; the mute that a person has set stays as it is."""
        self.words["ready"] = 0
        muted = self.box.values.get("/panic/mute")
        self.box.values.set("/panic/mute", True)
        time.sleep(FADE_OUT_S)
        self.backend.stop()
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
    with temporary.open("wb") as file:
        np.savez(file, cost_ns=context["cost_ns"][0][order], frames=context["block_frames"][0][order])
    temporary.replace(path)


def main(box_path: str, letter: str, backend: str, server: str) -> int:
    """Run an engine until it is told to stop. Returns the exit status."""
    box = Box.attach(box_path, f"engine-{letter}")
    box.say_role(Role.STARTING)
    box.beat()
    if not stamp().exists():
        log.warning("the kernels of this version are not compiled, so this start takes a minute; `make kernels` does it")
    try:
        engine = Engine(box, letter, backend, server)
    except ApplianceError as error:
        log.error(error.message)
        return 3
    signal.signal(signal.SIGTERM, engine.request_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: save_costs(engine.context, box.run / f"costs-{letter}.npz"))
    engine.start()
    try:
        engine.run()
    except ApplianceError as error:
        log.error(error.message)
        return 4
    finally:
        engine.stop()
    return 0
