# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench api``: requests over HTTP and the hub, above an empty answer of the same server library in the same run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import ClientSession, web

from appliance.bus.box import Box
from appliance.bus.hub import HubClient, HubServer
from appliance.bus.memory import box_name, sweep
from appliance.config import Config, Endpoint
from appliance.control.desk import Desk
from appliance.control.http.server import HttpServer
from benchmarks.report import Row

REQUESTS = 400


def rows() -> list[Row]:
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    with TemporaryDirectory() as folder:
        box = Box.create(Path(folder) / "data", Config())
        try:
            return await _requests(box)
        finally:
            sweep(box_name(box.data))


async def _requests(box: Box) -> list[Row]:
    desk = Desk(box)
    hub = HubServer(box.hub_path, desk)
    await hub.start()
    http = HttpServer(desk, Endpoint(port=0))
    endpoint = await http.start()
    client = HubClient(box.hub_path, "bench")
    await client.start()
    await client.connected(5)
    empty, empty_url = await _empty_server()
    async with ClientSession() as session:
        base = f"http://{endpoint}/api/v1"

        async def get() -> None:
            async with session.get(f"{base}/mixer/crossfader") as answer:
                await answer.read()

        async def put() -> None:
            async with session.put(f"{base}/mixer/crossfader", json=0.5) as answer:
                await answer.read()

        async def nothing() -> None:
            async with session.get(empty_url) as answer:
                await answer.read()

        peer = await _p99_ms(nothing)
        made = [
            Row("http_get_p99_ms", await _p99_ms(get), "ms", 20.0, peer),
            Row("http_put_p99_ms", await _p99_ms(put), "ms", 20.0, peer),
            Row("hub_get_p99_ms", await _p99_ms(lambda: client.get("/mixer/crossfader")), "ms", 10.0),
            Row("hub_set_p99_ms", await _p99_ms(lambda: client.set("/mixer/crossfader", 0.5)), "ms", 10.0),
        ]
    await client.stop()
    await http.stop()
    await hub.stop()
    await empty.cleanup()
    return made


async def _empty_server() -> tuple[web.AppRunner, str]:
    """An aiohttp server that answers nothing at all: the limit of what can be had."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def _p99_ms(request: Callable[[], Awaitable[object]]) -> float:
    taken: list[float] = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        await request()
        taken.append((time.perf_counter() - began) * 1e3)
    return sorted(taken)[round(len(taken) * 0.99) - 1]
