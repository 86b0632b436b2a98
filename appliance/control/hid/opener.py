# SPDX-License-Identifier: GPL-3.0-or-later
"""Input devices of Linux: who is there, told by sysfs, which anybody may read; and one of them opened, by evdev.

Only a device that a profile names is opened: whoever opens a keyboard reads along.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

INPUT = Path("/dev/input")
SYS = Path("/sys/class/input")
EV_SYN, EV_KEY = 0, 1
SYN_DROPPED = 3


@dataclass(frozen=True, slots=True)
class Present:
    """A device of ``/dev/input``. ``usb``: vendor:product in hexadecimal; ``path``: the port that it sits in, as the kernel
    names it; ``stamp``: another when another device has taken this one's number."""

    node: Path
    name: str
    usb: str
    path: str
    stamp: tuple[int, int]


class Opened(Protocol):
    """An open device. ``read`` gives what has come as ``(type, code, value)``, nothing at the end of it; raises
    BlockingIOError when there is nothing yet, OSError when the device has gone."""

    @property
    def fd(self) -> int: ...
    def grab(self) -> None: ...
    def read(self) -> list[tuple[int, int, int]]: ...
    def down(self) -> set[int]: ...
    def close(self) -> None: ...


def present(folder: Path = INPUT, sys: Path = SYS) -> list[Present]:
    """The event devices that are there, by number. Raises OSError when the folder cannot be read."""
    found: list[Present] = []
    for entry in os.scandir(folder):
        if not entry.name.startswith("event") or not entry.name[5:].isdigit():
            continue
        about = sys / entry.name / "device"
        try:
            facts = entry.stat()
        except OSError:
            continue  # gone between the two looks
        vendor, product = _word(about / "id" / "vendor"), _word(about / "id" / "product")
        found.append(Present(Path(entry.path), _word(about / "name"), f"{vendor}:{product}", _word(about / "phys"),
                             (facts.st_ino, facts.st_ctime_ns)))
    return sorted(found, key=lambda one: int(one.node.name[5:]))


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


class EvdevDevice:
    """By the package evdev. Raises ImportError without it, OSError when the device cannot be opened."""

    def __init__(self, node: Path) -> None:
        evdev: Any = importlib.import_module("evdev")
        self._device: Any = evdev.InputDevice(str(node))

    @property
    def fd(self) -> int:
        return int(self._device.fd)

    def grab(self) -> None:
        self._device.grab()

    def read(self) -> list[tuple[int, int, int]]:
        return [(event.type, event.code, event.value) for event in self._device.read()]

    def down(self) -> set[int]:
        """The keys that are down."""
        return set(self._device.active_keys())

    def close(self) -> None:
        self._device.close()
