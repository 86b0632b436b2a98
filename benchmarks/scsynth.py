# SPDX-License-Identifier: GPL-3.0-or-later
"""The same mix in SuperCollider's server, for comparison: 4 decks and 16 pads at other speeds, each pad with filter, level and
balance; 8 strips with isolator, filter, fader, balance and meter; a cue bus; limiters and meters of master and booth.

What ours does beyond that is not in it: band-limited interpolation (scsynth's is cubic), true peaks, loudness, state.

There is no sclang here: the synth definitions are written as bytes (SuperCollider's "Synth Definition File Format", version 2).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile as sf
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from appliance.engine.context import isolator_coefficients
from appliance.errors import Unavailable

PROGRAM = "scsynth"
CONTROL, AUDIO = 1, 2
STRIPS, DECKS, PADS = 8, 4, 16
_FIRST_BUS, _MASTER_BUS, _CUE_BUS, _BOOTH_BUS = 16, 40, 44, 48
_PLUS, _MINUS, _TIMES = 0, 1, 2
"""Numbers of operators."""
RATE = 48000
_REPLY_S = 5.0


class Definition:
    """A synth definition in the making. A signal is ``(ugen, output)``; a number becomes a constant."""

    def __init__(self, name: str, parameters: dict[str, float]) -> None:
        self._name = name
        self._parameters = parameters
        self._constants: list[float] = []
        self._ugens: list[bytes] = []
        self._controls = self.add("Control", CONTROL, (), len(parameters)) if parameters else []

    def parameter(self, name: str) -> tuple[int, int]:
        return self._controls[list(self._parameters).index(name)]

    def add(
        self, kind: str, rate: int, inputs: Sequence[tuple[int, int] | float], outputs: int = 1, special: int = 0
    ) -> list[tuple[int, int]]:
        """A unit generator; returns its outputs."""
        places = [wire if isinstance(wire, tuple) else (-1, self._constant(wire)) for wire in inputs]
        wires = b"".join(struct.pack(">ii", *place) for place in places)
        head = _text(kind) + struct.pack(">biih", rate, len(inputs), outputs, special)
        self._ugens.append(head + wires + bytes([rate]) * outputs)
        return [(len(self._ugens) - 1, output) for output in range(outputs)]

    def _constant(self, value: float) -> int:
        if value not in self._constants:
            self._constants.append(float(value))
        return self._constants.index(value)

    def compiled(self) -> bytes:
        defaults = struct.pack(f">i{len(self._parameters)}f", len(self._parameters), *self._parameters.values())
        names = b"".join(_text(name) + struct.pack(">i", place) for place, name in enumerate(self._parameters))
        constants = struct.pack(f">i{len(self._constants)}f", len(self._constants), *self._constants)
        return (b"SCgf" + struct.pack(">ih", 2, 1) + _text(self._name) + constants + defaults
                + struct.pack(">i", len(self._parameters)) + names
                + struct.pack(">i", len(self._ugens)) + b"".join(self._ugens) + struct.pack(">h", 0))


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


Signal = tuple[int, int]


def player(*, filtered: bool) -> Definition:
    parameters = {"buf": 0.0, "rate": 1.0, "out": 0.0, "cut": 4000.0, "pan": 0.0, "amp": 0.5}
    made = Definition("pad" if filtered else "deck", parameters)
    sides = made.add("PlayBuf", AUDIO, (made.parameter("buf"), made.parameter("rate"), 1.0, 0.0, 1.0, 0.0), 2)
    if filtered:
        sides = [made.add("RLPF", AUDIO, (side, made.parameter("cut"), 0.7))[0] for side in sides]
        sides = made.add("Balance2", AUDIO, (*sides, made.parameter("pan"), made.parameter("amp")), 2)
    made.add("Out", AUDIO, (made.parameter("out"), *sides), 0)
    return made


def strip() -> Definition:
    made = Definition("strip", {"bus": 0.0, "low": 0.5, "mid": 1.26, "high": 0.7, "cut": 8000.0, "pan": 0.0, "amp": 0.9})
    sides = made.add("In", AUDIO, (made.parameter("bus"),), 2)
    sides = [_isolated(made, side) for side in sides]
    sides = [made.add("RLPF", AUDIO, (side, made.parameter("cut"), 0.7))[0] for side in sides]
    sides = made.add("Balance2", AUDIO, (*sides, made.parameter("pan"), made.parameter("amp")), 2)
    for side in sides:
        made.add("PeakFollower", AUDIO, (side, 0.999))
    made.add("Out", AUDIO, (float(_MASTER_BUS), *sides), 0)
    made.add("Out", AUDIO, (float(_CUE_BUS), *sides), 0)
    return made


def _isolated(made: Definition, side: Signal) -> Signal:
    """Three bands by Linkwitz-Riley crossovers, in as few sections as ours has."""
    low, high = isolator_coefficients(RATE)

    def section(signal: Signal, b0: float, b1: float, b2: float, a1: float, a2: float) -> Signal:
        return made.add("SOS", AUDIO, (signal, b0, b1, b2, -a1, -a2))[0]

    def of_both(one: Signal, other: Signal | float, what: int) -> Signal:
        return made.add("BinaryOpUGen", AUDIO, (one, other), special=what)[0]

    def split(signal: Signal, k: np.ndarray) -> tuple[Signal, Signal]:
        below = section(section(signal, *k), *k)
        return below, of_both(section(signal, k[4], k[3], 1.0, k[3], k[4]), below, _MINUS)

    bass, rest = split(side, low)
    body, top = split(rest, high)
    bands = [of_both(band, made.parameter(name), _TIMES) for band, name in ((bass, "low"), (body, "mid"), (top, "high"))]
    return of_both(of_both(bands[0], bands[1], _PLUS), bands[2], _PLUS)


def master() -> Definition:
    made = Definition("master", {"booth": 1.0})
    sides = made.add("In", AUDIO, (float(_MASTER_BUS),), 2)
    for bus in (0.0, float(_BOOTH_BUS)):
        limited = [made.add("Limiter", AUDIO, (side, 0.89, 0.001))[0] for side in sides]
        made.add("Out", AUDIO, (bus, *limited), 0)
        for side in limited if bus == 0.0 else ():
            made.add("PeakFollower", AUDIO, (side, 0.999))
            made.add("Amplitude", AUDIO, (side, 0.3, 0.3))
    return made


class Server:
    """A running scsynth on a JACK server; talks OSC with it on the loopback."""

    def __init__(self, jack: str, folder: Path) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {**os.environ, "JACK_DEFAULT_SERVER": jack, "JACK_NO_START_SERVER": "1"}
        with (folder / "scsynth.log").open("wb") as said:
            self.process = subprocess.Popen(
                [PROGRAM, "-u", str(port), "-B", "127.0.0.1", "-i", "0", "-o", "2", "-z", "64", "-D", "0", "-R", "0"],
                env=environment, stdout=said, stderr=subprocess.STDOUT, cwd=folder,
            )  # fmt: skip
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(0.2)

    def send(self, address: str, *values: str | float | bytes) -> None:
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        self._socket.send(message.build().dgram)

    def ask(self, reply: str, address: str, *values: str | float | bytes) -> list[object]:
        """Send until the answer comes. Raises Unavailable when there is none."""
        end = time.monotonic() + _REPLY_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                self.send(address, *values)
                heard = OscMessage(self._socket.recv(65536))
                if heard.address == reply:
                    return list(heard.params)
            time.sleep(0.05)
        raise Unavailable(f"scsynth does not answer {address}")

    def close(self) -> None:
        self._socket.close()
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def playing(jack: str, folder: Path, clips: list[np.ndarray]) -> Iterator[Server]:
    """The mix on ``clips`` (frames × 2). Raises Unavailable where scsynth is missing or does not play."""
    if shutil.which(PROGRAM) is None:
        raise Unavailable("scsynth is not installed")
    server = Server(jack, folder)
    try:
        server.ask("/status.reply", "/status")
        for made in (player(filtered=False), player(filtered=True), strip(), master()):
            server.send("/d_recv", made.compiled())
        for number, clip in enumerate(clips):
            sf.write(folder / f"{number}.wav", clip, RATE, "FLOAT")
            server.send("/b_allocRead", number, str(folder / f"{number}.wav"))
        time.sleep(1.0)
        for group in (1, 2, 3):  # players, strips, master, in this order
            server.send("/g_new", group, 1, 0)
        for number in range(DECKS + PADS):
            deck = number < DECKS
            bus = _FIRST_BUS + 2 * (number if deck else DECKS + number % (STRIPS - DECKS))
            server.send("/s_new", "deck" if deck else "pad", 1000 + number, 0, 1, "buf", number % len(clips),
                        "rate", 0.94 + 0.007 * number, "out", bus)
        for number in range(STRIPS):
            server.send("/s_new", "strip", 2000 + number, 0, 2, "bus", _FIRST_BUS + 2 * number)
        server.send("/s_new", "master", 3000, 0, 3)
        time.sleep(0.5)
        synths = server.ask("/status.reply", "/status")[2]
        frames = server.ask("/b_info", "/b_query", 0)[1]
        if synths != DECKS + PADS + STRIPS + 1 or frames != len(clips[0]):
            raise Unavailable(f"scsynth plays {synths} synths and clips of {frames} frames, which is not the mix")
        yield server
    finally:
        server.close()
