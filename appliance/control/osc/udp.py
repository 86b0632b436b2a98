# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC over UDP: one socket, emptied whenever it has something.

While Python is busy, what comes waits in the socket's receive buffer, and what does not fit is lost without a word; so it is
made as large as the system lets us (16 MB with the right to, else ``net.core.rmem_max``), and is read until it is empty. A port
that refuses (ICMP) is told by the socket's queue of errors.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable

from appliance.config import Endpoint
from appliance.control.osc.peer import Peer
from appliance.errors import Unavailable

log = logging.getLogger(__name__)

RECEIVE_BYTES = 16 * 1024 * 1024
SEND_BYTES = 1024 * 1024
DATAGRAM_BYTES = 60_000
AT_ONCE = 8192
"""Datagrams read before the loop gets its turn."""
SO_RCVBUFFORCE = 33
IP_RECVERR, IPV6_RECVERR = 11, 25
"""Linux: asm-generic/socket.h, linux/in.h, linux/in6.h."""
_ERROR = struct.Struct("=IBBBB")

Receive = Callable[[bytes, Peer], bool]
Gone = Callable[[Peer], None]


class UdpServer:
    """``receive(packet, peer)`` for what comes, ``gone(peer)`` when its port refuses."""

    def __init__(self, endpoint: Endpoint, receive: Receive, gone: Gone) -> None:
        self._endpoint = endpoint
        self._receive = receive
        self._gone = gone
        self._socket: socket.socket | None = None

    async def start(self) -> Endpoint:
        """Listen; returns where. Raises :class:`Unavailable` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._endpoint.host, self._endpoint.port, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, address = found[0]
            made = socket.socket(family, kind, protocol)
        except OSError as error:
            raise Unavailable(_why(self._endpoint, error)) from None
        try:
            made.setblocking(False)
            made.bind(address)
        except OSError as error:
            made.close()
            raise Unavailable(_why(self._endpoint, error)) from None
        _enlarge(made)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        loop.add_reader(made, self._read)
        self._socket = made
        host, port = made.getsockname()[:2]
        return Endpoint(host=host, port=port)

    async def stop(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        assert self._socket is not None
        take, receive = self._socket.recvfrom, self._receive
        for _ in range(AT_ONCE):
            try:
                data, address = take(65536)
            except BlockingIOError:
                break
            except OSError:  # a port has refused; which one stands in the queue of errors
                self._read_errors()
                continue
            if not receive(data, Peer(address[0], address[1])):
                return  # the rest waits in the socket
        else:
            return
        self._read_errors()

    def _read_errors(self) -> None:
        assert self._socket is not None
        for _ in range(AT_ONCE):
            try:
                _, ancillary, _, address = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:  # empty
                return
            for level, kind, data in ancillary:
                known = (level, kind) in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR))
                if known and len(data) >= _ERROR.size and _ERROR.unpack_from(data)[0] == errno.ECONNREFUSED and address:
                    self._gone(Peer(address[0], address[1]))

    def send(self, packet: bytes, peer: Peer) -> bool:
        """False when the system's buffer is full."""
        if self._socket is None or len(packet) > DATAGRAM_BYTES:
            return True
        for _ in range(2):
            try:
                self._socket.sendto(packet, (peer.host, peer.port))
            except BlockingIOError:
                return False
            except ConnectionRefusedError:  # an earlier one was refused; this one has not been sent
                self._read_errors()
                continue
            except OSError as error:
                log.debug("OSC to %s: %s", peer, error)
            return True
        return True

    def close(self, peer: Peer) -> None:
        """There is no connection to end."""


def _enlarge(made: socket.socket) -> None:
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
    except OSError:  # needs CAP_NET_ADMIN
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        if (granted := made.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)) < RECEIVE_BYTES // 4:
            log.info("OSC: the system grants %d kB for what comes in; for floods raise net.core.rmem_max", granted // 1024)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)


def _why(endpoint: Endpoint, error: OSError) -> str:
    why = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return f"OSC cannot listen on {endpoint}: {why}; free the port or choose another (osc: port)"
