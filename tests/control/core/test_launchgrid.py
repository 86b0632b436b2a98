# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the next line of a launch grid is, and how a load says that it waits for one."""

from __future__ import annotations

import pytest

from appliance.control.launchgrid import beats_to_line, parse_at
from appliance.errors import BadValue
from appliance.nodes import NAMESPACE

LOAD = NAMESPACE.find("/bank/1/pad/3/load")


def clock(bar: int, beat: float, bar_length: float = 4.0) -> dict[str, float]:
    """Telemetry at a beat (from 0) of a bar (from 1)."""
    return {"bar": bar, "bar_phase": beat / bar_length, "bar_length": bar_length}


@pytest.mark.parametrize(("grid", "bar", "beat", "length", "beats"), [
    (0.0, 1, 1.5, 4.0, 0.0),  # off: at once
    (1.0, 1, 1.25, 4.0, 0.75), (0.25, 3, 0.1, 4.0, 0.15), (2.0, 2, 3.0, 4.0, 1.0),
    (-1.0, 1, 1.5, 4.0, 2.5), (-1.0, 7, 3.0, 3.5, 0.5),
    (-2.0, 1, 1.0, 4.0, 7.0), (-2.0, 2, 1.0, 4.0, 3.0), (-4.0, 6, 0.5, 4.0, 11.5), (-8.0, 8, 3.0, 4.0, 1.0),
])  # fmt: skip
def test_the_next_line(grid: float, bar: int, beat: float, length: float, beats: float) -> None:
    assert beats_to_line(clock(bar, beat, length), grid) == pytest.approx(beats)


def test_a_load_says_when_and_keeps_its_other_options() -> None:
    said = ["/a.wav", {"name": "A", "at": "bar"}, "role=bass"]
    assert parse_at(LOAD, said) == (["/a.wav", {"name": "A"}, "role=bass"], "bar")
    assert parse_at(LOAD, ["/a.wav", "at=grid"]) == (["/a.wav"], "grid") and parse_at(LOAD, ["/a.wav"]) == (["/a.wav"], "now")
    with pytest.raises(BadValue, match="now, grid, bar, phrase; not 'soon'"):
        parse_at(LOAD, ["/a.wav", "at=soon"])
