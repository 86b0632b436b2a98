# SPDX-License-Identifier: GPL-3.0-or-later
"""From MIDI messages to touches of controls: halves put together, encoders counted, parameters followed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.control.mapping.profile import STATUS, Encoding, Source, Surface

Message = tuple[int, int]
"""Status and data 1; data 1 is -1 for pitch bend and channel pressure, which have none of their own."""

Control = tuple[str, int]
"""A name of the surface and the number in its row, from 1."""

_PARAMETER_OF = {99: (Source.NRPN, 1), 98: (Source.NRPN, 0), 101: (Source.RPN, 1), 100: (Source.RPN, 0)}
"""Controllers that choose a parameter: which kind, and whether it is the upper half of its number."""
ALL_OFF = (120, 123)
"""Controllers by which a device says that none of its keys is down: all sound off, all notes off."""
_ENTRY, _ENTRY_FINE, _MORE, _LESS = 6, 38, 96, 97
_NO_PARAMETER = 16383
FULL = 127
NO_MESSAGE: Message = (0, -1)
"""Of what does not come by MIDI."""
FULL_14 = 16383


@dataclass(frozen=True, slots=True)
class Touch:
    """What happened to a control. ``value``: its place, pressure or velocity 0…1, 0 for a release; ``full``: the number that
    stands for 1; ``turn``: ticks of an endless encoder, to the right positive; ``message``: whose lamp it is."""

    control: Control
    value: float
    full: int
    turn: int
    message: Message


@dataclass(slots=True)
class _Halves:
    """A value of 14 bits that comes in two messages."""

    control: Control
    message: Message
    fine_first: bool
    coarse: int = 0
    fine: int = 0
    waits: bool = False

    def take(self, value: int, *, coarse: bool) -> int | None:
        """The whole value when both halves are there. A device that never sends the other half is believed the second time."""
        if coarse:
            self.coarse = value
        else:
            self.fine = value
        if coarse != self.fine_first:  # the first of the two
            alone, self.waits = self.waits, True
            if not alone:
                return None
            if coarse:
                self.fine = 0
        else:
            self.waits = False
        return self.coarse << 7 | self.fine


class Decoder:
    """Of one device; it remembers halves. ``used``: the controls that matter, as ``(control, its surface)``."""

    def __init__(self, used: Iterable[tuple[Control, Surface]]) -> None:
        self._plain: dict[Message, tuple[Control, Surface]] = {}
        self._halves: dict[Message, tuple[_Halves, bool]] = {}
        self._parameters: dict[tuple[int, Source, int], _Halves] = {}
        self._chosen: dict[int, tuple[Source, int]] = {}
        for control, surface in used:
            self._add(control, surface)

    def _add(self, control: Control, surface: Surface) -> None:
        source, member = surface.source, control[1]
        channels, at = surface.place(member)
        for channel in channels:
            status = STATUS[source] + channel - 1
            if source in (Source.NRPN, Source.RPN):
                number = getattr(surface, source.value)[at]
                self._parameters[channel - 1, source, number] = _Halves(control, (status, _ENTRY), fine_first=False)
            elif source is Source.CC14:
                coarse, fine = (surface.cc14 or [])[at], surface.fine_numbers[at]
                halves = _Halves(control, (status, coarse), surface.fine_first)
                self._halves[status, coarse] = halves, True
                self._halves[status, fine] = halves, False
        if source not in (Source.NRPN, Source.RPN, Source.CC14):
            for message in surface.messages(member):
                self._plain[message] = control, surface

    def feed(self, status: int, data1: int, data2: int) -> Touch | None:
        """What a channel message says of a control; None when it says nothing (yet), or of none that matters."""
        kind = status & 0xF0
        if kind == 0xB0:
            return self._controller(status, data1, data2)
        message = (status + 0x10, data1) if kind == 0x80 else (status, -1) if kind >= 0xD0 else (status, data1)
        found = self._plain.get(message)
        if found is None:
            return None
        match kind:
            case 0x80:
                return Touch(found[0], 0.0, FULL, 0, message)
            case 0xC0:
                return Touch(found[0], 1.0, FULL, 0, message)
            case 0xD0:
                return Touch(found[0], data1 / FULL, FULL, 0, message)
            case 0xE0:
                return Touch(found[0], (data2 << 7 | data1) / FULL_14, FULL_14, 0, message)
            case _:
                return Touch(found[0], data2 / FULL, FULL, 0, message)

    def _controller(self, status: int, number: int, value: int) -> Touch | None:
        if (found := self._plain.get((status, number))) is not None:
            control, surface = found
            turn = ticks(surface.encoder, value) if surface.encoder else 0
            return Touch(control, value / FULL, FULL, turn, (status, number))
        if (half := self._halves.get((status, number))) is not None:
            return _whole(half[0], half[0].take(value, coarse=half[1]))
        return self._parameter(status & 15, number, value)

    def _parameter(self, channel: int, number: int, value: int) -> Touch | None:
        if number in _PARAMETER_OF:
            source, upper = _PARAMETER_OF[number]
            before, parameter = self._chosen.get(channel, (source, _NO_PARAMETER))
            parameter = _NO_PARAMETER if before is not source else parameter
            self._chosen[channel] = source, (value << 7 | parameter & 127) if upper else (parameter & ~127 | value)
            return None
        halves = self._parameters.get((channel, *self._chosen[channel])) if channel in self._chosen else None
        if halves is None:
            return None
        if number in (_MORE, _LESS):
            whole = (halves.coarse << 7 | halves.fine) + (1 if number == _MORE else -1)
            halves.coarse, halves.fine = divmod(min(max(whole, 0), FULL_14), 128)
            return _whole(halves, halves.coarse << 7 | halves.fine)
        if number in (_ENTRY, _ENTRY_FINE):
            return _whole(halves, halves.take(value, coarse=number == _ENTRY))
        return None


def _whole(halves: _Halves, value: int | None) -> Touch | None:
    return None if value is None else Touch(halves.control, value / FULL_14, FULL_14, 0, halves.message)


def ticks(encoding: Encoding, data: int) -> int:
    """How far an endless encoder was turned, by its encoding; to the right is positive."""
    match encoding:
        case Encoding.TWOS:
            return data if data < 64 else data - 128
        case Encoding.OFFSET:
            return data - 64
        case Encoding.SIGN:
            return data if data < 64 else 64 - data
