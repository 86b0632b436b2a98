# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a Mixxx mapping file: its controls and its outputs, in whatever case its tags are written."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import BadFile

FILE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MixxxControl:
    """A message and what it does there. ``options`` in lower case; ``number`` is -1 where the file has none."""

    status: int
    number: int
    group: str
    key: str
    options: frozenset[str]


@dataclass(frozen=True, slots=True)
class MixxxOutput:
    """A lamp: the message with ``lit`` while the key's value is within the limits, else with ``dark``."""

    status: int
    number: int
    group: str
    key: str
    lit: int
    dark: int
    minimum: float
    maximum: float


@dataclass(slots=True)
class MixxxMapping:
    """``unread``: entries that are no messages, in words."""

    name: str
    author: str = ""
    device: str = ""
    controls: list[MixxxControl] = field(default_factory=list)
    outputs: list[MixxxOutput] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def read_mixxx(path: Path) -> MixxxMapping:
    """Raises BadFile for what is no such file."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise BadFile(f"{path}: larger than {FILE_BYTES >> 20} MB; a mapping is a few hundred kB")
        text = path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path}: cannot be read ({error.strerror})") from None
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat limits entities, and loads none
    except ET.ParseError as error:
        raise BadFile(f"{path}: no XML ({error})") from None
    controller = next((one for one in root.iter() if _tag(one) == "controller"), None)
    if controller is None:
        raise BadFile(f"{path}: no Mixxx mapping of a MIDI controller (it has no <controller>)")
    words = {_tag(one): (one.text or "").strip() for info in root if _tag(info) == "info" for one in info}
    mapping = MixxxMapping(words.get("name") or path.name.removesuffix(".midi.xml"), words.get("author", ""),
                           controller.get("id", "").strip())
    for one in controller.iter():
        if _tag(one) == "control":
            _control(mapping, one)
        elif _tag(one) == "output":
            _output(mapping, one)
    return mapping


def _tag(one: ET.Element) -> str:
    return str(one.tag).rsplit("}", 1)[-1].lower()


def _words(one: ET.Element) -> dict[str, str]:
    return {_tag(part): (part.text or "").strip() for part in one}


def _control(mapping: MixxxMapping, one: ET.Element) -> None:
    words = _words(one)
    options = frozenset(_tag(option) for part in one if _tag(part) == "options" for option in part)
    status, number = _whole(words.get("status")), _whole(words.get("midino"))
    group, key = words.get("group", ""), words.get("key", "")
    if status is None or not 0x80 <= status <= 0xEF or (number is not None and not 0 <= number <= 127):
        mapping.unread.append(f"{group} {key}: {words.get('status', '')} {words.get('midino', '')} is no message".strip())
        return
    mapping.controls.append(MixxxControl(status, -1 if number is None else number, group, key, options))


def _output(mapping: MixxxMapping, one: ET.Element) -> None:
    words = _words(one)
    status, number = _whole(words.get("status")), _whole(words.get("midino"))
    group, key = words.get("group", ""), words.get("key", "")
    if status is None or not 0x80 <= status <= 0xBF or number is None or not 0 <= number <= 127:
        mapping.unread.append(f"lamp of {group} {key}: {words.get('status')} {words.get('midino')} is no message")
        return
    lit, dark = _whole(words.get("on")), _whole(words.get("off"))
    mapping.outputs.append(MixxxOutput(
        status, number, group, key, 127 if lit is None else lit & 127, 0 if dark is None else dark & 127,
        _number(words.get("minimum"), 0.0), _number(words.get("maximum"), 1.0)))


def _whole(text: str | None) -> int | None:
    """``0x90``, ``144``; None for anything else."""
    try:
        return int(text or "", 0)
    except ValueError:
        return None


def _number(text: str | None, default: float) -> float:
    try:
        return float(text or "")
    except ValueError:
        return default
