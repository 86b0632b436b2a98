# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m appliance.visuals --box PATH`: the supervisor starts it."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from appliance.errors import ApplianceError


def main() -> int:
    parser = argparse.ArgumentParser(prog="appliance.visuals", description="Draws the picture of a running box.")
    parser.add_argument("--box", type=Path, required=True, help="box.json in the run folder of the box's data folder")
    parser.add_argument("--safe", type=int, default=0, metavar="N", help="1: the logo, until another scene is chosen")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    from appliance.visuals.process import run

    try:
        return run(options.box, safe=bool(options.safe))
    except ApplianceError as error:
        logging.getLogger(__name__).error("visuals: %s", error.message)
        return 1


if __name__ == "__main__":
    sys.exit(main())
