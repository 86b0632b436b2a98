# SPDX-License-Identifier: GPL-3.0-or-later
"""All profiles in force, read again when a file changes. A broken file leaves the one before in force, and is said.

Folders come in the order of their weight: a file in a later folder takes the place of one with the same name before it, and
wins over another profile for the same device.

Of the profiles that come with the box only the head is read at first: there are many, and hardly anybody has two of the
devices. The rest is read when one of them is there.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from pydantic import ValidationError

import appliance
from appliance.control.mapping.check import LOADER, read_profile
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.match import claims, fits
from appliance.control.mapping.profile import Device, DeviceKind

log = logging.getLogger(__name__)

SHIPPED = (Path(appliance.__file__).parent.parent / "mappings", Path(sys.prefix) / "share" / "appliance" / "mappings")


def shipped_folder() -> Path:
    """The profiles that come with the box: beside the package, or where an installation puts them."""
    return next((folder for folder in SHIPPED if folder.is_dir()), SHIPPED[0])


@dataclass(slots=True)
class Held:
    """A file as it was read last. ``compiled`` is the last good state of it; None, too, while only its head (``name``,
    ``device``) was read. Without a ``device`` nothing of it is in force."""

    stamp: tuple[int, int, int]
    weight: int
    name: str = ""
    device: Device | None = None
    compiled: Compiled | None = None


def read_head(path: Path) -> tuple[str, Device] | None:
    """Name and device of a profile whose surface comes after them; None where that is not plain to see."""
    try:
        head, surface, _ = path.read_text(encoding="utf-8").partition("\nsurface:")
        tree = yaml.load(head, LOADER)  # noqa: S506  # a safe loader
        return (str(tree["name"]), Device.model_validate(tree["device"])) if surface else None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError, ValidationError):
        return None


class ProfileLibrary:
    """``scan`` reads what has changed, one thread at a time; the rest answers from memory, to any thread."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._held: dict[Path, Held] = {}
        self._reading = threading.Lock()
        self._clashes: set[str] = set()

    def scan(self) -> tuple[bool, list[str]]:
        """Whether the profiles in force have changed, and what there is to say about it, one line each."""
        said: list[str] = []
        changed = False
        present = self._present()
        for path in self._held.keys() - present.keys():
            changed |= self._held.pop(path).device is not None
        for path, (stamp, weight) in present.items():
            held = self._held.get(path)
            if held is not None and held.stamp == stamp:
                continue
            unread = held is None or (held.device is not None and held.compiled is None)
            if unread and path.parent == shipped_folder() and (head := read_head(path)) is not None:
                self._held[path] = Held(stamp, weight, *head)
                changed = True
                continue
            compiled, problems = read_profile(path)
            if compiled is None:
                kept = held is not None and held.device is not None
                goes_on = "the version before stays in force" if kept else "it is not used"
                more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
                said.append(f"{problems[0]}{more}; {goes_on}")
                self._held[path] = replace(held, stamp=stamp, weight=weight) if held is not None else Held(stamp, weight)
                continue
            if held is not None:
                said.append(f"{path}: profile {compiled.profile.name} is in force")
            self._held[path] = Held(stamp, weight, compiled.profile.name, compiled.profile.device, compiled)
            changed = True
        if changed:
            said += self._new_clashes()
        return changed, said

    def forget(self) -> None:
        """Read everything again at the next scan."""
        for held in tuple(self._held.values()):
            held.stamp = (0, 0, 0)

    def in_force(self) -> list[tuple[Path, Held]]:
        """The weightiest first; of those that are not needed only the head was read."""
        by_name: dict[str, tuple[Path, Held]] = {}
        for path, held in tuple(self._held.items()):
            if held.device is not None and (path.name not in by_name or held.weight > by_name[path.name][1].weight):
                by_name[path.name] = path, held
        return sorted(by_name.values(), key=lambda item: (-item[1].weight, item[0].name))

    def profiles(self) -> list[tuple[Path, Compiled]]:
        """All of them, read in full."""
        return [(path, compiled) for path, held in self.in_force() if (compiled := self._whole(path, held)) is not None]

    def choose(self, names: Iterable[str]) -> Compiled | None:
        """The profile for a port with these names: the best fit, then the weightiest; the fallback when none fits."""
        names = tuple(names)
        fitting = [(fits(held.device, names), path, held) for path, held in self.in_force()
                   if held.device is not None and held.device.kind is DeviceKind.MIDI]
        for fit, path, held in sorted(fitting, key=lambda item: -item[0]):
            if fit and (compiled := self._whole(path, held)) is not None:
                return compiled
        return self.fallback()

    def fallback(self) -> Compiled | None:
        return next((compiled for path, held in self.in_force()
                     if held.device is not None and held.device.fallback and (compiled := self._whole(path, held))), None)

    def of_kind(self, kind: DeviceKind) -> list[Compiled]:
        return [compiled for path, held in self.in_force()
                if held.device is not None and held.device.kind is kind and (compiled := self._whole(path, held))]

    def _whole(self, path: Path, held: Held) -> Compiled | None:
        """What was only looked at is read now, by whatever thread needs it."""
        if held.compiled is None:
            with self._reading:
                if held.compiled is None and held.device is not None:
                    held.compiled, problems = read_profile(path)
                    if held.compiled is None:
                        held.device = None
                        log.error("%s; it is not used", problems[0])
        return held.compiled

    def _present(self) -> dict[Path, tuple[tuple[int, int, int], int]]:
        found: dict[Path, tuple[tuple[int, int, int], int]] = {}
        for weight, folder in enumerate(self._folders):
            try:
                paths = sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml") and not p.name.startswith("."))
            except OSError:
                continue  # a folder need not be there
            for path in paths:
                try:
                    facts = path.stat()
                except OSError:
                    continue  # gone between the two looks
                found[path] = ((facts.st_mtime_ns, facts.st_size, facts.st_ino), weight)
        return found

    def _new_clashes(self) -> list[str]:
        clashes: dict[str, None] = {}
        profiles = [(path, held.device) for path, held in self.in_force() if held.device is not None]
        for at, (path, device) in enumerate(profiles):
            for other, second in profiles[at + 1 :]:
                if (path.parent == other.parent) and (what := claims(device, second)):
                    clashes[f"{path} and {other} both claim {what}; the first is used: take it out of one of the two"] = None
        new = [clash for clash in clashes if clash not in self._clashes]
        self._clashes = set(clashes)
        return new
