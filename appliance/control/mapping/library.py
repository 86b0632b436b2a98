# SPDX-License-Identifier: GPL-3.0-or-later
"""All profiles in force, read again when a file changes. A broken file leaves the one before in force, and is said.

Folders come in the order of their weight: a file in a later folder takes the place of one with the same name before it, and
wins over another profile for the same device.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import appliance
from appliance.control.mapping.check import read_profile
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.match import claims, fits
from appliance.control.mapping.profile import DeviceKind

SHIPPED = (Path(appliance.__file__).parent.parent / "mappings", Path(sys.prefix) / "share" / "appliance" / "mappings")


def shipped_folder() -> Path:
    """The profiles that come with the box: beside the package, or where an installation puts them."""
    return next((folder for folder in SHIPPED if folder.is_dir()), SHIPPED[0])


@dataclass(slots=True)
class Held:
    """A file as it was read last. ``compiled`` is the last good state of it."""

    stamp: tuple[int, int, int]
    compiled: Compiled | None
    weight: int


class ProfileLibrary:
    """``scan`` reads what has changed, one thread at a time; the rest answers from memory, to any thread."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._held: dict[Path, Held] = {}
        self._clashes: set[str] = set()

    def scan(self) -> tuple[bool, list[str]]:
        """Whether the profiles in force have changed, and what there is to say about it, one line each."""
        said: list[str] = []
        changed = False
        present = self._present()
        for path in self._held.keys() - present.keys():
            changed |= self._held.pop(path).compiled is not None
        for path, (stamp, weight) in present.items():
            held = self._held.get(path)
            if held is not None and held.stamp == stamp:
                continue
            compiled, problems = read_profile(path)
            if compiled is None:
                kept = held.compiled if held else None
                goes_on = "the version before stays in force" if kept else "it is not used"
                more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
                said.append(f"{problems[0]}{more}; {goes_on}")
                self._held[path] = Held(stamp, kept, weight)
                continue
            if held is not None:
                said.append(f"{path}: profile {compiled.profile.name} is in force")
            self._held[path] = Held(stamp, compiled, weight)
            changed = True
        if changed:
            said += self._new_clashes()
        return changed, said

    def forget(self) -> None:
        """Read everything again at the next scan."""
        for held in tuple(self._held.values()):
            held.stamp = (0, 0, 0)

    def profiles(self) -> list[tuple[Path, Compiled]]:
        """Those in force, the weightiest first."""
        by_name: dict[str, tuple[int, Path, Compiled]] = {}
        for path, held in tuple(self._held.items()):
            if held.compiled is not None and (path.name not in by_name or held.weight > by_name[path.name][0]):
                by_name[path.name] = (held.weight, path, held.compiled)
        ordered = sorted(by_name.values(), key=lambda item: (-item[0], item[1].name))
        return [(path, compiled) for _, path, compiled in ordered]

    def choose(self, names: Iterable[str]) -> Compiled | None:
        """The profile for a port with these names: the best fit, then the weightiest; the fallback when none fits."""
        names = tuple(names)
        best: tuple[int, Compiled] | None = None
        for _, compiled in self.profiles():
            if compiled.profile.device.kind is not DeviceKind.MIDI:
                continue
            fit = fits(compiled.profile.device, names)
            if fit and (best is None or fit > best[0]):
                best = (fit, compiled)
        return best[1] if best else self.fallback()

    def fallback(self) -> Compiled | None:
        return next((compiled for _, compiled in self.profiles() if compiled.profile.device.fallback), None)

    def of_kind(self, kind: DeviceKind) -> list[Compiled]:
        return [compiled for _, compiled in self.profiles() if compiled.profile.device.kind is kind]

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
        profiles = self.profiles()
        for at, (path, compiled) in enumerate(profiles):
            for other, second in profiles[at + 1 :]:
                if (path.parent == other.parent) and (what := claims(compiled.profile.device, second.profile.device)):
                    clashes[f"{path} and {other} both claim {what}; the first is used: take it out of one of the two"] = None
        new = [clash for clash in clashes if clash not in self._clashes]
        self._clashes = set(clashes)
        return new
