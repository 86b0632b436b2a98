# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the processes of the box, watches them, brings them back, and leaves nothing behind.

The story: take the lock, sweep what a killed predecessor left, make the shared memory, see to an audio server, start
everything, say that it is ready, watch until somebody asks to stop, stop in order. Helpers stand in ``supervision/``.
"""

from __future__ import annotations

import faulthandler
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import numpy as np

from appliance.bus import layout
from appliance.bus.box import Box, Role
from appliance.bus.memory import unlink
from appliance.bus.safeform import safe_form
from appliance.config import Config
from appliance.errors import Unavailable
from appliance.supervision.audioserver import AudioServer
from appliance.supervision.child import Backoff, Child
from appliance.supervision.jackfiles import LIBRARY_CHATTER
from appliance.supervision.journal import Journal, stderr_descriptor
from appliance.supervision.leftovers import Lock, Records, claim, sweep_leftovers, sweep_memory, sweep_strangers
from appliance.supervision.listening import Heard
from appliance.supervision.notify import Notifier
from appliance.supervision.ports import require_free
from appliance.supervision.safety import DEEPEST, Safety, part_of
from appliance.supervision.watch import DOUBT_S, ENGINE_START_S, INSIDE_S, STOPPED_OTHERS_S, Watch

STANDBY = "engine-b"
ENGINES = ("engine-a", STANDBY)
"""In the order of their words; from the same program, and neither is the first: who plays they see to themselves."""
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    **{name: ("{python}", "-P", "-m", "appliance.engine", "--box", "{box}", "--engine", name[-1], "--backend", "{backend}",
              "--server", "{server}") for name in ENGINES},
    "control": ("{python}", "-P", "-m", "appliance.control", "--box", "{box}"),
    "gen": ("{python}", "-P", "-m", "appliance.gen", "--box", "{box}"),
    "visuals": ("{python}", "-P", "-m", "appliance.visuals", "--box", "{box}"),
}
LONGEST_WAIT_S: Mapping[str, float] = dict.fromkeys(ENGINES, 0.5)
"""Between two starts of a process that dies again and again: without an engine it is silent."""
AGAIN = 5
"""Exit status of an engine that wants to be started again, such as for an audio server of another rate: that is no crash."""
NICE = {"engine-a": -5, "engine-b": -5, "gen": 3, "visuals": 5}
LATER_S: dict[str, float] = {"gen": 0.1, "visuals": 1.8, STANDBY: 4.0}
"""At the box's start the two cores of a small machine are for what makes the first sound."""
STOP_ORDER = (("visuals", "gen"), ("control",), ENGINES)
"""Control saves the session before the engines fade out; who is named together stops together."""
STOP_S = (1.0, 2.0, 1.0)
"""Longest time that each of them has; with the audio server all is over within 5 s."""
SERVER_STOP_S = 0.7

CONTROL_START_S = 20.0
"""When control is not there by then, systemd hears that the box plays all the same."""
POLL_S = 0.025
TOUR_S = 0.1
STUCK_S = 4.0
ALERT_S = 0.1
"""For so long after a signal every poll looks at everything."""
ENTERED, LEFT, CYCLES, READY, SERVER = (
    (layout.ENGINE.fields or {})[word][1] // 8 for word in ("entered_ns", "left_ns", "cycles", "ready", "server")
)
"""Places of an engine's words."""


class Supervisor:
    """``programs`` names what runs in each place; the shipped ones unless a test brings its own."""

    def __init__(self, data: Path, config: Config, programs: Mapping[str, tuple[str, ...]] = PROGRAMS) -> None:
        self._data = data
        self._config = config
        wanted = {"gen": config.gen.enabled, "visuals": config.visuals.enabled,
                  STANDBY: config.engine.standby and config.audio.backend == "jack"}
        self._programs = {name: program for name, program in programs.items() if wanted.get(name, True)}
        self._lock = Lock(data)
        self._records = Records(data)
        self._notifier = Notifier()
        self._selector = selectors.DefaultSelector()
        self._children = {
            name: Child(name, self._selector, NICE.get(name, 0), chatter=LIBRARY_CHATTER if name in ENGINES else (),
                        backoff=Backoff(LONGEST_WAIT_S.get(name, 5.0)))
            for name in self._programs
        }
        self._engine_children = [(self._children[name], index) for index, name in enumerate(ENGINES) if name in self._children]
        self._watches = {name: Watch() for name in self._programs}
        self._safeties = {part: Safety(config.safe.crashes, DEEPEST.get(part, 1)) for part in map(part_of, self._programs)}
        self._setups: dict[str, tuple[str, list[str]]] = {}
        self._stop_asked = 0
        self._announced = self._notified = False
        self._began = time.monotonic()
        self._cycles: list[int] = []
        self._label = ""
        self._polled = time.monotonic()
        self._toured = self._alert_until = self._armed = 0.0
        self._petted = 0.0
        self._petted_cycles: list[int] = []
        self._environment = _environment()

    def run(self) -> int:
        """Run the box until it is asked to stop; returns the exit status. Raises ApplianceError when it cannot start."""
        self._lock.take()
        self._journal = Journal(stderr_descriptor())
        try:
            for leftover in sweep_leftovers(self._data, self._records):
                self._journal.say(f"removed what a killed box had left: {leftover}")
            sweep_strangers(self._data)
            require_free(self._config)
            self._box = self._make_box()
            claim(self._data)
            words = layout.ENGINE.itemsize // 8
            self._words = self._box.segment.view(np.int64, len(ENGINES) * words, layout.offset("engine")).reshape(-1, words)
            self._listen_to_signals()
            self._audio = AudioServer(self._config.audio, self._journal, self._records, self._environment,
                                      self._selector)
            try:
                self._start_all()
                while not self._stop_asked:
                    self._wait(POLL_S)
                    self._watch()
            finally:
                self._stop_all()
        finally:
            self._journal.close()
            self._lock.release()
        return 0

    def _make_box(self) -> Box:
        try:
            return Box.create(self._data, self._config)
        except OSError as error:
            raise Unavailable(f"the data folder {self._data} cannot be written: {error.strerror}; make room or choose one with "
                              "--data") from None

    # -- starting

    def _start_all(self) -> None:
        self._table("supervisor", pid=os.getpid(), started_ns=time.monotonic_ns(), role=Role.RUNNING)
        self._notifier.tell(STATUS="starting")
        for child in self._children.values():
            child.due = time.monotonic() + LATER_S.get(child.name, 0.0)
            self._table(child.name, role=Role.WAITING)
        self._start_due()

    def _start_due(self) -> None:
        """Start what is due; an engine only when there is something to play through, the second only on a JACK server."""
        now = time.monotonic()
        for child in self._children.values():
            if child.running or child.due is None or now < child.due:
                continue
            if self._may_start(child):
                self._start(child)

    def _may_start(self, child: Child) -> bool:
        """The first time an engine waits for the audio server; later it paces itself while there is none."""
        if child.name not in ENGINES:
            return True
        if child.name == STANDBY:
            return self._audio.on_jack or (child.starts > 0 and self._audio.backend == "jack")
        return self._audio.ready or child.starts > 0

    def _start(self, child: Child) -> None:
        prefix = self._audio.prefix if child.name in ENGINES else []
        words = {"python": sys.executable, "box": str(self._box.run / "box.json"), "backend": self._audio.backend,
                 "server": self._config.audio.server}
        command = [*prefix, *(word.format(**words) for word in self._programs[child.name])]
        safety = self._safeties[part_of(child.name)]
        if safety.recover(time.monotonic()):
            self._journal.say(f"{part_of(child.name)} has been well for ten minutes: {child.name} starts in its normal form")
        if safety.level:
            command += ["--safe", str(safety.level)]
        self._table(child.name, beat_ns=0, started_ns=time.monotonic_ns(), safe=safety.level)
        try:
            child.start(command, self._environment)
        except OSError as error:
            child.due = time.monotonic() + child.backoff.wait_s(0)
            self._journal.say(f"{child.name} cannot be started: {error.strerror}")
            return
        self._table(child.name, pid=child.pid, restarts=child.starts - 1, role=Role.STARTING)
        self._watches[child.name] = self._watches[child.name].again()
        self._setups[child.name] = (self._audio.backend, list(prefix))
        self._records.add(child.name, child.pid, words["box"])

    # -- watching

    def _wait(self, timeout_s: float) -> None:
        """Pass on output and take signals until ``timeout_s`` is over or something has happened."""
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, Child):
                key.data.read(self._journal)
            else:
                self._signals.recv(4096)
                self._alert_until = time.monotonic() + ALERT_S

    def _watch(self) -> None:
        """The engines' words are looked at in every poll; the rest in every fourth, or when a process has ended or stopped."""
        now = time.monotonic()
        awake_s, self._polled = min(now - self._polled, 2 * POLL_S), now
        self._watch_blocks(awake_s)
        urgent = now < self._alert_until or not self._announced or not self._audio.ready
        if not urgent and now < self._toured + TOUR_S:
            return
        awake_s, self._toured = min(now - self._toured, 2 * TOUR_S), now
        if now - self._armed > 1.0:
            self._armed = now
            faulthandler.dump_traceback_later(STUCK_S)  # nobody watches us: should a tour ever hang, the journal says where
        self._audio.poll(self._heard(), awake_s)
        for child in self._children.values():
            if child.running:
                if (status := child.ended()) is not None:
                    self._bring_back(child, child.end_of(status), status=status, own_fault=status != -signal.SIGKILL)
                elif fault := self._fault(child, awake_s):
                    self._kill(child, fault)
        self._renew_engines()
        self._start_due()
        self._tell_audio()
        self._announce()
        self._pet()

    def _engines(self) -> list[tuple[Child, list[int]]]:
        """The engines that this box may have, with their words as they are now."""
        words = self._words.tolist()
        return [(child, words[index]) for child, index in self._engine_children]

    def _watch_blocks(self, awake_s: float) -> None:
        for child, words in self._engines():
            if child.running and (fault := self._watches[child.name].inside(
                words[ENTERED], words[LEFT], self._inside_s(child, words), awake_s, child.pid
            )):
                self._kill(child, fault)

    def _inside_s(self, child: Child, words: list[int]) -> float:
        """How long a block may take: less where it is called in real time."""
        watch = self._watches[child.name]
        watch.served = watch.served or words[SERVER] > 0
        paced = self._setups[child.name][0] == "clock" or not self._audio.on_jack or (watch.served and not words[SERVER])
        return INSIDE_S["clock" if paced else "jack"]

    def _heard(self) -> list[Heard]:
        """What the engines that are ready, or knock, and may be called by a JACK server tell of it."""
        return [Heard(child.name, words[SERVER], words[CYCLES], words[ENTERED] > words[LEFT])
                for child, words in self._engines()
                if child.running and (words[READY] or words[SERVER] == layout.KNOCKS) and self._setups[child.name][0] == "jack"]

    def _fault(self, child: Child, awake_s: float) -> str:
        """Why a living process counts as hung, or nothing."""
        watch = self._watches[child.name]
        fault = self._engine_fault(child, awake_s) if child.name in ENGINES else self._other_fault(child, awake_s)
        if watch.beaten and not watch.settled:
            watch.settled = True
            child.settle()
        return fault

    def _engine_fault(self, child: Child, awake_s: float) -> str:
        """Engines tell their role themselves."""
        watch, words = self._watches[child.name], self._words[ENGINES.index(child.name)]
        moves = watch.moves(int(words[CYCLES]))
        fault = ("" if moves else watch.stopped(child.pid, awake_s)) or watch.never_ready(bool(words[READY]), awake_s)
        if watch.stopped_s:
            self._alert_until = time.monotonic() + ALERT_S
        return fault

    def _other_fault(self, child: Child, awake_s: float) -> str:
        watch, row = self._watches[child.name], self._box.process(child.name)
        fault = watch.silent(int(row["beat_ns"]), awake_s, child.pid)
        if not fault and watch.silent_s > DOUBT_S:  # one that is stopped does not beat either
            fault = watch.stopped(child.pid, awake_s, STOPPED_OTHERS_S)
        if watch.beaten and row["role"] == Role.STARTING:
            self._table(child.name, role=Role.RUNNING)
        return fault

    def _kill(self, child: Child, why: str, *, crash: bool = True) -> None:
        child.signal(signal.SIGKILL)
        self._bring_back(child, why, crash=crash)

    def _bring_back(self, child: Child, what: str, *, status: int = -signal.SIGKILL, crash: bool = True,
                    own_fault: bool = True) -> None:
        """Reap an ended process and say when it comes back. What somebody else has killed has not crashed by its own fault, and
        nothing that it was given is suspected for it."""
        deadline = time.monotonic() + 0.1
        while child.ended() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        if child.ended() is None:  # in an uninterruptible wait: the next poll tries again
            return
        lived_s = child.reap(self._journal)
        if child.name in ENGINES:
            self._words[ENGINES.index(child.name)][[READY, ENTERED, LEFT, SERVER]] = 0
            crash = crash and status != AGAIN
        wait_s = child.backoff.wait_s(lived_s) if crash else 0.0
        child.due = time.monotonic() + wait_s
        self._table(child.name, pid=0, role=Role.WAITING)
        self._journal.say(f"{child.name} {what}; it starts again {f'in {wait_s:g} s' if wait_s else 'now'}")
        if crash and own_fault and status:
            self._count_crash(child.name)

    def _count_crash(self, name: str) -> None:
        """Three crashes within a minute: whatever it was given last may be the cause, so it does without."""
        part = part_of(name)
        safety = self._safeties[part]
        if safety.crashed(time.monotonic()):
            who = "the engines have" if part == "engine" else f"{name} has"
            self._journal.say(f"{who} crashed {self._config.safe.crashes} times within a minute and now start"
                              f"{'' if part == 'engine' else 's'} in a safe form: {safe_form(name, safety.level)}")

    def _renew_engines(self) -> None:
        """One after the other, start the engines anew that cannot reach the audio server that is there now."""
        unfit = [child for child, _ in self._engine_children
                 if child.running and not self._audio.suits(*self._setups.get(child.name, ("", [])))]
        if not unfit:
            return
        others = [(child, words) for child, words in self._engines() if child not in unfit]
        if any(not (child.running and words[READY]) for child, words in others):
            return  # the other one is just starting, and then it plays meanwhile
        unfit.sort(key=lambda child: int(self._box.process(child.name)["role"]) == Role.PLAYING)
        self._kill(unfit[0], f"cannot reach the audio server {self._audio.label} as it was started", crash=False)

    def _table(self, process: str, **words: int) -> None:
        row = self._box.process(process)
        for name, value in words.items():
            row[name] = int(value)

    # -- telling

    def _announce(self) -> None:
        """Print the one line on stdout once sound can be made and people can reach us."""
        if self._announced or not self._plays():
            return
        try:
            ends = json.loads((self._box.run / "endpoints.json").read_text(encoding="utf-8"))
            http, osc = (str(ends[name]).rpartition("://")[2] for name in ("http", "osc"))
        except (OSError, ValueError, KeyError, TypeError):
            if time.monotonic() - self._began > CONTROL_START_S and not self._notified:
                self._notified = True
                self._notifier.tell(READY=1, STATUS="plays, but cannot be reached: control does not start; see the journal")
            return
        self._announced = True
        pair = f"pair={ends['pair']} " if ends.get("pair") else ""
        line = (f"ready http=http://{http} osc={osc} {pair}audio={self._audio.label} display={self._display()} "
                f"data={self._data}\n")
        try:
            os.write(sys.stdout.fileno(), line.encode())
        except OSError as error:
            self._journal.say(f"nobody reads our output ({error.strerror}): {line.strip()}")
        self._notifier.tell(READY=1, STATUS=f"plays; http://{http}, OSC {osc}, {self._audio.label}")

    def _display(self) -> str:
        if not self._config.visuals.enabled:
            return "off"
        return "offscreen" if self._config.visuals.display == "none" else "starting"

    def _plays(self) -> bool:
        """Whether an engine plays and has rendered blocks since the last look."""
        before, self._cycles = self._cycles, self._words[:, CYCLES].tolist()
        return any(words[READY] and int(self._box.process(child.name)["role"]) == Role.PLAYING and
                   0 <= was < words[CYCLES] for (child, words), was in zip(self._engines(), before, strict=False))

    def _tell_audio(self) -> None:
        if self._audio.label != self._label:
            self._label = self._audio.label
            self._box.record["audio"] = self._label.encode()[:63]

    def _pet(self) -> None:
        """Tell systemd's watchdog that we live, while blocks are rendered or we know why they are not."""
        now = time.monotonic()
        if not self._notifier.watchdog_s or now - self._petted < self._notifier.watchdog_s / 4:
            return
        cycles = self._words[:, CYCLES].tolist()
        running = [child for child, _ in self._engines() if child.running]
        known = not self._audio.ready or not any(now - child.started >= ENGINE_START_S for child in running)
        if cycles != self._petted_cycles or known:
            self._notifier.tell(WATCHDOG=1)
            self._petted, self._petted_cycles = now, cycles

    # -- stopping

    def _listen_to_signals(self) -> None:
        """Signals wake the loop; the handlers do as good as nothing."""
        self._signals, wake = socket.socketpair()
        self._signals.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.detach(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._selector.register(self._signals, selectors.EVENT_READ, None)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_asked += 1

    def _stop_all(self) -> None:
        """Stop in order; whoever does not within its time is killed. A second request to stop ends the waiting."""
        faulthandler.cancel_dump_traceback_later()
        self._notifier.tell(STOPPING=1, STATUS="stopping")
        self._box.record["closing"] = 1
        for names, patience_s in zip(STOP_ORDER, STOP_S, strict=True):
            children = [self._children[name] for name in names if name in self._children]
            for child in children:
                child.due = None
                child.terminate()
            self._wait_for_end(children, patience_s)
            for child in children:
                if child.running:
                    self._journal.say(f"{child.name} has not stopped within {patience_s:g} s and was killed")
                    child.signal(signal.SIGKILL)
            self._wait_for_end(children, 1.0)
        self._audio.stop(SERVER_STOP_S)
        self._records.clear()
        unlink(self._box.segment.name)
        sweep_memory(self._data)
        self._selector.close()

    def _wait_for_end(self, children: list[Child], patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while any(child.running for child in children):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._stop_asked > 1:
                return
            self._wait(min(POLL_S, left_s))
            for child in children:
                if child.running and child.ended() is not None:
                    child.reap(self._journal)
                    self._table(child.name, pid=0, role=Role.STOPPED)


def _environment() -> dict[str, str]:
    """What the processes see: ours, and where to find the package when it is not installed."""
    environment = dict(os.environ)
    root = Path(__file__).resolve().parent.parent
    if root.name != "site-packages":
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), environment.get("PYTHONPATH", "")]))
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONFAULTHANDLER"] = "1"
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        environment.pop(name, None)
    return environment
