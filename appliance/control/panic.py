# SPDX-License-Identifier: GPL-3.0-or-later
"""``/panic/home``: one touch from wherever things went wrong to a plain mix with the safe loop on the beat.

What a hand may have twisted while playing goes back to its default: equaliser, kills, filters, faders, pan, mutes,
solos, crossfader, effects. What belongs to the room or to the preparation stays: master and booth, limiter, headphones, trims,
auto-balance, crossfader assignment and how faders behave.
"""

from __future__ import annotations

import math
from typing import Any

from appliance.control.desk import Desk
from appliance.control.scenes import pad_of
from appliance.errors import ApplianceError
from appliance.namespace import Address, Kind, Type
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import PAD_STATES

STAYS_IN = ("clock", "deck", "pad", "pads", "scene", "voice")
"""Groups whose values are the music itself, or nobody but the performer hears; their filters alone are opened."""
STAYS = ("trim", "cue", "cue/", "master", "booth", "booth/", "balance", "balance/", "limiter/", "crossfader/", "autogain",
         "autogain/")
"""Names, or beginnings of names that end in a slash, that belong to the room."""
_SOUNDS = PAD_STATES.index("queued")
BEAT_MARGIN_S = 0.03
"""A beat nearer than this is too near to be reached: the next one is taken."""


def goes_home(address: Address) -> bool:
    """Whether ``/panic/home`` sets this value to its default."""
    node = address.node
    if node.kind is not Kind.VALUE or node.owner != "engine":
        return False
    if address.group.record in STAYS_IN:
        return node.name == "filter"
    stays = any(node.name == name or (name.endswith("/") and node.name.startswith(name)) for name in STAYS)
    return not stays and node.type is not Type.CHOICE


class Panic:
    """Serves ``/panic/home``. (``/panic/tails`` is the engine's, ``/panic/mute`` a value.)"""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._box = desk.box
        self._home = [a for a in NAMESPACE if goes_home(a)]
        self._defaults = NAMESPACE.defaults()
        desk.register("/panic/home", self._home_call)

    async def _home_call(self, address: Address, args: list[Any]) -> dict[str, Any]:
        if args and isinstance(args[0], int | float) and args[0] < 0.5:
            return {"loop": None}  # a button let go
        if not self._desk.get_now("/clock/play"):
            self._desk.set_now("/clock/play", True)
        for found in self._home:
            default = self._defaults[found.slot]
            if self._box.values.vector[found.slot] != default:
                self._desk.set_now(found, found.node.from_slot(float(default)))
        loop = self._safe_loop()
        self._only(loop, self._next_beat())
        scene = self._desk.get_now("/panic/scene")
        if scene:
            self._desk.set_now("/visuals/scene", scene)
        if loop is None:
            self._desk.say("panic: no pad is loaded, so nothing plays now; load the one that /panic/loop names, or any")
        return {"loop": loop, "scene": scene}

    def _safe_loop(self) -> str | None:
        """The pad that ``/panic/loop`` names if it is loaded, else the first loaded one."""
        states = self._box.telemetry.snapshot()["pad"]["state"].copy()
        named = self._desk.get_now("/panic/loop").strip().rstrip("/")
        if named:
            try:
                found = self._desk.find(f"{named}/gain")
            except ApplianceError:
                self._desk.say(f"/panic/loop: {named!r} is no pad (such as /bank/1/pad/1); the first loaded pad plays")
            else:
                if found.group.record == "pad" and states[found.index] > 0:
                    return found.address.removesuffix("/gain")
                self._desk.say(f"/panic/loop: {named} is empty; the first loaded pad plays")
        loaded = next((cell for cell, state in enumerate(states) if state > 0), None)
        return None if loaded is None else pad_of(loaded)

    def _next_beat(self) -> int:
        """The engine's frame of the next beat; 0 (at once) when the clock stands."""
        clock = self._box.telemetry.snapshot()["clock"]
        bpm, rate = float(clock["bpm"]), self._box.rate
        if not clock["running"] or bpm <= 0 or rate <= 0:
            return 0
        beat_frames = 60.0 / bpm * rate
        away = (math.floor(clock["beat"]) + 1 - float(clock["beat"])) * beat_frames
        if away < BEAT_MARGIN_S * rate:
            away += beat_frames
        return int(clock["frame"]) + round(away)

    def _only(self, loop: str | None, frame: int) -> None:
        """At ``frame``: everything but the safe loop stops, and that plays, whatever its launch grid."""
        telemetry = self._box.telemetry.snapshot()
        pads, decks = telemetry["pad"]["state"].copy(), telemetry["deck"]["playing"].copy()
        self._desk.do_now("/panic/tails", [], frame)
        for deck, playing in enumerate(decks, 1):
            if playing:
                self._desk.do_now(f"/deck/{deck}/play", [0], frame)
        plays = False
        for cell, state in enumerate(pads):
            if state < _SOUNDS:
                continue
            if pad_of(cell) == loop and state == PAD_STATES.index("playing"):
                plays = True
            else:
                self._desk.do_now(f"{pad_of(cell)}/cut", [], frame)
        if loop is None or plays:
            return
        grid = self._desk.get_now(f"{loop}/quantize")
        self._desk.do_now(f"{loop}/quantize", ["off"], frame)
        if self._desk.get_now(f"{loop}/mode") != "loop":
            self._desk.set_now(f"{loop}/mode", "loop")
        self._desk.do_now(f"{loop}/trigger", [1.0], frame)
        self._desk.do_now(f"{loop}/quantize", [grid], frame)
