# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process does without in its safe form (``layout.PROCESS``'s word ``safe``, ``--safe N``), in words."""

from __future__ import annotations

SAFE_FORMS: dict[str, tuple[str, ...]] = {
    "engine": ("clips that were loaded in the two minutes before stay silent", "no clip that was loaded before sounds"),
    "control": ("profiles of your own are not read, and files that were not playing stay unloaded; the session keeps them",),
    "gen": ("the embedded generator only",),
    "visuals": ("the logo only, until another scene is chosen",),
}


def safe_form(process: str, level: int) -> str:
    """What form ``level`` (from 1) of a process means; empty for the normal form."""
    forms = SAFE_FORMS.get("engine" if process.startswith("engine-") else process, ())
    return forms[min(level, len(forms)) - 1] if level > 0 and forms else ""
