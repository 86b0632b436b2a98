# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio of loaded files: decoded on worker threads into shared memory, once for all pads that play the same file.

A file is known by path, size and time of change. Nobody waits for the whole of a long one: what is decoded may play.
A clip that nobody uses any more stays for a while, in case it comes back, and goes first when memory runs short.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.bus.box import Box
from appliance.bus.clips import Clip, ClipState
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
    """One file in shared memory. ``done`` is set when decoding has ended; then ``error`` tells whether it failed."""

    facts: Facts
    clip: Clip
    rate: float
    users: int = 0
    used_s: float = 0.0
    hash: str = ""
    error: str = ""
    done: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)


class _Cancelled(Exception):
    pass


class ClipBank:
    """All audio that control has placed. ``say`` takes a line for the person on stage."""

    def __init__(self, box: Box, say: Callable[[str], None]) -> None:
        self._box = box
        self._say = say
        self._audio: dict[tuple[Any, ...], Audio] = {}
        self._opening: dict[tuple[Any, ...], asyncio.Lock] = {}
        self._threads = ThreadPoolExecutor(2, "decode")
        self._table = threading.Lock()

    @property
    def rate(self) -> int:
        return round(self._box.rate)

    async def look(self, where: str, options: Options) -> Facts:
        """Find and probe a file, by path or by hash of the store. Raises :class:`BadFile`."""
        return await asyncio.to_thread(self._look, where, options)  # not behind a three-hour decode

    async def acquire(self, facts: Facts) -> Audio:
        """The file's audio, one more user of it; decoding has begun. Raises BadFile, Unavailable (memory)."""
        key = (str(facts.path), facts.stamp, self.rate, facts.bpm, facts.beats, facts.gain)
        async with self._opening.setdefault(key, asyncio.Lock()):
            audio = self._audio.get(key)
            if audio is None or audio.error or audio.cancelled.is_set():
                clip = await self._place(facts)
                audio = self._audio[key] = Audio(facts, clip, self.rate, hash=facts.hash)
                self._threads.submit(self._decode, audio)
            audio.users += 1
        return audio

    def release(self, audio: Audio) -> None:
        """One user less; after the last, a short clip is kept for a while."""
        audio.users -= 1
        audio.used_s = time.monotonic()
        if audio.users > 0:
            return
        if audio.error or audio.facts.duration_s > KEEP_UNUSED_S:
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
        if clip is None or int(self._box.clips.table[clip.place]["state"]) != ClipState.READY:
            return None
        row = self._box.clips.table[clip.place]
        audio = Audio(facts, clip, float(row["rate"]), users=1, hash=facts.hash, done=True)
        self._audio[(str(facts.path), facts.stamp, round(audio.rate), facts.bpm, facts.beats, facts.gain)] = audio
        return audio

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

    def playable(self, audio: Audio) -> bool:
        """Enough is decoded, there is an engine, and every engine that runs has it locked."""
        engines = self._box.engines
        return self.enough(audio) and bool(engines) and self._box.clips.mapped(audio.clip, engines)

    def collect(self) -> None:
        """Free what the engines have let go of; call it now and then."""
        if self._table.acquire(blocking=False):
            try:
                self._box.clips.collect(self._box.engines)
            finally:
                self._table.release()

    def close(self) -> None:
        """Stop decoding; what is placed stays for the next control."""
        for audio in self._audio.values():
            audio.cancelled.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def by_handle(self, handle: int) -> Audio | None:
        return next((a for a in self._audio.values() if a.clip.handle == handle), None)

    # -- on the event loop

    async def _place(self, facts: Facts) -> Clip:
        """Make room; what nobody uses goes first, the oldest of it first, one by one until it fits."""
        while True:
            try:
                return await asyncio.to_thread(self._place_now, facts)
            except Unavailable:
                unused = [a for a in self._audio.values() if a.users <= 0]
                if not unused and not self._retiring():
                    raise
                if unused:
                    self._drop(min(unused, key=lambda a: a.used_s))
                if not await self._wait_for_room():
                    raise

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

        store = AudioStore(self._box.data)
        try:
            row = store.get(where if is_hash else stem)
        finally:
            store.close()
        if row is None and is_hash:
            raise BadFile(f"{where[:12]}…: no stored clip has this hash; generate it again or load a file", status=404)
        return row

    def _place_now(self, facts: Facts) -> Clip:
        with self._table:
            return self._box.clips.place(facts.frames, self.rate, bpm=facts.bpm, beats=facts.beats, gain=facts.gain)

    def _decode(self, audio: Audio) -> None:
        clip = audio.clip
        try:
            self._box.clips.fill(clip, self._chunks(audio))
            if not audio.hash and audio.facts.path.stat().st_size <= HASHED_BYTES:
                audio.hash = file_hash(audio.facts.path)
        except _Cancelled:
            pass
        except OSError as error:
            log.info("%s: no hash of it (%s)", audio.facts.path, error)
        except Exception as error:  # shown on stage; the thread must say so whatever it was
            log.exception("decoding %s failed", audio.facts.path)
            audio.error = f"{audio.facts.path}: cannot be decoded ({error})"
        audio.done = True
        if audio.cancelled.is_set():
            self._box.clips.retire(clip.handle)

    def _chunks(self, audio: Audio) -> Iterator[np.ndarray]:
        """The decoded pieces; a damaged file ends where the damage is, and says so."""
        from appliance.library.decode import decode_chunks

        try:
            for chunk in decode_chunks(audio.facts.path, round(audio.rate)):
                if audio.cancelled.is_set():
                    raise _Cancelled
                yield chunk
        except ApplianceError as error:
            audio.error = error.message


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
