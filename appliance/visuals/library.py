# SPDX-License-Identifier: GPL-3.0-or-later
"""Which scenes there are: the box's own and the user's in `<data>/scenes`, which win by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from appliance.visuals.isf.errors import SceneError

OWN_SCENES = Path(__file__).parent / "scenes"


class SceneLibrary:
    """Finds scene files by the names that people use."""

    def __init__(self, user_folder: Path | None = None) -> None:
        self.folders = [f for f in (user_folder, OWN_SCENES) if f is not None]

    def all(self) -> dict[str, Path]:
        """Every scene's file by its name, in order of the names."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            if folder.is_dir():
                found |= {p.stem: p for p in sorted(folder.glob("*.fs"))}
        return dict(sorted(found.items()))

    def find(self, wish: str) -> Path:
        """The file for a name (`pulse`, `pulse.fs`) or a path. Raises SceneError with the nearest name."""
        wish = wish.strip()
        scenes = self.all()
        name = wish.removesuffix(".fs")
        if name in scenes:
            return scenes[name]
        if "/" in wish:
            path = Path(wish).expanduser()
            if path.is_file():
                return path.resolve()
            raise SceneError(
                path, 0, "there is no such scene file", "check the path, or take a name from /visuals/scenes"
            )
        close = difflib.get_close_matches(name, scenes, 1)
        advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(scenes) or 'none'}"
        raise SceneError(Path(wish or "(empty)"), 0, "there is no scene of this name", advice)

    def after(self, name: str) -> str:
        """The scene that follows in the list, around its end."""
        names = list(self.all())
        if not names:
            advice = "put ISF files into the folder scenes of the data folder"
            raise SceneError(Path(name or "(empty)"), 0, "there are no scenes", advice)
        return names[(names.index(name) + 1) % len(names)] if name in names else names[0]
