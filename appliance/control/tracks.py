# SPDX-License-Identifier: GPL-3.0-or-later
"""What the box remembers of a track: its beat grid, cue point, hot cues and loop, in ``tracks/`` of the data folder.

A track is known by its content, so it may be moved or renamed. What a person sets on a deck is the track's from then on, and
comes back with it whenever it is loaded; a session that is restored brings its own. A file that cannot be read or written is
told, and the track plays without.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.bus.commands import Code
from appliance.bus.commit import committed
from appliance.bus.grids import HIGHEST_BPM, LOWEST_BPM, Grid
from appliance.bus.layout import DECKS
from appliance.bus.wholefile import write_atomically
from appliance.control.clipbank import Facts, Options
from appliance.control.desk import Desk
from appliance.control.loader import Loaded, Loader, Target
from appliance.errors import BadValue, NotAllowed
from appliance.library.analysis.result import VERSION, Analysis
from appliance.namespace import Address
from appliance.nodes import NAMESPACE
from appliance.nodes.deck import HOT_CUES, LONGEST_S

log = logging.getLogger(__name__)

FOLDER = "tracks"
SAVE_S = 1.0
_HASHED_BYTES = 1 << 18
_MOST_NUDGE_MS = 5000.0
_AGREES = 0.01
"""A tempo that was told and one that was found, apart by less (as a ratio), are one."""


class HotCue(BaseModel):
    model_config = ConfigDict(extra="forbid")
    at: float = Field(ge=0, le=LONGEST_S)
    name: str = ""
    colour: str = ""


class Track(BaseModel):
    """The file. Times in seconds of the track."""

    model_config = ConfigDict(extra="forbid")
    version: int = 1
    name: str = ""
    grid: Grid | None = None
    cue: float = Field(default=0.0, ge=0, le=LONGEST_S)
    loop: tuple[float, float] | None = None
    hot_cues: dict[int, HotCue] = {}
    analysis: Analysis | None = None


def identity(path: Path) -> str:
    """What a file is known by: its size, and its beginning and end."""
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(_HASHED_BYTES))
        file.seek(max(size - _HASHED_BYTES, 0))
        digest.update(file.read(_HASHED_BYTES))
    return digest.hexdigest()


class Tracks:
    """Recalls and keeps; answers ``/deck/N/grid…``."""

    def __init__(self, desk: Desk, loader: Loader) -> None:
        self._desk = desk
        self._box = desk.box
        self._loader = loader
        self._folder = desk.box.data / FOLDER
        self._grids: dict[int, Grid | None] = {}
        self._given: dict[int, Grid] = {}  # by a person, now; not guessed from the clip's tempo
        self._late: dict[int, Grid] = {}  # found while the deck plays in sync: it would jump
        self._dirty: set[int] = set()
        self.recalled: Callable[[int, Analysis | None], None] = lambda _deck, _analysis: None
        self._changed = asyncio.Event()
        loader.grid_for = self._grid_for
        loader.asked = self._recall
        loader.bank.remembered = self._tempo_of
        for name, handler in (("grid", self._grid), ("grid/bpm", self._set_bpm), ("grid/here", self._here),
                              ("grid/nudge", self._nudge), ("grid/halve", self._halve), ("grid/double", self._double)):
            desk.register(f"/deck/{{deck}}/{name}", handler)
        desk.subscribe(self._heard)

    async def run(self) -> None:
        """Write what has changed, for ever."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SAVE_S)
            self.save()

    def save(self) -> None:
        """Write the decks' tracks that have changed."""
        self._changed.clear()
        for deck in sorted(self._dirty):
            self._write(deck)
        self._dirty.clear()

    # -- loading

    def _recall(self, target: Target, facts: Facts) -> None:
        """A person loads this on a deck: it comes with what is remembered of it."""
        if target.is_pad:
            return
        self.save()
        deck = target.index
        track = self._read(facts.path) or Track()
        self._put(deck, "cue/at", track.cue)
        begin, end = track.loop or (0.0, 0.0)
        self._put(deck, "loop/begin", begin)
        self._put(deck, "loop/end", end)
        for number in range(1, HOT_CUES + 1):
            cue = track.hot_cues.get(number)
            self._put(deck, f"hotcue/{number}/at", cue.at if cue else -1.0)
            self._put(deck, f"hotcue/{number}/name", cue.name if cue else "")
            self._put(deck, f"hotcue/{number}/colour", cue.colour if cue else "")

    def _grid_for(self, target: Target, loaded: Loaded) -> int:
        """The place of its grid: the one that a person gave it, else the one that was found, else straight at the clip's tempo
        from its first frame."""
        deck, facts = target.index, loaded.audio.facts if loaded.audio else None
        if facts is None:
            return 0
        self._given.pop(deck, None)
        self._late.pop(deck, None)
        track = self._read(facts.path)
        analysis = _current(track)
        grid = (track.grid if track else None) or grid_of(facts, loaded.options, analysis)
        self._grids[deck] = grid
        self.recalled(deck, analysis)
        return self._box.grids.put(grid, self._box.rate) if grid else 0

    # -- what an analysis has found

    def remembered(self, file: Path) -> Analysis | None:
        """None when there is nothing, or an older analysis has found it. On any thread, so without a word of what is damaged:
        who loads the file says it."""
        try:
            track = Track.model_validate_json((self._folder / f"{identity(file)}.json").read_bytes())
        except (OSError, ValidationError):
            return None
        return _current(track)

    def _tempo_of(self, file: Path) -> tuple[float, float]:
        found = self.remembered(file)
        if found is None or not found.bpm:
            return 0.0, 0.0
        return found.bpm, found.beats or found.seconds * found.bpm / 60.0

    def keep_analysis(self, file: Path, analysis: Analysis) -> None:
        kept = self._read(file) or Track(name=file.stem)
        self._store(file, kept.model_copy(update={"analysis": analysis}), f"what was found of {file.name}")

    def take_analysis(self, deck: int, analysis: Analysis) -> None:
        """It was found of what stands on the deck: its grid, unless a person has given one. A deck that plays in sync would
        jump: it gets the grid when it stops, or sync goes off."""
        loaded = self._loader.loaded.get(f"/deck/{deck + 1}")
        if loaded is None or loaded.audio is None or deck in self._given:
            return
        track = self._read(loaded.audio.facts.path)
        grid = None if track and track.grid else grid_of(loaded.audio.facts, loaded.options, analysis)
        if grid is None or grid == self._grid_of(deck):
            return
        self._late[deck] = grid
        if not (self._get(deck, "play") and self._get(deck, "sync")):
            self._put_late(deck)

    def _put_late(self, deck: int) -> None:
        if (grid := self._late.pop(deck, None)) is not None:
            self._grids[deck] = grid
            self._box.commands.send(Code.SET_GRID, deck, float(self._box.grids.put(grid, self._box.rate)))

    # -- grids

    async def _grid(self, address: Address, args: list[Any]) -> dict[str, Any] | None:
        await self._loader.adopted.wait()
        deck = self._loaded_deck(address)
        if args:
            try:
                grid = Grid.model_validate(args[0])
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise BadValue(f"{address}: {where or 'a grid'}: {first['msg'].removeprefix('Value error, ')}") from None
            self._set(deck, grid)
        grid = self._grid_of(deck)
        return grid.model_dump(mode="json") if grid else None

    async def _set_bpm(self, address: Address, args: list[Any]) -> None:
        await self._loader.adopted.wait()
        bpm = _amount(address, args, LOWEST_BPM, HIGHEST_BPM, "BPM")
        deck = self._loaded_deck(address)
        here = self._position_s(deck)
        before = self._grid_of(deck)
        anchor = before.second_of(round(before.beat_at(here))) if before else here
        self._set(deck, Grid.straight(bpm, anchor))

    async def _here(self, address: Address, args: list[Any]) -> None:
        await self._loader.adopted.wait()
        if not _let_go(args):
            deck = self._loaded_deck(address)
            self._set(deck, self._known(address, deck).on_beat(self._position_s(deck)))

    async def _nudge(self, address: Address, args: list[Any]) -> None:
        await self._loader.adopted.wait()
        milliseconds = _amount(address, args, -_MOST_NUDGE_MS, _MOST_NUDGE_MS, "ms")
        deck = self._loaded_deck(address)
        self._set(deck, self._known(address, deck).moved(milliseconds / 1000.0))

    async def _halve(self, address: Address, args: list[Any]) -> None:
        await self._loader.adopted.wait()
        if not _let_go(args):
            deck = self._loaded_deck(address)
            self._set(deck, self._known(address, deck).scaled(0.5))

    async def _double(self, address: Address, args: list[Any]) -> None:
        await self._loader.adopted.wait()
        if not _let_go(args):
            deck = self._loaded_deck(address)
            self._set(deck, self._known(address, deck).scaled(2.0))

    def _loaded_deck(self, address: Address) -> int:
        if f"/deck/{address.index + 1}" not in self._loader.loaded:
            raise NotAllowed(f"{address}: nothing is loaded there", status=409)
        return address.index

    def _grid_of(self, deck: int) -> Grid | None:
        """Of the deck; after a restart of control the one that the engine has."""
        if deck not in self._grids:
            place = int(committed(self._box.segment)["deck"]["grid"][0][deck])
            self._grids[deck] = self._box.grids.read(place, self._box.rate)
        return self._grids[deck]

    def _known(self, address: Address, deck: int) -> Grid:
        grid = self._grid_of(deck)
        if grid is None:
            give = f"/deck/{deck + 1}/grid/bpm"
            raise NotAllowed(f"{address}: the track's beats are not known; give them with {give}", status=409)
        return grid

    def _set(self, deck: int, grid: Grid) -> None:
        self._late.pop(deck, None)
        self._grids[deck] = self._given[deck] = grid
        self._box.commands.send(Code.SET_GRID, deck, float(self._box.grids.put(grid, self._box.rate)))
        self._mark(deck)

    def _position_s(self, deck: int) -> float:
        return float(self._box.telemetry.snapshot()["deck"]["position_s"][deck])

    # -- keeping

    def _heard(self, address: str, value: Any) -> None:
        """A value of a deck that belongs to its track has changed."""
        _, kind, number, *rest = [*address.split("/"), "", ""]
        if kind == "deck" and rest and (rest[0] == "hotcue" or "/".join(rest[:2]) in ("cue/at", "loop/begin", "loop/end")):
            self._mark(int(number) - 1)
        elif kind == "deck" and rest and rest[0] in ("play", "sync") and not any(rest[1:]) and not value:
            self._put_late(int(number) - 1)

    def _mark(self, deck: int) -> None:
        if 0 <= deck < DECKS:
            self._dirty.add(deck)
            self._changed.set()

    def _write(self, deck: int) -> None:
        loaded = self._loader.loaded.get(f"/deck/{deck + 1}")
        if loaded is None or loaded.audio is None:
            return
        file = loaded.audio.facts.path
        begin, end = self._get(deck, "loop/begin"), self._get(deck, "loop/end")
        cues = {n: HotCue(at=at, name=self._get(deck, f"hotcue/{n}/name"), colour=self._get(deck, f"hotcue/{n}/colour"))
                for n in range(1, HOT_CUES + 1) if (at := self._get(deck, f"hotcue/{n}/at")) >= 0}
        kept = self._read(file) or Track(name=self._get(deck, "title"))
        track = kept.model_copy(update={"grid": self._given.get(deck, kept.grid), "cue": self._get(deck, "cue/at"),
                                        "loop": (begin, end) if end > begin else None, "hot_cues": cues})
        if track != kept:
            self._store(file, track, f"cues and grid of deck {deck + 1}")

    def _store(self, file: Path, track: Track, what: str) -> None:
        path = self._folder
        try:
            path = self._folder / f"{identity(file)}.json"
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, track.model_dump_json(exclude_defaults=True, indent=1).encode())
        except OSError as error:
            self._desk.say(f"{path}: {what} cannot be kept ({error.strerror}); make room on the disk")

    def _read(self, file: Path) -> Track | None:
        try:
            path = self._folder / f"{identity(file)}.json"
            return Track.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            self._desk.say(f"what was kept of {file.name} cannot be read and is left out ({error.strerror})")
        except ValidationError as error:
            aside = self._folder / f"{identity(file)}.damaged"
            with contextlib.suppress(OSError):
                aside.with_suffix(".json").replace(aside)
            why = error.errors()[0]["msg"]
            self._desk.say(f"what was kept of {file.name} is damaged and left out ({why}); it is in {aside}")
        return None

    def _get(self, deck: int, name: str) -> Any:
        return self._desk.get_now(f"/deck/{deck + 1}/{name}")

    def _put(self, deck: int, name: str, value: Any) -> None:
        self._desk.set_now(NAMESPACE.find(f"/deck/{deck + 1}/{name}"), value)


def _current(track: Track | None) -> Analysis | None:
    """Its analysis, when it is one of the present way."""
    return track.analysis if track and track.analysis and track.analysis.version == VERSION else None


def grid_of(facts: Facts, options: Options, analysis: Analysis | None) -> Grid | None:
    """The grid of a track that nobody has given one: a loop of so many beats begins on its first frame; a tempo that was told
    holds, from the beat that was found; else what was found; else the clip's tempo from its first frame."""
    straight = Grid.straight(facts.bpm) if LOWEST_BPM <= facts.bpm <= HIGHEST_BPM else None
    if analysis is None or analysis.grid is None or options.beats is not None or facts.hash:
        return straight
    if options.bpm is None or straight is None:
        return analysis.grid
    for factor in (1.0, 2.0, 0.5):
        if abs(math.log(options.bpm / (analysis.bpm * factor))) < _AGREES:
            bends = len(analysis.grid.anchors) > 1
            return analysis.grid.scaled(factor) if bends else Grid.straight(options.bpm, analysis.grid.anchors[0][0])
    return straight


def _amount(address: Address, args: list[Any], low: float, high: float, unit: str) -> float:
    try:
        number = float(args[0])
    except (IndexError, TypeError, ValueError):
        raise BadValue(f"{address} takes {low:g} … {high:g} {unit}") from None
    if not low <= number <= high:
        raise BadValue(f"{address} takes {low:g} … {high:g} {unit}, not {number:g}")
    return number


def _let_go(args: list[Any]) -> bool:
    """A button that is released."""
    return bool(args) and isinstance(args[0], int | float) and args[0] < 0.5
