# SPDX-License-Identifier: GPL-3.0-or-later
"""Controllers on a real JACK server learn by OSC, HTTP and by themselves; then their controls do what was learned."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from appliance.bus.binding import BindingFlag
from appliance.bus.box import Box
from appliance.bus.hub import HubServer
from appliance.control import surfaces
from appliance.control.learn.streams import Said
from appliance.control.mapping.check import check_profile
from appliance.control.mapping.library import shipped_folder
from appliance.control.mapping.profile import Encoding
from appliance.nodes import NAMESPACE
from tests.control.learn import gestures
from tests.control.surfaces import test_midi

jack = pytest.importorskip("jack")
ROOT = Path(__file__).resolve().parents[3]
until = test_midi.until
playing = test_midi.playing


class Stage(test_midi.Stage):
    """With OSC, HTTP and the hub."""

    @property
    def where(self) -> dict[str, str]:
        path = self.box.run / "endpoints.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    async def http(self, method: str, address: str, value: Any = None) -> tuple[int, Any]:
        url = f"{self.where['http']}/api/v1{address}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=value) as answer:
            return answer.status, await answer.json()

    async def osc(self, address: str, types: str = "", *arguments: object) -> None:
        """By another program."""
        if shutil.which("oscsend") is None:
            pytest.skip("oscsend is not installed (liblo-tools)")
        host, port = self.where["osc"].split(":")
        words = [str(argument) for argument in arguments]
        sender = await asyncio.create_subprocess_exec("oscsend", host, port, address, *([types, *words] if types else []))
        assert await sender.wait() == 0

    def get(self, address: str) -> Any:
        return self.desk.get_now(address)

    async def state(self, state: str) -> bool:
        return await until(lambda: self.get("/learn/state") == state)

    async def play(self, device: test_midi.Device, move: list[Said]) -> None:
        """In its own time."""
        begun = asyncio.get_running_loop().time()
        for said in move:
            await asyncio.sleep(max(begun + said.time_s - asyncio.get_running_loop().time(), 0))
            device.send(said.status, said.data1, said.data2)

    async def learned(self, device: test_midi.Device, move: list[Said], target: str) -> dict[str, Any]:
        """Move until it is learned; twice at most: this player is Python in JACK's thread, and loses what the machine lost."""
        for _ in range(2):
            before = self.get("/learn/last")
            await self.play(device, move)
            if await until(lambda: self.get("/learn/last") not in (None, before), 3.0):
                break
        fact = self.get("/learn/last")
        assert fact and fact["address"] == target, (fact, self.get("/learn/status"))
        assert check_profile(Path(fact["file"])) == []
        await until(lambda: self.plays(device, fact["device"]))
        return fact

    def plays(self, device: test_midi.Device, name: str) -> bool:
        """It has a profile and a place of its own at the engine."""
        own = any(port["port"] == device.out.name and port["engine"] != "midi_in"
                  for one in self.get("/system/profiles") for port in one["devices"])
        return own and any(name.startswith("appliance-a:midi_in_") for name in device.connections())

    def profile(self, fact: dict[str, Any]) -> dict[str, Any]:
        return yaml.safe_load(Path(fact["file"]).read_text(encoding="utf-8"))


@pytest_asyncio.fixture
async def stage(playing: Box, jack_server: str) -> AsyncIterator[Stage]:
    playing.values.reset()
    shutil.rmtree(playing.data / "mappings", ignore_errors=True)
    playing.config = type(playing.config).model_validate(
        {"audio": {"server": jack_server}, "mappings": {"alsa": False}, "http": {"port": 0}, "osc": {"port": 0}})
    stage = Stage(playing, jack_server)
    stage.desk.pump_events()
    hub = HubServer(playing.hub_path, stage.desk)
    stage.desk.hub = hub
    await hub.start()
    pump = asyncio.create_task(stage.pump())
    stop = await surfaces.start(stage.desk)
    await until(lambda: any(address == "/system/profiles" for address, _ in stage.told))
    yield stage
    for device in stage.plugged:
        try:
            device.unplug()
        except jack.JackError:
            pass
    await stop()
    await hub.stop()
    pump.cancel()


async def plugged(stage: Stage, client: str, port: str) -> test_midi.Device:
    device = stage.plug(client, port)
    assert await until(device.connections)
    return device


async def swept(device: test_midi.Device, number: int, end: int, until_it: Any) -> bool:
    """From the other end to this one, so that it meets its value on the way."""
    for _ in range(3):
        device.send(0xB0, number, 127 - end)
        await asyncio.sleep(0.1)
        device.send(0xB0, number, end)
        if await until(until_it, 2.0):
            return True
    return False


@pytest.fixture
def chance() -> random.Random:
    return random.Random(5)


@pytest.mark.asyncio
async def test_a_fader_learns_by_http_and_works(stage: Stage, chance: random.Random) -> None:
    box = await plugged(stage, "learnbox", "Learn Box MIDI 1")
    assert (await stage.http("PUT", "/learn/target", "/channel/3/faderr"))[0] == 404
    status, _ = await stage.http("PUT", "/learn/target", "/channel/3/fader")
    assert (status, stage.get("/learn/state")) == (200, "control")
    fact = await stage.learned(box, gestures.knob(chance, 60), "/channel/3/fader")
    assert (fact["device"], fact["surface"]) == ("Learn Box", {"cc": 60})
    assert fact["control"] == "channel fader"  # the generic profile, which it played by, has a fader
    assert Path(fact["file"]) == stage.box.data / "mappings" / "learn-box.yaml"
    assert await test_midi.sent(box, 0xB0, 60, 127, until_it=lambda: stage.get("/channel/3/fader") == 1.0)
    assert await test_midi.sent(box, 0xB0, 8, 0, until_it=lambda: stage.get("/mixer/crossfader") == -1.0)  # as before
    status, answer = await stage.http("GET", "/learn/status")
    assert status == 200 and "channel fader of Learn Box is /channel/3/fader" in answer["value"]
    assert stage.get("/learn/target") == "" and stage.get("/learn/state") == "off"


@pytest.mark.asyncio
async def test_buttons_learn_by_osc_what_a_hand_does_there(stage: Stage) -> None:
    box = await plugged(stage, "learnbox", "Learn Box MIDI 1")
    await stage.osc("/learn/start")
    assert await stage.state("target")
    await stage.osc("/deck/2/loop/roll", "f", 0.25)
    assert await stage.state("control") and stage.get("/learn/target") == "/deck/2/loop/roll"
    await stage.osc("/pads/bank", "i", 4)  # changed one's mind
    assert await until(lambda: stage.get("/learn/target") == "/pads/bank")
    fact = await stage.learned(box, gestures.press(90, kind="cc"), "/pads/bank")
    assert stage.profile(fact)["bindings"][fact["binding"]] == {"to": "/pads/bank", "value": 4}
    assert await stage.state("target")  # learning goes on
    await stage.osc("/channel/1/mute", "T")
    fact = await stage.learned(box, gestures.press(91, kind="cc"), "/channel/1/mute")
    assert stage.profile(fact)["bindings"][fact["binding"]] == {"to": "/channel/1/mute", "mode": "toggle"}
    await stage.osc("/learn/stop")
    assert await stage.state("off")
    stage.desk.set_now("/pads/bank", 1)
    stage.desk.set_now("/channel/1/mute", False)
    assert await test_midi.sent(box, 0xB0, 90, 127, until_it=lambda: stage.get("/pads/bank") == 4)
    box.send(0xB0, 91, 127)
    box.send(0xB0, 91, 0)
    assert await until(lambda: stage.get("/channel/1/mute") is True)


@pytest.mark.asyncio
@pytest.mark.parametrize("encoding", list(Encoding))
async def test_an_encoder_learns_and_turns(stage: Stage, chance: random.Random, encoding: Encoding) -> None:
    box = await plugged(stage, "learnbox", "Learn Box MIDI 1")
    await stage.http("PUT", "/learn/target", "/channel/2/filter")
    move = gestures.mixed(gestures.encoder(chance, encoding, 70, clicks=8), gestures.noise(chance, 1.0, number=80))
    fact = await stage.learned(box, [said for said in move if said.status < 0xF0], "/channel/2/filter")
    assert fact["surface"] == {"cc": 70, "encoder": encoding.value}
    before = stage.get("/channel/2/filter")
    assert await test_midi.sent(box, 0xB0, 70, gestures.coded(4, encoding),
                                until_it=lambda: stage.get("/channel/2/filter") > before)


@pytest.mark.asyncio
@pytest.mark.parametrize("fine_first", [False, True])
async def test_a_fader_of_14_bits_learns_in_either_order(stage: Stage, chance: random.Random, fine_first: bool) -> None:
    box = await plugged(stage, "learnbox", "Learn Box MIDI 1")
    await stage.http("POST", "/learn/start", ["/mixer/crossfader"])
    fact = await stage.learned(box, gestures.fine_fader(chance, 12, fine_first=fine_first, channel=3), "/mixer/crossfader")
    assert fact["surface"] == {"cc14": 12, "channel": 3} | ({"fine_first": True} if fine_first else {})
    await stage.http("POST", "/learn/stop")
    value = 12345
    halves = [(12, value >> 7), (44, value & 127)]
    for number, half in reversed(halves) if fine_first else halves:
        box.send(0xB2, number, half)
    assert await until(lambda: abs(stage.get("/mixer/crossfader") - (2 * value / 16383 - 1)) < 1e-4)


@pytest.mark.asyncio
async def test_a_wheel_learns_with_its_touch(stage: Stage, chance: random.Random) -> None:
    box = await plugged(stage, "learnbox", "Learn Box MIDI 1")
    await stage.http("PUT", "/learn/target", "/deck/1/jog/turn")
    fact = await stage.learned(box, gestures.wheel(chance, Encoding.OFFSET, number=70, touch=20), "/deck/1/jog/turn")
    profile = stage.profile(fact)
    jog = profile["surface"]["jog"]
    assert (jog["cc"], jog["encoder"]) == (70, "offset")
    assert 360 <= jog["per_turn"] <= 720  # less than 720 where the machine lost messages of the player
    assert {"note": 20} in profile["surface"].values()
    assert profile["bindings"]["jog"] == "/deck/1/jog/turn" and profile["bindings"]["touch"] == "/deck/1/jog/touch"
    touch = NAMESPACE.command("deck", "jog/touch")  # the deck is empty: it is asked, whatever it answers
    stage.events.clear()
    assert await test_midi.sent(box, 0x90, 20, 127, until_it=lambda: any(event.code == touch for event in stage.events))


KORG = {"shift": 46, "set": 58}


@pytest.mark.asyncio
async def test_from_the_device_alone_with_a_chord(stage: Stage, chance: random.Random) -> None:
    """The target by a second device, the profile by another name than the shipped one, whose comments stay."""
    own = stage.box.data / "mappings" / "korg-nanokontrol2.yaml"
    own.parent.mkdir(parents=True)
    text = (shipped_folder() / own.name).read_text(encoding="utf-8")
    chord = "  shift + track 1: /learn/hold   # the chord\n"
    own.write_text(text.replace("  track 1: {to", chord + "  track 1: {to"), encoding="utf-8")
    await stage.desk.do("/system/profiles/reload", [])
    korg = await plugged(stage, "korg", "nanoKONTROL2 MIDI 1")
    other = await plugged(stage, "keys", "out")
    assert await until(lambda: stage.get("/device/1/layers") == {"shift": 0})
    assert await test_midi.sent(korg, 0xB0, KORG["shift"], 127, until_it=lambda: stage.get("/device/1/layers") == {"shift": 1})
    assert await test_midi.sent(korg, 0xB0, KORG["set"], 127, until_it=lambda: stage.get("/learn/hold") is True)
    assert await stage.state("target")
    assert await test_midi.sent(other, 0xB0, 8, 90, until_it=lambda: stage.get("/learn/target") == "/mixer/crossfader")
    fact = await stage.learned(korg, gestures.knob(chance, 18), "/mixer/crossfader")
    assert (fact["control"], fact["binding"]) == ("knob 3", "knob 3")  # not in the layer of the chord
    korg.send(0xB0, KORG["set"], 0)
    korg.send(0xB0, KORG["shift"], 0)
    assert await stage.state("off")
    assert await swept(korg, 18, 127, lambda: stage.get("/mixer/crossfader") == 1.0)
    assert await swept(korg, 19, 0, lambda: stage.get("/channel/4/filter") == -1.0)
    after = own.read_text(encoding="utf-8")
    assert "# the chord" in after and "The controller numbers are those that Mixxx's mapping" in after
    assert list(yaml.safe_load(after)) == list(yaml.safe_load(text))
    assert (shipped_folder() / own.name).read_text(encoding="utf-8") == text


@pytest.mark.asyncio
async def test_a_shipped_profile_is_learned_into_a_copy_and_undo_takes_it_back(stage: Stage, chance: random.Random) -> None:
    korg = await plugged(stage, "korg", "nanoKONTROL2 MIDI 1")
    assert await until(lambda: stage.get("/device/1/profile") == "Korg nanoKONTROL2")
    await stage.http("PUT", "/learn/target", "/mixer/master")
    fact = await stage.learned(korg, gestures.knob(chance, 7), "/mixer/master")
    assert Path(fact["file"]).parent == stage.box.data / "mappings"
    assert stage.profile(fact)["bindings"]["fader 1..7"] == "/channel/N/fader"
    status, answer = await stage.http("POST", "/learn/undo")
    assert status == 200 and not Path(fact["file"]).exists()
    assert await swept(korg, 7, 0, lambda: stage.get("/channel/8/fader") == 0.0)
    status, answer = await stage.http("POST", "/learn/undo")
    assert status == 409 and "nothing was learned" in answer["error"]


@pytest.mark.asyncio
async def test_a_broken_profile_stays_in_force_as_it_was_and_learns_nothing(stage: Stage, chance: random.Random) -> None:
    box = await plugged(stage, "learnbox", "Learn Box MIDI 1")
    await stage.http("PUT", "/learn/target", "/channel/1/low")
    fact = await stage.learned(box, gestures.knob(chance, 60), "/channel/1/low")
    file = Path(fact["file"])
    file.write_text(file.read_text(encoding="utf-8") + "bindingz: {}\n", encoding="utf-8")
    assert await until(lambda: "the version before stays in force" in stage.get("/system/message"))
    await stage.http("PUT", "/learn/target", "/channel/1/mid")
    await stage.play(box, gestures.knob(chance, 61))
    assert await until(lambda: "bindingz" in stage.get("/learn/status"), 3.0)
    assert stage.get("/learn/last") == fact and "/channel/1/mid" not in file.read_text(encoding="utf-8")
    assert await test_midi.sent(box, 0xB0, 60, 127, until_it=lambda: stage.get("/channel/1/low") > 0)
    await stage.http("POST", "/learn/cancel")
    assert await stage.state("off")
    status, answer = await stage.http("POST", "/learn/undo")
    assert status == 409 and "changed by hand" in answer["error"]


@pytest.mark.asyncio
async def test_what_does_not_suit_is_said_and_another_control_may_do_it(stage: Stage, chance: random.Random) -> None:
    box = await plugged(stage, "learnbox", "Learn Box MIDI 1")
    assert (await stage.http("PUT", "/learn/target", "/mixer/meter/left"))[0] == 405
    await stage.http("PUT", "/learn/target", "/clock/tap")
    await stage.play(box, gestures.knob(chance, 60))
    assert await until(lambda: "move a button instead" in stage.get("/learn/status"), 3.0)
    fact = await stage.learned(box, gestures.press(20), "/clock/tap")
    assert fact["surface"] == {"note": 20}
    await stage.http("PUT", "/learn/target", "/deck/1/jump")
    await stage.http("PUT", "/learn/target", "")
    assert await stage.state("off")


@pytest.mark.asyncio
async def test_the_monitor_tells_every_message_and_costs_nothing_unwatched(stage: Stage) -> None:
    own = stage.box.data / "mappings" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("""\
profile: 1
name: Mine
device: {match: ["Mine MIDI"]}
surface: {knob: {cc: 1}, play: {note: 5}, cue: {note: 6}, spare: {cc: 9}}
bindings:
  # pick up
  knob: {to: /channel/1/fader, takeover: pickup}
  play: /deck/1/play
  cue: {to: /deck/1/keylock, when: {/deck/1/slip: true}}
""", encoding="utf-8")
    await stage.desk.do("/system/profiles/reload", [])
    mine = await plugged(stage, "mine", "Mine MIDI 1")
    entry = stage.box.record["binding"][0]["flags"][1, 0, 0xB0 - 0x80, 1:2]  # of its knob
    assert await until(lambda: stage.get("/device/1/name") == "mine:Mine MIDI 1")
    assert not (entry & BindingFlag.TELL).any()
    monitor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "appliance", "monitor", "mine", "--json", "--data", str(stage.box.data), cwd=ROOT,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert await until(lambda: bool((entry & BindingFlag.TELL).any()), 20.0)
    stage.desk.set_now("/channel/1/fader", 0.9)
    await asyncio.sleep(0.1)
    sent = [(0xB0, 1, 20), (0x90, 5, 127), (0x90, 6, 127), (0xB0, 9, 3), (0xB0, 77, 40), (0xB0, 1, 127)]
    lines: list[dict[str, Any]] = []
    assert monitor.stdout is not None
    for message in sent:
        mine.send(*message)
        lines.append(json.loads(await asyncio.wait_for(monitor.stdout.readline(), 10)))
    assert [line["data"] for line in lines] == [" ".join(f"{byte:02X}" for byte in message) for message in sent]
    assert [line["control"] for line in lines] == ["knob", "play", "cue", "spare", "", "knob"]
    waits, refused, condition, spare, unmapped, taken = lines
    assert (waits["results"][0]["state"], waits["line"], waits["results"][0]["value"]) == ("waits", 7, 0.9)
    assert "move it up" in waits["results"][0]["why"]
    assert (refused["results"][0]["state"], refused["binding"], refused["line"]) == ("refused", "play", 8)
    assert condition["note"] == "condition not true: /deck/1/slip is false, the binding wants true"
    assert spare["note"] == "named in the surface, bound to nothing"
    assert unmapped["proposal"] == "knob: {cc: 77}"
    assert (taken["results"], taken["file"]) == (
        [{"address": "/channel/1/fader", "value": 1.0, "state": "done", "why": ""}], str(own))
    monitor.terminate()
    await monitor.wait()
    assert await until(lambda: not (entry & BindingFlag.TELL).any())


@pytest.mark.asyncio
async def test_layers_are_seen_and_set_by_http_and_osc(stage: Stage) -> None:
    korg = await plugged(stage, "korg", "nanoKONTROL2 MIDI 1")
    assert await until(lambda: stage.get("/device/1/layers") == {"shift": 0})
    status, answer = await stage.http("POST", "/device/1/layer", ["shift", 1])
    assert status == 200 and stage.get("/device/1/layers") == {"shift": 1}, answer
    trim = stage.get("/channel/1/trim")
    assert await swept(korg, 0, 0, lambda: stage.get("/channel/1/trim") < trim)
    assert stage.get("/channel/1/fader") != 0.0
    await stage.osc("/device/1/layer", "si", "shift", 0)
    assert await until(lambda: stage.get("/device/1/layers") == {"shift": 0})
    assert await swept(korg, 0, 0, lambda: stage.get("/channel/1/fader") == 0.0)
    assert "fader 1" not in [one["control"] for one in await stage.desk.do("/device/1/takeover", [])]
    stage.desk.set_now("/channel/1/fader", 0.5)
    waiting = {one["control"]: one for one in await stage.desk.do("/device/1/takeover", [])}
    assert waiting["fader 1"] == {"control": "fader 1", "address": "/channel/1/fader", "at": 0.0, "value": 0.5}
    assert (await stage.http("POST", "/device/1/layer", ["shift", 7]))[0] == 422
    assert (await stage.http("POST", "/device/1/layer", ["swift", 1]))[0] == 422
    assert (await stage.http("POST", "/device/3/layer", ["shift", 1]))[0] == 503
    korg.unplug()
    assert await until(lambda: stage.get("/device/1/name") == "")
