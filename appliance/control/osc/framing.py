# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a packet ends in a stream of bytes: SLIP (OSC 1.1; RFC 1055) or a length of four bytes in front (OSC 1.0).

Which of them a client speaks shows in its first byte: a packet begins with ``/`` or ``#`` and is shorter than 16 MB, so its
length begins with a zero; SLIP begins with the packet itself or with END.
"""

from __future__ import annotations

from appliance.errors import BadValue

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
MAX_PACKET = 1024 * 1024


class Framing:
    """Bytes in, packets out; and the other way round, as the other end speaks."""

    def __init__(self) -> None:
        self.slip: bool | None = None
        """None until the first byte has come; till then SLIP is what it is sent."""
        self._rest = bytearray()
        self._looked = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are complete now. Raises :class:`BadValue` when no packet can be found in this stream any more; what
        was complete before is lost with it."""
        self._rest += data
        if self.slip is None and self._rest:
            first = self._rest[0]
            if first not in (0, END, ord("/"), ord("#")):
                raise BadValue("OSC over TCP: neither SLIP nor a length of four bytes in front of a packet")
            self.slip = first != 0
        packets = self._by_end() if self.slip else self._by_length()
        if len(self._rest) > MAX_PACKET + 4:
            raise BadValue(f"OSC over TCP: a packet of more than {MAX_PACKET} bytes; send less at once")
        return packets

    def _by_end(self) -> list[bytes]:
        if (last := self._rest.rfind(END, self._looked)) < 0:
            self._looked = len(self._rest)
            return []
        parts = bytes(self._rest[:last]).split(bytes([END]))
        del self._rest[: last + 1]
        self._looked = len(self._rest)
        return [unescape(part) for part in parts if part]

    def _by_length(self) -> list[bytes]:
        packets: list[bytes] = []
        at = 0
        while at + 4 <= len(self._rest):
            size = int.from_bytes(self._rest[at : at + 4], "big")
            if size > MAX_PACKET:
                raise BadValue(f"OSC over TCP: a packet of {size} bytes; {MAX_PACKET} at most")
            if at + 4 + size > len(self._rest):
                break
            if size:
                packets.append(bytes(self._rest[at + 4 : at + 4 + size]))
            at += 4 + size
        del self._rest[:at]
        return packets

    def frame(self, packet: bytes) -> bytes:
        """The packet as it goes over the wire."""
        return len(packet).to_bytes(4, "big") + packet if self.slip is False else escape(packet)


def escape(packet: bytes) -> bytes:
    """SLIP with an END on both sides, as OSC 1.1 asks."""
    inside = packet.replace(bytes([ESC]), bytes([ESC, ESC_ESC])).replace(bytes([END]), bytes([ESC, ESC_END]))
    return bytes([END]) + inside + bytes([END])


def unescape(part: bytes) -> bytes:
    """An ESC that escapes nothing stays as it is: what comes of it is refused as a packet, and the next one is well again."""
    if ESC not in part:
        return part
    pieces = part.split(bytes([ESC, ESC_ESC]))
    return bytes([ESC]).join(piece.replace(bytes([ESC, ESC_END]), bytes([END])) for piece in pieces)
