# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose OSC is taken: this machine's, and that of hosts which pairing or ``/hello TOKEN PORT`` has allowed.

A datagram carries no token, so a host counts as the device that was paired from it or greeted from it, with that device's
scope, for as long as it is heard now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from appliance.bus.pattern import is_pattern
from appliance.control.access.hosts import canonical, is_loopback
from appliance.control.access.limits import Limit
from appliance.control.access.store import SEEN_STEP_S, Device, Store
from appliance.control.access.visitor import allowed
from appliance.control.desk import matching
from appliance.namespace import Kind, Node, Scope
from appliance.nodes import NAMESPACE

REST_S = 12 * 3600.0
"""A host that was silent for so long must greet again: its address may be another machine's by now."""
MOST_HOSTS = 1024


@dataclass
class _Known:
    """What a host may, as of a state of the store; ``until`` on the wall clock."""

    changes: int
    local: bool
    device: Device | None
    until: float


@lru_cache(maxsize=8192)
def _node(address: str) -> Node | None:
    """What is declared there, in whatever bank; None for what is no address."""
    return NAMESPACE.find(address).node if address in NAMESPACE else None


class OscAccess:
    """The allow-list. Cheap to ask for every message: an answer is kept until something changes."""

    def __init__(self, store: Store, wrong: Limit, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wrong = wrong
        self._clock = clock
        self._hosts: dict[str, _Known] = {}

    def may(self, host: str, address: str, writing: bool) -> bool:
        """Whether a message from ``host`` may read, or with ``writing`` change or do, what stands at ``address``.

        A pattern or a folder may be changed when all that it means may, and read when the host may read at all: who answers
        asks again for each address. What is no address is allowed to hosts that are known (they are told that it is none).
        """
        known = self._known(host)
        if known.local:
            return True
        if known.device is None:
            return False
        if (node := _node(address)) is not None:
            return allowed(node, known.device.scope, writing=writing)
        if not writing or known.device.scope is Scope.ADMIN:
            return True
        if not is_pattern(address):
            return True
        nodes = [NAMESPACE.find(found).node for found in matching(address)]
        return all(allowed(node, known.device.scope, writing=True) for node in nodes if node.kind is not Kind.STATE)

    def hello(self, host: str, token: str, port: int) -> str:
        """``/hello TOKEN PORT``: allow the host what the token's device may. Returns why not, or nothing when it is done."""
        if not 1 <= port <= 65535:
            return f"/hello: {port} is no port; 1 … 65535"
        if is_loopback(host):
            return ""
        host = canonical(host)
        if (device := self._store.find(token)) is None:
            if self._wrong.wait_s(host) > 0.0:
                return "/hello: too many wrong tokens; wait a minute"
            self._wrong.spend(host)
            return "/hello: the box knows no such token; pair this device at /pair in its browser"
        self._store.allow(device, host)
        return ""

    def _known(self, host: str) -> _Known:
        known = self._hosts.get(host)
        now = self._clock()
        if known is None or known.changes != self._store.changes or now >= known.until:
            known = self._look(host, now)
        if known.device is not None and known.until - now < REST_S - SEEN_STEP_S:
            known.until = now + REST_S
            self._store.allow(known.device, canonical(host))
        return known

    def _look(self, host: str, now: float) -> _Known:
        if len(self._hosts) >= MOST_HOSTS:
            self._hosts.clear()
        name = canonical(host)
        local = is_loopback(host)
        fresh = [d for d in self._store if now - d.hosts.get(name, -REST_S) < REST_S]
        device = max(fresh, key=lambda d: d.scope.rank, default=None)
        until = device.hosts[name] + REST_S if device is not None else now + REST_S
        self._hosts[host] = _Known(self._store.changes, local, device, until)
        return self._hosts[host]
