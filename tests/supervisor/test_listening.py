# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a server may call nobody before it counts as hung."""

from __future__ import annotations

import pytest

from appliance.bus.layout import KNOCKS
from appliance.supervision.listening import DOOR_S, Heard, Listener

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


def shut_out(listener: Listener, ready: list[str], seconds: float) -> float | None:
    """Seconds until the server counts as hung while a new engine knocks and these are called."""
    for step in range(round(seconds / STEP_S)):
        heard = [Heard(name, 1, 5000 + step, inside=False) for name in ready]
        if said := listener.hangs([*heard, Heard("engine-c", KNOCKS, 0, inside=False)], STEP_S):
            assert "no engine in" in said
            return (step + 1) * STEP_S
    return None


def test_a_server_that_lets_nobody_in_hangs_when_nobody_is_there(listener: Listener) -> None:
    assert shut_out(listener, [], 10.0) == pytest.approx(DOOR_S, abs=0.05)
    listener.begin()
    assert after(listener, [], called=False) is None, "nobody asks for anything"


def test_while_an_engine_plays_it_may_shut_others_out_but_not_when_that_dies(listener: Listener) -> None:
    assert shut_out(listener, ["engine-a"], 20.0) is None
    assert shut_out(listener, [], 10.0) == pytest.approx(STEP_S), "it has waited long enough"


def test_one_that_was_let_in_late_has_been_let_in(listener: Listener) -> None:
    assert shut_out(listener, [], 0.8 * DOOR_S) is None
    assert after(listener, ["engine-a"], called=True) is None
    assert shut_out(listener, [], 0.8 * DOOR_S) is None
