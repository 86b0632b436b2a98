# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC as its users drive it: real datagrams from python-osc, oscsend and oscdump."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from appliance.bus.commands import Code
from appliance.config import Endpoint, Osc
from appliance.control.desk import Desk
from appliance.control.osc.frames import FrameClock
from appliance.control.osc.packet import decode, encode
from appliance.control.osc.server import OscServer
from appliance.control.osc.trie import AddressTree
from appliance.errors import BadValue, Unavailable
from appliance.nodes import NAMESPACE


class Client(asyncio.DatagramProtocol):
    """A tablet: one socket that sends and listens."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[Any]]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message = OscMessage(data)
        self.heard.append((message.address, list(message.params)))

    def send(self, address: str, *args: Any) -> None:
        self.transport.sendto(encode(address, *args))

    def raw(self, data: bytes) -> None:
        self.transport.sendto(data)

    def of(self, address: str) -> list[list[Any]]:
        return [args for at, args in self.heard if at == address]

    async def wait(self, address: str, count: int = 1) -> list[list[Any]]:
        for _ in range(200):
            if len(self.of(address)) >= count:
                break
            await asyncio.sleep(0.01)
        return self.of(address)


class Rig:
    def __init__(self, desk: Desk, endpoint: Endpoint, server: OscServer) -> None:
        self.desk = desk
        self.endpoint = endpoint
        self.server = server

    async def client(self) -> Client:
        _, client = await asyncio.get_running_loop().create_datagram_endpoint(
            Client, remote_addr=(self.endpoint.host, self.endpoint.port))
        return client

    def commands(self) -> list[tuple[Any, ...]]:
        """What stands in the engine's ring: (code, index, frame, a)."""
        box = self.desk.box
        return [tuple(row[name].item() for name in ("code", "index", "frame", "a"))
                for row in box.record["commands"][0][: int(box.record["command_head"][0])]]


@pytest_asyncio.fixture
async def rig(desk: Desk) -> AsyncIterator[Rig]:
    server = OscServer(desk, desk.box.config.osc)
    yield Rig(desk, await server.start(), server)
    await server.stop()


async def settle() -> None:
    await asyncio.sleep(0.06)


@pytest.mark.asyncio
async def test_a_message_sets_a_value_and_does_an_action(rig: Rig) -> None:
    client = await rig.client()
    client.send("/mixer/crossfader", -0.5)
    client.send("/pad/3/trigger", 0.8)
    client.send("/pad/3/trigger", 0.0)
    client.send("/pads/stop", 1.0)
    client.send("/pads/stop", 0.0)  # the button is let go: not a second time
    await settle()
    assert await rig.desk.get("/mixer/crossfader") == -0.5
    trigger, stop = NAMESPACE.command("pad", "trigger"), NAMESPACE.command("pads", "stop")
    assert [(code, index, round(a, 3)) for code, index, _, a in rig.commands()] == [
        (trigger, 2, 0.8), (trigger, 2, 0.0), (stop, 0, 0.0)]
    assert client.heard == []


@pytest.mark.asyncio
async def test_every_argument_type_is_taken(rig: Rig) -> None:
    client = await rig.client()
    for tag, arg, address, value in (
        ("f", 0.25, "/channel/1/fader", 0.25), ("d", 0.5, "/channel/2/fader", 0.5), ("i", 1, "/channel/3/fader", 1.0),
        ("h", 0, "/channel/4/fader", 0.0), ("s", "0.75", "/channel/5/fader", 0.75), ("T", True, "/channel/1/mute", True),
        ("s", "b", "/channel/1/assign", "B"), ("i", 0, "/channel/2/assign", "thru"),
    ):
        builder = OscMessageBuilder(address)
        builder.add_arg(arg, tag)
        client.raw(builder.build().dgram)
        await settle()
        assert await rig.desk.get(address) == value, address


@pytest.mark.asyncio
async def test_patterns_and_the_chosen_bank(rig: Rig) -> None:
    client = await rig.client()
    client.send("/channel/{1,3}/fader", 0.1)
    client.send("/pads/bank", 2)
    client.send("/pad/[1-2]/gain", -6.0)
    await settle()
    assert [round(await rig.desk.get(f"/channel/{n}/fader"), 3) for n in (1, 2, 3)] == [0.1, 1.0, 0.1]
    assert [await rig.desk.get(f"/bank/{bank}/pad/{pad}/gain") for bank in (1, 2) for pad in (1, 2, 3)] == [0, 0, 0, -6, -6, 0]


@pytest.mark.asyncio
async def test_a_pattern_goes_on_past_one_that_refuses(rig: Rig) -> None:
    client = await rig.client()
    client.send("/channel/1/{trim,low,fader}", 1.0)
    client.send("/channel/2/{pan,fader,trim}", 6.0)  # a fader goes to 1, pan too; trim takes it
    assert len(await client.wait("/error")) == 1
    assert [await rig.desk.get(f"/channel/{n}/trim") for n in (1, 2)] == [1.0, 6.0]


@pytest.mark.asyncio
async def test_thousands_of_messages_in_a_burst_all_count(rig: Rig) -> None:
    client = await rig.client()
    for number in range(3000):
        client.send("/pad/1/trigger", 1.0)
        client.send(f"/channel/{number % 8 + 1}/fader", number / 3000)
    for _ in range(100):
        await asyncio.sleep(0.02)
        if len(rig.commands()) == 3000:
            break
    assert len(rig.commands()) == 3000
    assert await rig.desk.get("/channel/8/fader") == pytest.approx(2999 / 3000)


@pytest.mark.asyncio
async def test_a_readable_address_without_arguments_answers(rig: Rig) -> None:
    client = await rig.client()
    client.send("/clock/bpm")
    client.send("/pad/2/mode")
    assert await client.wait("/clock/bpm") == [[120.0]]
    assert await client.wait("/pad/2/mode") == [["loop"]]


@pytest.mark.asyncio
@pytest.mark.parametrize(("datagram", "words"), [
    (encode("/mixer/crossfade", 0.5), "did you mean /mixer/crossfader"),
    (encode("/mixer/crossfader", 3.0), "-1 … 1"),
    (encode("/mixer/crossfader", "left"), "takes a number"),
    (encode("/mixer/meter/left", 1.0), "read only"),
    (encode("/deck/*/nothing", 1.0), "matches no address"),
    (struct.pack(">20s4sf", b"/mixer/crossfader", b",f", math.nan), "finite"),
    (struct.pack(">20s4sf", b"/mixer/crossfader", b",f", math.inf), "finite"),
    (b"/mixer/crossfader\0\0\0,Q\0\0", "type 'Q'"),
    (b"mixer\0\0\0,f\0\0\0\0\0\0", "begins with /"),
    (b"/mixer/crossfader\0\0\0,f\0\0", "broken"),
    (b"#bundle\0" + bytes(7) + b"\1" + b"\xff\xff\xff\xfc", "a bundle names"),
])
async def test_nonsense_is_refused_in_words_and_the_rest_goes_on(rig: Rig, datagram: bytes, words: str) -> None:
    client = await rig.client()
    before = rig.desk.box.values.read_vector()
    client.raw(datagram)
    answer = await client.wait("/error")
    assert len(answer) == 1
    assert words in answer[0][1]
    assert (rig.desk.box.values.read_vector() == before).all()
    client.send("/clock/bpm")
    assert await client.wait("/clock/bpm") == [[120.0]]


@pytest.mark.asyncio
async def test_a_flood_of_nonsense_is_answered_a_few_times_only(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    client = await rig.client()
    for _ in range(300):
        client.send("/nothing", 1)
    await asyncio.sleep(0.3)
    assert 5 <= len(client.of("/error")) <= 20
    assert len(caplog.records) <= 20


@pytest.mark.asyncio
async def test_subscribers_hear_values_then_changes_but_never_their_own(rig: Rig) -> None:
    first, second = await rig.client(), await rig.client()
    first.send("/subscribe", "/channel/*/fader")
    second.send("/subscribe", "/channel/1/*")
    await first.wait("/channel/8/fader")
    await second.wait("/channel/1/assign")
    assert first.of("/channel/1/fader") == [[1.0]]
    assert "/channel/2/fader" not in dict(second.heard)
    first.heard.clear()
    second.heard.clear()
    first.send("/channel/1/fader", 0.5)
    assert await second.wait("/channel/1/fader") == [[0.5]]
    await settle()
    assert first.heard == []
    await rig.desk.set("/channel/1/fader", 0.25)
    assert await first.wait("/channel/1/fader") == [[0.25]]
    first.send("/unsubscribe")
    await settle()
    first.heard.clear()
    await rig.desk.set("/channel/1/fader", 0.75)
    await settle()
    assert first.heard == []


@pytest.mark.asyncio
async def test_a_torrent_of_changes_is_paced_and_ends_with_the_last_value(rig: Rig) -> None:
    client = await rig.client()
    client.send("/subscribe", "/mixer/crossfader")
    await client.wait("/mixer/crossfader")
    began = time.monotonic()
    for step in range(2000):
        rig.desk.set_now("/mixer/crossfader", step / 2000)
        if step % 20 == 0:
            await asyncio.sleep(0.002)
    lasted = time.monotonic() - began
    await asyncio.sleep(0.1)
    heard = client.of("/mixer/crossfader")
    assert len(heard) <= (lasted + 0.1) * 60 + 3
    assert heard[-1][0] == pytest.approx(1999 / 2000)


@pytest.mark.asyncio
async def test_hello_gives_the_state_without_meters_and_follows_the_bank(rig: Rig) -> None:
    client = await rig.client()
    rig.desk.set_now("/bank/2/pad/1/gain", -9.0)
    client.send("/hello")
    await client.wait("/pad/16/gain")
    await client.wait("/visuals/speed")
    names = {address for address, _ in client.heard}
    assert {"/mixer/crossfader", "/clock/metre", "/pad/1/mode", "/gen/prompt"} <= names
    assert not {n for n in names if "meter/" in n or n.startswith("/bank/") or n.endswith("/position")}
    client.heard.clear()
    rig.desk.set_now("/pads/bank", 2)
    assert await client.wait("/pad/1/gain") == [[-9.0]]


@pytest.mark.asyncio
async def test_a_silent_subscriber_is_dropped(rig: Rig) -> None:
    rig.server.feedback._timeout_s = 0.3
    client = await rig.client()
    client.send("/subscribe", "/mixer/crossfader")
    await client.wait("/mixer/crossfader")
    for _ in range(4):  # any message keeps it alive
        await asyncio.sleep(0.15)
        client.send("/clock/bpm")
    rig.desk.set_now("/mixer/crossfader", 0.5)
    assert await client.wait("/mixer/crossfader", 2) == [[0.0], [0.5]]
    await asyncio.sleep(0.4)
    rig.desk.set_now("/mixer/crossfader", 0.6)
    await settle()
    assert len(client.of("/mixer/crossfader")) == 2


def bundle(when: float, *messages: tuple[str, float]) -> bytes:
    builder = OscBundleBuilder(when)
    for address, value in messages:
        one = OscMessageBuilder(address)
        one.add_arg(value, "f")
        builder.add_content(one.build())
    return builder.build().dgram


@pytest.mark.asyncio
async def test_bundles_for_now_and_for_the_past_act_at_once(rig: Rig) -> None:
    client = await rig.client()
    client.raw(bundle(IMMEDIATELY, ("/channel/1/fader", 0.5)))
    client.raw(bundle(time.time() - 5, ("/channel/2/fader", 0.5)))
    await settle()
    assert await rig.desk.get("/channel/1/fader") == await rig.desk.get("/channel/2/fader") == 0.5


@pytest.mark.asyncio
async def test_bundles_for_the_future_reach_the_engine_with_their_frame(rig: Rig) -> None:
    box = rig.desk.box
    began_ns, rate = time.monotonic_ns() - 10_000_000_000, 48000
    clock = box.record["telemetry"]["clock"][0]

    async def engine() -> None:
        while True:  # as the engine tells it, but each block up to 3 ms late
            late_ns = time.monotonic_ns() % 3_000_000
            now_ns = time.monotonic_ns()
            clock["frame"] = round((now_ns - late_ns - began_ns) * rate / 1e9)
            clock["monotonic_ns"] = now_ns
            await asyncio.sleep(0.003)

    task = asyncio.create_task(engine())
    await asyncio.sleep(1.2)
    client = await rig.client()
    when = time.time() + 0.4
    ticks = [asyncio.get_running_loop().time()]
    client.raw(bundle(when, ("/pad/1/trigger", 1.0)))
    client.raw(bundle(when + 0.1, ("/channel/1/fader", 0.5)))
    for _ in range(60):
        await asyncio.sleep(0.01)
        ticks.append(asyncio.get_running_loop().time())
    task.cancel()
    commands = {code: (index, frame, a) for code, index, frame, a in rig.commands()}
    index, frame, _ = commands[NAMESPACE.command("pad", "trigger")]
    slot, later, value = commands[Code.SET]
    expected = ((when - time.time()) * 1e9 + time.monotonic_ns() - began_ns) * rate / 1e9
    assert index == 0
    assert frame == pytest.approx(expected, abs=0.002 * rate)  # a constant: how late the most punctual block was
    assert later - frame == pytest.approx(0.1 * rate, abs=48)
    assert (slot, value) == (NAMESPACE.find("/channel/1/fader").slot, 0.5)
    assert max(b - a for a, b in zip(ticks, ticks[1:], strict=False)) < 0.15  # the loop was never held up


def test_the_most_punctual_block_tells_the_time(box: Any) -> None:
    clock = FrameClock(box)
    for block in range(100):
        late_ns = (block * 7919 % 5) * 1_000_000
        clock.take(1000 + block * 128, 5_000_000_000 + round((block * 128) * 1e9 / 48000) + late_ns, 48000)
    now_ns, unix_ns = time.monotonic_ns(), time.time_ns()
    frame = clock.frame_at(unix_ns + 1_000_000_000)
    origin_ns = 5_000_000_000 - 1000 * 1e9 / 48000
    assert frame == pytest.approx((now_ns + 1e9 - origin_ns) * 48000 / 1e9, abs=48)


@pytest.mark.asyncio
async def test_a_port_in_use_is_said_with_its_address(rig: Rig) -> None:
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{rig.endpoint.port}.*another program"):
        await OscServer(rig.desk, Osc(port=rig.endpoint.port)).start()


@pytest.mark.asyncio
@pytest.mark.skipif(shutil.which("oscsend") is None, reason="liblo-tools is not installed")
async def test_liblo_moves_the_crossfader_and_hears_it(rig: Rig) -> None:
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dump = await asyncio.create_subprocess_exec("oscdump", "-L", str(port), stdout=asyncio.subprocess.PIPE)
    await asyncio.sleep(0.2)
    target = f"osc.udp://127.0.0.1:{rig.endpoint.port}"
    try:
        for args in (["/subscribe", "si", "/mixer/*", str(port)], ["/mixer/crossfader", "f", "0.25"]):
            send = await asyncio.create_subprocess_exec("oscsend", target, *args)
            assert await send.wait() == 0
        assert dump.stdout is not None
        async with asyncio.timeout(3):
            while "/mixer/crossfader f 0.25" not in (await dump.stdout.readline()).decode():
                pass
        assert await rig.desk.get("/mixer/crossfader") == 0.25
    finally:
        dump.terminate()
        await dump.wait()


@pytest.mark.asyncio
async def test_requests_are_answered_when_they_are_done(rig: Rig) -> None:
    async def saved(address: Any, args: list[Any]) -> Any:
        return {"saved": args}

    rig.desk.register("/session/save", saved)
    client = await rig.client()
    client.send("/session/save", "tonight")
    address, result = (await client.wait("/done"))[0]
    assert (address, json.loads(result)) == ("/session/save", {"saved": ["tonight"]})
    client.send("/visuals/next", 1.0)
    assert "not connected" in (await client.wait("/error"))[0][1]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=120).map(lambda b: b"/a\0\0," + b),
                 st.binary(max_size=120).map(lambda b: b"#bundle\0" + bytes(8) + b)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        messages = decode(data)
    except BadValue as error:
        assert error.message.startswith("OSC: ")
    else:
        assert all(m.address.startswith("/") for m in messages)


TREE = AddressTree(NAMESPACE)


@settings(max_examples=200, deadline=None)
@given(st.text("/*?[]{},!-ab1padgin", max_size=40), st.integers(1, 8))
def test_any_pattern_ends_soon(pattern: str, bank: int) -> None:
    began = time.process_time()
    try:
        TREE.match("/" + pattern + "*", bank)
    finally:
        assert time.process_time() - began < 1.0


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([a.address for a in NAMESPACE]), st.data())
def test_a_pattern_made_from_an_address_finds_it(address: str, data: st.DataObject) -> None:
    parts = address[1:].split("/")
    at = data.draw(st.integers(0, len(parts) - 1))
    word = parts[at]
    parts[at] = data.draw(st.sampled_from([
        "*", "?" * len(word), word[0] + "*", "{x," + word + "}", "[" + word[0] + "]" + word[1:], "[!~]" + word[1:]]))
    assert address in [a.address for a in TREE.match("/" + "/".join(parts))]


TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=9)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
ARGS = st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), FLOATS, TEXTS), max_size=6)


@settings(max_examples=200, deadline=None)
@given(ARGS)
def test_python_osc_reads_what_is_written_here_and_the_other_way_round(args: list[Any]) -> None:
    ours = encode("/some/address", *args)
    assert decode(ours)[0].args == tuple(args)
    assert list(OscMessage(ours).params) == args
    builder = OscMessageBuilder("/some/address")
    for arg in args:
        builder.add_arg(arg, "f" if isinstance(arg, float) else "h" if isinstance(arg, int) else "s")
    assert decode(builder.build().dgram)[0].args == tuple(args)
