# SPDX-License-Identifier: GPL-3.0-or-later
"""Pads in pitch: a loop that follows the clock is heard by varispeed at once, and in pitch from a bar line soon after.

When the tempo has come to rest, every pad that follows it gets a version of its clip at that tempo, rendered in other processes
and kept on the disk; one that plays changes over on a bar line, in the middle of its beat. A pad's pitch is rendered in too.
What is loaded stays what it was: sessions, names and hashes know nothing of versions. Without one, varispeed remains.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from appliance.control.clipbank import Audio, Facts, Options
from appliance.control.desk import Desk
from appliance.control.loader import Loaded, Loader, Target
from appliance.control.stretcher import SLOTS, Job, NoLongerWanted, Stretcher
from appliance.control.versions import FOLDER, Versions
from appliance.errors import ApplianceError, Unavailable
from appliance.library.stretch import loop
from appliance.namespace import Address
from appliance.nodes.pad import MODES, PAD_STATES

log = logging.getLogger(__name__)

LONGEST_S = 120.0
"""Longer clips stay with varispeed."""
LOOK_S = 0.1
STEADY_S = 0.25
"""The tempo has come to rest when it has not moved for so long; a clock from outside always trembles a little."""
TEMPO_DIGITS = 2
SAME_SPEED = 0.0012
"""Two cents: nobody hears that a version is of another tempo."""
SAME_SEMITONES = 0.02
BEFORE_BAR_S = 0.06
"""The engine is told so long before the bar line."""
PLAYABLE_S = 10.0
QUICK_OVER_S = 16.0
"""When more music than that waits, it comes quickly first and as good as can be afterwards: two bars are soon over."""
_LOOP = MODES[0]
_SOUNDS = (PAD_STATES.index("playing"), PAD_STATES.index("stopping"))
_VALUES = ("mode", "sync", "keylock", "pitch")


@dataclass(frozen=True)
class Wanted:
    """How a clip is to be heard: ``speed`` × its own tempo, ``semitones`` above its own pitch."""

    speed: float
    semitones: float

    def serves(self, other: Wanted) -> bool:
        return abs(self.speed / other.speed - 1.0) < SAME_SPEED and abs(self.semitones - other.semitones) < SAME_SEMITONES


AS_IT_IS = Wanted(1.0, 0.0)


@dataclass(eq=False)
class Version:
    """On a pad in place of its own clip, whose handle is ``source``; ``quick``: there is a better one to be had."""

    audio: Audio
    wanted: Wanted
    source: int
    quick: bool


class InPitch:
    """``run`` for ever; ``close`` at the end."""

    def __init__(self, desk: Desk, loader: Loader, stretcher: Stretcher | None = None) -> None:
        self._desk = desk
        self._box = desk.box
        self._loader = loader
        self._stretcher = stretcher or Stretcher()
        self._versions = Versions(desk.box.data / FOLDER)
        self._noted = desk.box.run / "inpitch.json"
        self._before = self._read_notes()
        self._on: dict[str, Version] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, tuple[int, Wanted]] = {}
        self._told = ""
        self._addresses: dict[str, tuple[Address, ...]] = {}
        self._bpm, self._moved_s = 0.0, 0.0
        loader.source_of = self._source_of
        loader.watchers.append(self._adopted)
        loader.left.append(self._left)
        loader.forgotten.append(self._forgotten)

    async def run(self) -> None:
        await self._loader.adopted.wait()
        await asyncio.to_thread(self._versions.tidy)
        while True:
            await asyncio.sleep(LOOK_S)
            self._look()

    def close(self) -> None:
        for task in self._busy.values():
            task.cancel()
        self._stretcher.close()

    # -- what is wanted

    def _look(self) -> None:
        clock = self._box.telemetry.snapshot()["clock"]
        bpm, now = float(clock["bpm"]), time.monotonic()
        if bpm <= 0.0 or clock["ramping"] or self._bpm <= 0.0 or abs(bpm / self._bpm - 1.0) > SAME_SPEED / 2:
            self._bpm, self._moved_s = bpm, now
        if now - self._moved_s < STEADY_S:
            return
        waiting: list[tuple[bool, Target, Loaded, Wanted]] = []
        rough: list[tuple[bool, Target, Loaded, Wanted]] = []
        for address, loaded in self._loader.loaded.items():
            if address in self._busy or not address.startswith("/bank/") or loaded.audio is None:
                continue
            target = Target.at(address)
            wanted = self._wanted(target, loaded, bpm)
            on = self._on.get(address)
            if self._failed.get(address) == (loaded.handle, wanted):
                continue
            if not wanted.serves(on.wanted if on else AS_IT_IS):
                waiting.append((not self._plays(target), target, loaded, wanted))
            elif on and on.quick:
                rough.append((not self._plays(target), target, loaded, wanted))
        quick = sum(loaded.audio.facts.duration_s for _, _, loaded, _ in waiting if loaded.audio) > QUICK_OVER_S
        if not waiting and not self._busy:
            waiting = sorted(rough, key=lambda one: one[0])[:SLOTS]
        for _, target, loaded, wanted in sorted(waiting, key=lambda one: one[0]):
            self._begin(target.address, self._bring(target, loaded, wanted, quick))

    def _begin(self, address: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._busy[address] = asyncio.create_task(work)
        task.add_done_callback(lambda _task: self._busy.pop(address, None))

    def _wanted(self, target: Target, loaded: Loaded, bpm: float) -> Wanted:
        """A clip that does not follow the clock is heard as it is."""
        audio = loaded.audio
        if audio is None or not audio.done or audio.error or audio.clip.streams or audio.facts.duration_s > LONGEST_S:
            return AS_IT_IS
        if audio.facts.bpm <= 0.0:
            return AS_IT_IS
        if target.address not in self._addresses:
            self._addresses[target.address] = tuple(target.text(name) for name in _VALUES)
        mode, sync, keylock, pitch = (self._box.values.get(address) for address in self._addresses[target.address])
        if mode != _LOOP or not sync or not keylock:
            return AS_IT_IS
        wanted = Wanted(round(bpm, TEMPO_DIGITS) / audio.facts.bpm, float(pitch))
        if not loop.SLOWEST <= wanted.speed <= loop.FASTEST or wanted.serves(AS_IT_IS):
            return AS_IT_IS
        if not loop.is_there():
            why = f"{loop.LIBRARY} is not installed (Debian: {loop.PACKAGE})"
            if why != self._told:
                self._desk.say(f"pads change their pitch with the tempo: {why}")
            self._told = why
            return AS_IT_IS
        return wanted

    def _plays(self, target: Target) -> bool:
        return int(self._box.telemetry.snapshot()["pad"]["state"][target.index]) in _SOUNDS

    # -- from the wish to the bar line

    async def _bring(self, target: Target, loaded: Loaded, wanted: Wanted, quick: bool) -> None:
        try:
            version = None if wanted == AS_IT_IS else await self._render(target, loaded, wanted, quick)
        except NoLongerWanted:
            return
        except (ApplianceError, OSError) as error:
            self._failed[target.address] = (loaded.handle, wanted)
            why = str(getattr(error, "message", error))
            if why != self._told:
                self._desk.say(f"{target.shown} changes its pitch with the tempo: {why}")
            self._told = why
            await asyncio.to_thread(self._versions.tidy)  # the disk may be full
            return
        self._told = ""
        try:
            done = await self._change_over(target, loaded, wanted, version)
        except BaseException:
            if version:
                self._loader.bank.release(version.audio)
            raise
        if not done:
            if version:
                self._loader.bank.release(version.audio)
            return
        before = self._on.pop(target.address, None)
        if version and not self._overtaken(target, loaded, version):
            self._on[target.address] = version
        elif version:
            self._loader.bank.release(version.audio)
        if before:
            self._loader.bank.release(before.audio)
        self._write_notes()

    def _overtaken(self, target: Target, loaded: Loaded, version: Version) -> bool:
        """Something was loaded right after it, and the engine has obeyed that too."""
        return (self._loader.loaded.get(target.address) is not loaded
                and self._version_at(target.address) != version.audio.clip.handle)

    async def _render(self, target: Target, loaded: Loaded, wanted: Wanted, quick: bool) -> Version:
        audio = loaded.audio
        assert audio is not None
        facts, clip = audio.facts, audio.clip
        file = self._file(audio, wanted, quick=False)
        if quick and not await asyncio.to_thread(file.is_file):
            file = self._file(audio, wanted, quick=True)
        else:
            quick = False
        if not await asyncio.to_thread(self._versions.used, file):
            frames = int(self._box.clips.table[clip.place]["frames"])
            await self._stretcher.render(Job(clip.segment.name, frames, round(audio.rate), wanted.speed, wanted.semitones,
                                             quick, str(file)), lambda: self._still_wanted(target, loaded, wanted))
            await asyncio.to_thread(self._versions.grown, file)
        beats = facts.beats or facts.duration_s * facts.bpm / 60.0
        options = Options(beats=beats, gain=facts.gain, name=facts.name, role=facts.role)
        made = await self._loader.bank.acquire(await self._loader.bank.look(str(file), options))
        try:
            end = time.monotonic() + PLAYABLE_S
            while not self._loader.bank.playable(made):
                if made.error or made.forgotten or time.monotonic() > end:
                    raise Unavailable(made.error or f"no engine takes its version ({target.shown})")
                await asyncio.sleep(0.01)
        except BaseException:
            self._loader.bank.release(made)
            raise
        return Version(made, wanted, loaded.handle, quick)

    def _file(self, audio: Audio, wanted: Wanted, *, quick: bool) -> Path:
        facts = audio.facts
        return self._versions.file(str(facts.path), facts.stamp, round(audio.rate), round(facts.bpm, 6), round(wanted.speed, 6),
                                   round(wanted.semitones, 3), quick)

    async def _change_over(self, target: Target, loaded: Loaded, wanted: Wanted, version: Version | None) -> bool:
        """On the next bar line when the pad plays, else now. False when something else is wanted by then."""
        handle = version.audio.clip.handle if version else loaded.handle
        frame = 0
        while self._plays(target):
            clock = self._box.telemetry.snapshot()["clock"]
            if not clock["running"] or not self._still_wanted(target, loaded, wanted):
                break
            to_bar_s = (1.0 - float(clock["bar_phase"])) * float(clock["bar_length"]) * 60.0 / float(clock["bpm"])
            if to_bar_s > BEFORE_BAR_S:
                await asyncio.sleep(min(to_bar_s - 0.9 * BEFORE_BAR_S, 0.1))
                continue
            frame = int(clock["frame"]) + round(to_bar_s * self._box.rate)
            break
        if not self._still_wanted(target, loaded, wanted):
            return False
        return await self._loader.swap(target, loaded, handle, frame)

    def _still_wanted(self, target: Target, loaded: Loaded, wanted: Wanted) -> bool:
        if self._loader.loaded.get(target.address) is not loaded:
            return False
        return self._wanted(target, loaded, float(self._box.telemetry.snapshot()["clock"]["bpm"])).serves(wanted)

    # -- what others do

    def _left(self, address: str) -> None:
        """The engine plays something else there."""
        if on := self._on.pop(address, None):
            self._loader.bank.release(on.audio)
            self._write_notes()

    def _forgotten(self, handles: frozenset[int]) -> None:
        """The engines do without these clips: the pads' own take their places."""
        for address, version in list(self._on.items()):
            loaded = self._loader.loaded.get(address)
            if version.audio.clip.handle in handles and loaded is not None:
                self._failed[address] = (loaded.handle, version.wanted)
                del self._on[address]
                self._begin(address, self._back(Target.at(address), loaded, version))

    async def _back(self, target: Target, loaded: Loaded, version: Version) -> None:
        await self._loader.swap(target, loaded, loaded.handle, 0)
        self._loader.bank.release(version.audio)
        self._write_notes()

    # -- a restart of control alone

    def _adopted(self, address: str) -> None:
        """A pad is known again: if it plays a version, that too."""
        loaded = self._loader.loaded.get(address)
        noted = self._before.pop(address, None)
        if noted and loaded and noted["source"] == loaded.handle and self._version_at(address) == noted["handle"]:
            self._adopt(address, noted)

    def _source_of(self, target: Target, handle: int) -> int:
        """The clip that a pad's version is one of; any other clip is its own."""
        noted = self._before.get(target.address)
        return int(noted["source"]) if noted and noted["handle"] == handle else handle

    def _version_at(self, address: str) -> int:
        return self._loader.handle_at(Target.at(address))

    def _adopt(self, address: str, noted: dict[str, Any]) -> None:
        said: dict[str, Any] = dict(noted["facts"])
        said |= {"path": Path(said["path"]), "stamp": tuple(said["stamp"])}
        facts = Facts(**said)
        audio = self._loader.bank.adopt(int(noted["handle"]), facts)
        if audio is not None:
            self._on[address] = Version(audio, Wanted(noted["speed"], noted["semitones"]), int(noted["source"]),
                                        bool(noted["quick"]))

    def _write_notes(self) -> None:
        notes = {address: {"handle": on.audio.clip.handle, "source": on.source, "quick": on.quick, **asdict(on.wanted),
                           "facts": {**asdict(on.audio.facts), "path": str(on.audio.facts.path)}}
                 for address, on in self._on.items()}
        part = self._noted.with_suffix(".part")
        try:
            part.write_text(json.dumps(notes), encoding="utf-8")
            part.replace(self._noted)
        except OSError as error:  # then a restart of control begins with varispeed
            log.info("%s: cannot be written (%s)", self._noted, error)

    def _read_notes(self) -> dict[str, dict[str, Any]]:
        try:
            notes = json.loads(self._noted.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}
