# SPDX-License-Identifier: GPL-3.0-or-later
"""The file as py2tosc and Lua read it: format, script, and who may move a fader when."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from xml.etree import ElementTree as ET

import py2tosc
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from faketouchosc import FakeTouchOSC

from appliance.layouts.render import render

FILES = {portrait: render("touchosc", token="open-sesame", listen=9123, portrait=portrait)[0] for portrait in (False, True)}


@pytest.fixture
def app() -> FakeTouchOSC:
    opened = FakeTouchOSC(FILES[False])
    opened.sent.clear()
    return opened


@pytest.mark.parametrize("portrait", [False, True])
def test_the_file_is_one_that_the_editor_would_write(portrait: bool) -> None:
    xml = zlib.decompress(FILES[portrait]).decode()
    assert ET.fromstring(xml).get("version") == "6"
    document = py2tosc.loads(FILES[portrait])
    assert document.validate() == []
    assert document.dumps() == xml
    pager = document.find(type="PAGER")
    assert pager is not None
    assert [page.get("tabLabel") for page in pager.children] == [
        "Pads", "Decks 1 2", "Decks 3 4", "Mixer", "Clock", "Generate", "Visuals", "Rec Panic"]
    names = [control.get("name") for control in document.walk()]
    assert len(names) == len(set(names))
    wide, high = document.root.get("frame")[2:]
    assert (wide < high) is portrait


def test_hello_when_opened_and_every_five_seconds() -> None:
    app = FakeTouchOSC(FILES[False])
    assert app.sent[0] == ("/hello", ["open-sesame", 9123])
    assert ("/subscribe", ["/deck/*/seek", 9123]) in app.sent
    app.sent.clear()
    for _ in range(30 * 60):
        app.frame(1000 / 60)
    times = [path for path, _ in app.sent].count("/hello")
    assert times in (5, 6)
    app = FakeTouchOSC(render("touchosc", listen=9001)[0])
    assert app.sent[0] == ("/hello", [9001])


def test_the_box_moves_a_fader_that_nobody_touches_and_hears_nothing_of_it(app: FakeTouchOSC) -> None:
    fader = app.that_sends("/mixer/crossfader")
    app.receive("/mixer/crossfader", 0.5)
    assert fader.values.x == 0.75
    assert app.controls[f"{fader.name} value"].values.text == "0.50"
    app.receive("/channel/1/low", -60.0)
    low = [c for c in app.root.walk() if any(m.path == "/channel/1/low" for m in c.osc)]
    assert len(low) == 2 and [c.values.x for c in low] == [0.0, 0.0]
    assert app.controls[f"{low[0].name} value"].values.text == "-60.0 dB"
    assert app.sent == []


def test_a_finger_is_never_fought_and_gets_the_last_word_of_the_box_when_it_leaves(app: FakeTouchOSC) -> None:
    fader = app.that_sends("/mixer/crossfader")
    fader.press()
    fader.move(0.25)
    assert app.sent == [("/mixer/crossfader", [-0.5])]
    for value in (0.0, 0.5, 1.0):
        app.receive("/mixer/crossfader", value)
        app.frame()
        assert fader.values.x == 0.25
    fader.release()
    app.sent.clear()
    app.frame()
    assert fader.values.x == 1.0
    assert app.sent == []  # what it was told it does not tell
    for _ in range(3):
        app.frame()
    fader.press()
    fader.move(0.5)
    assert app.sent == [("/mixer/crossfader", [0.0])]
    fader.release()
    app.frame()
    assert fader.values.x == 0.5  # what was held back before is forgotten


def test_the_other_fader_of_an_address_follows_while_one_is_held(app: FakeTouchOSC) -> None:
    here, there = [c for c in app.root.walk() if any(m.path == "/channel/1/fader" for m in c.osc)]
    here.press()
    here.move(0.3)
    app.sent.clear()
    app.receive("/channel/1/fader", 0.9)
    assert (here.values.x, there.values.x) == (0.3, 0.9)
    assert app.sent == []


def test_the_value_beside_a_fader_follows_the_finger(app: FakeTouchOSC) -> None:
    fader = app.that_sends("/clock/bpm")
    fader.press()
    fader.move(0.5)
    app.frame(60)
    assert app.controls[f"{fader.name} value"].values.text == "125.0 BPM"


def test_a_switch_follows_the_box_and_toggles_from_there(app: FakeTouchOSC) -> None:
    play = app.that_sends("/deck/1/play")
    app.receive("/deck/1/play", 1)
    assert play.values.x == 1.0
    play.press()
    play.release()
    app.receive("/deck/1/play", 0)
    play.press()
    play.release()
    assert app.sent == [("/deck/1/play", [0.0]), ("/deck/1/play", [1.0])]


def test_a_pad_plays_while_it_is_held_and_shows_name_colour_and_state(app: FakeTouchOSC) -> None:
    pad = app.that_sends("/pad/3/trigger")
    pad.press()
    pad.release()
    assert app.sent == [("/pad/3/trigger", [1.0]), ("/pad/3/trigger", [0.0])]
    title, state = app.controls[f"{pad.name} title"], app.controls[f"{pad.name} state"]
    assert title.values.text == "3"
    app.receive("/pad/3/name", "Kick loop")
    app.receive("/pad/3/role", "drums")
    app.receive("/pad/3/state", "loaded")
    assert title.values.text == "Kick loop"
    resting = pad.color
    assert resting.r > resting.b  # orange, the drums' colour
    app.receive("/pad/3/state", "playing")
    assert pad.color.r > resting.r and state.values.text == "playing"
    app.receive("/pad/3/state", "queued")
    seen = set()
    for _ in range(40):
        app.frame()
        seen.add(pad.color)
    assert len(seen) == 2  # it blinks
    app.receive("/pad/3/colour", "#0000ff")
    app.receive("/pad/3/state", "loaded")
    assert pad.color.r == pad.color.g == 0 < pad.color.b
    app.receive("/pad/3/state", "missing")
    assert pad.color.r > pad.color.b
    app.receive("/pad/3/name", "")
    assert title.values.text == "3"


def test_lamps_choices_hot_cues_and_meters(app: FakeTouchOSC) -> None:
    four, seven = (next(c for c in app.root.walk() if c.osc and c.osc[0].path == "/clock/metre"
                        and c.osc[0].file.arguments[0].value == metre) for metre in ("4/4", "7/8"))
    app.receive("/clock/metre", "7/8")
    assert sum(seven.color[:3]) > sum(four.color[:3])
    cue = app.that_sends("/deck/1/hotcue/2/press")
    app.receive("/deck/1/hotcue/2/at", -1.0)
    dark = sum(cue.color[:3])
    app.receive("/deck/1/hotcue/2/at", 12.5)
    assert sum(cue.color[:3]) > dark
    app.receive("/deck/1/hotcue/2/name", "drop")
    assert app.controls[f"{cue.name} label"].values.text == "drop"
    app.receive("/channel/2/meter", 0.7)
    assert any(c.values.x == 0.7 for c in app.root.walk() if "/channel/2/meter" in c.name and c.type == "FADER")
    app.receive("/record/on", 1)
    assert any(c.values.text == "rec" for c in app.root.walk() if c.type == "LABEL" and "/record/on value" in c.name)
    assert app.sent == []


def test_words_are_black_on_bright_grounds_and_white_on_dark_ones(app: FakeTouchOSC) -> None:
    cue = app.that_sends("/channel/1/cue")  # yellow
    label = app.controls[f"{cue.name} label"]
    for state, ink in ((0, 1.0), (1, 0.0), (0, 1.0)):
        app.receive("/channel/1/cue", state)
        app.frame(60)
        assert label.textColor.r == ink
    pad = app.that_sends("/pad/1/trigger")
    app.receive("/pad/1/role", "drums")
    for state, ink in (("loaded", 1.0), ("playing", 0.0)):
        app.receive("/pad/1/state", state)
        assert {app.controls[f"{pad.name} {name}"].textColor.r for name in ("title", "state")} == {ink}


def test_a_jog_tells_touch_and_turns(app: FakeTouchOSC) -> None:
    jog = app.that_sends("/deck/2/jog/touch", "ENCODER")
    jog.values.touch = True
    for x in (0.9, 0.98, 0.06):
        jog.move(x)
    jog.values.touch = False
    assert app.sent[0] == ("/deck/2/jog/touch", [1.0])
    assert app.sent[-1] == ("/deck/2/jog/touch", [0.0])
    turns = [arguments[0] for path, arguments in app.sent if path == "/deck/2/jog/turn"]
    assert turns == [pytest.approx(0.08), pytest.approx(0.08)]


def test_nothing_the_box_says_breaks_the_script(app: FakeTouchOSC) -> None:
    for path in ("/mixer/crossfader", "/clock/metre", "/pad/1/state", "/pad/1/colour", "/channel/1/meter",
                 "/deck/1/hotcue/1/at", "/clock/beat", "/record/on", "/deck/1/title", "/no/such/address"):
        for value in ("", "words", -1.0, 1e9, 0, "[1, 2]"):
            app.receive(path, value)
            app.frame()
    assert [s for s in app.sent if s[0] not in ("/hello", "/subscribe")] == []


def test_a_box_that_is_not_heard_and_one_that_refuses_are_told(app: FakeTouchOSC) -> None:
    words = [c for c in app.root.walk() if "/system/message value" in c.name]
    assert len(words) == 2  # on every page, and large beside the panic buttons
    for _ in range(13):
        app.receive("/clock/beat", 1)
        app.frame(1000)
    assert {c.values.text for c in words} == {""}
    for _ in range(13):
        app.frame(1000)
    assert all("No answer from the box" in c.values.text and "9123" in c.values.text for c in words)
    app.receive("/system/message", "pad 3: ready")
    assert {c.values.text for c in words} == {"pad 3: ready"}
    app.receive("/error", "/pad/3/gain takes -60 … 12 dB, not 40")
    assert {c.values.text for c in words} == {"/pad/3/gain takes -60 … 12 dB, not 40"}


def test_the_same_surface_is_the_same_file() -> None:
    assert render("touchosc", token="a")[0] == render("touchosc", token="a")[0]
    assert render("touchosc", token="a")[0] != render("touchosc", token="b")[0]
