# SPDX-License-Identifier: GPL-3.0-or-later
"""One stream of lines to stderr: the supervisor's own and those of its processes, each with the process's name.

A thread of its own writes them, so a terminal or journal that does not take them stops nobody: the oldest waiting lines are
dropped, and the journal says how many.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque

MOST_WAITING = 2000


class Journal:
    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def say(self, message: str, name: str = "supervisor") -> None:
        with self._wake:
            if len(self._lines) >= MOST_WAITING:
                self._lines.popleft()
                self._dropped += 1
            self._lines.append(f"{name}: {message}\n")
            self._wake.notify()

    def close(self, timeout_s: float = 0.5) -> None:
        """Write what waits, for at most ``timeout_s``."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _write(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._lines or self._closed)
                lines, self._lines = list(self._lines), deque()
                dropped, self._dropped = self._dropped, 0
                if not lines and self._closed:
                    return
            if dropped:
                lines.insert(0, f"supervisor: {dropped} lines were not taken in time and are lost\n")
            try:
                self._all("".join(lines).encode(errors="replace"))
            except OSError:  # whoever read our stderr is gone; the show goes on without it
                self._descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def _all(self, text: bytes) -> None:
        while text:
            text = text[os.write(self._descriptor, text) :]


class Lines:
    """Bytes from a pipe, cut into lines. A line without end is cut at 8 kB."""

    LONGEST = 8192

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that are complete now; an empty chunk means the end and gives what is left."""
        if not chunk:
            rest, self._rest = self._rest, b""
            return [rest.decode(errors="replace")] if rest else []
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) > self.LONGEST:
            whole.append(self._rest[: self.LONGEST])
            self._rest = self._rest[self.LONGEST :]
        return [line.decode(errors="replace").rstrip("\r") for line in whole if line.strip()]


def stderr_descriptor() -> int:
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):
        return 2
