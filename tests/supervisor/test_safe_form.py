# SPDX-License-Identifier: GPL-3.0-or-later
"""What crashes again and again starts in its safe form, and in its normal one when it has been well for long."""

from __future__ import annotations

import os
import signal

from appliance.supervision.safety import HEALTHY_S, WITHIN_S, Safety

from .conftest import until


def test_three_crashes_within_a_minute():
    safety = Safety(3)
    assert not safety.crashed(0.0)
    assert not safety.crashed(1.0)
    assert not safety.crashed(WITHIN_S + 0.5), "the first is too long ago"
    assert safety.crashed(WITHIN_S + 0.9)
    assert safety.level == 1
    assert not any(safety.crashed(100.0 + second) for second in range(9)), "there is no safer form"


def test_a_second_form_and_the_way_back():
    safety = Safety(3, deepest=2)
    assert [safety.crashed(float(second)) for second in range(6)] == [False, False, True, False, False, True]
    assert safety.level == 2
    assert not safety.recover(5.0 + HEALTHY_S - 1)
    assert safety.recover(5.0 + HEALTHY_S) and safety.level == 0
    assert not safety.crashed(2000.0), "it begins anew"


def test_it_can_be_switched_off():
    safety = Safety(0)
    assert not any(safety.crashed(float(second)) for second in range(9))


def crash(running, name: str, by: int = signal.SIGSEGV) -> None:
    old = running.pid(name)
    os.kill(old, by)
    running.back(name, old)


def test_a_process_that_crashes_three_times_starts_in_its_safe_form(start):
    running = start()
    running.ready()
    until(lambda: running.box.process("gen")["beat_ns"])
    for _ in range(2):
        crash(running, "gen")
    assert int(running.box.process("gen")["safe"]) == 0
    crash(running, "gen")
    assert int(running.box.process("gen")["safe"]) == 1
    assert "gen has crashed 3 times within a minute and now starts in a safe form: the embedded generator only" in running.said
    until(lambda: "gen has started --safe 1" in running.said, what=running.said)
    assert int(running.box.process("control")["safe"]) == 0


def test_what_somebody_kills_has_not_crashed(start):
    running = start()
    running.ready()
    until(lambda: running.box.process("gen")["beat_ns"])
    for _ in range(4):
        crash(running, "gen", by=signal.SIGKILL)
    assert int(running.box.process("gen")["safe"]) == 0


def test_the_engines_share_one_count_and_have_two_forms(start, server_name):
    running = start(audio={"server": server_name, "device": "dummy", "period": 1024})
    running.ready()
    until(lambda: running.pid("engine-b") and running.box.engine(1)["ready"], what=running.said)
    for name in ("engine-a", "engine-b", "engine-a"):
        crash(running, name)
    assert [int(running.box.process(name)["safe"]) for name in ("engine-a", "engine-b")] == [1, 0]
    assert "the engines have crashed 3 times within a minute" in running.said
    for name in ("engine-b", "engine-a", "engine-b"):
        crash(running, name)
    assert [int(running.box.process(name)["safe"]) for name in ("engine-a", "engine-b")] == [1, 2]
    until(lambda: "engine-b has started --safe 2" in running.said, what=running.said)
    assert running.stop() == 0
