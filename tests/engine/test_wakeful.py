# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine asks the kernel to keep the processor awake, as long as it lives."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from appliance.config import Config
from appliance.engine import wakeful
from benchmarks.boxes import EngineBox


@pytest.mark.parametrize("wanted", [True, False])
def test_an_engine_holds_the_request(tmp_path: Path, wanted: bool) -> None:
    if not os.access(wakeful.DEVICE, os.W_OK):
        pytest.skip(f"{wakeful.DEVICE} may not be written here")
    engine = EngineBox(tmp_path, Config.model_validate({"engine": {"wakeful": wanted}}))
    try:
        engine.start("clock", "")
        assert engine.process
        held = [file.readlink() for file in Path(f"/proc/{engine.process.pid}/fd").iterdir()]
        assert (wakeful.DEVICE in held) == wanted
    finally:
        engine.close()


@pytest.mark.parametrize(("driver", "longest"), [("haltpoll", 0), ("intel_idle", 2), (None, 2)])
def test_what_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str | None, longest: int) -> None:
    """In a virtual machine a core that halts is given to somebody else."""
    device, current = tmp_path / "latency", tmp_path / "driver"
    device.touch()
    if driver is not None:
        current.write_text(driver + "\n")
    monkeypatch.setattr(wakeful, "DEVICE", device)
    monkeypatch.setattr(wakeful, "_DRIVER", current)
    request = wakeful.stay_awake()
    assert request is not None and not request.closed
    assert struct.unpack("i", device.read_bytes()) == (longest,)
    request.close()


def test_where_it_may_not_ask_it_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeful, "DEVICE", tmp_path / "missing" / "latency")
    assert wakeful.stay_awake() is None
