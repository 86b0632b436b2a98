# SPDX-License-Identifier: GPL-3.0-or-later
"""The takes of every pad and deck: what generation has brought there, up to sixteen, in their order; kept ones stay."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import BadValue
from appliance.gen.durable import Database

MAX_TAKES = 16
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS takes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, hash TEXT NOT NULL, kept INTEGER NOT NULL DEFAULT 0,
    current INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, UNIQUE (target, hash)
);
"""


@dataclass(frozen=True, slots=True)
class Take:
    """A clip of a target, by its hash. ``current``: the one that was chosen last."""

    hash: str
    kept: bool
    current: bool


class TakeStore:
    """Takes in a file. One object, one thread."""

    def __init__(self, path: Path) -> None:
        self._file = Database(path, _SCHEMA, _SCHEMA_VERSION, "the list of takes")

    def close(self) -> None:
        self._file.close()

    def of(self, target: str) -> list[Take]:
        """Take 1 first."""
        with self._file.reading() as db:
            rows = db.execute("SELECT hash, kept, current FROM takes WHERE target=? ORDER BY id", (target,)).fetchall()
        return [Take(row["hash"], bool(row["kept"]), bool(row["current"])) for row in rows]

    def targets(self) -> list[str]:
        with self._file.reading() as db:
            return [row["target"] for row in db.execute("SELECT DISTINCT target FROM takes ORDER BY target")]

    def hashes(self) -> frozenset[str]:
        """Of all takes of all targets."""
        with self._file.reading() as db:
            return frozenset(row["hash"] for row in db.execute("SELECT DISTINCT hash FROM takes"))

    def add(self, target: str, hashes: list[str]) -> bool:
        """New takes, the first of them the current one. Those that were takes already stay where they are. The oldest go that
        nobody has kept; False when all are kept and there is room for none."""
        with self._file.writing(synced=True) as db:
            for hash_ in hashes[:MAX_TAKES]:
                db.execute("INSERT OR IGNORE INTO takes (target, hash, created) VALUES (?,?,?)", (target, hash_, time.time()))
            db.execute("UPDATE takes SET current=(hash=?) WHERE target=?", (hashes[0], target))
            over = db.execute("SELECT COUNT(*) FROM takes WHERE target=?", (target,)).fetchone()[0] - MAX_TAKES
            db.execute(
                "DELETE FROM takes WHERE id IN"
                " (SELECT id FROM takes WHERE target=? AND kept=0 AND current=0 ORDER BY id LIMIT ?)",
                (target, max(over, 0)),
            )
            db.execute(
                "DELETE FROM takes WHERE target=? AND kept=0 AND (SELECT COUNT(*) FROM takes WHERE target=?)>?",
                (target, target, MAX_TAKES),
            )
            return db.execute("SELECT 1 FROM takes WHERE target=? AND hash=?", (target, hashes[0])).fetchone() is not None

    def choose(self, target: str, hash_: str) -> None:
        """Make it the current one."""
        with self._file.writing(synced=True) as db:
            db.execute("UPDATE takes SET current=(hash=?) WHERE target=?", (hash_, target))

    def keep(self, target: str, number: int, kept: bool) -> None:
        """Keep take ``number`` (from 1), or let it go. Raises :class:`BadValue` when there is none."""
        takes = self.of(target)
        if not 1 <= number <= len(takes):
            raise BadValue(f"{target}: there is no take {number}; it has {len(takes)}", status=404)
        with self._file.writing(synced=True) as db:
            db.execute("UPDATE takes SET kept=? WHERE target=? AND hash=?", (int(kept), target, takes[number - 1].hash))
