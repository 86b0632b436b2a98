# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC over TCP in both framings, from raw sockets and python-osc's client; clients that do not read, that break, that go."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage
from pythonosc.tcp_client import SimpleTCPClient

from appliance.config import Endpoint
from appliance.control.desk import Desk
from appliance.control.osc import tcp
from appliance.control.osc.framing import MAX_PACKET, Framing, escape
from appliance.control.osc.packet import encode
from appliance.control.osc.server import OscServer
from appliance.errors import BadValue
from appliance.nodes import NAMESPACE


class Line:
    """A client with a connection, by SLIP or by lengths."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slip: bool) -> None:
        self.reader, self.writer, self.slip = reader, writer, slip

    def send(self, address: str, *args: Any) -> None:
        packet = encode(address, *args)
        self.writer.write(escape(packet) if self.slip else struct.pack(">I", len(packet)) + packet)

    async def packet(self) -> OscMessage:
        async with asyncio.timeout(5):
            if not self.slip:
                return OscMessage(await self.reader.readexactly(struct.unpack(">I", await self.reader.readexactly(4))[0]))
            data = b""
            while not (data := (await self.reader.readuntil(b"\xc0"))[:-1]):
                pass
            return OscMessage(data.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))

    async def until(self, address: str) -> list[Any]:
        while (message := await self.packet()).address != address:
            pass
        return list(message.params)


class Rig:
    def __init__(self, desk: Desk, server: OscServer, endpoint: Endpoint) -> None:
        self.desk, self.server, self.endpoint = desk, server, endpoint

    async def line(self, *, slip: bool = True) -> Line:
        return Line(*await asyncio.open_connection(self.endpoint.host, self.endpoint.port), slip=slip)

    async def until(self, address: str, value: Any) -> None:
        async with asyncio.timeout(5):
            while await self.desk.get(address) != value:
                await asyncio.sleep(0.01)

    def triggers(self) -> int:
        box = self.desk.box
        rows = box.record["commands"][0][: int(box.record["command_head"][0])]
        return sum(int(row["code"]) == NAMESPACE.command("pad", "trigger") for row in rows)


@pytest_asyncio.fixture
async def rig(desk: Desk) -> AsyncIterator[Rig]:
    server = OscServer(desk, desk.box.config.osc)
    yield Rig(desk, server, await server.start())
    await server.stop()


@pytest.mark.parametrize("slip", [True, False])
async def test_both_framings_set_read_and_complain(rig: Rig, slip: bool) -> None:
    line = await rig.line(slip=slip)
    line.send("/mixer/crossfader", -0.5)
    line.send("/mixer/crossfader")
    assert (await line.packet()).params == [-0.5]
    line.send("/mixer/crossfader", 7.0)
    address, text = await line.until("/error")
    assert address == "/mixer/crossfader"
    assert "-1 … 1" in text
    line.writer.close()


@pytest.mark.parametrize("slip", [True, False])
async def test_every_byte_may_come_alone_and_many_packets_at_once(rig: Rig, slip: bool) -> None:
    line = await rig.line(slip=slip)
    framing = Framing()
    framing.slip = slip
    for byte in framing.frame(encode("/channel/1/fader", 0.25)):
        line.writer.write(bytes([byte]))
        await line.writer.drain()
    await rig.until("/channel/1/fader", 0.25)
    line.writer.write(framing.frame(encode("/pad/1/trigger", 1.0)) * 1000 + framing.frame(encode("/channel/2/fader", 0.5)))
    await rig.until("/channel/2/fader", 0.5)
    assert rig.triggers() == 1000


async def test_python_osc_speaks_tcp_with_the_box(rig: Rig) -> None:
    def talk(mode: str, value: float) -> list[Any]:
        with SimpleTCPClient(rig.endpoint.host, rig.endpoint.port, mode=mode) as client:
            client.send_message("/channel/1/fader", value)
            client.send_message("/channel/1/fader", [])
            return next(client.get_messages(5)).params

    assert await asyncio.to_thread(talk, "1.0", 0.5) == [0.5]
    assert await asyncio.to_thread(talk, "1.1", 0.25) == [0.25]


@pytest.mark.skipif(shutil.which("oscsend") is None, reason="liblo-tools is not installed")
async def test_liblo_speaks_tcp_with_the_box(rig: Rig) -> None:
    target = f"osc.tcp://{rig.endpoint.host}:{rig.endpoint.port}"
    send = await asyncio.create_subprocess_exec("oscsend", target, "/channel/1/fader", "f", "0.25")
    assert await send.wait() == 0
    await rig.until("/channel/1/fader", 0.25)


async def test_hello_over_tcp_lasts_as_long_as_the_connection(rig: Rig) -> None:
    rig.server.feedback._timeout_s = 0.1
    line = await rig.line()
    line.send("/hello")
    assert (await line.packet()).address == "/welcome"
    assert await line.until("/mixer/crossfader") == [0.0]
    await asyncio.sleep(0.3)  # silent, and still connected
    await rig.desk.set("/mixer/crossfader", 0.5)
    assert await line.until("/mixer/crossfader") == [0.5]
    line.writer.close()
    async with asyncio.timeout(5):
        while rig.server.feedback.peers:
            await asyncio.sleep(0.01)


async def test_one_that_does_not_read_is_cut_off_and_the_other_hears_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "SLOW_S", 0.5)
    monkeypatch.setattr(tcp, "FULL_BYTES", 4096)
    deaf = socket.create_connection((rig.endpoint.host, rig.endpoint.port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.sendall(escape(encode("/subscribe", "/*")))
    good = await rig.line()
    good.send("/subscribe", "/mixer/crossfader")
    assert await good.until("/mixer/crossfader") == [0.0]
    async with asyncio.timeout(30):
        step = 0
        while len(rig.server.feedback.peers) > 1:
            step += 1
            for channel in range(1, 9):
                for name in ("fader", "pan", "filter"):
                    rig.desk.set_now(f"/channel/{channel}/{name}", step % 1000 / 1000)
            for pad in range(1, 129):
                rig.desk.set_now(f"/bank/{(pad - 1) // 16 + 1}/pad/{(pad - 1) % 16 + 1}/name", f"{step} {'x' * 400}")
            await asyncio.sleep(0.01)
    await rig.desk.set("/mixer/crossfader", 0.25)
    assert await good.until("/mixer/crossfader") == [0.25]
    deaf.close()


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\0\xff\xff\xff", b"\0\0\0\x08/abcdefg\0\xf0\0\0"])
async def test_what_is_no_osc_is_told_and_ended_and_the_others_go_on(rig: Rig, noise: bytes) -> None:
    other = await rig.line()
    bad = await rig.line()
    bad.writer.write(noise)
    async with asyncio.timeout(5):
        assert b"/error" in await bad.reader.read()
    other.send("/mixer/crossfader")
    assert (await other.packet()).address == "/mixer/crossfader"


async def test_a_broken_packet_leaves_the_stream_well(rig: Rig) -> None:
    line = await rig.line()
    line.writer.write(b"\xc0/mixer/crossfader\0\0\0,f\0\0\xdb\x01\xc0")
    line.send("/channel/3/fader", 0.5)
    assert "broken" in (await line.until("/error"))[1]
    await rig.until("/channel/3/fader", 0.5)


async def test_tcp_has_the_port_of_udp_or_waits_for_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.control.osc import server as module
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = OscServer(desk, Endpoint(port=port))
        assert (await server.start()).port == port
        assert f"127.0.0.1:{port}" in desk.get_now("/system/message")
    try:
        async with asyncio.timeout(5):
            while "listens now" not in desk.get_now("/system/message"):
                await asyncio.sleep(0.02)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    finally:
        await server.stop()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40).map(lambda tail: b"/" + tail), max_size=8), st.booleans(),
       st.integers(1, 50))
def test_packets_come_out_of_the_stream_as_they_went_in(packets: list[bytes], slip: bool, size: int) -> None:
    sender, receiver = Framing(), Framing()
    sender.slip = slip
    stream = b"".join(sender.frame(packet) for packet in packets)
    found = [packet for at in range(0, len(stream), size) for packet in receiver.feed(stream[at : at + size])]
    assert found == packets


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_stream_is_read_or_refused(parts: list[bytes]) -> None:
    framing = Framing()
    try:
        for part in parts:
            assert all(0 < len(packet) <= MAX_PACKET for packet in framing.feed(part))
    except BadValue as error:
        assert error.message.startswith("OSC over TCP")
