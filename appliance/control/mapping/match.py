# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port belongs to which profile, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from appliance.control.mapping.profile import Device, DeviceKind


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """``*`` is anything; a space is also the dash or underscore that audio servers put in its place."""
    parts = ("[ _-]".join(re.escape(word) for word in re.split("[ _-]", part)) for part in pattern.split("*"))
    return re.compile(".*?".join(parts), re.IGNORECASE)


def matches(patterns: Iterable[str], names: Iterable[str]) -> int:
    """How well a port with these names (its own and its aliases) fits: the length of the longest pattern found, or 0."""
    names = tuple(names)
    return max((len(p) for p in patterns if any(_compiled(p).search(name) for name in names)), default=0)


def fits(device: Device, names: Iterable[str], *, output: bool = False) -> int:
    """How well a port fits the device (its lamps' port with ``output``); 0 when it is another's, or left out by name."""
    names = tuple(names)
    if matches(device.exclude, names):
        return 0
    return matches(device.output if output and device.output else device.match, names)


def claims(first: Device, second: Device) -> str:
    """What both devices claim, in words, or nothing. A longer pattern that contains a shorter one does not count as a clash:
    the longer one wins."""
    if first.fallback and second.fallback:
        return "every port that no profile claims"
    if first.kind is not second.kind or first.kind is DeviceKind.OSC:
        return ""  # programs may share a host: what they send tells them apart
    if usb := set(first.usb) & set(second.usb):
        return f"the device {min(usb)}"
    mine = {pattern.lower() for pattern in first.match}
    return ", ".join(repr(p) for p in second.match if p.lower() in mine)
