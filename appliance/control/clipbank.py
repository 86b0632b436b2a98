# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio of loaded files: decoded on worker threads into shared memory, once for all pads that play the same file.

A file is known by path, size and time of change. Nobody waits for the whole of a long one: what is decoded may play.
A clip that nobody uses any more stays for a while, in case it comes back, and goes first when memory runs short. What a deck
plays and memory has no room for is decoded into a file on the disk, and streams.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.bus.box import Box
from appliance.bus.clips import FRAME_BYTES, Clip, ClipState
from appliance.bus.commit import clips_in, committed
from appliance.bus.streamfile import sweep_folder
from appliance.errors import ApplianceError, BadFile, Unavailable
from appliance.library.tempo import loop_tempo

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

KEEP_UNUSED = 8
KEEP_UNUSED_S = 60.0
"""Unused clips that are kept, and the longest of them."""
WHOLE_FIRST_S = 60.0
"""A file up to this long is decoded in full before it is played, so that a damaged one is refused."""
HASHED_BYTES = 512_000_000
POLL_S = 0.004
ROOM_WAIT_S = 2.0
NICE = 5
"""Long files are decoded behind everything that people wait for."""
STREAM_FOLDER = "streams"
_TELL_USERS = 3
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Options:
    """What the caller says of a file; None: not said, so it is taken from the store or from the length."""

    bpm: float | None = None
    beats: float | None = None
    gain: float | None = None
    name: str | None = None
    role: str | None = None


@dataclass(frozen=True)
class Facts:
    """A file that was looked at: what will be in the clip's place of the table, and what to call it."""

    path: Path
    stamp: tuple[int, int]
    frames: int
    duration_s: float
    bpm: float
    beats: float
    gain: float
    name: str
    role: str
    hash: str


@dataclass(eq=False)
class Audio:
    """One file in shared memory. ``done`` is set when decoding has ended; then ``error`` tells whether it failed.
    ``forgotten``: no engine will have it."""

    facts: Facts
    clip: Clip
    rate: float
    users: int = 0
    used_s: float = 0.0
    hash: str = ""
    error: str = ""
    done: bool = False
    forgotten: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def megabytes(self) -> float:
        return self.clip.frames * FRAME_BYTES / 1e6


class _Cancelled(Exception):
    pass


class ClipBank:
    """All audio that control has placed. ``say`` takes a line for the person on stage; ``places_of`` tells which pads and decks
    use a clip."""

    def __init__(self, box: Box, say: Callable[[str], None],
                 places_of: Callable[[Audio], list[str]] = lambda _audio: []) -> None:
        self._box = box
        self._say = say
        self._places_of = places_of
        self._audio: dict[tuple[Any, ...], Audio] = {}
        self._opening: dict[tuple[Any, ...], asyncio.Lock] = {}
        self._threads = ThreadPoolExecutor(2, "decode")
        self._long_threads = ThreadPoolExecutor(4, "decode-long", initializer=_stand_back)
        self._table = threading.Lock()
        self._closing = False
        self.give_way: Callable[[], None] = lambda: None
        """Memory is short: what is only kept ready is given up."""
        self.remembered: Callable[[Path], tuple[float, float]] = lambda _path: (0.0, 0.0)
        """Tempo and length in beats that an analysis has found before; called on worker threads."""
        self.stream_folder = box.data / STREAM_FOLDER
        sweep_folder(self.stream_folder, {row["segment"].decode() for row in box.clips.table if row["state"] != ClipState.FREE})

    @property
    def rate(self) -> int:
        return round(self._box.rate)

    async def look(self, where: str, options: Options) -> Facts:
        """Find and probe a file, by path or by hash of the store. Raises :class:`BadFile`."""
        return await asyncio.to_thread(self._look, where, options)  # not behind a three-hour decode

    async def acquire(self, facts: Facts, *, may_stream: bool = False) -> Audio:
        """The file's audio, one more user of it; decoding has begun. With ``may_stream`` (a deck) what is too long for memory
        is decoded to the disk. Raises BadFile, Unavailable (memory, disk)."""
        key = self._key(facts)
        async with self._opening.setdefault(key, asyncio.Lock()):
            audio = self._usable((*key, False)) or (self._usable((*key, True)) if may_stream else None)
            if audio is None:
                clip = await self._place(facts, may_stream)
                audio = self._audio[(*key, clip.streams)] = Audio(facts, clip, self.rate, hash=facts.hash)
                self._begin(audio)
            audio.users += 1
        return audio

    def _key(self, facts: Facts) -> tuple[Any, ...]:
        return (str(facts.path), facts.stamp, self.rate, facts.bpm, facts.beats, facts.gain)

    def _usable(self, key: tuple[Any, ...]) -> Audio | None:
        audio = self._audio.get(key)
        return None if audio is None or audio.error or audio.cancelled.is_set() else audio

    def _begin(self, audio: Audio) -> None:
        pool = self._long_threads if audio.facts.duration_s > WHOLE_FIRST_S else self._threads
        pool.submit(self._decode, audio)

    def release(self, audio: Audio) -> None:
        """One user less; after the last, a short clip is kept for a while."""
        audio.users -= 1
        audio.used_s = time.monotonic()
        if audio.users > 0:
            return
        if audio.error or audio.clip.streams or audio.facts.duration_s > KEEP_UNUSED_S:
            self._drop(audio)
        unused = sorted((a for a in self._audio.values() if a.users <= 0), key=lambda a: a.used_s)
        for old in unused[:-KEEP_UNUSED]:
            self._drop(old)

    def adopt(self, handle: int, facts: Facts) -> Audio | None:
        """After a restart of control alone: the clip that an engine plays already, as the audio of ``facts``."""
        for audio in self._audio.values():
            if audio.clip.handle == handle:
                audio.users += 1
                return audio
        clip = next((c for c in self._box.clips.held.values() if c.handle == handle), None)
        if clip is None:
            return None
        row = self._box.clips.table[clip.place]
        state = int(row["state"])
        if state not in (ClipState.READY, ClipState.FILLING):
            return None
        audio = Audio(facts, clip, float(row["rate"]), users=1, hash=facts.hash, done=state == ClipState.READY)
        key = (str(facts.path), facts.stamp, round(audio.rate), facts.bpm, facts.beats, facts.gain, clip.streams)
        self._audio[key] = audio
        if not audio.done:  # the control before this one was decoding it; what is readable already stays so meanwhile
            self._begin(audio)
        return audio

    async def place_spoken(self, sound: np.ndarray) -> Clip:
        """A clip of the voice, frames × 2 float32 at the box's rate, all of it there. Raises Unavailable."""
        return await asyncio.to_thread(self._place_spoken, sound)

    def retire_spoken(self, clip: Clip) -> None:
        """It has been handed over, or is not wanted any more."""
        self._box.clips.retire(clip.handle)

    def retire_strangers(self) -> None:
        """Give up clips of the table that nobody has adopted."""
        mine = {audio.clip.handle for audio in self._audio.values()}
        for clip in list(self._box.clips.held.values()):
            if clip.handle not in mine:
                self._box.clips.retire(clip.handle)

    def enough(self, audio: Audio) -> bool:
        """Enough is decoded to begin to play."""
        readable = int(self._box.clips.table[audio.clip.place]["readable"])
        return audio.done or (audio.facts.duration_s > WHOLE_FIRST_S and readable >= audio.rate)

    def is_empty(self, audio: Audio) -> bool:
        """Decoding has ended before there was anything to hear."""
        return audio.done and not int(self._box.clips.table[audio.clip.place]["frames"])

    def playable(self, audio: Audio) -> bool:
        """Enough is decoded, there is an engine, and every engine that runs has it locked."""
        engines = self._box.engines
        return self.enough(audio) and bool(engines) and self._box.clips.mapped(audio.clip, engines)

    def forget(self, handles: frozenset[int]) -> None:
        """The engines do without these clips: whoever loads such a file again gets a new one."""
        for audio in [a for a in self._audio.values() if a.clip.handle in handles]:
            audio.forgotten = True
            self._drop(audio)

    def collect(self) -> None:
        """Free what the engines have let go of; call it now and then."""
        if self._table.acquire(blocking=False):
            try:
                self._box.clips.collect(self._box.engines, clips_in(committed(self._box.segment)))
            finally:
                self._table.release()

    def close(self) -> None:
        """Stop decoding; what is placed stays for the next control, unless the whole box ends."""
        self._closing = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._long_threads.shutdown(wait=False, cancel_futures=True)
        if self._box.closing:
            sweep_folder(self.stream_folder, set())

    def by_handle(self, handle: int) -> Audio | None:
        return next((a for a in self._audio.values() if a.clip.handle == handle), None)

    # -- on the event loop

    async def _place(self, facts: Facts, may_stream: bool) -> Clip:
        """Make room; what nobody uses goes first, the oldest of it first, one by one until it fits."""
        if may_stream and facts.frames * FRAME_BYTES > self._box.config.engine.stream_over_mb * 1e6:
            return await self._place_on_disk(facts)
        while True:
            try:
                return await asyncio.to_thread(self._place_now, facts, None)
            except Unavailable as error:
                self.give_way()
                unused = [] if error.status == 413 else [a for a in self._audio.values() if a.users <= 0 and not a.clip.streams]
                if unused:
                    self._drop(min(unused, key=lambda a: a.used_s))
                if error.status != 413 and (unused or self._retiring()) and await self._wait_for_room():
                    continue
                if not may_stream:
                    raise self._no_room(facts, error) from None
                clip = await self._place_on_disk(facts)
                self._say(f"memory for clips is short: {facts.path.name} plays from the disk ({error.message})")
                return clip

    async def _place_on_disk(self, facts: Facts) -> Clip:
        """Raises :class:`Unavailable` with the reason: the disk, or the limit of the config."""
        size_mb, limit_mb = facts.frames * FRAME_BYTES / 1e6, self._box.config.engine.stream_disk_mb
        held_mb = self._box.clips.bytes_on_disk / 1e6
        if held_mb + size_mb > limit_mb:
            raise Unavailable(f"{facts.path.name} needs {size_mb:.0f} MB on the disk and {held_mb:.0f} of {limit_mb} MB are in "
                              "use by other decks; unload one, or raise engine.stream_disk_mb", status=507)
        try:
            return await asyncio.to_thread(self._place_now, facts, self.stream_folder)
        except Unavailable as error:
            raise Unavailable(f"{facts.path.name} is too long for memory and plays from the disk; {error.message}",
                              status=error.status) from None

    def _no_room(self, facts: Facts, error: Unavailable) -> Unavailable:
        """Nothing that is unused is left: what is in use, the largest first, and what to do."""
        if error.status == 413:
            return Unavailable(f"{facts.path.name}: {error.message}; or load it on a deck, which streams", status=413)
        used = sorted((a for a in self._audio.values() if not a.clip.streams), key=lambda a: -a.megabytes)
        told = [f"{' '.join(self._places_of(a)) or 'on its way'}: {a.facts.path.name} {a.megabytes:.0f} MB" for a in used]
        rest = len(told) - _TELL_USERS
        listed = ", ".join(told[:_TELL_USERS]) + (f" and {rest} more" if rest > 0 else "")
        return Unavailable(f"{facts.path.name}: {error.message}" + (f" (in use: {listed})" if told else ""))

    def _retiring(self) -> bool:
        table = self._box.clips.table
        return any(int(table[place]["state"]) == ClipState.RETIRING for place in self._box.clips.held)

    async def _wait_for_room(self) -> bool:
        """Until a retired clip is gone; False when the engines keep them all."""
        before = len(self._box.clips.held)
        end = time.monotonic() + ROOM_WAIT_S
        while time.monotonic() < end:
            self.collect()
            if len(self._box.clips.held) < before:
                return True
            await asyncio.sleep(POLL_S)
        return False

    def _drop(self, audio: Audio) -> None:
        audio.cancelled.set()
        for key in [k for k, a in self._audio.items() if a is audio]:
            del self._audio[key]
            self._opening.pop(key, None)
        if audio.done:
            self._box.clips.retire(audio.clip.handle)  # else the decoding thread does it when it lets go

    # -- on worker threads

    def _look(self, where: str, options: Options) -> Facts:
        from appliance.library.decode import probe

        stored = self._stored(where)
        path = Path(stored.path if stored else where).expanduser()
        if not path.is_absolute():
            path = self._box.data / path
        info = probe(path)
        rate = self.rate
        frames = info.frames_at(rate) + (0 if info.exact else rate)
        bpm, beats = _tempo(options, stored, info.frames, info.rate)
        if stored is None and options.bpm is None and options.beats is None and (found := self.remembered(path))[0]:
            bpm, beats = found
        name = options.name if options.name is not None else (stored.name if stored else path.stem)
        role = options.role if options.role is not None else (stored.role if stored else "none")
        status = path.stat()
        return Facts(path.resolve(), (status.st_mtime_ns, status.st_size), frames, info.duration_s, bpm, beats,
                     1.0 if options.gain is None else options.gain, name[:200], role, stored.hash if stored else "")

    def _stored(self, where: str) -> Any:
        """The store's row for a hash, or for a file that lies in the store."""
        folder = self._box.data / "audio"
        stem = Path(where).stem
        is_hash = bool(_HASH.fullmatch(where))
        if not is_hash and not (_HASH.fullmatch(stem) and Path(where).is_relative_to(folder)):
            return None
        from appliance.library.store import AudioStore

        try:
            store = AudioStore(self._box.data)
            try:
                row = store.get(where if is_hash else stem)
            finally:
                store.close()
        except ApplianceError as error:
            if is_hash:
                raise
            log.warning("%s: loaded as a plain file (%s)", where, error.message)
            return None
        if row is None and is_hash:
            raise BadFile(f"{where[:12]}…: no stored clip has this hash; generate it again or load a file", status=404)
        return row

    def _place_now(self, facts: Facts, stream_in: Path | None) -> Clip:
        with self._table:
            return self._box.clips.place(facts.frames, self.rate, bpm=facts.bpm, beats=facts.beats, gain=facts.gain,
                                         stream_in=stream_in)

    def _place_spoken(self, sound: np.ndarray) -> Clip:
        with self._table:
            clip = self._box.clips.place(len(sound), self.rate)
        self._box.clips.fill(clip, [sound])
        return clip

    def _decode(self, audio: Audio) -> None:
        clip = audio.clip
        try:
            self._box.clips.fill(clip, self._chunks(audio))
            audio.hash = audio.hash or self._hash(audio.facts.path)
        except _Cancelled:
            pass
        except OSError as error:  # the disk that it is decoded to
            audio.error = f"{audio.facts.path}: cannot be decoded any further ({error.strerror or error}); it plays up to there"
        except Exception as error:  # shown on stage; the thread must say so whatever it was
            log.exception("decoding %s failed", audio.facts.path)
            audio.error = f"{audio.facts.path}: cannot be decoded ({error})"
        if audio.error:
            log.warning("%s", audio.error)
            self._box.clips.finish(clip)
        if self._closing:
            return  # half decoded: the next control goes on
        audio.done = True
        if audio.cancelled.is_set():
            self._box.clips.retire(clip.handle)

    @staticmethod
    def _hash(path: Path) -> str:
        """Empty when the file is large, or gone by now: its audio is here all the same."""
        try:
            return file_hash(path) if path.stat().st_size <= HASHED_BYTES else ""
        except OSError as error:
            log.info("%s: no hash of it (%s)", path, error)
            return ""

    def _chunks(self, audio: Audio) -> Iterator[np.ndarray]:
        """The decoded pieces; a damaged file ends where the damage is, and says so."""
        from appliance.library.decode import decode_chunks

        try:
            for chunk in decode_chunks(audio.facts.path, round(audio.rate)):
                if audio.cancelled.is_set() or self._closing:
                    raise _Cancelled
                yield chunk
        except ApplianceError as error:
            audio.error = error.message


def _stand_back() -> None:
    """Of this thread alone."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _tempo(options: Options, stored: Any, frames: int, rate: float) -> tuple[float, float]:
    """Tempo and length in beats: as told, else as stored, else from the length. One of the two gives the other."""
    bpm = options.bpm if options.bpm is not None else (getattr(stored, "bpm", None) or 0.0)
    beats = options.beats if options.beats is not None else (getattr(stored, "beats", None) or 0.0)
    told = options.bpm is not None or options.beats is not None
    if not told and not bpm and not beats:
        return loop_tempo(frames, rate)
    duration_s = frames / rate
    if bpm and not (options.beats or beats):
        beats = duration_s * bpm / 60.0
        beats = float(round(beats)) if abs(beats - round(beats)) < 0.02 else beats
    elif beats and not bpm:
        bpm = beats * 60.0 / duration_s
    return float(bpm), float(beats)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
