# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose OSC is taken, in all: what the config lists may everything, who is paired may what it is paired to."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.control.access.osc import OscAccess
from appliance.control.osc.gate import ListGate


class Doors:
    """The gate of the OSC servers (:class:`appliance.control.osc.gate.Gate`)."""

    def __init__(self, allow: Iterable[str], paired: OscAccess) -> None:
        self._listed = ListGate(allow)
        self._paired = paired

    def may(self, host: str, address: str, writing: bool) -> bool:
        return self._listed.may(host, address, writing) or self._paired.may(host, address, writing)

    def hello(self, host: str, token: str, port: int) -> str:
        """A listed host needs no token."""
        return "" if self._listed.may(host, "/hello", False) else self._paired.hello(host, token, port)
