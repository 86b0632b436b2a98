# SPDX-License-Identifier: GPL-3.0-or-later
"""Analyses what is loaded and is not known yet: one file at a time, the deck that was loaded last first, pads after the decks.

What is found is kept with the track, told as ``/deck/N/track/…``, becomes the deck's beat grid unless a person has given one,
and the tempo of a pad for which nobody has told one. A file that cannot be analysed plays all the same: it is said once.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.control.analyser import Analyser, NotAnalysed
from appliance.control.autogain import AutoGain
from appliance.control.clipbank import Facts, Options
from appliance.control.desk import Desk
from appliance.control.loader import Loaded, Loader, Target
from appliance.control.tracks import Tracks
from appliance.errors import ApplianceError, NotAllowed, Unavailable
from appliance.library.analysis.result import Analysis
from appliance.namespace import Address

log = logging.getLogger(__name__)

DECODED_LOOK_S = 0.2
_UNKNOWN_LUFS = -70.0
_SAME_TEMPO = 1e-4


@dataclass
class _Wish:
    """A file that is to be analysed; the higher ``rank``, the sooner."""

    file: Path
    rank: tuple[bool, int]


@dataclass
class _Told:
    """What has been said already."""

    files: set[Path] = field(default_factory=set)
    unavailable: bool = False


class Analyst:
    """The queue, and what becomes of the results."""

    def __init__(self, desk: Desk, loader: Loader, tracks: Tracks, analyser: Analyser | None = None) -> None:
        self.gain = AutoGain(desk)
        self._desk = desk
        self._loader = loader
        self._tracks = tracks
        self._analyser = analyser or Analyser()
        self._enabled = desk.box.config.analysis.enabled and not desk.safe
        self._wishes: dict[Path, _Wish] = {}
        self._count = 0
        self._wished = asyncio.Event()
        self._told = _Told()
        self._pads_waiting: dict[str, tuple[Path, Analysis]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        for deck in range(1, 5):
            self._tell(f"/deck/{deck}", "none")
        desk.register("/deck/{deck}/track/analysis", self._all_found)
        tracks.recalled = self._recalled
        loader.watchers.append(self._changed)
        desk.subscribe(self._heard)

    def close(self) -> None:
        """End the analyser that runs."""
        self._analyser.end()
        for task in self._tasks:
            task.cancel()

    # -- what is loaded

    def _recalled(self, deck: int, analysis: Analysis | None) -> None:
        """This is being loaded on a deck: its level is set before it sounds."""
        self.gain.loaded(deck, analysis.loudness if analysis else None)

    def _changed(self, address: str) -> None:
        loaded = self._loader.loaded.get(address)
        is_deck = address.startswith("/deck/")
        self._pads_waiting.pop(address, None)
        if loaded is None or loaded.audio is None:
            if is_deck:
                self._tell(address, "none")
            return
        facts = loaded.audio.facts
        if not is_deck and not _may_learn(loaded.options, facts):
            return
        if is_deck:
            self._tell(address, "waiting" if self._enabled else "none")
        self._background(self._look(address, facts.path, is_deck=is_deck))

    async def _look(self, address: str, file: Path, *, is_deck: bool) -> None:
        known = await asyncio.to_thread(self._tracks.remembered, file)
        loaded = self._loader.loaded.get(address)
        if loaded is None or loaded.audio is None or loaded.audio.facts.path != file:
            return
        if known is not None:
            self._give(address, loaded, known)
        elif self._enabled:
            self._count += 1
            self._wishes[file] = _Wish(file, (is_deck or self._is_on_deck(file), self._count))
            self._wished.set()

    def _is_on_deck(self, file: Path) -> bool:
        return any(address.startswith("/deck/") for address, _ in self._places(file))

    def _places(self, file: Path) -> list[tuple[str, Loaded]]:
        return [(address, loaded) for address, loaded in self._loader.loaded.items()
                if loaded.audio is not None and loaded.audio.facts.path == file]

    # -- one after the other

    async def run(self) -> None:
        """Analyse what is wished for, for ever."""
        while True:
            await self._wished.wait()
            wish = self._next()
            if wish is None:
                await asyncio.sleep(DECODED_LOOK_S)
                continue
            del self._wishes[wish.file]
            await self._analyse(wish.file)

    def _next(self) -> _Wish | None:
        """The wish with the highest rank whose file is decoded: that goes first. None: look again."""
        for file in [file for file in self._wishes if not self._places(file)]:
            del self._wishes[file]
        if not self._wishes:
            self._wished.clear()
        ready = [wish for wish in self._wishes.values()
                 if all(loaded.audio is not None and loaded.audio.done for _, loaded in self._places(wish.file))]
        return max(ready, key=lambda wish: wish.rank, default=None)

    async def _analyse(self, file: Path) -> None:
        for address, _ in self._places(file):
            self._tell(address, "running")
        try:
            analysis = await self._analyser.listen(file)
        except Unavailable as error:
            if not self._told.unavailable:
                self._told.unavailable = True
                self._desk.say(f"{error.message}; everything plays, without tempo and key")
            self._fail(file, error.message)
            return
        except NotAnalysed as error:
            self._fail(file, error.message)
            if file not in self._told.files:
                self._told.files.add(file)
                shown = error.message if file.name in error.message else f"{file.name}: {error.message}"
                self._desk.say(f"{shown}; it plays, but its tempo, key and loudness are not known")
            return
        self._tracks.keep_analysis(file, analysis)
        for address, loaded in self._places(file):
            self._give(address, loaded, analysis)

    def _fail(self, file: Path, problem: str) -> None:
        for address, _ in self._places(file):
            self._tell(address, "failed", problem=problem)

    # -- what was found

    def _give(self, address: str, loaded: Loaded, analysis: Analysis) -> None:
        target = Target.at(address)
        if target.is_pad:
            self._background(self._teach_pad(target, loaded, analysis))
            return
        self._tell(address, "done", analysis)
        self.gain.found(target.index, analysis.loudness)
        self._tracks.take_analysis(target.index, analysis)

    async def _teach_pad(self, target: Target, loaded: Loaded, analysis: Analysis) -> None:
        """A pad whose tempo was guessed from its length, and wrongly, is loaded anew; one that plays, when it has stopped."""
        facts = loaded.audio.facts if loaded.audio else None
        if facts is None or not _may_learn(loaded.options, facts) or not analysis.bpm:
            return
        if facts.bpm and abs(analysis.bpm / facts.bpm - 1.0) < _SAME_TEMPO:
            return
        if self._desk.get_now(target.text("state")) not in ("loaded", "empty"):
            self._pads_waiting[target.address] = (facts.path, analysis)
            return
        if await asyncio.to_thread(self._tracks.remembered, facts.path) != analysis:
            return  # it could not be kept: loading anew would change nothing
        name, role = (self._desk.texts.get(target.text(what)) for what in ("name", "role"))
        said = Options(gain=loaded.options.gain, name=name or loaded.options.name, role=role or loaded.options.role)
        try:
            await self._loader.load(target, loaded.where, said, patient=True)
        except ApplianceError as error:
            log.info("%s keeps the tempo that its length tells: %s", target.shown, error.message)

    async def _all_found(self, address: Address, args: list[Any]) -> dict[str, Any]:
        """The analysis with what follows from it (``bpm``, ``camelot``, ``downbeat``). Raises :class:`NotAllowed` (409)."""
        place = f"/deck/{address.index + 1}"
        loaded = self._loader.loaded.get(place)
        if loaded is None or loaded.audio is None:
            raise NotAllowed(f"{address}: nothing is loaded there", status=409)
        found = await asyncio.to_thread(self._tracks.remembered, loaded.audio.facts.path)
        if found is None:
            state = self._desk.get_now(f"{place}/track/state")
            raise NotAllowed(f"{address}: the file is not analysed ({place}/track/state is {state})", status=409)
        follows = {"bpm": round(found.bpm, 3), "camelot": found.camelot, "downbeat": round(found.downbeat_s, 5)}
        return found.model_dump(mode="json") | follows

    def _heard(self, address: str, value: Any) -> None:
        place = address.removesuffix("/state")
        if value == "loaded" and place in self._pads_waiting:
            file, analysis = self._pads_waiting.pop(place)
            loaded = self._loader.loaded.get(place)
            if loaded is not None and loaded.audio is not None and loaded.audio.facts.path == file:
                self._background(self._teach_pad(Target.at(place), loaded, analysis))

    def _tell(self, address: str, state: str, analysis: Analysis | None = None, problem: str = "") -> None:
        if not address.startswith("/deck/"):
            return
        found = analysis or Analysis()
        loudness = _UNKNOWN_LUFS if found.loudness is None else found.loudness
        for name, value in (("bpm", round(found.bpm, 3)), ("key", found.key), ("camelot", found.camelot),
                            ("loudness", loudness), ("downbeat", round(found.downbeat_s, 5)), ("energy", found.energy),
                            ("problem", problem), ("state", state)):
            self._desk.publish(f"{address}/track/{name}", value)

    def _background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _may_learn(options: Options, facts: Facts) -> bool:
    """Nobody told its tempo, and it is none of the store's loops, which are exact."""
    return options.bpm is None and options.beats is None and not facts.hash
