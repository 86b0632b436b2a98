# SPDX-License-Identifier: GPL-3.0-or-later
"""What the same control means at different times: layers, gestures, conditions, take-over; and controls of more than 7 bits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.bus.binding import BindingFlag, BindingKind
from appliance.control.desk import Desk
from appliance.control.mapping.check import load_profile
from appliance.control.midi.hand import Hand
from appliance.control.midi.reading import obey
from appliance.control.midi.router import Router
from appliance.control.midi.status import status
from appliance.nodes import NAMESPACE

HEAD = """\
profile: 1
name: Test
device: {match: [test]}
"""
FADER, FILTER = "/channel/1/fader", "/channel/1/filter"
Make = Callable[[str], Hand]


@pytest.fixture
def make(desk: Desk, tmp_path: Path) -> Make:
    """A hand on a device with this profile; its ``sent`` has what was written to the device."""

    def made(text: str) -> Hand:
        path = tmp_path / "test.yaml"
        path.write_text(HEAD + text, encoding="utf-8")
        hand = Hand(load_profile(path), Router(desk), send=sent.append)
        return hand

    sent: list[bytes] = []
    desk.sent = sent  # type: ignore[attr-defined]
    return made


LAYERS = """\
surface: {shift: {note: 1}, fx: {note: 2}, side: {note: 10..11}, knob: {cc: 1..2}, key: {note: 20..23}}
layers:
  shift: shift
  fx: {toggle: fx}
  deck: {choose: side, values: [1, 3]}
bindings:
  knob 1: {to: "/deck/{deck}/rate", curve: centre, takeover: jump}
  shift + knob 1: {to: /clock/metre}
  shift + fx + knob 1: {to: /pads/bank}
  key 1: {to: /visuals/blackout, mode: hold}
  shift + key 1: {to: /visuals/freeze, mode: hold}
"""


@pytest.mark.asyncio
async def test_the_layer_with_most_words_counts(desk: Desk, make: Make) -> None:
    hand = make(LAYERS)
    hand.take(0xB0, 1, 127)
    assert desk.get_now("/deck/1/rate") == pytest.approx(1.5)
    hand.take(0x90, 11, 1)  # the other side
    hand.take(0xB0, 1, 0)
    assert (desk.get_now("/deck/1/rate"), desk.get_now("/deck/3/rate")) == (pytest.approx(1.5), pytest.approx(0.5))
    hand.take(0x90, 1, 1)
    hand.take(0xB0, 1, 127)
    assert desk.get_now("/clock/metre") == "7/8"
    hand.take(0x90, 2, 1)
    hand.take(0x80, 2, 0)  # fx stays on
    hand.take(0xB0, 1, 127)
    assert desk.get_now("/pads/bank") == 8
    hand.take(0x80, 1, 0)
    hand.take(0xB0, 1, 127)  # with fx alone it is what it was without
    assert desk.get_now("/deck/3/rate") == pytest.approx(1.5)
    assert hand.layers == {"shift": 0, "fx": 1, "deck": 3}


@pytest.mark.asyncio
async def test_a_release_belongs_to_its_press_whatever_has_become_of_the_layer(desk: Desk, make: Make) -> None:
    hand = make(LAYERS)
    hand.take(0x90, 1, 1)
    hand.take(0x90, 20, 1)
    hand.take(0x80, 1, 0)
    assert desk.get_now("/visuals/freeze") is True
    hand.take(0x80, 20, 0)
    assert (desk.get_now("/visuals/freeze"), desk.get_now("/visuals/blackout")) == (False, False)


@pytest.mark.asyncio
async def test_a_device_that_goes_lets_go(desk: Desk, make: Make) -> None:
    hand = make(LAYERS)
    hand.take(0x90, 20, 1)
    assert desk.get_now("/visuals/blackout") is True
    hand.leave()
    assert desk.get_now("/visuals/blackout") is False


@pytest.mark.asyncio
async def test_a_release_belongs_to_the_bank_of_its_press(desk: Desk, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = make("surface: {key: {note: 20..23}}\nbindings: {key: {to: /pad/N/trigger, velocity: false}}\n")
    done: list[tuple[str, Any]] = []
    monkeypatch.setattr(desk, "do_now", lambda found, args, frame=0: done.append((str(found), args[0])))
    hand.take(0x90, 21, 100)
    desk.set_now("/pads/bank", 3)
    hand.take(0x80, 21, 0)
    assert done == [("/bank/1/pad/2/trigger", 1.0), ("/bank/1/pad/2/trigger", 0.0)]


@pytest.mark.asyncio
async def test_hold_and_double(desk: Desk, make: Make) -> None:
    hand = make("""\
surface: {key: {note: 20..23}}
bindings:
  key 1: {to: /visuals/freeze, mode: toggle}
  key 1 held 0.15: {to: /visuals/blackout, mode: toggle}
  key 1 double: {to: /pads/bank, value: 5}
""")
    hand.take(0x90, 20, 1)
    assert desk.get_now("/visuals/freeze") is True
    assert desk.get_now("/visuals/blackout") is False
    await asyncio.sleep(0.3)
    assert desk.get_now("/visuals/blackout") is True
    hand.take(0x80, 20, 0)
    await asyncio.sleep(0.4)
    hand.take(0x90, 20, 1)
    hand.take(0x80, 20, 0)
    assert desk.get_now("/pads/bank") == 1
    hand.take(0x90, 20, 1)
    hand.take(0x80, 20, 0)
    assert desk.get_now("/pads/bank") == 5
    await asyncio.sleep(0.3)
    assert desk.get_now("/visuals/blackout") is True, "let go in time: not held"


@pytest.mark.asyncio
async def test_several_targets_conditions_and_messages(desk: Desk, make: Make) -> None:
    hand = make("""\
surface: {knob: {cc: 1..2}, key: {note: 20..23}}
bindings:
  knob 1: {to: [/channel/1/pan, {to: /channel/2/pan, range: [1, -1]}]}
  key 1:
    - {to: /pads/bank, value: 3, when: {/visuals/freeze: true}}
    - {to: /pads/bank, value: 4}
  key N: /clock/tap
  knob 2: {midi: B0 10 vv}
  key 2: {midi: 90 05 7F, mode: press}
""".replace("  key N: /clock/tap\n", ""))
    hand.take(0xB0, 1, 127)
    assert (desk.get_now("/channel/1/pan"), desk.get_now("/channel/2/pan")) == (1.0, -1.0)
    hand.take(0x90, 20, 1)
    assert desk.get_now("/pads/bank") == 4
    desk.set_now("/visuals/freeze", True)
    hand.take(0x80, 20, 0)
    hand.take(0x90, 20, 1)
    assert desk.get_now("/pads/bank") == 3
    for message in ((0xB0, 2, 99), (0x90, 21, 64), (0x80, 21, 0)):
        hand.take(*message)
    assert desk.sent == [bytes((0xB0, 0x10, 99)), bytes((0x90, 5, 0x7F))]  # type: ignore[attr-defined]


@pytest.mark.asyncio
async def test_a_press_may_add(desk: Desk, make: Make) -> None:
    hand = make("""\
surface: {key: {note: 20..23}}
bindings:
  key 1: {to: /deck/1/key, mode: step, value: -5}
  key 2: {to: /pads/bank, mode: step, value: 1}
""")
    for note in (20, 20, 20, 21, 21):
        hand.take(0x90, note, 1)
        hand.take(0x80, note, 0)
    assert (desk.get_now("/deck/1/key"), desk.get_now("/pads/bank")) == (-12.0, 3), "and stops at the end"


WHOLE = """\
surface:
  coarse first: {cc14: 1}
  fine first: {cc14: 2, fine_first: true}
  far: {cc14: 3, fine: 99, channel: 2}
  nrpn: {nrpn: [1000, 5]}
  rpn: {rpn: 0}
  bend: {bend: true, channel: [3, 4]}
  pressure: {pressure: true, channel: 5}
  poly: {poly: 60}
  program: {program: 4..5}
bindings:
  coarse first: {to: /channel/1/pan, takeover: jump}
  fine first: {to: /channel/2/pan, takeover: jump}
  far: {to: /channel/3/pan}
  nrpn: {to: /channel/N+3/pan}
  rpn: {to: /channel/6/pan}
  bend: {to: /channel/N+6/pan}
  pressure: {to: /channel/1/fader}
  poly: {to: /channel/2/fader}
  program: {to: /pads/bank, value: N}
"""


def place(value: float) -> int:
    """A pan as a number of 14 bits."""
    return round((value + 1) / 2 * 16383)


@pytest.mark.asyncio
async def test_controls_of_more_than_seven_bits_and_other_messages(desk: Desk, make: Make) -> None:
    hand = make(WHOLE)
    for messages, channel, whole in (
        ([(0xB0, 1, 100), (0xB0, 33, 5)], 1, 100 << 7 | 5),
        ([(0xB0, 34, 7), (0xB0, 2, 50)], 2, 50 << 7 | 7),
        ([(0xB1, 3, 20), (0xB1, 99, 1)], 3, 20 << 7 | 1),
        ([(0xB0, 99, 1000 >> 7), (0xB0, 98, 1000 & 127), (0xB0, 6, 33), (0xB0, 38, 44)], 4, 33 << 7 | 44),
        ([(0xB0, 98, 5), (0xB0, 99, 0), (0xB0, 6, 10), (0xB0, 38, 1)], 5, 10 << 7 | 1),
        ([(0xB0, 101, 0), (0xB0, 100, 0), (0xB0, 6, 64), (0xB0, 38, 2)], 6, 64 << 7 | 2),
        ([(0xB0, 96, 0), (0xB0, 96, 0), (0xB0, 97, 0)], 6, 64 << 7 | 3),
        ([(0xE2, 3, 4)], 7, 4 << 7 | 3), ([(0xE3, 127, 127)], 8, 16383),
    ):
        for message in messages:
            hand.take(*message)
        assert place(desk.get_now(f"/channel/{channel}/pan")) == whole, messages
    hand.take(0xB0, 6, 99)  # the first half alone says nothing yet
    assert place(desk.get_now("/channel/6/pan")) == 64 << 7 | 3
    hand.take(0xD4, 64, 0)
    hand.take(0xA0, 60, 32)
    assert desk.get_now("/channel/1/fader") == pytest.approx(64 / 127)
    assert desk.get_now("/channel/2/fader") == pytest.approx(32 / 127)
    hand.take(0xC0, 5, 0)
    assert desk.get_now("/pads/bank") == 2


@pytest.mark.asyncio
async def test_a_device_that_sends_coarse_halves_alone_is_believed(desk: Desk, make: Make) -> None:
    hand = make(WHOLE)
    for value in (10, 20, 30):
        hand.take(0xB0, 1, value)
    assert place(desk.get_now("/channel/1/pan")) == 30 << 7


@pytest.mark.parametrize(("takeover", "steps"), [
    ("pickup", [(100, 0.5), (80, 0.5), (60, 60 / 127), (70, 70 / 127)]),  # nothing until it has passed the middle
    ("scale", [(100, 0.5), (50, 0.25), (25, 0.125), (127, 1.0)]),
    ("jump", [(100, 100 / 127)]),
])
@pytest.mark.asyncio
async def test_a_control_that_stands_elsewhere(desk: Desk, make: Make, takeover: str, steps: list[tuple[int, float]]) -> None:
    hand = make(f"surface: {{knob: {{cc: 1..2}}}}\nbindings: {{knob 1: {{to: [{{to: {FADER}, takeover: {takeover}}}]}}}}\n")
    entry = hand.take(0xB0, 3, 0)
    assert entry is None
    desk.set_now(FADER, 0.5)
    for data, value in steps:
        feed(desk, hand, 0xB0, 1, data)
        assert desk.get_now(FADER) == pytest.approx(value, abs=1e-6), data


def feed(desk: Desk, hand: Hand, status: int, data1: int, data2: int, last: dict[Any, int] = {}) -> None:
    """As the reading of a device that JACK does not own does it."""
    entry = hand.take(status, data1, data2)
    obey(desk, entry, status, data2, last.get((id(hand), status, data1), -1))
    last[id(hand), status, data1] = data2


@pytest.mark.asyncio
async def test_it_is_picked_up_at_the_end_of_its_travel_and_lost_when_somebody_else_moves_it(desk: Desk, make: Make) -> None:
    hand = make(f"surface: {{knob: {{cc: 1..2}}}}\nbindings: {{knob 1: {{to: {FADER}, range: [0, 0.5], takeover: pickup}}}}\n")
    desk.set_now(FADER, 0.9)  # beyond the end of this control's range
    feed(desk, hand, 0xB0, 1, 100)
    assert desk.get_now(FADER) == pytest.approx(0.9)
    feed(desk, hand, 0xB0, 1, 127)
    assert desk.get_now(FADER) == pytest.approx(0.5)
    feed(desk, hand, 0xB0, 1, 120)
    assert desk.get_now(FADER) == pytest.approx(0.5 * 120 / 127)
    desk.set_now(FADER, 0.1)  # on the tablet
    feed(desk, hand, 0xB0, 1, 110)
    assert desk.get_now(FADER) == pytest.approx(0.1)


def test_the_engines_planes_hold_what_can_be_plain(make: Make) -> None:
    compiled = make(LAYERS).compiled
    assert len(compiled.planes) == 8
    rate = [NAMESPACE.find(f"/deck/{deck}/rate").slot for deck in (1, 3)]
    assert [plane.get((0xB0, 1)) for plane in compiled.planes] == [None] * 8, "a curve that the table does not have"
    text = LAYERS.replace(", curve: centre", "").replace("{to: /clock/metre}", FILTER)
    compiled = make(text).compiled
    found = [plane.get((0xB0, 1)) for plane in compiled.planes]
    shift, fx = NAMESPACE.find(FILTER).slot, None
    assert [entry and entry.index for entry in found] == [rate[0], shift, rate[0], fx, rate[1], shift, rate[1], fx]
    assert found[1] and found[1].flags & BindingFlag.PICKUP, "it moves another thing in each layer"
    hold = compiled.planes[0][0x90, 1]
    assert (hold.kind, hold.index, hold.flags) == (BindingKind.LAYER, 1, BindingFlag.TELL)


@pytest.mark.asyncio
async def test_a_button_that_is_held_tells_what_it_is(desk: Desk, make: Make) -> None:
    """Of what control does; the engine's own table tells the rest."""
    hand, rested = make(LAYERS), list[str]()
    desk.rested = rested.append
    hand.take(0x90, 20, 100)
    hand.take(0x80, 20, 0)  # let go at once
    hand.take(0x90, 1, 1)
    hand.take(0x90, 20, 100)
    for _ in range(300):
        if rested:
            break
        await asyncio.sleep(0.02)
    hand.take(0x80, 20, 0)
    assert rested == ["/visuals/freeze"]


ROLES = """\
surface:
  {shift: {note: 1}, pad: {note: 36..39}, play: {note: 11, channel: 2..3, by_channel: true}, side: {note: 2}, long: {note: 5}}
layers: {shift: shift, deck: {cycle: side, values: [1, 3]}}
roles: {pad: /pad/N, play 1: "/deck/{deck}", play 2: /deck/2}
bindings:
  shift + pad 4: /pad/4/cut
  long held 3: {to: /panic/mute, mode: toggle}
"""


@pytest.mark.asyncio
async def test_a_role_brings_the_gestures_that_are_the_same_everywhere(desk: Desk, make: Make) -> None:
    hand = make(ROLES)
    trigger, cut = (NAMESPACE.command("pad", name) for name in ("trigger", "cut"))
    plain, shifted = hand.compiled.planes[:2]
    assert [plain[0x90, 36 + n].code for n in range(4)] == [trigger] * 4
    assert all(plain[0x90, 36 + n].flags & BindingFlag.TELL for n in range(4)), "the engine plays and tells: it may be held"
    assert [(0x90, 36 + n) in shifted for n in range(3)] == [False] * 3, "the next candidate is generation's"
    rules = [rule for rule in hand.compiled.rules["pad", 1] if rule.layers and rule.after_s < 1]
    assert [rule.actions[0].address for rule in rules] == ["/pad/1/new"]
    assert shifted[0x90, 39].code == cut, "what the profile binds itself counts"
    assert [plain[first, 11].index for first in (0x91, 0x92)] == [0, 1]
    assert plain[0x92, 11].code == NAMESPACE.command("deck", "play")
    hand.take(0x90, 2, 127)  # the left half plays deck 3
    hand.take(0x80, 2, 0)
    begin = time.monotonic()
    hand.take(0x90, 37, 127)
    hand.take(0x91, 11, 127)
    assert desk.get_now("/system/focus") == ""
    while not desk.get_now("/system/focus") and time.monotonic() < begin + 5:
        await asyncio.sleep(0.01)
    assert time.monotonic() - begin >= 0.6
    await asyncio.sleep(0.05)
    assert desk.get_now("/system/focus") == "/deck/3"
    hand.take(0x80, 37, 0)
    hand.take(0x81, 11, 0)
    assert [shifted[first, 11].kind for first in (0x91, 0x92)] == [BindingKind.TOGGLE] * 2, "with shift it is sync"


@pytest.mark.asyncio
async def test_shift_and_play_held_ask_how_the_box_is(desk: Desk, make: Make) -> None:
    hand = make(ROLES)
    hand.take(0x92, 11, 127)
    hand.take(0x90, 1, 127)
    assert not hand.asks()
    begin = time.monotonic()
    while not hand.asks() and time.monotonic() < begin + 5:
        await asyncio.sleep(0.02)
    assert time.monotonic() - begin >= 0.5
    shown = {number: status(desk, number) for number in range(1, 17)}
    assert shown[1] == (1.0, "green")  # no load
    assert [shown[number][0] for number in (2, 3, 4)] == [0, 0, 0]
    assert shown[5] == (1.0, "red")  # nobody has told that there is room
    assert [shown[number][0] for number in range(9, 17)] == [0] * 8
    desk.box.record["telemetry"]["system"]["load_pct"] = 80
    desk.publish("/record/room", 5000.0)
    desk.publish("/gen/running", 1)
    desk.publish("/gen/queued", 1)
    desk.box.record["telemetry"]["system"]["xruns"] = 2
    desk.publish("/system/processes", [{"name": "visuals", "restarts": 1}])
    shown = {number: status(desk, number) for number in range(1, 17)}
    assert [shown[number] for number in range(1, 5)] == [(1.0, "red")] * 4
    assert [shown[number] for number in (5, 6, 7)] == [(1.0, "blue"), (1.0, "blue"), (0.0, "white")]
    assert [shown[number][0] for number in (9, 10, 11)] == [1, 1, 0]
    assert [shown[number][0] for number in (13, 14, 15, 16)] == [0, 1, 1, 0]
    hand.take(0x82, 11, 0)
    assert not hand.asks()


@pytest.mark.asyncio
async def test_a_hold_that_ends_something_tells_how_far_it_is_and_can_be_let_go(desk: Desk, make: Make) -> None:
    hand = make(ROLES)
    assert hand.held((0x90, 5)) is None
    hand.take(0x90, 5, 127)
    await asyncio.sleep(0.3)
    share = hand.held((0x90, 5))
    assert share is not None
    assert 0.08 < share < 1
    assert hand.held((0x90, 36)) is None
    hand.take(0x80, 5, 0)
    assert hand.held((0x90, 5)) is None
    await asyncio.sleep(0.05)
    assert desk.get_now("/panic/mute") is False
    hand.take(0x90, 5, 127)
    begin = time.monotonic()
    while not desk.get_now("/panic/mute") and time.monotonic() < begin + 10:
        await asyncio.sleep(0.02)
    assert time.monotonic() - begin >= 2.9
    assert hand.held((0x90, 5)) is None


@pytest.mark.asyncio
async def test_controls_of_each_channel_and_values_of_a_row(desk: Desk, make: Make) -> None:
    hand = make("""\
surface:
  hot cue: {note: 0..1, channel: [8, 10], by_channel: true}
  fader: {cc14: 19, channel: 1..2, by_channel: true}
  size: {note: 50..52}
  knob: {cc: 1}
  fine: {cc14: 2}
bindings:
  hot cue 1..2: {to: /deck/1/loop/beats, values: [2, 8]}
  hot cue 3..4: {to: /deck/2/loop/beats, values: [2, 8]}
  fader: /channel/N/fader
  size: {to: /deck/1/nudge, mode: hold, values: [0.1, 0.2, -0.3]}
  knob: {to: /channel/1/low, curve: centre}
  fine: {to: /channel/1/trim, curve: centre}
""")

    def send(*messages: tuple[int, int, int]) -> None:
        for first, data1, data2 in messages:
            obey(desk, hand.take(first, data1, data2), first, data2)

    send((0x97, 1, 127), (0x87, 1, 0), (0x99, 0, 127))
    assert (desk.get_now("/deck/1/loop/beats"), desk.get_now("/deck/2/loop/beats")) == (8.0, 2.0)
    send((0xB1, 19, 32), (0xB1, 51, 0))
    assert (desk.get_now("/channel/1/fader"), desk.get_now("/channel/2/fader")) == (1.0, pytest.approx(32 * 128 / 16383))
    send((0x90, 52, 127))
    assert desk.get_now("/deck/1/nudge") == pytest.approx(-0.3)
    send((0x80, 52, 0))
    assert desk.get_now("/deck/1/nudge") == 0.0
    places = ((0, -60.0), (64, 0.0), (127, 6.0))  # the middle of the knob is where the band is flat
    for place, level in places:
        send((0xB0, 1, place))
        assert desk.get_now("/channel/1/low") == pytest.approx(level)
    send((0xB0, 2, 64), (0xB0, 34, 0))
    assert desk.get_now("/channel/1/trim") == pytest.approx(0.0)
