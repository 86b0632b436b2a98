# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all tests: which of them may run side by side, and that they can be interrupted."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

# a shell that starts the tests in the background ignores it for all they start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CALM = {
    "cli": ("check",),
    "control/surfaces": ("mixxx", "profiles"),
    "engine": (
        "balance", "booth", "clickless", "clock", "clock_in", "clock_link", "clock_out", "deck_cues", "deck_loops",
        "deck_speed", "deck_sync", "decks", "exactness", "interpolation", "keylock", "limiter", "loudness", "midi_planes",
        "mixer", "pads",
        "rendering", "track_gain",
    ),
    "gen": ("conform", "procedural", "request"),
    "library": ("analysis", "decode", "store", "wavefile"),
    "project": ("project",),
    "soak": ("memory",),
    "visuals": ("analysis", "header", "pictures", "scene"),
}
"""Folders, and the files in them whose tests only compute: nothing in them waits for a clock."""

STRICT = {
    "box": ("heard", "voice"),
    "control/core": ("inpitch", "link", "recorder"),
    "engine": ("clock_out_jack", "jack", "jack_transport", "outputs", "server_loss", "standby"),
    "soak": ("ramp", "soak"),
    "supervisor": ("audioserver", "engines", "listening", "real_box", "safe_form", "watching"),
}
"""Those that look at single cycles or at how soon something is done: nothing may run beside them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for marker, files in (("calm", CALM), ("strict", STRICT)):
        paths = {here / folder / f"test_{name}.py" for folder, names in files.items() for name in names}
        if missing := sorted(str(path) for path in paths if not path.exists()):
            raise pytest.UsageError(f"tests/conftest.py names files that are not there: {', '.join(missing)}")
        for item in items:
            if item.path in paths:
                item.add_marker(marker)
