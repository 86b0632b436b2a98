# SPDX-License-Identifier: GPL-3.0-or-later
"""One process under the supervisor: how it is started, how its end is noticed, when it may start again."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from appliance.bus.lifeline import tied
from appliance.supervision.journal import Journal, Lines

HEALTHY_S = 10.0
HURRY = -5
"""Niceness of a process that is started again, until it is there: somebody waits for it, and others may be busy."""
LONGEST_WAIT_S = 5.0


class Backoff:
    """How long to wait before the next start: not at all the first time, then 0.1·2ⁿ s up to 5 s. A process that lived for
    10 s is forgiven."""

    def __init__(self, longest_s: float = LONGEST_WAIT_S) -> None:
        self.failures = 0
        self.longest_s = longest_s

    def wait_s(self, lived_s: float) -> float:
        if lived_s >= HEALTHY_S:
            self.failures = 0
        wait = 0.0 if self.failures == 0 else min(0.1 * 2 ** (self.failures - 1), self.longest_s)
        self.failures += 1
        return wait


def process_state(pid: int) -> tuple[str, int]:
    """``(state letter, start time in clock ticks)`` from ``/proc``; ``("", 0)`` when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "", 0
    fields = stat[stat.rindex(b")") + 2 :].split()
    return fields[0].decode(), int(fields[19])


def run_delays_ns(pid: int) -> dict[str, int]:
    """How long each thread of a process has been ready to run and waited for a processor, in all."""
    delays: dict[str, int] = {}
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError, ValueError, IndexError):  # it has ended; or the kernel does not count
            delays[thread.name] = int((thread / "schedstat").read_text().split()[1])
    return delays


def audio_threads(pid: int) -> dict[str, tuple[str, int]]:
    """``(state letter, CPU time in ns)`` of each thread with real-time priority; where none has it, of all but the first."""
    all_threads: dict[str, tuple[str, int]] = {}
    real_time: dict[str, tuple[str, int]] = {}
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError, ValueError, IndexError):  # it has ended; or the kernel does not count
            stat = (thread / "stat").read_bytes()
            fields = stat[stat.rindex(b")") + 2 :].split()
            seen = fields[0].decode(), int((thread / "schedstat").read_text().split()[0])
            if int(fields[38]) in (os.SCHED_FIFO, os.SCHED_RR):
                real_time[thread.name] = seen
            elif thread.name != str(pid):
                all_threads[thread.name] = seen
    return real_time or all_threads


@dataclass
class Child:
    """A process of our own; it dies with us. Its output is to be read when ``selector`` says so.

    Lines that begin with one of ``chatter`` are not worth a place in the journal; those with one of ``tally`` in them are only
    counted, in ``tallied``. ``quiet``: nothing is passed on. ``due`` is the monotonic time of the next start while none runs
    (None: not wanted).
    """

    name: str
    selector: selectors.BaseSelector
    nice: int = 0
    chatter: tuple[str, ...] = ()
    tally: tuple[str, ...] = ()
    tallied: int = 0
    quiet: bool = False
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float | None = None
    starts: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    lines: Lines = field(default_factory=Lines)

    @property
    def running(self) -> bool:
        return self.process is not None

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def output(self) -> int:
        """Descriptor of the pipe that carries its stdout and stderr."""
        if not self.process or not self.process.stdout:
            raise ValueError(f"{self.name} does not run")
        return self.process.stdout.fileno()

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start it in a process group of its own. Raises OSError when it cannot be."""
        self.process = subprocess.Popen(
            tied(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=dict(environment), process_group=0, bufsize=0,
        )
        os.set_blocking(self.output, False)
        self.selector.register(self.output, selectors.EVENT_READ, self)
        self._begin_with(min(HURRY, self.nice) if self.starts else self.nice)
        self.started = time.monotonic()
        self.starts += 1
        self.due = None

    def settle(self) -> None:
        """It is there: from now on it works at its own priority, with all the threads that have not chosen theirs."""
        for thread in Path(f"/proc/{self.pid}/task").glob("*"):
            with suppress(OSError):  # it has ended
                if os.getpriority(os.PRIO_PROCESS, int(thread.name)) == HURRY:
                    os.setpriority(os.PRIO_PROCESS, int(thread.name), self.nice)

    def _begin_with(self, nice: int) -> None:
        if self.process:
            with suppress(OSError):  # it may have ended already, which is noticed elsewhere; or we may not go below 0
                os.setpriority(os.PRIO_PROCESS, self.process.pid, nice)

    def read(self, journal: Journal) -> None:
        """Pass on what it has written."""
        with suppress(BlockingIOError):
            if not self._pass_on(journal):
                self.selector.unregister(self.output)

    def _pass_on(self, journal: Journal) -> bool:
        chunk = os.read(self.output, 65536)
        for line in self.lines.feed(chunk):
            if any(mark in line for mark in self.tally):
                self.tallied += 1
            elif not self.quiet and not line.startswith(self.chatter):
                journal.say(line, self.name)
        return bool(chunk)

    def ended(self) -> int | None:
        """Its exit status when it has ended (negative: the signal), else None. It is not reaped yet: its number stays its own,
        so that :meth:`reap` can still end what is left of its group."""
        if not self.process:
            return None
        result = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def reap(self, journal: Journal) -> float:
        """Forget the ended process and the rest of its group; returns how long it lived in seconds.

        A thread takes the last leave of it: under load the kernel has kept who did that waiting for up to 50 s.
        """
        if not self.process:
            return 0.0
        self.signal(signal.SIGKILL)  # what it had started itself
        if self.process.stdout:
            with suppress(BlockingIOError):  # a grandchild may hold the pipe open: what is there now is enough
                while self._pass_on(journal):
                    pass
            if self.output in self.selector.get_map():
                self.selector.unregister(self.output)
            self.process.stdout.close()
        process, self.process = self.process, None
        threading.Thread(target=process.wait, name=f"reap {self.name}", daemon=True).start()
        return time.monotonic() - self.started

    def signal(self, number: int) -> None:
        """Send a signal to its whole group."""
        if self.process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def terminate(self) -> None:
        """Ask it to stop; a stopped (SIGSTOP) one could not hear that and is woken."""
        if self.process:
            with suppress(ProcessLookupError):
                self.process.terminate()
                self.process.send_signal(signal.SIGCONT)

    def end_of(self, status: int) -> str:
        """Its end in words."""
        if status >= 0:
            return f"ended with exit status {status}"
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"
