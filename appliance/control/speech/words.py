# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts as they are said: messages that were written to be read become words for the ear, and as few as there is time for."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from appliance.errors import ApplianceError
from appliance.nodes import NAMESPACE

MOST_CHARACTERS = 600
_ROOTS = frozenset(group.prefix.split("/")[1] for group in NAMESPACE.groups) | {"pad"}
_SIGNS = (
    ("…", " to "), ("→", " to "), ("×", " times "), ("%", " percent "), ("&", " and "), ("#", " sharp "), ("≥", " at least "),
    ("°", " degrees "),
)
_UNITS = {"dB": "decibels", "Hz": "hertz", "ms": "milliseconds", "MB": "megabytes", "GB": "gigabytes", "kB": "kilobytes",
          "BPM": "beats per minute", "s": "seconds"}
_DANGLING = frozenset("a an and are as at but by for from in is it its no not of on or so than that the to was with".split())
_SOUNDS = {"A": "eigh", "C": "see"}
"""Notes whose letters would be read as words."""


def in_words(text: str) -> str:
    """One line without addresses, paths, brackets and signs, as a person would say it."""
    text = re.sub(r"\([^()]*\)", " ", text[:MOST_CHARACTERS])
    text = " ".join(_word(word) for word in text.split())
    text = re.sub(r"\b[0-9a-f]{12,}\b", " ", text)
    text = re.sub(r"(?<=\d)\s?(" + "|".join(_UNITS) + r")\b", lambda found: f" {_UNITS[found[1]]}", text)
    for sign, said in _SIGNS:
        text = text.replace(sign, said)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"[^\w\s.,:;!?'+-]|_", " ", text)  # also what espeak takes for phonemes: [[…]]
    text = re.sub(r"\s+([.,:;!?])", r"\1", text)
    return re.sub(r"\s+", " ", text).strip(" ,:;-")


def _word(word: str) -> str:
    """An address as what it means, a path as the name of its file, all else as it is."""
    bare = word.strip("'\"`,:;()")
    after = word[len(word.rstrip("'\"`,:;()")):]
    if bare.startswith("/") and bare.split("/")[1] in _ROOTS:
        return named(bare) + after
    if "/" in bare and bare not in ("/", "and/or"):
        return file_name(bare) + after
    if re.search(r"\w\.(wav|flac|mp3|ogg|yaml|yml|fs|json|aiff?)$", bare, re.IGNORECASE):
        return file_name(bare) + after
    return word


def file_name(path: str) -> str:
    """``dusty drums v2`` for ``/media/stick/dusty_drums-v2.wav``."""
    return re.sub(r"[_\-.]+", " ", PurePosixPath(path).stem).strip() or "a file"


def named(address: str) -> str:
    """``deck 1`` for ``/deck/1/load``, ``bank 2 pad 3 gain`` for ``/bank/2/pad/3/gain``, ``crossfader`` for
    ``/mixer/crossfader``; works for what is no address, too."""
    try:
        found = NAMESPACE.find(address)
    except ApplianceError:
        parts = address.strip("/").split("/")
    else:
        parts = NAMESPACE.friendly(found.address).strip("/").split("/")
        if parts[-1] in ("load", "file", "trigger", "state"):
            parts.pop()
    if parts[0] == "mixer" and len(parts) > 1:
        parts = parts[1:]
    return " ".join(parts).replace("_", " ")


def key_in_words(key: str) -> str:
    """``eigh minor`` for ``A minor``, ``F sharp major`` for ``F# major``."""
    note, _, mode = key.partition(" ")
    sign = {"#": " sharp", "b": " flat"}.get(note[1:], "")
    return f"{_SOUNDS.get(note[:1], note[:1])}{sign} {mode}".strip()


def tempo_in_words(bpm: float) -> str:
    """As DJs say it: ``1 24`` (one twenty-four), ``1 oh 5``, ``98``, with a tenth where there is one."""
    tenths = round(bpm * 10)
    whole, tenth = divmod(tenths, 10)
    said = str(whole)
    if 100 < whole < 1000 and whole % 100:
        rest = whole % 100
        said = f"{whole // 100} {rest}" if rest >= 10 else f"{whole // 100} oh {rest}"
    return f"{said} point {tenth}" if tenth else said


def shortened(text: str, most: int) -> str:
    """The first words, ``most`` of them at most: whole clauses if that leaves half of them, else up to a word that can end."""
    words = text.split()
    if len(words) <= most:
        return text
    kept = words[: max(most, 1)]
    for end in range(len(kept), (len(kept) + 1) // 2 - 1, -1):
        if kept[end - 1][-1] in ".,:;!?":
            return " ".join(kept[:end]).rstrip(".,:;")
    while len(kept) > 1 and kept[-1].lower() in _DANGLING:
        kept.pop()
    return " ".join(kept).rstrip(".,:;")
