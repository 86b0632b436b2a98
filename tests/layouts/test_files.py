# SPDX-License-Identifier: GPL-3.0-or-later
"""The files: what is shipped is current, the command writes them, other programs can read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from appliance.cli import main
from appliance.errors import ApplianceError, BadValue
from appliance.layouts.files import shipped
from appliance.layouts.reaper import LINES, Line
from appliance.layouts.render import KINDS, render

MAPPINGS = Path(__file__).parent.parent.parent / "mappings"
REAPERS_OWN = {
    "TRACK_VOLUME", "TRACK_MUTE", "TRACK_SOLO", "TRACK_MONITOR", "TEMPO", "PLAY", "METRONOME", "DEVICE_TRACK_COUNT",
    "DEVICE_SEND_COUNT", "DEVICE_RECEIVE_COUNT", "DEVICE_FX_COUNT", "REAPER_TRACK_FOLLOWS", "DEVICE_TRACK_FOLLOWS",
    "DEVICE_TRACK_BANK_FOLLOWS",
}
"""Words of REAPER's own Default.ReaperOSC; an unknown one makes it refuse the file."""


def content(data: bytes) -> bytes:
    """What a file says: compression may differ from one zlib to another."""
    return zlib.decompress(data) if data[:1] == b"\x78" else data


def test_what_is_shipped_is_current() -> None:
    for name, data in shipped().items():
        assert content((MAPPINGS / name).read_bytes()) == content(data), f"python -m appliance.layouts.files mappings ({name})"
    assert {path.name for path in MAPPINGS.glob("appliance*")} == set(shipped())


def test_no_token_is_shipped() -> None:
    for name, data in shipped().items():
        if name.endswith(".tosc"):
            assert b'local TOKEN = ""' in content(data)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_writes_the_file(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", kind, "-o", str(tmp_path), "--host", "10.0.0.7", "--port", "9100", "--token", "t0ken"]) == 0
    path = Path(capsys.readouterr().out.strip())
    said = content(path.read_bytes()).decode()
    assert path.parent == tmp_path
    assert ("t0ken" in said) is (kind != "reaper")
    assert ("10.0.0.7" in said) is (kind != "touchosc")
    assert main(["export", kind, "-o", str(tmp_path / "none" / "x"), "--host", "h"]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("given", [
    {"kind": "lemur"}, {"kind": "reaper", "port": 0}, {"kind": "touchosc", "listen": 70000}, {"kind": "reaper", "host": "a b"},
    {"kind": "openstagecontrol", "host": "x'); alert('"}, {"kind": "touchosc", "token": 'a" .. os.exit() .. "'},
    {"kind": "touchosc", "token": "line\nline"}, {"kind": "touchosc", "token": "]]>"},
])
def test_nonsense_is_refused_in_words(given: dict[str, Any]) -> None:
    with pytest.raises(BadValue, match="layouts: "):
        render(**given)


def widgets(tree: Any) -> list[dict[str, Any]]:
    here = [tree] if "type" in tree else []
    return here + [w for child in (*tree.get("widgets", ()), *tree.get("tabs", ())) for w in widgets(child)]


@pytest.mark.parametrize("portrait", [False, True])
def test_the_session_is_whole(portrait: bool) -> None:
    session = json.loads(render("openstagecontrol", "10.0.0.7", 9100, "t0ken", portrait=portrait)[0])
    assert (session["createdWith"], session["type"], session["content"]["type"]) == ("Open Stage Control", "session", "root")
    assert re.fullmatch(r"1\.\d+\.\d+", session["version"])
    found = widgets(session["content"])
    names = [w["id"] for w in found]
    assert len(names) == len(set(names)) > 400
    for w in found:
        assert w["type"] in {"root", "panel", "tab", "button", "fader", "encoder", "text", "input"}
        assert w["type"] in ("root", "tab") or {"left", "top", "width", "height"} <= set(w)
        assert w.get("bypass") or w["target"] == "10.0.0.7:9100"
        assert not (w.get("widgets") and w.get("tabs"))
    assert [w["label"] for w in found if w["type"] == "tab"] == [
        "Pads", "Decks 1 2", "Decks 3 4", "Mixer", "Clock", "Generate", "Visuals", "Rec Panic"]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_sessions_scripts_run(tmp_path: Path) -> None:
    """Its JavaScript in node: hello now and every five seconds; labels and colours from what the box says."""
    session = json.loads(render("openstagecontrol", "10.0.0.7", 9100, "t0ken")[0])
    found = widgets(session["content"])
    pad = next(w for w in found if w.get("address") == "/pad/1/trigger")
    said = {"/pad/1/name": "'Kick'", "/pad/1/state": "'playing'", "/pad/1/role": "'drums'", "/pad/1/colour": "''"}

    def code(text: str) -> str:
        inner = re.sub(r"OSC\{([^,}]*),[^}]*\}", lambda m: said.get(m[1], "undefined"), text)
        return "(function () {" + inner.removeprefix("JS{").removesuffix("}") + "})()"

    dynamic = [code(value) for w in found for value in w.values() if isinstance(value, str) and value.startswith("JS{")]
    touches = [w["onTouch"] for w in found if "onTouch" in w]
    program = (
        "const sent = []; let every = 0; function send(...a) { sent.push(a) }\n"
        "function setInterval(name, work, ms) { every = ms; work() }\n"
        f"{session['content']['onCreate']}\n"
        + "".join(f"{{ const event = {{type: 'start'}}; {touch} }}\n" for touch in touches)
        + "".join(f"{one};\n" for one in dynamic)
        + "console.log(JSON.stringify({sent, every, pad: ["
        + ", ".join(code(pad[key]) for key in ("label", "colorWidget", "alphaFillOff")) + "]}))"
    )
    (tmp_path / "program.js").write_text(program, encoding="utf-8")
    ran = subprocess.run(["node", str(tmp_path / "program.js")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["every"] == 5000
    assert told["sent"].count(["10.0.0.7:9100", "/hello", "t0ken"]) == 2
    assert ["10.0.0.7:9100", "/deck/1/jog/touch", 1] in told["sent"]
    assert told["pad"] == ["Kick · playing", "#ff8c1a", 1]


def test_the_reaper_file_says_what_reaper_knows() -> None:
    text = render("reaper", "10.0.0.7", 9100)[0].decode()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} == REAPERS_OWN
    for line in lines:
        word, *patterns = line.split()
        if word.startswith(("DEVICE", "REAPER")):
            assert patterns[0].isdecimal() or patterns[0] in ("REAPER", "DEVICE")
        else:
            assert re.fullmatch(r"[nfbt](/[a-z@]+)+", patterns[0])
    assert "device port: 9100" in text
    assert len(LINES) == 7


@pytest.mark.parametrize("line", [("TRACK_VOLUME", "n", "/channel/@/trim", ""), ("PLAY", "t", "/clock/tap", ""),
                                  ("TRACK_MUTE", "b", "/channel/@/pan", ""), ("TEMPO", "f", "/clock/bmp", "")])
def test_what_reaper_would_send_wrongly_is_refused(line: tuple[str, str, str, str]) -> None:
    with pytest.raises(ApplianceError):
        Line(*line)
