# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that a person would give: to a device by its port, to a control by what it does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from appliance.control.learn.recognise import Form

_BRIDGES = ("a2j", "midi-bridge", "system", "alsa_pcm", "alsa-midi")
_PLAIN = re.compile(r"(midi[ _-]?)?(out|output|port|capture|playback|midi)?[ _-]?\d*", re.IGNORECASE)


def device_name(names: Sequence[str]) -> str:
    """The part of a port's names by which the device is known again: ``a2j:nanoKONTROL2 [20] (capture): nanoKONTROL2 MIDI 1``
    and ``alsa_pcm:nanoKONTROL2/midi_capture_1`` are ``nanoKONTROL2``."""
    told = [part for name in names for part in _parts(name)]
    return next((part for part in told if len(part) >= 3 and not _PLAIN.fullmatch(part)), names[0])


def _parts(name: str) -> Iterable[str]:
    client, _, port = name.partition(":")
    if client.lower() in _BRIDGES:
        client, port = re.split(r" \[|/|:|\(", port)[0], ""
    for part in (port, client):
        plain = re.sub(r"\s*(\[\d+\]|\((capture|playback)[^)]*\)|\d+:\d+)\s*$", "", part.strip())
        plain = re.sub(r"[ _-]+midi[ _-]?(in|out|port)?[ _-]?\d+$", "", plain, flags=re.IGNORECASE)
        yield plain.strip(" _-:")


def file_name(device: str) -> str:
    return (re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "device") + ".yaml"


def control_name(wish: str, target: str, form: Form, taken: Iterable[str]) -> str:
    """A name that is free: the wish, the last word of the address, more of its words, and a letter at the end."""
    taken = set(taken)
    words = [word for word in re.split(r"[^a-z0-9]+", target.lower()) if word]
    known = [word for word in words if not word.isdigit()]
    candidates = [_fit(wish), known[-1] if known else "", " ".join(known[-2:]), " ".join(_letters(words)), form.value]
    if not wish and (own := {"pad": "pad", "turn": "jog"}.get(known[0] if known[:1] == ["pad"] else (known or [""])[-1])):
        candidates.insert(0, own)
    for name in candidates:
        if name and name not in taken and name[0].isalpha():
            return name
    base = next(name for name in candidates if name and name[0].isalpha())
    return next(name for letter in "bcdefghijklmnopqrstuvwxyz" * 9 if (name := f"{base} {letter}") not in taken)


def _fit(name: str) -> str:
    words = re.sub(r"[^a-z0-9 _-]+", " ", name.lower())
    return re.sub(r"[ _-]*\d+$", "", " ".join(words.split())).lstrip("0123456789 _-")


def _letters(words: list[str]) -> list[str]:
    """``channel 1 low``: numbers not at the end, where they would be the control's own."""
    return [*words[:-1], f"n{words[-1]}"] if words and words[-1].isdigit() else words
