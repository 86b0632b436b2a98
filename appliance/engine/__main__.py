# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m appliance.engine --box PATH --engine a --backend jack --server NAME``: what the supervisor starts."""

from __future__ import annotations

import argparse
import logging
import os
import sys


def run() -> int:
    parser = argparse.ArgumentParser(prog="appliance.engine")
    parser.add_argument("--box", required=True)
    parser.add_argument("--engine", choices=("a", "b"), default="a")
    parser.add_argument("--backend", choices=("jack", "clock"), default="jack")
    parser.add_argument("--server", default="default")
    parser.add_argument("--safe", type=int, default=0, metavar="N",
                        help="1: without the clips of the last two minutes, 2: without all that are there now")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    from appliance.engine.process import main

    return main(args.box, args.engine, args.backend, args.server, safe=args.safe)


if __name__ == "__main__":
    status = run()
    sys.stderr.flush()
    os._exit(status)  # compiled code is still mapped in JACK's threads: no teardown of the interpreter around it
