# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance export``: a surface for another program, as a file."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

from appliance.errors import Unavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from appliance.layouts.render import KINDS, LISTEN, PORT

    parser.add_argument("kind", choices=KINDS, help="the program that the layout is for")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where it goes; left out: here, under its own name")
    parser.add_argument("--host", default="", help="where the box is found (default: this machine's name)")
    parser.add_argument("--port", type=int, default=PORT, help="the box's OSC port (default: %(default)s)")
    parser.add_argument("--token", default="", help="what pairing gave you; goes into the layout")
    parser.add_argument("--listen", type=int, default=LISTEN, help="the port that TouchOSC listens on (default: %(default)s)")
    parser.add_argument("--portrait", action="store_true", help="for a tablet that stands upright")


def run(options: argparse.Namespace) -> int:
    """Writes the file and prints its name."""
    from appliance.layouts.render import render

    host = options.host or f"{socket.gethostname().split('.')[0] or 'localhost'}.local"
    content, name = render(options.kind, host, options.port, options.token, listen=options.listen, portrait=options.portrait)
    path = options.output or Path(name)
    if path.is_dir():
        path /= name
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Unavailable(f"{path}: cannot be written ({error.strerror})") from None
    print(path)
    return 0
