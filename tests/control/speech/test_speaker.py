# SPDX-License-Identifier: GPL-3.0-or-later
"""A real box that speaks: engine and control as processes, played over the hub; espeak-ng and programs in its place."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.bus.binding import HELD, BindingFlag, BindingKind, Bindings
from appliance.bus.clips import ClipState
from appliance.bus.hub import HubClient
from appliance.config import Config
from appliance.errors import ApplianceError
from appliance.nodes import NAMESPACE
from tests.control.core.conftest import Rig

pytestmark = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


class Listener:
    """What a box says, in order."""

    def __init__(self, box: Rig, hub: HubClient) -> None:
        self.box, self.said, self.states = box, list[str](), list[bool]()
        hub.watch("/voice/text", lambda _address, text: self.said.append(text))
        hub.watch("/voice/speaking", lambda _address, speaking: self.states.append(speaking))

    @property
    def speaking(self) -> bool:
        return bool(self.box.box.telemetry.snapshot()["voice"]["speaking"])

    async def hears(self, text: str) -> None:
        await Rig.until(lambda: text in self.said, f"{text!r} to be said (said: {self.said})", 30)

    async def silence(self) -> None:
        await Rig.until(lambda: not self.speaking, "silence", 10)


def spoken_clips(rig: Rig) -> int:
    return int((rig.box.clips.table["state"] != ClipState.FREE).sum())


async def test_it_says_what_it_is_told_and_lets_go_of_it(own: Rig) -> None:
    async with own.client() as hub:
        listener = Listener(own, hub)
        text = "hello pad 3, this takes a second or two"
        assert await hub.do("/voice/say", "hello", "pad_3, this takes a second or two") == {"text": text}
        await listener.hears(text)
        await Rig.until(lambda: listener.states[-2:] == [True, False], "the engine to speak, and to end")
        await Rig.until(lambda: spoken_clips(own) == 0, "the clip to be freed", 15)
        await hub.do("/voice/repeat")
        await Rig.until(lambda: listener.states.count(True) == 2, "it again")
        await hub.do("/voice/stop")
        await listener.silence()
        assert listener.said.count(text) == 1, "the same text is no change"


async def test_the_status(own: Rig) -> None:
    async with own.client() as hub:
        listener = Listener(own, hub)
        await hub.set("/clock/bpm", 124)
        await hub.set("/gen/key", "F# minor")
        assert await hub.do("/voice/status") == {"text": "techno minimal, F sharp minor, 1 24, nothing ready"}
        await listener.hears("techno minimal, F sharp minor, 1 24, nothing ready")


async def test_levels(own: Rig, tmp_path: Path) -> None:
    loop = Rig.write_loop(tmp_path / "dusty_drums.wav")
    async with own.client() as hub:
        listener = Listener(own, hub)
        await hub.do("/pad/3/load", str(loop))
        with pytest.raises(ApplianceError, match="no such file"):
            await hub.do("/pad/4/load", "/nowhere/at_all.wav")
        await hub.set("/voice/level", "all")
        await hub.do("/pad/5/load", str(loop))
        await listener.hears("pad 5: dusty drums")
        await hub.set("/voice/level", "off")
        await listener.silence()
        with pytest.raises(ApplianceError, match="the voice is off"):
            await hub.do("/voice/say", "hello")
        loop.unlink()
        await own.said("gone from the disk")
        assert not listener.speaking
        await hub.set("/voice/level", "faults")
        loop.write_bytes(b"another one")
        await own.said("another file now")
        await Rig.until(lambda: len(listener.said) > 1, "the fault to be said", 15)
        assert listener.said[0] == "pad 5: dusty drums", "of pad 3 nothing was said"
        assert listener.said[1].startswith("dusty drums")


async def test_a_hundred_texts_at_once(own: Rig) -> None:
    """The last one is heard; what was never begun is dropped, and nothing is left behind."""
    async with own.client() as hub:
        listener = Listener(own, hub)
        for number in range(100):
            await hub.do("/voice/say", f"text number {number}")
        await listener.hears("text number 99")
        assert len(listener.said) < 50
        await listener.silence()
        await Rig.until(lambda: spoken_clips(own) == 0, "the clips to be freed", 15)
        assert not [line for line in own.log().splitlines() if "Traceback" in line]


@pytest.fixture
def program(config: Config, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """What the box takes for espeak-ng: a script (the test's parameter), or nothing."""
    path = tmp_path / "speaks"
    if request.param:
        path.write_text(f"#!/bin/sh\n{request.param}\n")
        path.chmod(0o755)
    config.voice.program = str(path)
    return path


@pytest.mark.parametrize("program", [""], indirect=True)
async def test_without_a_voice_all_else_works_and_it_says_so_once(program: Path, own: Rig, tmp_path: Path) -> None:
    loop = Rig.write_loop(tmp_path / "loop.wav")
    async with own.client() as hub:
        await hub.set("/voice/level", "all")
        for pad in (1, 2, 3):
            await hub.do(f"/pad/{pad}/load", str(loop))
        await own.said("the voice is silent")
        with pytest.raises(ApplianceError, match="is not installed; apt-get install espeak-ng"):
            await hub.do("/voice/say", "hello")
        await hub.do("/pad/1/trigger")
        await Rig.until(lambda: own.pad(0)["sounding"], "the pad to play")
        assert len([line for line in own.messages if "the voice" in line]) == 1
        program.symlink_to(shutil.which("espeak-ng") or "")
        listener = Listener(own, hub)
        await hub.do("/voice/say", "now it is there")
        await listener.hears("now it is there")


@pytest.mark.parametrize("program", ["exec sleep 1000"], indirect=True)
async def test_one_that_hangs_is_killed_and_holds_nothing_up(program: Path, own: Rig) -> None:
    async with own.client() as hub:
        await hub.do("/voice/say", "hello")
        began = time.monotonic()
        await hub.do("/pads/stop")
        await hub.set("/clock/bpm", 130)
        assert "130" in str(await hub.get("/clock/bpm"))
        await own.said("was ended after 5 s without a result")
        assert time.monotonic() - began > 3
        listener = Listener(own, hub)
        program.unlink()
        program.symlink_to(shutil.which("espeak-ng") or "")
        await hub.do("/voice/say", "on it goes")
        await listener.hears("on it goes")


async def test_a_finger_that_rests_on_a_button_is_told_its_name(own: Rig, tmp_path: Path) -> None:
    """The engine's own notes of what is down, as a device's key leaves them there."""
    loop = Rig.write_loop(tmp_path / "dusty_drums.wav")
    trigger = NAMESPACE.command("pad", "trigger")
    table, pressed = Bindings(own.box.record["binding"][0]), own.box.record["midi_pressed"][0]
    async with own.client() as hub:
        listener = Listener(own, hub)
        await hub.do("/pad/7/load", str(loop))
        await hub.set("/voice/level", "all")
        await Rig.until(lambda: int(own.box.record["binding"][0]["kind"].max()) > 0, "control to have written its table", 30)
        table.bind(3, 0x95, 40, BindingKind.COMMAND, code=trigger, index=6, flags=BindingFlag.BANK)
        table.bind(3, 0x95, 41, BindingKind.TOGGLE, index=NAMESPACE.find("/deck/2/keylock").slot)
        for note, text in ((40, "pad 7: dusty drums"), (41, "deck 2 keylock")):
            pressed[3, 5, note] = HELD
            await listener.hears(text)
            pressed[3, 5, note] = 0


async def test_control_may_die_while_it_speaks(own: Rig) -> None:
    """The engine says it to its end; the next control frees the clip."""
    async with own.client() as hub:
        listener = Listener(own, hub)
        await hub.do("/voice/say", "this is a sentence that takes a while to be said")
        await Rig.until(lambda: listener.speaking, "the engine to speak", 20)
        own.kill("control", signal.SIGKILL)
        assert listener.speaking
        await listener.silence()
        await own.back(hub)
        await Rig.until(lambda: spoken_clips(own) == 0, "the clip to be freed", 30)
        await hub.do("/voice/say", "again")
        await listener.hears("again")


async def test_what_it_is_asked_by_osc_and_a_button(own: Rig) -> None:
    async with own.client() as hub:
        listener = Listener(own, hub)
        assert await hub.do("/voice/status", 0.0) is None, "a button let go"
        assert await hub.do("/voice/stop", 0.0) is None
        with pytest.raises(ApplianceError, match="nothing has been said yet"):
            await hub.do("/voice/repeat")
        for words in ([], [""], ["()"], [None]):
            with pytest.raises(ApplianceError, match=r"takes the words to say|needs an argument"):
                await _say(hub, words)
        assert listener.said == []


async def _say(hub: HubClient, words: list[Any]) -> Any:
    return await hub.do("/voice/say", *words)
