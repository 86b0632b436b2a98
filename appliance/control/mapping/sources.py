# SPDX-License-Identifier: GPL-3.0-or-later
"""Where touches come from: how a device or program is recognised, and what it has: notes and controllers of MIDI, addresses of
OSC, keys."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from appliance.control.mapping.forms import HIGHEST_DATA, Bytes, Channels, Numbers, Parameters, Section
from appliance.control.mapping.keynames import read_keys
from appliance.control.mapping.oscforms import OscControl, Peer, read_controls, read_peer

NamePart = Annotated[str, Field(min_length=2)]


class DeviceKind(StrEnum):
    MIDI = "midi"
    OSC = "osc"  # a program that sends OSC at addresses of its own
    KEYS = "keys"  # a keypad, foot switch or presenter


def _from(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._*-]+(:\d{1,5})?", text):
        raise ValueError(f"{text!r} is no place in the network, like 192.168.0.12, 192.168.0.* or 127.0.0.1:9001")
    return text


def _to(text: str) -> str:
    read_peer(text)
    return text


def _usb(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}", text):
        raise ValueError(f"{text!r} is no vendor:product as lsusb shows it, like 046d:c52b")
    return text.lower()


class Device(Section):
    """How the device is recognised: by parts of its ports' names (``*`` stands for anything), in any case. A program: by where
    its messages come from. Keys: by the device's name, or by its maker's and its own number."""

    kind: DeviceKind = Field(DeviceKind.MIDI, description="midi; osc: another program; keys: keypad, foot switch, presenter")
    match: list[NamePart] = Field([], description="part of the name of the port that it sends from; keys: of the device's name")
    output: list[NamePart] = Field([], description="part of the name of the port that its lamps hear; left out: as match")
    exclude: list[NamePart] = Field([], description="part of the names of its ports that are not meant")
    identity: Bytes | None = Field(None, description="answer to the identity request, for checks by a person")
    fallback: bool = Field(False, description="the profile of every port that no other profile claims")
    origin: list[Annotated[str, AfterValidator(_from)]] = Field(
        [], alias="from", description="osc: hosts (or host:port) that it sends from; left out: any")
    to: Annotated[str, AfterValidator(_to)] | None = Field(
        None, description="osc: host:port where it listens; left out: where it sends from")
    usb: list[Annotated[str, AfterValidator(_usb)]] = Field([], description="keys: vendor:product, as lsusb shows it")
    grab: bool = Field(True, description="keys: for the box alone, so that nothing is typed anywhere else")

    @model_validator(mode="after")
    def _recognisable(self) -> Device:
        midi, osc, keys = DeviceKind
        for name, kinds in (("match", (midi, keys)), ("exclude", (midi, keys)), ("output", (midi,)), ("identity", (midi,)),
                            ("fallback", (midi,)), ("origin", (osc,)), ("to", (osc,)), ("usb", (keys,)), ("grab", (keys,))):
            if name in self.model_fields_set and self.kind not in kinds:
                shown = type(self).model_fields[name].alias or name
                raise ValueError(f"{shown} is for kind: {' or '.join(kinds)}; this is kind: {self.kind}")
        if self.kind is midi and not self.match and not self.fallback:
            raise ValueError("say how the device is recognised: match: [part of its port's name]")
        if self.kind is keys and not self.match and not self.usb:
            raise ValueError("say how the device is recognised: match: [part of its name], or usb: [vendor:product]")
        return self

    @property
    def peer(self) -> Peer | None:
        """Where a program listens."""
        return read_peer(self.to) if self.to is not None else None


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
    OSC = "osc"
    KEY = "key"


BY_CHANNEL = (Source.BEND, Source.PRESSURE)
"""Sources that a channel has one of: a row of them is a row of channels."""
WHOLE = (Source.CC14, Source.BEND, Source.NRPN, Source.RPN)
"""Those of 14 bits."""
KIND = {Source.OSC: DeviceKind.OSC, Source.KEY: DeviceKind.KEYS}
"""Which kind of device has the sources that are not MIDI."""
BUTTONS = (Source.NOTE, Source.CC, Source.OSC, Source.KEY)
"""Sources that may be a button with a press and a release."""
STATUS = {Source.NOTE: 0x90, Source.POLY: 0xA0, Source.CC: 0xB0, Source.CC14: 0xB0, Source.NRPN: 0xB0, Source.RPN: 0xB0,
          Source.PROGRAM: 0xC0, Source.PRESSURE: 0xD0, Source.BEND: 0xE0}


class Encoding(StrEnum):
    """How an endless encoder says which way and how far."""

    TWOS = "twos"  # 1, 2 … up; 127, 126 … down
    OFFSET = "offset"  # 65, 66 … up; 63, 62 … down
    SIGN = "sign"  # 1, 2 … up; 65, 66 … down


def _osc(text: str) -> str:
    read_controls(text)
    return text


_KEYS: Any = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": ["string", "integer"]}}]}
Keys = Annotated[list[tuple[int, ...]], BeforeValidator(read_keys), Field(json_schema_extra=_KEYS)]


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
    osc: Annotated[str, AfterValidator(_osc)] | None = Field(None, description="a program's address, as /track/{n:1..8}/volume")
    key: Keys | None = Field(None, description="keys by their Linux names: kp1..kp9, pageup; kp7|home is either of them")
    channel: Channels = Field([1], description="MIDI channels 1 … 16, or any")
    by_channel: bool = Field(False, description="each channel has controls of its own: those of the first channel come first")
    fine: Numbers | None = Field(None, description="cc14: the numbers of the fine halves; left out: 32 above the coarse ones")
    fine_first: bool = Field(False, description="cc14: the device sends the fine half before the coarse one")
    encoder: Encoding | None = Field(None, description="cc: an endless encoder, and how it says which way and how far")

    per_turn: int | None = Field(None, ge=1, le=100_000, description="cc: ticks of a full turn of an encoder, for jog wheels")
    argument: int | None = Field(None, ge=1, le=64, description="osc: which argument is the value; else the first free one")
    range: tuple[float, float] | None = Field(None, description="osc: what is sent at the two ends; left out: [0, 1]")
    trigger: bool = Field(False, description="osc: every message is a press, whatever it carries, and there is no release")
    relative: bool = Field(False, description="osc: a message says by how many ticks, up or down")

    @model_validator(mode="after")
    def _one_source(self) -> Surface:
        given = [s.value for s in Source if getattr(self, s.value) is not None]
        if len(given) != 1:
            kinds = ", ".join(Source)
            raise ValueError(f"a control is one of {kinds}; here {' and '.join(given) or 'none'} is given")
        if self.source is not Source.OSC and (only := {"argument", "range", "trigger", "relative"} & self.model_fields_set):
            raise ValueError(f"{min(only)} is for osc, not for {self.source.value}")
        if "channel" in self.model_fields_set and self.source in KIND:
            raise ValueError(f"channel is for MIDI, not for {self.source.value}")
        if self.osc is not None:
            read_controls(self.osc, self.argument)
        if self.range is not None and self.range[0] == self.range[1]:
            raise ValueError("range: the two ends are the same")
        if self.trigger and self.relative:
            raise ValueError("a trigger has no ticks: trigger or relative, not both")
        if self.per_turn is not None and not self.turns:
            raise ValueError("per_turn is for endless encoders: say how it counts, encoder: twos, offset or sign")
        if self.encoder is not None and self.source is not Source.CC:
            raise ValueError(f"an endless encoder sends controllers (cc), not {self.source.value}")
        if (self.fine is not None or self.fine_first) and self.source is not Source.CC14:
            raise ValueError("only cc14 has fine halves")
        if self.source is Source.CC14 and len(self.fine_numbers) != len(self.cc14 or []):
            raise ValueError("fine needs as many numbers as cc14")
        if self.by_channel and (self.source in BY_CHANNEL or self.source in KIND):
            why = "is one of channels anyhow" if self.source in BY_CHANNEL else "has no channels"
            raise ValueError(f"a row of {self.source.value} {why}; by_channel is for those with numbers")
        if self.source is Source.CC14 and max(self.fine_numbers) > HIGHEST_DATA:
            raise ValueError("coarse halves are 0 … 95, or say which the fine ones are: fine: 96")
        return self

    @cached_property
    def source(self) -> Source:
        return next(s for s in Source if getattr(self, s.value) is not None)

    @property
    def count(self) -> int:
        """How many controls the row has."""
        if self.source is Source.OSC:
            return len(self.osc_controls)
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
    def turns(self) -> bool:
        """An endless encoder."""
        return self.encoder is not None or self.relative

    @property
    def osc_controls(self) -> tuple[OscControl, ...]:
        return read_controls(self.osc, self.argument) if self.osc is not None else ()

    def captured(self, member: int) -> dict[str, str]:
        """What an OSC address says of member 1…, by name."""
        return dict(self.osc_controls[member - 1].captured) if self.osc is not None else {}

    @property
    def word(self) -> str:
        """What it is, for a person."""
        return {Source.BEND: "pitch bend", Source.PROGRAM: "program change"}.get(
            self.source, "trigger" if self.trigger else self.source.value)

    @property
    def only_presses(self) -> bool:
        """A press without a release."""
        return self.source is Source.PROGRAM or self.trigger

    @property
    def is_button(self) -> bool:
        """It is pressed, it does not stand anywhere."""
        return self.source in (Source.NOTE, Source.KEY) or self.only_presses

    def claims(self, member: int) -> list[tuple[Any, ...]]:
        """What it is told by, whatever its source: no two controls of a profile may have the same."""
        if self.source is Source.OSC:
            one = self.osc_controls[member - 1]
            return [("address", one.address, one.arguments, one.place)]
        if self.source is Source.KEY:
            return [("key", code) for code in (self.key or [])[member - 1]]
        return [*self.messages(member), *self.fine_messages(member)]

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
        own: -1. Of 14-bit controllers the coarse half's. Parameters have no one message that they are told by, nor has what
        is not MIDI: none."""
        if self.source in (Source.NRPN, Source.RPN, Source.OSC, Source.KEY):
            return []
        channels, at = self.place(member)
        number = -1 if self.source in BY_CHANNEL else getattr(self, self.source.value)[at]
        return [(STATUS[self.source] + channel - 1, number) for channel in channels]
