# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the sound goes: a JACK server that runs, PipeWire's, one that we start, or none (the clock).

Nothing here waits: :meth:`AudioServer.poll` is called from the supervisor's loop and advances by a step at a time. While there
is no server the engines pace themselves; they find one that is back by themselves.
"""

from __future__ import annotations

import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum

from appliance.config import Audio
from appliance.supervision import jackfiles, probe
from appliance.supervision.cards import plugged_in
from appliance.supervision.child import HEALTHY_S, Backoff, Child
from appliance.supervision.journal import Journal
from appliance.supervision.leftovers import Records
from appliance.supervision.listening import Heard, Listener
from appliance.supervision.ways import DUMMY, Way, all_ways, pipewire_runs, wanted_device

PROBE_S = 3.0
"""A server that has not answered a probe by then counts as none."""
START_S = 5.0
"""A server of ours that cannot be reached by then is started another way."""
REPROBE_S = 0.05
GIVEN_BACK_S = 2.0
"""A foreign server that went away has this long to come back before we see to the sound ourselves."""
SERVER_WAIT_S = 1.0
"""Longest time between two tries to have back a server of ours that had worked."""
CARD_TRIES, CARD_TRY_S = 4, 0.2
"""A card that was pulled and put back at once is given so many tries before the server runs without one."""
CARD_LOOK_S = 1.0
CARD_AGAIN_S = (5.0, 300.0)
"""A card that is there and could not be opened is tried again after so long, each time later."""
RETRY_S = (5.0, 60.0)
"""Without any server, the next try to have one comes after so long, each time later."""
SIGN_S = 1.0
LATE_S = 60.0
NICE = -10
"""Where we may: its thread that takes clients in and out of the graph is no real-time thread. While that waits for a processor,
a client that has died stays in the graph."""
LEAVE_S = 0.5
CHATTER = (*jackfiles.LIBRARY_CHATTER, "jackdmp ", "Copyright ", "This is free software", "under certain conditions",
           "self-connect-mode", "Jack main caught signal")
"""What jackd says at each start and stop, and whenever a client has died."""
LATE = ("XRun", "xrun", "was not finished", "LockedTimedWait", "ProcessGraphAsync", "ProcessGraphSync", "ProcessAsync:",
        "ProcessSync:")
"""Words of jackd's lines about late cycles: they are counted."""


class Stage(Enum):
    LOOKING = "looking for a JACK server"
    STARTING = "starting the JACK server"
    READY = "ready"
    DOWN = "waiting for the JACK server"
    LEAVING = "ending the JACK server, to start it another way"


class AudioServer:
    """``backend`` is ``jack``, ``clock`` or, while it is not decided, empty. ``prefix`` goes before an engine's command."""

    def __init__(self, audio: Audio, journal: Journal, records: Records, environment: Mapping[str, str],
                 selector: selectors.BaseSelector) -> None:
        self.backend = ""
        self.prefix: list[str] = []
        self.stage = Stage.LOOKING
        self.server = Child("jackd", selector, NICE, chatter=CHATTER, tally=LATE, backoff=Backoff(SERVER_WAIT_S))
        self._audio = audio
        self._journal = journal
        self._records = records
        self._environment = {**environment, "JACK_NO_START_SERVER": "1", "JACK_NO_AUDIO_RESERVATION": "1"}
        self._probe: subprocess.Popen[bytes] | None = None
        self._probed = 0.0
        self._deadline = 0.0
        self._lost_at: float | None = None
        self._ways = all_ways(audio)
        self._gap_s = 0.0
        self._way: Way | None = None
        self._proven = False
        self._candidates: list[list[str]] = []
        self._listener = Listener()
        self._retry_at = self._sign_at = 0.0
        self._retry_s = RETRY_S[0]
        self._sign: tuple[object, ...] = ()
        self._card_absent = False
        self._card_at = self._card_try_at = 0.0
        self._card_wait_s = CARD_AGAIN_S[0]
        self._late_since = 0.0
        if audio.backend == "clock":
            self._settle_on_clock("")
        else:
            self._look()

    @property
    def ready(self) -> bool:
        """Whether an engine that is started now has something that paces it."""
        return self.stage is Stage.READY or self.backend == "clock"

    @property
    def on_jack(self) -> bool:
        """Whether a JACK server is there, as far as we know."""
        return self.backend == "jack" and self.stage is Stage.READY

    @property
    def label(self) -> str:
        """For people, what it is now: ``jack:default``, ``pipewire:default``, ``clock``."""
        if not self.on_jack:
            return "clock"
        return f"{'pipewire' if self.prefix else 'jack'}:{self._audio.server}"

    @property
    def ours(self) -> bool:
        """Whether we start the server (it runs, or is being started again)."""
        return self._way is not None

    def suits(self, backend: str, prefix: Sequence[str]) -> bool:
        """Whether an engine started for ``backend`` with ``prefix`` can reach the server that is there now, if one is."""
        return not self.on_jack or (backend == "jack" and list(prefix) == self.prefix)

    def poll(self, engines: Iterable[Heard] = (), awake_s: float = 0.0) -> None:
        """Advance: probes that have ended, a server that has come up, died or hangs, a card that is back, a time that is over.

        ``engines`` are those that were started for JACK and are ready, or wait to be let in; ``awake_s`` is how long the
        supervisor was awake since the last call.
        """
        now = time.monotonic()
        self._watch_server(now)
        match self.stage:
            case Stage.LOOKING | Stage.STARTING:
                self._advance(now)
            case Stage.DOWN if self.server.due is not None and now >= self.server.due:
                self._next_way()
            case Stage.LEAVING if now >= self._deadline:
                self.server.signal(signal.SIGKILL)
            case Stage.READY if self.backend == "jack":
                self._listen(list(engines), awake_s)
                if self.ours and self.stage is Stage.READY:
                    self._watch_card(now)
            case Stage.READY if self._audio.backend == "jack":
                self._try_again(now)
            case _:
                pass
        self._tell_late(now)

    def stop(self, patience_s: float) -> None:
        """End the probe and the server that is ours, and remove what a server that had to be killed leaves."""
        self._drop_probe()
        if not self.server.running:
            return
        pid = self.server.pid
        self.server.terminate()
        deadline = time.monotonic() + patience_s
        while self.server.ended() is None and time.monotonic() < deadline:
            self.server.read(self._journal)
            time.sleep(0.01)
        self.server.signal(signal.SIGKILL)
        while self.server.ended() is None:
            time.sleep(0.01)
        self.server.reap(self._journal)
        jackfiles.sweep(self._audio.server, pid)

    # -- a server that somebody else runs

    def _look(self) -> None:
        """Begin to ask: the plain JACK library first, then PipeWire's."""
        self.stage = Stage.LOOKING
        self._way = None
        self._candidates = []
        if jackfiles.socket_of(self._audio.server) or pipewire_runs():
            self._candidates.append([])
            if pipewire_runs() and (wrapper := shutil.which("pw-jack")):
                self._candidates.append([wrapper])

    def _advance(self, now: float) -> None:
        if self._probe is None:
            if self.stage is Stage.STARTING:
                self._await_ours(now)
            elif self._candidates:
                self._ask(self._candidates[0])
            else:
                self._nobody_answers(now)
            return
        status = self._probe.poll()
        if status is None and now - self._probed < PROBE_S:
            return
        self._drop_probe()
        if status == 0:
            self._settle_on_jack(now)
        elif self.stage is Stage.LOOKING:
            self._candidates.pop(0)
        else:
            self._probed = now

    def _ask(self, prefix: list[str]) -> None:
        self._probed = time.monotonic()
        self._probe = subprocess.Popen(
            [*prefix, sys.executable, "-I", "-S", probe.__file__, self._audio.server], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._environment, process_group=0,
        )

    def _drop_probe(self) -> None:
        if self._probe:
            if self._probe.poll() is None:
                self._probe.kill()
                self._probe.wait()
            self._probe = None

    def _settle_on_jack(self, now: float) -> None:
        was_clock = self.backend == "clock"
        if self.stage is Stage.LOOKING:
            self.prefix = self._candidates[0]
        else:
            self._proven = True
            self.prefix = []
        lost, self._lost_at = self._lost_at, None
        self.backend, self.stage = "jack", Stage.READY
        self.server.quiet = False
        self._listener.begin()
        self._card_try_at = now + self._card_wait_s
        self._retry_s = RETRY_S[0]
        if was_clock or (lost is not None and not self.ours):
            self._journal.say(f"there is an audio server again: {self.label}")

    def _nobody_answers(self, now: float) -> None:
        if self._lost_at is not None and now - self._lost_at < GIVEN_BACK_S:
            if now - self._probed > REPROBE_S:
                self._probed = now
                self._look()
            return
        if self._lost_at is not None:
            self._journal.say(f"the JACK server {self._audio.server!r} is gone")
            self._lost_at = None
        if not self._audio.start_server:
            self._settle_on_clock(f"no JACK server {self._audio.server!r} runs and audio.start_server is off")
        elif not shutil.which("jackd"):
            self._settle_on_clock("no JACK server runs and jackd is not installed (Debian package jackd2)")
        else:
            self._ways, self._gap_s = all_ways(self._audio), 0.0
            self._next_way()

    # -- a server of ours

    def _next_way(self) -> None:
        way = next(self._ways, None)
        if way is None:
            self._settle_on_clock("jackd cannot be started in any way")
        else:
            self._start(way)

    def _start(self, way: Way) -> None:
        self._way = way
        self.stage = Stage.STARTING
        self._deadline = time.monotonic() + START_S
        self._card_absent = way.device == DUMMY and self._card_is_missing()
        jackfiles.reclaim()
        kind = "no sound card" if way.device == DUMMY else way.device
        self._say(f"starts jackd ({kind}, {self._audio.rate} Hz, {self._audio.period} frames, "
                  f"{'real time' if way.realtime else 'not real time'})")
        try:
            self.server.start(way.command(self._audio), self._environment)
        except OSError as error:
            self._settle_on_clock(f"jackd cannot be started: {error.strerror}")
            return
        self._records.add("jackd", self.server.pid, self._audio.server)

    def _say(self, message: str) -> None:
        """What is only worth a line when it is not the tenth try."""
        if not self.server.quiet:
            self._journal.say(message)

    def _await_ours(self, now: float) -> None:
        if now > self._deadline:
            self._say(f"jackd has not come up within {START_S:g} s")
            self._deadline = now + START_S
            self.server.signal(signal.SIGKILL)
        elif now - self._probed > REPROBE_S and jackfiles.socket_of(self._audio.server):
            self._ask([])

    def _watch_server(self, now: float) -> None:
        """Reap the server; it counts as running for others until then, and no new one could be started."""
        status = self.server.ended()
        if not self.server.running or status is None:
            return
        pid = self.server.pid
        lived_s = self.server.reap(self._journal)
        self._drop_probe()
        jackfiles.sweep(self._audio.server, pid)
        self._say(f"jackd {self.server.end_of(status)}")
        if self.stage is Stage.LEAVING:
            self._proven = False
            self._next_way()
            return
        wait_s = self._gap_s
        if self._proven:
            wait_s = self.server.backoff.wait_s(lived_s)
            if lived_s >= HEALTHY_S:
                self._listener.forgive()
            self._ways, self._gap_s = self._ways_back(), CARD_TRY_S
            self._proven = False
        self.stage, self.server.due = Stage.DOWN, now + wait_s

    def _ways_back(self) -> Iterator[Way]:
        """After the death of a server that had worked: the same way a few times, then any other."""
        way = self._way
        same = (DUMMY, way.device if way else DUMMY)
        others = [other for other in all_ways(self._audio) if other != way and other.device in same]
        return iter([*([way] * CARD_TRIES if way else []), *others])

    # -- what the engines tell

    def _listen(self, engines: list[Heard], awake_s: float) -> None:
        """The engines know first: nobody calls them any more."""
        if self.ours:
            if fault := self._listener.hangs(engines, awake_s):
                self._journal.say(f"jackd {fault}: it hangs and was killed")
                self.server.signal(signal.SIGKILL)
        elif self._listener.lost(engines, awake_s):
            self._journal.say(f"the engines have lost the JACK server {self._audio.server!r} and go on by the clock")
            self._lost_at = time.monotonic()
            self._look()

    # -- a card that is back

    def _watch_card(self, now: float) -> None:
        if not self._way or self._way.device != DUMMY or self._audio.device == DUMMY or now < self._card_at:
            return
        self._card_at = now + CARD_LOOK_S
        if self._card_is_missing():
            self._card_absent = True
            return
        if not self._card_absent and now < self._card_try_at:
            return
        if self._card_absent:
            self._card_wait_s = CARD_AGAIN_S[0]
            self._journal.say(f"the sound card is there ({wanted_device(self._audio)}): jackd is started again on it")
        else:
            self._card_wait_s = min(4 * self._card_wait_s, CARD_AGAIN_S[1])
            self._journal.say(f"jackd is started again, to try the sound card {wanted_device(self._audio)} once more")
        self._ways, self._gap_s = all_ways(self._audio), 0.0
        self.stage, self._deadline = Stage.LEAVING, now + LEAVE_S
        self.server.terminate()

    def _card_is_missing(self) -> bool:
        """Whether it is known that the wanted card is not plugged in."""
        device = wanted_device(self._audio)
        return not device or plugged_in(device) is False

    # -- none at all

    def _settle_on_clock(self, why: str) -> None:
        if why:
            self._say(f"{why}: the engines pace themselves by the clock and are not heard")
        if self.backend != "clock":
            self._sign, self._retry_s = (), RETRY_S[0]
        self._way = None
        self.prefix = []
        self._retry_at = time.monotonic() + self._retry_s
        self.backend, self.stage = "clock", Stage.READY

    def _try_again(self, now: float) -> None:
        """At little cost and without a word: a server that has appeared at once, one of our own now and then."""
        if now < self._sign_at:
            return
        self._sign_at = now + SIGN_S
        before, self._sign = self._sign, self._signs()
        if now < self._retry_at and (self._sign == before or not any(self._sign)):
            return
        self._retry_s = min(2 * self._retry_s, RETRY_S[1])
        self.server.quiet = True
        self._look()

    def _signs(self) -> tuple[object, ...]:
        socket = jackfiles.socket_of(self._audio.server)
        try:
            stamp = socket.stat().st_ino if socket else 0
        except OSError:
            stamp = 0
        return stamp, pipewire_runs()

    def _tell_late(self, now: float) -> None:
        """Late cycles come in hundreds when a machine is busy: one line a minute tells how many."""
        if self.server.tallied and not self._late_since:
            self._late_since = now
        elif self._late_since and now - self._late_since >= LATE_S:
            times = "once" if self.server.tallied == 1 else f"{self.server.tallied} times"
            self._journal.say(f"the audio server was late {times} in the last minute")
            self._late_since, self.server.tallied = 0.0, 0
