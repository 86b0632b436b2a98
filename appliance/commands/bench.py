# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench``: figures of this machine, each against a limit or a peer. The benchmarks stand beside the package in
the checkout; an installed wheel does not carry them."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from appliance.errors import BadValue, Unavailable

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
NO_BENCH = ("__init__", "__main__", "report")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME|all", help=f"{', '.join(_names()) or 'needs a checkout'}, or all")
    parser.add_argument("--json", action="store_true", help="for programs: one object a line")


def run(options: argparse.Namespace) -> int:
    """Exit status 0 when every figure keeps its limit, 1 when one does not."""
    names = _names()
    if not (FOLDER / "report.py").is_file():
        raise Unavailable("the benchmarks are no part of an installed package; run it from a checkout (`make bench`)")
    if options.name != "all" and options.name not in names:
        raise BadValue(f"there is no benchmark {options.name!r}; it is one of {', '.join(names)}, all")
    sys.path.insert(0, str(FOLDER.parent))
    report: Any = import_module("benchmarks.report")
    facts = report.machine()
    kept = True
    for name in names if options.name == "all" else [options.name]:
        rows = [row if isinstance(row, report.Row) else report.Row(**row) for row in import_module(f"benchmarks.{name}").rows()]
        print(json.dumps(report.as_json(name, facts, rows), ensure_ascii=False) if options.json else report.table(name, rows))
        sys.stdout.flush()
        kept = kept and all(row.kept for row in rows)
    if not options.json:
        print(f"\non {facts['cpu']}, {facts['cores']} cores{', virtual' if facts['virtual'] else ''}, "
              f"kernel {facts['kernel']}, Python {facts['python']}, load {facts['load']}")
    return 0 if kept else 1


def _names() -> list[str]:
    """Modules that have ``rows()``; those that help them have not."""
    return sorted(path.stem for path in FOLDER.glob("*.py")
                  if path.stem not in NO_BENCH and "\ndef rows(" in path.read_text(encoding="utf-8"))
