# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of machines: this one, others, and how others reach this one."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
from functools import lru_cache

SIOCGIFADDR = 0x8915
"""Linux, netdevice(7): the IPv4 address of an interface."""


def canonical(host: str) -> str:
    """An address as it is kept and compared; IPv4 that came through an IPv6 socket is IPv4."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.strip("[]").rstrip(".").lower()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_address(host: str) -> bool:
    """A number, not a name: no name server can have made it point here."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """``localhost``, ``127.…``, ``::1``."""
    name = canonical(host)
    return name == "localhost" or (is_address(name) and ipaddress.ip_address(name).is_loopback)


def is_everywhere(host: str) -> bool:
    """All interfaces: ``0.0.0.0``, ``::``."""
    return is_address(host) and ipaddress.ip_address(host.strip("[]")).is_unspecified


def local_form(host: str) -> str:
    """Where this machine reaches a server that listens at ``host``: loopback when it listens everywhere."""
    if not is_everywhere(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def names() -> frozenset[str]:
    """What browsers may call this machine by name."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return frozenset({name, short, f"{short}.local"})


def outward() -> list[str]:
    """IPv4 addresses of this machine's interfaces that others may reach; link-local ones at the end."""
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has none
                told = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(socket.inet_ntoa(told[20:24]))
    return sorted((a for a in found if not is_loopback(a)), key=lambda a: ipaddress.ip_address(a).is_link_local)
