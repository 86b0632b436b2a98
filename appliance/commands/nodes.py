# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance ls | get | send | watch``: the namespace of a running box, through its hub."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from appliance.commands.common import add_data, parse_argument, show, with_hub
from appliance.errors import ApplianceError, BadValue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    command = parser.prog.split()[-1]
    add_data(parser)
    if command == "ls":
        parser.add_argument("pattern", nargs="?", default="/*", help="address, folder or pattern ('/deck/*'); all without")
        parser.add_argument("--json", action="store_true", help="for programs")
    elif command == "get":
        parser.add_argument("addresses", nargs="+", metavar="ADDRESS")
    elif command == "send":
        parser.add_argument("address", metavar="ADDRESS")
        parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="numbers, true, false, text, JSON")
    else:
        parser.add_argument("patterns", nargs="+", metavar="PATTERN", help="address or pattern ('/pad/*')")


def run(options: argparse.Namespace) -> int:
    work = {"ls": _ls, "get": _get, "send": _send, "watch": _watch}[options.command]
    try:
        return with_hub(options, lambda hub: work(hub, options))
    except KeyboardInterrupt:
        if options.command == "watch":  # that is how it ends
            return 0
        raise


async def _ls(hub: Any, options: argparse.Namespace) -> int:
    rows = await hub.ls(options.pattern)
    if not rows:
        raise ApplianceError(f"no address fits {options.pattern!r}; `appliance ls` shows them all", status=404)
    if options.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    width = max(len(row["address"]) for row in rows)
    for row in rows:
        print(f"{row['address']:<{width}}  {_takes(row):<28} {_now(row):<14} {row.get('doc', '')}".rstrip())
    return 0


def _takes(row: dict[str, Any]) -> str:
    """What a node takes or tells, in a few words."""
    kind = str(row["kind"])
    if row.get("choices"):
        words = "|".join(row["choices"])
        return words if len(words) <= 28 else f"one of {len(row['choices'])} words"
    if row["type"] == "none":
        return kind
    if (span := row.get("range")) and kind != "state":
        return f"{span[0]:g} … {span[1]:g} {row.get('unit', '')}".rstrip()
    return "true|false" if row["type"] == "bool" else str(row["type"])


def _now(row: dict[str, Any]) -> str:
    text = show(row["value"]) if row.get("value") is not None else ""
    return text if len(text) <= 14 else text[:13] + "…"


async def _get(hub: Any, options: argparse.Namespace) -> int:
    for address in options.addresses:
        print(show(await hub.get(address)))
    return 0


async def _send(hub: Any, options: argparse.Namespace) -> int:
    from appliance.namespace import Kind, Type
    from appliance.nodes import NAMESPACE

    node = NAMESPACE.find(options.address).node
    words: list[str] = options.arguments
    arguments = words if node.type is Type.TEXT else [parse_argument(word) for word in words]
    if node.kind in (Kind.VALUE, Kind.TEXT, Kind.STATE):
        if len(arguments) != 1:
            raise BadValue(f"{options.address} takes one value, not {len(arguments)}; `appliance get` reads it")
        await hub.set(options.address, arguments[0])
        return 0
    if node.name.endswith("load") and arguments and isinstance(arguments[0], str):
        arguments[0] = _from_here(arguments[0])
    result = await hub.do(options.address, *arguments)
    if result is not None:
        print(show(result))
    return 0


def _from_here(name: str) -> str:
    """A file of the current folder by its whole path: the box stands elsewhere."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


async def _watch(hub: Any, options: argparse.Namespace) -> int:
    unread = asyncio.Event()

    def changed(address: str, value: Any) -> None:
        try:
            sys.stdout.write(f"{address} {show(value)}\n")
            sys.stdout.flush()
        except BrokenPipeError:  # must not reach the hub, which would take it for its own connection
            unread.set()

    for pattern in options.patterns:
        hub.watch(pattern, changed)
    await unread.wait()
    raise BrokenPipeError
