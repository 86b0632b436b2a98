# SPDX-License-Identifier: GPL-3.0-or-later
"""What a JACK server keeps in ``/dev/shm``, and which of it is left when one was killed.

jackd (version 2) keeps a socket and semaphores named after the server, and segments named by number only; the registry
tells which process allocated a segment. 100 MB a server would otherwise stay until the next boot.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

from appliance.bus.memory import FOLDER
from appliance.supervision.child import process_state

_HEADER = struct.Struct("<IIiIII")
_ENTRY = struct.Struct("<hxxiI256s")
_MAGIC = 0x4A41434B


def socket_of(server: str) -> Path | None:
    """The server's socket when there is one: no server of that name runs on this machine without it."""
    return next(iter(FOLDER.glob(f"jack_{_quoted(server)}_*_0")), None)


def sweep(server: str, pid: int) -> list[str]:
    """Remove what the dead server ``server`` (process ``pid``) left; returns the names. A living one is left alone."""
    if process_state(pid)[0] not in ("", "Z", "X"):
        return []
    user = os.getuid()
    gone = [*FOLDER.glob(f"jack_{_quoted(server)}_{user}_*"), *FOLDER.glob(f"jack_sem.{user}_{_quoted(server)}_*")]
    gone += [path for name in _segments(pid) if (path := FOLDER / name).exists()]
    if not _any_server():
        gone += [path for name in ("jack-shm-registry", f"jack_db-{user}") if (path := FOLDER / name).exists()]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return [path.name for path in gone]


def _quoted(server: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in server)


def _segments(pid: int) -> list[str]:
    """Names of the segments that process ``pid`` allocated, from JACK's registry; none when it is of a kind unknown to us."""
    try:
        registry = (FOLDER / "jack-shm-registry").read_bytes()
        magic, _, _, size, header, entry = _HEADER.unpack_from(registry)
    except (OSError, struct.error):
        return []
    if magic != _MAGIC or entry != _ENTRY.size or size != len(registry):
        return []
    names: list[str] = []
    for at in range(header, size - entry + 1, entry):
        _, allocator, length, name = _ENTRY.unpack_from(registry, at)
        text = name.split(b"\0")[0].decode(errors="replace").lstrip("/")
        if allocator == pid and length and text.startswith("jack-") and "/" not in text:
            names.append(text)
    return names


def _any_server() -> bool:
    """Whether any JACK server of any name runs: then the registry and the database, which all share, must stay."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() in ("jackd", "jackdbus") and process_state(int(path.parent.name))[0] != "Z":
                return True
        except OSError:  # ended while we looked
            continue
    return False
