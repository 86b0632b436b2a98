# SPDX-License-Identifier: GPL-3.0-or-later
"""What several commands share: the data folder, the hub, values in and out as text."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from appliance.config import default_data_folder
from appliance.errors import Unavailable

Result = TypeVar("Result")

CONNECT_S = 3.0
"""Control may be starting again; it is back within two seconds."""


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=None, metavar="DIR",
                        help="data folder of the box (the user's, or what APPLIANCE_DATA names)")


def data_folder(options: argparse.Namespace) -> Path:
    chosen: Path | None = options.data
    return (chosen or default_data_folder()).expanduser().resolve()


def with_hub(options: argparse.Namespace, work: Callable[[Any], Awaitable[Result]]) -> Result:
    """Do ``work(hub client)`` with the box in the data folder. Raises :class:`Unavailable` when none runs there."""
    from appliance.bus.box import hub_path
    from appliance.bus.hub import HubClient

    data = data_folder(options)
    if not (data / "run" / "box.json").exists():
        raise Unavailable(f"no box runs with the data folder {data}; start one with `appliance run`")

    async def connected() -> Result:
        hub = HubClient(hub_path(data), name="command line")
        await hub.start()
        try:
            await hub.connected(CONNECT_S)
            return await work(hub)
        finally:
            await hub.stop()

    return asyncio.run(connected())


def parse_argument(text: str) -> Any:
    """A word of the command line as a value: JSON where it is JSON (``1``, ``true``, ``[1, 2]``, ``"1"``), else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def show(value: Any) -> str:
    """A value for a person: text plainly, numbers short, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False)
