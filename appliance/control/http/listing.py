# SPDX-License-Identifier: GPL-3.0-or-later
"""Long listings, made in pieces: a listing of everything takes 50 ms and must not hold up a touch."""

from __future__ import annotations

import asyncio
from typing import Any

from appliance.control.access.visitor import Visitor
from appliance.control.desk import Desk, matching

AT_ONCE = 50


async def describe_all(desk: Desk, pattern: str, visitor: Visitor) -> list[dict[str, Any]]:
    """Descriptions of all addresses that match a pattern or stand below a prefix and that the visitor may know; the loop gets
    its turn between."""
    listed: list[dict[str, Any]] = []
    for count, name in enumerate(matching(pattern), 1):
        if visitor.local or not desk.find(name).node.private:
            listed.append(desk.describe(name))
        if count % AT_ONCE == 0:
            await asyncio.sleep(0)
    return listed
