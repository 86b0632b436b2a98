# SPDX-License-Identifier: GPL-3.0-or-later
"""Whenever an engine is killed, what it has committed is whole, and the next one goes on from it as if nothing had happened."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def killed(times: int, seed: int) -> dict[str, int]:
    done = subprocess.run([sys.executable, "-m", "tests.engine.torn", str(times), str(seed)], capture_output=True, text=True,
                          check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_killed_engine_leaves_a_whole_state() -> None:
    found = killed(100, 1)
    assert (found["kills"], found["torn"]) == (100, 0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_thousand_killed_engines_leave_whole_states(seed: int) -> None:
    found = killed(100, seed)
    print(found)
    assert found["torn"] == 0
