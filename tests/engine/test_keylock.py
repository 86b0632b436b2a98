# SPDX-License-Identifier: GPL-3.0-or-later
"""Key lock and key shift: the pitch is the wanted one, the beat stays where it is, and nothing clicks; off line."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.grids import Grid
from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp import rubberband
from tests.signals import RATE, roughness, sine

pytestmark = pytest.mark.skipif(not rubberband.is_there(), reason="the Rubber Band library is not installed")

ENGINES = ("r2", "r3")
CENTS = {"r2": 10.0, "r3": 3.0}
SETTLE = RATE // 4


def told(engine: OfflineEngine, deck: int = 1) -> np.void:
    return engine.telemetry.snapshot()["deck"][deck - 1]


def tone(engine: OfflineEngine, shifter: str, hz: float = 440.0, rate: float = 1.0) -> None:
    engine.load_deck(1, engine.load(sine(60, hz)))
    engine.set("/deck/1/keylock/engine", shifter)
    engine.set("/deck/1/rate", rate)
    engine.do("/deck/1/play")


def cents(signal: np.ndarray, hz: float) -> np.ndarray:
    """By how much a tone is off ``hz``, over 50 ms each 10 ms: from the turn of its phase."""
    n = np.arange(len(signal))
    turned = signal * np.exp(-2j * np.pi * hz * n / RATE)
    window = np.hanning(2400)
    slow = np.convolve(turned, window / window.sum(), "valid")[::480]
    step = np.angle(slow[5:] * np.conj(slow[:-5])) / (2 * np.pi * 0.05)
    return 1200 * np.log2(1 + step / hz)


@pytest.mark.parametrize("shifter", ENGINES)
@pytest.mark.parametrize("rate", [0.92, 1.06, 1.3])
def test_pitch_stays_when_the_speed_is_another(engine: OfflineEngine, shifter: str, rate: float) -> None:
    engine.set("/deck/1/keylock", True)
    tone(engine, shifter, rate=rate)
    engine.run(RATE)
    assert told(engine)["in_key"] == 1
    heard = engine.run(2 * RATE)[:, 0]
    assert np.abs(cents(heard, 440)).max() < CENTS[shifter]
    assert 20 * np.log10(np.sqrt(np.mean(heard**2)) / (0.3 / np.sqrt(2))) == pytest.approx(0, abs=1.0)


@pytest.mark.parametrize("shifter", ENGINES)
@pytest.mark.parametrize("side", [0.05, -0.05])
def test_pitch_stays_while_the_tempo_moves(engine: OfflineEngine, shifter: str, side: float) -> None:
    """Between 2 % and 8 % off, back and forth within 4 s. Where the tempo passes the clip's own the library takes up the
    phase of the clip, and that moment has no pitch."""
    engine.set("/deck/1/keylock", True)
    tone(engine, shifter, rate=1.0 + side)
    engine.run(RATE)
    heard = []
    for step in range(4 * 375):
        engine.set("/deck/1/rate", 1.0 + side + 0.03 * np.sin(2 * np.pi * step / 1500))
        heard.append(engine.run(128))
    assert np.abs(cents(np.concatenate(heard)[:, 0], 440)).max() < CENTS[shifter]


@pytest.mark.parametrize("shifter", ENGINES)
@pytest.mark.parametrize(("semitones", "fine"), [(3.0, 0.0), (-7.0, 0.0), (11.0, 0.0), (-12.0, 0.0), (0.0, -50.0)])
def test_key_shift(engine: OfflineEngine, shifter: str, semitones: float, fine: float) -> None:
    tone(engine, shifter)
    engine.set("/deck/1/key", semitones)
    engine.set("/deck/1/key/fine", fine)
    engine.run(RATE)
    heard = engine.run(2 * RATE)[:, 0]
    assert np.abs(cents(heard, 440 * 2 ** ((semitones + fine / 100) / 12))).max() < CENTS[shifter]


@pytest.mark.parametrize("shifter", ENGINES)
def test_nothing_clicks_when_it_is_switched_bent_or_shifted(engine: OfflineEngine, shifter: str) -> None:
    tone(engine, shifter, 220.0, rate=1.05)
    steady = roughness(engine.run(RATE)[SETTLE:, 0])
    for address, value in (("keylock", True), ("rate", 0.95), ("key", 2.0), ("key", -2.0), ("key", 0.0), ("rate", 1.05),
                           ("keylock", False), ("key", 12.0), ("key", 0.0)):
        engine.set(f"/deck/1/{address}", value)
        heard = engine.run(RATE)[:, 0]
        now = roughness(heard[-SETTLE:])
        assert roughness(heard) < 2 * max(steady, now), (address, value)
        steady = now


def bursts(bpm: float, seconds: float) -> np.ndarray:
    """A short burst of 1 kHz on every beat."""
    audio = np.zeros(round(seconds * RATE))
    burst = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(480) / RATE) * np.hanning(480)
    for beat in range(int(seconds * bpm / 60)):
        first = round(beat * 60 / bpm * RATE)
        audio[first : first + 480] += burst[: len(audio) - first]
    return np.stack([audio, audio], 1).astype(np.float32)


def off_the_beat(heard: np.ndarray, first: int, bpm: float) -> np.ndarray:
    """Frames by which the middle of each burst is later than a beat; ``first``: frame of ``heard``'s beginning."""
    energy = heard.astype(np.float64) ** 2
    beat = 60 / bpm * RATE
    found = []
    for number in range(int(first / beat) + 1, int((first + len(heard)) / beat) - 1):
        due = round(number * beat) - first
        span = energy[max(due - 2400, 0) : due + 2400]
        found.append(np.sum(span * np.arange(len(span))) / np.sum(span) - min(due, 2400) - 240)
    return np.array(found)


@pytest.mark.parametrize("shifter", ENGINES)
@pytest.mark.parametrize("bpm", [110.0, 126.0])
@pytest.mark.parametrize("jumps", [False, True])
def test_a_locked_deck_is_on_the_beat(engine: OfflineEngine, shifter: str, bpm: float, jumps: bool) -> None:
    engine.load_deck(1, engine.load(bursts(bpm, 60), bpm=bpm), Grid.straight(bpm, 0.0))
    engine.set("/deck/1/keylock/engine", shifter)
    engine.set("/deck/1/keylock", True)
    engine.set("/deck/1/sync", True)
    engine.do("/deck/1/play")
    engine.run(RATE)
    if jumps:
        engine.do("/deck/1/jump", 8.0)
    engine.run(RATE)
    heard = engine.run(10 * RATE)[:, 0]
    late = off_the_beat(heard, 2 * RATE, 120.0) - 48 - 240 * (bpm / 120 - 1)  # the limiter's look-ahead; a burst's own length
    assert abs(late.mean()) < 48
    assert np.abs(late - late.mean()).max() < 120, "beats are uneven"


def check_two_in_sync(engine: OfflineEngine, shifter: str, changes: int, seconds: int, listen_s: int = 4) -> float:
    """Two locked decks of other tempos, one left, one right, and a clock whose tempo changes: by how many frames their beats
    are apart, as heard in the last ``listen_s`` before each change; the worst. A shifter puts each single attack a little
    early or late (``r3`` at 0.8 of the speed: 42 frames, standard deviation), so it takes some beats to hear where they are."""
    tempos = {1: 126.0, 2: 117.0}
    for deck, bpm in tempos.items():
        clip = bursts(bpm, round(60 / bpm * 64 * RATE) / RATE)
        engine.load_deck(deck, engine.load(clip, bpm=bpm), Grid.straight(bpm))
        engine.set(f"/channel/{deck}/pan", -1.0 if deck == 1 else 1.0)
        engine.set(f"/deck/{deck}/keylock/engine", shifter)
        engine.set(f"/deck/{deck}/keylock", True)
        engine.set(f"/deck/{deck}/sync", True)
        engine.set(f"/deck/{deck}/loop/beats", 32)
        engine.do(f"/deck/{deck}/loop/auto", 1.0)
        engine.do(f"/deck/{deck}/play")
    random = np.random.default_rng(7)
    worst = 0.0
    for _ in range(changes):
        bpm = float(random.uniform(100, 140))
        engine.set("/clock/bpm", bpm)
        engine.run(RATE * (seconds - listen_s), 1024)
        clock = engine.telemetry.snapshot()["clock"]
        beat = 60 / bpm * RATE
        first = round(float(clock["beat"]) % 1.0 * beat) + round(beat)  # as if beat 0 had been at frame 0
        heard = engine.run(RATE * listen_s, 1024)
        for side in (0, 1):
            assert np.abs(heard[:, side]).max() > 0.1, "a deck is not heard"
        late = [off_the_beat(heard[:, side], first, bpm) - 240 * (tempos[side + 1] / bpm - 1) for side in (0, 1)]
        worst = max(worst, float(np.abs(np.median(late[0]) - np.median(late[1]))))
    return worst


@pytest.mark.parametrize("shifter", ENGINES)
def test_two_locked_decks_stay_together(engine: OfflineEngine, shifter: str) -> None:
    assert check_two_in_sync(engine, shifter, changes=3, seconds=8) <= 48


@pytest.mark.soak
@pytest.mark.parametrize("shifter", ENGINES)
def test_half_an_hour_in_key_leaves_two_decks_together(engine: OfflineEngine, shifter: str) -> None:
    worst = check_two_in_sync(engine, shifter, changes=20, seconds=90, listen_s=16)
    print(f"{shifter}: at most {worst:.1f} frames apart")
    assert worst <= 48


def test_a_jump_is_heard_at_once(engine: OfflineEngine) -> None:
    audio = sine(20, 100, 0.1)
    audio[10 * RATE :] = sine(10, 3000, 0.5)
    engine.load_deck(1, engine.load(audio))
    engine.set("/deck/1/keylock", True)
    engine.set("/deck/1/rate", 1.05)
    engine.do("/deck/1/play")
    engine.run(RATE)
    engine.do("/deck/1/seek", 0.5)
    heard = engine.run(RATE)[48:, 0]
    early = heard[:480]
    assert np.abs(np.diff(early)).max() > 0.05, "10 ms after the jump it is not there yet"
    assert told(engine)["in_key"] == 1
    for begin in range(0, RATE - 2400, 480):
        assert np.sqrt(np.mean(heard[begin + 480 : begin + 1440] ** 2)) > 0.2, f"a hole {begin} frames after the jump"


def test_how_blocks_are_cut_does_not_matter() -> None:
    heard = []
    for block in (64, 128, 441, 1000):
        engine = OfflineEngine(RATE)
        engine.set("/deck/1/keylock", True)
        tone(engine, "r2", rate=1.07)
        heard.append(engine.run(RATE, block)[:, 0])
    for other in heard[1:]:
        assert np.abs(other - heard[0]).max() < 1e-4


@pytest.mark.parametrize("shifter", ENGINES)
def test_loops_and_reverse_have_no_holes(engine: OfflineEngine, shifter: str) -> None:
    tone(engine, shifter, rate=1.08)
    engine.set("/deck/1/keylock", True)
    engine.run(RATE)
    for address, value in (("loop/auto", 1.0), ("loop/halve", 1.0), ("loop/roll", 0.25), ("loop/roll", 0.0), ("loop/exit", 1.0),
                           ("censor", 1.0), ("censor", 0.0)):
        engine.do(f"/deck/1/{address}", value)
        heard = engine.run(RATE)[:, 0]
        levels = np.sqrt(np.convolve(heard**2, np.ones(960) / 960, "valid"))
        assert levels.min() > 0.07, (address, value)
        assert roughness(heard) < 3 * roughness(sine(1.0, 440 * 1.08)[:, 0]), (address, value)


def test_a_scratch_is_heard_as_it_is(engine: OfflineEngine) -> None:
    engine.set("/deck/1/keylock", True)
    tone(engine, "r2", rate=1.06)
    engine.run(RATE)
    engine.do("/deck/1/jog/touch", 1.0)
    engine.run(RATE // 10)
    assert told(engine)["in_key"] == 0
    engine.do("/deck/1/jog/touch", 0.0)
    engine.run(RATE)
    assert told(engine)["in_key"] == 1


@pytest.mark.parametrize("shifter", ENGINES)
def test_an_engine_that_takes_over_goes_on_dry_and_is_in_key_soon(engine: OfflineEngine, shifter: str) -> None:
    """Its shifters have not been fed up to here."""
    engine.set("/deck/1/keylock", True)
    tone(engine, shifter, rate=1.06)
    engine.run(RATE)
    engine.context["shifter_frame"] = -1
    first = engine.run(480)[:, 0]
    assert told(engine)["in_key"] == 0
    heard = np.concatenate([first, engine.run(RATE // 10)[:, 0]])
    assert told(engine)["in_key"] == 1
    levels = np.sqrt(np.convolve(heard**2, np.ones(480) / 480, "valid"))
    assert levels.min() > 0.1, "a hole"
