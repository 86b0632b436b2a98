# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m benchmarks``: the same as ``appliance bench``."""

import sys

from appliance.cli import main

raise SystemExit(main(["bench", *sys.argv[1:]]))
