# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio store: loops under the hash of their samples, with what is known about them in SQLite.

``<data>/audio/ab/ab12….wav`` holds the sound, ``<data>/library.sqlite`` a row a clip. A file is complete before its row
exists; a row without a file is treated as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ApplianceError, BadFile, Unavailable
from appliance.library.wav import disk_is_full, write_wav

Samples = NDArray[np.float32]
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS clips (
    hash TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, frames INTEGER NOT NULL, rate INTEGER NOT NULL,
    bpm REAL, bars INTEGER, beats REAL, key TEXT, loudness REAL, lineage TEXT NOT NULL, created REAL NOT NULL,
    used REAL NOT NULL, pinned INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS made (
    request TEXT NOT NULL, candidate INTEGER NOT NULL, hash TEXT NOT NULL REFERENCES clips(hash) ON DELETE CASCADE,
    PRIMARY KEY (request, candidate)
);
CREATE INDEX IF NOT EXISTS clips_used ON clips (pinned, used);
"""


@dataclass(frozen=True, slots=True)
class Clip:
    """A stored loop. ``beats`` is its whole length in beats; ``lineage`` tells what it was made from."""

    hash: str
    path: Path
    name: str
    role: str
    frames: int
    rate: int
    bpm: float | None = None
    bars: int | None = None
    beats: float | None = None
    key: str | None = None
    loudness: float | None = None
    lineage: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0
    pinned: bool = False


def audio_hash(audio: Samples, rate: int) -> str:
    """sha256 over rate, shape and samples (little-endian float32); 64 hex digits."""
    digest = hashlib.sha256(f"{rate}:{audio.shape[0]}:{audio.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(audio, "<f4").data)
    return digest.hexdigest()


class AudioStore:
    """One store for a data folder. Several processes may use it at once (WAL); an object belongs to one thread."""

    def __init__(self, data: Path) -> None:
        """Open or create. Raises :class:`BadFile` when the database is damaged or of a newer version."""
        self.folder = data / "audio"
        self._file = data / "library.sqlite"
        with _plain_errors(self._file):
            data.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._file, timeout=10, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if version > _SCHEMA_VERSION:
                raise BadFile(f"{self._file}: was written by a newer version; upgrade, or move it away to start afresh")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA foreign_keys=ON")
            if version < _SCHEMA_VERSION:  # nothing is written where nothing is new: the disk may be full
                self._db.executescript(_SCHEMA)
                self._db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    def close(self) -> None:
        self._db.close()

    def path(self, hash_: str) -> Path:
        return self.folder / hash_[:2] / f"{hash_}.wav"

    def put(
        self,
        audio: Samples,
        rate: int,
        *,
        name: str,
        role: str,
        bpm: float | None = None,
        bars: int | None = None,
        beats: float | None = None,
        key: str | None = None,
        loudness: float | None = None,
        lineage: dict[str, Any] | None = None,
        request: str | None = None,
        candidate: int = 0,
    ) -> Clip:
        """Keep (frames, 2) float32; equal audio is stored once. ``request`` is the hash of what was asked, for the cache.

        Raises :class:`Unavailable` (507) on a full disk; then nothing has changed.
        """
        hash_ = audio_hash(audio, rate)
        path = self.path(hash_)
        if not path.is_file():
            write_wav(path, audio, rate)
        return self.register(
            hash_, frames=len(audio), rate=rate, name=name, role=role, bpm=bpm, bars=bars, beats=beats, key=key,
            loudness=loudness, lineage=lineage, request=request, candidate=candidate,
        )  # fmt: skip

    def register(
        self,
        hash_: str,
        *,
        frames: int,
        rate: int,
        name: str,
        role: str,
        bpm: float | None = None,
        bars: int | None = None,
        beats: float | None = None,
        key: str | None = None,
        loudness: float | None = None,
        lineage: dict[str, Any] | None = None,
        request: str | None = None,
        candidate: int = 0,
    ) -> Clip:
        """Make the row of a file that somebody has written to its place already (a worker). Otherwise like :meth:`put`.

        Raises :class:`BadFile` when the file is not there.
        """
        path = self.path(hash_)
        if not path.is_file():
            raise BadFile(f"{path}: is not there; make it again")
        now = time.time()
        row = (
            hash_, name, role, frames, rate, bpm, bars, beats, key, loudness,
            json.dumps(lineage or {}, sort_keys=True, ensure_ascii=False), now, now, path.stat().st_size,
        )  # fmt: skip
        with _plain_errors(self._file), self._transaction():
            self._db.execute(
                "INSERT INTO clips (hash, name, role, frames, rate, bpm, bars, beats, key, loudness, lineage, created, used,"
                " bytes) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(hash) DO UPDATE SET used=excluded.used",
                row,
            )
            if request is not None:
                self._db.execute("INSERT OR REPLACE INTO made VALUES (?,?,?)", (request, candidate, hash_))
        clip = self.get(hash_)
        if clip is None:
            raise Unavailable(f"{path}: vanished while it was stored; try again")
        return clip

    def get(self, hash_: str) -> Clip | None:
        """The clip, or None when it is not (or no longer) there."""
        with _plain_errors(self._file):
            row = self._db.execute("SELECT * FROM clips WHERE hash=?", (hash_,)).fetchone()
        return self._clip(row) if row is not None and self.path(hash_).is_file() else None

    def made(self, request: str, candidate: int = 0) -> Clip | None:
        """The clip that was made for a request's hash, if it is still there."""
        with _plain_errors(self._file):
            row = self._db.execute("SELECT hash FROM made WHERE request=? AND candidate=?", (request, candidate)).fetchone()
            clip = self.get(row["hash"]) if row else None
            if clip:
                self._db.execute("UPDATE clips SET used=? WHERE hash=?", (time.time(), clip.hash))
        return clip

    def clips(self, role: str | None = None, limit: int = 1000) -> list[Clip]:
        """The newest clips first, of one role or all."""
        with _plain_errors(self._file):
            rows = self._db.execute(
                "SELECT * FROM clips WHERE ? IS NULL OR role=? ORDER BY created DESC LIMIT ?", (role, role, limit)
            ).fetchall()
        return [self._clip(row) for row in rows]

    def pin(self, hash_: str, pinned: bool = True) -> None:
        """Keep a clip whatever the size of the store."""
        with _plain_errors(self._file):
            self._db.execute("UPDATE clips SET pinned=? WHERE hash=?", (int(pinned), hash_))

    def size_bytes(self) -> int:
        """Of all clips together."""
        with _plain_errors(self._file):
            return int(self._db.execute("SELECT COALESCE(SUM(bytes), 0) FROM clips").fetchone()[0])

    def prune(self, keep_bytes: int, in_use: frozenset[str] = frozenset()) -> int:
        """Delete the least recently used clips, neither pinned nor in use, until the store fits. Returns how many went."""
        gone = 0
        with _plain_errors(self._file):
            size = self.size_bytes()
            rows = self._db.execute("SELECT hash, bytes FROM clips WHERE pinned=0 ORDER BY used").fetchall()
            for row in rows:
                if size <= keep_bytes:
                    break
                if row["hash"] in in_use:
                    continue
                self._db.execute("DELETE FROM clips WHERE hash=?", (row["hash"],))
                self.path(row["hash"]).unlink(missing_ok=True)
                size -= int(row["bytes"])
                gone += 1
        return gone

    def sweep(self, older_than_s: float = 3600.0) -> int:
        """Remove temporary files that a crash has left. Returns how many."""
        gone = 0
        for path in self.folder.glob("*/.*.part"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > older_than_s:
                    path.unlink()
                    gone += 1
        return gone

    def _clip(self, row: sqlite3.Row) -> Clip:
        fields = {key: row[key] for key in row.keys() if key not in ("used", "bytes", "lineage", "pinned")}  # noqa: SIM118
        return Clip(**fields, path=self.path(row["hash"]), lineage=json.loads(row["lineage"]), pinned=bool(row["pinned"]))

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


@contextlib.contextmanager
def _plain_errors(file: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error) or disk_is_full(file.parent):
            raise Unavailable(f"{file}: the disk is full; delete or move something, then try again", status=507) from None
        raise ApplianceError(f"{file}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise BadFile(f"{file}: is damaged ({error}); move it away and start again, the audio itself is safe") from None
    except OSError as error:
        raise BadFile(f"{file}: cannot be used ({error.strerror or error})") from None
