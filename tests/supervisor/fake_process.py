# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in any place of the box: beats, tells blocks, writes endpoints, stops when asked. Arguments: NAME BOX [WORD…].

Words: ``deaf`` (ignores SIGTERM), ``mute`` (never beats), ``stuck`` (the engine stays in its second block), ``dies`` (ends at
once), ``parent`` (starts a process of its own).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from appliance.bus.box import Box

name, path, words = sys.argv[1], sys.argv[2], sys.argv[3:]
box = Box.attach(path, name)
going = True


def stop(number: int, frame: object) -> None:
    global going
    going = "deaf" in words


signal.signal(signal.SIGTERM, stop)
print(f"{name} has started", file=sys.stderr)
if "dies" in words:
    raise SystemExit(3)
if "parent" in words:
    subprocess.Popen(["sleep", "1000"])
if name == "control":
    (box.run / "endpoints.json").write_text(json.dumps({"http": "127.0.0.1:8600", "osc": "127.0.0.1:9000"}))
engine, row = box.engine(0), box.process()
while going:
    if name == "engine-a":
        engine["entered_ns"] = time.monotonic_ns()
        engine["cycles"] += 1
        while "stuck" in words and engine["cycles"] % 1000 == 500:
            time.sleep(0.01)
        engine["left_ns"] = time.monotonic_ns()
        engine["ready"] = 1
    if "mute" not in words:
        row["beat_ns"] = time.monotonic_ns()
    time.sleep(0.005)
print(f"{name} has stopped", file=sys.stderr)
