# SPDX-License-Identifier: GPL-3.0-or-later
"""How numbers, ranges, bytes and messages are written in a profile, and read."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MIDI_MESSAGE_BYTES = 232


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


HIGHEST_DATA = 127
HIGHEST_PARAMETER = 16383


def _numbers(value: Any, highest: int = HIGHEST_DATA) -> list[int]:
    """``7``, ``36..51``, ``51..36`` or a list of these as numbers in their order."""
    out: list[int] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool) or not isinstance(item, int | str):
            raise ValueError(f"{item!r} is neither a number nor a range like 36..51")
        found = re.fullmatch(r"\s*(\d{1,5})\s*(?:\.\.\s*(\d{1,5})\s*)?", str(item))
        if not found:
            raise ValueError(f"{item!r} is neither a number nor a range like 36..51")
        first = int(found[1])
        last = int(found[2]) if found[2] else first
        if not (0 <= first <= highest and 0 <= last <= highest):
            raise ValueError(f"{item}: MIDI numbers are 0 … {highest}")
        out.extend(range(first, last + 1) if first <= last else range(first, last - 1, -1))
        if len(out) > 16 * (HIGHEST_DATA + 1):
            raise ValueError(f"{len(out)} controls are more than a device has")
    if not out:
        raise ValueError("no numbers")
    return out


def _parameters(value: Any) -> list[int]:
    return _numbers(value, HIGHEST_PARAMETER)


def _channels(value: Any) -> list[int]:
    if value == "any":
        return list(range(1, 17))
    channels = _numbers(value)
    if any(not 1 <= channel <= 16 for channel in channels):
        raise ValueError("MIDI channels are 1 … 16, or any")
    return channels


def read_bytes(value: Any) -> bytes:
    """``F0 47 7F F7`` as bytes."""
    if not isinstance(value, str):
        raise ValueError('bytes are written as text in hexadecimal, like "F0 7E 7F 06 01 F7"')
    try:
        data = bytes.fromhex(value.replace(",", " "))
    except ValueError:
        raise ValueError(f"{value!r} is not hexadecimal, like F0 7E 7F 06 01 F7") from None
    if not 0 < len(data) <= MIDI_MESSAGE_BYTES:
        raise ValueError(f"a message has 1 … {MIDI_MESSAGE_BYTES} bytes, not {len(data)}")
    if data[0] < 0x80:
        raise ValueError(f"a message begins with a status byte (80 or above), not {data[0]:02X}")
    if data[0] == 0xF0 and data[-1] != 0xF7:
        raise ValueError("a SysEx message ends with F7")
    return data


_RANGE: Any = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 127}, {"type": "string", "pattern": r"^\d+(\.\.\d+)?$"}]}
LIST: Any = {"anyOf": [*_RANGE["anyOf"], {"type": "array", "items": _RANGE}]}
_PARAMETER: Any = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": HIGHEST_PARAMETER}, _RANGE["anyOf"][1]]}
_PARAMETERS: Any = {"anyOf": [*_PARAMETER["anyOf"], {"type": "array", "items": _PARAMETER}]}
_ANY_LIST: Any = {"anyOf": [{"const": "any"}, *LIST["anyOf"]]}
Numbers = Annotated[list[int], BeforeValidator(_numbers), Field(json_schema_extra=LIST)]
Parameters = Annotated[list[int], BeforeValidator(_parameters), Field(json_schema_extra=_PARAMETERS)]
Channels = Annotated[list[int], BeforeValidator(_channels), Field(json_schema_extra=_ANY_LIST)]
Bytes = Annotated[bytes, BeforeValidator(read_bytes), Field(json_schema_extra={"type": "string"})]


def message_template(text: str) -> list[int | None]:
    """``B0 10 vv`` as bytes; None where the control's value goes. Raises ValueError."""
    words = text.split()
    if not all(re.fullmatch(r"[0-9A-Fa-f]{2}|[vV]{2}", word) for word in words):
        raise ValueError(f"{text!r} is not hexadecimal, like B0 10 vv")
    data = read_bytes(" ".join("00" if word.lower() == "vv" else word for word in words))
    return [None if word.lower() == "vv" else byte for word, byte in zip(words, data, strict=True)]
