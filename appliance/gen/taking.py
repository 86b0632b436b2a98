# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes as a hand has them: back and forward by a button, by number, kept; told as ``/pad/N/take``, ``takes``, ``take/kept``.

What is told follows what stands on the pad: 0 when that is no take. A take that plays changes on the pad's launch grid.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.bus.hub import HubClient
from appliance.errors import ApplianceError, BadValue
from appliance.gen.asking import whole
from appliance.gen.takes import MAX_TAKES, TakeStore
from appliance.library.store import AudioStore, Clip
from appliance.nodes.pad import ROLES

log = logging.getLogger(__name__)
OVERTAKEN = 409
Tell = Callable[[str, Any], None]


def load_options(clip: Clip, name: str = "", at: str = "bar") -> dict[str, Any]:
    """What a load of control's is told of a clip of the store."""
    return {"name": name or clip.name, "role": clip.role if clip.role in ROLES else "none", "bpm": clip.bpm,
            "beats": clip.beats, "at": at}


class Taking:
    """Serves the takes of pads. ``tell(address, value)`` publishes."""

    def __init__(self, takes: TakeStore, store: AudioStore, hub: HubClient, tell: Tell) -> None:
        self._takes = takes
        self._store = store
        self._hub = hub
        self._tell = tell
        self._files: dict[str, str] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Tell what there is: of a process before this one, too."""
        for target in self._takes.targets():
            self.announce(target)

    def serve(self, target: str, what: str, arguments: list[Any]) -> int:
        """``next``, ``previous``, ``load`` [number], ``keep`` [true or false, number]; the number of the take meant.

        A number as the first argument of the others is a button: pressed, or below 0.5 let go, and then nothing happens.
        Raises :class:`BadValue`."""
        takes = self._takes.of(target)
        if arguments and is_let_go(arguments[0]) and what != "load":
            return len(takes)
        if not takes:
            raise BadValue(f"{target} has no takes yet; generate something for it", status=409)
        now = next((number for number, take in enumerate(takes, 1) if take.current), 0)
        match what:
            case "next":
                return self._go(target, now % len(takes) + 1)
            case "previous":
                return self._go(target, (now - 2) % len(takes) + 1 if now else len(takes))
            case "load":
                return self._go(target, whole(arguments, f"take of {target}", 1, len(takes)))
            case _:
                number = whole(arguments[1:], f"take of {target}", 1, len(takes), default=now or 1)
                kept = _said(arguments[0], not takes[number - 1].kept) if arguments else not takes[number - 1].kept
                self._takes.keep(target, number, kept)
                self.announce(target)
                return number

    def _go(self, target: str, number: int) -> int:
        take = self._takes.of(target)[number - 1]
        clip = self._store.get(take.hash)
        if clip is None:
            raise BadValue(f"{target}: the audio of take {number} has vanished; generate it again", status=404)
        self._takes.choose(target, take.hash)
        task = self._under_way[target] = asyncio.create_task(self._load(target, number, clip))
        task.add_done_callback(lambda done: self._ended(target, done))
        self.announce(target)
        return number

    async def _load(self, target: str, number: int, clip: Clip) -> None:
        try:
            await self._hub.do(f"{target}/load", str(clip.path), load_options(clip, at="grid"))
        except ApplianceError as error:
            if error.status != OVERTAKEN:  # else another take was chosen meanwhile
                self._tell("/gen/message", f"{target}: take {number} is not loaded: {error.message}")

    def _ended(self, target: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(target) is task:
            del self._under_way[target]
            self.announce(target)

    def delivered(self, target: str, hashes: list[str]) -> None:
        """Clips were brought to a target: they are its takes."""
        if not self._takes.add(target, hashes):
            self._tell("/gen/message", f"{target}: all {MAX_TAKES} takes are kept, so the new clip is none; let one go")
        self.announce(target)

    def file_changed(self, target: str, file: str) -> None:
        """Control tells what stands on a target."""
        self._files[target] = file
        hash_ = Path(file).stem
        takes = self._takes.of(target)
        if target not in self._under_way and any(take.hash == hash_ and not take.current for take in takes):
            self._takes.choose(target, hash_)
        if takes:
            self.announce(target)

    def announce(self, target: str) -> None:
        """Tell take, number of takes and whether it is kept; only pads have the addresses."""
        if not target.startswith("/bank/"):
            return
        takes = self._takes.of(target)
        now = next((number for number, take in enumerate(takes, 1) if take.current), 0)
        file = self._files.get(target, "")
        if target not in self._under_way and now and takes[now - 1].hash != Path(file).stem:
            now = 0
        self._tell(f"{target}/take", now)
        self._tell(f"{target}/takes", len(takes))
        self._tell(f"{target}/take/kept", bool(now and takes[now - 1].kept))


def is_let_go(argument: Any) -> bool:
    """A button's release."""
    return isinstance(argument, int | float) and not isinstance(argument, bool) and argument < 0.5


def _said(argument: Any, pressed: bool) -> bool:
    """True or false in so many words, or ``pressed`` for a button. Raises :class:`BadValue`."""
    if isinstance(argument, bool):
        return argument
    if isinstance(argument, int | float):
        return pressed
    if str(argument).lower() in ("true", "on", "false", "off"):
        return str(argument).lower() in ("true", "on")
    raise BadValue(f"a take is kept with true or let go with false, not {str(argument)[:40]!r}")
