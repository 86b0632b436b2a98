# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said without being asked for: faults, what has been loaded, what a finger rests on; and the status in one line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from appliance.bus import layout
from appliance.bus.commit import committed
from appliance.control.desk import Desk
from appliance.control.loader import Loader
from appliance.control.speech.queue import Urgency
from appliance.control.speech.words import key_in_words, named, tempo_in_words
from appliance.errors import ApplianceError

LOOK_S = 0.1
PROCESSES_EVERY = 5
MOST_RESULTS = 200
Say = Callable[[str, Urgency], None]
_LOADED = re.compile(r"(/bank/\d+/pad/\d+)/name|(/deck/\d+)/title")
_NUMBERS = ("nothing", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class News:
    """Listens at the desk. ``say(text, urgency)``."""

    def __init__(self, desk: Desk, loader: Loader, say: Say) -> None:
        self._desk = desk
        self._box = desk.box
        self._loader = loader
        self._say = say
        self._takeovers = self._count_takeovers()
        self._restarts = self._count_restarts()
        self._played = self._has_played()
        self._made: dict[str, int] = {}
        self._visuals = ""
        desk.on_fault(lambda message: say(message, Urgency.FAULT))
        desk.rested = lambda address: say(self.name_of(address), Urgency.NAME)
        desk.subscribe(self._changed)

    async def run(self) -> None:
        """Look at what nobody tells, for ever."""
        from appliance.control.speech.held import Held  # imports how profiles are read: not before the hub answers

        held = Held(self._desk)
        ticks = 0
        while True:
            await asyncio.sleep(LOOK_S)
            ticks += 1
            if self._desk.get_now("/voice/level") == "all":
                for address in held.look():
                    self._say(self.name_of(address), Urgency.NAME)
            if ticks % PROCESSES_EVERY == 0:
                self._look_at_processes()

    # -- faults

    def _look_at_processes(self) -> None:
        takeovers, restarts = self._count_takeovers(), self._count_restarts()
        for name, count in restarts.items():
            if count > self._restarts[name] and not name.startswith("engine"):
                self._say(f"{name} has been started again", Urgency.FAULT)
        if takeovers > self._takeovers and self._played:  # the first one to play takes over from nobody
            self._say("the other engine plays on", Urgency.FAULT)
        elif any(restarts[name] > self._restarts[name] for name in restarts if name.startswith("engine")):
            self._say("an engine has been started again", Urgency.FAULT)
        self._takeovers, self._restarts, self._played = takeovers, restarts, self._has_played()

    def _count_takeovers(self) -> int:
        return sum(int(self._box.engine(index)["takeovers"]) for index in range(layout.ENGINES))

    def _has_played(self) -> bool:
        return int(committed(self._box.segment)["cycles"][0]) > 0

    def _count_restarts(self) -> dict[str, int]:
        return {name: int(self._box.process(name)["restarts"]) for name in layout.PROCESSES}

    # -- names

    def _changed(self, address: str, value: Any) -> None:
        if address == "/gen/message" and value:
            self._say(str(value), Urgency.FAULT)
        elif address == "/visuals/message":
            if value and value != self._visuals:
                self._say(str(value), Urgency.FAULT)
            self._visuals = str(value or "")
        elif address == "/gen/job" and isinstance(value, dict):
            self._note_job(value)
        elif value and (found := _LOADED.fullmatch(address)):
            self._say(f"{self._place(found[1] or found[2])}: {value}", Urgency.NAME)

    def _place(self, prefix: str) -> str:
        """``pad 3`` in the chosen bank, else ``bank 2 pad 3``."""
        bank = f"/bank/{self._box.values.bank}/"
        return prefix.removeprefix(bank).strip("/").replace("/", " ")

    def name_of(self, address: str) -> str:
        """What a finger on a control of this address is told: of pads and decks also what is loaded there."""
        if found := re.match(r"/bank/\d+/pad/\d+", address):
            loaded = self._desk.get_now(f"{found[0]}/name")
            rest = address[found.end():].strip("/")
            place = self._place(found[0])
            return f"{place}: {loaded or 'empty'}" if rest in ("trigger", "") else f"{place} {rest.replace('/', ' ')}"
        if found := re.fullmatch(r"(/deck/\d+)/(play|cue|load)", address):
            title = self._desk.get_now(f"{found[1]}/title")
            return f"{named(found[1])} {found[2]}: {title or 'empty'}"
        return named(address)

    # -- the status

    def _note_job(self, job: dict[str, Any]) -> None:
        if job.get("state") == "done" and not job.get("target"):
            for result in job.get("results") or ():
                self._made[str(result)] = int(job.get("id") or 0)
        while len(self._made) > MOST_RESULTS:
            del self._made[next(iter(self._made))]

    def ready(self) -> int:
        """Candidates that generation has made and nobody has loaded yet."""
        for loaded in self._loader.loaded.values():
            self._made.pop(loaded.hash, None)
            self._made.pop(loaded.where, None)
        return len(self._made)

    def status(self) -> str:
        """Style, key, tempo, how much is ready: ``deep house, A minor, 124, two ready``, as it is said."""
        ready = self.ready()
        count = _NUMBERS[ready] if ready < len(_NUMBERS) else str(ready)
        parts = [self._text("/gen/style").replace("_", " "), key_in_words(self._text("/gen/key")),
                 tempo_in_words(float(self._desk.get_now("/clock/bpm"))), f"{count} ready"]
        return ", ".join(part for part in parts if part)

    def _text(self, address: str) -> str:
        try:
            return str(self._desk.get_now(address) or "")
        except ApplianceError:
            return ""
