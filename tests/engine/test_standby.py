# SPDX-License-Identifier: GPL-3.0-or-later
"""The hot standby, heard through JACK's loopback driver: a client that listens to a dead engine would be stalled with it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.bus.binding import BindingFlag, BindingKind, Bindings
from appliance.bus.box import Role
from appliance.bus.clips import Clip
from appliance.bus.commands import Code, Source
from appliance.bus.events import Kind
from appliance.config import Config
from appliance.nodes import NAMESPACE
from benchmarks.boxes import EngineBox, wait_for
from benchmarks.engine import hogs
from tests.servers import jack_or_skip
from tests.signals import RATE
from tests.soak.ramp import Fault, Findings, judge_ramp, ramp_clip
from tests.soak.stalls import Stalls, frames_lost, read_stalls

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")

PERIOD = 128
RAMP_FRAMES = 20 * RATE
RAMP_SCALE = 1 << 21
"""Half as loud as it could be: the step at the loop's end rings above its own level, and the limiter would answer it."""
EDGE_FRAMES = 2048
"""What a recorder hears while it is being connected and taken away says nothing."""
TRIGGER = NAMESPACE.command("pad", "trigger")


class Pair:
    """Two engines on a server with a loopback, one of which plays a ramp."""

    def __init__(self, data: Path, server: str, unheard: int = 0) -> None:
        """``unheard``: outputs before those that are recorded: 2 records the cue bus."""
        self.server = server
        outputs = ["loopback:playback_1", "loopback:playback_2"]
        settings = {"server": server, "outputs": ["nothing:at_all"] * unheard + outputs, "inputs": ["nothing:at_all"]}
        self.live = EngineBox(data, Config.model_validate({"audio": settings}))
        self.live.box.values.set("/clock/quantize", "off")
        self.clip: Clip | None = None

    def start(self, letter: str) -> None:
        self.live.start("jack", self.server, letter)
        role = self.live.box.process(f"engine-{letter}")
        wait_for(lambda: role["role"] in (Role.PLAYING, Role.STANDBY), 5, f"engine {letter} says what it is")
        if self.clip:
            clip = self.clip
            wait_for(lambda: self.live.box.clips.mapped(clip, self.live.box.engines), 5, "the clip is mapped")
        time.sleep(0.2)

    def play_ramp(self) -> None:
        self.clip = self.live.clip(ramp_clip(RAMP_FRAMES, RAMP_SCALE))
        self.live.box.values.set("/pad/16/sync", False)
        self.live.load_pad(16, self.clip)
        self.live.do("/pad/16/trigger")
        time.sleep(0.2)

    def takeovers(self) -> int:
        return sum(int(self.live.box.engine(index)["takeovers"]) for index in range(2))

    def hear(self, happens: Callable[[], None], seconds: float = 0.4) -> list[Fault]:
        """What is wrong with the sound from before ``happens`` until ``seconds`` after it; not what JACK itself lost."""
        return [fault for fault, _ in self.record(happens, seconds)]

    def record(self, happens: Callable[[], None], seconds: float) -> list[tuple[Fault, int]]:
        """The same, each with its time by the monotonic clock in ns."""
        recorder = jackgear.Recorder(self.server, 10 + 3 * seconds, f"recorder-{time.monotonic_ns()}")
        try:
            recorder.listen("loopback:capture_1", "loopback:capture_2")
            time.sleep(0.3)
            happens()
            time.sleep(seconds)
            cycles, frames = int(recorder.words[12]), int(recorder.words[13])
            times = recorder.times[:cycles].copy()
            found: Findings = judge_ramp(recorder.audio[:frames, :2], times, RAMP_FRAMES, scale=RAMP_SCALE)
        finally:
            recorder.close()
        first, last = int(times[0, 0]) + EDGE_FRAMES, int(times[-1, 0]) - EDGE_FRAMES
        spoilt = times[times[:, 2] != 0, 0]
        faults = [fault for fault in found.faults if first < fault.time < last and not found.near_gap(fault)
                  and not np.any(np.abs(spoilt - fault.time) <= 4 * PERIOD)]
        return [(fault, 1000 * int(times[np.searchsorted(times[:, 0], fault.time, "right") - 1, 3])) for fault in faults]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with jack_or_skip("standby", PERIOD, loopback=2) as name:
        yield name


@pytest.fixture
def pair(server: str, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path / "data", server)
    try:
        made.start("a")
        made.play_ramp()
        made.start("b")
        yield made
    finally:
        made.live.close()


def kill_in_turn(pair: Pair, times: int) -> list[list[Fault]]:
    """Kill whichever engine plays, ``times`` over; the dead one comes back as standby each time."""
    rng, faults = random.Random(times), []
    for _ in range(times):
        who, before = pair.live.playing, pair.takeovers()

        def kill(who: str = who) -> None:
            time.sleep(rng.random() * 0.05)
            pair.live.kill(who)

        faults.append(pair.hear(kill))
        assert pair.live.playing == "ba"["ab".index(who)]
        assert pair.takeovers() > before
        pair.start(who)
    return faults


def judge(faults: list[list[Fault]]) -> None:
    for each in faults:
        for fault in each:
            assert (fault.silent, fault.mixed, fault.partial_blocks, fault.grid_error) == (0, 0, 0, 0), fault
            assert fault.frames <= 3 * PERIOD, fault


def test_a_killed_engine_is_not_missed(pair: Pair) -> None:
    faults = kill_in_turn(pair, 4)
    judge(faults)
    assert any(each for each in faults), "four kills and nothing heard at all: the recording tells nothing"


def test_a_deck_that_plays_from_the_disk_is_taken_over_like_any_other(pair: Pair) -> None:
    """The standby holds the same windows of the file."""
    live = pair.live
    live.do("/pad/16/cut")
    clip = live.box.clips.place(RAMP_FRAMES, RATE, stream_in=live.data / "streams")
    live.box.clips.fill(clip, [ramp_clip(RAMP_FRAMES, RAMP_SCALE)])
    pair.clip = clip
    wait_for(lambda: live.box.clips.mapped(clip, live.box.engines), 5, "the clip is mapped")
    live.load_deck(1, clip)
    live.do("/deck/1/play")
    time.sleep(0.3)
    faults = kill_in_turn(pair, 2)
    assert live.box.telemetry.snapshot()["deck"]["playing"][0] == 1
    judge(faults)



def test_what_is_said_is_taken_over_in_the_middle_of_a_word(server: str, tmp_path: Path) -> None:
    """The ramp as what the voice says, heard on the cue bus."""
    pair = Pair(tmp_path / "data", server, unheard=2)
    try:
        pair.start("a")
        pair.start("b")
        live = pair.live
        pair.clip = clip = live.clip(ramp_clip(RAMP_FRAMES, RAMP_SCALE))
        live.box.commands.send(Code.SPEAK, 0, float(clip.handle))
        time.sleep(0.2)
        faults = kill_in_turn(pair, 2)
        assert live.box.telemetry.snapshot()["voice"]["speaking"] == 1
    finally:
        pair.live.close()
    judge(faults)


@pytest.mark.soak
def test_fifty_kills_under_load(pair: Pair) -> None:
    with hogs(2):
        faults = kill_in_turn(pair, 50)
    judge(faults)
    longest = max((fault.frames for each in faults for fault in each), default=0)
    print(f"50 kills: {sum(bool(each) for each in faults)} heard, longest {longest} frames, "
          f"repeated {sum(fault.repeated for each in faults for fault in each)} in all")


def stop_in_turn(pair: Pair, times: int) -> list[int]:
    """SIGSTOP the playing engine, SIGCONT it later; returns the longest disturbance of each in frames."""
    lengths = []
    for _ in range(times):
        who = pair.live.playing
        process = pair.live.processes[who]

        def stop(process=process) -> None:
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            process.send_signal(signal.SIGCONT)

        faults = pair.hear(stop)
        for fault in faults:
            assert (fault.mixed, fault.grid_error) == (0, 0), f"two at once, or off the grid: {fault}"
        lengths.append(max((fault.frames for fault in faults), default=0))
        roles = [pair.live.box.process(f"engine-{letter}") for letter in "ab"]
        wait_for(lambda roles=roles: {int(role["role"]) for role in roles} == {Role.PLAYING, Role.STANDBY}, 2, "one of each")
    return lengths


def test_a_stopped_engine_is_replaced_and_stands_by_when_it_wakes(pair: Pair) -> None:
    assert max(stop_in_turn(pair, 2)) <= 0.15 * RATE


@pytest.mark.soak
def test_twenty_stops_under_load(pair: Pair) -> None:
    with hogs(2):
        lengths = stop_in_turn(pair, 20)
    print(f"20 stops: longest disturbance {max(lengths) / RATE * 1000:.1f} ms")
    assert max(lengths) <= 0.15 * RATE


def notes_through_kills(pair: Pair, notes: int, kills: int) -> tuple[list[int], list[int]]:
    """Play notes while engines die; returns the pads that were hit and those that were obeyed, in order."""
    bindings = Bindings(pair.live.box.record["binding"][0])
    for channel in range(16):
        for pad in range(16):
            bindings.bind(0, 0x90 + channel, 36 + pad, BindingKind.COMMAND, code=TRIGGER, index=pad, flags=BindingFlag.BANK)
    tick = pair.live.clip(np.full((480, 2), 0.01, np.float32))
    for pad in range(1, 16):
        pair.live.load_pad(pad, tick)
        pair.live.box.values.set(f"/pad/{pad}/mode", "oneshot")
    player = jackgear.NotePlayer(pair.server, notes, gap=4)
    obeyed: list[int] = []

    def collect() -> None:
        obeyed.extend(e.index for e in pair.live.box.events.read(20000)
                      if e.kind in (Kind.COMMAND, Kind.REFUSED) and e.code == TRIGGER and e.source == Source.MIDI)

    try:
        player.client.connect("keys:out", f"appliance-{pair.live.playing}:midi_in")
        _mirrored(pair, player)
        collect()
        obeyed.clear()
        player.go()
        for _ in range(kills):
            who = pair.live.playing
            time.sleep(0.3)
            pair.live.kill(who)
            time.sleep(0.3)
            collect()
            pair.start(who)
            _mirrored(pair, player)
        wait_for(lambda: player.done, notes * 4 * PERIOD / RATE + 10, "all notes are played")
        time.sleep(0.3)
        collect()
        return [int(pad) for pad in player.sent[:, 1]], obeyed
    finally:
        player.close()


def _mirrored(pair: Pair, player) -> None:
    """The standby has connected what is connected to the playing engine."""
    both = {"appliance-a:midi_in", "appliance-b:midi_in"}
    wait_for(lambda: {port.name for port in player.client.get_all_connections(player.port)} == both, 3, "mirrored")
    assert pair.live.playing


def test_no_note_is_lost(pair: Pair) -> None:
    sent, obeyed = notes_through_kills(pair, 400, 2)
    assert obeyed == sent


@pytest.mark.soak
def test_no_note_is_lost_in_twenty_kills(pair: Pair) -> None:
    with hogs(2):
        sent, obeyed = notes_through_kills(pair, 6000, 20)
    print(f"{len(sent)} notes, {len(obeyed)} obeyed")
    assert obeyed == sent


def place_of_a_follower(told: np.ndarray) -> int:
    """Ticks from the song's beginning, as what counts them believes."""
    place = 0
    for _, status, data in told:
        if status == 0xF2:
            place = 6 * int(data) - 1
        elif status == 0xF8:
            place += 1
    return place


def test_what_follows_the_midi_clock_is_where_the_box_is(pair: Pair) -> None:
    """It counts ticks: one too few, and it is behind for the rest of the night. The server itself keeps it waiting for a dead
    engine."""
    bpm, kills = 240.0, 4
    pair.live.box.values.set("/clock/bpm", bpm)
    pair.live.box.values.set("/clock/out/midi", True)
    time.sleep(0.2)
    listener = jackgear.MidiListener(pair.server, 60)
    try:
        listener.listen("appliance-a:clock_out", "appliance-b:clock_out")
        time.sleep(0.2)
        first = len(listener.told)
        for number in range(kills):
            who = pair.live.playing
            time.sleep(0.3 + 0.0071 * number)
            pair.live.kill(who)
            time.sleep(0.3)
            pair.start(who)
            port = f"appliance-{who}:clock_out"
            if not listener.client.get_all_connections(port):
                listener.listen(port)
        time.sleep(0.5)
        told = listener.told
        clock = pair.live.box.telemetry.snapshot()["clock"]
    finally:
        listener.close()
    assert set(told[first:, 1]) <= {0xF8, 0xFC, 0xF2, 0xFB}
    assert abs(place_of_a_follower(told[first:]) - float(clock["beat"]) * 24) < 2, "ticks"


@pytest.mark.soak
def test_false_alarms_are_not_heard(pair: Pair, tmp_path: Path) -> None:
    """Ten minutes with both cores busy: an engine may be late and lose its place, but nobody hears it. What is heard while
    the machine itself stood still is the machine's."""
    minutes, heard = float(os.environ.get("SOAK_MINUTES", "10")), []
    before = pair.takeovers()
    stalls = Stalls()
    with hogs(2):
        for _ in range(round(minutes * 60 / 10)):
            heard += pair.record(lambda: time.sleep(9), 0.4)
    stalls.write(tmp_path / "stalls")
    stood = read_stalls(tmp_path / "stalls")
    ours = [fault for fault, began_ns in heard
            if fault.frames > frames_lost(began_ns, began_ns + int(fault.frames / RATE * 1e9), stood)]
    print(f"{minutes:g} minutes: {pair.takeovers() - before} take-overs without need; {len(heard)} disturbances, of which "
          f"{len(heard) - len(ours)} the machine's, which stood still {len(stood)} times")
    assert not ours
