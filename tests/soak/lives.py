# SPDX-License-Identifier: GPL-3.0-or-later
"""A JACK client for each life of the server, each in a process of its own: libjack can hang in a client whose server was
killed, and a process can always be ended."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable

OPEN_S = 2.0
"""A client that is not open by then hangs in a server that is just dying or coming up."""
CLOSE_S = 1.0
RETRY_S = 0.03


class Gone(Exception):
    """There is no server (yet)."""


def live(one_life: Callable[[int, Callable[[], None], threading.Event], None], ready: Callable[[], None]) -> None:
    """Until SIGTERM: ``one_life(number, opened, stop)`` in a child process. It calls ``opened`` when its client works, and
    returns when the server is gone or ``stop`` is set; raises :class:`Gone` when there is no server. ``ready`` is called
    after the first ``opened``."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = 0
    while not stop.is_set():
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _be_a_life(one_life, number, writing)
        os.close(writing)
        if _has_opened(reading, stop):
            if number == 0:
                ready()
            number += 1
            while not stop.wait(0.02) and os.waitpid(child, os.WNOHANG) == (0, 0):
                pass
        os.close(reading)
        _end(child)
        stop.wait(RETRY_S)


def _be_a_life(one_life: Callable[[int, Callable[[], None], threading.Event], None], number: int, writing: int) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        one_life(number, lambda: (os.write(writing, b"o"), None)[1], stop)
    except Gone:
        os._exit(2)
    os._exit(0)


def _has_opened(reading: int, stop: threading.Event) -> bool:
    deadline = time.monotonic() + OPEN_S
    while not stop.is_set() and time.monotonic() < deadline:
        if select.select([reading], [], [], 0.02)[0]:
            return os.read(reading, 1) == b"o"
    return False


def _end(child: int) -> None:
    """Ask it, then make it."""
    deadline = time.monotonic() + CLOSE_S
    try:
        os.kill(child, signal.SIGTERM)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return
            time.sleep(0.005)
    except (ChildProcessError, ProcessLookupError):
        return  # it has been waited for
