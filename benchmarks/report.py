# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of figures, the machine they were measured on, and both as a table or as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure. ``limit`` is the most it may be (``at_least``: the least); ``peer`` what something comparable took in the
    same run."""

    id: str
    value: float
    unit: str
    limit: float | None = None
    peer: float | None = None
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether the limit, if there is one, is kept."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "value": _short(self.value), "unit": self.unit, "limit": self.limit,
                "peer": None if self.peer is None else _short(self.peer)}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 1e6, 1),
        "virtual": "hypervisor" in (_field("/proc/cpuinfo", "flags") or "").split(),
        "sound_card": any(Path("/proc/asound").glob("card[0-9]*")),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: found for name in ("numpy", "numba", "JACK-Client", "moderngl") if (found := _version(name))},
        "load": round(os.getloadavg()[0], 2),
    }


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def as_json(bench: str, facts: dict[str, Any], rows: Iterable[Row]) -> dict[str, Any]:
    """The form that programs read."""
    return {"bench": bench, "machine": facts, "rows": [row.as_json() for row in rows]}


def table(bench: str, rows: Sequence[Row]) -> str:
    """The form that people read; a figure beyond its limit is marked."""
    lines = [f"{bench}", f"  {'':<36} {'measured':>12} {'limit':>12} {'peer':>12}"]
    for row in rows:
        limit = "" if row.limit is None else f"{'≥' if row.at_least else '≤'} {row.limit:g}"
        peer = "" if row.peer is None else f"{row.peer:.4g}"
        mark = "" if row.kept else "  BEYOND ITS LIMIT"
        lines.append(f"  {row.id:<36} {row.value:>12.4g} {limit:>12} {peer:>12}  {row.unit}{mark}")
    return "\n".join(lines)
