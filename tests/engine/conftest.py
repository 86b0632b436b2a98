# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from appliance.engine.backends.offline import OfflineEngine


@pytest.fixture
def engine() -> OfflineEngine:
    """A fresh engine off line, launching at once."""
    made = OfflineEngine()
    made.set("/clock/quantize", "off")
    return made
