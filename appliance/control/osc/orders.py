# SPDX-License-Identifier: GPL-3.0-or-later
"""What messages do at the desk: set a value, do an action, read; now or at their time tag.

Where messages come faster than they are done, only the last value of an address is set (a fader's journey); actions all happen,
each after the values that came before it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.bus.pattern import is_pattern
from appliance.control.desk import Desk
from appliance.control.osc.feedback import Feedback
from appliance.control.osc.frames import FrameClock
from appliance.control.osc.gate import Gate, refusal
from appliance.control.osc.packet import IMMEDIATELY, IMPULSE, Message, Midi, encode
from appliance.control.osc.peer import Peer
from appliance.control.osc.schedule import Schedule
from appliance.control.osc.trie import AddressTree
from appliance.errors import ApplianceError, BadValue, UnknownAddress
from appliance.namespace import Address, Kind, Type
from appliance.nodes import NAMESPACE

AHEAD_NS = 200_000_000
"""A timed message goes to the engine this long before its frame: the engine keeps only so many in waiting."""
HINT_S = 0.3
_BANK = NAMESPACE.find("/pads/bank")

Answer = Callable[[bytes, Peer], object]
Refuse = Callable[[ApplianceError, Peer, str], None]
Start = Callable[[Awaitable[None]], None]
Others = Callable[[Message, tuple[str, int]], bool]


class Orders:
    """``answer(packet, peer)`` sends back, ``refuse(error, peer, address)`` complains, ``start`` keeps what takes time."""

    def __init__(self, desk: Desk, tree: AddressTree, gate: Gate, feedback: Feedback, answer: Answer, refuse: Refuse,
                 start: Start) -> None:
        self._desk = desk
        self._tree = tree
        self._gate = gate
        self._feedback = feedback
        self._answer = answer
        self._refuse = refuse
        self._start = start
        self.frames = FrameClock(desk.box)
        self._schedule = Schedule()
        self._values: dict[int, tuple[Address, Any, Peer]] = {}
        self._next_hint_s = 0.0
        self.others: Others | None = None

    def stop(self) -> None:
        self._schedule.stop()

    def take(self, message: Message, peer: Peer) -> None:
        """Do it; a refusal is answered. Values may wait until :meth:`flush`."""
        try:
            if self._is_others(message, peer):
                return
            targets = self._targets(message)
        except ApplianceError as error:
            self._refuse(error, peer, message.address)
            return
        refused = False
        for target in targets:  # one that refuses does not keep a pattern from the others; the first refusal is told
            try:
                self._obey(target, message, peer)
            except ApplianceError as error:
                if not refused:
                    self._refuse(error, peer, message.address if len(targets) == 1 else target.address)
                refused = True

    def _is_others(self, message: Message, peer: Peer) -> bool:
        """Whether it is none of the box's addresses, and somebody here knows it all the same."""
        address = message.address
        if self.others is None or address in self._tree.exact or not self._gate.may(peer.host, "/", True):
            return False
        ours = self._tree.match(address, self._desk.box.values.bank) if is_pattern(address) else address in NAMESPACE
        if ours:
            return False
        self.flush()
        return self.others(message, (peer.host, peer.port))

    def _targets(self, message: Message) -> list[Address]:
        """Raises :class:`UnknownAddress`; what may have been meant is looked for (20 ms) a few times a second only."""
        address = message.address
        if (found := self._tree.exact.get(address)) is not None:
            return [found]
        bank = self._desk.box.values.bank
        if is_pattern(address):
            targets = self._tree.match(address, bank)
            if not targets:
                raise UnknownAddress(f"{address!r} matches no address of this box")
            return [t for t in targets if self._accepts(t, message)] or targets
        if address.rstrip("/") not in NAMESPACE:
            now = time.monotonic()
            if now < self._next_hint_s:
                raise UnknownAddress(f"{address!r} is no address of this box; `appliance ls` shows them all")
            self._next_hint_s = now + HINT_S
        return self._tree.match(address, bank)

    @staticmethod
    def _accepts(target: Address, message: Message) -> bool:
        """Whether a pattern means this address: without arguments what can be read, with arguments what can be changed."""
        if not message.args and target.node.readable:
            return True
        return target.node.kind is not Kind.STATE

    def _obey(self, target: Address, message: Message, peer: Peer) -> None:
        kind = target.node.kind
        reading = not message.args and kind in (Kind.VALUE, Kind.TEXT, Kind.STATE)
        if not self._gate.may(peer.host, target.address, not reading):
            raise refusal(self._gate, peer.host, target.address)
        if reading:
            self.flush()
            shown = message.address if not is_pattern(message.address) else target.address
            self._answer(encode(shown, self._desk.get_now(target)), peer)
            return
        args = arguments(target, message.args)
        if message.time_tag != IMMEDIATELY and (unix_ns := message.unix_ns()) > time.time_ns():
            self._later(target, args, unix_ns, peer)
        elif kind is Kind.VALUE and len(args) == 1 and target.slot != _BANK.slot:
            taken = target.node.check(args[0], target.address)
            self._values.pop(target.slot, None)
            self._values[target.slot] = target, taken, peer
        else:
            self._now(target, args, peer)

    def is_value(self, address: str) -> bool:
        """Whether only its last value counts. (The chosen bank says what the messages after it mean.)"""
        found = self._tree.exact.get(address)
        return found is not None and found.node.kind is Kind.VALUE and found.slot != _BANK.slot

    def flush(self) -> None:
        """Set the values that wait."""
        if not self._values:
            return
        values, self._values = self._values, {}
        for target, value, peer in values.values():
            self._feedback.origin = peer
            self._desk.by_hand(target, [value])
            try:
                self._desk.set_now(target, value)
            except ApplianceError as error:
                self._refuse(error, peer, target.address)
            finally:
                self._feedback.origin = None

    def _now(self, target: Address, args: list[Any], peer: Peer, frame: int = 0) -> None:
        self.flush()
        if target.node.kind is Kind.CALL:
            self._call(target, args, peer)
            return
        self._feedback.origin = peer
        self._desk.by_hand(target, args)
        try:
            self._desk.do_now(target, args, frame)
        finally:
            self._feedback.origin = None

    def _call(self, target: Address, args: list[Any], peer: Peer) -> None:
        """A request to a process. A single float is a button of a layout: 0.0 its release, anything else the request itself."""
        if len(args) == 1 and isinstance(args[0], float):
            if args[0] < 0.5:
                return
            args = []

        async def work() -> None:
            try:
                result = await self._desk.do(target, args)
                self._answer(encode("/done", target.address, result), peer)
            except ApplianceError as error:
                self._refuse(error, peer, target.address)

        self._start(work())

    def _later(self, target: Address, args: list[Any], unix_ns: int, peer: Peer) -> None:
        """At the time tag: by frame where the engine can, else by this process's clock."""
        timed = target.node.kind in (Kind.VALUE, Kind.COMMAND) and target.node.owner == "engine"
        if target.node.kind is Kind.VALUE and len(args) == 1:
            target.node.check(args[0], target.address)  # what is wrong is said now

        def work() -> None:
            try:
                self._now(target, args, peer, self.frames.frame_at(unix_ns) if timed else 0)
            except ApplianceError as error:
                self._refuse(error, peer, target.address)

        due_ns = unix_ns - AHEAD_NS if timed else unix_ns
        if due_ns <= time.time_ns() and not len(self._schedule):
            work()
        else:
            self._schedule.at(unix_ns, due_ns, work, target.address)


def arguments(target: Address, args: tuple[Any, ...]) -> list[Any]:
    """What the node can take of OSC's special types: an impulse does an action and turns a switch on, nothing (``N``) is no
    argument for an action, a MIDI message tells how far a control stands. Raises :class:`BadValue` for what means nothing.
    """
    node = target.node
    action = node.kind in (Kind.COMMAND, Kind.CALL)
    taken: list[Any] = []
    for arg in args:
        if arg is IMPULSE:
            if not action:
                if node.type is not Type.BOOL:
                    raise BadValue(f"{target.address} takes a value, not an impulse")
                taken.append(True)
        elif arg is None:
            if not action:
                taken.append(None)
        elif isinstance(arg, Midi):
            try:
                unit = arg.unit
            except BadValue as error:
                raise BadValue(f"{target.address}: {error.message}") from None
            if node.type in (Type.FLOAT, Type.INT, Type.CHOICE, Type.BOOL):
                taken.append(node.from_unit(unit))
            elif node.type is Type.NONE:
                taken.append(unit)
            else:
                raise BadValue(f"{target.address} takes {node.type.value}, not a MIDI message")
        else:
            taken.append(arg)
    return taken
