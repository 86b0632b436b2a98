# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound that a job starts from: a clip of the store, or any audio file, as it was when it was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from appliance.errors import BadFile

Samples = NDArray[np.float32]
LONGEST_S = 900.0
"""Longer files are refused: a job holds its material in memory, four times over for stems."""


class Material(BaseModel):
    """``hash`` of a clip of the store, or ``path`` of a file with its ``stamp`` (time of change in ns, size in bytes); what is
    known about it otherwise is for the result's row."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hash: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    path: str = ""
    stamp: tuple[int, int] = (0, 0)
    name: str = ""
    bpm: float | None = None
    bars: int | None = None
    beats: float | None = None
    key: str | None = None
    exact: bool = False
    """A generated loop: its first frame is its downbeat, and it goes round."""

    @property
    def lineage(self) -> dict[str, Any]:
        return {"parents": [self.hash]} if self.hash else {"file": self.path}

    @property
    def identity(self) -> list[Any]:
        """What decides its sound."""
        return [self.hash] if self.hash else [self.path, list(self.stamp)]

    def read(self, folder: Path) -> tuple[Samples, int]:
        """(frames, 2) and the rate in Hz; ``folder`` is the store's. Raises :class:`BadFile`."""
        from appliance.library.decode import decode, probe

        path = folder / self.hash[:2] / f"{self.hash}.wav" if self.hash else Path(self.path)
        try:
            info = probe(path)
        except BadFile:
            if self.hash:
                raise BadFile(f"{self.name or self.hash[:12]}: its audio has vanished from the store; make it again") from None
            raise
        if not self.hash and stamp_of(path) != self.stamp:
            raise BadFile(f"{path}: has changed since it was asked for; ask again")
        if info.duration_s > LONGEST_S:
            raise BadFile(f"{path}: is {info.duration_s / 60:.0f} minutes long; {LONGEST_S / 60:.0f} at most")
        return decode(path, info.rate), info.rate


def stamp_of(path: Path) -> tuple[int, int]:
    """Raises :class:`BadFile` when there is no such file."""
    try:
        status = path.stat()
    except OSError as error:
        raise BadFile(f"{path}: cannot be read ({error.strerror})", status=404) from None
    return status.st_mtime_ns, status.st_size
