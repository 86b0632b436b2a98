# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench mixxx``: the whole box, without its pictures, beside Mixxx: the same JACK server, the same two tracks in
key lock at another tempo, the same time. Needs Debian's ``mixxx``, ``xvfb`` and ``xdotool``.

Mixxx is made as cheap as it gets: a server without a screen to draw on, no scrolling waveforms, its own analysis over, and
rubberband's faster way, which is our ``r2``. It plays by its keyboard, for it takes orders from nothing else here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jack
import numpy as np
import soundfile as sf

from appliance.bus.box import Box
from appliance.bus.hub import HubClient
from appliance.errors import Unavailable
from benchmarks.box import start_box
from benchmarks.boxes import wait_for
from benchmarks.engine import audio, cpu_ns
from benchmarks.report import Row

RATE = 48000
TRACK_S = 240.0
DECKS = 2
FASTER = 1.04
MEASURE_S = 10.0
STRETCHES = 3
START_S = 60.0
SETTLE_S = 8.0
LISTEN_S = 2.0
TONES_HZ = (55.0, 110.0)
"""Of the two tracks (see :func:`benchmarks.engine.audio`)."""
AUDIBLE = 0.01
NEEDED = ("mixxx", "Xvfb", "xdotool", "jackd", "jack_lsp")
OURS = ("engine-a", "engine-b", "control", "gen")
KEYS = """\
[Channel1]
play d
keylock z
rate_perm_up F2

[Channel2]
play l
keylock m
rate_perm_up F6
"""
"""A keyboard of Mixxx: what :func:`_perform` presses."""
STEPS_UP = 8
"""Of half a percent each, as Mixxx sets out."""
SETTINGS = """\
[Config]
Version 2.3.3
[Keyboard]
Enabled 1
[Waveform]
WaveformType 0
[Master]
keylock_engine 1
[Library]
RescanOnStartup 0
[BPM]
BPMDetectionEnabled 0
"""
SOUND = """\
<!DOCTYPE SoundManagerConfig>
<SoundManagerConfig api="JACK Audio Connection Kit" deck_count="2" samplerate="48000" latency="2" sync_buffers="2">
 <SoundDevice name="system" alsaHwDevice="" portAudioIndex="0">
  <output type="Master" index="0" channel="0" channel_count="2"/>
 </SoundDevice>
</SoundManagerConfig>
"""


def rows() -> list[Row]:
    try:
        return _compare()
    except Unavailable as error:
        print(f"cpu_vs_mixxx is skipped: {error.message}", file=sys.stderr)
        return []


def _compare() -> list[Row]:
    if missing := [program for program in NEEDED if shutil.which(program) is None]:
        raise Unavailable(f"{', '.join(missing)} not installed")
    shares: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as folder:
        tracks = [Path(folder) / f"track-{number}.wav" for number in range(DECKS)]
        for number, path in enumerate(tracks):
            sf.write(path, np.tile(audio(number), (round(TRACK_S / 8.0), 1)), RATE, "PCM_16")
        with _box(Path(folder), tracks) as (box, supervisor), _mixxx(Path(folder), tracks) as theirs:
            pids = [supervisor, *(int(box.process(name)["pid"]) for name in OURS)]
            for _ in range(STRETCHES):
                before = sum(map(cpu_ns, pids)), cpu_ns(theirs)
                time.sleep(MEASURE_S)
                shares.append((sum(map(cpu_ns, pids)) - before[0], cpu_ns(theirs) - before[1]))
            told = box.telemetry.snapshot()
            if told["deck"]["in_key"][:DECKS].sum() != DECKS or not told["deck"]["playing"][:DECKS].all():
                raise Unavailable("our decks do not play in key, so there is nothing to compare")
    ours, peer = (sum(column) / (STRETCHES * MEASURE_S * 1e7) for column in zip(*shares, strict=True))
    return [
        Row("cpu_vs_mixxx", ours / peer, "× Mixxx's CPU time, 2 decks in key lock", 0.6),
        Row("box_2_decks_pct", ours, "% of a core: both engines, control, gen, supervisor"),
        Row("mixxx_2_decks_pct", peer, "% of a core"),
    ]


@contextlib.contextmanager
def _box(folder: Path, tracks: list[Path]) -> Iterator[tuple[Box, int]]:
    data = folder / "box"
    data.mkdir()
    process = start_box(data)
    try:
        box = Box.attach(data)
        asyncio.run(_play(box, tracks))
        yield box, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


async def _play(box: Box, tracks: list[Path]) -> None:
    hub = HubClient(box.hub_path, "bench")
    await hub.start()
    await hub.connected(10)
    for deck, track in enumerate(tracks, 1):
        await hub.do(f"/deck/{deck}/load", str(track))
        await hub.set(f"/deck/{deck}/keylock", True)
        await hub.set(f"/deck/{deck}/rate", FASTER)
        await hub.do(f"/deck/{deck}/play")
    await hub.stop()


@contextlib.contextmanager
def _mixxx(folder: Path, tracks: list[Path]) -> Iterator[int]:
    """Its process number, from when both its decks play. Raises Unavailable when it does not come to that."""
    home = folder / "home"
    settings = home / ".mixxx"
    settings.mkdir(parents=True)
    for name, text in (("Custom.kbd.cfg", KEYS), ("mixxx.cfg", SETTINGS), ("soundconfig.xml", SOUND)):
        (settings / name).write_text(text)
    (home / "run").mkdir(mode=0o700)
    with contextlib.ExitStack() as stack:
        screen = _screen(stack)
        environment = {
            **os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "DISPLAY": screen,
            "JACK_DEFAULT_SERVER": f"bench-{os.getpid()}", "JACK_NO_START_SERVER": "1",
        }
        command = ["mixxx", *map(str, tracks)]
        mixxx = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.enter_context(_ending(mixxx))
        _perform(environment, mixxx)
        yield mixxx.pid


def _screen(stack: contextlib.ExitStack) -> str:
    """A server with a free number, which it tells."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    stack.enter_context(_ending(subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)))
    os.close(writing)
    with os.fdopen(reading) as told:
        return f":{told.readline().strip()}"


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _perform(environment: dict[str, str], mixxx: subprocess.Popen[bytes]) -> None:
    """Answer the question for a music folder with no, then press what plays both decks, in key, faster."""

    def press(*keys: str) -> None:
        for key in keys:
            subprocess.run(["xdotool", "key", key], env=environment, check=False)
            time.sleep(0.2)

    def connected() -> bool:
        if mixxx.poll() is not None:
            raise Unavailable(f"Mixxx has ended (exit status {mixxx.returncode})")
        press("Escape")
        ports = subprocess.run(["jack_lsp"], env=environment, capture_output=True, text=True, check=False).stdout
        return "Mixxx:out_0" in ports

    try:
        wait_for(connected, START_S, "Mixxx is on the server")
    except AssertionError as error:
        raise Unavailable(f"Mixxx does not play here: {error}") from None
    time.sleep(SETTLE_S)
    press("z", "m", *["F2"] * STEPS_UP, *["F6"] * STEPS_UP, "d", "l")
    time.sleep(SETTLE_S)
    if not _in_key(environment["JACK_DEFAULT_SERVER"]):
        raise Unavailable("Mixxx does not play both tracks in their own key")


def _in_key(server: str) -> bool:
    """Whether both tracks' tones are heard where they are without the speed."""
    client = jack.Client("bench-ear", servername=server, no_start_server=True)
    port: Any = client.inports.register("in")
    heard: list[np.ndarray] = []
    client.set_process_callback(lambda _: heard.append(port.get_array().copy()))
    with client:
        client.connect("Mixxx:out_0", port)
        time.sleep(LISTEN_S)
    sound = np.concatenate(heard)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    for tone in TONES_HZ:
        near = np.flatnonzero(np.abs(hz / tone - 1) < 0.2)
        if abs(hz[near[np.argmax(spectrum[near])]] / tone - 1) > 0.01:
            return False
    return bool(np.abs(sound).max() > AUDIBLE)
