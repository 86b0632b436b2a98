# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompts under names: those that a person has kept, with the knobs they go with, and a template or more for every style.

Kept ones stand in ``gen/prompts.yaml`` of the data folder, which may be edited by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from appliance.bus.wholefile import write_atomically
from appliance.errors import ApplianceError, BadFile, BadValue
from appliance.gen.vocabulary import SUGGESTIONS

KNOBS = ("style", "key", "section", "bars", "energy", "complexity", "humanize")
"""Addresses under /gen that are kept with a prompt."""
MOST, MAX_NAME_CHARACTERS, MAX_BYTES = 500, 64, 1 << 20
TEMPLATES: dict[str, dict[str, Any]] = {
    f"{style.replace('_', ' ')} {number}": {"prompt": prompt, "style": style}
    for style, prompts in SUGGESTIONS.items() for number, prompt in enumerate(prompts, 1)
}  # fmt: skip


class Prompts:
    """The kept ones in a file, read anew each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, dict[str, Any]]:
        """Kept ones first, then templates, by name. Raises :class:`BadFile`."""
        kept = self._kept()
        return kept | {name: template for name, template in TEMPLATES.items() if name not in kept}

    def get(self, name: str) -> dict[str, Any]:
        """``prompt`` and what of :data:`KNOBS` was kept. Raises :class:`BadValue` (404)."""
        found = self.all().get(named(name))
        if found is None:
            raise BadValue(f"no prompt is called {name[:40]!r}; /gen/prompts lists them", status=404)
        return found

    def keep(self, name: str, fields: dict[str, Any]) -> None:
        """Under this name, in the place of one before. Raises :class:`BadValue`, :class:`BadFile`, ApplianceError (507)."""
        kept = self._kept()
        kept[named(name)] = fields
        if len(kept) > MOST:
            raise BadValue(f"{MOST} prompts are kept already; forget some first")
        self._write(kept)

    def forget(self, name: str) -> None:
        """Raises :class:`BadValue` (404) for one that is not kept."""
        kept = self._kept()
        if kept.pop(named(name), None) is None:
            what = "is a template; it stays" if name in TEMPLATES else "is not kept"
            raise BadValue(f"prompt {name[:40]!r} {what}", status=404)
        self._write(kept)

    def _kept(self) -> dict[str, dict[str, Any]]:
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise BadFile(f"{self._path} is longer than {MAX_BYTES >> 20} MB")
            tree = yaml.safe_load(self._path.read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            raise BadFile(f"{self._path} cannot be read: {' '.join(str(error).split())[:200]}") from None
        if not isinstance(tree, dict):
            raise BadFile(f"{self._path}: takes names, each with a prompt")
        for name, fields in tree.items():
            if not isinstance(fields, dict) or not isinstance(fields.get("prompt"), str):
                raise BadFile(f"{self._path}: {str(name)[:40]!r} has no prompt")
            if unknown := set(fields) - {"prompt", *KNOBS}:
                raise BadFile(f"{self._path}: {str(name)[:40]!r}: {min(map(str, unknown))[:40]!r} is none of prompt, "
                              f"{', '.join(KNOBS)}")
        return {str(name): fields for name, fields in tree.items()}

    def _write(self, kept: dict[str, dict[str, Any]]) -> None:
        text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=120)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, text.encode())
        except OSError as error:
            raise ApplianceError(f"{self._path} cannot be written ({error.strerror}): nothing was changed",
                                 status=507) from None


def named(name: str) -> str:
    """A name as it is kept. Raises :class:`BadValue`."""
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME_CHARACTERS:
        raise BadValue(f"a prompt's name has 1 … {MAX_NAME_CHARACTERS} characters")
    return name
