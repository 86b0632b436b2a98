# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the sound goes: a JACK server that runs, PipeWire's, one that we start, or none (the clock).

Nothing here waits: :meth:`AudioServer.poll` is called from the supervisor's loop and advances by a step at a time.
"""

from __future__ import annotations

import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from appliance.config import Audio
from appliance.supervision import jackfiles, probe
from appliance.supervision.child import Backoff, Child
from appliance.supervision.journal import Journal
from appliance.supervision.leftovers import Records

PROBE_S = 3.0
"""A server that has not answered a probe by then counts as none."""
START_S = 5.0
"""A server of ours that cannot be reached by then is started another way."""
REPROBE_S = 0.05
GIVEN_BACK_S = 2.0
"""A foreign server that went away has this long to come back before we see to the sound ourselves."""
SERVER_WAIT_S = 1.0
"""Longest time between two tries to have back a server of ours that had worked."""
CHATTER = ("jackdmp ", "Copyright ", "This is free software", "under certain conditions", "self-connect-mode",
           "JackTimedDriver::Process XRun", "Jack main caught signal")
"""What jackd says at each start and stop, and for each late cycle (those the engine counts)."""


class Stage(Enum):
    LOOKING = "looking for a JACK server"
    STARTING = "starting the JACK server"
    READY = "ready"
    DOWN = "waiting for the JACK server"


@dataclass(frozen=True)
class Way:
    """One way to start jackd: on which device, real time or not."""

    device: str
    realtime: bool

    def command(self, audio: Audio) -> list[str]:
        priority = ["-R", "-P", str(_priority())] if self.realtime else ["-r"]
        driver = ["-d", "dummy"] if self.device == "dummy" else ["-d", "alsa", "-d", self.device, "-n", "3"]
        return ["jackd", *priority, "-n", audio.server, *driver, "-r", str(audio.rate), "-p", str(audio.period)]


def sound_card() -> str | None:
    """The first ALSA card that can play (``hw:NAME``), or None."""
    for pcm in sorted(Path("/proc/asound").glob("card[0-9]*/pcm*p")):
        try:
            return f"hw:{(pcm.parent / 'id').read_text().strip()}"
        except OSError:
            continue
    return None


def realtime_permitted() -> bool:
    """Whether this user may run threads in real time."""
    return os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_RTPRIO)[0] != 0


def _priority() -> int:
    most = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    return 80 if os.geteuid() == 0 or most == resource.RLIM_INFINITY else max(1, min(80, most))


def pipewire_runs() -> bool:
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return (Path(folder) / os.environ.get("PIPEWIRE_REMOTE", "pipewire-0")).exists()


class AudioServer:
    """``backend`` is ``jack``, ``clock`` or, while it is not decided, empty. ``prefix`` goes before the engine's command."""

    def __init__(self, audio: Audio, journal: Journal, records: Records, environment: Mapping[str, str],
                 selector: selectors.BaseSelector) -> None:
        self.backend = ""
        self.prefix: list[str] = []
        self.stage = Stage.LOOKING
        self.server = Child("jackd", selector, chatter=CHATTER, backoff=Backoff(SERVER_WAIT_S))
        self._audio = audio
        self._journal = journal
        self._records = records
        self._environment = {**environment, "JACK_NO_START_SERVER": "1", "JACK_NO_AUDIO_RESERVATION": "1"}
        self._probe: subprocess.Popen[bytes] | None = None
        self._probed = 0.0
        self._deadline = 0.0
        self._lost_at: float | None = None
        self._ways = self._all_ways()
        self._way: Way | None = None
        self._proven = False
        self._candidates: list[list[str]] = []
        if audio.backend == "clock":
            self._settle_on_clock("")
        else:
            self._look()

    @property
    def ready(self) -> bool:
        return self.stage is Stage.READY

    @property
    def label(self) -> str:
        """For people: ``jack:default``, ``pipewire:default``, ``clock``."""
        if self.backend != "jack":
            return "clock"
        return f"{'pipewire' if self.prefix else 'jack'}:{self._audio.server}"

    @property
    def ours(self) -> bool:
        """Whether we start the server (it runs, or is being started again)."""
        return self._way is not None

    def poll(self) -> None:
        """Advance: probes that have ended, a server that has come up or died, a time that is over."""
        self._watch_server()
        if self.stage in (Stage.LOOKING, Stage.STARTING):
            self._advance()
        elif self.stage is Stage.DOWN and self.server.due is not None and time.monotonic() >= self.server.due:
            self._start(self._way or Way("dummy", realtime=False))

    def engine_ended(self) -> None:
        """The engine went: if it runs on a server that is not ours, see whether that is still there."""
        if self.backend == "jack" and not self.ours and self.ready:
            self._lost_at = time.monotonic()
            self._look()

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
        self._candidates = []
        if jackfiles.socket_of(self._audio.server) or pipewire_runs():
            self._candidates.append([])
            if pipewire_runs() and (wrapper := shutil.which("pw-jack")):
                self._candidates.append([wrapper])

    def _advance(self) -> None:
        now = time.monotonic()
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
            self._settle_on_jack()
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

    def _settle_on_jack(self) -> None:
        if self.stage is Stage.LOOKING:
            self.prefix = self._candidates[0]
        else:
            self._proven = True
        self.backend, self.stage, self._lost_at = "jack", Stage.READY, None

    def _nobody_answers(self, now: float) -> None:
        if self._lost_at is not None and now - self._lost_at < GIVEN_BACK_S:
            if now - self._probed > REPROBE_S:
                self._probed = now
                self._look()
            return
        if self._lost_at is not None:
            self._journal.say(f"the JACK server {self._audio.server!r} is gone")
        self.prefix = []
        if not self._audio.start_server:
            self._settle_on_clock(f"no JACK server {self._audio.server!r} runs and audio.start_server is off")
        elif not shutil.which("jackd"):
            self._settle_on_clock("no JACK server runs and jackd is not installed (Debian package jackd2)")
        else:
            self._next_way()

    # -- a server of ours

    def _all_ways(self) -> Iterator[Way]:
        wanted = self._audio.device
        first = (sound_card() or "dummy") if wanted == "auto" else wanted
        devices = [first] if first == "dummy" else [first, "dummy"]
        for device in devices:
            if realtime_permitted():
                yield Way(device, True)
            yield Way(device, False)

    def _next_way(self) -> None:
        way = next(self._ways, None)
        if way is None:
            self._way = None
            self._settle_on_clock("jackd cannot be started in any way")
        else:
            self._start(way)

    def _start(self, way: Way) -> None:
        self._way = way
        self.stage = Stage.STARTING
        self._deadline = time.monotonic() + START_S
        jackfiles.reclaim()
        kind = "no sound card" if way.device == "dummy" else way.device
        self._journal.say(f"starts jackd ({kind}, {self._audio.rate} Hz, {self._audio.period} frames, "
                          f"{'real time' if way.realtime else 'not real time'})")
        self.server.start(way.command(self._audio), self._environment)
        self._records.add("jackd", self.server.pid, self._audio.server)

    def _await_ours(self, now: float) -> None:
        if now > self._deadline:
            self._journal.say(f"jackd has not come up within {START_S:g} s")
            self.server.signal(signal.SIGKILL)
        elif now - self._probed > REPROBE_S and jackfiles.socket_of(self._audio.server):
            self._ask([])

    def _watch_server(self) -> None:
        """Reap the server; it counts as running for others until then, and no new one could be started."""
        status = self.server.ended()
        if not self.server.running or status is None:
            return
        pid = self.server.pid
        lived_s = self.server.reap(self._journal)
        self._drop_probe()
        jackfiles.sweep(self._audio.server, pid)
        self._journal.say(f"jackd {self.server.end_of(status)}")
        if self._proven:
            self.stage = Stage.DOWN
            self.server.due = time.monotonic() + self.server.backoff.wait_s(lived_s)
        else:
            self._next_way()

    def _settle_on_clock(self, why: str) -> None:
        if why:
            self._journal.say(f"{why}: the engine paces itself by the clock and is not heard")
        self.backend, self.stage = "clock", Stage.READY
