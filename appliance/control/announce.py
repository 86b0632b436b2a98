# SPDX-License-Identifier: GPL-3.0-or-later
"""The one path by which changes are told: hub watchers, OSC feedback, WebSockets, lamps and the session all hear it.

What control itself changes is announced at once. What others change (the engine by MIDI or at a frame, generation and
visuals in shared memory) is found by comparing the values with those announced last, about fifty times a second; so are
the states that telemetry carries. Meters and positions are told at most twenty times a second and only to those who
asked for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.bus import layout
from appliance.bus.box import Box
from appliance.namespace import Address, Kind, Type
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import PAD_STATES, PADS

log = logging.getLogger(__name__)

Listener = Callable[[str, Any], None]
Wants = Callable[[str], bool]

TICKS_PER_METER = 3
"""Continuous states are looked at on every third tick of 20 ms: 17 times a second."""
TICKS_PER_INTEREST = 12
_MISSING = PAD_STATES.index("missing")
_PRIVATE = frozenset(a.address for a in NAMESPACE if a.node.private)


@dataclass(eq=False)
class Subscriber:
    listener: Listener
    wants: Wants | None
    private: bool = False


def alias_of(address: str, bank: int) -> str | None:
    """``/pad/N/…`` for an address of a pad in the chosen bank, else None."""
    prefix = f"/bank/{bank}/pad/"
    return address[len(prefix) - 5 :] if address.startswith(prefix) else None


def is_continuous(address: Address) -> bool:
    """A meter or a position: it changes all the time, so it is told only to those who ask for it."""
    node = address.node
    return bool(node.reads) and node.type is Type.FLOAT and not node.momentary


class Announcer:
    """Subscribers, and what each of them has been told last. Lives on control's event loop; not for other threads."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._subscribers: list[Subscriber] = []
        self._told_values = box.values.read_vector()
        self._bank_slot = NAMESPACE.find("/pads/bank").slot
        polled = [a for a in NAMESPACE if a.node.reads]
        self._discrete = _Watchlist([a for a in polled if not is_continuous(a)])
        self._continuous = _Watchlist([a for a in polled if is_continuous(a)])
        self._wanted = np.zeros(0, np.int64)
        self._pad_words = np.array([word_of(a) for a in polled if a.node.reads == "pad.state"], np.int64)
        self.missing = np.zeros(layout.PAD_CELLS, bool)
        """Pads whose file of the session is not there: where the engine says empty, people are told ``missing``."""
        self._tick = 0
        self.bank_changed: Callable[[], None] = lambda: None

    def subscribe(self, listener: Listener, wants: Wants | None = None, *, private: bool = False) -> Callable[[], None]:
        """Tell ``listener(address, value)`` of every change from now on; returns what ends it.

        Meters and positions come only for addresses that ``wants(address)`` asks for; without it, never. Private nodes come
        only with ``private``.
        """
        subscriber = Subscriber(listener, wants, private)
        self._subscribers.append(subscriber)
        self._tick = 0

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    def interest_changed(self) -> None:
        """Somebody's ``wants`` has a new answer: ask again at the next tick, not only within a quarter of a second."""
        self._tick = 0

    def announce(self, address: Address, value: Any) -> None:
        """Tell all subscribers, under the canonical address and, for a pad of the chosen bank, as ``/pad/N/…``."""
        if address.slot >= 0:
            self._told_values[address.slot] = address.node.to_slot(value)
        self.tell(address.address, value)
        if address.slot == self._bank_slot:
            self.bank_changed()

    def tell(self, address: str, value: Any) -> None:
        self._deliver(address, value)
        if address.startswith("/bank/") and (alias := alias_of(address, self._box.values.bank)):
            self._deliver(alias, value)

    def _deliver(self, address: str, value: Any) -> None:
        secret = address in _PRIVATE
        for subscriber in tuple(self._subscribers):
            if secret and not subscriber.private:
                continue
            try:
                subscriber.listener(address, value)
            except Exception:  # a listener's fault must not keep the change from the others
                log.exception("a listener failed on %s", address)

    def tell_alias(self, alias: str, value: Any) -> None:
        """Tell a ``/pad/N/…`` address only (the chosen bank has changed, the pads have not)."""
        self._deliver(alias, value)

    def tick(self) -> None:
        """Compare and announce; call it every 20 ms."""
        self._compare_values()
        words = telemetry_words(self._box)
        if self.missing.any():
            words = words.copy()
            words[self._pad_words[self.missing & (words[self._pad_words] == 0)]] = _MISSING
        for address, value in self._discrete.changes(words):
            self.tell(address.address, value)
        if self._tick % TICKS_PER_INTEREST == 0:
            self._wanted = self._find_interest()
        if len(self._wanted) and self._tick % TICKS_PER_METER == 0:
            for address, value in self._continuous.changes(words, self._wanted):
                self._tell_continuous(address.address, value)
        self._tick += 1

    def _compare_values(self) -> None:
        vector = self._box.values.vector
        for slot in np.nonzero(vector != self._told_values)[0]:
            number = float(vector[slot])
            self._told_values[slot] = number
            address = NAMESPACE.by_slot.get(int(slot))
            if address is not None and number == number:
                self.announce(address, address.node.from_slot(number))

    def _find_interest(self) -> np.ndarray:
        wants = [s.wants for s in self._subscribers if s.wants is not None]
        if not wants:
            return np.zeros(0, np.int64)
        bank = self._box.values.bank
        wanted: list[int] = []
        for place, address in enumerate(self._continuous.addresses):
            alias = alias_of(address.address, bank)
            if any(want(address.address) or (alias is not None and want(alias)) for want in wants):
                wanted.append(place)
        return np.array(wanted, np.int64)

    def _tell_continuous(self, address: str, value: Any) -> None:
        names = [address, alias] if (alias := alias_of(address, self._box.values.bank)) else [address]
        for subscriber in tuple(self._subscribers):
            if subscriber.wants is None:
                continue
            for name in names:
                if subscriber.wants(name):
                    subscriber.listener(name, value)


def telemetry_words(box: Box) -> np.ndarray:
    """The telemetry snapshot as float64 words (integer fields are not meaningful in it)."""
    return np.atleast_1d(np.asarray(box.telemetry.snapshot())).view(np.float64)


def word_of(address: Address) -> int:
    """Place of what the node ``reads`` among the telemetry's words."""
    record, name = address.node.reads.split(".")
    fields: Any = layout.TELEMETRY.fields
    part, start = fields[record][:2]
    element = part.subdtype[0] if part.subdtype else part
    return (start + (address.index if part.subdtype else 0) * element.itemsize + element.fields[name][1]) // 8


class _Watchlist:
    """Telemetry-backed addresses, their places in the snapshot and what was told of each."""

    def __init__(self, addresses: list[Address]) -> None:
        self.addresses = addresses
        self._words = np.array([word_of(a) for a in addresses], np.int64)
        self._told = np.full(len(addresses), np.nan)

    def changes(self, words: np.ndarray, among: np.ndarray | None = None) -> list[tuple[Address, Any]]:
        places = np.arange(len(self._words)) if among is None else among
        now = words[self._words[places]]
        changed = np.nonzero(now != self._told[places])[0]
        if not len(changed):
            return []
        found: list[tuple[Address, Any]] = []
        for at in changed:
            place, number = int(places[at]), float(now[at])
            first = self._told[place] != self._told[place]
            self._told[place] = number
            if number == number and not (first and among is None and number == 0.0):
                address = self.addresses[place]
                found.append((address, address.node.from_slot(number)))
        return found


def is_session(address: Address) -> bool:
    return address.node.session and address.node.kind in (Kind.VALUE, Kind.TEXT)


def pad_aliases() -> list[str]:
    """All ``/pad/N/…`` addresses."""
    group = next(g for g in NAMESPACE.groups if g.record == "pad")
    return [f"/pad/{pad}/{node.name}" for pad in range(1, PADS + 1) for node in group.nodes]
