# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a machine in plain words, and how to mend it: ``appliance doctor``."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from appliance.bus.box import Box
from appliance.config import Config, cache_folder
from appliance.engine.wakeful import DEVICE
from appliance.errors import ApplianceError
from appliance.supervision import jackfiles, probe
from appliance.supervision.cards import sound_card
from appliance.supervision.table import status
from appliance.supervision.ways import pipewire_runs, realtime_permitted

LEAST_FREE_GB = 2.0
WANTED_LOCK_MB = 1024


class Grade(Enum):
    GOOD = "good"
    WEAK = "weak"  # it plays, with less than it could
    BAD = "BAD"  # it does not play


@dataclass(frozen=True)
class Finding:
    grade: Grade
    part: str
    says: str
    mend: str = ""

    def __str__(self) -> str:
        mend = f"\n                       → {self.mend}" if self.mend else ""
        return f"{self.grade.value:<5} {self.part:<16} {self.says}{mend}"


def examine(data: Path, config: Config) -> list[Finding]:
    """Look at everything; each part yields one finding or more."""
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python, lambda: _jack(config), _link, lambda: _voice(config), _realtime, _memory, _kernels, _midi, _graphics,
        lambda: _disk(data), lambda: _ports(data, config), lambda: _late(data, config),
    )
    return [finding for part in parts for finding in part()]


def good(part: str, says: str) -> Finding:
    return Finding(Grade.GOOD, part, says)


def weak(part: str, says: str, mend: str) -> Finding:
    return Finding(Grade.WEAK, part, says, mend)


def bad(part: str, says: str, mend: str) -> Finding:
    return Finding(Grade.BAD, part, says, mend)


def _python() -> Iterator[Finding]:
    missing: list[str] = []
    for package in ("numpy", "numba", "JACK-Client", "aiohttp", "pydantic", "moderngl", "glfw", "soundfile", "soxr"):
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    number = ".".join(str(part) for part in sys.version_info[:3])
    if missing:
        yield bad("Python", f"{number}; packages are missing: {', '.join(missing)}", "run `make run` again, it installs them")
    else:
        yield good("Python", f"{number}, numba {version('numba')}, numpy {version('numpy')}")


def _link() -> Iterator[Finding]:
    try:
        yield good("Ableton Link", f"aalink {version('aalink')}; it needs a network that carries multicast")
    except PackageNotFoundError:
        yield weak("Ableton Link", "the package aalink is not installed, so nobody can be followed or led by it",
                   "run `make run` again, it installs it where it can be had")


def _voice(config: Config) -> Iterator[Finding]:
    program = config.voice.program
    if shutil.which(program):
        yield good("voice", f"{program} speaks in the headphones")
    else:
        yield weak("voice", f"{program} is not installed: the box says nothing in the headphones", "apt-get install espeak-ng")


def _jack(config: Config) -> Iterator[Finding]:
    server = config.audio.server
    card = sound_card()
    if card is None:
        yield weak("sound card", "there is none", "plug an interface in; until then the box plays to a dummy device")
    else:
        yield good("sound card", card)
    if config.audio.backend == "clock":
        yield weak("JACK", "the config says audio.backend: clock, so nothing is heard", "set it to jack")
    elif (jackfiles.socket_of(server) or pipewire_runs()) and _answers(server, []):
        yield good("JACK", f"a server named {server!r} runs and is used")
    elif pipewire_runs() and (wrapper := shutil.which("pw-jack")) and _answers(server, [wrapper]):
        yield good("JACK", "PipeWire runs and is used through pw-jack")
    elif pipewire_runs() and not shutil.which("pw-jack"):
        yield weak("JACK", "PipeWire runs, but not its JACK side", "apt-get install pipewire-jack")
    elif not shutil.which("jackd"):
        yield weak("JACK", "no server runs and jackd is not installed: nothing is heard", "apt-get install jackd2")
    elif not _library("libjack.so.0"):
        yield weak("JACK", "the JACK library is missing: nothing is heard", "apt-get install libjack-jackd2-0")
    else:
        yield good("JACK", f"no server runs; the box starts jackd ({card or 'dummy device'})")


def _answers(server: str, prefix: list[str]) -> bool:
    try:
        done = subprocess.run([*prefix, sys.executable, "-I", "-S", probe.__file__, server], timeout=5, check=False,
                              capture_output=True, env={**os.environ, "JACK_NO_START_SERVER": "1"})
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _realtime() -> Iterator[Finding]:
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    mend = ("put the line `@audio - rtprio 95` into /etc/security/limits.d/audio.conf, join the group audio "
            "(`usermod -aG audio $USER`) and log in again")
    if not realtime_permitted():
        yield weak("real time", "threads may not run in real time: clicks under load", mend)
    elif not _may_be_realtime():
        yield weak("real time", "the system refuses real-time threads (in a container?)", "give it the capability SYS_NICE")
    else:
        yield good("real time", "permitted" + (f" up to priority {limit}" if limit > 0 else ""))
    governors = {path.read_text().strip() for path in Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor")}
    if governors - {"performance"}:
        yield weak("processor", f"its speed is governed by {', '.join(sorted(governors))}",
                   "`cpupower frequency-set -g performance` keeps it awake")


    if DEVICE.exists() and not os.access(DEVICE, os.W_OK):
        yield weak("sleep", f"{DEVICE} may not be written: the processor sleeps between blocks, each costs half as much again",
                   "`sudo cp systemd/60-appliance.rules /etc/udev/rules.d/`, join the group audio, restart the machine")
    else:
        yield good("sleep", "the processor stays awake between blocks" if DEVICE.exists() else "nothing is known to prevent it")


def _may_be_realtime() -> bool:
    """Try it in a short-lived process."""
    code = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=False).returncode == 0


def _memory() -> Iterator[Finding]:
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit == resource.RLIM_INFINITY or os.geteuid() == 0 or limit >= WANTED_LOCK_MB * 1e6:
        yield good("locked memory", "enough may be locked")
    else:
        yield weak("locked memory", f"only {limit / 1e6:.0f} MB may be locked: a busy machine may swap sound out",
                   "put the line `@audio - memlock unlimited` into /etc/security/limits.d/audio.conf and log in again")
    shared = shutil.disk_usage("/dev/shm")
    if shared.free < 512e6:
        yield weak("shared memory", f"{shared.free / 1e6:.0f} MB are free in /dev/shm; clips lie there",
                   "`mount -o remount,size=50% /dev/shm`")
    else:
        yield good("shared memory", f"{shared.free / 1e9:.1f} GB free")


def _kernels() -> Iterator[Finding]:
    folder = Path(os.environ.get("NUMBA_CACHE_DIR", ""))
    compiled = list(folder.rglob("*.nbc")) if folder.name else []
    if not compiled:
        yield weak("compiled code", f"there is none in {folder}: the first start takes a minute",
                   "`python -m appliance.engine.compile` makes it")
    elif cache_folder() not in folder.parents:
        yield weak("compiled code", f"{cache_folder()} cannot be written; it lies in {folder}",
                   "make the folder writable, or name another in APPLIANCE_CACHE")
    else:
        yield good("compiled code", f"{len(compiled)} pieces in {folder}")


def _midi() -> Iterator[Finding]:
    if not Path("/dev/snd/seq").exists():
        yield weak("MIDI", "there is no ALSA sequencer: only devices that JACK offers are heard", "`modprobe snd-seq`")
    elif not os.access("/dev/snd/seq", os.R_OK | os.W_OK):
        yield weak("MIDI", "/dev/snd/seq may not be opened",
                   "join the group audio (`usermod -aG audio $USER`) and log in again")
    else:
        yield good("MIDI", "ALSA sequencer open to us")


def _graphics() -> Iterator[Finding]:
    code = ("import moderngl; c = moderngl.create_context(standalone=True, backend='egl'); "
            "print(c.info['GL_RENDERER'], 'GL', c.version_code)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        yield weak("graphics", "no picture can be drawn (EGL is not there)", "apt-get install libegl1 libgl1-mesa-dri libgles2")
    elif "llvmpipe" in done.stdout or "softpipe" in done.stdout:
        yield weak("graphics", f"{done.stdout.strip()}: drawn by the processor, small and slow",
                   "a graphics chip with its Mesa driver draws full size")
    else:
        yield good("graphics", done.stdout.strip())
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield good("display", "none: the picture is drawn offscreen (HTTP shows it under /visuals/snapshot)")


def _disk(data: Path) -> Iterator[Finding]:
    folder = next(path for path in (data, *data.parents) if path.exists())
    free_gb = shutil.disk_usage(folder).free / 1e9
    if not os.access(folder, os.W_OK):
        yield bad("data folder", f"{data} cannot be written", "choose another with --data, or `chown` it")
    elif free_gb < LEAST_FREE_GB:
        yield weak("data folder", f"{data}: only {free_gb:.1f} GB are free", "delete old recordings or generated audio")
    else:
        yield good("data folder", f"{data}, {free_gb:.0f} GB free")


def _ports(data: Path, config: Config) -> Iterator[Finding]:
    from appliance.supervision.ports import require_free

    if _running(data):
        yield good("ports", f"the box runs and has them: HTTP {config.http}, OSC {config.osc}")
        return
    try:
        require_free(config)
        yield good("ports", f"free: HTTP {config.http}, OSC {config.osc}")
    except ApplianceError as error:
        what, _, mend = error.message.partition("; ")
        yield bad("ports", what, mend)


def _running(data: Path) -> Box | None:
    try:
        return Box.attach(data)
    except ApplianceError:
        return None


def _late(data: Path, config: Config) -> Iterator[Finding]:
    box = _running(data)
    if box is None:
        return
    try:
        facts = status(box)
    except ApplianceError as error:
        yield weak("box", error.message.partition("; ")[0], "start it again with `appliance run`")
        return
    if config.audio.backend == "jack" and facts["audio"]["server"] == "clock":
        yield weak("audio server", "the box that runs has none now: it paces itself by the clock and is not heard",
                   "start JACK or plug the interface in; the box finds it by itself")
    else:
        yield good("audio server", f"the box that runs is on {facts['audio']['server']}")
    overruns, xruns = facts["overruns"], facts["xruns"]
    restarts = {row["name"]: row["restarts"] for row in facts["processes"] if row["restarts"]}
    if overruns:
        yield weak("late blocks", f"{overruns} blocks of ours took longer than their period",
                   "a longer period: audio.period 256")
    elif xruns:
        yield weak("late blocks", f"{xruns} late cycles of the audio server, none of them ours",
                   "check the list above: real time, processor; then a longer period")
    else:
        yield good("late blocks", "none")
    if restarts:
        told = ", ".join(f"{name} {count}×" for name, count in restarts.items())
        yield weak("restarts", told, "the journal says why (`journalctl -u appliance`)")
