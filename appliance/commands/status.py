# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance status``: read straight from shared memory, so it tells the truth while control is down."""

from __future__ import annotations

import argparse
import json
from typing import Any

from appliance.bus.box import Box
from appliance.bus.safeform import safe_form
from appliance.commands.common import add_data, data_folder
from appliance.supervision.table import status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    facts = status(Box.attach(data_folder(options)))
    print(json.dumps(facts) if options.json else _table(facts))
    return 0


def _table(facts: dict[str, Any]) -> str:
    lines = [f"{'process':<10} {'pid':>7}  {'role':<9} {'restarts':>8}  uptime"]
    for row in facts["processes"]:
        name, pid, uptime = row["name"], row["pid"] or "-", _uptime(row["uptime_s"])
        lines.append(f"{name:<10} {pid:>7}  {row['role']:<9} {row['restarts']:>8}  {uptime}"
                     + (f"  safe form: {safe_form(row['name'], row['safe'])}" if row["safe"] else ""))
    clock, audio = facts["clock"], facts["audio"]
    lines += [
        "",
        f"clock      {clock['bpm']:g} BPM, {'runs' if clock['play'] else 'stopped'}, bar {clock['bar']} beat {clock['beat']}",
        f"audio      {audio['server']}, {audio['rate']:g} Hz, {audio['period']} frames a period, load {audio['load_pct']:g} %",
        f"late       {facts['overruns']} blocks of ours (overruns), {facts['xruns']} cycles of the audio server (xruns)",
        f"data       {facts['data']} (supervisor: process {facts['supervisor']['pid']})",
    ]
    return "\n".join(lines)


def _uptime(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
