# SPDX-License-Identifier: GPL-3.0-or-later
"""Ableton Link: the box as a peer among others (``/clock/link``), and their session as its clock (source ``link``).

It runs on control's loop: a look takes some 10 µs fifty times a second, and what the engine gets is "at this time it was this
beat", which stays true however late control is. When control dies, the engine goes on with what it knows.

Nobody's music changes because somebody joins. The box brings its tempo and beat only into a session that it is alone in. Later
they go to Link when they are changed here, by a hand, a tap, a ramp; until another peer changes them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

from appliance.bus.commands import Code, Source
from appliance.bus.events import Event, Kind
from appliance.bus.layout import CELL_FRAMES
from appliance.bus.linkword import LinkWord
from appliance.control.linkpeer import LinkPeer, Moment
from appliance.errors import Unavailable
from appliance.nodes import NAMESPACE

if TYPE_CHECKING:
    from appliance.control.desk import Desk

LOOK_S, IDLE_S = 0.02, 0.1
SETTLE_S = 0.5
"""Between making a peer and joining: who joins at once brings its own tempo along."""
ALONE_S = 2.0
"""Nobody has answered for so long: the session is ours."""
SAME_BPM = 2e-5
"""Link sends whole microseconds a beat: tempos that differ by no more than this share are one."""
PUSH_S = 0.1
"""A tempo that moves is sent so often."""
NUDGES = ((1.0, 0.5), (0.1, 1.5))
"""While the box leads, its own frames are the truth, and their clock is not the network's: at least so many
seconds after the last time, the session is moved when it is so many ms away."""
FOREIGN_MS = 5.0
"""The session has jumped by more than the library's own measuring explains."""
FRESH_NS = 1_000_000_000
_BPM, _PLAY = (NAMESPACE.find(f"/clock/{name}").slot for name in ("bpm", "play"))
_RESTART = NAMESPACE.command("clock", "restart")
_LOWEST, _HIGHEST = (getattr(NAMESPACE.find("/clock/bpm").node, name) for name in ("minimum", "maximum"))


class Clock:
    """Ours, as the engine told it last: at ``heard_ns`` it is ``beat`` beats into a bar of ``bar_beats``."""

    def __init__(self, desk: Desk) -> None:
        told = desk.box.telemetry.snapshot()["clock"]
        self.heard_ns, self.frame = int(told["heard_ns"]), int(told["frame"])
        self.bpm, self.running, self.ramping = float(told["bpm"]), bool(told["running"]), bool(told["ramping"])
        self.bar_beats = float(told["bar_length"]) or 4.0
        self.beat = float(told["bar_phase"]) * self.bar_beats
        self.fresh = abs(time.monotonic_ns() - self.heard_ns) < FRESH_NS

    def ahead_of(self, session: Moment, offset_ms: float) -> float:
        """Beats, within half a bar, by which the session would have to be further on to be where we are heard."""
        ours = self.beat + (session.ns - offset_ms * 1e6 - self.heard_ns) * self.bpm / 60e9
        apart = ours - session.beat
        return apart - math.floor(apart / self.bar_beats + 0.5) * self.bar_beats


class Link:
    """``run`` for ever; ``stop`` at the end."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._values = desk.box.values
        self._word = LinkWord(desk.box.segment)
        self._peer: LinkPeer | None = None
        self._missing = False
        self._leads = self._moved = self._restarted = False
        self._last: Moment | None = None
        self._played = self._playing = False
        self._start_frame = 0
        self._pushed_s = self._nudged_s = 0.0
        self._source = ""
        self._outside = False
        desk.on_event(self._event)

    @property
    def _follows(self) -> bool:
        return self._values.get("/clock/source") == "link"

    async def run(self) -> None:
        self._tell(None, 0)
        while True:
            wanted = self._follows or bool(self._values.get("/clock/link"))
            if not wanted:
                self._missing = False
                self.stop()
            elif self._peer is None and not self._missing:
                await self._join()
            elif self._peer is not None:
                self._turn(self._peer)
            await asyncio.sleep(LOOK_S if self._peer else IDLE_S)

    def stop(self) -> None:
        """Leave the session; the engine's tempo holds."""
        if self._peer is not None:
            self._peer.leave()
            self._peer = None
            self._tell(None, 0)

    # -- joining

    async def _join(self) -> None:
        clock = Clock(self._desk)
        try:
            peer = LinkPeer(float(self._values.get("/clock/bpm")))
        except Unavailable as error:
            self._missing = True
            self._desk.say(f"{error.message}; the clock goes on as it is")
            return
        peer.look(clock.bar_beats)
        await asyncio.sleep(SETTLE_S)
        peer.join()
        alone_at = time.monotonic() + ALONE_S
        while not peer.peers and time.monotonic() < alone_at:
            await asyncio.sleep(LOOK_S)
        self._peer = peer
        self._source = str(self._values.get("/clock/source"))
        self._moved = self._restarted = False
        self._playing, self._played = peer.playing, bool(self._values.get("/clock/play"))
        self._last = None
        self._leads = not peer.peers
        if self._leads:
            self._push(peer)
            peer.play(self._played)
            self._playing = self._played
        elif not self._follows:
            bpm = peer.look(clock.bar_beats).bpm
            self._desk.say(f"Link: a session at {bpm:.2f} BPM is there; the box keeps its own tempo. "
                           "Set /clock/source to link to follow it, or move the tempo to lead it", logging.INFO)

    # -- each look

    def _turn(self, peer: LinkPeer) -> None:
        clock = Clock(self._desk)
        session = peer.look(clock.bar_beats)
        peers = peer.peers
        self._notice_others(session)
        source = str(self._values.get("/clock/source"))
        if source != self._source:
            self._leads = self._source == "link"  # until now both were one
            self._source = source
        if clock.fresh:
            if source == "link":
                self._bring_changes(peer, clock)
            else:
                self._lead(peer, clock, session)
            self._transport(peer, clock, session)
        self._last = peer.look(clock.bar_beats)
        self._tell(self._last, peers)

    def _notice_others(self, session: Moment) -> None:
        """Another peer has changed tempo or beat: it leads from now on."""
        last = self._last
        if last is None or not self._leads:
            return
        jumped_ms = abs(session.beat - last.beat_at(session.ns)) * 60e3 / session.bpm
        if abs(session.bpm / last.bpm - 1.0) > SAME_BPM or jumped_ms > FOREIGN_MS:
            self._leads = False
            if not self._follows:
                self._desk.say(f"Link: another peer has set {session.bpm:.2f} BPM or moved the beat; the box keeps its own. "
                               "Set /clock/source to link to follow", logging.INFO)

    def _bring_changes(self, peer: LinkPeer, clock: Clock) -> None:
        """The box follows; what a person moves here, moves the session."""
        if clock.ramping and time.monotonic() - self._pushed_s > PUSH_S:
            self._set_bpm(peer, clock.bpm)
        elif self._moved:
            self._set_bpm(peer, float(self._values.get("/clock/bpm")))
        if self._restarted:
            self._align(peer)
        self._moved = self._restarted = False

    def _lead(self, peer: LinkPeer, clock: Clock, session: Moment) -> None:
        internal = self._source == "internal"
        bpm = clock.bpm if internal else float(self._values.get("/clock/bpm"))  # another's, without its unrest
        now = time.monotonic()
        self._leads = self._leads or self._moved or self._restarted
        if not self._leads:
            return
        moved = self._moved or self._restarted
        differs = abs(session.bpm / bpm - 1.0) > SAME_BPM
        if moved or (differs and now - self._pushed_s > PUSH_S):
            self._push(peer)
        elif clock.running:
            apart = clock.ahead_of(session, float(self._values.get("/clock/link/offset")))
            away_ms, since_s = abs(apart) * 60e3 / bpm, now - self._nudged_s
            if any(since_s > seconds and away_ms > ms for seconds, ms in NUDGES):
                self._align(peer)
        self._moved = self._restarted = False

    def _push(self, peer: LinkPeer) -> None:
        """The session gets our tempo, and our beat while the clock runs."""
        clock = Clock(self._desk)
        internal = self._source == "internal"
        self._set_bpm(peer, clock.bpm if internal else float(self._values.get("/clock/bpm")))
        if clock.running and clock.fresh:
            self._align(peer)

    def _set_bpm(self, peer: LinkPeer, bpm: float) -> None:
        peer.set_bpm(bpm)
        self._pushed_s = time.monotonic()

    def _align(self, peer: LinkPeer) -> None:
        clock = Clock(self._desk)
        apart = clock.ahead_of(peer.look(clock.bar_beats), float(self._values.get("/clock/link/offset")))
        peer.move(apart, clock.bar_beats)
        self._nudged_s = time.monotonic()

    # -- start and stop

    def _transport(self, peer: LinkPeer, clock: Clock, session: Moment) -> None:
        """What has changed here goes there, and the other way round where the box follows. A start waits for the bar: when it
        comes it is theirs, not one of ours that would undo what they have done since."""
        played, playing = bool(self._values.get("/clock/play")), peer.playing
        if self._values.get("/clock/link/transport"):
            theirs = self._follows and playing != self._playing
            ours = played != self._played and not (played and self._start_frame)
            if ours and playing != played:
                peer.play(played)
                playing = played
            elif theirs and playing and not played:
                self._start_on_the_bar(clock, session)
            elif theirs and not playing and (played or self._start_frame):
                self._stop()
        if played or clock.frame > self._start_frame:
            self._start_frame = 0
        self._played, self._playing = bool(self._values.get("/clock/play")), playing

    def _start_on_the_bar(self, clock: Clock, session: Moment) -> None:
        offset_ns = float(self._values.get("/clock/link/offset")) * 1e6
        soonest = time.monotonic_ns() + 2 * LOOK_S * 1e9 + offset_ns
        beat = session.beat_at(int(soonest))
        line = math.ceil(beat / clock.bar_beats - 1e-9) * clock.bar_beats
        at_ns = session.ns + (line - session.beat) * 60e9 / session.bpm - offset_ns
        frame = clock.frame + int((at_ns - clock.heard_ns) * 1e-9 * self._desk.box.rate)
        self._start_frame = frame // CELL_FRAMES * CELL_FRAMES
        self._desk.box.commands.send(Code.SET, _PLAY, 1.0, frame=self._start_frame)

    def _stop(self) -> None:
        """Now; and a start that still waits is taken back where it is due."""
        if self._start_frame:
            self._desk.box.commands.send(Code.SET, _PLAY, 0.0, frame=self._start_frame)
        self._desk.set_now("/clock/play", False)

    # -- what the engine tells, and is told

    def _event(self, event: Event) -> None:
        """A tempo or a beat of ours has changed, unless it is another clock's that is followed."""
        if event.kind == Kind.VALUE and event.index == _BPM:
            self._moved = self._moved or event.source != Source.CLOCK
        elif event.kind == Kind.COMMAND and event.code == _RESTART:
            self._restarted = True

    def _tell(self, session: Moment | None, peers: int) -> None:
        if session is None:
            self._word.end()
        else:
            self._word.tell(session.ns, session.beat, session.bpm, peers)
            outside = self._follows and not _LOWEST <= session.bpm <= _HIGHEST
            if outside and not self._outside:
                self._desk.say(f"Link: the session's {session.bpm:.0f} BPM lie outside {_LOWEST:.0f} … {_HIGHEST:.0f}; "
                               "the box keeps its tempo until they come back")
            self._outside = outside
        self._desk.publish("/clock/link/peers", peers)
        self._desk.publish("/clock/link/bpm", round(session.bpm, 2) if session else 0.0)
