# SPDX-License-Identifier: GPL-3.0-or-later
"""Every exported file against the box: what its widgets send is taken, and what the box says back is listened to."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from pythonosc.osc_message import OscMessage

sys.path.insert(0, str(Path(__file__).parents[2] / "layouts"))
from faketouchosc import FakeTouchOSC

from appliance.config import Endpoint
from appliance.control.desk import Desk
from appliance.control.http.server import HttpServer
from appliance.control.osc.packet import encode
from appliance.control.osc.server import OscServer
from appliance.layouts.reaper import LINES
from appliance.layouts.render import render
from appliance.layouts.surface import BAR, PAGES
from appliance.layouts.widgets import Kit
from appliance.namespace import Kind, Type
from appliance.nodes import NAMESPACE

Sends = list[tuple[str, list[Any]]]


class Tablet(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[tuple[str, list[Any]]] = []
        self.called: list[Any] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message = OscMessage(data)
        self.heard.append((message.address, list(message.params)))

    def send(self, address: str, *args: Any) -> None:
        self.transport.sendto(encode(address, *args))


@pytest_asyncio.fixture
async def tablet(desk: Desk) -> AsyncIterator[Tablet]:
    """A tablet on a box whose calls are all answered."""
    async def answer(address: Any, args: list[Any]) -> None:
        made.called.append((address.address, args))

    async def answer_elsewhere(address: str, args: list[Any], timeout_s: float = 0.0) -> None:
        made.called.append((address, args))

    desk.call = answer_elsewhere  # type: ignore[method-assign]  # generation and visuals, which do not run here
    for address in NAMESPACE:
        if address.node.kind is Kind.CALL:
            desk.register(address.address, answer)
    server = OscServer(desk, desk.box.config.osc)
    endpoint = await server.start()
    _, made = await asyncio.get_running_loop().create_datagram_endpoint(Tablet, remote_addr=(endpoint.host, endpoint.port))
    yield made
    await server.stop()


def of_touchosc(data: bytes) -> Sends:
    """What each control of the file sends at its default, its lower and its upper end, and when it is pressed."""
    app = FakeTouchOSC(data)
    app.sent.clear()
    for control in app.root.walk():
        for message in control.osc:
            key = message.file.triggers[0].var
            control.quiet = True
            for value in ((control.values.x, 0.0, 1.0) if key == "x" else (True, False)):
                if str(message.file.triggers[0].condition) == "RISE" and value != 1.0:
                    continue
                setattr(control.values, key, value)
                app.sent.append((message.path, message.arguments(control)))
    return app.sent


def of_openstagecontrol(data: bytes) -> Sends:
    """The same, by the widgets' properties as Open Stage Control's manual has them."""
    sends: Sends = []

    def visit(widget: dict[str, Any]) -> None:
        for child in (*widget.get("widgets", ()), *widget.get("tabs", ())):
            visit(child)
        if widget.get("bypass") or "address" not in widget:
            return
        before = widget.get("preArgs") or []
        if widget["type"] == "fader":
            values = [widget["default"], widget["range"]["min"], widget["range"]["max"]]
        elif widget["type"] == "encoder":
            values = [widget["back"], widget["forth"]]
            sends.extend((widget["address"].replace("turn", "touch"), [float(v)]) for v in (1, 0))
        elif widget["type"] == "input":
            values = ["words"]
        else:
            values = [widget["on"]] if widget["mode"] == "tap" else [widget["on"], widget["off"]]
        tags = widget.get("typeTags")
        for value in values:
            if widget["type"] == "fader":
                value = round(value, widget["decimals"])
            arguments = [*before, value]
            sends.append((widget["address"], arguments if tags else [float(v) for v in arguments]))

    visit(json.loads(data)["content"])
    return sends


def of_reaper(data: bytes) -> Sends:
    """What REAPER would send by the file's patterns, for its first and its last track."""
    ends = {"n": (0.0, 0.716, 1.0), "f": (60.0, 120.0, 180.0), "b": (0.0, 1.0), "t": (0.0, 1.0)}
    patterns = [line.split()[1] for line in data.decode().splitlines()
                if line and not line.startswith(("#", "DEVICE", "REAPER"))]
    return [(pattern[1:].replace("@", track), [value]) for pattern in patterns for track in "18" for value in ends[pattern[0]]]


FILES = {
    "touchosc": of_touchosc(render("touchosc")[0]), "touchosc upright": of_touchosc(render("touchosc", portrait=True)[0]),
    "openstagecontrol": of_openstagecontrol(render("openstagecontrol")[0]), "reaper": of_reaper(render("reaper")[0]),
}


@pytest.mark.parametrize("name", FILES)
async def test_everything_a_file_sends_is_taken_and_arrives(tablet: Tablet, desk: Desk, name: str) -> None:
    wanted = {w.address for page in PAGES for w in page.widgets if w.kind.touched}
    sends = FILES[name]
    if name != "reaper":
        missing = wanted - {address for address, _ in sends} - {"/gen/prompt"}
        assert {a for a in missing if not a.endswith("jog/turn")} == set()
    done = 0
    for address, arguments in sends:
        node = NAMESPACE.find(address).node
        before, ring = len(tablet.called), int(desk.box.record["command_head"][0])
        tablet.send(address, *arguments)
        for _ in range(10_000):
            await asyncio.sleep(0)
            if node.kind in (Kind.VALUE, Kind.TEXT):
                value, given = await desk.get(address), node.check(arguments[0])
                if value == (pytest.approx(given, abs=1e-4) if node.type is Type.FLOAT else given):
                    break
            elif node.kind is Kind.CALL:
                if len(tablet.called) > before:
                    break
            elif int(desk.box.record["command_head"][0]) > ring:
                break
            await asyncio.sleep(0.001)
        else:
            if node.type is not Type.NONE or arguments != [0.0]:
                pytest.fail(f"{name}: {address} {arguments} did not arrive: {tablet.heard[-1:]}")
        done += 1
    await asyncio.sleep(0.05)
    assert [heard for heard in tablet.heard if heard[0] == "/error"] == []
    assert done == len(sends) > (10 if name == "reaper" else 400)


async def greet(app: FakeTouchOSC, tablet: Tablet, wanted: set[str]) -> None:
    """The layout says hello as often as its script does, until the box has told all that is wanted."""
    for turn in range(1000):
        if turn % 50 == 0:
            for path, arguments in app.sent:
                if path in ("/hello", "/subscribe"):
                    tablet.send(path, *arguments)
            app.sent.clear()
            app.frame(5000)
        await asyncio.sleep(0.02)
        if wanted <= {address for address, _ in tablet.heard}:
            break
    assert wanted - {address for address, _ in tablet.heard} == set()


async def test_what_hello_brings_reaches_the_widgets_that_show_it(tablet: Tablet, desk: Desk) -> None:
    """The box's whole state goes through the layout's script: faders, switches and texts stand where the box says."""
    desk.set_now("/channel/3/fader", 0.25)
    desk.set_now("/clock/bpm", 98.0)
    desk.set_now("/deck/2/sync", True)
    desk.set_now("/pad/5/name", "Rain")
    desk.set_now("/clock/metre", "7/8")
    app = FakeTouchOSC(render("touchosc", listen=tablet.port)[0])
    await greet(app, tablet, {"/pad/16/state", "/pad/5/name", "/deck/2/sync", "/visuals/speed", "/channel/3/fader",
                              "/clock/bpm", "/channel/8/meter"})
    for address, values in tablet.heard:
        app.receive(address, *values)
    for _ in range(3):
        app.frame()
    assert [s for s in app.sent if s[0] not in ("/hello", "/subscribe")] == []
    assert app.that_sends("/channel/3/fader").values.x == pytest.approx(0.25)
    tempo = app.that_sends("/clock/bpm")
    assert tempo.values.x == pytest.approx((98 - 70) / 110)
    assert app.controls[f"{tempo.name} value"].values.text == "98.0 BPM"
    assert app.that_sends("/deck/2/sync").values.x == 1.0
    assert app.controls[f"{app.that_sends('/pad/5/trigger').name} title"].values.text == "Rain"


async def test_every_widget_that_shows_something_is_told_by_the_box(tablet: Tablet) -> None:
    """Each address that a widget listens to is one that ``/hello`` or the layout's subscriptions bring."""
    app = FakeTouchOSC(render("touchosc", listen=tablet.port)[0])
    telling = (Kit.READOUT, Kit.METER, Kit.TOGGLE, Kit.FADER)
    shown = {w.address for page in (*PAGES, BAR) for w in page.widgets if w.kind in telling}
    shown |= {a for page in PAGES for w in page.widgets for a in (w.named, w.lit) if a}
    published = {a for a in shown if not NAMESPACE.find(a).node.reads and NAMESPACE.find(a).node.kind is Kind.STATE}
    await greet(app, tablet, shown - published)
    # what other processes publish when they have something to say, and these do not run here
    assert published == {a for a in published if a.startswith(("/gen/", "/record/", "/system/"))}


@pytest.mark.parametrize(("kind", "begins"), [
    ("touchosc", b"\x78"), ("openstagecontrol", b'{"createdWith"'), ("reaper", b"# REAPER")])
async def test_a_layout_is_fetched_over_http(desk: Desk, kind: str, begins: bytes) -> None:
    server = HttpServer(desk, Endpoint(port=0))
    endpoint = await server.start()
    try:
        async with ClientSession() as client:
            url = f"http://{endpoint}/layouts"
            async with client.get(f"{url}/{kind}?token=abc&host=10.0.0.9&port=9005") as response:
                body = await response.read()
                assert response.status == 200
                assert body.startswith(begins)
                assert "attachment" in response.headers["Content-Disposition"]
                assert body == render(kind, "10.0.0.9", 9005, "abc")[0]
            async with client.get(f"{url}/{kind}?port=x") as response:
                assert response.status == 422
            async with client.get(f"{url}/lemur") as response:
                assert response.status == 422 and "touchosc" in (await response.json())["error"]
    finally:
        await server.stop()


def test_reapers_lines_are_tested() -> None:
    assert {line.address for line in LINES} == {a.replace("/1/", "/@/") for a, _ in FILES["reaper"] if "/8/" not in a}
