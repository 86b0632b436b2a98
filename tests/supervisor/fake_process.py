# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in any place of the box: beats, tells blocks, writes endpoints, stops when asked. Arguments: NAME BOX [WORD…].

Words: ``deaf`` (ignores SIGTERM), ``mute`` (never beats), ``stuck`` (the engine stays in its second block), ``dies`` (ends at
once), ``again`` (an engine that ends at its first start and asks to be started again), ``parent`` (starts a process of its
own), ``apart`` (an engine that never comes to a server). Any other engine says that a server calls it, until there is a file
``lost`` in the box's run folder; with ``uncalled`` there it renders no block.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from appliance.bus.box import Box, Role

name, path, words = sys.argv[1], sys.argv[2], sys.argv[3:]
box = Box.attach(path, name)
going = True
engines = ("engine-a", "engine-b")
rival = box.process(engines[1 - engines.index(name)]) if name in engines else None


def stop(number: int, frame: object) -> None:
    global going
    going = "deaf" in words


signal.signal(signal.SIGTERM, stop)
print(f"{name} has started {' '.join(words)}".rstrip(), file=sys.stderr)
if "dies" in words:
    raise SystemExit(3)
row = box.process()
if "again" in words and row["restarts"] == 0:
    raise SystemExit(5)
if "parent" in words:
    subprocess.Popen(["sleep", "1000"])
if name == "control":
    (box.run / "endpoints.json").write_text(json.dumps({"http": "127.0.0.1:8600", "osc": "127.0.0.1:9000"}))
engine = box.engine(engines.index(name) if name in engines else 0)
while going:
    if rival is not None:
        if row["role"] != Role.PLAYING:
            row["role"] = Role.STANDBY if rival["pid"] and rival["role"] == Role.PLAYING else Role.PLAYING
        engine["server"] = 0 if "apart" in words or (box.run / "lost").exists() else 1
        if not (box.run / "uncalled").exists():
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
