# SPDX-License-Identifier: GPL-3.0-or-later
"""``/hello``, heartbeats, rates, the gate: who hears what, for how long, and who may."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage

from appliance.config import Endpoint, Osc
from appliance.control.desk import Desk
from appliance.control.osc.framing import escape
from appliance.control.osc.gate import ListGate
from appliance.control.osc.packet import IMMEDIATELY, NTP_TO_UNIX_S, decode, encode
from appliance.control.osc.peer import Peer
from appliance.control.osc.server import OscServer
from appliance.errors import BadValue
from appliance.nodes import NAMESPACE


class Ear(asyncio.DatagramProtocol):
    """A tablet: one socket that sends and listens."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[Any]]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message = OscMessage(data)
        self.heard.append((message.address, list(message.params)))

    def send(self, address: str, *args: Any) -> None:
        self.raw(encode(address, *args))

    def raw(self, data: bytes) -> None:
        self.transport.sendto(data, self.box)

    def of(self, address: str) -> list[list[Any]]:
        return [args for at, args in self.heard if at == address]

    async def wait(self, address: str, count: int = 1) -> list[list[Any]]:
        async with asyncio.timeout(5):
            while len(self.of(address)) < count:
                await asyncio.sleep(0.01)
        return self.of(address)

    box: tuple[str, int]


class Rig:
    def __init__(self, desk: Desk, endpoint: Endpoint, server: OscServer) -> None:
        self.desk, self.endpoint, self.server = desk, endpoint, server

    async def ear(self) -> Ear:
        _, ear = await asyncio.get_running_loop().create_datagram_endpoint(Ear, local_addr=("127.0.0.1", 0))
        ear.box = self.endpoint.host, self.endpoint.port
        return ear

    def triggers(self) -> list[tuple[int, float]]:
        box = self.desk.box
        return [(int(row["index"]), round(float(row["a"]), 3))
                for row in box.record["commands"][0][: int(box.record["command_head"][0])]
                if int(row["code"]) == NAMESPACE.command("pad", "trigger")]


@pytest_asyncio.fixture
async def rig(desk: Desk) -> AsyncIterator[Rig]:
    desk.box.config.osc.heartbeat_s = 0.05
    server = OscServer(desk, desk.box.config.osc)
    yield Rig(desk, await server.start(), server)
    await server.stop()


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


async def test_hello_is_welcomed_dumped_and_beaten(rig: Rig) -> None:
    ear = await rig.ear()
    ear.send("/hello", "tablet 1", ear.port)
    assert (await ear.wait("/welcome"))[0][1:] == [pytest.approx(0.05), 60.0]
    await ear.wait("/visuals/speed")
    beats = [beat for beat, in await ear.wait("/heartbeat", 3)]
    assert beats[:3] == [0, 1, 2]
    ear.send("/bye")
    await until(lambda: not rig.server.feedback.peers)


async def test_a_token_takes_its_subscriptions_along_to_another_port(rig: Rig) -> None:
    old, new = await rig.ear(), await rig.ear()
    old.send("/hello", "tablet 1", old.port)
    old.send("/subscribe", "/bank/3/*", old.port)
    await old.wait("/bank/3/pad/1/gain")
    new.send("/hello", "tablet 1", new.port)
    await new.wait("/bank/3/pad/16/gain")
    assert rig.server.feedback.peers == [Peer("127.0.0.1", new.port)]
    await asyncio.sleep(0.1)
    old.heard.clear()
    rig.desk.set_now("/mixer/crossfader", 0.5)
    rig.desk.set_now("/bank/3/pad/1/gain", -3.0)
    await until(lambda: [0.5] in new.of("/mixer/crossfader") and [-3.0] in new.of("/bank/3/pad/1/gain"))
    assert old.heard == []


async def test_two_without_a_token_are_two(rig: Rig) -> None:
    first, second = await rig.ear(), await rig.ear()
    first.send("/hello")
    second.send("/hello")
    await first.wait("/welcome")
    await second.wait("/welcome")
    assert len(rig.server.feedback.peers) == 2


async def test_a_port_that_refuses_is_dropped_at_once(rig: Rig) -> None:
    ear, other = await rig.ear(), await rig.ear()
    ear.send("/hello", "gone")
    other.send("/hello", "stays")
    await ear.wait("/heartbeat")
    await other.wait("/heartbeat")
    ear.transport.close()
    await until(lambda: rig.server.feedback.peers == [Peer("127.0.0.1", other.port)])
    count = len(other.of("/heartbeat"))
    await other.wait("/heartbeat", count + 2)


async def test_silence_is_answered_with_bye_and_any_word_is_life(rig: Rig) -> None:
    rig.server.feedback._timeout_s = 1.0
    silent, alive = await rig.ear(), await rig.ear()
    silent.send("/hello", "silent")
    alive.send("/hello", "alive")
    began = time.monotonic()
    while not silent.of("/bye") and time.monotonic() - began < 5:
        alive.send("/heartbeat", 1)
        await asyncio.sleep(0.05)
    assert silent.of("/bye")
    assert rig.server.feedback.peers == [Peer("127.0.0.1", alive.port)]
    assert not alive.of("/bye")


async def test_a_rate_is_kept_and_the_last_value_comes(rig: Rig) -> None:
    slow, quick = await rig.ear(), await rig.ear()
    slow.send("/subscribe", "/mixer/crossfader", 0, 5)
    quick.send("/subscribe", "/mixer/crossfader", quick.port, 60)
    await slow.wait("/mixer/crossfader")
    await quick.wait("/mixer/crossfader")
    began = time.monotonic()
    for step in range(100):
        rig.desk.set_now("/mixer/crossfader", step / 100)
        await asyncio.sleep(0.01)
    lasted = time.monotonic() - began
    await until(lambda: slow.of("/mixer/crossfader")[-1] == [pytest.approx(0.99)])
    assert len(slow.of("/mixer/crossfader")) <= (lasted + 0.4) * 5 + 2
    assert len(quick.of("/mixer/crossfader")) > len(slow.of("/mixer/crossfader"))


async def test_wrong_words_are_told(rig: Rig) -> None:
    ear = await rig.ear()
    for words in (("/hello", "/pad/*"), ("/subscribe", "pad"), ("/subscribe", "/pad/*", 70000), ("/subscribe", "/*", 0, 0)):
        ear.send(*words)
    assert [address for address, _ in await ear.wait("/error", 4)] == ["/hello", "/subscribe", "/subscribe", "/subscribe"]
    assert rig.server.feedback.peers == []


class Closed:
    """A gate that knows one host's token, and lets it read but not change ``/mixer``."""

    def __init__(self) -> None:
        self.known = False

    def may(self, host: str, address: str, writing: bool) -> bool:
        return self.known and not (writing and address.startswith("/mixer"))

    def hello(self, host: str, token: str, port: int) -> str:
        self.known = token == "secret"
        return "" if self.known else "no such token"


async def test_the_gate_is_asked_for_everything(desk: Desk) -> None:
    gate = Closed()
    server = OscServer(desk, desk.box.config.osc, gate)
    rig = Rig(desk, await server.start(), server)
    ear = await rig.ear()
    for words in (("/channel/1/fader", 0.5), ("/clock/bpm",), ("/subscribe", "/*"), ("/pad/1/trigger", 1.0),
                  ("/hello", "wrong")):
        ear.send(*words)
    assert [address for address, _ in await ear.wait("/error", 5)] == [
        "/channel/1/fader", "/clock/bpm", "/subscribe", "/pad/1/trigger", "/hello"]
    assert await desk.get("/channel/1/fader") == 1.0
    assert rig.triggers() == []
    ear.heard.clear()
    ear.send("/hello", "secret")
    await ear.wait("/mixer/crossfader")
    ear.send("/channel/1/fader", 0.5)
    ear.send("/mixer/crossfader", 0.5)
    assert (await ear.wait("/error"))[0][0] == "/mixer/crossfader"
    assert (await desk.get("/channel/1/fader"), await desk.get("/mixer/crossfader")) == (0.5, 0.0)
    gate.known = False  # the right is taken away
    await until(lambda: not server.feedback.peers)
    await server.stop()


def test_the_list_of_the_config_is_the_default_gate() -> None:
    gate = ListGate(["192.168.7.0/24", "10.1.2.3"])
    hosts = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "192.168.7.9", "192.168.8.9", "10.1.2.3", "10.1.2.4", "x", "")
    may = {host for host in hosts if gate.may(host, "/mixer/crossfader", True)}
    assert may == {"127.0.0.1", "::1", "::ffff:127.0.0.1", "192.168.7.9", "10.1.2.3"}
    assert gate.hello("192.168.7.9", "", 9001) == ""
    assert "osc: allow" in gate.hello("192.168.8.9", "", 9001)
    with pytest.raises(ValueError, match="not-a-network"):
        Osc(allow=["not-a-network"])


async def test_an_answer_that_fits_no_datagram_is_told_and_comes_by_tcp(rig: Rig) -> None:
    async def long(address: Any, args: list[Any]) -> str:
        return "x" * 70_000

    rig.desk.register("/session/list", long)
    ear = await rig.ear()
    ear.send("/session/list")
    assert "by TCP" in (await ear.wait("/error"))[0][1]
    reader, writer = await asyncio.open_connection(rig.endpoint.host, rig.endpoint.port, limit=2**20)
    writer.write(escape(encode("/session/list")))
    async with asyncio.timeout(5):
        answer = (await reader.readuntil(b"\0\xc0")).strip(b"\xc0")
    assert OscMessage(answer).params == ["/session/list", "x" * 70_000]
    writer.close()


def typed(address: str, tags: str, data: bytes = b"") -> bytes:
    def padded(text: str) -> bytes:
        return text.encode() + bytes(4 - len(text) % 4)

    return padded(address) + padded("," + tags) + data


async def test_special_types_mean_something_or_are_refused(rig: Rig) -> None:
    ear = await rig.ear()
    ear.raw(typed("/pads/stop", "I"))
    ear.raw(typed("/pads/stop", "N"))
    ear.raw(typed("/channel/1/mute", "I"))
    ear.raw(typed("/channel/1/fader", "m", bytes([0, 0xB0, 7, 127])))
    ear.raw(typed("/channel/2/fader", "m", bytes([0, 0xE0, 0, 0])))
    ear.raw(typed("/pad/3/trigger", "m", bytes([0, 0x90, 60, 127])))
    ear.raw(typed("/channel/1/assign", "c", struct.pack(">I", ord("b"))))
    ear.raw(typed("/channel/3/fader", "c", struct.pack(">I", ord("0"))))
    ear.send("/channel/1/assign")
    assert await ear.wait("/channel/1/assign") == [["B"]]
    assert [await rig.desk.get(f"/channel/{n}/fader") for n in (1, 2, 3)] == [1.0, 0.0, 0.0]
    assert await rig.desk.get("/channel/1/mute") is True
    assert rig.triggers() == [(2, 1.0)]
    assert not ear.of("/error")
    refused = [typed("/channel/1/fader", "N"), typed("/channel/1/fader", "I"),
               typed("/gen/prompt", "m", bytes([0, 0x90, 1, 1])),
               typed("/channel/1/fader", "m", bytes([0, 0xF8, 0, 0])), typed("/channel/1/fader", "ff", bytes(8)),
               typed("/channel/1/fader", "b", bytes(4))]
    for count, packet in enumerate(refused, 1):
        ear.raw(packet)
        await ear.wait("/error", count)
    fader = "/channel/1/fader"
    assert [address for address, _ in ear.of("/error")] == [fader, fader, "/gen/prompt", fader, fader, ""]
    assert await rig.desk.get("/channel/1/fader") == 1.0


def bundle(tag: int, *parts: bytes) -> bytes:
    return b"#bundle\0" + struct.pack(">Q", tag) + b"".join(struct.pack(">I", len(part)) + part for part in parts)


def tag_of(unix_s: float) -> int:
    return int((unix_s + NTP_TO_UNIX_S) * 2**32)


async def test_bundles_of_all_times(rig: Rig) -> None:
    ear = await rig.ear()
    past, far, soon = tag_of(time.time() - 100), tag_of(time.time() + 7200), tag_of(time.time() + 1.0)
    ear.raw(bundle(past, encode("/channel/1/fader", 0.1), bundle(IMMEDIATELY, encode("/channel/2/fader", 0.2))))
    ear.raw(bundle(0, encode("/channel/3/fader", 0.3)))
    ear.raw(bundle(far, encode("/channel/4/fader", 0.4)))
    ear.raw(bundle(soon, encode("/gen/prompt", "first"), bundle(IMMEDIATELY, encode("/gen/prompt", "second")),
                   encode("/channel/5/fader", 9.0)))
    errors = await ear.wait("/error", 2)
    assert "2.0 hours ahead" in errors[0][1]
    assert errors[1][0] == "/channel/5/fader"  # said now, not when it is due
    assert [round(await rig.desk.get(f"/channel/{n}/fader"), 3) for n in (1, 2, 3, 4)] == [0.1, 0.2, 0.3, 1.0]
    assert await rig.desk.get("/gen/prompt") not in ("first", "second")  # an inner bundle is never before its outer one
    await until(lambda: rig.desk.get_now("/gen/prompt") == "second")
    assert time.time() >= (soon / 2**32 - NTP_TO_UNIX_S) - 0.002


async def test_what_is_none_of_the_boxs_addresses_may_be_anothers(rig: Rig) -> None:
    taken: list[tuple[str, tuple[str, int]]] = []

    def others(message: Any, where: tuple[str, int]) -> bool:
        taken.append((message.address, where))
        return message.address == "/track/1/volume"

    rig.server.others = others
    ear = await rig.ear()
    for address in ("/channel/1/fader", "/channel/*/fader", "/pad/1/gain",
                    "/track/1/volume", "/track/2/volume", "/track/?/volume"):
        ear.send(address, 0.5)
    assert [address for address, _ in await ear.wait("/error", 2)] == ["/track/2/volume", "/track/?/volume"]
    here = ("127.0.0.1", ear.port)
    assert taken == [("/track/1/volume", here), ("/track/2/volume", here), ("/track/?/volume", here)]
    rig.server.send_to(encode("/track/1/volume", 0.25), here)
    assert await ear.wait("/track/1/volume") == [[0.25]]


async def test_values_before_an_action_are_set_before_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a fader's journey only the last value is set, but never after an action that came later."""
    seen: list[tuple[str, Any]] = []
    monkeypatch.setattr(rig.desk, "set_now", lambda found, value: seen.append((str(found), value)))
    monkeypatch.setattr(rig.desk, "do_now", lambda found, args, frame=0: seen.append((str(found), args)))
    for step in range(5):
        rig.server.receive(encode("/channel/1/fader", step / 8), Peer("127.0.0.1", 1))
    rig.server.receive(encode("/pad/1/trigger", 1.0), Peer("127.0.0.1", 1))
    rig.server.receive(encode("/channel/1/fader", 1.0), Peer("127.0.0.1", 1))
    await asyncio.sleep(0.05)
    assert seen == [("/channel/1/fader", 0.5), ("/bank/1/pad/1/trigger", [1.0]), ("/channel/1/fader", 1.0)]




@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(-(2**31), 2**31 - 1),
                          st.floats(width=32, allow_nan=False, allow_infinity=False)), max_size=5), st.integers(0, 3))
def test_nested_bundles_are_read_in_their_order(args: list[Any], depth: int) -> None:
    packet = encode("/a", *(arg for arg in args if arg is not None))
    for level in range(depth):
        packet = bundle(level, packet, encode(f"/after/{level}"))
    found = decode(packet)
    assert [m.address for m in found] == ["/a", *(f"/after/{level}" for level in range(depth))]
    with pytest.raises(BadValue):
        decode(packet + b"x")
