# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a server may call nobody before it counts as hung."""

from __future__ import annotations

import pytest

from appliance.supervision.listening import Heard, Listener

STEP_S = 0.02


def after(listener: Listener, engines: list[str], *, called: bool, seconds: float = 5.0, cycles: int = 1000) -> float | None:
    """Seconds until it counts as hung while these engines are there; None when it does not."""
    for step in range(round(seconds / STEP_S)):
        heard = [Heard(name, 1, cycles + (step if called else 0), inside=False) for name in engines]
        if listener.hangs(heard, STEP_S):
            return (step + 1) * STEP_S
    return None


@pytest.fixture
def listener() -> Listener:
    """Both engines have been called for a while."""
    made = Listener()
    made.begin()
    assert after(made, ["engine-a", "engine-b"], called=True, seconds=3.0, cycles=0) is None
    return made


def test_nobody_is_called(listener: Listener) -> None:
    assert after(listener, ["engine-a", "engine-b"], called=False) == pytest.approx(1.0, abs=0.05)


def test_one_engine_has_died_and_the_other_is_not_called(listener: Listener) -> None:
    assert after(listener, ["engine-b"], called=False) == pytest.approx(0.3, abs=0.05)


def test_one_engine_has_died_and_the_other_is_called(listener: Listener) -> None:
    assert after(listener, ["engine-b"], called=True) is None
    assert after(listener, ["engine-b"], called=False, cycles=9000) == pytest.approx(1.0, abs=0.05), "long after that"


def test_one_that_hangs_again_and_again_is_waited_for_longer(listener: Listener) -> None:
    assert after(listener, ["engine-b"], called=False) == pytest.approx(0.3, abs=0.05)
    listener.begin()
    assert after(listener, ["engine-a", "engine-b"], called=True, seconds=1.0, cycles=0) is None
    assert after(listener, ["engine-b"], called=False) == pytest.approx(2.0, abs=0.05)
