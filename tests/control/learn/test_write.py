# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles as learning writes them: read like a person's, keep what was there, and mean what was learned."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.control.learn.binding import binding_for, check_target
from appliance.control.learn.history import History
from appliance.control.learn.naming import control_name, device_name, file_name
from appliance.control.learn.recognise import Form, Learned
from appliance.control.learn.streams import Key
from appliance.control.learn.write import Lesson, new_profile, write
from appliance.control.mapping.check import read_profile_text
from appliance.control.mapping.library import shipped_folder
from appliance.control.mapping.profile import Source
from appliance.control.mapping.selectors import Gesture
from appliance.errors import ApplianceError, BadFile, NotAllowed
from appliance.nodes import NAMESPACE

HERE = Path("mine.yaml")


def learned(surface: dict[str, Any], form: Form = Form.FADER, **more: Any) -> Learned:
    return Learned(form, surface, frozenset(), 0.0, 1.0, 1.0, **more)


def taught(text: str, *lessons: Lesson) -> str:
    for lesson in lessons:
        text = write(text, lesson, HERE).text
    return text


def fader(number: int, target: str, **more: Any) -> Lesson:
    return Lesson(learned({"cc": number}), target, target, **more)


def test_a_profile_from_nothing_reads_like_a_persons():
    mute = [Lesson(learned({"cc": 47 + n}, Form.BUTTON), f"/channel/{n}/mute", {"to": f"/channel/{n}/mute", "mode": "toggle"})
            for n in (3, 4)]
    jog = Lesson(learned({"cc": 34, "encoder": "offset"}, Form.JOG, turned=715, touch=Key(Source.NOTE, 1, 54)),
                 "/deck/1/jog/turn", "/deck/1/jog/turn")
    text = taught(new_profile("My Box", None), *(fader(n, f"/channel/{n + 1}/fader") for n in range(3)), *mute,
                  Lesson(learned({"note": 40}, Form.BUTTON), "/deck/1/play", "/deck/1/play"), jog,
                  fader(1, "/mixer/crossfader"))
    assert text.split("\n", 2)[2] == """\
profile: 1
name: "My Box"

device:
  match: ["My Box"]

surface:
  fader: {cc: 0..2}
  mute: {cc: 50..51}
  play: {note: 40}
  jog: {cc: 34, encoder: offset, per_turn: 720}  # 715 ticks counted for a full turn
  touch: {note: 54}

bindings:
  fader 1: /channel/N/fader
  fader 3: /channel/N/fader
  fader 2: /mixer/crossfader
  mute: {to: /channel/N+2/mute, mode: toggle}
  play: /deck/1/play
  jog: /deck/1/jog/turn
  touch: /deck/1/jog/touch
"""


def test_a_device_without_a_profile_keeps_what_it_played():
    like = (shipped_folder() / "generic.yaml").read_text(encoding="utf-8")
    text = taught(new_profile("Learn Box", like), Lesson(learned({"note": 40}, Form.BUTTON), "/deck/1/play", "/deck/1/play"),
                  Lesson(learned({"cc": 21, "encoder": "twos"}, Form.ENCODER), "/channel/1/filter", "/channel/1/filter"))
    tree = yaml.safe_load(text)
    assert tree["device"] == {"match": ["Learn Box"]} and tree["name"] == "Learn Box"
    assert tree["bindings"] == {
        "pad 1..4": "/pad/N/trigger", "pad 6..16": "/pad/N/trigger", "pad 5": "/deck/1/play",
        "volume": {"to": "/mixer/master", "range": [-60, 0]}, "balance": "/mixer/crossfader",
        "fader 1": "/channel/N/fader", "fader 3..8": "/channel/N/fader", "filter": "/channel/1/filter",
    }
    assert "# channel volume" in text


def test_what_a_person_wrote_stays():
    text = (shipped_folder() / "korg-nanokontrol2.yaml").read_text(encoding="utf-8")
    new = taught(text, fader(18, "/mixer/crossfader", layers=(("shift", 1),)))
    changed = [line for line in difflib.ndiff(text.splitlines(), new.splitlines()) if line[0] in "+-"]
    low = "{to: /channel/N/low, curve: centre}"
    assert changed == [f"-   shift + knob: {low}", f"+   shift + knob 1..2: {low}", f"+   shift + knob 4..8: {low}",
                       "+   shift + knob 3: /mixer/crossfader"]
    assert taught(new, fader(18, "/mixer/crossfader", layers=(("shift", 1),))) == new


def test_what_was_taken_for_something_else_is_forgotten():
    text = new_profile("My Box", None)
    turned = Lesson(learned({"cc": 6, "encoder": "sign"}, Form.ENCODER), "/channel/1/fader", "/channel/1/fader")
    halves = Lesson(learned({"cc14": 6}), "/channel/1/fader", "/channel/1/fader")
    once = taught(text, turned)
    assert taught(once, halves, turned) == once
    assert yaml.safe_load(taught(once, halves))["surface"] == {"fader": {"cc14": 6}}


def test_a_row_grows_only_where_it_does_the_same():
    text = taught(new_profile("My Box", None), fader(0, "/channel/1/fader"), fader(4, "/channel/2/fader"),
                  fader(9, "/channel/4/fader"))
    tree = yaml.safe_load(text)
    assert tree["surface"]["fader"] == {"cc": [0, 4]} and len(tree["surface"]) == 2
    named = yaml.safe_load(taught(text, fader(20, "/channel/3/fader", name="Left 3")))
    assert named["bindings"]["left"] == "/channel/3/fader"


def test_a_file_with_a_fault_learns_nothing():
    with pytest.raises(BadFile, match=r"mine.yaml:1:1: device: is missing; it cannot learn until that is mended"):
        taught("profile: 1\nnane: x\n", fader(0, "/channel/1/fader"))


TARGETS = ["/channel/1/fader", "/channel/2/fader", "/channel/3/fader", "/channel/1/filter", "/mixer/crossfader", "/deck/1/play",
           "/deck/2/play", "/pad/1/trigger", "/pad/2/trigger", "/channel/1/mute", "/pads/bank", "/clock/tap", "/gen/style",
           "/deck/1/jog/turn", "/visuals/scene", "/deck/1/keylock"]
NOW = {"/pads/bank": 3, "/gen/style": "techno_minimal", "/visuals/scene": "pulse"}
SURFACES = st.one_of(
    st.builds(lambda n, c: (Form.FADER, {"cc": n, "channel": c}), st.integers(0, 40), st.sampled_from((1, 1, 2))),
    st.builds(lambda n: (Form.FADER, {"cc14": n}), st.integers(0, 12)),
    st.builds(lambda n: (Form.FADER, {"bend": True, "channel": n}), st.integers(1, 9)),
    st.builds(lambda n: (Form.FADER, {"nrpn": n}), st.integers(0, 500)),
    st.builds(lambda n, e: (Form.ENCODER, {"cc": n, "encoder": e}), st.integers(0, 40), st.sampled_from(("twos", "sign"))),
    st.builds(lambda n, c: (Form.BUTTON, {"note": n, "channel": c}), st.integers(30, 60), st.sampled_from((1, 9))),
    st.builds(lambda n: (Form.BUTTON, {"cc": n}), st.integers(0, 60)),
    st.builds(lambda n: (Form.BUTTON, {"program": n}), st.integers(0, 9)),
)


@given(st.sampled_from(["", "generic.yaml", "korg-nanokontrol2.yaml", "akai-apc-mini-mk2.yaml", "akai-midimix.yaml"]),
       st.lists(st.tuples(SURFACES, st.sampled_from(TARGETS), st.booleans()), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_whatever_is_learned_the_profile_is_good_and_does_it(like, lessons):
    source = (shipped_folder() / like).read_text(encoding="utf-8") if like else None
    text = new_profile("Any", source) if not like or like == "generic.yaml" else source
    assert text is not None
    for (form, surface), target, released in lessons:
        control = learned(surface, form, released=released)
        try:
            binding = binding_for(NAMESPACE.find(target), target, control, [], NOW.get(target, 0.5))
        except NotAllowed:
            continue
        written = write(text, Lesson(control, target, binding), HERE)
        text = written.text
        compiled, problems = read_profile_text(HERE, text)
        assert compiled is not None, problems
        name, _, member = written.control.rpartition(" ")
        key = (name, int(member)) if member.isdigit() else (written.control, 1)
        rules = [rule for rule in compiled.rules[key] if not rule.layers and rule.gesture is Gesture.PRESS]
        assert [action.address for action in rules[0].actions] == [target]


@pytest.mark.parametrize(("names", "name"), [
    (("pads:My Pad MIDI 1",), "My Pad"), (("a2j:nanoKONTROL2 [20] (capture): nanoKONTROL2 MIDI 1",), "nanoKONTROL2"),
    (("system:midi_capture_1", "alsa_pcm:nanoKONTROL2/midi_capture_1"), "nanoKONTROL2"),
    (("Midi-Bridge:Launchpad X LPX DAW In:(capture_0) LPX DAW In",), "Launchpad X LPX DAW In"),
    (("keys:out",), "keys"), (("keys:midi_out_1",), "keys"), (("apc:APC mini mk2 Control",), "APC mini mk2 Control"),
    (("nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0",), "nanoKONTROL2"),
])
def test_devices_are_named_by_what_stays(names, name):
    assert device_name(names) == name
    assert file_name(name).endswith(".yaml")


@pytest.mark.parametrize(("wish", "target", "taken", "name"), [
    ("", "/channel/1/low", (), "low"), ("", "/channel/1/low", ("low",), "channel low"), ("", "/pad/3/trigger", (), "pad"),
    ("", "/deck/1/jog/turn", (), "jog"), ("Big Knob 7", "/mixer/master", (), "big knob"),
    ("", "/mixer/master", ("master", "mixer master", "fader"), "master b"), ("12", "/clock/tap", (), "tap"),
])
def test_controls_are_named_by_what_they_do(wish, target, taken, name):
    assert control_name(wish, target, Form.FADER, taken) == name


@pytest.mark.parametrize(("surface", "form", "released", "target", "given", "now", "binding"), [
    ({"cc": 1}, Form.FADER, True, "/channel/1/fader", [], 0.0, "/channel/1/fader"),
    ({"cc": 1}, Form.FADER, True, "/channel/1/filter", [], 0.0, {"to": "/channel/1/filter", "curve": "centre"}),
    ({"cc14": 1}, Form.FADER, True, "/channel/1/filter", [], 0.0, "/channel/1/filter"),
    ({"cc": 1, "encoder": "twos"}, Form.ENCODER, True, "/pads/bank", [], 1, {"to": "/pads/bank", "step": 0.1429}),
    ({"cc": 1}, Form.BUTTON, True, "/channel/1/mute", [], False, {"to": "/channel/1/mute", "mode": "toggle"}),
    ({"cc": 1}, Form.BUTTON, False, "/channel/1/mute", [], False, "/channel/1/mute"),
    ({"note": 1}, Form.BUTTON, True, "/channel/1/mute", [], False, "/channel/1/mute"),
    ({"note": 1}, Form.BUTTON, False, "/channel/1/mute", [], False, {"to": "/channel/1/mute", "mode": "hold"}),
    ({"cc": 1}, Form.BUTTON, False, "/deck/1/play", [], False, {"to": "/deck/1/play", "mode": "hold"}),
    ({"note": 1}, Form.BUTTON, True, "/channel/1/filter", [], 0.25, {"to": "/channel/1/filter", "value": 0.25}),
    ({"note": 1}, Form.BUTTON, True, "/deck/1/jump", [4], None, {"to": "/deck/1/jump", "value": 4}),
    ({"note": 1}, Form.BUTTON, True, "/visuals/scene", [], "pulse", {"to": "/visuals/scene", "value": "pulse"}),
    ({"note": 1}, Form.BUTTON, True, "/deck/1/cue", [], None, "/deck/1/cue"),
    ({"program": 1}, Form.BUTTON, False, "/pad/1/trigger", [], None, "/pad/1/trigger"),
])
def test_bindings_are_what_a_person_would_write(surface, form, released, target, given, now, binding):
    assert binding_for(NAMESPACE.find(target), target, learned(surface, form, released=released), given, now) == binding


@pytest.mark.parametrize(("surface", "form", "target"), [
    ({"cc": 1}, Form.FADER, "/clock/tap"), ({"cc": 1}, Form.FADER, "/pad/1/trigger"), ({"cc": 1}, Form.FADER, "/visuals/scene"),
    ({"cc": 1, "encoder": "twos"}, Form.ENCODER, "/clock/tap"), ({"note": 1}, Form.BUTTON, "/deck/1/jump"),
])
def test_what_does_not_suit_is_refused(surface, form, target):
    with pytest.raises(NotAllowed):
        binding_for(NAMESPACE.find(target), target, learned(surface, form), [], None)


def test_what_nothing_can_move_is_no_target():
    for address in ("/mixer/meter/left", "/learn/target", "/system/profiles/reload"):
        with pytest.raises(NotAllowed):
            check_target(NAMESPACE.find(address))


def test_what_was_before_comes_back_step_by_step(tmp_path):
    history, file = History(tmp_path), tmp_path / "a.yaml"
    history.write(file, "one")
    history.write(file, "two")
    history.write(tmp_path / "b.yaml", "three")
    assert history.undo() == tmp_path / "b.yaml" and not (tmp_path / "b.yaml").exists()
    assert history.undo() == file and file.read_text() == "one"
    file.write_text("by hand")
    with pytest.raises(NotAllowed, match="changed by hand"):
        history.undo()
    file.write_text("one")
    assert history.undo() == file and not file.exists()
    with pytest.raises(ApplianceError, match="nothing was learned"):
        history.undo()


def test_a_full_or_closed_disk_is_said_and_loses_nothing(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("one")
    (tmp_path / ".before").write_text("in the way")
    with pytest.raises(ApplianceError, match="cannot be written"):
        History(tmp_path).write(file, "two")
    assert file.read_text() == "one"
