# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engines' words tell of the audio server: whether it still calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from appliance.bus.layout import KNOCKS

UNCALLED_S = 1.0
BEREFT_S = 0.3
"""The same right after the death of an engine: then the server sometimes calls nobody any more, and the other one waits."""
MOURNING_S = 2.0
FIRST_CALL_S = 3.0
"""The engines need a moment to come to a new server."""
DOOR_S = 3.0
"""A new engine asks the server to be let in, which takes it some tenths of a second."""
LONGEST_S = 30.0


class Heard(NamedTuple):
    """Words of an engine that is ready, or knocks. ``server`` is 0 while it paces itself; ``inside`` a block it is at work
    itself."""

    name: str
    server: int
    cycles: int
    inside: bool


class Listener:
    """One server, from the moment on that it is there; times count while the supervisor was awake itself."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        self._patience_s = UNCALLED_S
        self._cycles: dict[str, int] = {}
        self._told = self._called = False
        self._mourning_s = 0.0
        self._knocked_s = 0.0
        self._ready = 0

    def begin(self) -> None:
        """There is a new server."""
        self.waited_s = 0.0
        self._cycles = {}
        self._told = self._called = False
        self._mourning_s = self._knocked_s = 0.0

    def forgive(self) -> None:
        """It was well for long: the next that hangs is not waited for longer than the first."""
        self._patience_s = UNCALLED_S

    def lost(self, engines: Sequence[Heard], awake_s: float) -> bool:
        """Whether all engines pace themselves: those that were on it have left it, or none has reached it for long."""
        engines = _ready(engines)
        if not engines or any(engine.server for engine in engines):
            self._told = self._told or bool(engines)
            self.waited_s = 0.0
            return False
        self.waited_s += awake_s
        if not self._told:
            if self.waited_s <= max(self._patience_s, FIRST_CALL_S):
                return False
            self._patience_s = min(2 * self._patience_s, LONGEST_S)
        self._told, self.waited_s = False, 0.0
        return True

    def hangs(self, engines: Sequence[Heard], awake_s: float) -> str:
        """What the server does not do any more, nothing while it does; each time it is waited for longer."""
        ready = _ready(engines)
        if self._shuts_out(len(ready), len(engines) > len(ready), awake_s):
            return f"has let no engine in for {self._knocked_s:.1f} s"
        self._told = self._told or any(engine.server for engine in ready)
        called = [engine for engine in ready if engine.server or not self._told]
        moved = any(engine.inside or engine.cycles != self._cycles.get(engine.name) for engine in called)
        if moved and self._cycles:
            self._called = True
        self._mourning_s = max(self._mourning_s - awake_s, 0.0)
        if self._cycles.keys() - {engine.name for engine in ready}:
            self._mourning_s = MOURNING_S
        self._cycles = {engine.name: engine.cycles for engine in ready}
        self.waited_s = 0.0 if moved or not ready else self.waited_s + awake_s
        patience_s = self._patience_s if self._called else max(self._patience_s, FIRST_CALL_S)
        if self._called and self._mourning_s > 0.0 and self._patience_s == UNCALLED_S:
            patience_s = BEREFT_S
        if self.waited_s <= patience_s:
            return ""
        self._patience_s = min(2 * self._patience_s, LONGEST_S)
        return f"has called no engine for {self.waited_s:.1f} s"

    def _shuts_out(self, ready: int, knocking: bool, awake_s: float) -> bool:
        """Whether it lets nobody in and nobody is there. While one engine plays on it, it may be as it is."""
        if ready > self._ready:
            self._knocked_s = 0.0
        self._ready = ready
        if knocking:
            self._knocked_s += awake_s
        if ready or not knocking or self._knocked_s <= max(self._patience_s, DOOR_S):
            return False
        self._patience_s = min(2 * self._patience_s, LONGEST_S)
        return True


def _ready(engines: Sequence[Heard]) -> list[Heard]:
    return [engine for engine in engines if engine.server != KNOCKS]
