# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m appliance.gen --box PATH``: the gen process, started by the supervisor."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from appliance.bus.box import Box
from appliance.errors import ApplianceError
from appliance.gen.process import main

parser = argparse.ArgumentParser(prog="python -m appliance.gen")
parser.add_argument("--box", type=Path, required=True, help="the box.json of a running box")
parser.add_argument("--safe", type=int, default=0, metavar="N", help="1: the embedded generator only")
options = parser.parse_args()
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="gen: %(message)s")
try:
    asyncio.run(main(Box.attach(options.box, "gen"), safe=bool(options.safe)))
except ApplianceError as error:
    sys.exit(f"gen: {error.message}")
