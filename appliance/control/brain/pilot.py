# SPDX-License-Identifier: GPL-3.0-or-later
"""The autopilot's hands and eyes: it looks at the pads, plans right after a phrase line, says so as ``/brain/next``, and does
it on the next one through the same addresses as a person. Nothing of it is in the way of the sound.

Whether it is on stands in shared memory, what plays in the engine, the rest in a file: a restart of control or of generation
makes it miss nothing but what it was about to do that moment. A person's touch changes the plan at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.bus.events import Event
from appliance.bus.layout import DECKS
from appliance.bus.scenetable import pad_of
from appliance.control.brain.arc import LIVELINESS, energy_at, section_of
from appliance.control.brain.clips import Heard
from appliance.control.brain.hands import Hands, touched_by_asking, touched_by_event
from appliance.control.brain.planner import MOST_LU, MOST_LU_MOVING, Change, Part, plan
from appliance.control.desk import Desk
from appliance.control.launchgrid import beats_to_line
from appliance.control.lines import ORIGIN, Lines
from appliance.errors import ApplianceError
from appliance.library.analysis.camelot import go_together
from appliance.library.room import PARTS, Sound, together
from appliance.namespace import Address
from appliance.nodes.pad import MODES, PAD_GROUPS, PAD_STATES, PADS

log = logging.getLogger(__name__)
LOOK_S = 0.2
COMMIT_S = 2.0
"""It acts so long before the line: what is loaded must be there. Until then a touch changes the plan."""
OLD = 2
"""Phrases after which a part may have something new, where nothing else changes."""
ASK_AGAIN_BARS = 8
_SOUNDS = (PAD_STATES.index("playing"), PAD_STATES.index("queued"))
_STOPS = PAD_STATES.index("stopping")
_LOOP = MODES[0]
_TUNELESS = ("drums", "percussion")
_DECK_PARTS = ("drums", "bass")
"""What a track on a deck has itself: the box adds none of it."""


@dataclass
class Plan:
    """For one phrase line, the beginning of bar ``bar`` (from 1)."""

    bar: int
    section: str
    change: Change
    new: tuple[str, ...] = ()
    moves: bool = False
    """It goes on to another section."""
    done: bool = False
    told: dict[str, Any] = field(default_factory=dict)


class Brain:
    """``run`` for ever; ``facts(file)`` tells of a clip. ``tick`` may be called by whoever has a clock of their own."""

    def __init__(self, desk: Desk, lines: Lines, facts: Callable[[str], Heard]) -> None:
        self._desk = desk
        self._box = desk.box
        self._lines = lines
        self._facts = facts
        self._file = desk.box.run / "brain.json"
        notes = self._read()
        self._hands = Hands(notes.get("hands"))
        self._began = int(notes.get("began", 0))
        """The bar with which the set began; 0: it has not."""
        self._since: dict[str, int] = dict(notes.get("since", {}))
        """The bar since which a pad plays its clip."""
        self._files: dict[str, str] = {}
        self._plan: Plan | None = None
        self._level: float | None = None
        """How loud it was before a hand took something, until the autopilot has played on from there."""
        self._heard_level = 0.0
        self._asked_bar = -ASK_AGAIN_BARS
        self._tasks: set[asyncio.Task[None]] = set()
        desk.register("/brain/skip", self._skip_call)
        desk.on_event(self._event)
        desk.on_hand(self._hand)

    async def run(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(LOOK_S)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    # -- one look

    def tick(self) -> None:
        """Look, plan, and act when it is time."""
        if not self._box.values.get("/brain/on"):
            if self._began:
                self._rest()
            return
        clock = self._box.telemetry.snapshot()["clock"]
        if not clock["running"] or float(clock["bpm"]) <= 0.0:
            return
        bar, phrase = int(clock["bar"]), self._phrase
        if self._began == 0 or self._began > bar:  # or the clock was set back
            self._began = bar
            self._hands = Hands()
            self._since.clear()
        self._hands.hand_back(bar)
        line = ((bar - 1) // phrase + 1) * phrase + 1
        parts = self._parts(bar)
        self._desk.publish("/brain/hands", dict(self._hands.held))
        self._heard_level = together(part.sound for part in parts if part.plays)
        if not any(part.plays for part in parts) and not self._deck_plays():
            self._begin(parts, bar)
            return
        known = self._plan is not None and self._plan.bar == line
        if self._plan is None or not known or (not self._plan.done and self._overtaken(self._plan, parts)):
            self._plan = self._planned(parts, line)
        self._tell(self._plan)
        seconds = beats_to_line(clock, -float(phrase)) * 60.0 / float(clock["bpm"])
        if not self._plan.done and seconds <= max(COMMIT_S, 60.0 / float(clock["bpm"])):
            self._plan.done = True
            if not self._hands.held:
                self._level = None
            self._background(self._do(self._plan))

    def _rest(self) -> None:
        self._began, self._plan = 0, None
        self._hands = Hands()
        self._desk.publish("/brain/next", {})
        self._desk.publish("/brain/hands", {})
        self._write()

    @property
    def _phrase(self) -> int:
        return max(int(self._box.values.get("/clock/phrase")), 1)

    def _begin(self, parts: list[Part], bar: int) -> None:
        """Nothing plays: from the next bar line on something does. Where nothing is loaded, generation fills the bank."""
        if any(part.pad in self._lines.waiting for part in parts) or bar - self._asked_bar < 2:
            return
        section, energy = self._aim(bar)
        made = Plan(bar + 1, section, plan(parts, section, energy))
        if made.change.add:
            self._asked_bar = bar
            self._desk.set_now("/gen/section", section)  # what is loaded begins it as it is
            self._tell(made)
            self._background(self._do(made, "bar"))
        elif not parts and bar - self._asked_bar >= ASK_AGAIN_BARS:
            self._asked_bar = bar
            self._background(self._ask("/gen/fill", []))

    # -- what is there

    def _parts(self, bar: int) -> list[Part]:
        """The pads with a part to play, loops, in the banks in which something plays; else in the chosen one."""
        telemetry = self._box.telemetry.snapshot()["pad"]
        states, clips = telemetry["state"].astype(int), telemetry["clip"]
        plays = [cell for cell, state in enumerate(states) if state in _SOUNDS]
        banks = {cell // PADS for cell in plays} or {self._box.values.bank - 1}
        texts, values, key = self._desk.texts, self._box.values, str(self._box.values.get("/gen/key"))
        parts: list[Part] = []
        for cell, state in enumerate(states):
            if not int(clips[cell]) or cell // PADS not in banks or state == _STOPS:
                continue
            pad = pad_of(cell)
            role = texts.get(self._desk.find(f"{pad}/role"))
            file = texts.get(self._desk.find(f"{pad}/file"))
            if role not in PARTS or not file or values.get(f"{pad}/mode") != _LOOP:
                continue
            heard = self._facts(file)
            if state in _SOUNDS and (pad not in self._since or self._files.get(pad, file) != file):
                self._since[pad] = bar
            elif state not in _SOUNDS:
                self._since.pop(pad, None)
            self._files[pad] = file
            in_key = role in _TUNELESS or not heard.key or go_together(heard.key, key)
            sound = Sound(role, heard.loudness + float(values.get(f"{pad}/gain")), heard.balance)
            channel = f"/channel/{4 + min(max(int(values.get(f'{pad}/group')), 1), PAD_GROUPS)}"
            free = pad not in self._hands.held and channel not in self._hands.held
            parts.append(Part(pad, sound, heard.energy, in_key, state in _SOUNDS, free))
        return parts

    def _deck_plays(self) -> bool:
        decks = self._box.telemetry.snapshot()["deck"]["playing"]
        return any(float(decks[deck]) >= 0.5 for deck in range(DECKS))

    # -- what is to be done

    def _aim(self, bar: int) -> tuple[str, float]:
        """Section and energy of the phrase that begins with this bar."""
        phrase = self._phrase
        clock = self._box.telemetry.snapshot()["clock"]
        bars = self._box.values.get("/brain/minutes") * float(clock["bpm"]) / float(clock["bar_length"])
        phrases = max(math.floor(bars / phrase), 4)
        number = max(bar - self._began, 0) // phrase % phrases
        section = section_of(number, phrases)
        energy = energy_at(self._box.values.get("/brain/curve"), number / phrases, float(self._box.values.get("/brain/energy")))
        return section, energy * LIVELINESS[section]

    def _planned(self, parts: list[Part], line: int) -> Plan:
        section, energy = self._aim(line)
        self._desk.publish("/brain/target", round(energy, 3))
        if self._deck_plays():
            parts = [part for part in parts if part.plays or part.sound.role not in _DECK_PARTS]
        moves = section != self._box.values.get("/gen/section")
        made = Plan(line, section, plan(parts, section, energy, MOST_LU_MOVING if moves else MOST_LU, self._level),
                    moves=moves)
        if not (made.change.add or made.change.remove or made.moves):
            old = [part for part in parts if part.plays and part.free and self._facts(self._files[part.pad]).recipe
                   and line - self._since.get(part.pad, line) >= OLD * self._phrase]
            made.new = tuple(part.pad for part in sorted(old, key=lambda part: self._since[part.pad])[:1])
        self._write()
        return made

    def _overtaken(self, made: Plan, parts: list[Part]) -> bool:
        """A pad of the plan is in somebody's hand now, was emptied, or plays or is silent already; or the pads that would play
        on do not any more."""
        now = {part.pad: part for part in parts}
        for part in made.change.add:
            if part.pad not in now or now[part.pad].plays or not now[part.pad].free:
                return True
        for part in made.change.remove:
            if part.pad not in now or not now[part.pad].plays or not now[part.pad].free:
                return True
        gone = {part.pad for part in made.change.remove}
        if made.change.remove and not any(part.plays and part.pad not in gone for part in parts):
            return True
        return any(pad not in now or not now[pad].plays or not now[pad].free for pad in made.new)

    async def _do(self, made: Plan, line: str = "phrase") -> None:
        """Starts first: what stops may do so only when what starts is on its way."""
        ORIGIN.set("brain")
        for part in made.change.add:
            if not await self._ask(f"{part.pad}/launch", [line]):
                return
        for part in made.change.remove:
            await self._ask(f"{part.pad}/finish", [line])
        for pad in made.new:
            await self._ask(f"{pad}/new", [line])
        if made.moves:
            await self._ask("/gen/section/next", [made.section, line])
        self._desk.publish("/brain/section", made.section)
        self._desk.publish("/brain/last", made.told)

    async def _ask(self, address: str, args: list[Any]) -> bool:
        """False when it cannot be done, which is said in the log: the show goes on as it is."""
        try:
            await self._desk.do(address, args)
        except ApplianceError as error:
            log.info("the autopilot leaves out %s: %s", address, error.message)
            return False
        return True

    def _tell(self, made: Plan) -> None:
        """As ``/brain/next``."""
        def shown(parts: tuple[Part, ...]) -> list[dict[str, str]]:
            return [{"pad": part.pad, "role": part.sound.role} for part in parts]

        why = made.change.why
        if made.new:
            why = f"{made.new[0]} has played the same for {OLD} phrases: something new"
        elif made.moves:
            why = f"{made.section} begins; {why}"
        made.told = {"at_bar": made.bar, "section": made.section, "add": shown(made.change.add),
                     "remove": shown(made.change.remove), "new": list(made.new), "why": why}
        self._desk.publish("/brain/next", made.told)

    async def _skip_call(self, _address: Address, args: list[Any]) -> None:
        if args and isinstance(args[0], int | float) and args[0] < 0.5:
            return  # a button let go
        if self._plan is not None and not self._plan.done:
            self._plan = Plan(self._plan.bar, self._plan.section, Change(why="somebody has left it out"), done=True)

    # -- a person

    def _event(self, event: Event) -> None:
        if self._began and (thing := touched_by_event(event, self._lines.sent)):
            self._touch(thing)

    def _hand(self, found: Address) -> None:
        if self._began and (thing := touched_by_asking(found)):
            self._touch(thing)

    def _touch(self, thing: str) -> None:
        if self._level is None:
            self._level = self._heard_level
        self._hands.touch(thing, int(self._box.telemetry.snapshot()["clock"]["bar"]), self._phrase)
        self._write()

    # -- a restart of control

    def _write(self) -> None:
        notes = {"began": self._began, "hands": self._hands.held, "since": self._since}
        part = self._file.with_suffix(".part")
        try:
            part.write_text(json.dumps(notes), encoding="utf-8")
            part.replace(self._file)
        except OSError as error:  # then a restart of control begins the set anew
            log.info("%s: cannot be written (%s)", self._file, error)

    def _read(self) -> dict[str, Any]:
        try:
            notes = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def _background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
