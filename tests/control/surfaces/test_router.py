# SPDX-License-Identifier: GPL-3.0-or-later
"""What control does with messages that the engine's table cannot say: encoders, curves, choices, requests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.bus.box import Box
from appliance.control.desk import Desk
from appliance.control.mapping.check import load_profile
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import ticks
from appliance.control.mapping.library import shipped_folder
from appliance.control.mapping.profile import Encoding
from appliance.control.midi.hand import Hand
from appliance.control.midi.router import Router
from appliance.errors import BadValue

PROFILE = """\
profile: 1
name: Test
device: {match: [test]}
surface:
  knob: {cc: [1..3, 6..9]}
  turn: {cc: 4, encoder: offset}
  ring: {cc: 5, encoder: sign}
  key: {note: 1..9}
  wheel: {bend: true}
bindings:
  knob 1: {to: /channel/1/pan, curve: centre}
  knob 2: {to: /channel/1/fader, curve: square}
  knob 3: /clock/metre
  turn: {to: /clock/bpm, step: 0.01}
  ring: {to: /clock/metre, step: 0.1}
  knob 4: {to: /visuals/speed, range: [4, 0]}
  knob 5: /pads/bank
  knob 6: /channel/1/mute
  key 1: {to: /pad/2/trigger, velocity: false}
  key 2: {to: /visuals/blackout, mode: toggle}
  key 3: {to: /channel/1/low, mode: hold, range: [0, -60]}
  key 4: {to: /session/save, value: [tonight]}
  key 5: {to: /deck/1/load, value: nothing.wav}
  wheel: /deck/1/rate
"""


GENERIC = load_profile(shipped_folder() / "generic.yaml")


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    path = tmp_path / "test.yaml"
    path.write_text(PROFILE, encoding="utf-8")
    return load_profile(path)


@pytest.mark.parametrize(("encoding", "up", "down"), [
    ("twos", (1, 63), (127, 64)), ("offset", (65, 127), (63, 0)), ("sign", (1, 63), (65, 127))])
def test_encodings(encoding: str, up: tuple[int, int], down: tuple[int, int]) -> None:
    assert [ticks(Encoding(encoding), data) for data in up] == [1, 63]
    assert ticks(Encoding(encoding), down[0]) == -1
    assert ticks(Encoding(encoding), down[1]) in (-63, -64)


@pytest.mark.asyncio
async def test_values(desk: Desk, compiled: Compiled) -> None:
    hand = Hand(compiled, Router(desk))
    for message, address, value in (
        ((0xB0, 1, 64), "/channel/1/pan", 0.0), ((0xB0, 1, 0), "/channel/1/pan", -1.0), ((0xB0, 1, 127), "/channel/1/pan", 1.0),
        ((0xB0, 2, 64), "/channel/1/fader", (64 / 127) ** 2),
        ((0xB0, 3, 0), "/clock/metre", "2/4"), ((0xB0, 3, 64), "/clock/metre", "5/4"), ((0xB0, 3, 127), "/clock/metre", "7/8"),
        ((0xB0, 6, 0), "/visuals/speed", 4.0), ((0xB0, 6, 127), "/visuals/speed", 0.0),
        ((0xB0, 7, 127), "/pads/bank", 8), ((0xB0, 7, 0), "/pads/bank", 1),
        ((0xB0, 8, 64), "/channel/1/mute", True), ((0xB0, 8, 63), "/channel/1/mute", False),
        ((0x90, 2, 1), "/visuals/blackout", True), ((0x80, 2, 64), "/visuals/blackout", True),
        ((0x90, 2, 1), "/visuals/blackout", False),
        ((0x90, 3, 1), "/channel/1/low", -60.0), ((0x90, 3, 0), "/channel/1/low", 0.0),
        ((0xE0, 0, 64), "/deck/1/rate", 0.5 + 8192 / 16383),
    ):
        hand.take(*message)
        assert desk.get_now(address) == pytest.approx(value), message
    before = desk.box.values.read_vector()
    hand.take(0x90, 100, 1)
    assert (desk.box.values.read_vector() == before).all()


@pytest.mark.asyncio
async def test_encoders_move_whole_things_after_enough_ticks_and_stop_at_the_ends(desk: Desk, compiled: Compiled) -> None:
    hand = Hand(compiled, Router(desk))
    desk.set_now("/clock/bpm", 120)
    hand.take(0xB0, 4, 66)
    up = desk.get_now("/clock/bpm")
    hand.take(0xB0, 4, 62)
    assert up > 120
    assert desk.get_now("/clock/bpm") == pytest.approx(120)
    desk.set_now("/clock/metre", "2/4")
    seen = []
    for _ in range(14):
        hand.take(0xB0, 5, 1)
        seen.append(desk.get_now("/clock/metre"))
    assert list(dict.fromkeys(seen)) == ["2/4", "3/4", "4/4", "5/4", "6/8", "7/8"]
    hand.take(0xB0, 5, 127)
    assert desk.get_now("/clock/metre") == "2/4"


@pytest.mark.asyncio
async def test_requests_and_what_becomes_of_a_refusal(desk: Desk, compiled: Compiled) -> None:
    done: list[Any] = []
    refused: list[Any] = []
    hand = Hand(compiled, Router(desk), refused.append)

    async def save(address: Any, args: list[Any]) -> None:
        done.append(args)

    async def load(address: Any, args: list[Any]) -> None:
        raise BadValue(f"{args[0]}: there is no such file")

    desk.register("/session/save", save)
    desk.register("/deck/1/load", load)
    hand.take(0x90, 4, 100)
    hand.take(0x80, 4, 0)
    hand.take(0x90, 5, 100)
    await asyncio.sleep(0.05)
    assert done == [["tonight"]]
    assert refused == [(0x90, 5)]
    assert desk.get_now("/system/message") == "nothing.wav: there is no such file"
    head = desk.box.record["command_head"]
    hand.take(0x90, 1, 3)
    hand.take(0x90, 1, 0)
    assert [float(row["a"]) for row in desk.box.record["commands"][0][: int(head[0])]] == [1.0, 0.0]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0x80, 0xEF), st.integers(0, 127), st.integers(0, 127)), max_size=8))
def test_any_messages_leave_values_in_their_ranges(box: Box, compiled: Compiled, messages: list[tuple[int, int, int]]) -> None:
    async def play() -> None:
        desk = Desk(box)
        router = Router(desk)
        for profile in (compiled, GENERIC):
            hand = Hand(profile, router)
            for message in messages:
                hand.take(*message)
        router.stop()
        box.record["command_head"] = 0
        for slot, address in desk.box.namespace.by_slot.items():
            number = float(box.values.vector[slot])
            address.node.check(address.node.from_slot(number), address.address)

    asyncio.run(play())


LIVE = """\
profile: 1
name: Live
device: {match: [live]}
surface:
  knob: {cc: 1..3}
  key: {note: 1..3}
bindings:
  knob 1: /gen/live/density
  knob 2: /gen/live/prompt/2/weight
  knob 3: /gen/live/key
  key 1: {to: /gen/live/on, mode: toggle}
  key 2: /gen/live/drop
  key 3: {to: /gen/live/capture, value: [4, /pad/3]}
"""


@pytest.mark.asyncio
async def test_the_live_stream_is_steered_by_hand(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "live.yaml").write_text(LIVE, encoding="utf-8")
    asked: list[tuple[str, list[Any]]] = []

    async def call(address: str, args: list[Any], timeout_s: float = 30.0) -> None:
        asked.append((address, args))

    monkeypatch.setattr(desk, "call", call)
    hand = Hand(load_profile(tmp_path / "live.yaml"), Router(desk))
    for message in ((0xB0, 1, 127), (0xB0, 2, 0), (0xB0, 3, 0), (0x90, 1, 1), (0x90, 2, 1), (0x80, 2, 0), (0x90, 3, 1)):
        hand.take(*message)
    await asyncio.sleep(0)
    values = desk.box.values
    assert [values.get(f"/gen/live/{name}") for name in ("density", "prompt/2/weight", "key", "on")] == [1.0, 0.0, "box", True]
    assert [address for address, _ in asked][:2] == ["/gen/live/drop", "/gen/live/capture"] or len(asked) == 3
    assert ("/gen/live/capture", [4, "/pad/3"]) in asked
