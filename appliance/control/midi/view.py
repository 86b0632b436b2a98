# SPDX-License-Identifier: GPL-3.0-or-later
"""What lamps look at: the state of pads, decks and scenes and the beat, as of this moment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from appliance.control.desk import Desk
from appliance.control.midi.rhythm import ROLE_COLOURS, Look, Moment, nearest
from appliance.control.midi.status import status
from appliance.errors import ApplianceError
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import BANKS, PADS

PAD_LOOKS = (Look.EMPTY, Look.LOADED, Look.QUEUED, Look.PLAYING, Look.STOPPING)
"""By the number that telemetry gives (``PAD_STATES``)."""
IDLE_BPM = 120.0
"""Rhythm of the lamps while the clock stands."""
_CELLS = BANKS * PADS


class View:
    """Call :meth:`refresh` once a tick, then ask. Lives on control's loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.moment = Moment(0.0, 0.0)
        self.now_s = 0.0
        self._bank = 1
        self._pads: Any = np.zeros(_CELLS)
        self._decks: Any = None
        self._scenes = desk.box.record["scene"][0]["launch"]
        self._colours: list[str] = ["white"] * _CELLS
        self._jobs: dict[int, tuple[Look, float]] = {}
        self._ready = np.zeros(_CELLS, bool)
        self._values: dict[str, Any] = {}
        self._watched: set[str] = set()
        self._leave: Callable[[], None] = desk.subscribe(self._changed, self._watched.__contains__)
        for cell in range(_CELLS):
            self._read_colour(cell)
            self._ready[cell] = bool(self._now(f"/bank/{cell // PADS + 1}/pad/{cell % PADS + 1}/candidates"))

    def close(self) -> None:
        self._leave()

    def refresh(self) -> None:
        box = self._desk.box
        snapshot: Any = box.telemetry.snapshot()
        clock = snapshot["clock"]
        now_ns = time.monotonic_ns()
        self.now_s = now_ns / 1e9
        age_s = (now_ns - int(clock["monotonic_ns"])) / 1e9
        if float(clock["running"]) >= 0.5 and 0 <= age_s < 2:
            ahead = age_s * float(clock["bpm"]) / 60
            length = float(clock["bar_length"]) or 4.0
            self.moment = Moment(float(clock["beat"]) + ahead, (float(clock["bar_phase"]) * length + ahead) % length)
        else:
            beat = self.now_s * IDLE_BPM / 60
            self.moment = Moment(beat, math.fmod(beat, 4.0))
        self._bank = box.values.bank
        self._pads = np.array(snapshot["pad"]["state"])
        self._decks = np.array(snapshot["deck"])

    # -- what a lamp may show

    def pad(self, number: int, *, shifted: bool = False) -> tuple[Look, str, float]:
        """Look, colour and progress of pad 1…16 of the chosen bank. ``shifted``: a press would take its next candidate."""
        cell = (self._bank - 1) * PADS + number - 1
        look = PAD_LOOKS[min(max(int(self._pads[cell]), 0), len(PAD_LOOKS) - 1)]
        if look in (Look.EMPTY, Look.LOADED) and cell in self._jobs:
            job, progress = self._jobs[cell]
            if job is not Look.FAILED or look is Look.EMPTY:
                return job, self._colours[cell], progress
        if self._ready[cell] and (shifted or look is Look.EMPTY):
            return Look.CANDIDATE, self._colours[cell], 0.0
        if look is Look.EMPTY and self._desk.announcer.missing[cell]:
            return Look.FAILED, self._colours[cell], 0.0
        return look, self._colours[cell], 0.0

    def status(self, number: int) -> tuple[float, str]:
        """How the box is, on pad 1…16."""
        return status(self._desk, number)

    def cell(self, number: int) -> int:
        return (self._bank - 1) * PADS + number - 1

    def deck(self, number: int) -> tuple[Look, str, float]:
        row = self._decks[number - 1]
        look = Look.PLAYING if row["playing"] >= 0.5 else Look.LOADED if row["loaded"] >= 0.5 else Look.EMPTY
        return look, "green", 0.0

    def scene(self, number: int) -> tuple[Look, str, float]:
        """A scene plays when all its loaded pads do; it is queued when one of them is."""
        states = self._pads[: len(self._scenes[0])][self._scenes[number - 1] == 1.0]
        states = states[states > 0]
        if not len(states):
            return Look.EMPTY, "white", 0.0
        if (states == 2).any():
            return Look.QUEUED, "white", 0.0
        return (Look.PLAYING if (states == 3).all() else Look.LOADED), "white", 0.0

    def watch(self, address: str) -> None:
        """Keep the value of an address at hand."""
        if address not in self._watched:
            self._watched.add(address)
            self._values[address] = self._now(address)

    def value(self, address: str) -> Any:
        return self._values.get(address)

    # -- what changes

    def _changed(self, address: str, value: Any) -> None:
        if address in self._watched:
            self._values[address] = value
        if address.startswith("/bank/"):
            if address.endswith(("/role", "/colour")):
                self._read_colour(NAMESPACE.find(address).index)
            elif address.endswith("/candidates"):
                self._ready[NAMESPACE.find(address).index] = bool(value)
        elif address == "/gen/job" and isinstance(value, dict):
            self._read_job(value)

    def _now(self, address: str) -> Any:
        try:
            return self._desk.get_now(address)
        except ApplianceError:
            return None

    def _read_colour(self, cell: int) -> None:
        pad = f"/bank/{cell // PADS + 1}/pad/{cell % PADS + 1}"
        own = self._now(f"{pad}/colour")
        self._colours[cell] = nearest(own) if own else ROLE_COLOURS.get(self._now(f"{pad}/role") or "none", "white")

    def _read_job(self, job: dict[str, Any]) -> None:
        target = str(job.get("target") or "")
        try:
            cell = NAMESPACE.find(f"{target}/trigger", self._bank).index
        except ApplianceError:
            return
        match job.get("state"):
            case "queued" | "running":
                self._jobs[cell] = (Look.GENERATING, min(max(float(job.get("progress") or 0.0), 0.0), 1.0))
            case "failed":
                self._jobs[cell] = (Look.FAILED, 0.0)
            case _:
                self._jobs.pop(cell, None)
