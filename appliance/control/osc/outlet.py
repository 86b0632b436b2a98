# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC on its way to other programs: from the box's own port where that is open, so that what they answer arrives."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import time
from typing import Any

from appliance.control.desk import Desk

log = logging.getLogger(__name__)

Peer = tuple[str, int]
LOOK_UP_S = 30.0
"""So long a host's name that is not known is not asked for again."""
MAX_WAITING = 64


class Outlet:
    """Lives on control's loop. ``send`` never waits and never raises: a datagram that cannot go is lost, and that is said."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._socket: socket.socket | None = None
        self._hosts: dict[str, str] = {"localhost": "127.0.0.1"}
        self._waiting: dict[str, list[tuple[bytes, int]]] = {}
        self._failed_s: dict[str, float] = {}
        self._said: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, datagram: bytes, peer: Peer) -> None:
        host, port = peer
        address = self._hosts.get(host) or (host if _is_number(host) else None)
        if address is not None:
            self._send(datagram, (address, port))
        elif host in self._waiting:
            if len(self._waiting[host]) < MAX_WAITING:
                self._waiting[host].append((datagram, port))
        elif time.monotonic() - self._failed_s.get(host, -LOOK_UP_S) >= LOOK_UP_S:
            self._waiting[host] = [(datagram, port)]
            task = asyncio.create_task(self._look_up(host))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _look_up(self, host: str) -> None:
        found: list[Any] = []
        with contextlib.suppress(OSError):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        waiting = self._waiting.pop(host)
        if not found:
            self._failed_s[host] = time.monotonic()
            self._say(host, f"OSC: no machine called {host} is known here; give its number (192.168.…), or look at the network")
            return
        self._hosts[host] = str(found[0][4][0])
        for datagram, port in waiting:
            self._send(datagram, (self._hosts[host], port))

    def _send(self, datagram: bytes, peer: Peer) -> None:
        try:
            if self._desk.osc_send is not None:
                self._desk.osc_send(datagram, peer)
                return
            if self._socket is None:
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(datagram, peer)
        except OSError as error:
            self._say(f"{peer}", f"OSC to {peer[0]}:{peer[1]} does not go out: {error.strerror}")

    def _say(self, what: str, line: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self._desk.say(line)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
