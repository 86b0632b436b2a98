# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may speak OSC to the box: programs on this machine, and what the config lists."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Protocol

from appliance.errors import NotAllowed

MAX_KNOWN = 1024


class Gate(Protocol):
    """Asked for every message; its answers must be quick."""

    def may(self, host: str, address: str, writing: bool) -> bool:
        """Whether ``host`` may read, or change and do, what stands at ``address``."""
        ...

    def hello(self, host: str, token: str, port: int) -> str:
        """``/hello`` from there: empty when it is welcome, else the reason why not, for a person."""
        ...


def refusal(gate: Gate, host: str, address: str) -> NotAllowed:
    """Why ``host`` may not have what it wants at ``address``, for a person."""
    if not gate.may(host, "/", False):
        return NotAllowed(f"{address}: the box does not know {host}: pair it at /pair in its browser, or say /hello TOKEN PORT",
                          status=401)
    return NotAllowed(f"{address} is beyond what {host} is paired to; pair it again with more", status=403)


class ListGate:
    """Loopback and a list of addresses and networks (``192.168.1.7``, ``10.0.0.0/24``)."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(entry, strict=False) for entry in allow]
        self._known: dict[str, bool] = {}

    def may(self, host: str, address: str, writing: bool) -> bool:
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[host] = self._is_listed(host)
        return known

    def hello(self, host: str, token: str, port: int) -> str:
        if self.may(host, "/hello", False):
            return ""
        return f"/hello: {host} is not known to this box; add it to osc: allow in the config"

    def _is_listed(self, host: str) -> bool:
        try:
            ip = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return ip.is_loopback or any(ip in network for network in self._networks)
