# SPDX-License-Identifier: GPL-3.0-or-later
"""The set that is played: decks at odd speeds, pads and scenes on the grid, EQ and filter moves, crossfades, new files;
from a seed.

Deck 4 plays a bed of noise throughout and its strip is left alone: so the master is never silent and no two of its blocks
are equal, and whatever happens to the sound can be seen. """

from __future__ import annotations

import random
import threading
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from pythonosc.udp_client import SimpleUDPClient

from tests.soak.stage import Stage

RATE = 48000
BPM = 120.0
BED_DECK = 4
LOOPS = 16
PAUSE_S = (0.01, 0.1)


def make_loops(folder: Path, seed: int) -> list[Path]:
    """Two-bar loops of our own: a tone with a beat in it, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, made = np.random.default_rng(seed), []
    for number in range(LOOPS):
        frames = 2 * 2 * RATE
        time_s = np.arange(frames) / RATE
        hz = 55.0 * 2 ** (int(rng.integers(0, 36)) / 12)
        beat = np.exp(-6.0 * (time_s * BPM / 60.0 % (1.0, 0.5, 0.25)[number % 3]))
        sound = np.sin(2 * np.pi * hz * time_s) * beat + 0.1 * rng.standard_normal(frames) * beat
        made.append(folder / f"loop-{number + 1}.wav")
        sf.write(made[-1], (0.12 * np.stack([sound, np.roll(sound, 37)], 1)).astype(np.float32), RATE, "FLOAT")
    return made


def make_bed(path: Path, seed: int) -> Path:
    noise = np.random.default_rng(seed).uniform(-0.03, 0.03, (7 * RATE + 13, 2)).astype(np.float32)
    sf.write(path, noise, RATE, "FLOAT")
    return path


@dataclass
class Played:
    """What was done and what was not taken. ``failures``: by kind, requests that were not answered (control may just be
    dead)."""

    moves: int = 0
    requests: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def failed(self, error: Exception) -> None:
        name = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        self.failures[name] = self.failures.get(name, 0) + 1


class Player:
    """Plays on a thread of its own until it is closed. ``loaded``: files that are on decks and pads."""

    def __init__(self, stage: Stage, seed: int, audio: Path | None = None, *, in_pitch: bool = True) -> None:
        self.stage = stage
        self.played = Played()
        self.loaded: list[Path] = []
        self._in_pitch = in_pitch
        self._random = random.Random(seed)
        self._osc = SimpleUDPClient("127.0.0.1", stage.osc_port)
        self._folder = stage.folder / "loops"
        self.files = make_loops(self._folder, seed)
        self._extra = sorted(path for path in audio.iterdir() if path.suffix in (".wav", ".flac")) if audio else []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="set", daemon=True)
        self._moves: list[tuple[float, Callable[[], None]]] = [
            (14, self._strip), (6, self._pad_setting), (6, self._launch), (1.5, self._scene), (3, self._crossfade),
            (3, self._deck_rate), (2, self._deck_loop), (0.8, self._load_deck), (0.7, self._load_pad), (1, self._tempo),
            (2, self._ask), (0.15, self._generate), (0.7, self._pictures), (0.2, self._save),
        ]

    def begin(self) -> None:
        """Load the first files and start; returns when it sounds."""
        post = self._must
        post("PUT", "/clock/bpm", BPM)
        post("PUT", "/clock/quantize", "1/4")
        bed = make_bed(self._folder / "bed.wav", 99)
        post("PUT", f"/channel/{BED_DECK}/assign", "thru")
        post("POST", f"/deck/{BED_DECK}/load", [str(bed), {"bpm": 120, "beats": 14}])
        post("PUT", f"/deck/{BED_DECK}/rate", 0.97)
        post("PUT", f"/deck/{BED_DECK}/loop/beats", 8)
        for pad in range(1, 9):
            post("PUT", f"/pad/{pad}/keylock", self._in_pitch)
            post("POST", f"/pad/{pad}/load", [str(self.files[pad - 1]), {"bpm": BPM, "beats": 8}])
        for deck in (1, 2):
            post("POST", f"/deck/{deck}/load", [str(self.files[8 + deck]), {"bpm": BPM, "beats": 8}])
            post("POST", f"/deck/{deck}/loop/auto", [True])
            post("POST", f"/deck/{deck}/play", [True])
        post("POST", f"/deck/{BED_DECK}/loop/auto", [True])
        post("POST", f"/deck/{BED_DECK}/play", [True])
        for pad in (1, 2, 5):
            post("POST", f"/pad/{pad}/trigger")
        self._thread.start()

    def close(self) -> Played:
        self._stop.set()
        self._thread.join(10)
        return self.played

    def _must(self, method: str, address: str, body: Any = None) -> Any:
        for _ in range(20):
            try:
                return self.stage.http(method, address, body, 20.0)
            except urllib.error.HTTPError as error:
                last = f"{error.code} {error.read().decode(errors='replace')}"
            except OSError as error:
                last = str(error)
            time.sleep(0.3)
        raise AssertionError(f"{method} {address} {body}: {last}")

    def _run(self) -> None:
        weights = [weight for weight, _ in self._moves]
        while not self._stop.wait(self._random.uniform(*PAUSE_S)):
            move = self._random.choices([move for _, move in self._moves], weights)[0]
            try:
                move()
            except (OSError, ValueError) as error:  # HTTPError and timeouts are OSErrors; half an answer is no JSON
                self.played.failed(error)
            self.played.moves += 1

    def _send(self, address: str, *values: Any) -> None:
        self._osc.send_message(address, list(values))

    def _http(self, method: str, address: str, body: Any = None) -> Any:
        self.played.requests += 1
        return self.stage.http(method, address, body)

    def _pick(self, *things: Any) -> Any:
        return self._random.choice(things)

    # -- moves

    def _strip(self) -> None:
        channel = self._pick(1, 2, 3, 5, 6, 7, 8)
        name, low, high = self._pick(("low", -60.0, 6.0), ("mid", -24.0, 6.0), ("high", -60.0, 6.0), ("filter", -0.9, 0.9),
                                     ("filter", -0.05, 0.05), ("fader", 0.3, 1.0), ("pan", -1.0, 1.0), ("trim", -12.0, 3.0))
        self._send(f"/channel/{channel}/{name}", self._random.uniform(low, high))

    def _pad_setting(self) -> None:
        name, low, high = self._pick(("gain", -18.0, 3.0), ("pan", -1.0, 1.0), ("filter", -0.8, 0.8), ("pitch", -5.0, 5.0))
        self._send(f"/pad/{self._random.randint(1, 8)}/{name}", self._random.uniform(low, high))

    def _launch(self) -> None:
        pad = self._random.randint(1, 8)
        if self._pick(True, True, False):
            self._send(f"/pad/{pad}/trigger", self._random.uniform(0.3, 1.0))
        else:
            self._send(f"/pad/{pad}/{self._pick('stop', 'cut')}")

    def _scene(self) -> None:
        self._send(f"/scene/{self._pick(1, 2)}/launch")

    def _crossfade(self) -> None:
        self._send("/mixer/crossfader", self._random.uniform(-1.0, 1.0))

    def _deck_rate(self) -> None:
        self._send(f"/deck/{self._pick(1, 2, 3)}/rate", self._pick(1.0, self._random.uniform(0.6, 1.4)))

    def _deck_loop(self) -> None:
        deck = self._pick(1, 2, 3)
        what, *values = self._pick(("loop/auto", True), ("loop/exit",), ("loop/reloop",), ("jump", -2.0), ("jump", 4.0),
                                   ("seek", self._random.random()), ("loop/beats", self._pick(0.5, 1.0, 4.0)),
                                   ("reverse", True), ("reverse", False), ("play", True), ("play", True), ("play", False))
        self._send(f"/deck/{deck}/{what}", *values)

    def _load_deck(self) -> None:
        deck, path = self._pick(1, 2, 3), self._pick(*self.files, *self._extra)
        self._http("POST", f"/deck/{deck}/load", [str(path)])
        self._remember(path)
        self._send(f"/deck/{deck}/loop/auto", True)
        self._send(f"/deck/{deck}/play", True)

    def _load_pad(self) -> None:
        pad, path = self._random.randint(1, 8), self._pick(*self.files, *self._extra)
        self._http("POST", f"/pad/{pad}/load", [str(path)])
        self._remember(path)
        self._send(f"/pad/{pad}/trigger", 1.0)

    def _remember(self, path: Path) -> None:
        self.loaded = [*self.loaded[-20:], path]

    def _tempo(self) -> None:
        if self._pick(True, False):
            self._send("/clock/bpm", round(self._random.uniform(100.0, 140.0), 2))
        else:
            for _ in range(3):
                self._send("/clock/tap")
                time.sleep(0.45)

    def _ask(self) -> None:
        self._http("GET", self._pick("/mixer/crossfader", "/system/processes", "/deck/1/position", "/clock/bpm"))

    def _generate(self) -> None:
        self._send("/gen/seed", self._random.randint(1, 10_000))
        place = f"/bank/2/pad/{self._random.randint(1, 8)}"
        self._http("POST", "/gen/generate", [self._pick("dark drums", "bass", "warm chords"), place])

    def _pictures(self) -> None:
        if self._pick(True, False):
            self._http("POST", "/visuals/next")
        else:
            self._send(f"/visuals/param/{self._pick(1, 2, 3)}/value", self._random.random())

    def _save(self) -> None:
        self._http("POST", "/session/save", [])
