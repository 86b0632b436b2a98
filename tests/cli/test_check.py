# SPDX-License-Identifier: GPL-3.0-or-later
"""`appliance check`: file, line, column, what is wrong, what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.check import check_file

ROOT = Path(__file__).resolve().parents[2]


def said(tmp_path: Path, text: str, name: str = "file.yaml") -> list[str]:
    path = tmp_path / name
    path.write_text(text)
    return [str(finding).removeprefix(f"{tmp_path}/") for finding in check_file(path)[1]]


SHIPPED = sorted([*ROOT.glob("configs/*.yaml"), *ROOT.glob("mappings/*.yaml")])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_we_ship_is_good(path):
    kind, findings = check_file(path)
    assert not [finding for finding in findings if not finding.warning]
    assert kind == ("config" if path.parent.name == "configs" else "profile")


def test_a_wrong_name_in_a_config(tmp_path):
    text = "audio:\n  rate: 48000\n  peroid: 64\n"
    assert said(tmp_path, text) == ["file.yaml:3:3: audio.peroid: there is no such setting; did you mean period?"]


def test_a_wrong_value_in_a_config(tmp_path):
    assert said(tmp_path, "http:\n  port: 70000\n")[0].startswith("file.yaml:2:3: http.port: ")


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    assert len(said(tmp_path, "audio: {rate: 1, period: 1}\nvisual: {}\n")) == 3


def test_a_key_that_stands_twice(tmp_path):
    text = "audio: {rate: 44100}\nhttp: {port: 1}\naudio: {rate: 48000}\n"
    assert said(tmp_path, text)[0].startswith("file.yaml:3:1: audio stands here twice")


def test_text_that_is_no_yaml(tmp_path):
    assert said(tmp_path, "audio:\n  rate: [1,\n")[0].startswith("file.yaml:3:1: is not YAML")


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "noise.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01" * 10)
    assert "is no text" in str(check_file(path)[1][0])


def test_no_file(tmp_path):
    assert "there is no such file" in str(check_file(tmp_path / "none.yaml")[1][0])


def test_events_with_an_unknown_address_and_a_missing_clip(tmp_path):
    text = "version: 1\nevents:\n- {beat: 0, address: /clock/bmp, value: 120}\n"
    found = said(tmp_path, text)
    assert len(found) == 1 and found[0].startswith("file.yaml:3:13: events.0.address: ")
    assert "did you mean /clock/bpm?" in found[0]
    missing = said(tmp_path, "clips:\n  drums: {file: drums.flac}\nevents: []\n")
    assert missing[0].startswith("file.yaml:2:3: clips.drums: there is no file")


def test_a_session_of_a_newer_box(tmp_path):
    assert "newer version" in said(tmp_path, "session: 999\nname: x\n")[0]


def test_a_broken_scene(tmp_path):
    text = '/*{"ISFVSN": "2", "INPUTS": []}*/\nvoid main() {\n  gl_FragColor = vec4(one);\n}\n'
    found = said(tmp_path, text, "broken.fs")
    assert found and found[0].startswith("broken.fs:3: ")


def test_exit_status_and_streams(appliance, tmp_path):
    good = ROOT / "configs" / "default.yaml"
    status, out, err = appliance("check", str(good))
    assert (status, err) == (0, "") and out == f"{good}: good (config)\n"
    bad = tmp_path / "bad.yaml"
    bad.write_text("audio: {rate: 1}")
    status, out, err = appliance("check", str(good), str(bad))
    assert status == 1 and out == f"{good}: good (config)\n" and err.startswith(f"{bad}:1:9: audio.rate: ")
