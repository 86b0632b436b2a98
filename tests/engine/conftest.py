# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.engine.backends.offline import OfflineEngine
from benchmarks.boxes import EngineBox
from tests.servers import jack_or_skip


@pytest.fixture
def engine() -> OfflineEngine:
    """A fresh engine off line, launching at once."""
    made = OfflineEngine()
    made.set("/clock/quantize", "off")
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A JACK server with the dummy device."""
    with jack_or_skip("engine") as name:
        yield name


@pytest.fixture
def live(server: str, tmp_path: Path) -> Iterator[EngineBox]:
    """An engine on that server, launching at once, connected to nothing."""
    made = EngineBox(tmp_path / "data")
    made.box.config.audio.connect = False
    try:
        made.box.values.set("/clock/quantize", "off")
        made.start("jack", server)
        yield made
    finally:
        made.close()
