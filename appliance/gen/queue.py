# SPDX-License-Identifier: GPL-3.0-or-later
"""The durable job queue: what was asked, what it took, what came out. SQLite, one writer, survives SIGKILL.

A job goes queued → running → done, failed or cancelled. Jobs that ran when the process died are queued again by
:meth:`JobQueue.recover`; their results are content-addressed, so what was finished already is found, not made again.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import BadValue, Unavailable
from appliance.gen.durable import Database
from appliance.gen.work import Request, parse_job

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
    request: Request
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
            "took_s": self.took_s, "results": list(self.results), "priority": self.priority, "attempts": self.attempts,
            "asked_s": round(self.created, 3),
        }  # fmt: skip

    def record(self, progress: float | None = None) -> dict[str, Any]:
        """All that is known of the job: :meth:`public` with what was asked and who made it."""
        return self.public(progress) | {"request": self.request.model_dump(mode="json"), "backend": self.backend}


class JobQueue:
    """The queue in a file. One object, one thread; other processes may read."""

    def __init__(self, path: Path) -> None:
        """Open or create; see :class:`appliance.gen.durable.Database`."""
        self._file = Database(path, _SCHEMA, _SCHEMA_VERSION, "the list of jobs")
        self._db = self._file.db

    def close(self) -> None:
        self._file.close()

    def submit(
        self, request: Request, *, version: str = "", priority: int = 0, target: str = "", results: list[str] | None = None
    ) -> tuple[Job, bool]:
        """Queue a request. The same request for the same target that still waits or runs is not queued twice: that job is
        returned, with its priority raised if need be. Returns (job, whether it is new).

        ``results`` are the clips of a request that was made before: the job is done as soon as it is asked.
        ``version`` is the backend's. Raises :class:`BadValue` for a bad request, :class:`Unavailable` when the disk or the
        queue is full.
        """
        request = request.resolved()
        hash_ = request.content_hash(version)
        now_s = time.time()
        with self._file.writing(synced=True):
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
                " created, started, finished, results, delivered) VALUES (?,?,?,?,?,?,?,?,'',0,0,?,?,?,?,?)",
                (hash_, json.dumps(request.model_dump(mode="json"), ensure_ascii=False), request.title(), request.role,
                 request.backend, target, priority, "queued" if results is None else "done", now_s,
                 None if results is None else now_s, None if results is None else now_s, json.dumps(results or []),
                 int(not target)),
            )  # fmt: skip
            return self._get(int(cursor.lastrowid or 0)), True

    def hurry(self, target: str, priority: int) -> list[Job]:
        """Somebody waits for a pad or deck: what waits for it comes first. Returns the jobs that were raised."""
        with self._file.writing() as db:
            rows = db.execute(
                "UPDATE jobs SET priority=? WHERE target=? AND state='queued' AND priority<? RETURNING id",
                (priority, target, priority),
            ).fetchall()
            return [self._get(row["id"]) for row in rows]

    def recover(self) -> int:
        """Queue again what ran when the last process ended. Call once at the start. Returns how many."""
        with self._file.writing():
            return self._db.execute("UPDATE jobs SET state='queued', started=NULL WHERE state='running'").rowcount

    def claim(self, *backends: str) -> Job | None:
        """Take the next job that is due, of these backends or any: highest priority first, then oldest. None when none is."""
        with self._file.writing():
            row = self._db.execute(
                "SELECT id FROM jobs WHERE state='queued' AND not_before<=?" + _of(backends) +  # noqa: S608
                " ORDER BY priority DESC, id LIMIT 1",
                (time.time(), *backends),
            ).fetchone()
            if row is None:
                return None
            self._db.execute(
                "UPDATE jobs SET state='running', started=?, attempts=attempts+1, message='' WHERE id=?",
                (time.time(), row["id"]),
            )
            return self._get(row["id"])

    def next_due_s(self, *backends: str) -> float | None:
        """Seconds until the next waiting job of these backends may start; None when none waits."""
        with self._file.reading():
            due = self._db.execute(
                "SELECT MIN(not_before) FROM jobs WHERE state='queued'" + _of(backends), backends  # noqa: S608
            ).fetchone()[0]
        return None if due is None else max(due - time.time(), 0.0)

    def finish(self, id_: int, results: list[str], message: str = "") -> Job:
        """A running job has made its clips; ``message``: otherwise than was asked, and how."""
        with self._file.writing():
            self._db.execute(
                "UPDATE jobs SET state='done', finished=?, results=?, message=? WHERE id=? AND state='running'",
                (time.time(), json.dumps(results), message, id_),
            )
            return self._get(id_)

    def undelivered(self) -> list[Job]:
        """Finished jobs whose clip has not reached its target."""
        with self._file.reading():
            rows = self._db.execute("SELECT * FROM jobs WHERE state='done' AND delivered=0 ORDER BY id").fetchall()
        return [_job(row) for row in rows]

    def deliver(self, id_: int, message: str = "") -> Job:
        """The clip is on its target, or the target has refused it for the reason in ``message``."""
        with self._file.writing():
            self._db.execute("UPDATE jobs SET delivered=1, message=CASE ?1 WHEN '' THEN message ELSE ?1 END WHERE id=?2",
                             (message, id_))
            return self._get(id_)

    def fail(self, id_: int, message: str, *, retry: bool = False) -> Job:
        """A running job went wrong. With ``retry`` it waits and is tried again, three times in all."""
        with self._file.writing():
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
        with self._file.writing():
            self._db.execute(
                "UPDATE jobs SET state='queued', started=NULL, attempts=attempts-1, not_before=?"
                " WHERE id=? AND state='running'",
                (time.time() + wait_s, id_),
            )
            return self._get(id_)

    def cancel(self, id_: int) -> Job:
        """End a job that waits or runs; the caller stops the worker. Raises :class:`BadValue` when it has ended already."""
        with self._file.writing(synced=True):
            job = self._get(id_)
            if job.state not in ("queued", "running"):
                raise BadValue(f"job {id_} cannot be cancelled: it is {job.state} already", status=409)
            self._db.execute("UPDATE jobs SET state='cancelled', finished=? WHERE id=?", (time.time(), id_))
            return self._get(id_)

    def retry(self, id_: int) -> Job:
        """Queue a failed or cancelled job again, at once. Raises :class:`BadValue` for others."""
        with self._file.writing(synced=True):
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
        with self._file.reading():
            return self._get(id_)

    def jobs(self, state: str | None = None, limit: int = 200) -> list[Job]:
        """Newest first."""
        with self._file.reading():
            rows = self._db.execute(
                "SELECT * FROM jobs WHERE ? IS NULL OR state=? ORDER BY id DESC LIMIT ?", (state, state, limit)
            ).fetchall()
        return [_job(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self._file.reading():
            rows = self._db.execute("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state").fetchall()
        return dict.fromkeys(STATES, 0) | {row["state"]: row["n"] for row in rows}

    def prune(self, keep: int, older_than_s: float = math.inf) -> int:
        """Forget ended jobs beyond the newest ``keep`` and those that ended ``older_than_s`` ago. Returns how many."""
        with self._file.writing():
            return self._db.execute(
                "DELETE FROM jobs WHERE (state IN ('failed', 'cancelled') OR (state='done' AND delivered=1)) AND (finished<? OR"
                " id NOT IN (SELECT id FROM jobs WHERE state IN ('done', 'failed', 'cancelled') ORDER BY id DESC LIMIT ?))",
                (time.time() - older_than_s, keep),
            ).rowcount

    def fact(self, name: str) -> str | None:
        """A small thing remembered across restarts."""
        with self._file.reading():
            row = self._db.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return row["value"] if row else None

    def remember(self, name: str, value: str) -> None:
        with self._file.writing():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?,?)", (name, value))

    def _get(self, id_: int) -> Job:
        row = self._db.execute("SELECT * FROM jobs WHERE id=?", (id_,)).fetchone()
        if row is None:
            raise BadValue(f"there is no job {id_}", status=404)
        return _job(row)


def _of(backends: tuple[str, ...]) -> str:
    """Any of them, where there are some."""
    return f" AND backend IN ({','.join('?' * len(backends))})" if backends else ""


def _job(row: sqlite3.Row) -> Job:
    fields = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates over values
    fields["request"] = parse_job(json.loads(fields["request"]))
    fields["results"] = tuple(json.loads(fields["results"]))
    fields["delivered"] = bool(fields["delivered"])
    return Job(**fields)
