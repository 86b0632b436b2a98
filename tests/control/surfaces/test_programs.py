# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs as devices, over real sockets: what they send plays the box, what it does they are shown."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from appliance.bus.box import Box
from appliance.bus.memory import box_name, sweep
from appliance.config import Config
from appliance.control.desk import Desk
from appliance.control.mapping.check import check_profile, load_profile
from appliance.control.midi.devices import Devices
from appliance.control.midi.router import Router
from appliance.control.osc.devices import OscDevices
from appliance.control.osc.packet import Message, decode, encode
from appliance.control.osc.server import OscServer

MIXER = """\
profile: 1
name: Mixer program
device: {kind: osc, from: [127.0.0.1], to: "127.0.0.1:PORT"}
surface:
  volume: {osc: "/track/{n:1..4}/volume"}
  trim: {osc: "/track/{n:1..4}/trim", range: [0, 127]}
  mute: {osc: "/track/{n:1..4}/mute"}
  cell: {osc: "/sampler/{bank:1..2}/cell/{pad:1..4}", range: [-60, 12]}
  grid: {osc: "/grid {x:0..3} {y:0..3}"}
  named: {osc: "/strip {part:drums|bass} {n:1..2}"}
  third: {osc: "/xy", argument: 3}
  go: {osc: /go, trigger: true}
  shift: {osc: /shift}
  wheel: {osc: /wheel, relative: true}
layers: {shift: shift}
bindings:
  volume: {to: "/channel/{n}/fader"}
  trim: {to: "/channel/N/trim", range: [-12, 12]}
  mute: "/channel/{n}/mute"
  cell: "/bank/{bank}/pad/{pad}/gain"
  grid: {to: "/pad/N/trigger"}
  named: {to: "/channel/N+4/pan", range: [-1, 1]}
  third: {to: /mixer/crossfader, curve: centre}
  go: {to: /pads/bank, mode: step, value: 1}
  shift + go: {to: /pads/bank, value: 8}
  wheel: {to: /clock/bpm, range: [60, 180]}
feedback:
  volume: "/channel/{n}/fader"
  trim: "/channel/N/trim"
  mute: "/channel/{n}/mute"
  cell: "/bank/{bank}/pad/{pad}/gain"
  go: {shows: /pads/bank, equals: 3, osc: /go/lamp vv}
"""


class Program:
    """A program with one socket: it sends to the box and hears what it is told."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.told: list[Message] = []

    def send(self, to: int, address: str, *args: Any) -> None:
        self.socket.sendto(encode(address, *args), ("127.0.0.1", to))

    def listen(self) -> list[Message]:
        while True:
            try:
                self.told += decode(self.socket.recv(65536))
            except BlockingIOError:
                return self.told

    def shows(self, address: str) -> Any:
        """What it was told last."""
        return next((m.args[-1] for m in reversed(self.listen()) if m.address == address), None)


class Stage:
    def __init__(self, desk: Desk, programs: OscDevices, port: int) -> None:
        self.desk, self.programs, self.port = desk, programs, port
        self.program = Program()
        self.said: list[str] = []
        desk.subscribe(lambda address, value: self.said.append(value) if address == "/system/message" else None)

    async def play(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "program.yaml"
        path.write_text(text.replace("PORT", str(self.program.port)), encoding="utf-8")
        self.programs.use([load_profile(path)])
        await asyncio.sleep(0.1)

    async def send(self, address: str, *args: Any) -> None:
        self.program.send(self.port, address, *args)
        await asyncio.sleep(0.03)


async def until(condition: Callable[[], Any], seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.01)
    return bool(condition())


@pytest_asyncio.fixture
async def stage(desk: Desk) -> AsyncIterator[Stage]:
    from appliance.config import Endpoint

    server = OscServer(desk, Endpoint(port=0))
    where = await server.start()
    router = Router(desk)
    programs = OscDevices(desk, router)
    desk.osc_programs = programs.take
    stage = Stage(desk, programs, where.port)
    yield stage
    programs.close()
    router.stop()
    await server.stop()
    stage.program.socket.close()


async def test_addresses_of_a_program_play_the_box(stage: Stage, tmp_path: Path) -> None:
    await stage.play(MIXER, tmp_path)
    get = stage.desk.get_now
    for address, args, target, value in (
        ("/track/3/volume", (0.25,), "/channel/3/fader", 0.25), ("/track/1/volume", (2.0,), "/channel/1/fader", 1.0),
        ("/track/2/trim", (127,), "/channel/2/trim", 12.0), ("/track/2/trim", (0,), "/channel/2/trim", -12.0),
        ("/track/4/mute", (1,), "/channel/4/mute", True), ("/track/4/mute", (0,), "/channel/4/mute", False),
        ("/track/4/mute", (True,), "/channel/4/mute", True), ("/sampler/2/cell/3", (-6.0,), "/bank/2/pad/3/gain", -6.0),
        ("/strip", ("bass", 1, 0.0), "/channel/7/pan", -1.0), ("/strip", ("drums", 2, 0.75), "/channel/6/pan", 0.5),
        ("/xy", (9, "x", 1.0), "/mixer/crossfader", 1.0), ("/track/3/volume", ("0.5",), "/channel/3/fader", 0.5),
        ("/track/*/volume", (0.125,), "/channel/4/fader", 0.125), ("/go", (), "/pads/bank", 2), ("/go", (0,), "/pads/bank", 3),
        ("/wheel", (-3,), "/clock/bpm", None),
    ):
        before = get(target)
        await stage.send(address, *args)
        if value is None:
            assert await until(lambda: get(target) != before), address
        else:
            assert await until(lambda: get(target) == pytest.approx(value)), (address, args, get(target))
    assert get("/channel/1/fader") == 0.125, "a pattern means all of them"
    assert stage.said == []


async def test_pads_by_argument_with_velocity_and_a_layer(stage: Stage, tmp_path: Path) -> None:
    await stage.play(MIXER, tmp_path)
    done: list[tuple[str, list[Any]]] = []
    real = stage.desk.do_now
    stage.desk.do_now = lambda at, args, frame=0: (done.append((str(at), args)), real(at, args, frame))[1]  # type: ignore[method-assign]
    await stage.send("/grid", 1, 2, 0.5)
    await stage.send("/grid", 1, 2, 0.0)
    assert [(at, args[0]) for at, args in done] == [("/bank/1/pad/7/trigger", 0.5), ("/bank/1/pad/7/trigger", 0.0)]
    await stage.send("/shift", 1)
    await stage.send("/go")
    assert stage.desk.get_now("/pads/bank") == 8
    await stage.send("/shift", 0)


async def test_what_is_of_no_use_is_answered_and_nothing_moves(stage: Stage, tmp_path: Path) -> None:
    await stage.play(MIXER, tmp_path)
    await stage.send("/track/1/volume", "loud")
    await stage.send("/track/1/volume")
    await stage.send("/grid", 9, 9, 1.0)
    await stage.send("/trakc/1/volume", 0.5)
    errors = [m.args[-1] for m in stage.program.listen() if m.address == "/error"]
    assert [("argument 1" in e, "is no address" in e) for e in errors] == [(True, False)] * 2 + [(False, True)] * 2, errors
    assert stage.desk.get_now("/channel/1/fader") == 1.0


async def test_a_program_is_shown_everything_and_never_its_own_value(stage: Stage, tmp_path: Path) -> None:
    desk, program = stage.desk, stage.program
    desk.set_now("/channel/2/fader", 0.5)
    await stage.play(MIXER, tmp_path)
    assert await until(lambda: program.shows("/track/2/volume") == pytest.approx(0.5))
    assert program.shows("/track/2/trim") == pytest.approx(63.5)
    assert (program.shows("/track/1/mute"), program.shows("/go/lamp")) == (0.0, 0.0)
    program.told.clear()
    for step in range(20):
        await stage.send("/track/3/volume", step / 20)
    await asyncio.sleep(0.1)
    assert program.listen() == [], "its own value came back"
    desk.set_now("/channel/3/fader", 0.7)
    assert await until(lambda: program.shows("/track/3/volume") == pytest.approx(0.7))
    desk.set_now("/channel/2/trim", 12.0)
    assert await until(lambda: program.shows("/track/2/trim") == pytest.approx(127.0))
    desk.set_now("/pads/bank", 3)
    assert await until(lambda: program.shows("/go/lamp") == 1.0)
    program.told.clear()
    for value in range(100):
        desk.set_now("/channel/1/fader", value / 100)
    await asyncio.sleep(0.2)
    values = [m.args[0] for m in program.listen() if m.address == "/track/1/volume"]
    assert values[-1] == pytest.approx(0.99)
    assert len(values) < 10, "the newest is enough"


async def test_a_button_that_is_let_go_goes_on_to_show_what_it_started(stage: Stage, tmp_path: Path) -> None:
    text = MIXER.replace('mute: "/channel/{n}/mute"', 'mute: {to: "/channel/{n}/mute", mode: toggle}', 1)
    await stage.play(text, tmp_path)
    assert await until(lambda: stage.program.shows("/track/1/mute") == 0.0)
    stage.program.told.clear()
    await stage.send("/track/1/mute", 1)
    await asyncio.sleep(0.2)
    assert stage.program.listen() == [], "it shows that already"
    await stage.send("/track/1/mute", 0)
    assert stage.desk.get_now("/channel/1/mute") is True
    assert await until(lambda: stage.program.shows("/track/1/mute") == 1.0)
    await stage.send("/track/1/mute", 1)
    await stage.send("/track/1/mute", 0)
    await asyncio.sleep(0.3)
    assert stage.desk.get_now("/channel/1/mute") is False
    assert [m.args for m in stage.program.listen()] == [(1.0,)]


async def test_a_program_without_a_place_is_answered_where_it_sends_from(stage: Stage, tmp_path: Path) -> None:
    await stage.play(MIXER.replace(', to: "127.0.0.1:PORT"', ""), tmp_path)
    assert stage.program.listen() == []
    await stage.send("/track/1/volume", 0.25)
    assert await until(lambda: stage.program.shows("/track/2/volume") == 1.0)
    assert stage.program.shows("/track/1/volume") is None
    assert stage.programs.present(stage.programs._profiles[0][0]) == [f"127.0.0.1:{stage.program.port}"]


async def test_another_host_is_another_program(stage: Stage, tmp_path: Path) -> None:
    await stage.play(MIXER.replace("[127.0.0.1]", '["192.168.0.*"]'), tmp_path)
    await stage.send("/track/1/volume", 0.25)
    assert [m.address for m in stage.program.listen() if m.address == "/error"] == ["/error"]
    assert stage.desk.get_now("/channel/1/fader") == 1.0


async def test_a_layer_held_by_a_program_is_let_go_with_its_profile(stage: Stage, tmp_path: Path) -> None:
    text = MIXER + "\n"
    await stage.play(text.replace('mute: "/channel/{n}/mute"', 'mute: {to: "/channel/{n}/mute", mode: hold}', 1), tmp_path)
    await stage.send("/track/1/mute", 1)
    assert stage.desk.get_now("/channel/1/mute") is True
    stage.programs.use([])
    assert stage.desk.get_now("/channel/1/mute") is False


async def test_messages_to_programs(stage: Stage, tmp_path: Path) -> None:
    """From one program to another, by the box."""
    other = Program()
    text = f"""\
profile: 1
name: Cues
device: {{kind: osc}}
surface: {{fade: {{osc: "/fade/{{n:1..2}}"}}, press: {{osc: /press, trigger: true}}}}
bindings:
  fade: {{osc: '127.0.0.1:{other.port} /cue/{{n}}/level N vv "two words"', range: [-60, 0]}}
  press: {{osc: localhost:{other.port} /go 7 1.5, mode: press}}
"""
    try:
        await stage.play(text, tmp_path)
        await stage.send("/fade/2", 0.5)
        await stage.send("/press")
        assert await until(lambda: len(other.listen()) == 2)
        assert [(m.address, m.args) for m in other.told] == [("/cue/2/level", (2, -30.0, "two words")), ("/go", (7, 1.5))]
    finally:
        other.socket.close()


async def test_a_bundle_for_later_is_done_later(stage: Stage, tmp_path: Path) -> None:
    await stage.play(MIXER, tmp_path)
    at = time.time() + 0.4
    tag = int((at + 2_208_988_800) * 2**32).to_bytes(8, "big")
    message = encode("/track/1/volume", 0.5)
    stage.program.socket.sendto(b"#bundle\0" + tag + len(message).to_bytes(4, "big") + message, ("127.0.0.1", stage.port))
    await asyncio.sleep(0.15)
    assert stage.desk.get_now("/channel/1/fader") == 1.0
    assert await until(lambda: stage.desk.get_now("/channel/1/fader") == 0.5)


async def test_the_whole_way_from_a_file_to_a_program(tmp_path: Path) -> None:
    """A profile saved while the box plays, driven by oscsend."""
    if shutil.which("oscsend") is None:
        pytest.skip("liblo-tools are not installed")
    config = Config.model_validate({"http": {"port": 0}, "osc": {"port": 0}, "audio": {"backend": "clock"},
                                    "mappings": {"alsa": False}})
    box = Box.create(tmp_path / "data", config)
    program = Program()
    desk = Desk(box)
    server = OscServer(desk, config.osc)
    devices = asyncio.create_task(Devices(desk).run())
    try:
        where = await server.start()
        folder = box.data / "mappings"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mixer.yaml").write_text(MIXER.replace("PORT", str(program.port)), encoding="utf-8")
        assert await until(lambda: program.shows("/track/1/volume") == 1.0)
        command = ["oscsend", "127.0.0.1", str(where.port), "/track/1/volume", "f", "0.5"]
        await asyncio.to_thread(subprocess.run, command, check=True)
        assert await until(lambda: desk.get_now("/channel/1/fader") == 0.5)
        told = desk.get_now("/system/profiles")
        assert [d["port"] for p in told for d in p["devices"] if p["profile"] == "Mixer program"] in (
            [], [f"127.0.0.1:{program.port}"])
    finally:
        devices.cancel()
        await asyncio.gather(devices, return_exceptions=True)
        await server.stop()
        program.socket.close()
        sweep(box_name(box.data))


@pytest.mark.parametrize(("change", "place", "words"), [
    (("kind: osc", "kind: ocs"), "ocs", "did you mean osc?"),
    (("from: [127.0.0.1]", "form: [127.0.0.1]"), "form", "did you mean from?"),
    (("127.0.0.1:PORT", "127.0.0.1:0"), '"127.0.0.1:0', "no place in the network"),
    (('"/track/{n:1..4}/volume"', '"/track/{n}/volume"'), '"/track/{n}/volume"', "as in {n:1..8}"),
    (('"/track/{n:1..4}/volume"', '"track/{n:1..4}/volume"'), '"track/', "no OSC address"),
    (('"/track/{n:1..4}/volume"', '"/track/*/volume"'), '"/track/*', "no signs of patterns"),
    (('"/track/{n:1..4}/volume"', '"/channel/{n:1..4}/fader"'), '"/channel/{n', "is an address of the box itself"),
    (('"/track/{n:1..4}/volume"', '"/a/{n:1..999}/{m:1..999}"'), '"/a/', "998001 controls"),
    (('"/track/{n:1..4}/mute"', '"/track/{n:1..4}/volume"'), '"/channel/{n}/mute"\n  cell', "bound already by 'volume 1'"),
    (('{osc: "/track/{n:1..4}/mute"}', "{note: 36..39}"), "36..39", "note is of a device of kind: midi"),
    (("/go, trigger", "/go, triger"), "triger", "did you mean trigger?"),
    (('"/channel/{n}/fader"}', '"/channel/{m}/fader"}'), '"/channel/{m}', "captured is n"),
    (('"/channel/{n}/fader"}', '"/channel/{n}/fadr"}'), '"/channel/{n}/fadr"', "did you mean /channel/1/fader?"),
    (("shift + go: {to: /pads/bank", "go held: {to: /pads/bank"), "/pads/bank, value: 8", "is for buttons, not for trigger"),
    (("/go/lamp vv", '"/go/lamp \'vv"'), '"/go/lamp', "is not closed"),
    (('volume: "/channel/{n}/fader"\n  trim', 'volume: "/pad/{n}"\n  trim'), '"/pad/{n}"', "the language of lamps"),
    (("argument: 3", "argument: 0"), "0}", "greater than or equal to 1"),
    (("range: [0, 127]", "range: [5, 5]"), "trim: {osc", "the two ends are the same"),
    (("wheel: {to: /clock/bpm,", "wheel: {osc: /a b, mode: set, to: /clock/bpm,"), "wheel: {osc: /a", "one of: to"),
])
def test_faults_are_said_with_line_and_column(tmp_path: Path, change: tuple[str, str], place: str, words: str) -> None:
    assert change[0] in MIXER
    text = MIXER.replace(*change, 1)
    path = tmp_path / "program.yaml"
    path.write_text(text.replace("PORT", "9001"), encoding="utf-8")
    problems = [p for p in check_profile(path) if words in p.message]
    before = text.replace("PORT", "9001")
    before = before[: before.index(place)]
    at = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert [(p.line, p.column) for p in problems] == [at], check_profile(path)
