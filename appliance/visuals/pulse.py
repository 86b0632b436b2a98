# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat of the process, and its way out when the driver holds the main thread.

The beat stands for pictures being drawn: it stops soon after they do, except while a scene is known to be compiling, and
then for no longer than a scene may take. The signal to end is heard here too, because Python cannot run a handler
while its main thread is inside the driver.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

log = logging.getLogger(__name__)

BEAT_S = 0.1
STALL_S = 1.0
BUSY_LIMIT_S = 20.0
GRACE_S = 0.7
"""From the signal to end until the process is ended by force; one second is allowed in all."""


class Pulse:
    """Beats from `begin` on for as long as `progress` is called; `stopping` is set by SIGTERM or SIGINT."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._progress_at = time.monotonic()
        self._busy_until = 0.0
        self.beating = False
        self.stopping = threading.Event()
        self._ended = threading.Event()
        self._listen, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Begins to listen for the signals; on the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._thread.start()

    def begin(self) -> None:
        """There is something to be seen: from now on it is missed when it stops."""
        self.progress()
        self.beating = True
        self._beat()

    def progress(self) -> None:
        """Says that the main loop is alive; once a picture."""
        self._progress_at = time.monotonic()

    @contextmanager
    def busy(self) -> Generator[None]:
        """Around work during which the driver may hold the main thread for seconds."""
        self._busy_until = time.monotonic() + BUSY_LIMIT_S
        try:
            yield
        finally:
            self._busy_until = 0.0
            self.progress()

    def _run(self) -> None:
        while not self._ended.is_set():
            now = time.monotonic()
            if self.beating and (now - self._progress_at < STALL_S or now < self._busy_until):
                self._beat()
            readable, _, _ = select.select([self._listen], [], [], BEAT_S)
            if readable and any(n in (signal.SIGTERM, signal.SIGINT) for n in self._listen.recv(64)):
                self.stopping.set()
                if not self._ended.wait(GRACE_S):
                    log.warning("visuals: the driver does not let go; ended by force")
                    os._exit(0)

    def end(self) -> None:
        """Stops beating; the last thing the main thread does."""
        self._ended.set()
        signal.set_wakeup_fd(-1)
