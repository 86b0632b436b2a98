# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as a person uses it: a process, its exit status, what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def appliance(tmp_path):
    """``appliance("send", "/pad/1/trigger")`` → ``(exit status, stdout, stderr)`` with a data folder of its own."""

    def run(*words: str, timeout_s: float = 60) -> tuple[int, str, str]:
        done = subprocess.run([sys.executable, "-m", "appliance", *words], capture_output=True, text=True, timeout=timeout_s,
                              check=False, stdin=subprocess.DEVNULL, cwd=ROOT,
                              env={**os.environ, "APPLIANCE_DATA": str(tmp_path / "data")})
        return done.returncode, done.stdout, done.stderr

    return run
