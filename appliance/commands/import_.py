# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance import``: what others have made for a controller, as a profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from appliance.errors import Unavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", choices=("mixxx",), help="mixxx: a controller mapping of Mixxx")
    parser.add_argument("file", type=Path, metavar="FILE", help="such as NAME.midi.xml")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT.yaml", help="where the profile goes; left out: to stdout")


def run(options: argparse.Namespace) -> int:
    """The profile goes to the file or stdout, the report to stderr."""
    from appliance.control.mapping.mixxx.convert import convert, profile_text
    from appliance.control.mapping.mixxx.read import read_mixxx

    mapping = read_mixxx(options.file)
    tree, report = convert(mapping)
    text = profile_text(tree, report)
    if options.output is None:
        print(text, end="")
    else:
        try:
            options.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"{options.output}: cannot be written ({error.strerror})") from None
    print(report.text(), end="", file=sys.stderr)
    return 0
