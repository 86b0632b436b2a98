# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands without a running box: refused in one plain line, with the exit status that scripts rely on."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest


def one_line(text: str) -> str:
    assert text.count("\n") == 1 and "Traceback" not in text, text
    return text.strip()


@pytest.mark.parametrize("words", [("status",), ("ls",), ("get", "/clock/bpm"), ("send", "/clock/bpm", "120"), ("watch", "/*"),
                                   ("monitor",)])
def test_without_a_box_a_command_says_how_to_start_one(appliance, words):
    status, out, err = appliance(*words)
    assert (status, out) == (1, "")
    assert "no box runs" in one_line(err) and "`appliance run`" in err


def test_help_and_version(appliance):
    status, out, _ = appliance("--version")
    assert status == 0 and out.startswith("appliance ")
    status, out, _ = appliance("--help")
    assert status == 0
    assert all(name in out for name in ("run", "status", "send", "watch", "render", "generate", "check", "bench", "doctor"))
    assert appliance()[0] == 2
    assert appliance("dance")[0] == 2


def test_the_command_line_starts_quickly(appliance):
    """No command pulls in compiled code before it needs it."""
    code = "import sys, appliance.cli; appliance.cli._parser('status'); raise SystemExit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("text", "said"), [
    ("audio: {peroid: 64}", "peroid"),
    ("audio: {period: 3}", "period"),
    ("- 1", "tree of sections"),
    ("audio: {", "is not YAML"),
])
def test_a_broken_config_is_one_line(appliance, tmp_path, text, said):
    config = tmp_path / "box.yaml"
    config.write_text(text)
    status, out, err = appliance("run", "--config", str(config))
    assert (status, out) == (2, "")
    assert str(config) in one_line(err) and said in err


def test_a_config_that_is_not_there(appliance, tmp_path):
    status, _, err = appliance("run", "--config", str(tmp_path / "none.yaml"))
    assert status == 2 and "there is no such config file" in one_line(err)


def test_an_endpoint_that_is_none(appliance):
    status, _, err = appliance("run", "--http", "here:there")
    assert status == 2 and "--http takes HOST:PORT" in one_line(err)


@pytest.mark.parametrize(("option", "kind"), [("--http", socket.SOCK_STREAM), ("--osc", socket.SOCK_DGRAM)])
def test_a_port_in_use_is_one_line(appliance, option, kind):
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        words = {"--http": "127.0.0.1:0", "--osc": "127.0.0.1:0", option: f"127.0.0.1:{port}"}
        status, out, err = appliance("run", "--audio", "clock", *[word for pair in words.items() for word in pair])
    assert (status, out) == (2, "")
    assert f"127.0.0.1:{port}" in one_line(err) and "in use" in err and option in err


def test_a_data_folder_that_cannot_be(appliance, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = appliance("run", "--data", str(tmp_path / "file" / "data"))
    assert status == 2 and "cannot be used" in one_line(err)


def test_render_refuses_what_is_not_there(appliance, tmp_path):
    status, _, err = appliance("render", str(tmp_path / "no.yaml"), str(tmp_path / "out.wav"))
    assert status == 1 and "no.yaml" in one_line(err)
    assert appliance("render", "a.yaml", "b.wav", "--frames", "0")[0] == 1


def test_doctor_names_every_part(appliance):
    status, out, err = appliance("doctor")
    assert status in (0, 1) and "Traceback" not in err
    for part in ("Python", "JACK", "real time", "locked memory", "compiled code", "MIDI", "graphics", "data folder", "ports"):
        assert part in out
    for line in out.splitlines():
        assert line.startswith(("good", "weak", "BAD", "   ")), line


def test_doctor_finds_a_taken_port(appliance, tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        config = tmp_path / "box.yaml"
        config.write_text(f"http: {{port: {holder.getsockname()[1]}}}")
        status, out, _ = appliance("doctor", "--config", str(config))
    assert status == 1
    assert any(line.startswith("BAD") and "HTTP cannot listen" in line for line in out.splitlines())


def test_bench_refuses_what_there_is_not(appliance):
    status, _, err = appliance("bench", "lunch")
    assert status == 1 and "there is no benchmark 'lunch'" in one_line(err)


def test_bench_rows_are_as_other_programs_expect_them():
    from benchmarks.report import Row, as_json, machine, table

    rows = [Row("block_p99_pct", 4.23456789, "% of period", limit=10),
            Row("offline_x_realtime", 12, "×", limit=30, at_least=True)]
    facts = machine()
    told = json.loads(json.dumps(as_json("engine", facts, rows)))
    assert told["bench"] == "engine" and told["machine"]["cores"] > 0
    assert told["rows"][0] == {"id": "block_p99_pct", "value": 4.2346, "unit": "% of period", "limit": 10, "peer": None}
    assert rows[0].kept and not rows[1].kept
    assert table("engine", rows).count("BEYOND ITS LIMIT") == 1
