# SPDX-License-Identifier: GPL-3.0-or-later
"""What subscribers hear: the current values first, then every change, each address at most 60 times a second.

Only the newest value of an address waits, so a slow moment costs old values and never the last one. A subscriber that has said
nothing for a minute is dropped, and so is one whose port refuses: tablets come and go without a word. One that has said
``/hello`` hears a ``/heartbeat`` every few seconds, and is known by its token when it comes back from elsewhere. Over a
connection (TCP, a WebSocket) its end is enough.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.control.announce import is_continuous
from appliance.control.desk import Desk
from appliance.control.osc.packet import encode
from appliance.control.osc.peer import Peer
from appliance.control.osc.trie import AddressTree
from appliance.errors import ApplianceError, Unavailable

Send = Callable[[bytes, Peer], bool]
May = Callable[[str, str, bool], bool]

MAX_RATE = 60.0
BURST = 32
"""Packets sent in one go before the receiver gets time to empty its socket; shared by the subscribers."""
BURST_PAUSE_S = 0.004
FULL_PAUSE_S = 0.02
MAX_SUBSCRIBERS = 64
MAX_PATTERNS = 64
MAX_PACKET = 60_000
_NOW = object()
"""Waits in place of a value that is read when its turn comes."""


@dataclass(eq=False)
class Subscriber:
    """``intervals``: for each address that it watches, how long it wants to wait between two values."""

    peer: Peer
    sources: set[Peer] = field(default_factory=set)
    seen_s: float = 0.0
    subscriptions: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, float] = field(default_factory=dict)
    pending: dict[str, Any] = field(default_factory=dict)
    sent_s: dict[str, float] = field(default_factory=dict)
    token: str | None = None
    beats: int = 0
    next_beat_s: float = 0.0

    def merge(self) -> None:
        """The intervals, after a change of the subscriptions: the quickest of them counts."""
        self.intervals = {}
        for subscription in self.subscriptions.values():
            for address, interval_s in subscription.items():
                self.intervals[address] = min(interval_s, self.intervals.get(address, interval_s))
        self.pending = {address: value for address, value in self.pending.items() if address in self.intervals}


class Feedback:
    """All subscribers. Lives on control's loop. ``may`` is the gate's word on what a host may read."""

    def __init__(self, desk: Desk, tree: AddressTree, send: Send, may: May, *, timeout_s: float = 60.0,
                 heartbeat_s: float = 5.0) -> None:
        self._desk = desk
        self._tree = tree
        self._send = send
        self._may = may
        self._timeout_s = timeout_s
        self._heartbeat_s = heartbeat_s
        self._subscribers: dict[Peer, Subscriber] = {}
        self._sources: dict[Peer, list[Subscriber]] = {}
        self._wake = asyncio.Event()
        self._unsubscribe = desk.subscribe(self._changed, self._wants)
        self.origin: Peer | None = None
        """Who causes the changes that are announced at this moment: it does not hear them back."""

    # -- who hears what

    def subscribe(self, pattern: str, peer: Peer, source: Peer, *, rate: float = MAX_RATE, quiet: bool = False,
                  alone: bool = False) -> None:
        """Add or renew; the current values follow at once. ``rate``: values of an address a second. ``quiet``: without meters,
        positions and the banks' long addresses. ``alone``: this address and none below. Raises :class:`Unavailable` when there
        are too many."""
        subscriber = self._subscribers.get(peer)
        if subscriber is None and len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise Unavailable(f"OSC: {MAX_SUBSCRIBERS} subscribers are served already; unsubscribe one or wait a minute")
        subscriber = subscriber or Subscriber(peer)
        if pattern not in subscriber.subscriptions and len(subscriber.subscriptions) >= MAX_PATTERNS:
            raise Unavailable(f"OSC: {MAX_PATTERNS} patterns are watched for you already; use a wider one, such as /*")
        interval_s = 1 / min(max(rate, 0.01), MAX_RATE)
        addresses = [pattern] if alone else self._tree.watched(pattern)
        wanted = {address: interval_s for address in addresses if self._is_wanted(address, peer, quiet)}
        self._subscribers[peer] = subscriber
        subscriber.subscriptions[pattern] = wanted
        subscriber.sources.add(source)
        subscriber.seen_s = time.monotonic()
        subscriber.merge()
        for address in wanted:
            if not is_continuous(self._desk.find(address)):
                subscriber.pending[address] = _NOW
                subscriber.sent_s.pop(address, None)
        self._have_changed()

    def _is_wanted(self, address: str, peer: Peer, quiet: bool) -> bool:
        found = self._desk.find(address)
        if not found.node.readable or not self._may(peer.host, address, False):
            return False
        return not (quiet and (address.startswith("/bank/") or is_continuous(found)))

    def hello(self, token: str, peer: Peer, source: Peer) -> None:
        """Everything for a layout, and a heartbeat. Whoever said it before with this token has moved here."""
        moved = next((s for s in self._subscribers.values() if token and s.token == token and s.peer != peer), None)
        if moved is not None:
            del self._subscribers[moved.peer]
            if peer not in self._subscribers:
                moved.peer, moved.sources = peer, set()
                self._subscribers[peer] = moved
                for pattern, wanted in moved.subscriptions.items():
                    if pattern != "/*":
                        moved.pending.update(dict.fromkeys(wanted, _NOW))
        self.subscribe("/*", peer, source, quiet=True)
        subscriber = self._subscribers[peer]
        subscriber.token = token
        subscriber.next_beat_s = time.monotonic()

    def unsubscribe(self, pattern: str | None, peer: Peer) -> None:
        """Without a pattern: everything."""
        subscriber = self._subscribers.get(peer)
        if subscriber is None:
            return
        if pattern is not None:
            subscriber.subscriptions.pop(pattern, None)
            subscriber.merge()
        if pattern is None or not subscriber.subscriptions:
            del self._subscribers[peer]
        self._have_changed()

    def bye(self, peer: Peer, source: Peer) -> None:
        """Whoever hears at ``peer`` or speaks from ``source`` wants no more."""
        for subscriber in (*self._sources.get(source, ()), *self._sources.get(peer, ())):
            self.unsubscribe(None, subscriber.peer)

    def gone(self, peer: Peer) -> None:
        """Its port refuses, or its connection has ended."""
        self.unsubscribe(None, peer)

    def forget(self, host: str) -> None:
        """Nobody there hears anything any more."""
        for peer in tuple(self._subscribers):
            if peer.host == host:
                self.unsubscribe(None, peer)

    def _have_changed(self) -> None:
        self._sources = {}
        for subscriber in self._subscribers.values():
            for source in {*subscriber.sources, subscriber.peer}:
                self._sources.setdefault(source, []).append(subscriber)
        self._desk.interest_changed()
        self._wake.set()

    def heard(self, source: Peer) -> None:
        """A message came from there: whoever subscribed from there is alive."""
        for subscriber in self._sources.get(source, ()):
            subscriber.seen_s = time.monotonic()

    @property
    def peers(self) -> list[Peer]:
        return list(self._subscribers)

    # -- what is told

    def _wants(self, address: str) -> bool:
        return any(address in subscriber.intervals for subscriber in self._subscribers.values())

    def _changed(self, address: str, value: Any) -> None:
        for subscriber in self._subscribers.values():
            if address not in subscriber.intervals:
                continue
            if self.origin is not None and (self.origin in subscriber.sources or self.origin == subscriber.peer):
                subscriber.pending.pop(address, None)
                continue
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
        share = max(BURST // max(len(self._subscribers), 1), 8)
        wait_s = 1.0
        for subscriber in tuple(self._subscribers.values()):
            if subscriber.peer.over == "udp" and now - subscriber.seen_s > self._timeout_s:
                self._send(encode("/bye", f"nothing was heard from you for {self._timeout_s:g} s; say /hello again"),
                           subscriber.peer)
                self.unsubscribe(None, subscriber.peer)
                continue
            if not self._may(subscriber.peer.host, "/", False):  # its right has been taken away
                self.unsubscribe(None, subscriber.peer)
                continue
            wait_s = min(wait_s, self._beat(subscriber, now), self._serve(subscriber, now, share))
        return wait_s

    def _beat(self, subscriber: Subscriber, now: float) -> float:
        if subscriber.token is None or not self._heartbeat_s:
            return 1.0
        if now >= subscriber.next_beat_s and self._send(encode("/heartbeat", subscriber.beats), subscriber.peer):
            subscriber.beats = (subscriber.beats + 1) % 2**31
            subscriber.next_beat_s = now + self._heartbeat_s
        return max(subscriber.next_beat_s - now, FULL_PAUSE_S)

    def _serve(self, subscriber: Subscriber, now: float, share: int) -> float:
        wait_s = 1.0
        for address in tuple(subscriber.pending):
            due_in = subscriber.sent_s.get(address, -9.0) + subscriber.intervals[address] - now
            if due_in > 0:
                wait_s = min(wait_s, due_in)
                continue
            if share == 0:
                return BURST_PAUSE_S
            packet = self._packet(address, subscriber.pending[address])
            if packet is not None and not self._send(packet, subscriber.peer):
                return FULL_PAUSE_S
            share -= 1
            subscriber.sent_s[address] = now
            subscriber.pending.pop(address, None)
        return wait_s

    def _packet(self, address: str, value: Any) -> bytes | None:
        """None for a state that nobody has published yet."""
        if value is _NOW:
            try:
                value = self._desk.get_now(address)
            except ApplianceError:
                return None
            if value is None:
                return None
        packet = encode(address, value)
        return packet if len(packet) <= MAX_PACKET else encode(address, "(too long for OSC; read it over HTTP)")
