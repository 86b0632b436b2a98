# SPDX-License-Identifier: GPL-3.0-or-later
"""Session files on disk: saved atomically, with a history, and a journal of what has changed since the last save.

``<data>/sessions/NAME.yaml`` is the session, ``history/NAME-TIME.yaml`` the saves before, ``NAME.journal-N`` JSON lines
of changes, written at once so that a killed process loses none. A save begins a new journal and, once it is on the
disk, removes the older ones.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from appliance.bus.wholefile import write_atomically
from appliance.control.session.model import Newer, SessionFile, dump_session, read_session
from appliance.errors import BadFile

log = logging.getLogger(__name__)


class SessionFiles:
    """The folder of sessions of one box. Methods may be called from worker threads, one at a time."""

    def __init__(self, data: Path, keep: int) -> None:
        self.folder = data / "sessions"
        self.history = self.folder / "history"
        self._keep = keep
        self._journal: BinaryIO | None = None
        self._journal_of = ""
        self._number = 0

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    # -- which one

    def current(self) -> str:
        """The name of the session that was open last."""
        try:
            return (self.folder / "current").read_text(encoding="utf-8").strip() or "default"
        except (OSError, UnicodeDecodeError):
            return "default"

    def set_current(self, name: str) -> None:
        """Remember it. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "current", name.encode())

    # -- saving

    def save(self, session: SessionFile) -> Path:
        """Write the session and a copy of it for the history. Raises OSError; what was before is still there then."""
        self.history.mkdir(parents=True, exist_ok=True)
        body = dump_session(session)
        path = self.path(session.name)
        write_atomically(path, body)
        now_ms = time.time_ns() // 1_000_000
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_ms // 1000)) + f"-{now_ms % 1000:03d}"
        write_atomically(self.history / f"{session.name}-{stamp}.yaml", body)
        for old in self.saves(session.name)[self._keep :]:
            old.unlink(missing_ok=True)
        return path

    def saves(self, name: str) -> list[Path]:
        """The history of a session, newest first."""
        length = len(name) + 1 + len("20260101-000000-000.yaml")
        found = self.history.glob(f"{glob_escape(name)}-*.yaml")
        return sorted((path for path in found if len(path.name) == length), reverse=True)

    # -- reading

    def load(self, name: str) -> tuple[SessionFile | None, list[str]]:
        """The session, or the newest of its history that is whole, or None; and what there is to say about it.

        What cannot be read is set aside as ``….broken-TIME``. Never raises for a bad file.
        """
        said: list[str] = []
        for path in [self.path(name), *self.saves(name)]:
            try:
                session, remarks = read_session(path)
            except FileNotFoundError:
                continue
            except BadFile as error:
                said.append(self._set_aside(path, error))
                if isinstance(error, Newer):
                    self._set_journals_aside(name)
                continue
            if path.parent == self.history:
                said.append(f"session {name}: the save of {_moment(path)} UTC is used instead")
            return session.model_copy(update={"name": name}), said + remarks
        if said:
            said.append(f"session {name}: there is no older save to fall back on; it begins afresh")
        return None, said

    def _set_aside(self, path: Path, error: BadFile) -> str:
        aside = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            path.rename(aside)
        except OSError as problem:
            return f"{error.message}; it could not be set aside ({problem.strerror})"
        return f"{error.message}; it was set aside as {aside.name}"

    # -- journal

    def journals(self, name: str) -> list[Path]:
        """Journals of a session in the order in which they were written."""
        found = [p for p in self.folder.glob(f"{glob_escape(name)}.journal-*") if p.suffix[9:].isdigit()]
        return sorted(found, key=lambda path: int(path.suffix[9:]))

    def begin_journal(self, name: str) -> None:
        """Append to a new journal from here on. Raises OSError."""
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        before = self.journals(name)
        last = int(before[-1].suffix[9:]) if before else 0
        empty = bool(before) and before[-1].stat().st_size == 0  # the disk was full when it was begun
        self._number = last if empty else last + 1
        self._journal_of = name
        self._journal = (self.folder / f"{name}.journal-{self._number}").open("ab", buffering=0)

    def append(self, entry: dict[str, Any]) -> None:
        """Write one change. Raises OSError (a full disk); without a journal it does nothing."""
        if self._journal is not None:
            line = json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
            whole = self._journal.tell()
            if self._journal.write(line) != len(line):
                self._journal.truncate(whole)  # half a line would spoil the next one
                self._journal.seek(whole)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def forget_journals(self) -> None:
        """The session is saved: drop the journals before the one that is open."""
        for path in self.journals(self._journal_of):
            if int(path.suffix[9:]) < self._number:
                path.unlink(missing_ok=True)

    def replay(self, name: str) -> Iterator[dict[str, Any]]:
        """The changes since the last save, in order; a line that was cut off by a power cut is passed over."""
        for path in self.journals(name):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                for line in file:
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        log.warning("%s: a broken line was passed over", path)
                        continue
                    if isinstance(entry, dict):
                        yield entry

    def _set_journals_aside(self, name: str) -> None:
        for path in self.journals(name):
            with contextlib.suppress(OSError):
                path.rename(path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%d-%H%M%S')}"))

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None



def glob_escape(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _moment(path: Path) -> str:
    date, clock = path.stem[-19:].split("-")[:2]
    return f"{date[:4]}-{date[4:6]}-{date[6:]} {clock[:2]}:{clock[2:4]}:{clock[4:]}"
