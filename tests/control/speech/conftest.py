# SPDX-License-Identifier: GPL-3.0-or-later
"""A box of one's own with engine and control, paced by the clock: what speaks needs clips and places that no other test has."""

from __future__ import annotations

import pytest

from appliance.config import Config
from tests.control.core.conftest import Rig, own, quick_config, rig

__all__ = ["Rig", "own", "rig"]


@pytest.fixture
def config() -> Config:
    """Without ALSA: on a machine that has no sequencer the box would begin by saying so."""
    config = quick_config()
    config.mappings.alsa = False
    return config
