# SPDX-License-Identifier: GPL-3.0-or-later
"""What profiles were before they learned something: kept beside them, so that it can be taken back."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from appliance.bus.wholefile import write_atomically
from appliance.errors import NotAllowed, Unavailable

FOLDER = ".before"
KEPT = 40
_NAME = re.compile(r"(\d{6})-([0-9a-f]{12})-(.+?)(\.none)?")


@dataclass(frozen=True, slots=True)
class Before:
    path: Path
    number: int
    written: str
    profile: Path
    was_there: bool


class History:
    """Of the profiles in a folder. Works with files: on a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, profile: Path, text: str) -> None:
        """Put the new text in place of the old one, which is kept. Raises :class:`Unavailable` when the disk refuses."""
        body = text.encode()
        try:
            kept = profile.parent / FOLDER
            kept.mkdir(parents=True, exist_ok=True)
            before = profile.read_bytes() if profile.exists() else None
            entries = self.entries(profile.parent)
            number = entries[-1].number + 1 if entries else 1
            name = f"{number:06d}-{_sum(body)}-{profile.name}" + ("" if before is not None else ".none")
            write_atomically(kept / name, before or b"")
            write_atomically(profile, body)
            for old in entries[: -KEPT]:
                old.path.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{profile} cannot be written ({error.strerror}): nothing was learned; make room, or let the "
                              "box write there") from None

    def undo(self) -> Path:
        """Put back what was before the last write; returns the profile. Raises :class:`NotAllowed` when there is nothing, or
        when the profile was changed by hand since."""
        entries = self.entries(self._folder)
        if not entries:
            raise NotAllowed("nothing was learned that could be taken back", status=409)
        last = entries[-1]
        try:
            now = last.profile.read_bytes() if last.profile.exists() else b""
            if _sum(now) != last.written:
                raise NotAllowed(f"{last.profile} was changed by hand since; what it was before stands in {last.path}",
                                 status=409)
            if last.was_there:
                write_atomically(last.profile, last.path.read_bytes())
            else:
                last.profile.unlink(missing_ok=True)
            last.path.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{last.profile} cannot be put back ({error.strerror})") from None
        return last.profile

    @staticmethod
    def entries(folder: Path) -> list[Before]:
        """The oldest first."""
        found: list[Before] = []
        for path in (folder / FOLDER).glob("*"):
            if match := _NAME.fullmatch(path.name):
                found.append(Before(path, int(match[1]), match[2], folder / match[3], not match[4]))
        return sorted(found, key=lambda one: one.number)


def _sum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]
