# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's clock as it stands now, and the frames of the bar lines to come: the same frames as the engine's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from appliance.bus.commit import commit_word, committed
from appliance.bus.memory import PrivateSegment, Segment
from appliance.bus.values import Values
from appliance.nodes.clock import METRE_BEATS, METRES

_ON_THE_LINE = 1e-6
_TRIES = 64


@dataclass(frozen=True, slots=True)
class Clock:
    """Beats are quarter notes, bars count from 0. ``next_beats``: length of the bars after this one."""

    frame: int
    rate: float
    running: bool
    bpm: float
    anchor_frame: int
    anchor_beat: float
    bar_beat: float
    bar_number: int
    bar_beats: float
    next_beats: float
    phrase: int
    ramp: tuple[float, float] | None = None  # the tempo it moves to, and the frame when it is there

    @classmethod
    def read(cls, segment: Segment | PrivateSegment, values: Values, rate: float) -> Clock:
        """One picture: no block was committed while it was taken."""
        frame, clock = _picture(segment)
        for _ in range(_TRIES):
            before = commit_word(segment)
            frame, clock = _picture(segment)
            if commit_word(segment) == before:
                break
        ramp = None
        if clock["ramping"]:
            ramp = (float(clock["ramp_to"]), float(clock["ramp_begin"]) + float(clock["ramp_frames"]))
        beats = float(clock["bar_length"])
        return cls(
            frame, rate, bool(clock["running"]) and beats > 0, float(clock["bpm"]), int(clock["anchor_frame"]),
            float(clock["anchor_beat"]), float(clock["bar_beat"]), int(clock["bar_number"]), beats,
            METRE_BEATS[METRES.index(values.get("/clock/metre"))], int(values.get("/clock/phrase")), ramp,
        )  # fmt: skip

    @property
    def beat(self) -> float:
        """Of the next block's first frame."""
        return self.anchor_beat + (self.frame - self.anchor_frame) * self.bpm / (60.0 * self.rate)

    @property
    def bar(self) -> int:
        """The bar that plays."""
        return self.bar_number + math.floor((self.beat - self.bar_beat) / self.bar_beats + _ON_THE_LINE)

    def beats(self, bar: int) -> float:
        """Length of a bar."""
        return self.bar_beats if bar <= self.bar else self.next_beats

    def line(self, bar: int) -> int:
        """The frame of a bar's first beat; of one that has begun, where it would stand at the tempo of now."""
        here = self.bar
        beat = self.bar_beat + (min(bar, here + 1) - self.bar_number) * self.bar_beats
        beat += max(bar - here - 1, 0) * self.next_beats
        if self.ramp is None or beat <= self.beat:
            return self.anchor_frame + math.ceil((beat - self.anchor_beat) * 60.0 * self.rate / self.bpm - _ON_THE_LINE)
        return self.frame + math.ceil(self._frames_to(beat - self.beat) - _ON_THE_LINE)

    def _frames_to(self, beats: float) -> float:
        """Frames until so many beats have passed, while the tempo moves evenly."""
        goal, end = self.ramp or (self.bpm, self.frame)
        left = max(end - self.frame, 0.0)
        area = beats * 60.0 * self.rate
        whole = left * (self.bpm + goal) / 2
        if area >= whole:
            return left + (area - whole) / goal
        slope = (goal - self.bpm) / left
        if abs(slope) < 1e-12:
            return area / self.bpm
        return (math.sqrt(self.bpm * self.bpm + 2 * slope * area) - self.bpm) / slope


def _picture(segment: Segment | PrivateSegment) -> tuple[int, np.void]:
    state = committed(segment)
    return int(state["frame"][0]), state["clock"][0].copy()
