# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance pair``: who is paired and who asks, from the box's own machine."""

from __future__ import annotations

import argparse
import time
from typing import Any

from appliance.commands.common import add_data, with_hub


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="devices that wait, with their codes, and devices that are paired (without ACTION, too)")
    for name, text in (("confirm", "let in a device that waits; it still has to type its code"),
                       ("refuse", "send away a device that waits")):
        action = actions.add_parser(name, help=text)
        action.add_argument("device", nargs="?", default="", metavar="ID", help="id or name; none when only one device waits")
    revoke = actions.add_parser("revoke", help="end a pairing")
    revoke.add_argument("device", metavar="ID", help="id or name of a paired device, or all")


def run(options: argparse.Namespace) -> int:
    match options.action:
        case "confirm":
            print(f"{_do(options, '/access/approve')} is confirmed")
        case "refuse":
            print(f"{_do(options, '/access/refuse')} was sent away")
        case "revoke":
            names = _do(options, "/access/revoke")
            print(f"not paired any more: {', '.join(names)}" if names else "no device was paired")
        case _:
            print(with_hub(options, _table))
    return 0


def _do(options: argparse.Namespace, address: str) -> Any:
    return with_hub(options, lambda hub: hub.do(address, *([options.device] if options.device else [])))


async def _table(hub: Any) -> str:
    waiting, paired = await hub.get("/access/requests") or [], await hub.do("/access/list")
    now = time.time()
    lines = [f"waits   {_who(r)}  {_step(r)}, {max(r['until'] - now, 0):.0f} s left" for r in waiting]
    lines += [f"paired  {_who(d)}  since {_day(d['created'])}, seen {_day(d['seen'])}" for d in paired]
    return "\n".join(lines) or "no device is paired, and none waits"


def _who(row: dict[str, Any]) -> str:
    return f"{row['id']:<8}  {row['name']:<24} {row['host']:<15} {row['scope']:<5}"


def _step(request: dict[str, Any]) -> str:
    if not request["typed"]:
        return f"code {request['code'][:3]} {request['code'][3:]}" + (", confirmed" if request["confirmed"] else "")
    return "code typed, confirmed" if request["confirmed"] else "code typed, to be confirmed"


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
