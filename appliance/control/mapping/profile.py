# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile as data: how a device is recognised, what it has, what its controls do, what lights up.

The models check the form of the YAML; :mod:`appliance.control.mapping.check` checks what it means (addresses, doubles) and
tells the line. ``python -m appliance.control.mapping.profile`` prints the JSON Schema that editors use.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

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
_PARAMETER: Any = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": HIGHEST_PARAMETER}, _RANGE["anyOf"][1]]}
_PARAMETERS: Any = {"anyOf": [*_PARAMETER["anyOf"], {"type": "array", "items": _PARAMETER}]}
_ANY_LIST: Any = {"anyOf": [{"const": "any"}, *_LIST["anyOf"]]}
Numbers = Annotated[list[int], BeforeValidator(_numbers), Field(json_schema_extra=_LIST)]
Parameters = Annotated[list[int], BeforeValidator(_parameters), Field(json_schema_extra=_PARAMETERS)]
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
    CC14 = "cc14"
    BEND = "bend"
    PRESSURE = "pressure"
    POLY = "poly"
    NRPN = "nrpn"
    RPN = "rpn"
    PROGRAM = "program"


BY_CHANNEL = (Source.BEND, Source.PRESSURE)
"""Sources that a channel has one of: a row of them is a row of channels."""
WHOLE = (Source.CC14, Source.BEND, Source.NRPN, Source.RPN)
"""Those of 14 bits."""
STATUS = {Source.NOTE: 0x90, Source.POLY: 0xA0, Source.CC: 0xB0, Source.CC14: 0xB0, Source.NRPN: 0xB0, Source.RPN: 0xB0,
          Source.PROGRAM: 0xC0, Source.PRESSURE: 0xD0, Source.BEND: 0xE0}


class Encoding(StrEnum):
    """How an endless encoder says which way and how far."""

    TWOS = "twos"  # 1, 2 … up; 127, 126 … down
    OFFSET = "offset"  # 65, 66 … up; 63, 62 … down
    SIGN = "sign"  # 1, 2 … up; 65, 66 … down


class Surface(Section):
    """One control, or a row of equal ones numbered from 1 in the order given."""

    note: Numbers | None = Field(None, description="note numbers")
    cc: Numbers | None = Field(None, description="controller numbers")
    cc14: Numbers | None = Field(None, description="controllers of 14 bits: the numbers of their coarse halves")
    bend: Literal[True] | None = Field(None, description="pitch bend, 14 bits; with several channels a row of them")
    pressure: Literal[True] | None = Field(None, description="channel pressure; with several channels a row of them")
    poly: Numbers | None = Field(None, description="polyphonic pressure: note numbers")
    nrpn: Parameters | None = Field(None, description="non-registered parameters, 0 … 16383")
    rpn: Parameters | None = Field(None, description="registered parameters, 0 … 16383")
    program: Numbers | None = Field(None, description="program changes: a press each")
    channel: Channels = Field([1], description="MIDI channels 1 … 16, or any")
    by_channel: bool = Field(False, description="each channel has controls of its own: those of the first channel come first")
    fine: Numbers | None = Field(None, description="cc14: the numbers of the fine halves; left out: 32 above the coarse ones")
    fine_first: bool = Field(False, description="cc14: the device sends the fine half before the coarse one")
    encoder: Encoding | None = Field(None, description="cc: an endless encoder, and how it says which way and how far")

    per_turn: int | None = Field(None, ge=1, le=100_000, description="cc: ticks of a full turn of an encoder, for jog wheels")

    @model_validator(mode="after")
    def _one_source(self) -> Surface:
        given = [s.value for s in Source if getattr(self, s.value) is not None]
        if len(given) != 1:
            kinds = ", ".join(Source)
            raise ValueError(f"a control is one of {kinds}; here {' and '.join(given) or 'none'} is given")
        if self.per_turn is not None and self.encoder is None:
            raise ValueError("per_turn is for endless encoders: say how it counts, encoder: twos, offset or sign")
        if self.encoder is not None and self.source is not Source.CC:
            raise ValueError(f"an endless encoder sends controllers (cc), not {self.source.value}")
        if (self.fine is not None or self.fine_first) and self.source is not Source.CC14:
            raise ValueError("only cc14 has fine halves")
        if self.source is Source.CC14 and len(self.fine_numbers) != len(self.cc14 or []):
            raise ValueError("fine needs as many numbers as cc14")
        if self.by_channel and self.source in BY_CHANNEL:
            raise ValueError(f"a row of {self.source.value} is one of channels anyhow; by_channel is for those with numbers")
        if self.source is Source.CC14 and max(self.fine_numbers) > HIGHEST_DATA:
            raise ValueError("coarse halves are 0 … 95, or say which the fine ones are: fine: 96")
        return self

    @cached_property
    def source(self) -> Source:
        return next(s for s in Source if getattr(self, s.value) is not None)

    @property
    def count(self) -> int:
        """How many controls the row has."""
        if self.source in BY_CHANNEL:
            return len(self.channel)
        return len(getattr(self, self.source.value)) * (len(self.channel) if self.by_channel else 1)

    def place(self, member: int) -> tuple[list[int], int]:
        """Channels of member 1…, and its number's place in the list of numbers."""
        if self.source in BY_CHANNEL:
            return [self.channel[member - 1]], 0
        if not self.by_channel:
            return self.channel, member - 1
        at, number = divmod(member - 1, len(getattr(self, self.source.value)))
        return [self.channel[at]], number

    @property
    def fine_numbers(self) -> list[int]:
        """Of 14-bit controllers: the numbers of the fine halves."""
        return self.fine if self.fine is not None else [number + 32 for number in self.cc14 or []]

    def fine_messages(self, member: int) -> list[tuple[int, int]]:
        """Of a 14-bit controller: the fine half's, one a channel."""
        if self.source is not Source.CC14:
            return []
        channels, at = self.place(member)
        return [(STATUS[self.source] + channel - 1, self.fine_numbers[at]) for channel in channels]

    def messages(self, member: int) -> list[tuple[int, int]]:
        """``(status of press or move, data 1)`` of member 1…: one a channel. What a channel has one of has no data 1 of its
        own: -1. Of 14-bit controllers the coarse half's. Parameters have no one message that they are told by: none."""
        channels, at = self.place(member)
        if self.source in (Source.NRPN, Source.RPN):
            return []
        number = -1 if self.source in BY_CHANNEL else getattr(self, self.source.value)[at]
        return [(STATUS[self.source] + channel - 1, number) for channel in channels]


class Mode(StrEnum):
    """What a control does with its address."""

    AUTO = "auto"  # by what the address is: see docs/profiles.md
    FOLLOW = "follow"  # the value follows the control
    TOGGLE = "toggle"  # a press swaps the two ends of the range
    HOLD = "hold"  # one end while held, the other after
    SET = "set"  # a press sets `value`
    STEP = "step"  # a press adds `value`
    PRESS = "press"  # a press does the action; the release does nothing
    RELATIVE = "relative"  # an endless encoder


class Curve(StrEnum):
    LINEAR = "linear"
    LOG = "log"
    CENTRE = "centre"  # the middle of the travel (64) is exactly where the address rests: 0 dB, no filter
    SQUARE = "square"


class Takeover(StrEnum):
    """What a control does that stands elsewhere than its value."""

    JUMP = "jump"  # the value jumps to it
    PICKUP = "pickup"  # nothing until it has passed the value
    SCALE = "scale"  # the rest of its travel moves the value over the rest of its range


class Layer(Section):
    """What a control does depends on it: shift, a mode, the deck that a half of the device plays."""

    hold: str | None = Field(None, description="the button that turns it on while it is held")
    toggle: str | None = Field(None, description="the button that turns it on and off")
    choose: str | None = Field(None, description="a row of buttons, each of which chooses its number")
    cycle: str | None = Field(None, description="the button that goes on to the next of `values`")
    values: list[Annotated[int, Field(ge=0, le=999)]] = Field([], description="choose, cycle: the numbers; left out: 1, 2, …")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"hold": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way(self) -> Layer:
        ways = [name for name in ("hold", "toggle", "choose", "cycle") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(f"a layer has one of hold, toggle, choose, cycle; here {' and '.join(ways) or 'none'} is given")
        if self.values and self.way in ("hold", "toggle"):
            raise ValueError(f"{self.way} is on or off and has no values")
        if len(set(self.values)) != len(self.values):
            raise ValueError("values has a number twice")
        if self.way == "cycle" and len(self.values) < 2:
            raise ValueError("cycle needs values to go through, such as values: [1, 3]")
        return self

    @property
    def way(self) -> str:
        return next(name for name in ("hold", "toggle", "choose", "cycle") if getattr(self, name) is not None)


Amount = bool | int | float | str
"""A value as YAML has it."""


class Binding(Section):
    """What a control does. ``N`` in the address is the control's number in its row, ``N+4`` counts on from it; ``{deck}`` is
    the value of the layer ``deck``."""

    to: str | list[Binding] | None = Field(None, description="address, as in /pad/N/trigger; a list: all of them")
    midi: str | None = Field(None, description="a message to the device instead, such as B0 10 vv; vv: the control's value")
    mode: Mode = Mode.AUTO
    range: tuple[float, float] | None = Field(None, description="values at the two ends; turned round, it inverts")
    curve: Curve | None = Field(None, description="left out: the address's own scaling")
    value: Any = Field(None, description="for set and press: what is sent; for step: what is added")
    values: list[Any] = Field([], description="for a row: what each of its controls sends, or what it is while it is held")
    velocity: bool = Field(True, description="false: every hit is a full one")
    step: float | None = Field(None, gt=0, le=1, description="encoders: travel of a tick, all is 1; else 1/128")
    faster: float = Field(1.0, ge=1, le=32, description="encoders: so many times as far when turned fast")
    takeover: Takeover | None = Field(None, description="what a control does that stands elsewhere than its value")
    when: dict[str, Amount] = Field({}, description="only while these addresses have these values")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"to": value}
        if isinstance(value, list):
            return {"to": value}
        return value

    @model_validator(mode="after")
    def _one_target(self) -> Binding:
        if (self.to is None) == (self.midi is None):
            raise ValueError("say what it does: to: an address, or midi: a message")
        if self.values and "value" in self.model_fields_set:
            raise ValueError("either one value, or values for each of the row")
        if isinstance(self.to, list):
            if not self.to:
                raise ValueError("to has no addresses")
            if extra := sorted(self.model_fields_set - {"to", "when"}):
                raise ValueError(f"with several targets, {extra[0]} belongs to one of them: to: [{{to: …, {extra[0]}: …}}, …]")
            for one in self.to:
                if isinstance(one.to, list) or one.when:
                    raise ValueError("each of several targets is an address with settings; conditions stand with the whole")
        if self.midi is not None:
            message_template(self.midi)
        return self


def message_template(text: str) -> list[int | None]:
    """``B0 10 vv`` as bytes; None where the control's value goes. Raises ValueError."""
    words = text.split()
    if not all(re.fullmatch(r"[0-9A-Fa-f]{2}|[vV]{2}", word) for word in words):
        raise ValueError(f"{text!r} is not hexadecimal, like B0 10 vv")
    data = _bytes(" ".join("00" if word.lower() == "vv" else word for word in words))
    return [None if word.lower() == "vv" else byte for word, byte in zip(words, data, strict=True)]


def _alternatives(value: Any) -> Any:
    """One binding, or several of which the first counts whose conditions hold."""
    return value if isinstance(value, list) else [value]


Bindings = Annotated[list[Binding], BeforeValidator(_alternatives), Field(min_length=1)]


COLOURS = ("white", "red", "orange", "yellow", "green", "cyan", "blue", "violet", "pink")
"""Colours of the LED language; a palette that lacks one shows white."""
Shade = Annotated[int, Field(ge=0, le=HIGHEST_DATA)]


class Lamp(Section):
    """One way of lighting: how the device takes a colour and a brightness, or a place on a ring or a bar.

    A lamp is lit by the message that its control sends (note on or controller) with the values given here, unless ``message``
    says another one. (The fields are not called on and off, because YAML reads those words as true and false.)
    """

    kind: Literal["one-colour", "palette", "numbers", "rgb", "ring", "meter"] = Field(
        description="the value says lit or dark; or it says the colour; the colour is added to the number; red, green and blue "
                    "in a message; a value's place; a level in dB")
    lit: int = Field(127, ge=0, le=127, description="one-colour, numbers: value of a lit lamp")
    dark: int = Field(0, ge=0, le=127, description="value of a dark lamp")
    dim: int | None = Field(None, ge=0, le=127, description="one-colour: value of a dim lamp, where the device has it")
    colours: dict[str, Shade | Annotated[list[Shade], Field(min_length=1)]] = Field(
        {}, description="palette: value of each colour by name, or its values from dim to bright; numbers: what is added")
    levels: Channels | None = Field(None, description="palette: channels from the dimmest to the brightest")
    message: str | None = Field(
        None, description="the message, where it is another: nn the control's number, ss its status, N-1 its number in the row "
                          "less 1, vv the value, rr gg bb the colour")
    most: int = Field(127, ge=1, le=127, description="rgb: value of full red, green or blue")
    values: Numbers = Field(list(range(128)), description="ring, meter: values from the least to the most",
                            json_schema_extra=_LIST)

    @model_validator(mode="after")
    def _complete(self) -> Lamp:
        if self.kind in ("palette", "numbers") and "white" not in self.colours:
            raise ValueError(f"{self.kind} needs at least the colour white")
        if unknown := sorted(set(self.colours) - set(COLOURS)):
            raise ValueError(f"{unknown[0]} is no colour of the LED language; they are {', '.join(COLOURS)}")
        if self.kind == "numbers" and any(isinstance(value, list) for value in self.colours.values()):
            raise ValueError("numbers: one number for each colour, that is added to the control's")
        if self.kind == "rgb" and (self.message is None or not {"rr", "gg", "bb"} <= set(self.message.lower().split())):
            raise ValueError("rgb needs the message that the device takes, such as F0 00 20 29 02 0D 03 03 nn rr gg bb F7")
        if self.message is not None:
            lamp_template(self.message)
        return self


def lamp_template(text: str) -> list[int | str]:
    """A lamp's message: bytes, and the words that stand for one. Raises ValueError."""
    words = [word if re.fullmatch(r"N([+-]\d{1,3})?", word) else word.lower() for word in text.split()]
    variable = [word[0] == "N" or word in ("nn", "ss", "vv", "rr", "gg", "bb") for word in words]
    if not all(open_ or re.fullmatch(r"[0-9a-f]{2}", word) for word, open_ in zip(words, variable, strict=True)):
        raise ValueError(f"{text!r} is not hexadecimal, like B0 nn vv; nn, ss, vv, rr, gg, bb and N-1 are what varies")
    _bytes(" ".join(("90" if at == 0 else "00") if open_ else word
                    for at, (word, open_) in enumerate(zip(words, variable, strict=True))))
    return [word if open_ else int(word, 16) for word, open_ in zip(words, variable, strict=True)]


class Feedback(Section):
    """What a control's lamp shows: a thing that speaks the LED language (``/pad/N``, ``/scene/N``), or an address on or off."""

    shows: str = Field(description="/pad/N: the pad's state; else an address whose value lights the lamp")
    lamp: str = Field("", description="which of `lamps`; left out: the first")
    colour: str = Field("white", description="colour of a lamp that shows an address")
    equals: Any = Field(None, description="light when the address has this value (N counts here too)")
    above: float | None = Field(None, description="light when the address's value is above this")
    range: tuple[float, float] | None = Field(None, description="ring, meter: values at the two ends; left out: the address's, "
                                              "of a meter -48 … 0 dB")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"shows": value} if isinstance(value, str) else value


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9 _-]*$")]


class Profile(Section):
    """A whole profile file."""

    profile: Literal[1] = Field(description="version of the format")
    name: str = Field(min_length=1, max_length=80)
    doc: str = ""
    device: Device
    init: list[Bytes] = Field([], description="messages sent to the device when it comes")
    exit: list[Bytes] = Field([], description="messages sent to it when the box lets it go")
    surface: dict[Name, Surface]
    layers: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")], Layer] = {}
    takeover: Takeover | None = Field(None, description="of all its bindings; left out: pickup in layers, else jump")
    bindings: dict[str, Bindings] = {}
    roles: dict[str, str] = Field({}, description="controls that stand for a thing, such as pad: /pad/N; its gestures and lamp")
    lamps: dict[str, Lamp] = {}
    feedback: dict[str, Feedback] = {}
    picture: list[str] = Field([], description="the device seen from above, row by row: pad 1..4, knob 1, -")


def schema() -> dict[str, Any]:
    """The JSON Schema of a profile file, with the short forms that the reader also takes."""
    tree = Profile.model_json_schema()
    tree["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    short = {"type": "string"}
    parts = tree["properties"]
    parts["feedback"]["additionalProperties"] = {"anyOf": [short, {"$ref": "#/$defs/Feedback"}]}
    for pattern in parts["layers"]["patternProperties"]:
        parts["layers"]["patternProperties"][pattern] = {"anyOf": [short, {"$ref": "#/$defs/Layer"}]}
    one = {"anyOf": [short, {"$ref": "#/$defs/Binding"}]}
    parts["bindings"]["additionalProperties"] = {"anyOf": [*one["anyOf"], {"type": "array", "items": one}]}
    to = tree["$defs"]["Binding"]["properties"]["to"]
    to["anyOf"] = [short, {"type": "array", "items": one}]
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
