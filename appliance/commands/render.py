# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance render``: a file of events to a sound file, through the engine's own code."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.errors import BadValue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("events", type=Path, metavar="EVENTS.yaml", help="written by hand or by /system/events/record")
    parser.add_argument("out", type=Path, metavar="OUT.wav", help="the sound file to write")
    parser.add_argument("--frames", type=int, metavar="N", help="length; without it the file's own")


def run(options: argparse.Namespace) -> int:
    if options.frames is not None and options.frames < 1:
        raise BadValue(f"--frames takes a number of frames from 1, not {options.frames}")
    from appliance.rendering import render_file

    print(render_file(options.events, options.out, options.frames))
    return 0
