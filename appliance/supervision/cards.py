# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound cards as the kernel lists them: which one there is, and whether a named one is plugged in."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("/proc/asound")


def sound_card() -> str | None:
    """The first ALSA card that can play (``hw:NAME``), or None."""
    for pcm in sorted(FOLDER.glob("card[0-9]*/pcm*p")):
        try:
            return f"hw:{(pcm.parent / 'id').read_text().strip()}"
        except OSError:  # unplugged while we looked
            continue
    return None


def plugged_in(device: str) -> bool | None:
    """Whether the card of an ALSA device (``hw:USB``, ``plughw:1,0``) is there; None when the name tells no card."""
    kind, colon, rest = device.partition(":")
    if kind not in ("hw", "plughw") or not colon:
        return None
    card = rest.split(",")[0].removeprefix("CARD=")
    if card.isdigit():
        return (FOLDER / f"card{card}").is_dir()
    for file in FOLDER.glob("card[0-9]*/id"):
        try:
            if file.read_text().strip() == card:
                return True
        except OSError:
            continue
    return False
