# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all tests: which of them may run side by side, that they can be interrupted, when the machine is to blame."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak.stalls import Stalls

# a shell that starts the tests in the background ignores it for all they start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CALM = {
    "brain": ("autopilot", "lines", "planner"),
    "cli": ("check",),
    "control/surfaces": ("mixxx", "profiles"),
    "engine": (
        "balance", "booth", "clickless", "clock", "clock_in", "clock_link", "clock_out", "deck_cues", "deck_loops",
        "deck_speed", "deck_sync", "decks", "exactness", "interpolation", "keylock", "limiter", "loudness", "midi_planes",
        "mixer", "pads",
        "rendering", "track_gain",
    ),
    "gen": ("conform", "live", "procedural", "request", "stock", "styles"),
    "library": ("analysis", "decode", "hearing", "store", "wavefile"),
    "project": ("project",),
    "soak": ("memory", "ramp"),
    "visuals": ("analysis", "header", "pictures", "scene"),
}
"""Folders, and the files in them whose tests only compute: nothing in them waits for a clock."""

STRICT = {
    "box": ("heard", "voice"),
    "control/core": ("inpitch", "recorder"),
    "engine": ("clock_out_jack", "jack", "jack_transport", "outputs", "server_loss", "standby"),
    "soak": ("soak",),
    "supervisor": ("audioserver", "engines", "real_box"),
}
"""Those that look at single cycles or at how soon something is done: nothing may run beside them."""


KINDS = {
    kind: {Path(__file__).parent / folder / f"test_{name}.py" for folder, names in files.items() for name in names}
    for kind, files in (("calm", CALM), ("strict", STRICT))
}  # fmt: skip


def kind_of(path: Path) -> str:
    return next((kind for kind, paths in KINDS.items() if path in paths), "waiting")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kind", choices=(*KINDS, "waiting"), help="only tests that compute, that wait, or that run alone")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files of another kind are not even read: that takes half a minute."""
    kind = config.getoption("--kind")
    return True if kind and collection_path.name.startswith("test_") and kind_of(collection_path) != kind else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if missing := sorted(str(path) for paths in KINDS.values() for path in paths if not path.exists()):
        raise pytest.UsageError(f"tests/conftest.py names files that are not there: {', '.join(missing)}")
    for item in items:
        item.add_marker(kind_of(item.path))
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    try:
        return (yield)
    finally:
        if jackgear := sys.modules.get("tests.jackgear"):  # before the fixtures end the servers
            jackgear.close_all()


TRIES = 3
LOOK_NS = 2_000_000
STILL = {True: (10.0, 0.01), False: (1000.0, 0.05)}
"""Of strict tests and of others: a core that stood still for so many ms at once, or all of them for so much of a test's time.
No process can do that to a thread above all others, only the machine: a virtual one whose cores are given to somebody else."""


class Blame:
    """A test that fails while the machine stood still has told nothing. It is tried again; when the machine stood still every
    time, it is skipped and says so. One failure while the machine was awake stays a failure."""

    def __init__(self) -> None:
        self._stalls: Stalls | None = None
        self._began_ns = 0
        self._awake: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if not self._stalls and not item.get_closest_marker("calm"):
            self._stalls = Stalls(LOOK_NS)
        self._began_ns = time.monotonic_ns()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        report = yield
        if not (report.failed and self._stalls) or item.get_closest_marker("calm"):
            return report
        late_ms = self._stalls.since(self._began_ns) / 1e6
        took_ms = (time.monotonic_ns() - self._began_ns) / 1e6 * len(os.sched_getaffinity(0))
        at_once_ms, share = STILL[item.get_closest_marker("strict") is not None]
        if not (len(late_ms) and (late_ms.max() > at_once_ms or late_ms.sum() > share * took_ms)):
            self._awake.add(item.nodeid)
        elif getattr(item, "execution_count", TRIES) >= TRIES and item.nodeid not in self._awake:
            said = getattr(getattr(report.longrepr, "reprcrash", None), "message", "").partition("\n")[0][:200]
            reason = (f"failed {TRIES} times ({said}), and each time this machine stood still: at last {len(late_ms)} times, "
                      f"{late_ms.max():.0f} ms at most, for {100 * late_ms.sum() / took_ms:.0f} % of its time")
            report.outcome, report.longrepr = "skipped", (str(item.path), item.location[1], f"Skipped: {reason}")
        return report

    def pytest_unconfigure(self) -> None:
        if self._stalls:
            self._stalls.close()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Blame())
