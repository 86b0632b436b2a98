# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asking, and what the declarations let them do."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.control.access.store import Device
from appliance.errors import ApplianceError
from appliance.namespace import Node, Scope


def allowed(node: Node, scope: Scope | None, *, writing: bool) -> bool:
    """Whether a device of another machine may: the one rule that HTTP, WebSocket and OSC share."""
    if scope is None:
        return False
    return scope.covers(node.scope if writing else Scope.PLAY) and not node.private


@dataclass(frozen=True)
class Visitor:
    """One who speaks to the box over HTTP. On this machine everything is allowed; else it takes a device that is paired."""

    host: str
    local: bool = False
    device: Device | None = None

    @property
    def known(self) -> bool:
        return self.local or self.device is not None

    def require_known(self) -> None:
        """Raises 401 for a stranger."""
        if not self.known:
            raise ApplianceError(f"this device ({self.host}) is not paired with the box: open /pair in its browser, or send "
                                 "the token that it was given (Authorization: Bearer …)", status=401)

    def require(self, node: Node, address: str, *, writing: bool) -> None:
        """Raises 401 for a stranger, 403 for what its scope does not cover."""
        self.require_known()
        if self.local or self.device is None or allowed(node, self.device.scope, writing=writing):
            return
        if node.private:
            raise ApplianceError(f"{address} is told on the box itself only", status=403)
        raise ApplianceError(f"{address} needs the scope {node.scope}; {self.device.name} is paired to {self.device.scope}: "
                             "pair it again with more", status=403)
