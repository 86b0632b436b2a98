# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC at the desk, whatever carries it: a message to a value sets it, to an action does it; a readable address without
arguments is answered with its value; what is refused is answered with ``/error "address" "what, where, what to do"``.

``/hello [token] [port]``, ``/bye``, ``/subscribe [pattern] [port] [rate]`` and ``/unsubscribe [pattern] [port]`` speak of the
connection itself. UDP and TCP listen on the same port.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.config import Endpoint, Osc
from appliance.control.desk import Desk
from appliance.control.osc.feedback import MAX_RATE, Feedback
from appliance.control.osc.gate import Gate, ListGate, refusal
from appliance.control.osc.orders import Orders, Others
from appliance.control.osc.packet import Message, decode, encode, single_address
from appliance.control.osc.peer import Over, Peer, Transport
from appliance.control.osc.tcp import TcpServer
from appliance.control.osc.trie import AddressTree
from appliance.control.osc.udp import DATAGRAM_BYTES, UdpServer
from appliance.errors import ApplianceError, BadValue, NotAllowed, Unavailable
from appliance.nodes import NAMESPACE

log = logging.getLogger(__name__)

ERRORS_A_SECOND = 10
SLICE_S = 0.005
"""So long packets are worked off before the loop gets its turn."""
THIN_AT = 2048
"""Packets that wait until values are thinned out."""
BACKLOG = 65_536
PAUSE_AT = 4096
"""Packets that wait here before TCP clients have to."""
RETRY_S = 2.0
TRIES = 8


class OscServer:
    """All that speak OSC with this box."""

    def __init__(self, desk: Desk, endpoint: Endpoint | None = None, gate: Gate | None = None) -> None:
        settings = desk.box.config.osc
        self.endpoint: Endpoint = endpoint or settings
        self._settings: Osc = settings
        self._desk = desk
        self.gate: Gate = gate or ListGate(settings.allow)
        tree = AddressTree(NAMESPACE)
        self.feedback = Feedback(desk, tree, self.send, self.gate.may, timeout_s=settings.timeout_s,
                                 heartbeat_s=settings.heartbeat_s)
        self._orders = Orders(desk, tree, self.gate, self.feedback, self.send, self._refuse, self._start)
        self._orders.others = self._to_programs
        self._transports: dict[Over, Transport] = {}
        self._tcp: TcpServer | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._waiting: deque[tuple[bytes, Peer]] = deque()
        self._thin_at = THIN_AT
        self._working = self._running = False
        self._errors: dict[str, _Allowance] = {}
        self._words: dict[str, Callable[[Message, Peer], None]] = {
            "/subscribe": self._subscribe, "/unsubscribe": self._unsubscribe, "/hello": self._hello, "/bye": self._bye,
            # what another box says: never answered, or two boxes would quarrel
            **dict.fromkeys(("/error", "/done", "/welcome", "/heartbeat"), lambda message, peer: None),
        }

    async def start(self) -> Endpoint:
        """Listen; returns where. Raises :class:`Unavailable` when UDP's address cannot be had. TCP comes later where its port
        is not free."""
        udp, where = await self._listen()
        self._transports["udp"] = udp
        self._desk.osc_send = lambda packet, place: udp.send(packet, Peer(*place))
        self.run()
        return where

    async def _listen(self) -> tuple[UdpServer, Endpoint]:
        """By UDP, and by TCP under the same number; where that is the system's to choose, one that both can have."""
        for more in reversed(range(TRIES)):
            udp = UdpServer(self.endpoint, self.receive, self.feedback.gone)
            where = await udp.start()
            try:
                if self._settings.tcp:
                    await self._listen_tcp(where)
                return udp, where
            except Unavailable as error:
                if self.endpoint.port or not more:
                    self._desk.say(error.message)
                    self._start(self._listen_tcp_later(where))
                    return udp, where
            await udp.stop()
        raise AssertionError("the last try returns")

    async def _listen_tcp(self, where: Endpoint) -> None:
        tcp = TcpServer(where, self.receive, self.feedback.gone)
        await tcp.start()
        self._tcp = self._transports["tcp"] = tcp

    async def _listen_tcp_later(self, where: Endpoint) -> None:
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                await self._listen_tcp(where)
            except Unavailable:
                continue
            self._desk.say(f"OSC over TCP listens now on {where}", logging.INFO)
            return

    def run(self) -> None:
        """What goes on beside the sockets; also without any."""
        if not self._running:
            self._running = True
            self._start(self.feedback.run())
            self._start(self._sample())

    def add(self, over: Over, transport: Transport) -> None:
        """Another way by which packets come and go."""
        self._transports[over] = transport

    async def stop(self) -> None:
        for peer in self.feedback.peers:
            self.send(encode("/bye", "the box ends, or its control starts anew; say /hello again"), peer)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._orders.stop()
        self._desk.osc_send = None
        for transport in self._transports.values():
            await transport.stop()
        self._transports.clear()

    # -- packets

    def receive(self, packet: bytes, peer: Peer) -> bool:
        """A packet has come. It is worked off in the loop's next turns. False: no more for now."""
        self._waiting.append((packet, peer))
        if len(self._waiting) >= self._thin_at:
            self._thin()
        if not self._working:
            self._working = True
            asyncio.get_running_loop().call_soon(self._work)
        return len(self._waiting) < BACKLOG

    def _thin(self) -> None:
        """More comes than can be done: of the values that wait, only the last of each address stays."""
        kept: list[tuple[bytes, Peer]] = []
        seen: set[str] = set()
        for packet, peer in reversed(self._waiting):
            address = single_address(packet)
            if address is not None and self._orders.is_value(address):
                if address in seen:
                    continue
                seen.add(address)
            kept.append((packet, peer))
        self._waiting.clear()
        self._waiting.extend(reversed(kept))
        self._thin_at = max(2 * len(kept), THIN_AT)

    def _work(self) -> None:
        waiting, until = self._waiting, time.monotonic() + SLICE_S
        while waiting and time.monotonic() < until:
            for _ in range(min(len(waiting), 16)):
                self._take_packet(*waiting.popleft())
        self._orders.flush()
        self._working = bool(waiting)
        if waiting:
            asyncio.get_running_loop().call_soon(self._work)
        if self._tcp is not None:
            self._tcp.pause(len(waiting) > PAUSE_AT)

    def _take_packet(self, packet: bytes, peer: Peer) -> None:
        self.feedback.heard(peer)
        try:
            messages = decode(packet)
        except ApplianceError as error:
            self._refuse(error, peer, "")
            return
        for message in messages:
            try:
                self._take(message, peer)
            except Exception:  # one message's fault must not keep the others from being done
                log.exception("OSC: internal error at %s", message.address)

    def _take(self, message: Message, peer: Peer) -> None:
        if message.address != "/hello" and not self.gate.may(peer.host, "/", False):
            self._refuse(refusal(self.gate, peer.host, message.address), peer, message.address)
            return
        word = self._words.get(message.address)
        if word is None:
            self._orders.take(message, peer)
            return
        self._orders.flush()
        try:
            word(message, peer)
        except ApplianceError as error:
            self._refuse(error, peer, message.address)

    def _to_programs(self, message: Message, place: tuple[str, int]) -> bool:
        """What profiles of other programs know; they come and go with the devices."""
        return self._desk.osc_programs is not None and self._desk.osc_programs(message, place)

    # -- words about the connection

    def _subscribe(self, message: Message, peer: Peer) -> None:
        texts, to, rate = _words_and_numbers(message, peer)
        pattern = texts[0] if texts else "/*"
        if not pattern.startswith("/"):
            what = f"{message.address} takes a pattern such as /pad/*, the port you listen on and a rate, not {pattern!r}"
            raise BadValue(what)
        if not self.gate.may(peer.host, pattern, False):
            raise refusal(self.gate, peer.host, "/subscribe")
        self.feedback.subscribe(pattern, to, peer, rate=rate)

    def _unsubscribe(self, message: Message, peer: Peer) -> None:
        texts, to, _ = _words_and_numbers(message, peer)
        self.feedback.unsubscribe(texts[0] if texts else None, to)

    def _hello(self, message: Message, peer: Peer) -> None:
        texts, to, _ = _words_and_numbers(message, peer)
        token = texts[0] if texts else ""
        if token.startswith("/"):
            raise BadValue("/hello takes your token and the port that you listen on, either of them or nothing; no pattern")
        if (token or not self.gate.may(peer.host, "/", False)) and (reason := self.gate.hello(peer.host, token, to.port)):
            raise NotAllowed(reason, status=403)
        self.send(encode("/welcome", "performance box", float(self._settings.heartbeat_s), float(self._settings.timeout_s)), to)
        self.feedback.hello(token, to, peer)

    def _bye(self, message: Message, peer: Peer) -> None:
        _, to, _ = _words_and_numbers(Message(message.address, tuple(a for a in message.args if not isinstance(a, str))), peer)
        self.feedback.bye(to, peer)

    @property
    def others(self) -> Others | None:
        """Asked, with the sender's host and port, about addresses that are none of the box's; true: it has been done."""
        return self._orders.others

    @others.setter
    def others(self, others: Others | None) -> None:
        self._orders.others = others

    # -- answers

    def send_to(self, packet: bytes, where: tuple[str, int]) -> None:
        """From the box's own UDP port to any."""
        self.send(packet, Peer(*where))

    def send(self, packet: bytes, peer: Peer) -> bool:
        """False when there is no room at the moment."""
        if peer.over == "udp" and len(packet) > DATAGRAM_BYTES:
            address = packet[: packet.index(b"\0")].decode()
            packet = encode("/error", address, f"the answer has {len(packet)} bytes and fits no datagram; ask by TCP or HTTP")
        transport = self._transports.get(peer.over)
        return transport is None or transport.send(packet, peer)

    def _refuse(self, error: ApplianceError, peer: Peer, address: str) -> None:
        """Answer and write one line, but never more than ten a second to a host."""
        if len(self._errors) > 256:
            self._errors.clear()
        allowance = self._errors.setdefault(peer.host, _Allowance())
        if allowance.spend():
            more = f" ({allowance.take_missed()} more were not written)" if allowance.missed else ""
            log.warning("OSC from %s: %s%s", peer, error.message, more)
            self.send(encode("/error", address[:256], error.message[:1024]), peer)

    async def _sample(self) -> None:
        while True:
            self._orders.frames.sample()
            await asyncio.sleep(0.1)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[Any]) -> None:
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


def _words_and_numbers(message: Message, peer: Peer) -> tuple[list[str], Peer, float]:
    """The texts; where to answer (the first number is a UDP port there, 0 or none means where the message came from); the
    second number, a rate in values a second."""
    texts: list[str] = []
    numbers: list[float] = []
    for arg in message.args:
        if isinstance(arg, str) and not arg.isdecimal():
            texts.append(arg)
            continue
        try:
            numbers.append(float(arg))
        except (TypeError, ValueError):
            raise BadValue(f"{message.address} takes text and numbers, not {arg}") from None
    port = numbers[0] if numbers else 0
    if port != int(port) or not 0 <= port <= 65535:
        raise BadValue(f"{message.address}: {port:g} is no port; 1 … 65535, or 0 for the one you send from")
    rate = numbers[1] if len(numbers) > 1 else MAX_RATE
    if rate <= 0:
        raise BadValue(f"{message.address}: {rate:g} is no rate; values a second, {MAX_RATE:g} at most")
    return texts, Peer(peer.host, int(port), "udp") if port else peer, rate
