# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance monitor``: every message of every controller, the line of the profile that counted, and what came of it, live."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from appliance.commands.common import add_data, show, with_hub

_KINDS = {0x80: "note off", 0x90: "note", 0xA0: "pressure", 0xB0: "cc", 0xC0: "program", 0xD0: "pressure", 0xE0: "bend"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("device", nargs="?", default="", help="part of the name of a port or profile; all without")
    parser.add_argument("--json", action="store_true", help="for programs: an object a line")
    parser.add_argument("--unmapped", action="store_true", help="only what no line of a profile took")


def run(options: argparse.Namespace) -> int:
    try:
        return with_hub(options, lambda hub: _monitor(hub, options))
    except KeyboardInterrupt:  # that is how it ends
        return 0


async def _monitor(hub: Any, options: argparse.Namespace) -> int:
    unread = asyncio.Event()
    wanted, expected = str(options.device).lower(), 0

    def told(number: int, line: dict[str, Any]) -> None:
        nonlocal expected
        lost, expected = (number - expected if 0 < expected < number else 0), number + 1
        if wanted not in f"{line['device']} {line['profile']}".lower() or (options.unmapped and line["results"]):
            return
        try:
            if lost and not options.json:
                print(f"… {lost} messages were too quick to show")
            print(json.dumps(line, ensure_ascii=False) if options.json else text(line))
            sys.stdout.flush()
        except BrokenPipeError:  # must not reach the hub, which would take it for its own connection
            unread.set()

    hub.monitor(told)
    if not options.json:
        print("move a control (Ctrl-C ends)", file=sys.stderr)
    await unread.wait()
    raise BrokenPipeError


def text(line: dict[str, Any]) -> str:
    """One line for a person: who, what it sent, which control that is, which binding counted, what came of it."""
    device = str(line["device"]).rpartition(":")[2] or line["device"]
    head = f"{device[:18]:<18} {line['data']:<9}{message(line['data']):<16}"
    control = line["control"] + (f" = {line['place']:.3g}" if line["place"] is not None else "")
    where = f"{Path(line['file']).name}:{line['line']} {line['binding']}" if line["line"] else ""
    came = "; ".join(_result(result) for result in line["results"])
    if line["note"]:
        came = f"{came} ({line['note']})" if came else line["note"]
    if line["proposal"]:
        came += f"; a profile could say:  {line['proposal']}"
    return f"{head} {control:<18} {where + '  ' if where else ''}{'→ ' if line['results'] else '· '}{came}".rstrip()


def message(data: str) -> str:
    """``cc 7 ch 1``"""
    status, data1, _ = (int(byte, 16) for byte in data.split())
    kind = status & 0xF0
    number = "" if kind in (0xD0, 0xE0) else f" {data1}"
    return f"{_KINDS.get(kind, 'message')}{number} ch {(status & 15) + 1}"


def _result(result: dict[str, Any]) -> str:
    value = "" if result["value"] is None else f" = {show(result['value'])}"
    match result["state"]:
        case "waits":
            return f"{result['address']} stays{value}: {result['why']}"
        case "refused":
            return f"{result['address']} REFUSED: {result['why']}"
        case "nothing":
            return f"{result['address']}: {result['why']}"
        case _:
            return f"{result['address']}{value}"
