# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance generate``: a loop from words, without a running box."""

from __future__ import annotations

from appliance.gen.cli import add_arguments, run

__all__ = ["add_arguments", "run"]
