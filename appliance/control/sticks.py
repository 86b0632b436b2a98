# SPDX-License-Identifier: GPL-3.0-or-later
"""USB sticks: find the one to copy to, copy so that it is really there, and let it be pulled out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from appliance.errors import Unavailable
from appliance.library.wav import disk_error

_PIECE_BYTES = 8 << 20
_UNMOUNT_S = 30.0


def mounted_below(folders: Iterable[Path]) -> list[Path]:
    """Mount points below these folders that can be written, the one with the most room first."""
    found: list[Path] = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = Path(line.split()[1].encode().decode("unicode_escape"))
        if any(place != folder and place.is_relative_to(folder) for folder in folders) and os.access(place, os.W_OK):
            found.append(place)
    return sorted(found, key=lambda place: shutil.disk_usage(place).free, reverse=True)


def copy(source: Path, stick: Path, told: Callable[[float], None] = lambda _share: None) -> Path:
    """Copy with an fsync; ``told(share)`` hears how far it is. Raises :class:`Unavailable` with what to do."""
    size, target = source.stat().st_size, stick / source.name
    if shutil.disk_usage(stick).free < size:
        raise Unavailable(f"{stick}: {size / 1e6:.0f} MB do not fit on the stick; make room or take another one", status=507)
    part, done = target.with_name(f".{target.name}.part"), 0
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            while piece := reader.read(_PIECE_BYTES):
                writer.write(piece)
                done += len(piece)
                told(done / max(size, 1))
            writer.flush()
            os.fsync(writer.fileno())
        part.replace(target)
    except OSError as error:
        raise disk_error(target, error) from None
    return target


def eject(stick: Path) -> None:
    """Unmount it and, where that can be done, cut its power. Raises :class:`Unavailable` when it is busy."""
    device = next((line.split()[0] for line in Path("/proc/self/mounts").read_text().splitlines()
                   if Path(line.split()[1].encode().decode("unicode_escape")) == stick), "")
    for command in (["udisksctl", "unmount", "--no-user-interaction", "-b", device], ["umount", str(stick)]):
        if shutil.which(command[0]) and _run(command):
            break
    else:
        raise Unavailable(f"{stick}: the recording is on the stick, but something still uses it; wait, then pull it out")
    if shutil.which("udisksctl") and device.startswith("/dev/"):
        _run(["udisksctl", "power-off", "--no-user-interaction", "-b", device])


def _run(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=_UNMOUNT_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
