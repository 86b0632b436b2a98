# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine whose shared memory is full: a clip is refused in plain words, and nobody dies of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.bus.layout import BOX
from appliance.errors import ApplianceError

INSIDE = "SHORT_SHARED_MEMORY"
ROOM_MB = 64 + BOX.itemsize // 1_000_000
"""For the box and three clips of 21 MB."""


@pytest.mark.skipif(INSIDE in os.environ, reason="this one is the outside")
def test_in_a_machine_with_little_of_it() -> None:
    """The test below, where /dev/shm is a small file system of its own."""
    script = f"mount -t tmpfs -o size={ROOM_MB}M tmpfs /dev/shm && exec \"$@\""
    outside = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if os.geteuid() != 0 or subprocess.run([*outside, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small /dev/shm")
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [*outside, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__], cwd=root, check=False,
        env={**os.environ, INSIDE: "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-4000:] + done.stderr[-1000:]


@pytest.mark.skipif(INSIDE not in os.environ, reason="runs inside the one above")
async def test_the_oldest_unused_goes_then_pads_are_refused_and_decks_stream(own, tmp_path) -> None:
    more = {"seconds": 55, "rate": 8000, "channels": 1}
    files = [own.write_loop(tmp_path / f"{n}.wav", hz=100 + n, **more) for n in range(5)]
    engine, control = own.children["engine-a"], own.children["control"]
    async with own.client() as hub:
        for file in files:  # one pad: those before are unused, and give way
            await hub.do("/pad/1/load", str(file))
        await hub.do("/pad/1/trigger")
        for pad in (2, 3):
            await hub.do(f"/pad/{pad}/load", str(files[pad]))
        with pytest.raises(ApplianceError) as caught:
            await hub.do("/pad/4/load", str(files[0]))
        assert caught.value.status == 503
        for words in ("0.wav", "no shared memory left for 21 MB", "/pad/1: 4.wav 21 MB"):
            assert words in caught.value.message, caught.value.message
        await hub.do("/deck/1/load", str(files[0]))
        assert "plays from the disk" in await own.said("memory for clips is short")
        await hub.do("/pad/2/clear")
        await hub.do("/pad/4/load", str(files[1]))
        await own.until(lambda: int(own.pad(0)["state"]) == 3, "the first pad, that still plays")
    assert engine.poll() is None and control.poll() is None
    assert "Traceback" not in own.log()
