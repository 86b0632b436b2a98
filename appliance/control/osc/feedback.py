# SPDX-License-Identifier: GPL-3.0-or-later
"""What subscribers hear: the current values first, then every change, each address at most 60 times a second.

Only the newest value of an address waits, so a slow moment costs old values and never the last one. A subscriber that has
said nothing for 60 s is dropped: tablets come and go without a word.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.bus.pattern import compile_pattern, is_pattern
from appliance.control.announce import is_continuous
from appliance.control.desk import Desk
from appliance.control.osc.packet import encode
from appliance.errors import ApplianceError, Unavailable

Peer = tuple[str, int]
Send = Callable[[bytes, Peer], None]

EXPIRY_S = 60.0
INTERVAL_S = 1 / 60
BURST = 100
"""Datagrams sent in one go before the receiver gets time to empty its socket."""
BURST_PAUSE_S = 0.002
MAX_SUBSCRIBERS = 64
MAX_PATTERNS = 64


@dataclass(eq=False)
class Subscription:
    """One pattern. ``quiet``: what ``/hello`` means, everything but meters, positions and the banks' long addresses."""

    pattern: str
    quiet: bool = False

    def __post_init__(self) -> None:
        exact = self.pattern if is_pattern(self.pattern) else self.pattern.rstrip("/")
        self._exact = exact
        self._compiled = compile_pattern(exact, deep=True) if is_pattern(exact) else None
        self._known: dict[str, bool] = {}

    def wants(self, desk: Desk, address: str) -> bool:
        answer = self._known.get(address)
        if answer is None:
            answer = self._known[address] = self._decide(desk, address)
        return answer

    def _decide(self, desk: Desk, address: str) -> bool:
        if self.quiet and (address.startswith("/bank/") or is_continuous(desk.find(address))):
            return False
        if self._compiled is None:
            return address == self._exact or address.startswith(self._exact + "/")
        return self._compiled.fullmatch(address) is not None


@dataclass(eq=False)
class Subscriber:
    peer: Peer
    sources: set[Peer]
    seen_s: float
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    pending: dict[str, Any] = field(default_factory=dict)
    sent_s: dict[str, float] = field(default_factory=dict)


class Feedback:
    """All subscribers. Lives on control's loop."""

    def __init__(self, desk: Desk, send: Send) -> None:
        self._desk = desk
        self._send = send
        self._subscribers: dict[Peer, Subscriber] = {}
        self._wake = asyncio.Event()
        self._unsubscribe = desk.subscribe(self._changed, self._wants)
        self.origin: Peer | None = None
        """Who causes the changes that are announced at this moment: it does not hear them back."""

    def subscribe(self, pattern: str, peer: Peer, source: Peer, *, quiet: bool = False) -> None:
        """Add or renew; the current values follow at once. Raises :class:`Unavailable` when there are too many."""
        subscriber = self._subscribers.get(peer)
        if subscriber is None:
            if len(self._subscribers) >= MAX_SUBSCRIBERS:
                raise Unavailable(f"OSC: {MAX_SUBSCRIBERS} subscribers are served already; unsubscribe one or wait a minute")
            subscriber = self._subscribers[peer] = Subscriber(peer, set(), 0.0)
        if pattern not in subscriber.subscriptions and len(subscriber.subscriptions) >= MAX_PATTERNS:
            raise Unavailable(f"OSC: {MAX_PATTERNS} patterns are watched for you already; use a wider one, such as /*")
        subscriber.sources.add(source)
        subscriber.seen_s = time.monotonic()
        subscription = subscriber.subscriptions[pattern] = Subscription(pattern, quiet)
        for address, value in self._desk.current(pattern):
            if subscription.wants(self._desk, address):
                subscriber.pending[address] = value
                subscriber.sent_s.pop(address, None)
        self._desk.interest_changed()
        self._wake.set()

    def unsubscribe(self, pattern: str | None, peer: Peer) -> None:
        """Without a pattern: everything."""
        subscriber = self._subscribers.get(peer)
        if subscriber is None:
            return
        if pattern is not None:
            subscriber.subscriptions.pop(pattern, None)
        if pattern is None or not subscriber.subscriptions:
            del self._subscribers[peer]
        self._desk.interest_changed()

    def heard(self, source: Peer) -> None:
        """A message came from there: whoever subscribed from there is alive."""
        for subscriber in self._subscribers.values():
            if source in subscriber.sources or source == subscriber.peer:
                subscriber.seen_s = time.monotonic()

    @property
    def peers(self) -> list[Peer]:
        return list(self._subscribers)

    def _wants(self, address: str) -> bool:
        return any(s.wants(self._desk, address) for who in self._subscribers.values() for s in who.subscriptions.values())

    def _changed(self, address: str, value: Any) -> None:
        for subscriber in self._subscribers.values():
            if self.origin is not None and (self.origin in subscriber.sources or self.origin == subscriber.peer):
                subscriber.pending.pop(address, None)
                continue
            if any(s.wants(self._desk, address) for s in subscriber.subscriptions.values()):
                subscriber.pending[address] = value
                self._wake.set()

    async def run(self) -> None:
        """Send what is due, for ever."""
        try:
            while True:
                self._wake.clear()
                wait_s = self._send_due()
                try:
                    await asyncio.wait_for(self._wake.wait(), wait_s)
                except TimeoutError:
                    pass
                else:
                    await asyncio.sleep(0)
        finally:
            self._unsubscribe()

    def _send_due(self) -> float:
        """One burst; returns how long nothing else is due, in seconds."""
        now = time.monotonic()
        budget, wait_s = BURST, 5.0
        for subscriber in tuple(self._subscribers.values()):
            if now - subscriber.seen_s > EXPIRY_S:
                self.unsubscribe(None, subscriber.peer)
                continue
            for address in tuple(subscriber.pending):
                due_in = subscriber.sent_s.get(address, -1.0) + INTERVAL_S - now
                if due_in > 0:
                    wait_s = min(wait_s, due_in)
                    continue
                if budget == 0:
                    return BURST_PAUSE_S
                budget -= 1
                subscriber.sent_s[address] = now
                self._tell(subscriber, address, subscriber.pending.pop(address))
        return wait_s

    def _tell(self, subscriber: Subscriber, address: str, value: Any) -> None:
        try:
            self._send(encode(address, value), subscriber.peer)
        except ApplianceError:  # too long for a datagram: the hub and HTTP have it in full
            self._send(encode(address, "(too long for OSC; read it over HTTP)"), subscriber.peer)
