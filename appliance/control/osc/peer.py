# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is at the other end, and what carries packets to it."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

Over = Literal["udp", "tcp", "websocket"]


class Peer(NamedTuple):
    """One end of a conversation. ``port`` is where it hears (UDP), or the port of its connection."""

    host: str
    port: int
    over: Over = "udp"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.over == "udp" else f"{self.host}:{self.port} ({self.over})"


class Transport(Protocol):
    """What carries packets of one kind. Nothing here waits."""

    def send(self, packet: bytes, peer: Peer) -> bool:
        """False: there is no room right now; try again. A peer that is gone takes everything and hears nothing."""
        ...

    def close(self, peer: Peer) -> None:
        """Ends the connection, where there is one."""
        ...

    async def stop(self) -> None: ...
