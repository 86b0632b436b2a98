# SPDX-License-Identifier: GPL-3.0-or-later
"""OSCQuery as a client finds its way: HTTP for the namespace, a WebSocket for what changes."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pythonosc.osc_message import OscMessage

from appliance.control import surfaces
from appliance.control.desk import Desk
from appliance.control.osc.packet import encode
from appliance.nodes import NAMESPACE


class Client:
    """One who knows the address of the box's OSCQuery and nothing else."""

    def __init__(self, desk: Desk, url: str, session: aiohttp.ClientSession) -> None:
        self.desk, self.url, self.session = desk, url, session

    async def get(self, path: str) -> Any:
        async with self.session.get(self.url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def status(self, path: str, **more: Any) -> int:
        async with self.session.get(self.url + path, **more) as answer:
            return answer.status


@pytest_asyncio.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    plain = {"audio": {"backend": "clock"}, "http": {"port": 0}, "osc": {"port": 0}, "mappings": {"alsa": False},
             "presence": {"name": "Stage left"}}
    desk.box.config = type(desk.box.config).model_validate(plain)
    stop = await surfaces.start(desk)
    url = json.loads((desk.box.run / "endpoints.json").read_text())["oscquery"]
    async with aiohttp.ClientSession() as session:
        yield Client(desk, url, session)
    await stop()


def leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "CONTENTS" in node:
        for name, below in node["CONTENTS"].items():
            assert below["FULL_PATH"].rpartition("/")[2] == name
            yield from leaves(below)
    if "TYPE" in node:
        yield node


async def test_the_whole_namespace_is_there(client: Client) -> None:
    tree = await client.get("/")
    assert (tree["FULL_PATH"], tree["ACCESS"]) == ("/", 0)
    found = {node["FULL_PATH"]: node for node in leaves(tree)}
    assert {a.address for a in NAMESPACE} <= set(found)
    assert "/pad/1/gain" in found  # the chosen bank's
    for node in found.values():
        assert node["DESCRIPTION"] and set(node["TYPE"]) <= set("fihTsI") and node["ACCESS"] in (1, 2, 3)
        if node["ACCESS"] & 1 and "VALUE" in node:
            assert len(node["VALUE"]) == 1
            assert not isinstance(node["VALUE"][0], float) or math.isfinite(node["VALUE"][0])


async def test_a_node_has_its_attributes(client: Client) -> None:
    client.desk.set_now("/channel/1/trim", -6.0)
    node = NAMESPACE.find("/channel/1/trim").node
    assert await client.get("/channel/1/trim") == {
        "FULL_PATH": "/channel/1/trim", "TYPE": "f", "ACCESS": 3, "VALUE": [-6.0], "CLIPMODE": ["none"], "UNIT": ["gain.db"],
        "RANGE": [{"MIN": node.minimum, "MAX": node.maximum}], "DESCRIPTION": node.doc}
    trigger = await client.get("/pads/stop")
    assert (trigger["TYPE"], trigger["ACCESS"], trigger["CRITICAL"]) == ("I", 2, True)
    assert "VALUE" not in trigger
    assign = await client.get("/channel/1/assign")
    assert (assign["TYPE"], assign["RANGE"]) == ("s", [{"VALS": list(NAMESPACE.find("/channel/1/assign").node.choices)}])
    meter = await client.get("/mixer/meter/left")
    assert meter["ACCESS"] == 1
    assert (await client.get("/channel/1/mute"))["VALUE"] == [False]


async def test_attributes_alone_and_what_is_not_there(client: Client) -> None:
    assert await client.get("/mixer/crossfader?VALUE") == {"VALUE": [0.0]}
    assert await client.get("/mixer/crossfader?FULL_PATH") == {"FULL_PATH": "/mixer/crossfader"}
    assert set((await client.get("/deck/1?CONTENTS"))["CONTENTS"]) > {"play", "rate"}
    statuses = {path: await client.status(path) for path in (
        "/mixer/crossfadder", "/pads/stop?VALUE", "/mixer?VALUE", "/mixer/crossfader?UNIT", "/mixer/crossfader?CONTENTS",
        "/mixer/crossfader?NONSENSE", "/mixer/crossfader?VALUE&TYPE", "/nowhere?VALUE")}
    assert statuses == {
        "/mixer/crossfadder": 404, "/pads/stop?VALUE": 204, "/mixer?VALUE": 204, "/mixer/crossfader?UNIT": 204,
        "/mixer/crossfader?CONTENTS": 204, "/mixer/crossfader?NONSENSE": 400, "/mixer/crossfader?VALUE&TYPE": 400,
        "/nowhere?VALUE": 404}
    assert await client.status("/", headers={"Origin": "http://elsewhere.example"}) == 403


async def test_host_info_leads_to_osc(client: Client) -> None:
    info = await client.get("/?HOST_INFO")
    assert (info["NAME"], info["OSC_TRANSPORT"]) == ("Stage left", "UDP")
    assert all(info["EXTENSIONS"][name] for name in ("ACCESS", "VALUE", "RANGE", "LISTEN", "PATH_CHANGED"))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(info["OSC_IP"], info["OSC_PORT"]))
    transport.sendto(encode("/mixer/crossfader", 0.5))
    async with asyncio.timeout(5):
        while await client.get("/mixer/crossfader?VALUE") != {"VALUE": [0.5]}:
            await asyncio.sleep(0.01)
    transport.close()
    async with client.session.ws_connect(f"http://{info['WS_IP']}:{info['WS_PORT']}/") as socket:
        assert not socket.closed


async def next_value(socket: aiohttp.ClientWebSocketResponse, address: str) -> Any:
    async with asyncio.timeout(5):
        while True:
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
            if message.type is aiohttp.WSMsgType.BINARY and (told := OscMessage(message.data)).address == address:
                return told.params[0]


async def test_listen_and_ignore(client: Client) -> None:
    async with client.session.ws_connect(client.url) as socket, client.session.ws_connect(client.url) as other:
        for listener in (socket, other):
            await listener.send_json({"COMMAND": "LISTEN", "DATA": "/mixer/crossfader"})
            assert await next_value(listener, "/mixer/crossfader") == 0.0
        await other.send_bytes(encode("/mixer/crossfader", 0.5))
        assert await next_value(socket, "/mixer/crossfader") == 0.5
        await socket.send_json({"COMMAND": "IGNORE", "DATA": "/mixer/crossfader"})
        await socket.send_json({"COMMAND": "LISTEN", "DATA": "/channel/1/fader"})
        assert await next_value(socket, "/channel/1/fader") == 1.0
        client.desk.set_now("/mixer/crossfader", 0.25)
        client.desk.set_now("/channel/1/fader", 0.75)
        assert await next_value(socket, "/channel/1/fader") == 0.75  # and the crossfader was not told before it
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.2)


async def test_another_bank_is_another_path(client: Client) -> None:
    async with client.session.ws_connect(client.url) as socket:
        await socket.send_json({"COMMAND": "LISTEN", "DATA": "/pad/1/gain"})
        assert await next_value(socket, "/pad/1/gain") == 0.0
        client.desk.set_now("/bank/2/pad/1/gain", -9.0)
        client.desk.set_now("/pads/bank", 2)
        async with asyncio.timeout(5):
            told = [await socket.receive() for _ in range(2)]
    texts = [json.loads(m.data) for m in told if m.type is aiohttp.WSMsgType.TEXT]
    assert texts == [{"COMMAND": "PATH_CHANGED", "DATA": "/pad"}]
    values = [OscMessage(m.data).params for m in told if m.type is aiohttp.WSMsgType.BINARY]
    assert values == [[-9.0]]


async def test_nonsense_on_the_socket_harms_nothing(client: Client) -> None:
    async with client.session.ws_connect(client.url) as socket:
        for text in ("", "[]", "{", '{"COMMAND": "DANCE"}', '{"COMMAND": "LISTEN"}', "[" * 100_000,
                     '{"COMMAND": "LISTEN", "DATA": "/nowhere"}', '{"COMMAND": "LISTEN", "DATA": "/pads/stop"}'):
            await socket.send_str(text)
        await socket.send_bytes(b"\xff\xfe")
        await socket.send_json({"COMMAND": "LISTEN", "DATA": "/mixer/crossfader"})
        assert await next_value(socket, "/mixer/crossfader") == 0.0


async def test_it_can_be_off(desk: Desk) -> None:
    plain = {"audio": {"backend": "clock"}, "http": {"port": 0}, "osc": {"port": 0}, "mappings": {"alsa": False},
             "oscquery": {"port": 0}}
    desk.box.config = type(desk.box.config).model_validate(plain)
    stop = await surfaces.start(desk)
    assert "oscquery" not in json.loads((desk.box.run / "endpoints.json").read_text())
    await stop()
