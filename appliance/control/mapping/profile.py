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

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from appliance.control.mapping.forms import (
    HIGHEST_DATA,
    LIST,
    Bytes,
    Channels,
    Numbers,
    Section,
    message_template,
    read_bytes,
)
from appliance.control.mapping.oscforms import read_message
from appliance.control.mapping.sources import (
    BUTTONS,
    BY_CHANNEL,
    KIND,
    STATUS,
    WHOLE,
    Device,
    DeviceKind,
    Encoding,
    Source,
    Surface,
)

__all__ = ["BUTTONS", "BY_CHANNEL", "KIND", "STATUS", "WHOLE", "Binding", "Curve", "Device", "DeviceKind", "Encoding",
           "Feedback", "Lamp", "Layer", "Mode", "Profile", "Source", "Surface", "Takeover", "message_template", "schema",
           "schema_text"]


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
    osc: str | None = Field(None, description="an OSC message instead, such as 127.0.0.1:9001 /cue/1/level vv")
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
        if (self.to is not None) + (self.midi is not None) + (self.osc is not None) != 1:
            raise ValueError("say what it does, one of: to: an address, midi: a message, osc: a message to a program")
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
        if self.osc is not None:
            read_message(self.osc)
        return self


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
                            json_schema_extra=LIST)

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
    read_bytes(" ".join(("90" if at == 0 else "00") if open_ else word
                        for at, (word, open_) in enumerate(zip(words, variable, strict=True))))
    return [word if open_ else int(word, 16) for word, open_ in zip(words, variable, strict=True)]


def _message(text: str) -> str:
    read_message(text)
    return text


class Feedback(Section):
    """What a control's lamp shows: a thing that speaks the LED language (``/pad/N``, ``/scene/N``), or an address on or off."""

    shows: str = Field(description="/pad/N: the pad's state; else an address whose value lights the lamp")
    lamp: str = Field("", description="which of `lamps`; left out: the first")
    colour: str = Field("white", description="colour of a lamp that shows an address")
    equals: Any = Field(None, description="light when the address has this value (N counts here too)")
    above: float | None = Field(None, description="light when the address's value is above this")
    range: tuple[float, float] | None = Field(None, description="ring, meter: values at the two ends; left out: the address's, "
                                              "of a meter -48 … 0 dB")
    osc: Annotated[str, AfterValidator(_message)] = Field(
        "", description="of a program: the message that tells it, with vv; left out: the control's own address")

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
    layers: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")], Layer] = Field({})
    takeover: Takeover | None = Field(None, description="of all its bindings; left out: pickup in layers, else jump")
    bindings: dict[str, Bindings] = Field({})
    roles: dict[str, str] = Field({}, description="controls that stand for a thing, such as pad: /pad/N; its gestures and lamp")
    lamps: dict[str, Lamp] = Field({})
    feedback: dict[str, Feedback] = Field({})
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
