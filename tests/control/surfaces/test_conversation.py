# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation of learning, and the monitor's words, without an audio server: the binding table in shared memory is read
here as the engine reads it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import yaml

from appliance.bus.binding import BindingFlag, BindingKind
from appliance.bus.events import Event, Kind
from appliance.commands.monitor import text
from appliance.control.desk import Desk
from appliance.control.learn import teacher
from appliance.control.learn.streams import Said
from appliance.control.mapping.library import shipped_folder
from appliance.control.mapping.planes import Entry
from appliance.control.mapping.profile import Encoding
from appliance.control.midi.devices import Devices
from appliance.control.midi.jackports import MidiPort
from appliance.control.midi.reading import effect
from appliance.errors import ApplianceError
from tests.control.learn import gestures

BOX = MidiPort("learnbox:Learn Box MIDI 1", (), source=True)
OTHER = MidiPort("keys:out", (), source=True)


class Table:
    """Reads the table, does what it says, and tells control what the engine would tell."""

    def __init__(self, desk: Desk, devices: Devices) -> None:
        self.desk = desk
        self.devices = devices
        self.frame = 1000
        self.lines: list[dict[str, Any]] = []

    def slot(self, port: MidiPort) -> int:
        return next((device.slot for device in self.devices._devices.values() if device.name == port.name), 0)

    def send(self, *data: int, port: MidiPort = BOX) -> None:
        status, data1, data2 = data
        self.frame += 48
        slot = self.slot(port)
        if not 0x80 <= status <= 0xEF:
            return
        row = self.desk.box.record["binding"][0][slot, 0, status - 128, data1]
        entry = Entry(BindingKind(int(row["kind"])), int(row["code"]), int(row["index"]), float(row["minimum"]),
                      float(row["maximum"]), int(row["flags"]))
        if entry.kind is BindingKind.HAND_OVER or entry.flags & BindingFlag.TELL:
            self.tell(Kind.MIDI, 0, slot, status, data1, data2)
        values = self.desk.box.values.vector
        current = float(values[entry.index]) if entry.kind in (BindingKind.VALUE, BindingKind.TOGGLE) else 0.0
        result = effect(entry, status, data2, bank=1, current=current)
        if result is not None and result.code < 0:
            values[result.index] = result.amount
            self.tell(Kind.VALUE, 0, result.index, result.amount, 1.0, 0.0)
        elif result is not None:
            self.tell(Kind.COMMAND, result.code, result.index, result.amount, 0.0, 0.0)

    def tell(self, kind: Kind, code: int, index: int, a: float, b: float, c: float) -> None:
        self.devices._on_event(Event(kind, code, index, self.frame, a, b, c, 1, 0))

    async def play(self, move: list[Said], port: MidiPort = BOX) -> None:
        begun = asyncio.get_running_loop().time()
        for said in move:
            await asyncio.sleep(max(begun + said.time_s - asyncio.get_running_loop().time(), 0))
            self.send(said.status, said.data1, said.data2, port=port)

    def get(self, address: str) -> Any:
        return self.desk.get_now(address)

    async def until(self, condition: Any, seconds: float = 8.0) -> None:
        for _ in range(round(seconds / 0.02)):
            if condition():
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"it did not come: {self.get('/learn/state')}: {self.get('/learn/status')}")

    async def learned(self, move: list[Said], target: str = "") -> dict[str, Any]:
        if target:
            await self.desk.set("/learn/target", target)
        before = self.get("/learn/last")
        await self.play(move)
        await self.until(lambda: self.get("/learn/last") not in (None, before))
        return self.get("/learn/last")


@pytest_asyncio.fixture
async def table(desk: Desk) -> AsyncIterator[Table]:
    desk.box.config = type(desk.box.config).model_validate({"audio": {"backend": "clock"}, "mappings": {"alsa": False}})
    devices = Devices(desk)
    task = asyncio.create_task(devices.run())
    table = Table(desk, devices)
    await table.until(lambda: desk.get_now("/system/profiles"))
    devices._ports_changed([BOX])
    yield table
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.asyncio
async def test_a_question_is_asked_once_for_all_encoders(table: Table) -> None:
    chance = random.Random(1)
    await table.desk.set("/learn/target", "/channel/1/filter")
    await table.play(gestures.encoder(chance, Encoding.SIGN, 70, turns=(1,)))
    await table.until(lambda: table.get("/learn/status") == "/channel/1/filter: turn it the other way, too")
    fact = await table.learned(gestures.encoder(chance, Encoding.SIGN, 70, turns=(-1,)))
    assert (fact["surface"], fact["assumed"]) == ({"cc": 70, "encoder": "sign"}, "")
    fact = await table.learned(gestures.encoder(chance, Encoding.SIGN, 71, turns=(1,)), "/channel/2/filter")
    assert (fact["surface"], fact["control"], fact["assumed"]) == ({"cc": 71, "encoder": "sign"}, "filter 2", "")


@pytest.mark.asyncio
async def test_noise_of_another_knob_does_not_keep_it_from_ending(table: Table) -> None:
    chance = random.Random(2)
    await table.desk.set("/learn/target", "/channel/1/low")
    trembling = asyncio.create_task(table.play([Said(n * 0.02, 0xB0, 90, 64 + n % 2) for n in range(400)]))
    fact = await table.learned(gestures.knob(chance, 60))
    assert fact["surface"] == {"cc": 60} and not trembling.done()
    trembling.cancel()


@pytest.mark.asyncio
async def test_save_takes_it_at_once_and_names_it(table: Table) -> None:
    with pytest.raises(ApplianceError, match="no target yet"):
        await table.desk.do("/learn/save", [])
    await table.desk.set("/learn/target", "/channel/1/low")
    with pytest.raises(ApplianceError, match="no control was heard"):
        await table.desk.do("/learn/save", [])
    await table.play(gestures.knob(random.Random(3), 60, seconds=0.1))
    fact = await table.desk.do("/learn/save", ["Left Bass"])
    assert (fact["control"], fact["binding"]) == ("left bass", "left bass")


@pytest.mark.asyncio
async def test_cancel_and_stop_leave_no_trace(table: Table) -> None:
    flags = table.desk.box.record["binding"][0]["flags"]
    for end in ("cancel", "stop"):
        await table.desk.do("/learn/start", ["/channel/1/low"])
        assert (flags & BindingFlag.TELL).any()
        await table.play(gestures.knob(random.Random(3), 60, seconds=0.1))
        await table.desk.do(f"/learn/{end}", [])
        await asyncio.sleep(0.6)
        assert (table.get("/learn/state"), table.get("/learn/target"), table.get("/learn/last")) == ("off", "", None)
        assert not (flags & BindingFlag.TELL).any()
    assert not (table.desk.box.data / "mappings").exists()


@pytest.mark.asyncio
async def test_the_control_that_chose_the_target_is_not_learned(table: Table) -> None:
    """It is still moving when the target is known."""
    await table.desk.do("/learn/start", [])
    trip = gestures.knob(random.Random(3), 8, seconds=0.3)  # the crossfader of the generic profile
    await table.play(trip)
    assert table.get("/learn/target") == "/mixer/crossfader"
    await asyncio.sleep(0.8)
    assert table.get("/learn/state") == "control"
    fact = await table.learned(gestures.knob(random.Random(4), 60))
    assert (fact["address"], fact["surface"]) == ("/mixer/crossfader", {"cc": 60})


@pytest.mark.asyncio
async def test_what_is_forgotten_changes_nothing_later(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "PATIENCE_S", {"target": 0.3, "control": 0.3})
    await table.desk.set("/learn/target", "/channel/1/low")
    await table.until(lambda: table.get("/learn/state") == "off")
    assert "not learning any more" in table.get("/learn/status") and table.get("/learn/target") == ""
    await table.play(gestures.knob(random.Random(3), 60))
    await asyncio.sleep(0.6)
    assert table.get("/learn/last") is None


@pytest.mark.asyncio
async def test_two_unknown_devices_cannot_be_told_apart(table: Table) -> None:
    table.devices._ports_changed([BOX, OTHER])
    await table.desk.set("/learn/target", "/channel/1/low")
    await table.play(gestures.knob(random.Random(3), 60))
    await table.until(lambda: "leave one of them connected" in table.get("/learn/status"))
    assert "(Learn Box, keys)" in table.get("/learn/status")
    table.devices._ports_changed([BOX])
    assert (await table.learned(gestures.knob(random.Random(3), 60)))["device"] == "Learn Box"


@pytest.mark.asyncio
async def test_any_bytes_while_learning_do_no_harm(table: Table) -> None:
    chance = random.Random(6)
    await table.desk.do("/learn/start", ["/channel/1/low"])
    lines: list[dict[str, Any]] = []
    leave = table.desk.listen(lines.append)
    for number in range(4000):
        table.send(chance.choice((0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0)) + chance.randrange(16), chance.randrange(128),
                   chance.randrange(128))
        if number % 100 == 0:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert len(lines) == 4000 and all(text(line) for line in lines)
    leave()
    await table.desk.do("/learn/cancel", [])
    assert "fault in the box" not in str(table.get("/system/messages"))


@pytest.mark.asyncio
async def test_a_line_for_a_person(table: Table) -> None:
    lines: list[dict[str, Any]] = []
    leave = table.desk.listen(lines.append)
    for message in ((0xB0, 8, 127), (0x90, 37, 100), (0xB0, 60, 5)):
        table.send(*message)
        await asyncio.sleep(0.02)
    leave()
    table.send(0xB0, 8, 0)
    crossfader, pad, unknown = map(text, lines)
    assert crossfader.startswith("Learn Box MIDI 1") and "cc 8 ch 1" in crossfader
    assert "balance = 1" in crossfader and "generic.yaml:21 balance" in crossfader
    assert crossfader.endswith("→ /mixer/crossfader = 1")
    assert "pad 2 = 0.787" in pad and "/pad/2/trigger = 0.787402" in pad
    assert unknown.endswith("a profile could say:  knob: {cc: 60}")


PROFILE = """\
profile: 1
name: Mine
device: {match: ["Learn Box"]}
surface: {knob: {cc: 1}, cue: {note: 6}, spare: {cc: 9}, shift: {note: 1}, fine: {cc14: 12}, play: {note: 5}}
layers: {high: shift}
bindings:
  # pick up
  knob: {to: /channel/1/fader, takeover: pickup}
  cue: {to: /deck/1/keylock, when: {/deck/1/slip: true}}
  high + knob: /mixer/crossfader
  fine: {to: /channel/2/fader, takeover: pickup}
  play held: /deck/1/loop/auto
"""


@pytest.mark.asyncio
async def test_the_monitor_tells_why_not(table: Table) -> None:
    own = table.desk.box.data / "mappings" / "mine.yaml"
    own.parent.mkdir()
    own.write_text(PROFILE, encoding="utf-8")
    await table.desk.do("/system/profiles/reload", [])
    assert (table.get("/device/1/profile"), table.get("/device/1/layers")) == ("Mine", {"high": 0})
    table.desk.set_now("/channel/1/fader", 0.9)
    table.desk.set_now("/channel/2/fader", 0.9)
    lines: list[dict[str, Any]] = []
    leave = table.desk.listen(lines.append)

    async def line(*data: int) -> dict[str, Any]:
        table.send(*data)
        await asyncio.sleep(0.02)
        return lines[-1]

    waits = await line(0xB0, 1, 20)
    assert (waits["results"][0]["state"], waits["line"], waits["results"][0]["value"]) == ("waits", 8, 0.9)
    assert "stands at 16%, the value at 90%; move it up" in waits["results"][0]["why"]
    condition = await line(0x90, 6, 127)
    assert condition["note"] == "condition not true: /deck/1/slip is false, the binding wants true"
    assert (await line(0xB0, 9, 3))["note"] == "named in the surface, bound to nothing"
    assert (await line(0xB0, 12, 30))["note"] == "part of a value"
    by_control = await line(0xB0, 44, 0)
    assert (by_control["control"], by_control["results"][0]["state"], by_control["line"]) == ("fine", "waits", 11)
    assert (await line(0x90, 5, 127))["note"] == "bound to a gesture (held, double)"
    await asyncio.sleep(0.8)
    held = lines[-1]
    assert (held["binding"], held["note"], held["results"][0]["address"]) == ("play held", "held 0.6 s", "/deck/1/loop/auto")
    assert (await line(0x90, 1, 127))["note"] == "layer high = 1"
    assert table.get("/device/1/layers") == {"high": 1}
    assert [text(one) for one in lines]
    leave()


@pytest.mark.asyncio
async def test_a_chord_leads_it_and_its_layer_is_not_learned(table: Table) -> None:
    own = table.desk.box.data / "mappings" / "korg-nanokontrol2.yaml"
    own.parent.mkdir()
    shipped = (shipped_folder() / own.name).read_text(encoding="utf-8")
    own.write_text(shipped.replace("  track 1: {to", "  shift + track 1: /learn/hold   # the chord\n  track 1: {to"),
                   encoding="utf-8")
    await table.desk.do("/system/profiles/reload", [])
    korg = MidiPort("korg:nanoKONTROL2 MIDI 1", (), source=True)
    table.devices._ports_changed([korg, OTHER])
    table.send(0xB0, 46, 127, port=korg)
    assert table.get("/device/1/layers") == {"shift": 1}
    table.send(0xB0, 58, 127, port=korg)
    assert (table.get("/learn/hold"), table.get("/learn/state")) == (True, "target")
    table.send(0xB0, 8, 90, port=OTHER)
    await table.until(lambda: table.get("/learn/target") == "/mixer/crossfader")
    await table.play(gestures.knob(random.Random(3), 18), korg)
    await table.until(lambda: table.get("/learn/last"))
    assert table.get("/learn/last")["binding"] == "knob 3"
    table.send(0xB0, 58, 0, port=korg)
    table.send(0xB0, 46, 0, port=korg)
    assert (table.get("/learn/state"), table.get("/learn/hold")) == ("off", False)
    bindings = yaml.safe_load(own.read_text(encoding="utf-8"))["bindings"]
    assert bindings["knob 3"] == {"to": "/mixer/crossfader", "curve": "centre"}
    assert bindings["knob 1..2"] == bindings["knob 4..8"] == {"to": "/channel/N/filter", "curve": "centre"}
    assert bindings["shift + knob"] == {"to": "/channel/N/low", "curve": "centre"}
    assert "# the chord" in own.read_text(encoding="utf-8")
    await table.desk.do("/learn/undo", [])
    assert own.read_text(encoding="utf-8").count("knob: {to: /channel/N/filter") == 1
