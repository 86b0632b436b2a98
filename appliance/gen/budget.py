# SPDX-License-Identifier: GPL-3.0-or-later
"""When the box may work ahead of what is wanted: not on battery, not while the engine is busy or the disk nearly full, and for
a share of one core at most."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from appliance.bus.box import Box

BUSY_PCT = 60.0
"""Of the period: an engine that works longer is left alone, and one that has just been late."""
LATE_REST_S = 10.0
LEAST_FREE_MB = 1024
LOOK_S = 1.0
_SUPPLIES = Path("/sys/class/power_supply")


class Budget:
    """``share`` of one core, 0…1. ``supplies``: where the system tells of batteries (Linux, sysfs)."""

    def __init__(self, box: Box, share: float, supplies: Path = _SUPPLIES) -> None:
        self._box = box
        self._share = share
        self._supplies = supplies
        self._rest_until_s = 0.0
        self._overruns = 0
        self._looked_s = -LOOK_S
        self._refusal = ""

    def used(self, took_s: float) -> None:
        """So long was worked; it is paid for with rest."""
        self._rest_until_s = max(self._rest_until_s, time.monotonic() + took_s * (1.0 / max(self._share, 0.01) - 1.0))

    def wait_s(self) -> float:
        """Seconds until there may be work again; not less than a look's worth while something forbids it."""
        rest = max(self._rest_until_s - time.monotonic(), 0.0)
        return max(rest, LOOK_S) if self._refusal else rest

    def refusal(self) -> str:
        """Why nothing may be made ahead at the moment; empty: it may."""
        now = time.monotonic()
        if now - self._looked_s >= LOOK_S:
            self._looked_s = now
            self._refusal = self._look(now)
        return self._refusal

    def _look(self, now: float) -> str:
        if self._share <= 0.0:
            return "off"
        system: Any = self._box.telemetry.snapshot()["system"]
        load, overruns = float(system["load_pct"]), int(system["overruns"])
        if overruns > self._overruns:
            self._rest_until_s = max(self._rest_until_s, now + LATE_REST_S)
        self._overruns = overruns
        if load > BUSY_PCT:
            return "the engine is busy"
        if self._on_battery():
            return "on battery"
        if shutil.disk_usage(self._box.data).free < LEAST_FREE_MB * 2**20:
            return "the disk is nearly full"
        return ""

    def _on_battery(self) -> bool:
        try:
            return any(file.read_text().strip() == "Discharging" for file in self._supplies.glob("*/status"))
        except OSError:  # one that was pulled while it was read
            return False
