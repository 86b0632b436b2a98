# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m appliance``: the command line."""

from appliance.cli import main

raise SystemExit(main())
