# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC in a profile: which messages of another program are a control, and which message is sent to one.

``/track/{n:1..8}/volume`` is a row of eight controls; ``/grid/key {x:0..7} {y:0..7}`` tells them apart by arguments. What is
captured stands in the bindings as ``{n}``. ``127.0.0.1:9001 /cue/{n}/level vv`` is a message: to whom, address, arguments.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from appliance.control.mapping.forms import HIGHEST_PARAMETER

MOST_CONTROLS = 2048
VALUE = "vv"
_CAPTURE = re.compile(r"\{([^}]*)\}")
_NAMED = re.compile(r"(?:([a-z][a-z0-9_-]*)\s*:)?\s*(.+)")
_PLAIN = re.compile(r"[^\s#*,?\[\]{}]*")
_WORD = re.compile(r"[^\s#*,?\[\]{}/|]+")
Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class OscControl:
    """One control of a program: its address, the arguments that it must have, as ``(place from 0, value)``, where its own value
    stands, and what was captured, by name."""

    address: str
    arguments: tuple[tuple[int, int | str], ...]
    place: int
    captured: tuple[tuple[str, str], ...]

    def is_meant(self, args: tuple[Any, ...]) -> bool:
        return all(place < len(args) and _same(args[place], wanted) for place, wanted in self.arguments)


@dataclass(frozen=True, slots=True)
class OscMessage:
    """What is sent: ``peer`` None is the program that the profile is for; VALUE among ``args`` is the control's value."""

    peer: Peer | None
    address: str
    args: tuple[str | int | float, ...]


@lru_cache(maxsize=512)
def read_controls(text: str, argument: int | None = None) -> tuple[OscControl, ...]:
    """The row of controls that a form means; ``argument`` counts from 1. Raises ValueError."""
    address, *arguments = text.split(" ") if "{" not in text else _split(text)
    if not address.startswith("/") or address.endswith("/") or "//" in address:
        raise ValueError(f"{text!r} is no OSC address, like /track/{{n:1..8}}/volume")
    names: list[str] = []
    choices: list[tuple[int | str, ...]] = []

    def capture(inside: str) -> None:
        name, values = _captured(text, inside)
        if name in names:
            raise ValueError(f"{text!r} has {{{name}}} twice")
        names.append(name)
        choices.append(values)

    for inside in _CAPTURE.findall(address):
        capture(inside)
    if not _PLAIN.fullmatch(_CAPTURE.sub("", address)):
        raise ValueError(f"{text!r} is no OSC address: besides captures like {{n:1..8}} it has no signs of patterns")
    by_address = len(names)
    for word in arguments:
        if not _CAPTURE.fullmatch(word):
            raise ValueError(f"{text!r}: after the address stand captures of arguments, like {{x:0..7}}, not {word!r}")
        capture(word[1:-1])
    place = len(arguments) if argument is None else argument - 1
    if place < len(arguments):
        raise ValueError(f"argument {argument} of {text!r} says which control it is; the value is another one")
    count = 1
    for values in choices:
        count *= len(values)
    if count > MOST_CONTROLS:
        raise ValueError(f"{text!r} means {count} controls; {MOST_CONTROLS} at most")
    return tuple(_control(address, place, by_address, tuple(names), values) for values in product(*choices))


def _split(text: str) -> list[str]:
    """At spaces, but for those inside a capture."""
    return re.sub(r"\{[^}]*\}", lambda found: found[0].replace(" ", ""), text).split()


def _captured(text: str, inside: str) -> tuple[str, tuple[int | str, ...]]:
    found = _NAMED.fullmatch(inside.strip())
    if found is None or re.fullmatch(r"[a-z][a-z0-9_-]*", inside.strip()):
        raise ValueError(f"{text!r}: say which numbers or words {{{inside}}} may be, as in {{{inside.strip() or 'n'}:1..8}}")
    name, values = found[1] or "n", found[2].strip()
    if row := re.fullmatch(r"(\d{1,5})\s*\.\.\s*(\d{1,5})", values):
        first, last = int(row[1]), int(row[2])
        if max(first, last) > HIGHEST_PARAMETER:
            raise ValueError(f"{text!r}: numbers are 0 … {HIGHEST_PARAMETER}")
        return name, tuple(range(first, last + 1) if first <= last else range(first, last - 1, -1))
    words = [word.strip() for word in values.split("|")]
    if not all(_WORD.fullmatch(word) for word in words) or len(set(words)) != len(words):
        raise ValueError(f"{text!r}: {{{inside}}} is a range like {{n:1..8}} or words like {{part:drums|bass}}")
    return name, tuple(int(word) if word.isdigit() and str(int(word)) == word else word for word in words)


def _control(address: str, place: int, by_address: int, names: tuple[str, ...], values: tuple[int | str, ...]) -> OscControl:
    left = iter(values)
    filled = _CAPTURE.sub(lambda _: str(next(left)), address)
    return OscControl(filled, tuple(enumerate(values[by_address:])), place, tuple(zip(names, map(str, values), strict=True)))


def _same(given: Any, wanted: int | str) -> bool:
    if isinstance(given, str):
        return given == str(wanted)
    return isinstance(wanted, int) and isinstance(given, int | float) and not isinstance(given, bool) and given == wanted


@lru_cache(maxsize=512)
def read_message(text: str) -> OscMessage:
    """``[HOST:PORT] /address [argument …]``. Raises ValueError."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError(f"{text!r}: a quotation mark is not closed") from None
    peer = read_peer(words.pop(0)) if words and not words[0].startswith("/") else None
    if not words or not words[0].startswith("/") or not _PLAIN.fullmatch(_CAPTURE.sub("", words[0])):
        raise ValueError(f"{text!r} is no OSC message, like 127.0.0.1:9001 /cue/1/level vv")
    return OscMessage(peer, words[0], tuple(_argument(word) for word in words[1:]))


def read_peer(text: str) -> Peer:
    """``HOST:PORT``. Raises ValueError."""
    found = re.fullmatch(r"([A-Za-z0-9._-]+):(\d{1,5})", text.strip())
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError(f"{text!r} is no place in the network, like 192.168.0.12:9001")
    return found[1], int(found[2])


def _argument(word: str) -> str | int | float:
    if re.fullmatch(r"[+-]?\d{1,9}", word):
        return int(word)
    return float(word) if re.fullmatch(r"[+-]?\d{0,9}\.\d{1,9}", word) else word
