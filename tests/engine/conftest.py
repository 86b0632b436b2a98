# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.engine.backends.offline import OfflineEngine
from appliance.errors import Unavailable
from benchmarks.boxes import EngineBox, jack_server


@pytest.fixture
def engine() -> OfflineEngine:
    """A fresh engine off line, launching at once."""
    made = OfflineEngine()
    made.set("/clock/quantize", "off")
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A JACK server with the dummy device."""
    try:
        with jack_server(f"engine-{os.getpid()}") as name:
            yield name
    except Unavailable as error:
        pytest.skip(error.message)


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
