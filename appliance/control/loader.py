# SPDX-License-Identifier: GPL-3.0-or-later
"""Files onto decks and pads: ``/deck/N/load``, ``/deck/N/unload``, ``/pad/N/load``, ``/pad/N/clear``.

A load waits until the engines have the audio locked, then sends one command; the clip that was there before is given up
when the engine has obeyed. Without an engine the load stays wanted and is done when one is ready.

What is loaded plays from memory: a file that goes or changes is told once, and stays as it was decoded. A file that a session
names and that is not there is ``missing``, and is loaded when it comes back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from appliance.bus.commands import Code
from appliance.bus.commit import committed
from appliance.bus.events import Event, Kind
from appliance.bus.layout import DECKS
from appliance.control.clipbank import POLL_S, WHOLE_FIRST_S, Audio, ClipBank, Facts, Options
from appliance.control.desk import Desk
from appliance.control.launchgrid import frame_of_line, parse_at
from appliance.control.loadwords import parse_load
from appliance.errors import ApplianceError, BadFile, NotAllowed, Unavailable
from appliance.namespace import Address
from appliance.nodes import NAMESPACE

log = logging.getLogger(__name__)

_UNKNOWN = (0, 0)

ENGINE_WAIT_S = 3.0
"""How long a load waits for an engine before it says so and goes on waiting in the background."""
OBEYED_WAIT_S = 2.0
COLLECT_S = 0.5
LOOK_S = 2.0
"""Time between looks at the files of what is loaded."""
MESSAGE_S = 0.1
"""Between messages: the hub tells the last of those that come at one moment."""
Stamp = tuple[int, int]
"""Time of change (ns) and size of a file."""
PAD_TEMPLATES = ("/bank/{bank}/pad/{pad}/load", "/bank/{bank}/pad/{pad}/clear")
DECK_TEMPLATES = ("/deck/{deck}/load", "/deck/{deck}/unload")


@dataclass(frozen=True)
class Target:
    """A deck or a pad: its canonical address, and its place in the engine."""

    address: str
    is_pad: bool
    index: int

    @classmethod
    def of(cls, address: Address) -> Target:
        return cls(address.address.rsplit("/", 1)[0], address.group.record == "pad", address.index)

    @classmethod
    def at(cls, address: str) -> Target:
        """From ``/bank/1/pad/3`` or ``/deck/1``. Raises UnknownAddress."""
        return cls.of(NAMESPACE.find(f"{address}/load"))

    @property
    def code(self) -> Code:
        return Code.LOAD_PAD if self.is_pad else Code.LOAD_DECK

    @property
    def shown(self) -> str:
        return NAMESPACE.friendly(f"{self.address}/load").removesuffix("/load")

    def text(self, name: str) -> Address:
        return NAMESPACE.find(f"{self.address}/{name}")


@dataclass(frozen=True)
class Loaded:
    """What stands on a target: the file, how it was asked for, and the audio (None while it waits or is missing)."""

    where: str
    options: Options
    audio: Audio | None
    handle: int = 0
    hash: str = ""


class Loader:
    """Loads and clears. ``changed(target address)`` is called when what stands there is another thing, ``asked(target, facts)``
    before that when a person has asked for it; ``grid_for(target, loaded)`` puts a clip's beat grid where the engine finds it.
    ``source_of(target, handle)``: the clip that was loaded, where the engine plays a version of it; ``left`` are told that the
    engine has obeyed, what a target had before is left; ``forgotten`` are told of clips that the engines do without.

    ``adopted`` is set when it is known what the engine plays already; calls wait for that.
    """

    def __init__(self, desk: Desk) -> None:
        self.bank = ClipBank(desk.box, desk.say, self._places_of)
        self.loaded: dict[str, Loaded] = {}
        self.changed: Callable[[str], None] = lambda _address: None
        self.watchers: list[Callable[[str], None]] = []
        self.grid_for: Callable[[Target, Loaded], int] = lambda _target, _loaded: 0
        self.asked: Callable[[Target, Facts], None] = lambda _target, _facts: None
        self.left: list[Callable[[str], None]] = []
        self.forgotten: list[Callable[[frozenset[int]], None]] = []
        self.source_of: Callable[[Target, int], int] = lambda _target, handle: handle
        self.adopted = asyncio.Event()
        self._desk = desk
        self._box = desk.box
        self._locks: dict[str, asyncio.Lock] = {}
        self._wishes: dict[str, int] = {}
        self._obeyed: dict[int, asyncio.Future[Event]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._seen: dict[str, Stamp | None] = {}
        self._prepared: dict[str, Audio] = {}
        self.bank.give_way = self._give_way
        desk.register("/bank/{bank}/pad/{pad}/prepare", self._prepare_call)
        for deck in range(1, DECKS + 1):
            desk.say_missing(f"/deck/{deck}", False)
        for template in PAD_TEMPLATES + DECK_TEMPLATES:
            desk.register(template, self._load_call if template.endswith("/load") else self._clear_call)
        for template in ("/bank/{bank}/pad/{pad}/file", "/deck/{deck}/file"):
            desk.texts.guards[template] = _told_by_load
        desk.on_event(self._event)

    async def run(self) -> None:
        """Free retired audio and look after the files, for ever."""
        await asyncio.gather(self._collect(), self._watch_files())

    async def _collect(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_S)
            self.bank.collect()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.bank.close()

    # -- calls

    async def _load_call(self, address: Address, args: list[Any]) -> dict[str, Any]:
        args, at = parse_at(address, args)
        where, options = parse_load(address, args)
        await self.adopted.wait()
        return await self.load(Target.of(address), where, options, asked=True, at=at)

    async def _prepare_call(self, address: Address, args: list[Any]) -> None:
        """One file a pad is kept in memory, where the engines have it, until another is prepared or memory runs short."""
        args, _ = parse_at(address, args)
        where, options = parse_load(address, args)
        await self.adopted.wait()
        audio = await self.bank.acquire(await self.bank.look(where, options))
        self._let_go(Target.of(address).address)
        self._prepared[Target.of(address).address] = audio

    def _let_go(self, address: str) -> None:
        audio = self._prepared.pop(address, None)
        if audio is not None and not audio.forgotten:
            self.bank.release(audio)

    def _give_way(self) -> None:
        for address in list(self._prepared):
            self._let_go(address)

    async def _clear_call(self, address: Address, args: list[Any]) -> None:
        if args and isinstance(args[0], int | float) and args[0] < 0.5:
            return  # a button let go
        await self.adopted.wait()
        await self.clear(Target.of(address))

    async def load(
        self, target: Target, where: str, options: Options, *, patient: bool = False, asked: bool = False, at: str = "now",
    ) -> dict[str, Any]:
        """Load a file by path or hash of the store; returns what was learnt about it.

        ``patient`` (a session that is restored) waits for the engine without a word. ``at``: a loop that plays changes now,
        on the pad's launch grid or on the bar line. Raises BadFile, Unavailable, and NotAllowed when another load of the same
        target overtook this one.
        """
        wish = self._wishes[target.address] = self._wishes.get(target.address, 0) + 1
        facts = await self.bank.look(where, options)
        audio = await self.bank.acquire(facts, may_stream=not target.is_pad)
        try:
            await self._until_playable(target, audio, patient)
            frame = 0
            if target.is_pad and at != "now":
                frame = await frame_of_line(self._box, target.index, at, lambda: self._wishes[target.address] == wish)
            async with self._locks.setdefault(target.address, asyncio.Lock()):
                self._check_wish(target, wish)
                if asked:
                    self.asked(target, facts)
                await self._put(target, Loaded(str(facts.path), options, audio, audio.clip.handle), facts, frame)
        except _StillWaiting:
            name = facts.path.name
            self._desk.say(f"{target.shown}: no engine takes it right now; {name} is loaded when one is ready")
            self._background(self._load_later(target, wish, Loaded(str(facts.path), options, audio), facts, asked=asked))
            return describe(facts, audio) | {"pending": True}
        except BaseException:
            self.bank.release(audio)
            raise
        return describe(facts, audio)

    async def clear(self, target: Target) -> None:
        """Empty a deck or a pad."""
        self._wishes[target.address] = self._wishes.get(target.address, 0) + 1
        async with self._locks.setdefault(target.address, asyncio.Lock()):
            await self._put(target, None, None)

    async def give_up(self, handles: frozenset[int], why: str) -> None:
        """Empty the decks and pads that hold one of these clips, and say so; loads of them that are on their way fail."""
        for address, loaded in list(self.loaded.items()):
            if loaded.handle in handles:
                target = Target.at(address)
                await self.clear(target)
                self._desk.say(f"{target.shown} was emptied: {why} {Path(loaded.where).name} was loaded")
        for tell in self.forgotten:
            tell(handles)
        self.bank.forget(handles)

    def touched(self, target: Target) -> bool:
        """Somebody has loaded or cleared it since control started."""
        return target.address in self._wishes

    async def keep_missing(
        self, target: Target, where: str, options: Options, hash_: str, *, untouched: bool = False
    ) -> None:
        """Remember a file of the session that cannot be loaded now, so that saving does not forget it. What stood there of
        another session goes. ``untouched``: it is there, but is not to be loaded before it has changed."""
        if untouched:
            self._seen |= _stamps({where})
        before = self.loaded.get(target.address)
        if before and before.audio:
            await self.clear(target)
            self._tell_texts(target, where, options.name or "", options.role or "none")
        self.loaded[target.address] = Loaded(where, options, None, hash=hash_)
        self._desk.set_text(target.text("file"), where)
        self._desk.say_missing(target.address, True)

    async def adopt(self, target: Target, handle: int, where: str, options: Options) -> bool:
        """After a restart of control alone: take over a clip that the engine has on this target already."""
        try:
            facts = await self.bank.look(where, options)
        except ApplianceError:
            bpm, beats, gain = options.bpm or 0.0, options.beats or 0.0, options.gain or 1.0
            facts = Facts(Path(where), (0, 0), 0, 0.0, bpm, beats, gain, "", "none", "")
        audio = self.bank.adopt(handle, facts)
        if audio is None:
            return False
        self.loaded[target.address] = Loaded(where, options, audio, handle)
        for watcher in self.watchers:
            watcher(target.address)
        if not audio.done:
            self._background(self._report_damage(target, audio))
        return True

    # -- the way to the engine

    def handle_at(self, target: Target) -> int:
        """The clip that the engine has on a target."""
        return int(committed(self._box.segment)["pad" if target.is_pad else "deck"]["clip"][0][target.index])

    async def swap(self, target: Target, loaded: Loaded, handle: int, frame: int) -> bool:
        """Let a pad go on in another version of the clip that is loaded, at ``frame`` (0: now), which is near; returns when the
        engine has answered. False when something else is loaded by now, or the engine has refused."""
        async with self._locks.setdefault(target.address, asyncio.Lock()):
            if self.loaded.get(target.address) is not loaded:
                return False
            number = self._box.commands.send(target.code, target.index, float(handle), 0.0, frame=frame)
            future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
            self._obeyed[number] = future
            await asyncio.wait([future], timeout=OBEYED_WAIT_S)
        try:
            while not future.done():  # an engine that dies or starts obeys later; what it may be playing is not given up
                if self.handle_at(target) == handle:
                    return True
                await asyncio.wait([future], timeout=OBEYED_WAIT_S)
            return future.result().kind != Kind.REFUSED
        finally:
            self._obeyed.pop(number, None)

    async def _until_playable(self, target: Target, audio: Audio, patient: bool) -> None:
        """Raises BadFile for a file that broke before it could be played, _StillWaiting when no engine is there."""
        end = time.monotonic() + ENGINE_WAIT_S
        while not self.bank.playable(audio):
            if audio.forgotten:
                raise Unavailable(f"{target.shown}: the engine goes without {audio.facts.path.name}; load it again")
            if audio.error and audio.done and (not self._is_long(audio) or self.bank.is_empty(audio)):
                raise BadFile(audio.error)
            if not self.bank.enough(audio):
                end = time.monotonic() + ENGINE_WAIT_S
            elif not patient and time.monotonic() > end:
                raise _StillWaiting
            await asyncio.sleep(POLL_S)
        if audio.error and (not self._is_long(audio) or self.bank.is_empty(audio)):
            raise BadFile(audio.error)
        if self._is_long(audio) and not audio.done:
            self._background(self._report_damage(target, audio))
        elif audio.error:
            self._desk.say(f"{target.shown}: {audio.error}")

    @staticmethod
    def _is_long(audio: Audio) -> bool:
        """Long enough that it plays while it decodes: damage further on is told, not refused."""
        return audio.facts.duration_s > WHOLE_FIRST_S

    async def _report_damage(self, target: Target, audio: Audio) -> None:
        while not audio.done:
            await asyncio.sleep(0.1)
        if audio.error:
            self._desk.say(f"{target.shown}: {audio.error}")

    async def _load_later(self, target: Target, wish: int, loaded: Loaded, facts: Facts, *, asked: bool) -> None:
        assert loaded.audio is not None
        try:
            await self._until_playable(target, loaded.audio, True)
            async with self._locks.setdefault(target.address, asyncio.Lock()):
                self._check_wish(target, wish)
                if asked:
                    self.asked(target, facts)
                await self._put(target, replace(loaded, handle=loaded.audio.clip.handle), facts)
        except ApplianceError as error:
            self.bank.release(loaded.audio)
            if not isinstance(error, NotAllowed):
                self._desk.say(f"{target.shown}: {error.message}")

    def _check_wish(self, target: Target, wish: int) -> None:
        if self._wishes[target.address] != wish:
            raise NotAllowed(f"{target.shown}: another load or clear came after this one and holds", status=409)

    async def _put(self, target: Target, loaded: Loaded | None, facts: Facts | None, frame: int = 0) -> None:
        before = self.loaded.get(target.address)
        handle = loaded.handle if loaded else 0
        grid = self.grid_for(target, loaded) if loaded and not target.is_pad else 0
        number = self._box.commands.send(target.code, target.index, float(handle), float(grid), frame=frame)
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._obeyed[number] = future
        if loaded:
            self.loaded[target.address] = loaded
        else:
            self.loaded.pop(target.address, None)
        self._desk.say_missing(target.address, False)
        self._tell_changed(target.address)
        try:
            event = await asyncio.wait_for(asyncio.shield(future), OBEYED_WAIT_S)
        except TimeoutError:
            self._background(self._give_up_later(number, future, target, before))
        else:
            if event.kind == Kind.REFUSED:
                self._revert(target, number, before)
                raise Unavailable(f"{target.shown}: the engine refused the clip (reason {event.a:.0f}); load it again")
            self._give_up(number, target, before)
        if facts:
            self._tell_texts(target, str(facts.path), facts.name, facts.role)
        else:
            self._tell_texts(target, "", "", "none")

    def _revert(self, target: Target, number: int, before: Loaded | None) -> None:
        self._obeyed.pop(number, None)
        if before:
            self.loaded[target.address] = before
        else:
            self.loaded.pop(target.address, None)
        self._tell_changed(target.address)

    def _tell_changed(self, address: str) -> None:
        self.changed(address)
        for watcher in self.watchers:
            watcher(address)

    async def _give_up_later(self, number: int, future: asyncio.Future[Event], target: Target, before: Loaded | None) -> None:
        """The engine is busy dying or starting: what was loaded before is kept until it has obeyed."""
        await future
        self._give_up(number, target, before)

    def _give_up(self, number: int, target: Target, before: Loaded | None) -> None:
        self._obeyed.pop(number, None)
        for tell in self.left:
            tell(target.address)
        if before and before.audio:
            self.bank.release(before.audio)

    def _tell_texts(self, target: Target, file: str, name: str, role: str) -> None:
        self._desk.set_text(target.text("file"), file)
        self._desk.set_text(target.text("name" if target.is_pad else "title"), name)
        if target.is_pad:
            self._desk.set_text(target.text("role"), role)

    def _places_of(self, audio: Audio) -> list[str]:
        return [Target.at(place).shown for place, loaded in self.loaded.items() if loaded.audio is audio]

    # -- the files behind it

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            stamps = await asyncio.to_thread(_stamps, {loaded.where for loaded in self.loaded.values()})
            others: dict[Audio, bool] = {}
            for place, loaded in list(self.loaded.items()):
                if loaded.where not in stamps:
                    continue
                stamp, before = stamps[loaded.where], self._seen.get(loaded.where, _UNKNOWN)
                if loaded.audio is None:
                    if stamp not in (None, before):
                        self._background(self._bring_back(Target.at(place), loaded))
                elif loaded.audio.facts.stamp not in (stamp, _UNKNOWN) and stamp != before:
                    others[loaded.audio] = stamp is None
            self._seen = stamps
            await self._tell_others(others)

    async def _tell_others(self, others: dict[Audio, bool]) -> None:
        """One line for the files that are gone (true), one for those that have changed: a stick that is pulled has many."""
        for gone, what in (
            (True, "gone from the disk: what is loaded plays on from memory, but it will be missing at the next start"),
            (False, "another file now: what is loaded plays on as it was; load it again to hear the new one"),
        ):
            files = [f"{audio.facts.path} ({', '.join(self._places_of(audio))})" for audio in others if others[audio] is gone]
            if files:
                more = f" and {len(files) - 1} more" if len(files) > 1 else ""
                self._desk.say(f"{files[0]}{more}: {what}")
                await asyncio.sleep(MESSAGE_S)

    async def _bring_back(self, target: Target, missing: Loaded) -> None:
        """A missing file is there again, perhaps not all of it yet: then it is tried again when it has changed."""
        if self.loaded.get(target.address) is not missing:
            return
        try:
            await self.load(target, missing.where, missing.options, patient=True)
        except ApplianceError as error:
            log.info("%s: %s", target.shown, error.message)
        else:
            self._desk.say(f"{target.shown}: {missing.where} is there again and loaded", logging.INFO)

    def _event(self, event: Event) -> None:
        if event.kind in (Kind.COMMAND, Kind.REFUSED) and (future := self._obeyed.get(event.id)) and not future.done():
            future.set_result(event)

    def _background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _StillWaiting(Exception):
    pass


def _stamps(files: set[str]) -> dict[str, Stamp | None]:
    """None: the file is not there."""
    found: dict[str, Stamp | None] = {}
    for file in files:
        try:
            status = Path(file).stat()
            found[file] = (status.st_mtime_ns, status.st_size)
        except OSError:
            found[file] = None
    return found


def _told_by_load(address: Address, value: str) -> str:
    raise NotAllowed(f"{address} tells what is loaded; to load a file use {address.address.removesuffix('file')}load")


def describe(facts: Facts, audio: Audio) -> dict[str, Any]:
    return {"file": str(facts.path), "name": facts.name, "role": facts.role, "seconds": round(facts.duration_s, 6),
            "bpm": round(facts.bpm, 4), "beats": facts.beats, "hash": audio.hash}
