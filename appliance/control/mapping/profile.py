# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile as data: how a device is recognised, what it has, what its controls do, what lights up.

The models check the form of the YAML; :mod:`appliance.control.mapping.check` checks what it means (addresses, doubles) and
tells the line. ``python -m appliance.control.mapping.profile`` prints the JSON Schema that editors use.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MIDI_MESSAGE_BYTES = 232


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _numbers(value: Any) -> list[int]:
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
        if not (0 <= first <= 127 and 0 <= last <= 127):
            raise ValueError(f"{item}: MIDI numbers are 0 … 127")
        out.extend(range(first, last + 1) if first <= last else range(first, last - 1, -1))
    if not out:
        raise ValueError("no numbers")
    return out


def _channels(value: Any) -> list[int]:
    if value == "any":
        return list(range(1, 17))
    channels = _numbers(value)
    if any(not 1 <= channel <= 16 for channel in channels):
        raise ValueError("MIDI channels are 1 … 16, or any")
    return channels


def _bytes(value: Any) -> bytes:
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
_LIST: Any = {"anyOf": [*_RANGE["anyOf"], {"type": "array", "items": _RANGE}]}
_ANY_LIST: Any = {"anyOf": [{"const": "any"}, *_LIST["anyOf"]]}
Numbers = Annotated[list[int], BeforeValidator(_numbers), Field(json_schema_extra=_LIST)]
Channels = Annotated[list[int], BeforeValidator(_channels), Field(json_schema_extra=_ANY_LIST)]
Bytes = Annotated[bytes, BeforeValidator(_bytes), Field(json_schema_extra={"type": "string"})]


NamePart = Annotated[str, Field(min_length=2)]


class Device(Section):
    """How the device is recognised: by parts of its ports' names (``*`` stands for anything), in any case."""

    match: list[NamePart] = Field([], description="part of the name of the port that it sends from")
    output: list[NamePart] = Field([], description="part of the name of the port that its lamps hear; left out: as match")
    exclude: list[NamePart] = Field([], description="part of the names of its ports that are not meant")
    identity: Bytes | None = Field(None, description="answer to the identity request, for checks by a person")
    fallback: bool = Field(False, description="the profile of every port that no other profile claims")

    @model_validator(mode="after")
    def _recognisable(self) -> Device:
        if not self.match and not self.fallback:
            raise ValueError("say how the device is recognised: match: [part of its port's name]")
        return self


class Source(StrEnum):
    NOTE = "note"
    CC = "cc"
    BEND = "bend"


class Surface(Section):
    """One control, or a row of equal ones numbered from 1 in the order given."""

    note: Numbers | None = Field(None, description="note numbers")
    cc: Numbers | None = Field(None, description="controller numbers")
    bend: Literal[True] | None = Field(None, description="pitch bend, 14 bits; with several channels a row of them")
    channel: Channels = Field([1], description="MIDI channels 1 … 16, or any")

    @model_validator(mode="after")
    def _one_source(self) -> Surface:
        given = [s.value for s in Source if getattr(self, s.value) is not None]
        if len(given) != 1:
            raise ValueError(f"a control is one of note, cc, bend; here {' and '.join(given) or 'none'} is given")
        return self

    @property
    def source(self) -> Source:
        return next(s for s in Source if getattr(self, s.value) is not None)

    @property
    def count(self) -> int:
        """How many controls the row has."""
        if self.source is Source.BEND:
            return len(self.channel)
        return len(getattr(self, self.source.value))

    def messages(self, member: int) -> list[tuple[int, int]]:
        """``(status of press or move, data 1)`` of member 1…: one a channel. Pitch bend has no data 1 of its own: -1."""
        if self.source is Source.BEND:
            return [(0xE0 + self.channel[member - 1] - 1, -1)]
        number = getattr(self, self.source.value)[member - 1]
        status = 0x90 if self.source is Source.NOTE else 0xB0
        return [(status + channel - 1, number) for channel in self.channel]


class Mode(StrEnum):
    """What a control does with its address."""

    AUTO = "auto"  # by what the address is: see docs/profiles.md
    FOLLOW = "follow"  # the value follows the control
    TOGGLE = "toggle"  # a press swaps the two ends of the range
    HOLD = "hold"  # one end while held, the other after
    SET = "set"  # a press sets `value`
    PRESS = "press"  # a press does the action; the release does nothing
    RELATIVE = "relative"  # an endless encoder


class Curve(StrEnum):
    LINEAR = "linear"
    LOG = "log"
    CENTRE = "centre"  # the middle of the travel (64) is exactly the middle of the range
    SQUARE = "square"


class Encoding(StrEnum):
    """How an endless encoder says which way and how far."""

    TWOS = "twos"  # 1, 2 … up; 127, 126 … down
    OFFSET = "offset"  # 65, 66 … up; 63, 62 … down
    SIGN = "sign"  # 1, 2 … up; 65, 66 … down


NOT_YET = {
    "takeover": "soft take-over", "when": "conditions", "layer": "layers", "hold_s": "gestures", "jog": "jog wheels",
}
"""Options that are planned: named, so that the refusal can say so."""


class Binding(Section):
    """What a control does. ``N`` in the address is the control's number in its row, ``N+4`` counts on from it."""

    to: str = Field(description="address; N stands for the control's number, as in /pad/N/trigger")
    mode: Mode = Mode.AUTO
    range: tuple[float, float] | None = Field(None, description="values at the two ends; turned round, it inverts")
    curve: Curve | None = Field(None, description="left out: the address's own scaling")
    value: Any = Field(None, description="for set and press: what is sent")
    velocity: bool = Field(True, description="false: every hit is a full one")
    encoding: Encoding = Encoding.TWOS
    step: float = Field(1 / 128, gt=0, le=1, description="for relative: travel 0…1 of one tick")

    @model_validator(mode="before")
    @classmethod
    def _not_yet(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"to": value}
        if isinstance(value, list):
            raise ValueError("several targets of one control are not supported yet; give one address")
        if isinstance(value, dict):
            if isinstance(value.get("to"), list):
                raise ValueError("several targets of one control are not supported yet; give one address")
            for name, what in NOT_YET.items():
                if name in value:
                    raise ValueError(f"{what} ({name}) are not supported yet; take the line out")
        return value


class Lamp(Section):
    """One way of lighting: how the device takes a colour and a brightness.

    A lamp is lit by the message that its control sends (note on or controller) with the values given here. (The fields are
    not called on and off, because YAML reads those words as true and false.)
    """

    kind: Literal["one-colour", "palette"] = Field(description="the value says lit or dark, or it says the colour")
    lit: int = Field(127, ge=0, le=127, description="one-colour: value of a lit lamp")
    dark: int = Field(0, ge=0, le=127, description="value of a dark lamp")
    dim: int | None = Field(None, ge=0, le=127, description="one-colour: value of a dim lamp, where the device has it")
    colours: dict[str, Annotated[int, Field(ge=0, le=127)]] = Field({}, description="palette: value of each colour by name")
    levels: Channels | None = Field(None, description="palette: channels from the dimmest to the brightest")

    @model_validator(mode="after")
    def _complete(self) -> Lamp:
        if self.kind == "palette" and "white" not in self.colours:
            raise ValueError("a palette needs at least the colour white")
        if unknown := sorted(set(self.colours) - set(COLOURS)):
            raise ValueError(f"{unknown[0]} is no colour of the LED language; they are {', '.join(COLOURS)}")
        return self


COLOURS = ("white", "red", "orange", "yellow", "green", "cyan", "blue", "violet", "pink")
"""Colours of the LED language; a palette that lacks one shows white."""


class Feedback(Section):
    """What a control's lamp shows: a thing that speaks the LED language (``/pad/N``, ``/scene/N``), or an address on or off."""

    shows: str = Field(description="/pad/N: the pad's state; else an address whose value lights the lamp")
    lamp: str = Field("", description="which of `lamps`; left out: the first")
    colour: str = Field("white", description="colour of a lamp that shows an address")
    equals: Any = Field(None, description="light when the address has this value (N counts here too)")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"shows": value} if isinstance(value, str) else value


class Profile(Section):
    """A whole profile file."""

    profile: Literal[1] = Field(description="version of the format")
    name: str = Field(min_length=1, max_length=80)
    doc: str = ""
    device: Device
    init: list[Bytes] = Field([], description="messages sent to the device when it comes")
    exit: list[Bytes] = Field([], description="messages sent to it when the box lets it go")
    surface: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9 _-]*$")], Surface]
    bindings: dict[str, Binding] = {}
    lamps: dict[str, Lamp] = {}
    feedback: dict[str, Feedback] = {}

    @model_validator(mode="before")
    @classmethod
    def _not_yet(cls, value: Any) -> Any:
        if isinstance(value, dict) and "layers" in value:
            raise ValueError("layers are not supported yet; bind the controls directly")
        return value


def schema() -> dict[str, Any]:
    """The JSON Schema of a profile file, with the short forms that the reader also takes."""
    tree = Profile.model_json_schema()
    tree["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for name in ("bindings", "feedback"):
        reference = tree["properties"][name]["additionalProperties"]
        tree["properties"][name]["additionalProperties"] = {"anyOf": [{"type": "string"}, reference]}
    _plain(tree)
    return tree


def _plain(part: Any) -> None:
    """Where a reader takes text for what the model keeps as numbers, the written form counts."""
    if isinstance(part, dict):
        if "anyOf" in part and part.get("type") == "array":
            del part["type"]
            part.pop("items", None)
        for inner in part.values():
            _plain(inner)
    elif isinstance(part, list):
        for inner in part:
            _plain(inner)


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
