# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device is which: one that comes back is known again, under whatever number ALSA or JACK gives it now, and two of the
same make are told apart by the USB port that they sit in.

A device's *make* is its name without the numbers that change; its *path* is its place on the bus, where sysfs tells that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SOUND = Path("/sys/class/sound")
BRIDGES = ("system", "a2j", "midi-bridge", "alsa_midi")
"""Clients that carry the ports of many devices."""
_CARD = re.compile(r"\bhw[-:](\d+)\b")
_CLIENT = re.compile(r"\[(\d{1,3})\]|(?<= )(\d{1,3}):\d{1,3}$")
_CHANGING = re.compile(r"\[\d{1,3}\]|\bhw[-:]\d+(?:[-,]\d+){0,2}|(?<= )\d{1,3}:\d{1,3}$|(?<=capture_)\d+$|(?<=playback_)\d+$")
_TWIN = re.compile(r"-\d\d(?=:)")
"""What JACK appends to the second client of a name."""
_FIRST_CLIENT, _CLIENTS_PER_CARD, _LAST_CLIENT = 16, 4, 127
"""Numbers that ALSA's sequencer gives to the clients of sound cards (``SNDRV_SEQ_GLOBAL_CLIENTS`` and on)."""


def make_of(names: Iterable[str]) -> str:
    """What a port's name and aliases say of the device, without what changes from one plugging in to the next."""
    names = tuple(names)
    telling = [name for name in names if not re.fullmatch(r"system:(midi_)?(capture|playback)_\d+", name)] or list(names)
    return " | ".join(sorted({" ".join(_TWIN.sub("", _CHANGING.sub("", name)).split()).lower() for name in telling}))


def numbers_in(names: Iterable[str]) -> tuple[str, ...]:
    """The numbers that changed: what sends and what listens of one device have the same."""
    found = (re.findall(r"\d+", part[0]) for name in names for part in (*_CHANGING.finditer(name), *_TWIN.finditer(name)))
    return tuple(sorted({number for numbers in found for number in numbers}))


def path_of(names: Iterable[str], sound: Path = SOUND) -> str:
    """Where on the USB bus the device sits (``1-2.3``), or nothing."""
    for name in names:
        if (card := _card_in(name)) is None:
            continue
        parts = os.path.realpath(sound / f"card{card}" / "device").split("/")
        on_bus = [part for part in parts if re.fullmatch(r"\d+-\d+(\.\d+)*", part)]
        if on_bus:
            return on_bus[-1]
    return ""


def _card_in(name: str) -> int | None:
    if found := _CARD.search(name):
        return int(found[1])
    if found := _CLIENT.search(name):
        client = int(found[1] or found[2])
        if _FIRST_CLIENT <= client <= _LAST_CLIENT:
            return (client - _FIRST_CLIENT) // _CLIENTS_PER_CARD
    return None


@dataclass(eq=False, slots=True)
class Place:
    """A device that is here, or was. ``number``: which of its make it is, from 1; ``slot``: its port of the engine from 1 (0:
    none at the moment); ``latched``: the layers that it comes back with."""

    make: str
    path: str
    name: str
    number: int = 1
    slot: int = 0
    latched: dict[str, int] = field(default_factory=dict)


class Places:
    """Remembers every device of this run."""

    def __init__(self, sound: Path = SOUND) -> None:
        self._sound = sound
        self.all: list[Place] = []

    def find(self, ports: Sequence[tuple[str, tuple[str, ...]]]) -> dict[str, Place]:
        """The place of each port, given as ``(name, all its names)``. Where it sits tells most, then its name; what is left is
        a device of the same make that is not here; else it is new."""
        facts = {name: (make_of(names), path_of(names, self._sound)) for name, names in ports}
        found: dict[str, Place] = {}
        free = list(self.all)

        def give(name: str, place: Place | None) -> None:
            if place is not None:
                free.remove(place)
                place.name, place.path = name, facts[name][1] or place.path
                found[name] = place

        order = sorted(facts, key=lambda name: (facts[name], _natural(name)))
        for rule in (self._same_path, self._same_name, self._same_make):
            for name in order:
                if name not in found:
                    make, path = facts[name]
                    give(name, next((place for place in free if rule(place, name, make, path)), None))
        for name in order:
            if name not in found:
                make, path = facts[name]
                place = Place(make, path, name, 1 + sum(other.make == make for other in self.all))
                self.all.append(place)
                found[name] = place
        return found

    @staticmethod
    def _same_path(place: Place, name: str, make: str, path: str) -> bool:
        return bool(path) and place.path == path and place.make == make

    @staticmethod
    def _same_name(place: Place, name: str, make: str, path: str) -> bool:
        return place.name == name and place.make == make and not (place.path and path)

    @staticmethod
    def _same_make(place: Place, name: str, make: str, path: str) -> bool:
        return place.make == make

    def seat(self, place: Place, most: int, used: set[int]) -> int:
        """The place's port of the engine, 1 … ``most``: its own from before, else one that nobody had, else one of somebody who
        is not here; 0 when all are in ``used``."""
        if not place.slot or place.slot in used:
            remembered = {other.slot for other in self.all if other is not place}
            free = [slot for slot in range(1, most + 1) if slot not in used]
            place.slot = next((slot for slot in free if slot not in remembered), free[0] if free else 0)
        for other in self.all:
            if other is not place and other.slot == place.slot:
                other.slot = 0
        return place.slot


def _natural(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
