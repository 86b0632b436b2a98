# SPDX-License-Identifier: GPL-3.0-or-later
"""The durable job queue: what was asked, what it took, what came out. SQLite, one writer, survives SIGKILL.

A job goes queued → running → done, failed or cancelled. Jobs that ran when the process died are queued again by
:meth:`JobQueue.recover`; their results are content-addressed, so what was finished already is found, not made again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, BadFile, BadValue, Unavailable
from appliance.gen.request import GenRequest, parse_request
from appliance.library.wav import disk_is_full

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
BACK_OFF_S = (0.5, 2.0, 8.0)
MAX_WAITING = 10_000
STATES = ("queued", "running", "done", "failed", "cancelled")
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL, request TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
    backend TEXT NOT NULL, target TEXT NOT NULL, priority INTEGER NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL,
    attempts INTEGER NOT NULL, not_before REAL NOT NULL, created REAL NOT NULL, started REAL, finished REAL,
    results TEXT NOT NULL, delivered INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (state, priority DESC, id);
CREATE INDEX IF NOT EXISTS jobs_hash ON jobs (hash, target, state);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the queue. ``hash`` names the audio that will come out; ``results`` the hashes of the clips that came out,
    one a candidate; ``delivered`` is false while a finished job's clip has not reached its target."""

    id: int
    hash: str
    request: GenRequest
    name: str
    role: str
    backend: str
    target: str
    priority: int
    state: str
    message: str
    attempts: int
    not_before: float
    created: float
    started: float | None
    finished: float | None
    results: tuple[str, ...]
    delivered: bool

    @property
    def took_s(self) -> float | None:
        return None if self.started is None or self.finished is None else round(self.finished - self.started, 3)

    def public(self, progress: float | None = None) -> dict[str, Any]:
        """The job as it is told to people: what the address /gen/job carries."""
        done = 1.0 if self.state == "done" else 0.0
        return {
            "id": self.id, "state": self.state, "progress": round(done if progress is None else progress, 3),
            "target": self.target, "name": self.name, "role": self.role, "message": self.message,
            "took_s": self.took_s, "results": list(self.results),
        }  # fmt: skip


class JobQueue:
    """The queue in a file. One object, one thread; other processes may read."""

    def __init__(self, path: Path) -> None:
        """Open or create. A damaged file is set aside, said so in the log, and a fresh one begun."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise _plain(path, error) from None
            aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
            path.replace(aside)
            for extra in ("-wal", "-shm"):
                path.with_name(path.name + extra).unlink(missing_ok=True)
            log.error("%s is damaged (%s); it was set aside as %s and a new one begun", path, error, aside.name)
            self._open()

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > _SCHEMA_VERSION:
            raise BadFile(f"{self._path}: was written by a newer version; upgrade, or move it away to start afresh")
        self._db.execute("PRAGMA journal_mode=WAL")
        if version < _SCHEMA_VERSION:  # nothing is written where nothing is new: the disk may be full
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    def close(self) -> None:
        self._db.close()

    def submit(
        self, request: GenRequest, *, version: str = "", priority: int = 0, target: str = ""
    ) -> tuple[Job, bool]:
        """Queue a request. The same request for the same target that still waits or runs is not queued twice: that job is
        returned, with its priority raised if need be. Returns (job, whether it is new).

        ``version`` is the backend's. Raises :class:`BadValue` for a bad request, :class:`Unavailable` when the disk or the
        queue is full.
        """
        request = request.resolved()
        hash_ = request.content_hash(version)
        with self._writing(synced=True):
            row = self._db.execute(
                "SELECT * FROM jobs WHERE hash=? AND target=? AND state IN ('queued', 'running')", (hash_, target)
            ).fetchone()
            if row is not None:
                if priority > row["priority"]:
                    self._db.execute("UPDATE jobs SET priority=? WHERE id=?", (priority, row["id"]))
                return self._get(row["id"]), False
            if self._db.execute("SELECT COUNT(*) FROM jobs WHERE state='queued'").fetchone()[0] >= MAX_WAITING:
                raise Unavailable(f"{MAX_WAITING} jobs are waiting already; cancel some first")
            cursor = self._db.execute(
                "INSERT INTO jobs (hash, request, name, role, backend, target, priority, state, message, attempts, not_before,"
                " created, results, delivered) VALUES (?,?,?,?,?,?,?,'queued','',0,0,?,'[]',?)",
                (hash_, json.dumps(request.model_dump(mode="json"), ensure_ascii=False), request.title(), request.role,
                 request.backend, target, priority, time.time(), int(not target)),
            )  # fmt: skip
            return self._get(int(cursor.lastrowid or 0)), True

    def recover(self) -> int:
        """Queue again what ran when the last process ended. Call once at the start. Returns how many."""
        with self._writing():
            return self._db.execute("UPDATE jobs SET state='queued', started=NULL WHERE state='running'").rowcount

    def claim(self, backend: str | None = None) -> Job | None:
        """Take the next job that is due, of one backend or any: highest priority first, then oldest. None when none is."""
        with self._writing():
            row = self._db.execute(
                "SELECT id FROM jobs WHERE state='queued' AND not_before<=? AND (? IS NULL OR backend=?)"
                " ORDER BY priority DESC, id LIMIT 1",
                (time.time(), backend, backend),
            ).fetchone()
            if row is None:
                return None
            self._db.execute(
                "UPDATE jobs SET state='running', started=?, attempts=attempts+1, message='' WHERE id=?",
                (time.time(), row["id"]),
            )
            return self._get(row["id"])

    def next_due_s(self, backend: str) -> float | None:
        """Seconds until the next waiting job of a backend may start; None when none waits."""
        with _plain_errors(self._path):
            due = self._db.execute(
                "SELECT MIN(not_before) FROM jobs WHERE state='queued' AND backend=?", (backend,)
            ).fetchone()[0]
        return None if due is None else max(due - time.time(), 0.0)

    def finish(self, id_: int, results: list[str]) -> Job:
        """A running job has made its clips."""
        with self._writing():
            self._db.execute(
                "UPDATE jobs SET state='done', finished=?, results=?, message='' WHERE id=? AND state='running'",
                (time.time(), json.dumps(results), id_),
            )
            return self._get(id_)

    def undelivered(self) -> list[Job]:
        """Finished jobs whose clip has not reached its target."""
        with _plain_errors(self._path):
            rows = self._db.execute("SELECT * FROM jobs WHERE state='done' AND delivered=0 ORDER BY id").fetchall()
        return [_job(row) for row in rows]

    def deliver(self, id_: int, message: str = "") -> Job:
        """The clip is on its target, or the target has refused it for the reason in ``message``."""
        with self._writing():
            self._db.execute("UPDATE jobs SET delivered=1, message=? WHERE id=?", (message, id_))
            return self._get(id_)

    def fail(self, id_: int, message: str, *, retry: bool = False) -> Job:
        """A running job went wrong. With ``retry`` it waits and is tried again, three times in all."""
        with self._writing():
            job = self._get(id_)
            if job.state == "running":
                again = retry and job.attempts < MAX_ATTEMPTS
                wait = BACK_OFF_S[min(job.attempts - 1, len(BACK_OFF_S) - 1)]
                self._db.execute(
                    "UPDATE jobs SET state=?, message=?, not_before=?, finished=? WHERE id=?",
                    ("queued" if again else "failed", message, time.time() + wait if again else 0.0,
                     None if again else time.time(), id_),
                )  # fmt: skip
            return self._get(id_)

    def put_back(self, id_: int, wait_s: float) -> Job:
        """A running job could not go on for a reason that is not its own: it waits and does not count as tried."""
        with self._writing():
            self._db.execute(
                "UPDATE jobs SET state='queued', started=NULL, attempts=attempts-1, not_before=?"
                " WHERE id=? AND state='running'",
                (time.time() + wait_s, id_),
            )
            return self._get(id_)

    def cancel(self, id_: int) -> Job:
        """End a job that waits or runs; the caller stops the worker. Raises :class:`BadValue` when it has ended already."""
        with self._writing(synced=True):
            job = self._get(id_)
            if job.state not in ("queued", "running"):
                raise BadValue(f"job {id_} cannot be cancelled: it is {job.state} already", status=409)
            self._db.execute("UPDATE jobs SET state='cancelled', finished=? WHERE id=?", (time.time(), id_))
            return self._get(id_)

    def retry(self, id_: int) -> Job:
        """Queue a failed or cancelled job again, at once. Raises :class:`BadValue` for others."""
        with self._writing(synced=True):
            job = self._get(id_)
            if job.state not in ("failed", "cancelled"):
                raise BadValue(f"job {id_} cannot be tried again: it is {job.state}", status=409)
            self._db.execute(
                "UPDATE jobs SET state='queued', attempts=0, not_before=0, message='', finished=NULL, results='[]',"
                " delivered=? WHERE id=?",
                (int(not job.target), id_),
            )
            return self._get(id_)

    def get(self, id_: int) -> Job:
        """Raises :class:`BadValue` (404) when there is no such job."""
        with _plain_errors(self._path):
            return self._get(id_)

    def jobs(self, state: str | None = None, limit: int = 200) -> list[Job]:
        """Newest first."""
        with _plain_errors(self._path):
            rows = self._db.execute(
                "SELECT * FROM jobs WHERE ? IS NULL OR state=? ORDER BY id DESC LIMIT ?", (state, state, limit)
            ).fetchall()
        return [_job(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with _plain_errors(self._path):
            rows = self._db.execute("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state").fetchall()
        return dict.fromkeys(STATES, 0) | {row["state"]: row["n"] for row in rows}

    def prune(self, keep: int) -> int:
        """Forget the oldest ended jobs beyond ``keep``. Returns how many."""
        with self._writing():
            return self._db.execute(
                "DELETE FROM jobs WHERE (state IN ('failed', 'cancelled') OR (state='done' AND delivered=1)) AND id NOT IN"
                " (SELECT id FROM jobs WHERE state IN ('done', 'failed', 'cancelled') ORDER BY id DESC LIMIT ?)",
                (keep,),
            ).rowcount

    def fact(self, name: str) -> str | None:
        """A small thing remembered across restarts."""
        with _plain_errors(self._path):
            row = self._db.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return row["value"] if row else None

    def remember(self, name: str, value: str) -> None:
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?,?)", (name, value))

    def _get(self, id_: int) -> Job:
        row = self._db.execute("SELECT * FROM jobs WHERE id=?", (id_,)).fetchone()
        if row is None:
            raise BadValue(f"there is no job {id_}", status=404)
        return _job(row)

    @contextlib.contextmanager
    def _writing(self, *, synced: bool = False) -> Generator[None]:
        """A transaction. ``synced`` ones survive a power cut; the others survive SIGKILL, and what a power cut takes from
        them is only done again: a job that was finished is found in the cache."""
        with _plain_errors(self._path):
            self._db.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _job(row: sqlite3.Row) -> Job:
    fields = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates over values
    fields["request"] = parse_request(json.loads(fields["request"]))
    fields["results"] = tuple(json.loads(fields["results"]))
    fields["delivered"] = bool(fields["delivered"])
    return Job(**fields)


@contextlib.contextmanager
def _plain_errors(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _plain(path, error) from None


def _plain(path: Path, error: sqlite3.DatabaseError) -> ApplianceError:
    if "full" in str(error) or (isinstance(error, sqlite3.OperationalError) and disk_is_full(path.parent)):
        return Unavailable(f"{path}: the disk is full; delete or move something, then try again", status=507)
    return ApplianceError(f"{path}: the list of jobs cannot be used ({error})")
