# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture on a real X server: on the second monitor only, through unplugging, replugging and a change of mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Monitors, Stage


def test_full_screen_on_the_second_monitor_through_unplug_replug_and_another_mode(
    monitors: Monitors, open_stage: Callable[..., Stage]
) -> None:
    second = open_stage("second")
    empty = monitors.grab(0).mean()
    second.start(DISPLAY=monitors.display)
    second.shows("pulse")
    assert second.state["output"] == "DUMMY1 640x360"
    second.until(lambda: monitors.grab(640).mean() > 2.0, "the picture on the second monitor")
    assert monitors.grab(0).mean() == pytest.approx(empty), "the first monitor belongs to somebody else"

    monitors.unplug()
    second.until(lambda: second.state["output"] == "hidden", "hidden while the monitor is gone")
    assert "second display" in second.message
    assert monitors.grab(0).mean() == pytest.approx(empty), "the picture must not move to another monitor"
    assert len(second.do("/visuals/snapshot")["png"]) > 1000

    monitors.plug()
    second.until(lambda: second.state["output"] == "DUMMY1 640x360", "back on its monitor")
    second.until(lambda: monitors.grab(640).mean() > 2.0, "the picture back on the second monitor")
    assert second.message == ""

    monitors.plug("320x200")
    second.until(lambda: second.state["output"] == "DUMMY1 320x200", "the new mode")
    # 16:9 on 16:10: a black bar of 10 lines above and below, the picture between.
    second.until(lambda: monitors.grab(640, 320, 200)[20:180].mean() > 2.0, "the picture in the new mode")
    picture = monitors.grab(640, 320, 200)
    assert picture[:9].mean() == 0.0 and picture[-9:].mean() == 0.0
    assert second.stop() == 0


def test_a_monitor_is_found_by_its_name(monitors: Monitors, open_stage: Callable[..., Stage]) -> None:
    named = open_stage("DUMMY0")
    named.start(DISPLAY=monitors.display)
    named.shows("pulse")
    named.until(lambda: monitors.grab(0).mean() > 2.0, "the picture on the first monitor")
    assert named.state["output"] == "DUMMY0 640x360"
    assert monitors.grab(640).mean() == 0.0
    named.set("/visuals/blackout", True)
    named.until(lambda: monitors.grab(0).max() == 0.0, "black all over, and no cursor")


def test_without_a_display_it_draws_offscreen_and_says_so(open_stage: Callable[..., Stage]) -> None:
    nowhere = open_stage("second")
    nowhere.start(DISPLAY=":4242")
    nowhere.shows("pulse")
    assert nowhere.state["output"] == "offscreen"
    assert ":4242 does not answer" in nowhere.message


def test_a_display_that_comes_later_is_used(monitors: Monitors, open_stage: Callable[..., Stage]) -> None:
    late = open_stage("second")
    socket = Path(f"/tmp/.X11-unix/X{monitors.display[1:]}")
    away = socket.with_suffix(".away")
    socket.rename(away)
    try:
        late.start(DISPLAY=monitors.display)
        late.shows("pulse")
        assert late.state["output"] == "offscreen"
    finally:
        away.rename(socket)
    late.until(lambda: late.state["output"] == "DUMMY1 640x360", "the display that is there now")
    late.shows("pulse")
