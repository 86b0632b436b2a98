# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the session: saves it after changes, restores it at the start, loads and saves by name.

Control may be restarted alone while the box plays on: then shared memory tells the values and the engine tells which
clips it plays, and only what control alone knew (texts, where the clips came from, scenes) is read back. After a start
of the whole box everything is read back, pads are armed and nothing plays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from appliance.bus.memory import FOLDER, box_name
from appliance.control.clipbank import Options
from appliance.control.desk import Desk
from appliance.control.loader import Loader, Target
from appliance.control.scenes import Scenes
from appliance.control.session.files import SessionFiles
from appliance.control.session.journal import replay
from appliance.control.session.model import ClipEntry, SessionFile, check_name, read_session
from appliance.errors import ApplianceError, BadFile, BadValue, Unavailable
from appliance.namespace import Address, Kind
from appliance.nodes import NAMESPACE

log = logging.getLogger(__name__)

RETRY_S = 2.0
SETTLE_S = 0.5
"""How long a clip that was on its way to the engine when control died may take to arrive."""
PARALLEL_LOADS = 8


class Keeper:
    """The session of the running box."""

    def __init__(self, desk: Desk, loader: Loader, scenes: Scenes) -> None:
        self.name = "default"
        self.files = SessionFiles(desk.box.data, desk.box.config.session.keep)
        self._desk = desk
        self._box = desk.box
        self._loader = loader
        self._scenes = scenes
        self._session = SessionFile()
        self._waiting: dict[str, ClipEntry] = {}
        self._alone = False
        self._dirty = asyncio.Event()
        self._lock = asyncio.Lock()
        self._failed = False
        self._applying = False
        self._slots = np.array([a.slot for a in NAMESPACE if a.slot >= 0 and a.node.session], np.int64)
        self._defaults = NAMESPACE.defaults()
        desk.register("/session/save", self._save_call)
        desk.register("/session/load", self._load_call)
        desk.register("/session/list", self._list_call)
        desk.texts.guards["/session/name"] = lambda _address, name: check_name(name)

    # -- at the start

    def restore_now(self) -> None:
        """Texts, scenes and (after a start of the whole box) values: all that does not take time."""
        self.name = self.files.current()
        try:
            check_name(self.name)
        except BadValue:
            self.name = "default"
        session, said = self.files.load(self.name)
        changes = list(self.files.replay(self.name))
        self._session = session or SessionFile(name=self.name)
        replay(self._session, changes)
        self._waiting = dict(self._session.clips)
        self._alone = self._same_box()
        if not self._alone:
            self._put_values(self._session)
        self._put_texts(self._session)
        self._desk.set_text(NAMESPACE.find("/session/name"), self.name)
        self._scenes.restore(self._session.scenes)
        for line in said:
            self._desk.say(line)
        self._begin_journal()
        self._remember_box()
        self._desk.subscribe(self._heard)
        self._loader.changed = self._clip_changed
        self._scenes.on_change(self._scene_changed)
        if said or changes or self._alone:
            self._dirty.set()

    async def restore_clips(self) -> None:
        """Adopt what plays already, load the rest."""
        entries = dict(self._session.clips)
        if self._alone:
            self._box.clips.adopt()
            for place in await self._adopt(entries):
                del entries[place]
            self._loader.bank.retire_strangers()
        self._loader.adopted.set()
        if self._desk.safe:
            await self._leave_unloaded(entries)
            return
        await self._load_all(entries, lambda target: not self._loader.touched(target))
        if not self._alone and self._box.config.session.resume == "play":
            for place in self._session.playing:
                await self._start(place)

    async def _leave_unloaded(self, entries: dict[str, ClipEntry]) -> None:
        """In the safe form: one of these files may be what kills us. They stay in the session as they are."""
        for place, entry in entries.items():
            target = Target.at(place)
            if not self._loader.touched(target):
                await self._loader.keep_missing(target, entry.path, self._told(target, options_of(entry)), entry.hash,
                                                untouched=True)
                self._desk.set_text(target.text("file"), entry.path)  # or the generator would take the place for an empty one
            self._waiting.pop(place, None)
        if entries:
            self._desk.say(f"session {self.name}: {len(entries)} files that were not playing stay unloaded, as control has "
                           "crashed again and again; load them one by one, or the session once more")

    async def _adopt(self, entries: dict[str, ClipEntry]) -> list[str]:
        """Take over the clips that are where the session says; what stands elsewhere is cleared."""
        end = time.monotonic() + SETTLE_S
        adopted: list[str] = []
        for place, entry in entries.items():
            target = Target.at(place)
            while entry.handle and self._source_at(target) != entry.handle and time.monotonic() < end:
                await asyncio.sleep(0.01)
            here = entry.handle and self._source_at(target) == entry.handle
            if here and await self._loader.adopt(target, entry.handle, entry.path, options_of(entry)):
                adopted.append(place)
                self._waiting.pop(place, None)
        for target in self._all_targets():
            if target.address not in entries and self._loader.handle_at(target):
                await self._loader.clear(target)
        return adopted

    def _source_at(self, target: Target) -> int:
        return self._loader.source_of(target, self._loader.handle_at(target))

    def _all_targets(self) -> Iterable[Target]:
        return [Target.of(a) for a in NAMESPACE if a.node.name == "load" and a.group.record in ("pad", "deck")]

    async def _load_all(self, entries: dict[str, ClipEntry], wanted: Callable[[Target], bool] = lambda _: True) -> None:
        """Load side by side. Until it is there (an engine may be long in coming) an entry stays in the session as it is."""
        slots = asyncio.Semaphore(PARALLEL_LOADS)
        missing: list[str] = []

        async def load(place: str, entry: ClipEntry) -> None:
            target = Target.at(place)
            options = self._told(target, options_of(entry))
            async with slots:
                problem = await self._load_one(target, entry, options) if wanted(target) else ""
            self._waiting.pop(place, None)
            if problem:
                missing.append(f"{target.shown}: {problem}")

        await asyncio.gather(*(load(place, entry) for place, entry in entries.items()))
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            self._desk.say(f"session {self.name}: {missing[0]}{more}")

    async def _load_one(self, target: Target, entry: ClipEntry, options: Options) -> str:
        """Load by path, else by hash from the store; returns what was wrong."""
        problem = ""
        for where in (entry.path, entry.hash):
            if not where:
                continue
            try:
                await self._loader.load(target, where, options, patient=True)
                return ""
            except ApplianceError as error:
                if error.status == 409:  # someone has loaded something else there meanwhile
                    return ""
                problem = problem or error.message
        await self._loader.keep_missing(target, entry.path, options, entry.hash)
        return problem

    def _told(self, target: Target, options: Options) -> Options:
        """A pad's name and role may have been changed after loading: the texts win."""
        name = self._desk.texts.get(target.text("name" if target.is_pad else "title"))
        role = self._desk.texts.get(target.text("role")) if target.is_pad else options.role
        return Options(options.bpm, options.beats, options.gain, name or options.name, role)

    async def _start(self, place: str) -> None:
        action = "trigger" if "/pad/" in place else "play"
        if f"{place}/{action}" in NAMESPACE:
            await self._desk.do(f"{place}/{action}", [1])

    def _put_values(self, session: SessionFile) -> None:
        vector = self._box.values.vector
        vector[self._slots] = self._defaults[self._slots]
        for address, value in session.values.items():
            found = NAMESPACE.find(address)
            if found.node.session:
                vector[found.slot] = found.node.to_slot(value)

    def _put_texts(self, session: SessionFile) -> None:
        for address in self._desk.texts.session_addresses():
            self._desk.set_text(address, session.texts.get(address.address, str(address.node.default)))

    # -- the box that runs

    def _identity(self) -> str:
        try:
            facts = (self._box.run / "box.json").stat()
            return f"{facts.st_ino}-{facts.st_mtime_ns}"
        except OSError:
            return ""

    def _same_box(self) -> bool:
        """Whether a control before this one has restored this box already."""
        return self._identity() != "" and self._mark().exists()

    def _mark(self) -> Path:
        """An empty file that goes with the box's memory; the disk may be full."""
        return FOLDER / f"{box_name(self._box.data)}-restored-{self._identity()}"

    def _remember_box(self) -> None:
        try:
            self._mark().touch()
        except OSError as error:
            log.warning("%s: %s; a control that starts again would begin as after a start of the box", self._mark(), error)

    # -- hearing of changes

    def _heard(self, address: str, value: Any) -> None:
        if address.startswith("/pad/"):  # the alias of what comes under its own name
            return
        if address == "/session/name" and value != self.name:
            self._rename(value)
            return
        found = NAMESPACE.find(address)
        if found.node.session and not self._applying:
            self._note({"v" if found.node.kind is Kind.VALUE else "t": [address, value]})
        elif found.node.reads in ("pad.state", "deck.playing") and self._box.config.session.resume == "play":
            self._dirty.set()

    def _clip_changed(self, place: str) -> None:
        self._waiting.pop(place, None)
        entry = self._entry(place)
        self._note({"c": [place, entry.model_dump(exclude_none=True) if entry else None]})

    def _scene_changed(self, row: int) -> None:
        cells = self._scenes.stored.get(row)
        self._note({"s": [row, {pad: c.model_dump(exclude_none=True) for pad, c in cells.items()} if cells else None]})

    def _note(self, change: dict[str, Any]) -> None:
        self._dirty.set()
        try:
            self.files.append(change)
        except OSError as error:
            self._complain(error)

    def _begin_journal(self) -> None:
        try:
            self.files.begin_journal(self.name)
            handles = {place: loaded.handle for place, loaded in self._loader.loaded.items() if loaded.handle}
            self.files.append({"h": handles})
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        """Say once that nothing is kept; :meth:`save` says when it is again."""
        if not self._failed:
            self._failed = True
            place = self.files.folder
            self._desk.say(f"{place}: the session cannot be saved ({error.strerror or error}); make room on the disk; "
                           "the music goes on, saving is tried again")

    # -- saving

    def capture(self) -> SessionFile:
        """The session as it is now."""
        vector = self._box.values.vector
        changed = self._slots[vector[self._slots] != self._defaults[self._slots]]
        addresses = [NAMESPACE.by_slot[int(slot)] for slot in changed if np.isfinite(vector[slot])]
        return SessionFile(
            name=self.name,
            saved=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            values={a.address: a.node.from_slot(float(vector[a.slot])) for a in addresses},
            texts=self._desk.texts.changed_from_default(),
            clips=self._waiting | {place: entry for place in self._loader.loaded if (entry := self._entry(place))},
            scenes=dict(self._scenes.stored),
            playing=self._playing() if self._box.config.session.resume == "play" else [],
        )

    def _entry(self, place: str) -> ClipEntry | None:
        loaded = self._loader.loaded.get(place)
        if loaded is None:
            return None
        said = loaded.options
        return ClipEntry(path=loaded.where, hash=loaded.audio.hash if loaded.audio else loaded.hash, bpm=said.bpm,
                         beats=said.beats, gain=said.gain, name=said.name, role=said.role, handle=loaded.handle)

    def _playing(self) -> list[str]:
        found: list[str] = []
        for place in self._loader.loaded:
            target = Target.at(place)
            state = self._desk.get_now(target.text("state") if target.is_pad else NAMESPACE.find(f"{place}/play"))
            if state in ("playing", True):
                found.append(place)
        return found

    async def run(self) -> None:
        """Save ``autosave_s`` after a change, for ever."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(self._box.config.session.autosave_s)
            if not await self.save():
                await asyncio.sleep(RETRY_S)

    async def save(self) -> bool:
        """Save now; False (said once, tried again later) when the disk refuses."""
        async with self._lock:
            self._dirty.clear()
            session = self.capture()
            self._begin_journal()
            try:
                await asyncio.to_thread(self.files.save, session)
                self.files.set_current(self.name)
                self.files.forget_journals()
            except OSError as error:
                self._complain(error)
                self._dirty.set()
                return False
            if self._failed:
                self._failed = False
                self._desk.say(f"{self.files.folder}: the session is saved again", logging.INFO)
            return True

    async def stop(self) -> None:
        """The last save, if there is something to save."""
        if self._dirty.is_set():
            await self.save()
        self.files.close()

    # -- calls

    async def _save_call(self, address: Address, args: list[Any]) -> dict[str, Any]:
        if args and isinstance(args[0], str) and check_name(args[0]) != self.name:
            await self.save()  # what has changed so far belongs to the session that was open
            self._desk.set_now("/session/name", args[0])
        if not await self.save():
            raise Unavailable(f"{self.files.folder}: the session could not be saved; make room on the disk", status=507)
        return {"name": self.name, "file": str(self.files.path(self.name))}

    async def _list_call(self, address: Address, args: list[Any]) -> list[dict[str, Any]]:
        return [{"name": name, "current": name == self.name, "saves": len(self.files.saves(name))}
                for name in sorted({*self.files.names(), self.name})]

    async def _load_call(self, address: Address, args: list[Any]) -> dict[str, Any]:
        if not args or not isinstance(args[0], str):
            raise BadValue(f"{address} takes a session's name or the path of a session file; /session/list shows them")
        session, said = await asyncio.to_thread(self._find_session, args[0])
        await self.save()
        for line in said:
            self._desk.say(line)
        self._applying = True
        try:
            self.name = session.name
            self._desk.set_text(NAMESPACE.find("/session/name"), self.name)
            self._put_values(session)
            self._put_texts(session)
            self._scenes.restore(session.scenes)
            self._desk.announcer.tick()
        finally:
            self._applying = False
        await self._change_clips(session)
        await self.save()
        return {"name": self.name, "remarks": said}

    def _find_session(self, where: str) -> tuple[SessionFile, list[str]]:
        """By name or by path. Raises BadFile, BadValue; a broken one of our own falls back on its history."""
        path = Path(where).expanduser()
        if path.is_absolute() or path.suffix in (".yaml", ".yml"):
            try:
                session, remarks = read_session(path)
            except FileNotFoundError:
                raise BadFile(f"{path}: there is no such session file", status=404) from None
            return session.model_copy(update={"name": self._free_name(path)}), remarks
        if check_name(where) not in self.files.names():
            raise BadFile(f"there is no session {where!r}; /session/list shows them", status=404)
        session, said = self.files.load(where)
        if session is None:
            raise BadFile("; ".join(said))
        replay(session, self.files.replay(where))
        return session, said

    def _free_name(self, path: Path) -> str:
        """A name for a session that comes from elsewhere: it must not overwrite one of ours."""
        if path.resolve().parent == self.files.folder.resolve():
            return path.stem
        names, number = self.files.names(), 1
        while (name := path.stem if number == 1 else f"{path.stem}-{number}") in names:
            number += 1
        return check_name(name)

    async def _change_clips(self, session: SessionFile) -> None:
        """From the clips that are loaded to the session's; what is the same in both plays on."""
        different = {place: entry for place, entry in session.clips.items() if not self._is_loaded(place, entry)}
        self._waiting = dict(different)
        for place in list(self._loader.loaded):
            if place not in session.clips:
                await self._loader.clear(Target.at(place))
        await self._load_all(different)

    def _is_loaded(self, place: str, entry: ClipEntry) -> bool:
        loaded = self._loader.loaded.get(place)
        if loaded is None or loaded.audio is None:
            return False
        now = loaded.options
        return (loaded.where, now.bpm, now.beats, now.gain) == (entry.path, entry.bpm, entry.beats, entry.gain)

    def _rename(self, name: str) -> None:
        self.name = name
        if not self._applying:
            self._begin_journal()
            self._dirty.set()


def options_of(entry: ClipEntry) -> Options:
    return Options(entry.bpm, entry.beats, entry.gain, entry.name, entry.role)
