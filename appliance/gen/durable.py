# SPDX-License-Identifier: GPL-3.0-or-later
"""A small SQLite file of the gen process: one writer, survives SIGKILL; a damaged one is set aside and a fresh one begun."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path

from appliance.errors import ApplianceError, BadFile, Unavailable
from appliance.library.wav import disk_is_full

log = logging.getLogger(__name__)


class Database:
    """``db`` in the file at ``path``. One object, one thread; other processes may read."""

    def __init__(self, path: Path, schema: str, version: int, what: str) -> None:
        """Open or create. ``what`` names the contents for a person ("the list of jobs"). Raises :class:`BadFile` for a file of
        a newer version, :class:`Unavailable` (507) on a full disk."""
        self.path = path
        self._what = what
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open(schema, version)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise self._plain(error) from None
            aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
            path.replace(aside)
            for extra in ("-wal", "-shm"):
                path.with_name(path.name + extra).unlink(missing_ok=True)
            log.error("%s is damaged (%s); it was set aside as %s and a new one begun", path, error, aside.name)
            self._open(schema, version)

    def _open(self, schema: str, version: int) -> None:
        self.db = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        found = int(self.db.execute("PRAGMA user_version").fetchone()[0])
        if found > version:
            raise BadFile(f"{self.path}: was written by a newer version; upgrade, or move it away to start afresh")
        self.db.execute("PRAGMA journal_mode=WAL")
        if found < version:  # nothing is written where nothing is new: the disk may be full
            self.db.executescript(schema)
            self.db.execute(f"PRAGMA user_version={version}")

    def close(self) -> None:
        self.db.close()

    @contextlib.contextmanager
    def writing(self, *, synced: bool = False) -> Generator[sqlite3.Connection]:
        """A transaction. ``synced`` ones survive a power cut, the others SIGKILL."""
        with self.reading():
            self.db.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    @contextlib.contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Errors of SQLite become plain ones: :class:`Unavailable` (507) on a full disk, else :class:`ApplianceError`."""
        try:
            yield self.db
        except sqlite3.DatabaseError as error:
            raise self._plain(error) from None

    def _plain(self, error: sqlite3.DatabaseError) -> ApplianceError:
        if "full" in str(error) or (isinstance(error, sqlite3.OperationalError) and disk_is_full(self.path.parent)):
            return Unavailable(f"{self.path}: the disk is full; delete or move something, then try again", status=507)
        return ApplianceError(f"{self.path}: {self._what} cannot be used ({error})")
