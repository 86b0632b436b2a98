# SPDX-License-Identifier: GPL-3.0-or-later
"""The one declaration: every address is the box's, everything can be hit by a finger and read at arm's length."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageFont

from appliance.errors import ApplianceError, BadValue, UnknownAddress
from appliance.gen.request import parse_request
from appliance.layouts.surface import BAR, DECKS, PAGES, RECIPES, SHADERS
from appliance.layouts.widgets import BAR as BAR_HEIGHT
from appliance.layouts.widgets import LANDSCAPE, PORTRAIT, TABS, TOUCH, Kit, Widget, subscriptions
from appliance.nodes import NAMESPACE

SCENES = Path(__file__).parent.parent.parent / "appliance" / "visuals" / "scenes"


@pytest.mark.parametrize(("widget", "error"), [
    ((Kit.FADER, "/mixer/crosfader"), UnknownAddress),
    ((Kit.READOUT, "/deck/5/title"), UnknownAddress),
    ((Kit.FADER, "/deck/1/sync"), ApplianceError),
    ((Kit.TOGGLE, "/mixer/crossfader"), ApplianceError),
    ((Kit.METER, "/mixer/master"), ApplianceError),
    ((Kit.PAD, "/pads/stop"), ApplianceError),
    ((Kit.HOLD, "/mixer/meter/left"), ApplianceError),
])
def test_what_the_box_does_not_have_is_refused(widget: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Widget(*widget)


def test_a_value_the_node_does_not_take_is_refused() -> None:
    with pytest.raises(BadValue):
        Widget(Kit.SET, "/pads/bank", value=9)
    with pytest.raises(BadValue):
        Widget(Kit.SET, "/clock/metre", value="9/4")
    with pytest.raises(ApplianceError, match="span"):
        Widget(Kit.FADER, "/clock/bpm", span=(10.0, 180.0))
    with pytest.raises(UnknownAddress):
        Widget(Kit.PRESS, "/pads/stop", named="/pads/nam")


def test_range_unit_and_default_are_the_nodes() -> None:
    fader = Widget(Kit.FADER, "/channel/1/trim")
    assert (fader.limits, fader.default, fader.node.unit) == ((-24.0, 12.0), 0.0, "dB")
    assert Widget(Kit.FADER, "/clock/bpm", span=(70.0, 180.0)).default == 120.0
    assert Widget(Kit.TOGGLE, "/deck/2/quantize").default == 1.0


@pytest.mark.parametrize("portrait", [False, True])
def test_everything_is_big_enough_and_nothing_lies_over_another(portrait: bool) -> None:
    width, height = PORTRAIT if portrait else LANDSCAPE
    for page in PAGES:
        placed = list(page.placed(width, height - BAR_HEIGHT - TABS, portrait=portrait))
        for index, (widget, (x, y, w, h)) in enumerate(placed):
            assert x >= 0 and x + w <= width and y >= 0 and y + h <= height - BAR_HEIGHT - TABS, (page.name, widget)
            if widget.kind.touched:
                assert min(w, h) >= TOUCH, (page.name, widget.address, w, h)
            for other, (x2, y2, w2, h2) in placed[:index]:
                assert x >= x2 + w2 or x2 >= x + w or y >= y2 + h2 or y2 >= y + h, (page.name, widget.address, other.address)


@pytest.mark.parametrize("portrait", [False, True])
def test_labels_fit_and_can_be_read(portrait: bool) -> None:
    """16 points are 3 mm on a tablet of 10.9 inches."""
    width, height = PORTRAIT if portrait else LANDSCAPE
    for page in (*PAGES, BAR):
        for widget, (_, _, w, h) in page.placed(width, BAR_HEIGHT if page is BAR else height - 120, portrait=portrait):
            assert widget.size >= 16
            if not widget.kind.touched and widget.kind is not Kit.CAPTION:
                continue
            font = ImageFont.load_default(widget.size)
            room = w * 0.6 - 8 if widget.sideways and widget.kind is Kit.FADER else w
            assert h >= widget.size
            assert font.getlength(widget.text) <= room, (page.name, widget.text, w)


def test_each_page_has_what_it_is_for() -> None:
    on = {page.name: {w.address for w in page.widgets} for page in PAGES}
    assert {f"/pad/{n}/trigger" for n in range(1, 17)} | {"/pads/stop", "/pads/bank", "/scene/8/launch"} <= on["Pads"]
    for deck in range(1, DECKS + 1):
        page = on["Decks 1 2" if deck < 3 else "Decks 3 4"]
        assert {f"/deck/{deck}/{name}" for name in (
            "play", "cue", "sync", "rate", "jog/turn", "loop/auto", "loop/in", "hotcue/8/press", "keylock", "seek")} <= page
        assert {f"/channel/{deck}/{band}" for band in ("low", "mid", "high")} <= page
    assert {f"/channel/{n}/{name}" for n in range(1, 9) for name in ("fader", "cue", "assign", "filter")} <= on["Mixer"]
    assert {"/mixer/crossfader", "/mixer/cue/mix"} <= on["Mixer"]
    assert {"/record/on", "/panic/tails", "/panic/home", "/panic/mute"} <= on["Rec Panic"]


def test_the_scenes_and_pads_that_are_named_exist() -> None:
    assert {path.stem for path in SCENES.glob("*.fs")} == set(SHADERS)
    for words, pad, role in RECIPES:
        assert f"/pad/{pad}/load" in NAMESPACE
        assert parse_request(f"only {words}").resolved().role == role


def test_what_hello_leaves_out_is_asked_for() -> None:
    patterns = subscriptions((BAR, *PAGES))
    assert {"/deck/*/seek", "/channel/*/meter"} <= set(patterns)
    assert len(patterns) < 20
    assert not any(re.search(r"\d", pattern) for pattern in patterns)
