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

LIBRARY_CHATTER = (
    "Cannot write socket", "Cannot read socket", "CheckRes error", "Could not write notification", "ClientNotify fails",
    "JackSocketClientChannel", "Server is not running", "Cannot connect to server", "jack server is not running",
    "JackShmReadWritePtr",
)
"""What JACK's library prints, server's side and clients', when the other one is gone."""
_HEADER = struct.Struct("<IIiIII")
_SERVER = struct.Struct("<i260s")
_SERVERS = 8
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
    reclaim()
    if not _any_server() and not _mapped("jack-shm-registry"):
        gone += [path for name in ("jack-shm-registry", f"jack_db-{user}") if (path := FOLDER / name).exists()]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return [path.name for path in gone]


def reclaim() -> list[str]:
    """Free the places of killed servers in JACK's registry; returns their names.

    There are eight, and JACK frees the place of a killed server only for one of the same name: then none can start any more.
    """
    registry = _registry()
    if registry is None:
        return []
    freed: list[str] = []
    with (FOLDER / "jack-shm-registry").open("r+b", buffering=0) as file:
        for at in range(_HEADER.size, _HEADER.size + _SERVERS * _SERVER.size, _SERVER.size):
            pid, name = _SERVER.unpack_from(registry, at)
            if pid > 0 and process_state(pid)[0] in ("", "Z", "X"):
                file.seek(at)
                file.write(bytes(_SERVER.size))
                freed.append(name.split(b"\0")[0].decode(errors="replace"))
    return freed


def _quoted(server: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in server)


def _registry() -> bytes | None:
    """JACK's registry, or None when there is none or it is of a kind unknown to us."""
    try:
        registry = (FOLDER / "jack-shm-registry").read_bytes()
        magic, _, _, size, header, entry = _HEADER.unpack_from(registry)
    except (OSError, struct.error):
        return None
    known = header == _HEADER.size + _SERVERS * _SERVER.size and entry == _ENTRY.size and size == len(registry)
    return registry if known and magic == _MAGIC else None


def _segments(pid: int) -> list[str]:
    """Names of the segments that process ``pid`` allocated."""
    registry = _registry()
    if registry is None:
        return []
    names: list[str] = []
    for at in range(_HEADER.size + _SERVERS * _SERVER.size, len(registry) - _ENTRY.size + 1, _ENTRY.size):
        _, allocator, length, name = _ENTRY.unpack_from(registry, at)
        text = name.split(b"\0")[0].decode(errors="replace").lstrip("/")
        if allocator == pid and length and text.startswith("jack-") and "/" not in text:
            names.append(text)
    return names


def _mapped(name: str) -> bool:
    """Whether some process still looks at a shared file: JACK's library maps the registry once in the life of a process. One
    that outlives its server would search the next server's segments in a registry that nobody else has."""
    for path in Path("/proc").glob("[0-9]*/maps"):
        try:
            if f"{FOLDER / name}\n" in path.read_text():
                return True
        except OSError:  # ended while we looked, or another user's
            continue
    return False


def _any_server() -> bool:
    """Whether any JACK server of any name runs: then the registry and the database, which all share, must stay."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() in ("jackd", "jackdbus") and process_state(int(path.parent.name))[0] != "Z":
                return True
        except OSError:  # ended while we looked
            continue
    return False
