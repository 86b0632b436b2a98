# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC packets, taken apart with every length checked, and built.

Libraries read kindly: a missing number as 0, an unknown type by shifting the arguments after it. On stage a broken message
must not move a fader, so here it is refused.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from appliance.errors import BadValue

_FIXED = {"i": struct.Struct(">i"), "f": struct.Struct(">f"), "d": struct.Struct(">d"), "h": struct.Struct(">q")}
TYPE_TAGS = "i f d h T F s S c N I m"
"""Argument types that the box takes."""
IMMEDIATELY = 1
FLOAT_MAX = 3.4028234663852886e38
MAX_DEPTH = 8
MAX_MESSAGES = 4096
NTP_TO_UNIX_S = 2_208_988_800
"""Seconds from 1900 (time tags) to 1970 (``time.time``)."""


class Impulse:
    """The argument ``I``: that it happened is all it says."""

    def __repr__(self) -> str:
        return "an impulse"


class Midi(NamedTuple):
    """The argument ``m``: a short MIDI message with the number of its port."""

    port: int
    status: int
    data1: int
    data2: int

    @property
    def unit(self) -> float:
        """How far a control stands, 0 … 1: of a controller, a note's velocity (its release is 0), pressure or the bend.
        Raises :class:`BadValue` for messages that carry no such number."""
        kind = self.status & 0xF0
        if kind == 0x80:
            return 0.0
        if kind in (0x90, 0xA0, 0xB0):
            return (self.data2 & 0x7F) / 127
        if kind == 0xD0:
            return (self.data1 & 0x7F) / 127
        if kind == 0xE0:
            return ((self.data2 & 0x7F) << 7 | self.data1 & 0x7F) / 16383
        raise BadValue(f"a MIDI message of status {self.status:02X} carries no value; send a note, a controller or the bend")


IMPULSE = Impulse()
_CONSTANT = {"T": True, "F": False, "N": None, "I": IMPULSE}


class Message(NamedTuple):
    """One message. ``time_tag`` is the bundle's 64-bit NTP time, or ``IMMEDIATELY``."""

    address: str
    args: tuple[Any, ...]
    time_tag: int = IMMEDIATELY

    def unix_ns(self) -> int:
        """The time tag in nanoseconds since 1970."""
        seconds, fraction = self.time_tag >> 32, self.time_tag & 0xFFFF_FFFF
        return (seconds - NTP_TO_UNIX_S) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)


_singles: dict[bytes, tuple[str, struct.Struct]] = {}
"""What stands before the last four bytes of messages with one ``f`` or ``i``: a fader sends the same again and again."""
MAX_SINGLES = 8192


def decode(datagram: bytes) -> list[Message]:
    """The messages of a packet, in their order. Raises :class:`BadValue` for everything that is not OSC."""
    known = _singles.get(datagram[:-4])
    if known is not None:
        value = known[1].unpack_from(datagram, len(datagram) - 4)[0]
        if math.isfinite(value):
            return [Message(known[0], (value,))]
    messages = _decode(datagram)
    if datagram[-8:-4] in (b",f\0\0", b",i\0\0") and len(messages) == 1 and len(messages[0].args) == 1:
        if len(_singles) >= MAX_SINGLES:
            _singles.clear()
        _singles[datagram[:-4]] = messages[0].address, _FIXED[chr(datagram[-7])]
    return messages


def single_address(datagram: bytes) -> str | None:
    """The address of a message with one number that looks like one that was decoded before; None when it is anything else."""
    known = _singles.get(datagram[:-4])
    return known[0] if known is not None else None


def _decode(datagram: bytes) -> list[Message]:
    messages: list[Message] = []
    for content, time_tag in _contents(datagram, IMMEDIATELY, 0):
        if len(messages) == MAX_MESSAGES:
            raise BadValue(f"OSC: more than {MAX_MESSAGES} messages in one bundle; send several")
        messages.append(_message(content, time_tag))
    return messages


def _contents(data: bytes, time_tag: int, depth: int) -> Iterator[tuple[bytes, int]]:
    """The single messages in ``data`` with the time tag that counts for each: an inner bundle is never before its outer one."""
    if not data.startswith(b"#bundle\0"):
        yield data, time_tag
        return
    if depth == MAX_DEPTH:
        raise BadValue(f"OSC: bundles nested deeper than {MAX_DEPTH}")
    if len(data) < 16:
        raise BadValue("OSC: a bundle without a time tag")
    tag = max(int.from_bytes(data[8:16], "big"), time_tag)
    at = 16
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if size == 0 or size % 4 or at + size > len(data):
            raise BadValue(f"OSC: a bundle names a part of {size} bytes where {len(data) - at} are left")
        yield from _contents(data[at : at + size], tag, depth + 1)
        at += size


def _message(data: bytes, time_tag: int) -> Message:
    if not data.startswith(b"/"):
        raise BadValue(f"OSC: {data[:24]!r} is no message: an address begins with /")
    address, at = _text(data, 0, "an address")
    if not address.isprintable() or " " in address:
        raise BadValue(f"OSC: {address[:80]!r} is no address")
    if at == len(data):
        return Message(address, (), time_tag)
    tags, at = _text(data, at, address)
    if not tags.startswith(","):
        raise BadValue(f"OSC: {address}: a broken message: no types stand after the address")
    args: list[Any] = []
    for tag in tags[1:]:
        value, at = _argument(data, at, tag, address)
        args.append(value)
    if at != len(data):
        raise BadValue(f"OSC: {address}: a broken message: {len(data) - at} bytes are left over")
    return Message(address, tuple(args), time_tag)


def _argument(data: bytes, at: int, tag: str, address: str) -> tuple[Any, int]:
    if tag in _CONSTANT:
        return _CONSTANT[tag], at
    if tag in "sS":
        return _text(data, at, address)
    if tag in "cm":
        if at + 4 > len(data):
            raise BadValue(f"OSC: {address}: a broken message: it ends in the middle of an argument")
        return (Midi(*data[at : at + 4]) if tag == "m" else _character(data[at : at + 4], address)), at + 4
    form = _FIXED.get(tag)
    if form is None:
        raise BadValue(f"OSC: {address}: type {tag!r} is not taken; it is one of {TYPE_TAGS}")
    if at + form.size > len(data):
        raise BadValue(f"OSC: {address}: a broken message: it ends in the middle of an argument")
    value = form.unpack_from(data, at)[0]
    if not math.isfinite(value):
        raise BadValue(f"OSC: {address} takes a finite number, not {value}")
    return value, at + form.size


def _character(data: bytes, address: str) -> str:
    code = int.from_bytes(data, "big")
    if not 0x20 <= code < 0x7F:
        raise BadValue(f"OSC: {address}: {code} is no ASCII character")
    return chr(code)


def _text(data: bytes, at: int, where: str) -> tuple[str, int]:
    """A string that ends with a zero, filled up with zeros to a multiple of four."""
    end = data.find(b"\0", at)
    following = (end // 4 + 1) * 4
    if end < 0 or following > len(data):
        raise BadValue(f"OSC: {where}: a broken message: text without an end")
    try:
        return data[at:end].decode("utf-8"), following
    except UnicodeDecodeError:
        raise BadValue(f"OSC: {where}: text that is not UTF-8") from None


def encode(address: str, *args: Any) -> bytes:
    """One message: float as ``f``, int as ``i`` (``h`` when it is wide), bool as ``i`` 0 or 1 (what layouts understand), text
    as ``s``; what has no OSC type goes as JSON text."""
    tags, parts = ",", [b""]
    for arg in args:
        if isinstance(arg, float):
            tags += "f"
            parts.append(struct.pack(">f", min(max(arg, -FLOAT_MAX), FLOAT_MAX)))
        elif isinstance(arg, int):
            wide = not -(2**31) <= arg < 2**31
            tags += "h" if wide else "i"
            parts.append(struct.pack(">q" if wide else ">i", arg))
        else:
            tags += "s"
            parts.append(_padded(arg if isinstance(arg, str) else json.dumps(arg, ensure_ascii=False, default=str)))
    parts[0] = _padded(address) + _padded(tags)
    return b"".join(parts)


def _padded(text: str) -> bytes:
    data = text.replace("\0", "").encode()
    return data + bytes(4 - len(data) % 4)
