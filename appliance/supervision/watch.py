# SPDX-License-Identifier: GPL-3.0-or-later
"""When does a process count as hung? All judgements of the supervisor about a living process.

Times count while the supervisor was awake itself: when the whole machine stood still (a busy virtual machine, suspend, Ctrl-Z),
nobody has been silent. Every method tells the fault in words, or nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from appliance.supervision.child import audio_threads, process_state, run_delays_ns

SILENT_S = 2.0
FIRST_BEAT_S = 15.0
"""A process that has not beaten by then hangs at its start; doubled each time, as a slow machine may need longer."""
LONGEST_FIRST_BEAT_S = 60.0
ENGINE_START_S = 30.0
DOUBT_S = 0.5
"""After so much silence it is looked at whether the process gets a processor at all."""
LONGEST_STARVED_S = 10.0
STOPPED_S = 0.02
STOPPED_OTHERS_S = 0.5
"""How long a process may stand still by SIGSTOP: an engine; and those that nobody hears, after a silence of ``DOUBT_S``."""
INSIDE_S = {"jack": 0.05, "clock": 0.25}
"""How long the engine may be seen in one and the same block. With the time until it is first seen that is under 100 ms; by the
clock the engine has no real-time priority and may be kept waiting by others."""
LONGEST_KEPT_S = 1.0
"""For so long a block may stand still because its thread gets no processor: others have it, or that of a virtual machine was
taken away. Killing the engine would not bring it back, and the standby plays meanwhile."""
RAN_SHARE = 1 / 3
"""A thread that is ready to run and has run for less of the time is kept from it; one that loops for ever runs all the time."""


@dataclass
class Watch:
    """What has been seen of one process since it was started. ``served``: an audio server has called it."""

    patience_s: float = FIRST_BEAT_S
    beaten: bool = False
    settled: bool = False
    beat_ns: int = 0
    silent_s: float = 0.0
    starved_s: float = 0.0
    delays_ns: dict[str, int] = field(default_factory=dict)
    stopped_s: float = 0.0
    served: bool = False
    cycles: int = -1
    entered_ns: int = 0
    inside_s: float = 0.0
    kept_s: float = 0.0
    threads: dict[str, tuple[str, int]] = field(default_factory=dict)
    threads_ns: int = 0

    def again(self) -> Watch:
        """For the next start of the same process."""
        return Watch(patience_s=self.patience_s)

    def silent(self, beat_ns: int, awake_s: float, pid: int = 0) -> str:
        """``beat_ns`` is the time of its last heartbeat (0: none yet). A process that waits for a processor does not hang."""
        if beat_ns != self.beat_ns:
            self.silent_s = self.starved_s = 0.0
            self.delays_ns = {}
        elif pid and self.silent_s > DOUBT_S and self.starved_s < LONGEST_STARVED_S:
            starved_s = self._starved_s(pid, awake_s)
            self.starved_s += starved_s
            self.silent_s += awake_s - starved_s
        else:
            self.silent_s += awake_s
        self.beat_ns = beat_ns
        if beat_ns:
            self.beaten = True
            return f"has given no sign of life for {self.silent_s:.1f} s and was killed" if self.silent_s > SILENT_S else ""
        if self.silent_s < self.patience_s:
            return ""
        waited_s, self.patience_s = self.patience_s, min(2 * self.patience_s, LONGEST_FIRST_BEAT_S)
        return f"has given no sign of life in {waited_s:g} s after its start and was killed"

    def _starved_s(self, pid: int, awake_s: float) -> float:
        """For how much of the last ``awake_s`` some thread of it was ready to run and got no processor."""
        before, self.delays_ns = self.delays_ns, run_delays_ns(pid)
        waited = max((delay - before.get(thread, delay) for thread, delay in self.delays_ns.items()), default=0)
        return min(awake_s, waited * 1e-9)

    def never_ready(self, ready: bool, awake_s: float) -> str:
        """For the engine, which lives as long as it renders: only its start can be too long."""
        self.beaten = self.beaten or ready
        self.silent_s = 0.0 if self.beaten else self.silent_s + awake_s
        return f"was not ready {ENGINE_START_S:g} s after its start and was killed" if self.silent_s > ENGINE_START_S else ""

    def moves(self, cycles: int) -> bool:
        """Whether it has rendered since the last look; then it need not be asked whether it stands still."""
        moved, self.cycles = cycles != self.cycles, cycles
        if moved:
            self.stopped_s = 0.0
        return moved

    def stopped(self, pid: int, awake_s: float, patience_s: float = STOPPED_S) -> str:
        """A process that stands still by SIGSTOP; two looks are needed."""
        if process_state(pid)[0] != "T":
            self.stopped_s = 0.0
            return ""
        if self.stopped_s >= patience_s:
            return "was stopped and was killed"
        self.stopped_s += max(awake_s, STOPPED_S / 2)
        return ""

    def inside(self, entered_ns: int, left_ns: int, limit_s: float, awake_s: float, pid: int = 0) -> str:
        """The engine was called for a block and does not come back. That the server calls it no more is not its fault, nor
        that its thread is ready and gets no processor."""
        if entered_ns <= left_ns or entered_ns != self.entered_ns:
            self.entered_ns, self.inside_s, self.kept_s, self.threads = entered_ns, 0.0, 0.0, {}
            return ""
        if pid and self.kept_s < LONGEST_KEPT_S and self._kept(pid):
            self.kept_s += awake_s
            return ""
        self.inside_s += awake_s
        if self.inside_s < limit_s:
            return ""
        return f"has not come back from a block for {(time.monotonic_ns() - entered_ns) / 1e6:.0f} ms and was killed"

    def _kept(self, pid: int) -> bool:
        """Whether its audio thread has been ready since the last look and has hardly run."""
        before, self.threads = self.threads, audio_threads(pid)
        now_ns = time.monotonic_ns()
        looked_ns, self.threads_ns = now_ns - self.threads_ns, now_ns
        return any(state == "R" and name in before and ran_ns - before[name][1] < RAN_SHARE * looked_ns
                   for name, (state, ran_ns) in self.threads.items())
