# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP and the WebSocket, driven by a real client over a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import jsonschema
import pytest
import pytest_asyncio

from appliance.bus.box import Role
from appliance.config import Http
from appliance.control.desk import Desk
from appliance.control.http.server import HttpServer
from appliance.errors import Unavailable
from appliance.nodes import NAMESPACE


@dataclass
class Web:
    desk: Desk
    session: aiohttp.ClientSession
    port: int

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        async with self.session.request(method, path, data=data, **more) as answer:
            return answer.status, await answer.json()


@pytest_asyncio.fixture
async def web(desk: Desk) -> AsyncIterator[Web]:
    server = HttpServer(desk, desk.box.config.http)
    where = await server.start()
    async with aiohttp.ClientSession(f"http://{where}") as session:
        yield Web(desk, session, where.port)
    await server.stop()


@pytest.mark.asyncio
async def test_get_put_post(web: Web) -> None:
    assert await web.ask("GET", "/api/v1/clock/bpm") == (200, {"address": "/clock/bpm", "value": 120.0})
    assert await web.ask("PUT", "/api/v1/clock/bpm", {"value": 124}) == (200, {"address": "/clock/bpm", "value": 124.0})
    assert await web.ask("PUT", "/api/v1/clock/metre", "7/8") == (200, {"address": "/clock/metre", "value": "7/8"})
    assert await web.ask("PUT", "/api/v1/gen/prompt", "düster") == (200, {"address": "/gen/prompt", "value": "düster"})
    assert await web.desk.get("/clock/bpm") == 124.0
    status, answer = await web.ask("POST", "/api/v1/pad/2/trigger", [0.5])
    assert (status, answer["result"]) == (200, None)
    assert int(web.desk.box.record["command_head"][0]) == 1
    status, _ = await web.ask("POST", "/api/v1/pads/stop")
    assert status == 200


@pytest.mark.asyncio
async def test_listings(web: Web) -> None:
    _, answer = await web.ask("GET", "/api/v1/deck/2")
    assert {"/deck/2/rate", "/deck/2/loop/in"} <= {n["address"] for n in answer["nodes"]}
    assert not [n for n in answer["nodes"] if not n["address"].startswith("/deck/2/")]
    _, answer = await web.ask("GET", "/api/v1/channel/*/fader")
    assert [n["address"] for n in answer["nodes"]] == [f"/channel/{n}/fader" for n in range(1, 9)]
    assert answer["nodes"][0]["value"] == 1.0
    for everything in ("/api/v1/", "/api/v1"):
        _, answer = await web.ask("GET", everything)
        assert len({n["address"] for n in answer["nodes"]}) >= len(NAMESPACE)


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "path", "body", "status", "words"), [
    ("GET", "/api/v1/clock/bmp", None, 404, "did you mean /clock/bpm"),
    ("GET", "/api/v1/pads/stop", None, 405, "action"),
    ("GET", "/somewhere", None, 404, "/api/v1/"),
    ("PUT", "/api/v1/clock/bpm", 1000, 422, "20 … 300"),
    ("PUT", "/api/v1/clock/bpm", {"value": "fast"}, 422, "takes a number"),
    ("PUT", "/api/v1/clock/bpm", None, 400, "PUT needs the value"),
    ("PUT", "/api/v1/clock/bpm", {"bpm": 120}, 400, "value"),
    ("PUT", "/api/v1/clock/bpm", b"{", 400, "not JSON"),
    ("PUT", "/api/v1/clock/bpm", b"NaN", 400, "NaN"),
    ("PUT", "/api/v1/clock/bpm", b"1e999", 422, "finite"),
    ("PUT", "/api/v1/clock/bpm", b"[" * 200_000, 400, "nested"),
    ("PUT", "/api/v1/clock/bpm", b"\xff\xfe\xff", 400, "not JSON"),
    ("PUT", "/api/v1/clock/beat", 2, 405, "read only"),
    ("PUT", "/api/v1/clock/bpm", b" " * 1_100_000, 413, "larger"),
    ("POST", "/api/v1/visuals/next", None, 503, "not connected"),
    ("DELETE", "/api/v1/clock/bpm", None, 405, "GET reads"),
])
async def test_refusals_have_the_right_status_and_words(
    web: Web, method: str, path: str, body: Any, status: int, words: str,
) -> None:
    got, answer = await web.ask(method, path, body)
    assert (got, words in answer["error"]) == (status, True), (got, answer)
    assert await web.desk.get("/clock/bpm") == 120.0


@pytest.mark.asyncio
async def test_pages_from_elsewhere_are_kept_out(web: Web) -> None:
    for headers in ({"Origin": "https://example.com"}, {"Origin": "null"}, {"Host": "evil.example"},
                    {"Origin": f"http://127.0.0.1:{web.port + 1}"}, {"Sec-Fetch-Site": "cross-site"}):
        status, answer = await web.ask("PUT", "/api/v1/clock/bpm", 150, headers=headers)
        assert status == 403, headers
        assert answer["error"]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await web.session.ws_connect("/api/v1/ws", headers=headers)
    assert await web.desk.get("/clock/bpm") == 120.0
    status, _ = await web.ask("PUT", "/api/v1/clock/bpm", 150, headers={"Origin": f"http://127.0.0.1:{web.port}"})
    assert status == 200


@pytest.mark.asyncio
async def test_health_gives_its_reasons(web: Web) -> None:
    status, answer = await web.ask("GET", "/healthz")
    assert status == 503
    assert any("engine-a is not running" in reason for reason in answer["reasons"])
    box = web.desk.box
    for name in ("engine-a", "control", "gen", "visuals"):
        row = box.process(name)
        row["pid"], row["beat_ns"], row["role"] = 1234, time.monotonic_ns(), Role.RUNNING
    box.record["telemetry"]["clock"][0]["monotonic_ns"] = time.monotonic_ns()
    status, answer = await web.ask("GET", "/healthz")
    assert (status, answer["ok"], answer["reasons"]) == (200, True, [])
    box.process("gen")["beat_ns"] = time.monotonic_ns() - 5_000_000_000
    status, answer = await web.ask("GET", "/healthz")
    assert status == 503
    assert "gen has not answered" in answer["reasons"][0]


@pytest.mark.asyncio
async def test_the_openapi_document_describes_every_declaration(web: Web) -> None:
    _, document = await web.ask("GET", "/api/v1/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert len(document["paths"]) == sum(len(group.nodes) for group in NAMESPACE.groups)
    assert set(document["paths"]["/api/v1/clock/bpm"]) == {"get", "put"}
    names = [operation["operationId"] for path in document["paths"].values() for method, operation in path.items()
             if method != "parameters"]
    assert len(names) == len(set(names))
    schema = document["paths"]["/api/v1/clock/metre"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate((await web.ask("GET", "/api/v1/clock/metre"))[1], schema)


@pytest.mark.asyncio
async def test_the_page_and_the_picture(web: Web) -> None:
    async with web.session.get("/") as answer:
        assert answer.content_type == "text/html"
        assert "/api/v1/openapi.json" in await answer.text()
    picture = b"\x89PNG\r\n\x1a\n" + bytes(100)

    class Hub:
        async def call(self, address: str, args: list[Any], timeout_s: float = 30.0) -> Any:
            return {"png": base64.b64encode(picture).decode()}

    web.desk.hub = Hub()  # type: ignore[assignment]
    async with web.session.get("/api/v1/visuals/snapshot?format=png") as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "image/png", picture)


@pytest.mark.asyncio
async def test_the_websocket_speaks_the_hubs_messages(web: Web) -> None:
    async with web.session.ws_connect("/api/v1/ws") as socket:
        await socket.send_json({"op": "hello", "name": "test"})
        await socket.send_json({"op": "get", "id": 1, "address": "/clock/bpm"})
        assert await socket.receive_json(timeout=2) == {"re": 1, "value": 120.0}
        await socket.send_json({"op": "watch", "pattern": "/clock/b*"})
        heard = {(m := await socket.receive_json(timeout=2))["address"]: m["value"] for _ in range(3)}
        assert heard["/clock/bpm"] == 120.0
        await socket.send_json({"op": "set", "id": "x", "address": "/clock/bpm", "value": 99})
        answers = [await socket.receive_json(timeout=2) for _ in range(2)]
        assert {"re": "x", "value": 99.0} in answers
        assert {"op": "changed", "address": "/clock/bpm", "value": 99.0} in answers
        await socket.send_json({"op": "do", "id": 2, "address": "/pads/stop", "args": []})
        assert await socket.receive_json(timeout=2) == {"re": 2, "value": None}
        await socket.send_json({"op": "ls", "id": 3, "pattern": "/deck/1/rate"})
        assert (await socket.receive_json(timeout=2))["value"][0]["address"] == "/deck/1/rate"
        await socket.send_json({"op": "set", "id": 4, "address": "/clock/bpm", "value": 9999})
        assert (await socket.receive_json(timeout=2))["status"] == 422
        await socket.send_str("{")
        assert (await socket.receive_json(timeout=2))["status"] == 400
        await socket.send_json({"op": "dance", "id": 5})
        assert (await socket.receive_json(timeout=2))["status"] == 400
        await socket.send_json({"op": "unwatch", "pattern": "/clock/b*"})
        await asyncio.sleep(0.05)
        web.desk.set_now("/clock/bpm", 101)
        with pytest.raises(TimeoutError):
            await socket.receive_json(timeout=0.15)


@pytest.mark.asyncio
async def test_a_slow_reader_gets_the_last_value_without_the_ones_between(web: Web) -> None:
    async with web.session.ws_connect("/api/v1/ws") as socket:
        await socket.send_json({"op": "watch", "pattern": "/mixer/crossfader"})
        await socket.receive_json(timeout=2)
        for step in range(5000):
            web.desk.set_now("/mixer/crossfader", step / 5000)
        values = [(await socket.receive_json(timeout=2))["value"]]
        while values[-1] != 4999 / 5000:
            values.append((await socket.receive_json(timeout=2))["value"])
        assert len(values) < 100


@pytest.mark.asyncio
async def test_a_port_in_use_is_said_with_its_address(web: Web) -> None:
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{web.port}.*another program"):
        await HttpServer(web.desk, Http(port=web.port)).start()


@pytest.mark.asyncio
async def test_stopping_does_not_wait_for_open_sockets(desk: Desk) -> None:
    server = HttpServer(desk, desk.box.config.http)
    where = await server.start()
    async with aiohttp.ClientSession(f"http://{where}") as session, session.ws_connect("/api/v1/ws") as socket:
        await socket.send_json({"op": "watch", "pattern": "/*"})
        async with asyncio.timeout(2):
            await server.stop()
