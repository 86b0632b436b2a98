# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.boxes import EngineBox


@pytest.fixture
def running(tmp_path: Path) -> Iterator[EngineBox]:
    """A box with a real engine process, paced by the clock."""
    made = EngineBox(tmp_path / "data")
    try:
        made.start()
        yield made
    finally:
        made.close()
