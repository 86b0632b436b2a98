# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles as a musician writes them: what is good compiles, what is wrong is said with its line and column."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.bus.binding import BindingFlag, BindingKind
from appliance.bus.box import Box
from appliance.control.mapping import profile as profiles
from appliance.control.mapping.check import check_profile, check_profiles, load_profile, read_profile
from appliance.control.mapping.library import ProfileLibrary, shipped_folder
from appliance.control.mapping.table import PortTable
from appliance.errors import BadFile
from appliance.nodes import NAMESPACE

SHIPPED = sorted(shipped_folder().glob("*.yaml"))
GOOD = """\
profile: 1
name: Test
device: {match: ["test pad"]}
surface:
  pad: {note: 36..51}
  knob: {cc: [1..4, 10]}
  wheel: {bend: true}
bindings:
  pad: /pad/N/trigger
  knob 1: /mixer/crossfader
"""


def write(folder: Path, text: str, name: str = "test.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_profiles_are_good() -> None:
    assert len(SHIPPED) >= 2
    assert check_profiles(SHIPPED) == []


def test_the_schema_in_the_repository_is_current_and_accepts_the_shipped_profiles() -> None:
    text = (shipped_folder() / "profile.schema.json").read_text(encoding="utf-8")
    assert text == profiles.schema_text(), "run: python -m appliance.control.mapping.profile > mappings/profile.schema.json"
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in SHIPPED:
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(GOOD), "surfaces": {}}, schema)


@pytest.mark.parametrize(("change", "place", "words"), [
    (("/pad/N/trigger", "/pad/N/triger"), "/pad/N/triger", "did you mean /pad/1/trigger"),
    (("pad: /pad", "pads: /pad"), "pads:", "there are pad, knob, wheel"),
    (("knob 1: /mixer", "knob 6: /mixer"), "knob 6", "1 … 5"),
    (("36..51", "36..151"), "36..151", "0 … 127"),
    (("36..51", "36-51"), "36-51", "range like 36..51"),
    (("{bend: true}", "{bend: true, cc: 3}"), "wheel:", "one of note, cc, cc14, bend"),
    (("bindings:", "bindngs:"), "bindngs", "is no setting here"),
    (("/mixer/crossfader", "/mixer/meter/left"), "/mixer/meter", "read only"),
    (("/mixer/crossfader", "{to: /mixer/crossfader, range: [-2, 1]}"), "/mixer/crossfader", "-1 … 1"),
    (("/mixer/crossfader", "{to: /mixer/crossfader, mode: toggel}"), "toggel", "toggle"),
    (("/mixer/crossfader", "{to: /pads/bank, value: 9}"), "/pads/bank", "1 … 8"),
    (("/mixer/crossfader", "[/mixer/crossfader, /mixer/master]"), "/mixer/master", "which always counts"),
    (("/mixer/crossfader", "{to: [/mixer/crossfader, /mixer/mastre]}"), "to: [/mixer/cross", "did you mean /mixer/master"),
    (("/mixer/crossfader", "{to: [/mixer/crossfader], curve: log}"), "knob 1:", "belongs to one of them"),
    (("/mixer/crossfader", "{to: /mixer/crossfader, takeover: pikup}"), "pikup", "'jump', 'pickup' or 'scale'"),
    (("/mixer/crossfader", "{to: /mixer/crossfader, when: {/mixer/mastr: 0}}"), "/mixer/crossfader",
     "did you mean /mixer/master"),
    (("/mixer/crossfader", "{midi: B0 1 vv}"), "knob 1:", "'B0 1 vv' is not hexadecimal"),
    (("knob 1: /mixer", "shift + knob 1: /mixer"), "shift + knob", "'shift' is no layer"),
    (("knob 1: /mixer", "knob 1 held 20: /mixer"), "knob 1 held", "0.1 … 10"),
    (("/mixer/crossfader", "/deck/{deck}/rate"), "/deck/{deck", "{deck} is no layer"),
    (("bindings:", "layers: {shift: pad}\nbindings:"), "pad}", "hold is one button"),
    (("bindings:", "layers: {shift: pads 1}\nbindings:"), "pads 1}", "there are pad, knob, wheel"),
    (("bindings:", "layers: {deck: {cycle: pad 1}}\nbindings:"), "deck: {cycle", "cycle needs values"),
    (("bindings:", "layers: {deck: {cycle: pad 1, values: [1, 3]}}\nbindings:\n  deck 2 + pad 2: /clock/tap"), "deck 2 +",
     "has the values 1, 3"),
    (("wheel: {bend: true}\nbindings:", "wheel: {bend: true}\n  fader: {cc14: 96, fine: 2}\nbindings:\n  fader: /mixer/booth\n"
      "  knob 2: /mixer/master"), "/mixer/master", "bound already by 'fader 1'"),
    (("knob 1: /mixer/crossfader", "knob 1: {to: '/{a}/{b}/{c}'}\nlayers: {a: {cycle: pad 1, values: ["
      + ", ".join(map(str, range(200))) + "]}, b: {cycle: pad 2, values: [" + ", ".join(map(str, range(200)))
      + "]}, c: {cycle: pad 3, values: [" + ", ".join(map(str, range(200))) + "]}}"), "'/{a}", "8000000 values together"),
    (("{bend: true}", "{cc14: 100}"), "wheel:", "coarse halves are 0 … 95"),
    (("{bend: true}", "{note: 3, encoder: twos}"), "wheel:", "sends controllers (cc), not note"),
    (("/mixer/crossfader", "{to: /mixer/crossfader, mode: relative}"), "/mixer/crossfader", "needs an endless encoder"),
    (("name: Test", "name: Test\nname: Again"), "name: Again", "given twice"),
    (("/pad/N/trigger", "/channel/N/fader"), "/channel/N", "cannot follow a note"),
    (("/pad/N/trigger", "{to: /pad/N/gain, value: 99}"), "/pad/N/gain", "-60 … 12"),
    (("knob 1: /mixer/crossfader", "pad 3: /pads/stop"), "/pads/stop", "bound already by 'pad'"),
    (("knob 1: /mixer", "wheel: {to: /clock/tap, mode: press}\n  knob 1: /mixer"), "/clock/tap", "pitch bend"),
    (('["test pad"]', "[]"), "device", "how the device is recognised"),
    (("{note: 36..51}", "{note: 36..51"), "cc" , "not YAML"),
    (("knob 1: /mixer/crossfader", "knob 1: /deck/5/rate"), "/deck/5", "no address"),
    (("bindings:", 'init: ["F0 01"]\nbindings:'), '"F0 01"', "ends with F7"),
    (("bindings:", "feedback: {pad: /pad/N}\nbindings:"), "/pad/N}", "needs `lamps`"),
])
def test_faults_are_said_with_line_and_column(tmp_path: Path, change: tuple[str, str], place: str, words: str) -> None:
    assert change[0] in GOOD
    text = GOOD.replace(*change, 1)
    path = write(tmp_path, text)
    problems = [p for p in check_profile(path) if words in p.message]
    before = text[: text.index(place)]
    at = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    if "YAML" not in words:  # where a bracket is missed is the reader's guess
        assert [(p.line, p.column) for p in problems] == [at], check_profile(path)
    assert str(problems[0]).startswith(f"{path}:")
    with pytest.raises(BadFile, match=str(path)):
        load_profile(path)


@pytest.mark.parametrize("data", [
    b"", b"- 1\n- 2\n", b"\xff\xfe\x00", b"a: &x [*x]", b"[" * 3000, b"[" * 500_000, b"- " * 200_000,
    b"x" * 600_000, b"profile: 1: 2"])
def test_what_is_no_profile_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    problems = check_profile(path)
    assert len(problems) >= 1
    assert problems[0].line >= 1
    assert check_profile(tmp_path / "missing.yaml")[0].message.startswith("cannot be read")


def test_two_profiles_for_one_device(tmp_path: Path) -> None:
    first, second = write(tmp_path, GOOD, "a.yaml"), write(tmp_path, GOOD.replace("test pad", "Test Pad"), "b.yaml")
    problems = check_profiles([first, second])
    assert len(problems) == 1
    assert str(first) in problems[0].message
    library = ProfileLibrary([tmp_path])
    _, said = library.scan()
    assert len(said) == 1
    assert "both claim" in said[0]
    assert library.scan() == (False, [])


def test_the_longer_name_and_the_later_folder_win(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    write(tmp_path, GOOD)
    write(tmp_path, GOOD.replace("test pad", "test pad mk2").replace("name: Test", "name: Mk2"), "mk2.yaml")
    write(tmp_path / "own", GOOD.replace("name: Test", "name: Mine"), "mine.yaml")
    library = ProfileLibrary([tmp_path, tmp_path / "own", tmp_path / "not there"])
    assert library.scan() == (True, [])
    chosen = {name: library.choose((name,)) for name in ("usb:Test Pad MIDI 1", "Test-Pad_MK2", "something else")}
    names = {name: compiled and compiled.profile.name for name, compiled in chosen.items()}
    assert names == {"usb:Test Pad MIDI 1": "Mine", "Test-Pad_MK2": "Mk2", "something else": None}


def test_a_broken_file_leaves_the_one_before_in_force(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    library = ProfileLibrary([tmp_path])
    assert library.scan() == (True, [])
    write(tmp_path, GOOD.replace("/pad/N/trigger", "/pad/N/triger"))
    os.utime(path, ns=(1, 1))
    changed, said = library.scan()
    assert not changed
    assert f"{path}:9:8" in said[0]
    assert "stays in force" in said[0]
    compiled = library.choose(("test pad",))
    assert compiled is not None
    assert (0x90, 36) in compiled.entries
    write(tmp_path, GOOD.replace("36..51", "40..55"))
    changed, said = library.scan()
    assert changed
    compiled = library.choose(("test pad",))
    assert compiled is not None
    assert (0x90, 36) not in compiled.entries
    path.unlink()
    assert library.scan() == (True, [])
    assert library.choose(("test pad",)) is None


def entries(path: Path) -> dict[Any, Any]:
    return load_profile(path).entries


def test_the_generic_profile_plays_pads_on_every_channel() -> None:
    table = entries(shipped_folder() / "generic.yaml")
    trigger = NAMESPACE.command("pad", "trigger")
    for channel in range(16):
        for number in range(16):
            for status in (0x90, 0x80):
                entry = table[status + channel, 36 + number]
                assert (entry.kind, entry.code, entry.index) == (BindingKind.COMMAND, trigger, number)
                assert entry.flags == BindingFlag.BANK
    assert table[0xB0, 8].index == NAMESPACE.find("/mixer/crossfader").slot
    assert (table[0xB3, 7].minimum, table[0xB3, 7].maximum) == (-60, 0)


def test_the_apc_reads_as_its_picture_says() -> None:
    path = shipped_folder() / "akai-apc-mini-mk2.yaml"
    table, compiled = entries(path), load_profile(path)
    trigger, stop, launch = (NAMESPACE.command(*n) for n in (("pad", "trigger"), ("pad", "stop"), ("scene", "launch")))
    for number in range(16):
        row, column = 3 - number // 4, number % 4
        assert (table[0x90, row * 8 + column].code, table[0x90, row * 8 + column].index) == (trigger, number)
        assert (table[0x90, row * 8 + column + 4].code, table[0x90, row * 8 + column + 4].index) == (stop, number)
    assert [table[0x90, 112 + n].index for n in range(8)] == list(range(8))
    assert table[0x90, 112].code == launch
    assert table[0x90, 113].flags & BindingFlag.PRESS_ONLY
    assert [table[0xB0, 48 + n].index for n in range(8)] == [NAMESPACE.find(f"/channel/{n + 1}/fader").slot for n in range(8)]
    assert [table[0x90, note].minimum for note in (*range(56, 60), *range(48, 52))] == list(range(1, 9))
    assert table[0x90, 122].kind == BindingKind.LAYER
    assert len({one.message for one in compiled.lights}) == 75
    assert sum(one.layers == (("shift", 1),) for one in compiled.lights) == 8


def test_a_table_in_force_is_changed_entry_by_entry(box: Box, tmp_path: Path) -> None:
    kinds = box.record["binding"][0]["kind"]
    kinds[1, 2, 5, 5] = BindingKind.VALUE  # what an earlier process left there
    table = PortTable(box)
    first = load_profile(write(tmp_path, GOOD))
    table.put(1, first)
    assert kinds[1, 2, 5, 5] == BindingKind.HAND_OVER
    assert kinds[1, 0, 0x10, 36] == BindingKind.COMMAND
    assert kinds[1, 0, 0x30, 1] == BindingKind.VALUE
    table.put(1, load_profile(write(tmp_path, GOOD.replace("36..51", "37..52"))))
    assert kinds[1, 0, 0x10, 36] == BindingKind.HAND_OVER
    assert kinds[1, 0, 0x10, 52] == BindingKind.COMMAND
    assert box.record["binding"][0]["index"][1, 0, 0x10, 37] == 0
    table.put(1, None)
    assert not kinds[1].any()


WORDS = st.sampled_from([
    "profile", "name", "device", "match", "surface", "bindings", "feedback", "lamps", "pad", "note", "to", "N",
    "/pad/N/trigger", "/mixer/master", "36..51", "mode", "range", "value", "kind", "palette", "any", "channel"])
SECTIONS = st.sampled_from(["device", "surface", "bindings", "lamps", "feedback", "init", "name", "doc"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 200), st.floats(allow_nan=True), WORDS, st.text(max_size=5))
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
                     max_leaves=20)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.dictionaries(SECTIONS, TREES, max_size=4))
def test_any_tree_is_read_or_refused_with_a_line(tmp_path: Path, tree: dict[str, Any]) -> None:
    path = write(tmp_path, yaml.safe_dump({**yaml.safe_load(GOOD), **tree}, allow_unicode=True))
    compiled, problems = read_profile(path)
    assert (compiled is None) == bool(problems)
    lines = len(re.split("[\n\x85\u2028\u2029]", path.read_text(encoding="utf-8")))  # what YAML takes for the end of one
    assert all(1 <= p.line <= lines and p.column >= 1 and p.message for p in problems)


def test_the_nanokontrol_reads_as_its_picture_says() -> None:
    compiled = load_profile(shipped_folder() / "korg-nanokontrol2.yaml")
    plain, shifted = compiled.planes
    slot = {f"/channel/{name}": NAMESPACE.find(f"/channel/{name}").slot for name in ("3/fader", "3/trim", "1/cue")}
    assert (plain[0xB0, 2].index, shifted[0xB0, 2].index) == (slot["/channel/3/fader"], slot["/channel/3/trim"])
    assert plain[0xB0, 2].flags & BindingFlag.PICKUP, "the same fader moves two things"
    assert (plain.get((0xB0, 18)), shifted.get((0xB0, 18))) == (None, None), "a curve is control's"
    assert (plain[0xB0, 64].kind, plain[0xB0, 64].index) == (BindingKind.TOGGLE, slot["/channel/1/cue"])
    assert (plain.get((0xB0, 71)), shifted.get((0xB0, 71))) == (None, None), "whose release it is only control knows"
    assert (plain[0xB0, 46].kind, shifted[0xB0, 46].kind) == (BindingKind.LAYER, BindingKind.LAYER)
    assert shifted[0xB0, 64].code == NAMESPACE.command("deck", "play")


@pytest.mark.parametrize(("change", "place", "words"), [
    (("bindings:", "roles: {pad: /pad/1/trigger}\nbindings:"), "/pad/1/trigger}", "no role"),
    (("bindings:", "roles: {pads: /pad/N}\nbindings:"), "pads:", "there are pad, knob, wheel"),
    (("bindings:", "picture: [pad 1..4, 'knob 1, nob 2']\nbindings:"), "'knob 1, nob", "'nob 2' is no control"),
    (("bindings:", "picture: [pad 1..4 / knob 1..3]\nbindings:"), "pad 1..4 /", "as many of them"),
    (("/mixer/crossfader", "{to: /mixer/crossfader, value: 1, values: [1]}"), "knob 1:", "either one value"),
    (("bindings:", "lamps: {x: {kind: rgb}}\nbindings:"), "x:", "rgb needs the message"),
    (("bindings:", "lamps: {x: {kind: ring, message: B0 xx}}\nbindings:"), "x:", "'B0 xx' is not hexadecimal"),
    (("bindings:", "lamps: {x: {kind: numbers, colours: {white: [1, 2]}}}\nbindings:"), "x:", "one number for each colour"),
    (("bindings:", "lamps: {x: {kind: ring}}\nfeedback: {pad: /pad/N}\nbindings:"), "/pad/N}", "speaks the LED language"),
    (("bindings:", "lamps: {x: {kind: ring}}\nfeedback: {pad: /channel/1/mute}\nbindings:"), "/channel/1/mute}", "is none"),
    (("{bend: true}", "{bend: true, by_channel: true}"), "wheel:", "is one of channels anyhow"),
])
def test_faults_of_roles_pictures_and_lamps(tmp_path: Path, change: tuple[str, str], place: str, words: str) -> None:
    test_faults_are_said_with_line_and_column(tmp_path, change, place, words)
