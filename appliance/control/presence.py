# SPDX-License-Identifier: GPL-3.0-or-later
"""The box in other programs' lists: OSC, OSCQuery and HTTP announced by zeroconf (multicast DNS) while they can be reached.

Announced is what listens on the network, on its interfaces; what only this machine reaches, when the config says ``always``. A
name that is taken gets a number. The library is imported on a thread of its own, after the start.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from appliance.config import Endpoint
from appliance.control.desk import Desk
from appliance.control.http.guard import is_loopback

log = logging.getLogger(__name__)

STOP_S = 0.5
NAMES = 20


@dataclass(frozen=True)
class Service:
    """One kind of door."""

    kind: str
    endpoint: Endpoint
    properties: tuple[tuple[str, str], ...] = ()


def box_name(desk: Desk) -> str:
    """What people see in lists."""
    return desk.box.config.presence.name or f"performance box {socket.gethostname()}"[:40]


class Presence:
    """Announces until it is stopped. Faults are said once and harm nothing."""

    def __init__(self, desk: Desk, services: list[Service]) -> None:
        self._desk = desk
        when = desk.box.config.presence.announce
        self._services = [
            service for service in services
            if when == "always" or (when == "auto" and not is_loopback(service.endpoint.host))
        ]
        self._zeroconf: Any = None
        self.names: list[str] = []
        """As they are announced (``performance box._osc._udp.local.``)."""

    async def start(self) -> None:
        if not self._services:
            return
        try:
            library = await asyncio.to_thread(import_module, "zeroconf")
            await asyncio.to_thread(import_module, "zeroconf.asyncio")
        except ImportError:
            self._desk.say("the box is not announced on the network: the Python package zeroconf is not installed; tablets "
                           "must be given its address by hand")
            return
        try:
            await self._announce(library)
        except Exception as error:  # whatever the network does: the box plays
            log.exception("zeroconf")
            self._desk.say(f"the box is not announced on the network ({type(error).__name__}: {error}); tablets must be given "
                           "its address by hand")

    async def _announce(self, library: Any) -> None:
        interfaces = _interfaces({service.endpoint.host for service in self._services})
        self._zeroconf = library.asyncio.AsyncZeroconf(
            interfaces=interfaces or library.InterfaceChoice.Default, ip_version=library.IPVersion.V4Only)
        wanted = box_name(self._desk).replace(".", " ").strip() or "performance box"
        for number in range(1, NAMES):
            name = wanted if number == 1 else f"{wanted} {number}"
            try:
                for service in self._services:
                    await self._register(library, service, name)
            except library.NonUniqueNameException:
                await self._zeroconf.async_unregister_all_services()
                self.names = []
                continue
            log.info("announced as %s", ", ".join(self.names))
            return
        self._desk.say(f"the box is not announced: {NAMES} others on this network are called {wanted}; give it another name "
                       "(presence: name)")

    async def _register(self, library: Any, service: Service, name: str) -> None:
        info = library.ServiceInfo(
            f"{service.kind}.local.", f"{name}.{service.kind}.local.", port=service.endpoint.port,
            addresses=[socket.inet_aton(a) for a in _addresses(service.endpoint.host)],
            properties=dict(service.properties), server=f"{socket.gethostname().partition('.')[0]}.local.")
        await (await self._zeroconf.async_register_service(info))
        self.names.append(info.name)

    async def stop(self) -> None:
        """Withdraw."""
        if self._zeroconf is not None:
            try:
                await asyncio.wait_for(self._withdraw(), STOP_S)
            except Exception:
                log.debug("zeroconf: withdrawing", exc_info=True)

    async def _withdraw(self) -> None:
        await self._zeroconf.async_unregister_all_services()
        await self._zeroconf.async_close()


def _interfaces(hosts: set[str]) -> list[str]:
    """Addresses to announce on; empty: all of them."""
    found = [_number(host) for host in sorted(hosts)]
    return [] if any(address in ("", "0.0.0.0") for address in found) else found  # noqa: S104 - asked, not bound


def _addresses(host: str) -> list[str]:
    """What ``host`` means to others: itself, or all addresses of this machine."""
    number = _number(host)
    if number not in ("", "0.0.0.0"):  # noqa: S104
        return [number]
    ifaddr = import_module("ifaddr")
    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)]
    return [ip for ip in found if not ip.startswith("127.")] or found


def _number(host: str) -> str:
    """An IPv4 address; empty for what is none (``::`` is everywhere)."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return socket.gethostbyname(host)
    if address.version == 6:
        return "127.0.0.1" if address.is_loopback else ""
    return host
