# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller mappings of Mixxx become profiles that pass the check, and do here what they did there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from appliance.control.desk import Desk
from appliance.control.mapping.check import check_profile, load_profile
from appliance.control.mapping.mixxx.convert import Report, convert, profile_text
from appliance.control.mapping.mixxx.read import read_mixxx
from appliance.control.midi.hand import Hand
from appliance.control.midi.reading import obey
from appliance.control.midi.router import Router
from appliance.errors import BadFile
from appliance.nodes import NAMESPACE

INSTALLED = sorted(Path("/usr/share/mixxx/controllers").glob("*.midi.xml"))


def control(status: int, number: int, group: str, key: str, *options: str) -> str:
    told = "".join(f"<{option}/>" for option in options or ("normal",))
    return (f"<control><status>{status:#x}</status><midino>{number:#x}</midino><group>{group}</group><key>{key}</key>"
            f"<options>{told}</options></control>")


def output(status: int, number: int, group: str, key: str, on: int = 127, minimum: float = 0.5) -> str:
    return (f"<output><status>{status:#x}</status><midino>{number:#x}</midino><group>{group}</group><key>{key}</key>"
            f"<on>{on:#x}</on><off>0x0</off><minimum>{minimum}</minimum></output>")


def mapping(folder: Path, controls: list[str], outputs: list[str] | None = None) -> Path:
    path = folder / "Test.midi.xml"
    path.write_text('<?xml version="1.0" encoding="utf-8"?><MixxxControllerPreset schemaVersion="1"><info><name>Test</name>'
                    '<author>Nobody</author></info><controller id="Test Box MIDI 1"><controls>' + "".join(controls)
                    + "</controls><outputs>" + "".join(outputs or []) + "</outputs></controller></MixxxControllerPreset>",
                    encoding="utf-8")
    return path


def imported(folder: Path, path: Path) -> tuple[Path, Report]:
    tree, report = convert(read_mixxx(path))
    out = folder / "out.yaml"
    out.write_text(profile_text(tree, report), encoding="utf-8")
    return out, report


CASES = [
    # control, messages, address, value after them
    (control(0xB0, 1, "[Channel1]", "volume"), [(0xB0, 1, 127), (0xB0, 1, 0)], "/channel/1/fader", 0.0),
    (control(0xB1, 1, "[Channel2]", "volume", "Invert"), [(0xB1, 1, 127)], "/channel/2/fader", 0.0),
    (control(0xB0, 2, "[EqualizerRack1_[Channel3]_Effect1]", "parameter2"), [(0xB0, 2, 127)], "/channel/3/mid", 6.0),
    (control(0xB0, 3, "[QuickEffectRack1_[Channel1]]", "super1"), [(0xB0, 3, 64)], "/channel/1/filter", 0.0),
    (control(0xB0, 4, "[Master]", "crossfader", "soft-takeover"), [(0xB0, 4, 0), (0xB0, 4, 127)], "/mixer/crossfader", 1.0),
    (control(0x90, 5, "[Channel1]", "keylock"), [(0x90, 5, 127), (0x80, 5, 0)], "/deck/1/keylock", True),
    (control(0xB0, 6, "[Channel1]", "pfl", "button"), [(0xB0, 6, 127), (0xB0, 6, 0)], "/channel/1/cue", True),
    (control(0xE2, 0, "[Channel2]", "rate"), [(0xE2, 127, 127)], "/deck/2/rate", 1.5),
    (control(0xB0, 7, "[Channel1]", "pregain", "Spread64"), [(0xB0, 7, 0)] * 2, "/channel/1/trim", -24.0),
    (control(0x90, 8, "[Channel1]", "rate_temp_up"), [(0x90, 8, 1)], "/deck/1/nudge", 0.04),
    (control(0x90, 9, "[Channel1]", "pitch_down"), [(0x90, 9, 1), (0x80, 9, 0), (0x90, 9, 1)], "/deck/1/key", -2.0),
    (control(0x90, 10, "[Channel1]", "beatloop_8_toggle"), [(0x90, 10, 1)], "/deck/1/loop/beats", 8.0),
    (control(0xB0, 11, "[Sampler3]", "pregain"), [(0xB0, 11, 127)], "/pad/3/gain", 12.0),
]
EFFECTS = [
    # control, message, address that it is bound to
    (control(0x90, 1, "[EffectRack1_EffectUnit2]", "enabled"), (0x90, 1, 127), "/fx/2/enabled"),
    (control(0xB0, 2, "[EffectRack1_EffectUnit1]", "mix"), (0xB0, 2, 100), "/fx/1/mix"),
    (control(0xB0, 3, "[EffectRack1_EffectUnit4]", "super1", "diff"), (0xB0, 3, 1), "/fx/4/super"),
    (control(0x90, 4, "[EffectRack1_EffectUnit1]", "group_[Channel3]_enable"), (0x90, 4, 127), "/fx/1/assign/3"),
    (control(0x90, 5, "[EffectRack1_EffectUnit1]", "group_[Headphone]_enable"), (0x90, 5, 127), "/fx/1/assign/headphones"),
    (control(0xB0, 6, "[EffectRack1_EffectUnit1_Effect3]", "meta"), (0xB0, 6, 9), "/fx/1/slot/3/amount"),
    (control(0xB0, 7, "[EffectRack1_EffectUnit1_Effect1]", "parameter2"), (0xB0, 7, 9), "/fx/1/slot/1/param/2"),
    (control(0x90, 8, "[EffectRack1_EffectUnit3_Effect2]", "next_effect"), (0x90, 8, 127), "/fx/3/slot/2/effect/move"),
    (control(0x90, 9, "[Channel2]", "flanger"), (0x90, 9, 127), "/fx/1/assign/2"),
]


@pytest.mark.parametrize(("xml", "messages", "address", "value"), CASES)
@pytest.mark.asyncio
async def test_what_a_control_did_there_it_does_here(
    desk: Desk, tmp_path: Path, xml: str, messages: list[tuple[int, int, int]], address: str, value: float,
) -> None:
    path, report = imported(tmp_path, mapping(tmp_path, [xml]))
    assert (report.carried, report.plain) == (1, 1)
    assert check_profile(path) == []
    hand, last = Hand(load_profile(path), Router(desk)), -1
    for status, data1, data2 in messages:
        obey(desk, hand.take(status, data1, data2), status, data2, last)
        last = data2
    assert desk.get_now(address) == pytest.approx(value), path.read_text()


@pytest.mark.parametrize(("xml", "message", "address"), EFFECTS)
@pytest.mark.asyncio
async def test_effects_are_bound_and_say_that_they_are_not_there_yet(
    desk: Desk, tmp_path: Path, xml: str, message: tuple[int, int, int], address: str,
) -> None:
    path, report = imported(tmp_path, mapping(tmp_path, [xml]))
    assert (report.carried, report.plain) == (1, 1)
    assert check_profile(path) == []
    before = desk.get_now(address) if NAMESPACE.find(address).node.readable else None
    hand, faults = Hand(load_profile(path), Router(desk)), []
    desk.on_fault(faults.append)
    status, data1, data2 = message
    for _ in range(3):
        obey(desk, hand.take(status, data1, data2), status, data2)
        await asyncio.sleep(0)
    assert [fault.split(": ")[-1] for fault in faults] == ["what does it has not started"], "once, however often it is turned"
    assert f"{address} cannot be done right now" in faults[0]
    assert before is None or desk.get_now(address) == before, "it does not pretend"


def test_halves_and_rows_are_put_together(tmp_path: Path) -> None:
    path, report = imported(tmp_path, mapping(tmp_path, [
        control(0xB0, 9, "[Channel1]", "rate", "fourteen-bit-msb"), control(0xB0, 41, "[Channel1]", "rate", "Fourteen-bit-lsb"),
        *(control(0x90, 20 + n, "[Channel1]", f"hotcue_{n}_activate") for n in range(1, 9)),
        *(control(0x80, 20 + n, "[Channel1]", f"hotcue_{n}_activate") for n in range(1, 9)),
    ], [output(0x90, 20 + n, "[Channel1]", f"hotcue_{n}_enabled") for n in range(1, 9)]))
    assert (report.carried, report.plain, report.lamps, report.outputs) == (18, 18, 8, 8)
    profile = load_profile(path).profile
    assert {name: surface.count for name, surface in profile.surface.items()} == {"deck 1 rate": 1, "deck 1 hotcue": 8}
    assert profile.surface["deck 1 rate"].fine_numbers == [41]
    assert profile.bindings["deck 1 hotcue"][0].to == "/deck/1/hotcue/N/press"
    assert profile.feedback["deck 1 hotcue"].shows == "/deck/1/hotcue/N/at"


def test_what_is_left_out_is_told_by_its_reason(tmp_path: Path) -> None:
    path = mapping(tmp_path, [
        control(0x90, 1, "[Channel1]", "Box.play", "Script-Binding"), control(0x90, 2, "[EffectRack1_EffectUnit5]", "enabled"),
        control(0x90, 3, "[Channel1]", "frobnicate"), control(0x90, 4, "[Channel1]", "play"),
        "<control><status>0</status></control>",
    ], [output(0x90, 9, "[Channel1]", "frobnicate"), output(0x90, 4, "[Channel1]", "play_indicator", on=5)])
    done = subprocess.run([sys.executable, "-m", "appliance", "import", "mixxx", str(path), "-o", str(tmp_path / "x.yaml")],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "1 of 3 controls and 1 of 2 lamps" in done.stderr
    assert "1 more controls are done by a script" in done.stderr
    assert "this box has no such effect control ([EffectRack1_EffectUnit5] enabled)" in done.stderr
    text = (tmp_path / "x.yaml").read_text()
    assert "# 1 of 3 controls" in text
    assert "lit: 5" in text


@pytest.mark.parametrize("data", [b"", b"<a", b"<a/>", b"\xff\xfe", b"<controller/>" * 2])
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.midi.xml"
    path.write_bytes(data)
    with pytest.raises(BadFile, match=r"x\.midi\.xml: no "):
        read_mixxx(path)
    with pytest.raises(BadFile, match="cannot be read"):
        read_mixxx(tmp_path / "missing.xml")


@pytest.mark.skipif(not INSTALLED, reason="mixxx-data is not installed")
def test_every_mapping_that_comes_with_mixxx(tmp_path: Path) -> None:
    """5,651 of 5,823 controls and 2,127 of 2,278 lamps of Mixxx 2.3.3; of effects there are the addresses only."""
    sums: Counter[str] = Counter()
    for path in INSTALLED:
        out, report = imported(tmp_path, path)
        assert check_profile(out) == [], path
        sums.update(carried=report.carried, plain=report.plain, lamps=report.lamps, outputs=report.outputs)
    print(f"{len(INSTALLED)} files; {dict(sums)}")
    assert sums["carried"] >= 0.90 * sums["plain"]
    assert sums["lamps"] >= 0.80 * sums["outputs"]
