# SPDX-License-Identifier: GPL-3.0-or-later
"""A box of one's own with engine and control, paced by the clock: what speaks needs clips and places that no other test has."""

from __future__ import annotations

from tests.control.core.conftest import Rig, config, own, rig

__all__ = ["Rig", "config", "own", "rig"]
