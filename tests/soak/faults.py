# SPDX-License-Identifier: GPL-3.0-or-later
"""What can happen on a stage. Every fault is a small function; it returns when the box works again, or says what does not.

Which process plays is looked up in the process table, so the faults do not care how many engines there are.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.bus.box import Role
from appliance.supervision.child import process_state
from tests.soak.script import Player
from tests.soak.stage import ENGINES, PERIOD, Stage

PERIOD_S = PERIOD / 48000.0
KILL_S = 3 * PERIOD_S
"""How long the sound may be disturbed when the playing engine is killed and another stands by."""
ALONE_S = 6.0
"""The same where none stands by: until it is back, on a machine that is busy."""
HUNG_S = 0.15
SERVER_S = 2.0
SECOND_LOOK_S = 1.0
SAFE_FORM_S = 70.0
BACK_S = 15.0
"""Longest time until a killed process works again, however busy the machine is; how long it took is in the report."""


@dataclass
class Injected:
    """A fault as it happened. ``allowed_s``: for so long it may disturb the sound (0: not at all)."""

    name: str
    began_ns: int
    ended_ns: int = 0
    allowed_s: float = 0.0
    target: str = ""
    back_s: float = 0.0
    problem: str = ""
    grid_may_move: bool = False
    """The server's own time makes a step."""
    hot: bool = False
    """Another engine stood by: then no silence, no mixture, no part of a block may be heard."""
    heard_until_ns: int = 0
    """With an engine standing by it is over long before the dead one is back; 0: when the fault is over."""
    heard_frames: int = 0
    excused_frames: int = 0
    """What the machine may have added."""
    unclean: list[str] = field(default_factory=list)
    still: float = 0.0
    """Share of its time, and of ten seconds before it, in which the cores stood still."""

    @property
    def audible(self) -> bool:
        return self.allowed_s > 0.0


class Refused(Exception):
    """The fault cannot be injected now; the words say why."""


@dataclass
class Faults:
    """Injects what is asked for; ``log`` has what happened."""

    stage: Stage
    player: Player
    random: random.Random
    log: list[Injected] = field(default_factory=list)

    def inject(self, name: str) -> Injected | None:
        """None when it cannot be done here and now."""
        injected = Injected(name, time.monotonic_ns())
        try:
            FAULTS[name](self, injected)
        except Refused:
            return None
        except (OSError, AssertionError, subprocess.SubprocessError) as error:
            injected.problem = f"{type(error).__name__}: {error}"
        injected.ended_ns = time.monotonic_ns()
        injected.back_s = (injected.ended_ns - injected.began_ns) / 1e9
        self.log.append(injected)
        return injected

    # -- what they share

    def await_(self, condition: Callable[[], object], seconds: float, injected: Injected, what: str) -> None:
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                injected.problem = f"not within {seconds:g} s: {what}"
                return
            time.sleep(0.005)

    def spare(self, *processes: str) -> None:
        """A process that ends three times within a minute comes back in its safe form, without what it had loaded: that is
        meant so, and another matter."""
        since_ns = time.monotonic_ns() - int(SAFE_FORM_S * 1e9)
        if sum(1 for fault in self.log if fault.target in processes and fault.ended_ns > since_ns) >= 2:
            raise Refused(f"{processes[0]} has ended twice within the last minute")

    def kill(self, process: str, injected: Injected) -> None:
        pid = self.stage.pid(process)
        injected.target = process
        os.kill(pid, signal.SIGKILL)
        if injected.hot:
            injected.heard_until_ns = time.monotonic_ns()
        self.await_(lambda: self.stage.pid(process) != pid and self.stage.works(process), BACK_S, injected,
                    f"{process} works again")
        if process in ENGINES:
            self.await_(self.stage.sounding, BACK_S, injected, "an engine plays")

    def stop(self, process: str, injected: Injected, seconds: float) -> None:
        """SIGSTOP; SIGCONT after ``seconds``, if it is still there then."""
        pid = self.stage.pid(process)
        injected.target = process
        began = process_state(pid)[1]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        if process_state(pid)[1] == began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        if injected.hot:
            injected.heard_until_ns = time.monotonic_ns()
        decided = time.monotonic() + SECOND_LOOK_S  # it may still be found to have stood, and be killed for it
        while self.stage.pid(process) == pid and time.monotonic() < decided:
            time.sleep(0.01)
        self.await_(lambda: self.stage.works(process), BACK_S, injected, f"{process} works again")
        if process in ENGINES:
            self.await_(self.stage.sounding, BACK_S, injected, "an engine plays")

    def playing(self, injected: Injected, with_standby_s: float) -> str:
        name = self.stage.engine(Role.PLAYING)
        if not name:
            raise Refused("no engine plays")
        self.spare(*ENGINES)
        injected.hot = bool(self.stage.engine(Role.STANDBY))
        injected.allowed_s = with_standby_s if injected.hot else ALONE_S
        return name

    def standby(self) -> str:
        name = self.stage.engine(Role.STANDBY)
        if not name:
            raise Refused("no engine stands by")
        self.spare(*ENGINES)
        return name

    def running(self, process: str) -> str:
        if not self.stage.works(process):
            raise Refused(f"{process} does not run")
        self.spare(process)
        return process


# -- processes


def kill_playing(faults: Faults, injected: Injected) -> None:
    faults.kill(faults.playing(injected, KILL_S), injected)


def stop_playing(faults: Faults, injected: Injected) -> None:
    faults.stop(faults.playing(injected, HUNG_S), injected, faults.random.uniform(0.02, 0.6))


def kill_standby(faults: Faults, injected: Injected) -> None:
    faults.kill(faults.standby(), injected)


def stop_standby(faults: Faults, injected: Injected) -> None:
    faults.stop(faults.standby(), injected, faults.random.uniform(0.02, 0.6))


def kill_control(faults: Faults, injected: Injected) -> None:
    faults.kill(faults.running("control"), injected)


def stop_control(faults: Faults, injected: Injected) -> None:
    faults.stop(faults.running("control"), injected, faults.random.uniform(0.5, 3.0))


def kill_gen(faults: Faults, injected: Injected) -> None:
    faults.kill(faults.running("gen"), injected)


def stop_gen(faults: Faults, injected: Injected) -> None:
    faults.stop(faults.running("gen"), injected, faults.random.uniform(0.5, 3.0))


def kill_visuals(faults: Faults, injected: Injected) -> None:
    faults.kill(faults.running("visuals"), injected)


def stop_visuals(faults: Faults, injected: Injected) -> None:
    faults.stop(faults.running("visuals"), injected, faults.random.uniform(0.5, 3.0))


# -- the audio server


def kill_server(faults: Faults, injected: Injected) -> None:
    pid = faults.stage.jackd_pid()
    if not pid:
        raise Refused("no server of ours runs")
    injected.target, injected.allowed_s, injected.grid_may_move = "jackd", SERVER_S, True
    os.kill(pid, signal.SIGKILL)
    faults.await_(lambda: faults.stage.jackd_pid() not in (0, pid), BACK_S, injected, "a new audio server runs")
    faults.await_(faults.stage.sounding, BACK_S, injected, "the engine plays on the new server")


def change_period(faults: Faults, injected: Injected) -> None:
    """64, 1024 and back to 128 frames, as a person would with ``jack_bufsize``."""
    injected.target, injected.allowed_s, injected.grid_may_move = "jackd", SERVER_S, True
    for frames in (64, 1024, PERIOD):
        subprocess.run(["jack_bufsize", str(frames)], env={**os.environ, "JACK_DEFAULT_SERVER": faults.stage.server},
                       capture_output=True, timeout=10, check=True)
        time.sleep(faults.random.uniform(0.2, 0.6))
    faults.await_(faults.stage.sounding, BACK_S, injected, "the engine plays on")


# -- files


def fill_disk(faults: Faults, injected: Injected) -> None:
    if not faults.stage.small_disk:
        raise Refused("the data folder has no file system of its own")
    path, block = faults.stage.data / "filler", bytes(1 << 20)
    try:
        with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(block) == len(block):
                pass
        time.sleep(faults.random.uniform(1.0, 2.5))
    finally:
        path.unlink(missing_ok=True)


def delete_loaded_file(faults: Faults, injected: Injected) -> None:
    """A file that was loaded is gone, as when a stick is pulled; it comes back a little later."""
    ours = [path for path in faults.player.loaded if path.parent == faults.player.files[0].parent and path.exists()]
    if not ours:
        raise Refused("no file of ours is loaded")
    path = faults.random.choice(ours)
    injected.target = path.name
    hidden = path.with_suffix(".gone")
    path.rename(hidden)
    time.sleep(faults.random.uniform(0.5, 2.0))
    hidden.rename(path)


# -- the network


def bad_input(faults: Faults, injected: Injected) -> None:
    """Broken datagrams and requests, wrong addresses, wrong types, numbers that are none."""
    stage, rng = faults.stage, faults.random
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as osc:
        for _ in range(60):
            kind = rng.randrange(5)
            packet = (
                rng.randbytes(rng.randrange(1, 400)), b"#bundle\0" + rng.randbytes(40),
                b"/deck/9/play\0\0\0\0,i\0\0" + struct.pack(">i", 1),
                b"/mixer/master\0\0\0,f\0\0" + struct.pack(">f", float("nan")),
                b"/channel/1/fader\0\0\0\0,s\0\0loud\0\0\0\0",
            )[kind]
            osc.sendto(packet, ("127.0.0.1", stage.osc_port))
    for method, address, body in (("PUT", "/mixer/master", "loud"),
                                  ("POST", "/deck/1/load", ["/no/such/file.wav"]),
                                  ("GET", "/no/such/address", None), ("PUT", "/clock/bpm", 1e9),
                                  ("POST", "/pad/99/trigger", [])):
        with contextlib.suppress(urllib.error.HTTPError, TimeoutError, OSError):
            stage.http(method, address, body)
    for junk in (b"GET / HTTP/9.9\r\n\r\n", rng.randbytes(300),
                 b"POST /api/v1/clock/bpm HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n{"):
        with contextlib.suppress(OSError), socket.create_connection(stage.http_address, 1.0) as tcp:
            tcp.sendall(junk)


def come_and_go(faults: Faults, injected: Injected) -> None:
    """Programs that join the audio server and the network and leave again."""
    environment = {**os.environ, "JACK_DEFAULT_SERVER": faults.stage.server}
    for _ in range(4):
        subprocess.run(["jack_lsp", "-c"], env=environment, capture_output=True, timeout=10, check=False)
        sockets = []
        for _ in range(10):
            with contextlib.suppress(OSError):
                sockets.append(socket.create_connection(faults.stage.http_address, 0.5))
        time.sleep(0.05)
        for tcp in sockets:
            tcp.close()


FAULTS: dict[str, Callable[[Faults, Injected], None]] = {
    "playing engine killed": kill_playing,
    "playing engine stopped": stop_playing,
    "standby killed": kill_standby,
    "standby stopped": stop_standby,
    "control killed": kill_control,
    "control stopped": stop_control,
    "gen killed": kill_gen,
    "gen stopped": stop_gen,
    "visuals killed": kill_visuals,
    "visuals stopped": stop_visuals,
    "audio server killed": kill_server,
    "period changed": change_period,
    "disk full": fill_disk,
    "loaded file deleted": delete_loaded_file,
    "bad input": bad_input,
    "programs come and go": come_and_go,
}
SHORT = ("control killed", "playing engine killed", "bad input", "loaded file deleted", "visuals killed",
         "programs come and go")
"""For the short form: one of each of these, quickly recovered from."""


class Deck:
    """Names of faults in a random order, everyone as often as the others."""

    def __init__(self, rng: random.Random, names: tuple[str, ...] = tuple(FAULTS)) -> None:
        self._random, self._names = rng, names
        self._left: list[str] = []

    def draw(self) -> str:
        if not self._left:
            self._left = self._random.sample(self._names, len(self._names))
        return self._left.pop()
