# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance check``: files that a person wrote, before they reach a stage."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE",
                        help="config, profile, session, events (.yaml) or scene (.fs); the content tells which")


def run(options: argparse.Namespace) -> int:
    """Findings go to stderr, good files to stdout; exit status 0 only when all are good."""
    from appliance.check import check_file

    bad = False
    for path in options.files:
        kind, findings = check_file(path)
        for finding in findings:
            print(finding, file=sys.stderr)
        if all(finding.warning for finding in findings):
            print(f"{path}: good ({kind})")
        else:
            bad = True
    return 1 if bad else 0
