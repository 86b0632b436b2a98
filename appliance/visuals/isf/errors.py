# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a scene file, said with the author's own line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.errors import BadFile


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a scene file.

    `line` counts from 1 in `file`, 0 when no line can be named. `severity` is "error" (the scene cannot be shown) or
    "warning" (it can, but not as its author meant it).
    """

    file: Path
    line: int
    message: str
    advice: str
    severity: str = "error"

    def __str__(self) -> str:
        where = f"{self.file.name}:{self.line}" if self.line else self.file.name
        return f"{where}: {self.message}; {self.advice}"


class SceneError(BadFile):
    """A scene that cannot be shown: which file, which line, what is wrong and what to do about it."""

    def __init__(self, file: Path, line: int, message: str, advice: str) -> None:
        self.problem = Problem(Path(file), line, message, advice)
        super().__init__(str(self.problem))

    @property
    def file(self) -> Path:
        """The scene file, or its vertex shader."""
        return self.problem.file

    @property
    def line(self) -> int:
        """Line in that file, from 1; 0 when no line can be named."""
        return self.problem.line
