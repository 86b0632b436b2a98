# SPDX-License-Identifier: GPL-3.0-or-later
"""One box a data folder, and what a killed one has left behind: processes, shared memory, the hub's folder."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from appliance.bus.box import Box, hub_path
from appliance.bus.memory import FOLDER, box_name, sweep
from appliance.errors import Unavailable
from appliance.supervision import jackfiles
from appliance.supervision.child import process_state


class Lock:
    """Held for the supervisor's life; the kernel lets go of it whatever ends us."""

    def __init__(self, data: Path) -> None:
        self._path = Box.run_folder(data) / "lock"
        self._descriptor = -1
        self._data = data

    def take(self) -> None:
        """Raises :class:`Unavailable` when another box holds it or the folder cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"the data folder {self._data} cannot be used: {error.strerror}; choose one with --data"
                              ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode(errors="replace").strip()
            raise Unavailable(
                f"a box already runs with the data folder {self._data}{f' (process {holder})' if holder else ''}; "
                "stop it, or give this one a folder of its own with --data"
            ) from None
        with suppress(OSError):  # a full disk: the lock holds without the number in it
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Records:
    """The processes we have started, so that a successor can find those that outlive us. In memory: a disk may take its time,
    and the supervisor has none."""

    def __init__(self, data: Path) -> None:
        self._path = FOLDER / f"{box_name(data)}-processes"
        self._rows: dict[str, dict[str, Any]] = {}

    def add(self, name: str, pid: int, mark: str) -> None:
        """``mark`` is a word of its command line by which it is told from a stranger with the same number."""
        self._rows[name] = {"pid": pid, "start": process_state(pid)[1], "mark": mark}
        with suppress(OSError):  # no memory left: the kernel still ends our children with us
            temporary = self._path.with_suffix(".new")
            temporary.write_text(json.dumps(self._rows), encoding="utf-8")
            temporary.replace(self._path)

    def clear(self) -> None:
        self._rows = {}
        self._path.unlink(missing_ok=True)

    def read(self) -> dict[str, dict[str, Any]]:
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {name: row for name, row in rows.items() if isinstance(row, dict)} if isinstance(rows, dict) else {}


def is_recorded(row: dict[str, Any]) -> bool:
    """Whether the recorded process still runs, and is that one and not a stranger with its number."""
    pid = int(row.get("pid", 0))
    state, start = process_state(pid)
    if not state or state in "ZX" or start != row.get("start"):
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return str(row.get("mark")) in words


def sweep_leftovers(data: Path, records: Records) -> list[str]:
    """Remove what a killed predecessor left; returns what was found, in words. Call it with the lock held."""
    found: list[str] = []
    rows = records.read()
    alive = {name: int(row["pid"]) for name, row in rows.items() if is_recorded(row)}
    for name, pid in alive.items():
        found.append(f"{name} (process {pid})")
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL) if os.getpgid(pid) == pid else os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 2
    while any(process_state(pid)[0] not in ("", "Z", "X") for pid in alive.values()) and time.monotonic() < deadline:
        time.sleep(0.01)
    if jackd := rows.get("jackd"):
        found += jackfiles.sweep(str(jackd.get("mark")), int(jackd.get("pid", 0)))
    found += sweep_memory(data)
    records.clear()
    return found


CLAIM = "data"
"""The file in the hub's folder that tells whose it is: the folder's own name is a hash."""
UNCLAIMED_S = 60.0


def claim(data: Path) -> None:
    """Make the hub's folder and write into it whose it is, so that another box can tell when it is nobody's any more."""
    with suppress(OSError):  # a full disk: the folder is then told by its socket
        folder = hub_path(data).parent
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / CLAIM).write_text(str(data.resolve()), encoding="utf-8")


def sweep_strangers(data: Path) -> list[str]:
    """Remove hub folders and shared memory of boxes that were killed and whose data folder no box uses now."""
    gone: list[str] = []
    mine = hub_path(data).parent
    for folder in mine.parent.glob(f"appliance-*-{os.getuid()}"):
        with suppress(OSError):  # two boxes may sweep at the same time
            if folder == mine or not folder.is_dir() or folder.stat().st_uid != os.getuid():
                continue
            with _unused(folder) as unused:
                if unused:
                    sweep(_box_of(folder))
                    shutil.rmtree(folder, ignore_errors=True)
                    gone.append(str(folder))
    return gone


@contextmanager
def _unused(folder: Path) -> Iterator[bool]:
    """Whether no box runs whose hub's folder that is; meanwhile none can be started there."""
    try:
        data = Path((folder / CLAIM).read_text(encoding="utf-8"))
    except OSError:
        lived = (FOLDER / f"{_box_of(folder)}-box").exists() or time.time() - folder.stat().st_mtime < UNCLAIMED_S
        yield not lived and not _answers(folder / "hub")
        return
    try:
        descriptor = os.open(Box.run_folder(data) / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _box_of(folder: Path) -> str:
    return folder.name.removesuffix(f"-{os.getuid()}")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(str(path))
        except OSError:
            return False
    return True


def sweep_memory(data: Path) -> list[str]:
    """Remove the box's shared memory, the hub's folder and what tells others where the box is."""
    gone = sweep(box_name(data))
    folder = hub_path(data).parent
    if folder.is_dir() and folder.stat().st_uid == os.getuid():
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("box.json", "endpoints.json"):
        (Box.run_folder(data) / name).unlink(missing_ok=True)
    return gone
