# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream on the engine's grid: bar after bar is made, laid on its line, and given to the live channel shortly before.

A bar is made as soon as the one before is laid, so that there always is one, and once more, as late as it can be, when a knob
was turned since. What a maker elsewhere has sent takes a bar's place when all of the bar is there; the embedded generator plays
the others.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.bus.feed import Feed
from appliance.bus.memory import PrivateSegment, Segment
from appliance.bus.values import Values
from appliance.errors import ApplianceError
from appliance.gen.live import bars
from appliance.gen.live.bars import FADE_S, SILENCE_BEATS, TAIL_S, Place
from appliance.gen.live.clock import Clock
from appliance.gen.live.steering import Steering
from appliance.gen.live.timeline import History, Timeline
from appliance.nodes.genlive import MAX_CAPTURE_BARS

log = logging.getLogger(__name__)
Samples = NDArray[np.float32]
LEAST_AHEAD_S, OVER_BUFFER_S = 0.4, 0.1
"""So much is given to the live channel, and this much more than it wants to have: a process may be held up so long."""
LEAD_IN_S = 0.05
COST_S = 0.6
"""What making a bar is taken to last before one was made."""
SPARE_S = 0.15
JUMP_S = 0.03
"""A bar line that has moved by more: what plays is made anew for the grid of now."""
HISTORY_S = 70.0
WRITE_S = 0.01
_LOST_S = 0.3
_FAR_BARS = 12


class Maker(Protocol):
    """Somebody elsewhere who sends sound, as the player needs him."""

    def bar(self, place: Place, bpm: float, fade: int) -> Samples | None:
        """The next bar and ``fade`` frames more, faded at both ends; None when it is not all there."""
        ...

    def has(self, place: Place, bpm: float) -> bool:
        """Whether :meth:`bar` would give one."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A bar as it is asked for."""

    bar: int
    state: Steering
    place: Place

    def like(self, other: Wanted) -> bool:
        """The same but for a length that nobody hears."""
        apart = abs(self.place.frames - other.place.frames)
        return apart < 12 and replace(self, place=replace(self.place, frames=other.place.frames)) == other


@dataclass(slots=True)
class Made:
    """A bar, what a drop lays over it, how long it took, and what could not be done as it was asked for."""

    sound: Samples
    over: Samples | None
    took_s: float
    trouble: str = ""


def make(wanted: Wanted, rate: int) -> Made:
    """Prompts that cannot be read are left out."""
    began, trouble, state = time.monotonic(), "", wanted.state
    try:
        sound = bars.bar(state, wanted.place, rate)
    except ApplianceError as error:
        trouble, state = f"the prompts are left out: {error.message}", replace(state, prompts=())
        sound = bars.bar(state, wanted.place, rate)
    return Made(sound, bars.effects(state, wanted.place, rate), time.monotonic() - began, trouble)


@dataclass(slots=True)
class Laid:
    """A bar on the timeline."""

    bar: int
    start: int
    place: Place
    source: str


@dataclass(slots=True)
class Capture:
    """The last ``bars`` bars are wanted. ``taken(audio, begin, bpm, first)`` gets (frames, 2) in which they begin at ``begin``;
    ``failed`` is called when the stream ends before there were so many."""

    bars: int
    taken: Callable[[Samples, int, float, Laid], None]
    failed: Callable[[], None]


class Player:
    """``step`` is called a good many times a second. ``since``: bar at which the song began, of a process before this one: then
    it goes on in the middle of the bar."""

    def __init__(
        self, segment: Segment | PrivateSegment, values: Values, rate: int, executor: Executor, cloud: Maker | None = None,
        since: int | None = None, say: Callable[[str], None] = log.warning,
    ) -> None:
        self._segment = segment
        self._values = values
        self._rate = rate
        self._executor = executor
        self._cloud = cloud
        self._say = say
        self._said = ""
        self._feed = Feed(segment)
        self._timeline: Timeline | None = None
        self._history: History | None = None
        self._next = 0
        self._resume = since is not None
        self.since = since
        self._early: tuple[Wanted, Future[Made]] | None = None
        self._late: tuple[Wanted, Future[Made]] | None = None
        self._splice: tuple[Wanted, Future[Made]] | None = None
        self._laid: deque[Laid] = deque(maxlen=4 * MAX_CAPTURE_BARS)
        self._last: Samples | None = None
        self._cost_s = COST_S
        self._drop_asked = False
        self._build: tuple[int, int] | None = None
        self._captures: list[Capture] = []
        self.source = "none"
        self.repeated = 0
        """Bars that were heard twice because the next one was not made in time."""

    # -- what hands do

    def drop(self) -> None:
        """From the next bar on to the drop, on the next line of a phrase."""
        self._drop_asked = True

    def reset(self) -> None:
        """The song begins afresh with the next bar."""
        self.since, self._build, self._drop_asked = self._next, None, False

    def capture(self, capture: Capture) -> None:
        """As soon as so many bars have been heard."""
        self._captures.append(capture)

    @property
    def dropping(self) -> int:
        """Bars until the drop."""
        return max(sum(self._build) - self._next + 1, 0) if self._build else 0

    @property
    def idle(self) -> bool:
        return self._timeline is None

    def ahead_s(self, clock: Clock) -> float:
        """What is there beyond now, made or given out already."""
        return max((self._end - clock.frame) / self._rate, 0.0) if self._laid and self._timeline else 0.0

    # -- once in a while

    def step(self, state: Steering, on: bool, cloud: bool = False) -> Clock:
        """Do what is due. ``cloud``: the maker elsewhere is wanted. Returns the clock that it went by."""
        clock = Clock.read(self._segment, self._values, self._rate)
        if self._timeline is not None and self._astray(clock, self._timeline):
            self._forget()
        if on and clock.running:
            if self._timeline is None:
                self._enter(clock)
            self._follow(clock, state)
            self._prepare(clock, state, cloud)
            while self._lay(clock, state, cloud):
                pass
        elif self._timeline is not None:
            self._leave(clock)
        self._write(clock, on)
        self._serve_captures(clock)
        return clock

    @property
    def _ahead(self) -> int:
        return round(max(LEAST_AHEAD_S, self._values.get("/live/buffer") + OVER_BUFFER_S) * self._rate)

    @property
    def _end(self) -> int:
        """Where the last bar that was laid ends."""
        last = self._laid[-1]
        return last.start + round(last.place.frames)

    def _astray(self, clock: Clock, timeline: Timeline) -> bool:
        """The engine has gone on without us, or the bars are counted anew before the first one was laid."""
        if self._laid:
            return timeline.head < clock.frame - _LOST_S * self._rate
        return clock.running and not clock.bar <= self._next <= clock.bar + _FAR_BARS

    def _forget(self) -> None:
        self._timeline, self._resume = None, self.since is not None
        self._early = self._late = self._splice = None

    def _enter(self, clock: Clock) -> None:
        """Begin on the first line that can be reached; in the middle of a bar when it only goes on."""
        if self._resume:
            self._next = clock.bar
            head = clock.frame + round(LEAD_IN_S * self._rate)
        else:
            self._next = self._reachable(clock)
            self.since = self._next
            head = clock.line(self._next) - round(LEAD_IN_S * self._rate)
        self._resume = False
        self._feed.begin(head)
        self._timeline = Timeline(head)
        self._history = History(round(HISTORY_S * self._rate), head)
        self._laid.clear()
        self._last = None

    def _reachable(self, clock: Clock) -> int:
        bar = clock.bar + 1
        while clock.line(bar) - clock.frame < self._ahead + (self._cost_s + SPARE_S) * self._rate:
            bar += 1
        return bar

    def _leave(self, clock: Clock) -> None:
        """Switched off: the bar is played out and rings. The clock stands: silence."""
        assert self._timeline is not None
        self._early = self._late = self._splice = None
        self._build, self._drop_asked = None, False
        over = not self._laid or self._timeline.head >= self._end + TAIL_S * self._rate
        if not clock.running:
            self._timeline.cut(self._timeline.head + round(0.03 * self._rate), round(0.03 * self._rate))
            self._feed.write(self._timeline.take(self._timeline.head + round(0.05 * self._rate)))
            over = True
        if over:
            self._feed.end()
            self._timeline = None
            self.source = "none"
            for capture in self._captures:
                capture.failed()
            self._captures.clear()

    def _follow(self, clock: Clock, state: Steering) -> None:
        """The grid has jumped under a bar that plays: it is made again, and goes on where it now is."""
        assert self._timeline is not None
        if self._laid and self._splice is None and self._timeline.head < self._end:
            last = self._laid[-1]
            strayed = last.bar > clock.bar + 2 or last.bar < clock.bar - 1
            if strayed or abs(clock.line(last.bar + 1) - self._end) > JUMP_S * self._rate:
                bar = clock.bar
                while clock.line(bar + 1) <= self._timeline.head:
                    bar += 1
                if strayed:
                    self.since, self._build = bar, None
                self._splice = self._asked(Wanted(bar, state, self._place(clock, bar)))
                self._next = bar + 1
                self._early = self._late = None
        if self._splice is not None and self._splice[1].done():
            wanted, future = self._splice
            self._splice = None
            made = self._result(future)
            if made is None:
                return
            fade = round(2 * FADE_S * self._rate)
            self._timeline.cut(self._timeline.head + fade, fade)
            self._timeline.add(clock.line(wanted.bar), made.sound, fade)
            place = replace(wanted.place, frames=float(clock.line(wanted.bar + 1) - clock.line(wanted.bar)))
            while self._laid and self._laid[-1].bar >= wanted.bar:
                self._laid.pop()
            self._laid.append(Laid(wanted.bar, clock.line(wanted.bar), place, "embedded"))
            self.source = "embedded"

    def _place(self, clock: Clock, bar: int) -> Place:
        beats, phrase = clock.beats(bar), clock.phrase
        frames = beats * 60.0 * self._rate / clock.bpm
        if clock.ramp is not None:
            frames = float(clock.line(bar + 1) - clock.line(bar))
        build, drop = None, False
        if self._build is not None:
            first, length = self._build
            build = (bar - first, length) if first <= bar < first + length else None
            drop = bar == first + length
        since = min(self.since or 0, bar)
        return Place(frames, beats, bar % phrase, phrase, bar // phrase - since // phrase, build, drop)

    def _prepare(self, clock: Clock, state: Steering, cloud: bool) -> None:
        """Have the next bar made: early once, and late once more if it is to be another one by then."""
        if self._drop_asked and self._build is None:
            target = (self._next // clock.phrase + 1) * clock.phrase
            self._build, self._drop_asked = (self._next, target - self._next), False
        wanted = Wanted(self._next, state, self._place(clock, self._next))
        left_s = (clock.line(self._next) - self._ahead - clock.frame) / self._rate
        hurry_s = 1.3 * self._cost_s + SPARE_S
        if self._early is None or self._early[0].bar != self._next:
            sure = cloud and self._cloud is not None and self._cloud.has(wanted.place, clock.bpm)
            if not sure or wanted.place.build or wanted.place.drop or left_s < hurry_s:
                self._early, self._late = self._asked(wanted), None
        elif self._late is None and left_s < hurry_s and self._early[1].done() and not self._early[0].like(wanted):
            self._late = self._asked(wanted)

    def _asked(self, wanted: Wanted) -> tuple[Wanted, Future[Made]]:
        return wanted, self._executor.submit(make, wanted, self._rate)

    def _result(self, future: Future[Made]) -> Made | None:
        """What was made; None when it failed. What is wrong is said once."""
        trouble, made = "", None
        try:
            made = future.result()
        except Exception as error:
            trouble = f"a bar could not be made ({type(error).__name__}); the one before is heard again"
            if trouble != self._said:
                log.exception("a bar could not be made")
        else:
            trouble = made.trouble
            self._cost_s = max(made.took_s, 0.8 * self._cost_s)
        if trouble and trouble != self._said:
            self._say(trouble)
        self._said = trouble
        return made

    def _lay(self, clock: Clock, state: Steering, cloud: bool) -> bool:
        """Put the next bar on its line when it is due; whether it was."""
        assert self._timeline is not None
        start = clock.line(self._next)
        if clock.frame < start - self._ahead or self._splice is not None:
            return False
        job = next((job for job in (self._late, self._early) if job is not None and job[1].done()), None)
        made = self._result(job[1]) if job else None
        place = job[0].place if job and made else self._place(clock, self._next)
        fade = round(FADE_S * self._rate)
        sound = self._cloud.bar(self._place(clock, self._next), clock.bpm, fade) if cloud and self._cloud else None
        source = "lyria"
        if sound is None:
            source = "embedded"
            if made is not None:
                sound = made.sound
            elif self._last is not None and clock.frame > start - self._ahead // 2:
                sound = self._last
                self.repeated += 1
                if job is None or not job[1].done():
                    log.warning("a bar was not made in time, and the one before is heard again")
            else:
                return False
        if source == "embedded":
            self._last = sound
        self._timeline.add(start, sound, fade)
        if made is not None and made.over is not None:
            self._timeline.add(start, made.over, fade)
        place = replace(place, frames=self._place(clock, self._next).frames)
        self._laid.append(Laid(self._next, start, place, source))
        self._end_of_build(place)
        self.source = source
        self._next += 1
        self._early = self._late = None
        return True

    def _end_of_build(self, place: Place) -> None:
        """The silence before the drop; and a build that was asked for too late for this bar begins with the next."""
        assert self._timeline is not None
        if self._build is None:
            return
        first, length = self._build
        if place.build is None and first <= self._next < first + length:
            self._build, self._drop_asked = None, True
        elif self._next == first + length - 1:
            silence = min(SILENCE_BEATS / place.beats, 0.5) * place.frames
            self._timeline.cut(self._end - round(silence), round(0.02 * self._rate))
        elif self._next >= first + length:
            self._build = None

    def _write(self, clock: Clock, on: bool) -> None:
        """Give the channel what is due, up to the line whose bar is not there yet."""
        if self._timeline is None or self._history is None:
            return
        until = clock.frame + self._ahead
        if on:
            until = min(until, clock.line(self._next))
        count = min(until - self._timeline.head, self._feed.room)
        if count >= WRITE_S * self._rate:
            audio = self._timeline.take(self._timeline.head + count)
            self._feed.write(audio)
            self._history.keep(audio)

    def _serve_captures(self, clock: Clock) -> None:
        for capture in tuple(self._captures):
            heard = [laid for laid in self._laid if laid.start <= clock.frame]
            if len(heard) <= capture.bars or self._history is None:
                continue
            begin, end = heard[-1 - capture.bars], heard[-1].start
            before = round(0.02 * self._rate)
            whole = begin.bar + capture.bars == heard[-1].bar
            if whole and self._history.holds(begin.start - before, end):
                self._captures.remove(capture)
                bpm = capture.bars * begin.place.beats * 60.0 * self._rate / (end - begin.start)
                capture.taken(self._history.read(begin.start - before, end), before, bpm, begin)
