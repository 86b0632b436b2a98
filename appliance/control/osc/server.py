# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC over UDP: a message to a value sets it, to an action does it; a readable address without
arguments is answered with its value; what is refused is answered with ``/error "what, where, what to do"``.

``/subscribe [pattern] [port]``, ``/unsubscribe [pattern] [port]`` and ``/hello [port]`` speak of the connection itself.
Bundles for the future are handed to the engine with their frame.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from appliance.bus.pattern import is_pattern
from appliance.config import Endpoint
from appliance.control.access.hosts import is_loopback
from appliance.control.access.osc import OscAccess
from appliance.control.desk import Desk
from appliance.control.osc.feedback import Feedback, Peer
from appliance.control.osc.frames import FrameClock
from appliance.control.osc.packet import IMMEDIATELY, Message, decode, encode
from appliance.control.osc.trie import AddressTree
from appliance.errors import ApplianceError, BadValue, Unavailable, UnknownAddress
from appliance.namespace import Address, Kind
from appliance.nodes import NAMESPACE

log = logging.getLogger(__name__)

AHEAD_S = 0.2
"""A timed message goes to the engine this long before its frame: the engine keeps only so many in waiting."""
FARTHEST_S = 3600.0
MAX_WAITING = 4096
ERRORS_A_SECOND = 10
DATAGRAM_BYTES = 60_000
RECEIVE_BYTES = 4 * 1024 * 1024
"""Wished for: a burst waits there while the loop is busy. The system gives what it allows (net.core.rmem_max)."""


class OscServer(asyncio.DatagramProtocol):
    """One UDP socket at the desk. Without ``access`` only this machine is heard."""

    def __init__(self, desk: Desk, endpoint: Endpoint, access: OscAccess | None = None) -> None:
        self._desk = desk
        self._access = access
        self._endpoint = endpoint
        self._tree = AddressTree(NAMESPACE)
        self._frames = FrameClock(desk.box)
        self._feedback = Feedback(desk, self._feed)
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waiting = 0
        self._errors: dict[str, _Allowance] = {}
        self._words: dict[str, Callable[[Message, Peer], None]] = {
            "/subscribe": self._subscribe, "/unsubscribe": self._unsubscribe, "/hello": self._hello,
        }

    async def start(self) -> Endpoint:
        """Listen; returns where. Raises :class:`Unavailable` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: self, (self._endpoint.host, self._endpoint.port))
        except OSError as error:
            why = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            what = f"OSC cannot listen on {self._endpoint}: {why}; free the port or choose another (osc: port)"
            raise Unavailable(what) from None
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        for work in (self._feedback.run(), self._sample()):
            self._keep(asyncio.create_task(work))
        host, port = transport.get_extra_info("sockname")[:2]
        return Endpoint(host=host, port=port)

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    # -- asyncio's side

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        peer = addr[:2]
        self._feedback.heard(peer)
        try:
            messages = decode(data)
        except ApplianceError as error:
            self._refuse(error, peer)
            return
        for message in messages:
            self._take(message, peer)

    def error_received(self, exc: Exception) -> None:
        log.debug("OSC: a subscriber's port is closed: %s", exc)

    # -- messages

    def _take(self, message: Message, peer: Peer) -> None:
        try:
            if message.address == "/error":
                return  # another box's complaint: never answered, or two boxes would quarrel
            message = self._greeted(message, peer)
            self._admit(peer, "/", writing=False)
            if (word := self._words.get(message.address)) is not None:
                word(message, peer)
                return
            targets = self._tree.match(message.address, self._desk.box.values.bank)
            if not targets:
                raise UnknownAddress(f"{message.address!r} matches no address of this box")
            if is_pattern(message.address):
                targets = [t for t in targets if self._accepts(t, message)] or targets
            self._obey_all(targets, message, peer)
        except ApplianceError as error:
            self._refuse(error, peer)

    def _obey_all(self, targets: list[Address], message: Message, peer: Peer) -> None:
        """One that refuses does not keep a pattern from the others; the first refusal is raised at the end."""
        first: ApplianceError | None = None
        for target in targets:
            try:
                self._obey(target, message, peer)
            except ApplianceError as error:
                first = first or error
        if first is not None:
            raise first

    @staticmethod
    def _accepts(target: Address, message: Message) -> bool:
        """Whether a pattern means this address: without arguments what can be read, with arguments what can be changed."""
        if not message.args and target.node.readable:
            return True
        return target.node.kind is not Kind.STATE

    # -- who may

    def _may(self, peer: Peer, address: str, *, writing: bool) -> bool:
        return is_loopback(peer[0]) if self._access is None else self._access.may(peer[0], address, writing)

    def _admit(self, peer: Peer, address: str, *, writing: bool) -> None:
        if self._may(peer, address, writing=writing):
            return
        if not self._may(peer, "/", writing=False):
            raise ApplianceError("the box does not know you: pair this device at /pair in its browser, or send /hello TOKEN "
                                 "PORT", status=401)
        raise ApplianceError(f"{address} is beyond what this device is paired to; pair it again with more", status=403)

    def _greeted(self, message: Message, peer: Peer) -> Message:
        """``/hello TOKEN PORT`` without its token, which has been looked at."""
        if message.address != "/hello" or len(message.args) != 2 or self._access is None:
            return message
        token, port = message.args
        if isinstance(token, str) and isinstance(port, int) and (why := self._access.hello(peer[0], token, port)):
            raise ApplianceError(why, status=401)
        return replace(message, args=(port,))

    def _feed(self, datagram: bytes, peer: Peer) -> None:
        """To a subscriber, for as long as its host may hear."""
        if self._may(peer, "/", writing=False):
            self._send(datagram, peer)

    def _obey(self, target: Address, message: Message, peer: Peer) -> None:
        kind = target.node.kind
        self._admit(peer, target.address, writing=bool(message.args) or kind in (Kind.COMMAND, Kind.CALL))
        if kind in (Kind.VALUE, Kind.TEXT, Kind.STATE) and not message.args:
            shown = message.address if not is_pattern(message.address) else target.address
            self._send(encode(shown, self._desk.get_now(target)), peer)
        elif message.time_tag != IMMEDIATELY and (delay_s := message.unix_ns() / 1e9 - time.time()) > 0:
            self._later(target, message, peer, delay_s)
        elif kind is Kind.CALL:
            self._call(target, message, peer)
        else:
            self._now(target, message, peer)

    def _now(self, target: Address, message: Message, peer: Peer, frame: int = 0) -> None:
        self._feedback.origin = peer
        try:
            self._desk.do_now(target, list(message.args), frame)
        finally:
            self._feedback.origin = None

    def _call(self, target: Address, message: Message, peer: Peer) -> None:
        """A request to a process. A single float is a button of a layout: 0.0 its release, anything else the request itself."""
        args = list(message.args)
        if len(args) == 1 and isinstance(args[0], float):
            if args[0] < 0.5:
                return
            args = []

        async def work() -> None:
            try:
                result = await self._desk.do(target, args)
                self._send(encode("/done", target.address, result), peer)
            except ApplianceError as error:
                self._refuse(error, peer)

        self._keep(asyncio.create_task(work()))

    def _later(self, target: Address, message: Message, peer: Peer, delay_s: float) -> None:
        """At the time tag: by frame where the engine can, else by this loop's clock."""
        if delay_s > FARTHEST_S:
            raise BadValue(f"OSC: the time tag for {target} lies {delay_s / 3600:.1f} hours ahead; one hour at most")
        if self._waiting >= MAX_WAITING:
            raise Unavailable(f"OSC: {MAX_WAITING} timed messages are waiting already")
        timed = target.node.kind in (Kind.VALUE, Kind.COMMAND) and target.node.owner == "engine"

        async def work() -> None:
            try:
                await asyncio.sleep(max(delay_s - AHEAD_S, 0.0) if timed else delay_s)
                if timed:
                    self._now(target, message, peer, self._frames.frame_at(message.unix_ns()))
                elif target.node.kind is Kind.CALL:
                    self._call(target, message, peer)
                else:
                    self._now(target, message, peer)
            except ApplianceError as error:
                self._refuse(error, peer)
            finally:
                self._waiting -= 1

        if timed and delay_s <= AHEAD_S:
            self._now(target, message, peer, self._frames.frame_at(message.unix_ns()))
            return
        self._waiting += 1
        self._keep(asyncio.create_task(work()))

    # -- words about the connection

    def _subscribe(self, message: Message, peer: Peer) -> None:
        pattern, to = _pattern_and_port(message, peer)
        self._feedback.subscribe(pattern or "/*", to, peer)

    def _unsubscribe(self, message: Message, peer: Peer) -> None:
        pattern, to = _pattern_and_port(message, peer)
        self._feedback.unsubscribe(pattern, to)

    def _hello(self, message: Message, peer: Peer) -> None:
        pattern, to = _pattern_and_port(message, peer)
        if pattern is not None:
            raise BadValue("/hello takes the port that you listen on, or nothing")
        self._feedback.subscribe("/*", to, peer, quiet=True)

    # -- answers

    def _send(self, datagram: bytes, peer: Peer) -> None:
        if len(datagram) > DATAGRAM_BYTES:
            raise BadValue(f"{len(datagram)} bytes do not fit into a datagram")
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, peer)

    def _refuse(self, error: ApplianceError, peer: Peer) -> None:
        """Answer and write one line, but never more than ten a second to a host."""
        if len(self._errors) > 256:
            self._errors.clear()
        allowance = self._errors.setdefault(peer[0], _Allowance())
        if allowance.spend():
            more = f" ({allowance.take_missed()} more were not written)" if allowance.missed else ""
            log.warning("OSC from %s:%d: %s%s", peer[0], peer[1], error.message, more)
            self._send(encode("/error", error.message), peer)

    async def _sample(self) -> None:
        while True:
            self._frames.sample()
            await asyncio.sleep(0.1)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("OSC: internal error", exc_info=error)


class _Allowance:
    """So many a second; counts what it did not let through."""

    def __init__(self) -> None:
        self.missed = 0
        self._left = float(ERRORS_A_SECOND)
        self._at_s = time.monotonic()

    def spend(self) -> bool:
        now = time.monotonic()
        self._left = min(self._left + (now - self._at_s) * ERRORS_A_SECOND, float(ERRORS_A_SECOND))
        self._at_s = now
        if self._left < 1.0:
            self.missed += 1
            return False
        self._left -= 1.0
        return True

    def take_missed(self) -> int:
        missed, self.missed = self.missed, 0
        return missed


def _pattern_and_port(message: Message, peer: Peer) -> tuple[str | None, Peer]:
    """``[pattern] [port]`` in either order; without a port the answer goes where the message came from."""
    pattern: str | None = None
    port = peer[1]
    for arg in message.args:
        if isinstance(arg, str) and arg.startswith("/"):
            pattern = arg
            continue
        try:
            port = int(arg)
        except ValueError:
            what = f"{message.address} takes a pattern such as /pad/* and the port you listen on, not {arg!r}"
            raise BadValue(what) from None
        if not 1 <= port <= 65535:
            raise BadValue(f"{message.address}: {port} is no port; 1 … 65535")
    return pattern, (peer[0], port)
