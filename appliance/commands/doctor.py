# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance doctor``: this machine, judged as a place to play on."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.commands.common import add_data, data_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--config", type=Path, metavar="FILE", help="the settings that `run` will be given")


def run(options: argparse.Namespace) -> int:
    """Exit status 1 when something keeps the box from playing; what only limits it is told and counts as good."""
    from appliance.config import load_config
    from appliance.doctor import Grade, examine

    findings = examine(data_folder(options), load_config(options.config))
    for finding in findings:
        print(finding)
    return 1 if any(finding.grade is Grade.BAD for finding in findings) else 0
