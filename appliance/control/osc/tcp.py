# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC over TCP, in SLIP (OSC 1.1) or with lengths (OSC 1.0), as each client speaks.

A client that does not read what it has asked for is cut off after ten seconds; one whose machine is gone, when TCP itself has
waited for half a minute. The others do not notice.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

from appliance.config import Endpoint
from appliance.control.osc.framing import Framing
from appliance.control.osc.packet import encode
from appliance.control.osc.peer import Peer
from appliance.errors import ApplianceError, Unavailable

log = logging.getLogger(__name__)

MAX_CLIENTS = 64
FULL_BYTES = 256 * 1024
"""More than that does not wait for one client."""
SLOW_S = 10.0
TCP_USER_TIMEOUT_MS = 30_000

Receive = Callable[[bytes, Peer], bool]
Gone = Callable[[Peer], None]


class TcpServer:
    """``receive(packet, peer)`` for what comes, ``gone(peer)`` when a connection has ended."""

    def __init__(self, endpoint: Endpoint, receive: Receive, gone: Gone) -> None:
        self._endpoint = endpoint
        self._receive = receive
        self._gone = gone
        self._server: asyncio.Server | None = None
        self.clients: dict[Peer, _Connection] = {}

    async def start(self) -> Endpoint:
        """Listen; returns where. Raises :class:`Unavailable` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), self._endpoint.host, self._endpoint.port)
        except OSError as error:
            why = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            what = f"OSC over TCP cannot listen on {self._endpoint}: {why}; free the port or choose another (osc: port)"
            raise Unavailable(what) from None
        host, port = self._server.sockets[0].getsockname()[:2]
        return Endpoint(host=host, port=port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for client in tuple(self.clients.values()):
                client.end()

    def send(self, packet: bytes, peer: Peer) -> bool:
        client = self.clients.get(peer)
        return client is None or client.send(packet)

    def close(self, peer: Peer) -> None:
        if client := self.clients.get(peer):
            client.end()

    def pause(self, paused: bool) -> None:
        """Hold what comes in in the network while too much waits here."""
        for client in self.clients.values():
            client.pause(paused)

    def come(self, client: _Connection) -> None:
        if len(self.clients) >= MAX_CLIENTS:
            client.refuse(f"OSC: {MAX_CLIENTS} clients are connected already; close one")
            return
        self.clients[client.peer] = client

    def take(self, packet: bytes, peer: Peer) -> None:
        self._receive(packet, peer)

    def go(self, client: _Connection) -> None:
        if self.clients.get(client.peer) is client:
            del self.clients[client.peer]
            self._gone(client.peer)


class _Connection(asyncio.Protocol):
    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._framing = Framing()
        self._transport: Any = None
        self._full_since = 0.0
        self._paused = False
        self.peer = Peer("", 0, "tcp")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = Peer(host, port, "tcp")
        made = transport.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_NODELAY, 1), (socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5),
                              (socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)):
            made.setsockopt(socket.IPPROTO_TCP, option, value)
        self._server.come(self)

    def data_received(self, data: bytes) -> None:
        try:
            packets = self._framing.feed(data)
        except ApplianceError as error:
            log.warning("OSC from %s: %s", self.peer, error.message)
            self.refuse(error.message)
            return
        for packet in packets:
            self._server.take(packet, self.peer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.go(self)

    def send(self, packet: bytes) -> bool:
        if self._transport.is_closing():
            return True
        if self._transport.get_write_buffer_size() > FULL_BYTES:
            self._full_since = self._full_since or time.monotonic()
            if time.monotonic() - self._full_since > SLOW_S:
                log.warning("OSC: %s does not read what it asked for; it is cut off", self.peer)
                self._transport.abort()
            return False
        self._full_since = 0.0
        self._transport.write(self._framing.frame(packet))
        return True

    def refuse(self, why: str) -> None:
        self._transport.write(self._framing.frame(encode("/error", "", why)))
        self._transport.close()

    def end(self) -> None:
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # it does not read: nobody waits for it

    def pause(self, paused: bool) -> None:
        if paused != self._paused and not self._transport.is_closing():
            self._paused = paused
            (self._transport.pause_reading if paused else self._transport.resume_reading)()
