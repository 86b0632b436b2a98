# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a device sorted by what sent them: one stream a note, controller, pitch bend, parameter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.control.mapping.profile import Source

NOTE_OFF = -1
"""A note's release in its stream of velocities."""
_CHOOSERS = {99: (Source.NRPN, 1), 98: (Source.NRPN, 0), 101: (Source.RPN, 1), 100: (Source.RPN, 0)}
_ENTRY, _ENTRY_FINE, _MORE, _LESS = 6, 38, 96, 97
_NONE = 16383


class Said(NamedTuple):
    """A message, and when it came, in seconds of any clock."""

    time_s: float
    status: int
    data1: int
    data2: int


class Key(NamedTuple):
    """What sends: ``number`` is the note, controller or parameter; -1 for what a channel has one of."""

    source: Source
    channel: int
    number: int


@dataclass(slots=True)
class Stream:
    """``values``: 0…127, of bend and parameters 0…16383; ``places``: where each stood among all messages."""

    key: Key
    times: list[float] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def add(self, time_s: float, value: int, place: int) -> None:
        self.times.append(time_s)
        self.values.append(value)
        self.places.append(place)


def key_of(status: int, data1: int) -> Key | None:
    """What a channel message comes from, by itself; None for the rest (clock, active sensing, system exclusive)."""
    if not 0x80 <= status <= 0xEF:
        return None
    kind, channel = status & 0xF0, (status & 15) + 1
    source = {0x80: Source.NOTE, 0x90: Source.NOTE, 0xA0: Source.POLY, 0xB0: Source.CC, 0xC0: Source.PROGRAM,
              0xD0: Source.PRESSURE, 0xE0: Source.BEND}[kind]
    return Key(source, channel, -1 if source in (Source.PRESSURE, Source.BEND) else data1)


def as_told(keys: Iterable[Key]) -> list[Key]:
    """The keys as messages have them: parameters come as controllers."""
    told: list[Key] = []
    for key in keys:
        numbers = (_ENTRY, _ENTRY_FINE, _MORE, _LESS) if key.source in (Source.NRPN, Source.RPN) else ()
        told += [Key(Source.CC, key.channel, number) for number in numbers] or [key]
    return told


def sort(messages: Iterable[Said]) -> dict[Key, Stream]:
    """The streams, in the order in which they began."""
    streams: dict[Key, Stream] = {}
    chosen: dict[int, tuple[Source, int]] = {}
    for place, (time_s, status, data1, data2) in enumerate(messages):
        key = key_of(status, data1)
        if key is None:
            continue
        value = data2
        if key.source is Source.NOTE:
            value = data2 if status >= 0x90 and data2 else NOTE_OFF
        elif key.source is Source.BEND:
            value = data2 << 7 | data1
        elif key.source in (Source.PROGRAM, Source.PRESSURE):
            value = data1
        elif key.source is Source.CC:
            if data1 in _CHOOSERS:
                _choose(chosen, key.channel, data1, data2)
                continue
            parameter = chosen.get(key.channel)
            if data1 in (_ENTRY, _ENTRY_FINE, _MORE, _LESS) and parameter and parameter[1] != _NONE:
                key = Key(parameter[0], key.channel, parameter[1])
                value = _entered(streams.get(key), data1, data2)
        streams.setdefault(key, Stream(key)).add(time_s, value, place)
    return streams


def _choose(chosen: dict[int, tuple[Source, int]], channel: int, number: int, value: int) -> None:
    source, upper = _CHOOSERS[number]
    before, parameter = chosen.get(channel, (source, _NONE))
    parameter = _NONE if before is not source else parameter
    chosen[channel] = source, (value << 7 | parameter & 127) if upper else (parameter & ~127 | value)


def _entered(stream: Stream | None, number: int, value: int) -> int:
    before = stream.values[-1] if stream else 0
    match number:
        case 6:
            return value << 7
        case 38:
            return before & ~127 | value
        case 96:
            return min(before + 1, _NONE)
        case _:
            return max(before - 1, 0)
