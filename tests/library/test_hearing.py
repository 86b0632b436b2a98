# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clip sounds like: key, energy, balance, likeness and picture of sounds that are known."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.grids import Grid
from appliance.control.keymatch import scale_of
from appliance.control.tracks import Track
from appliance.gen.backends.procedural import ProceduralBackend
from appliance.gen.request import PARTS, parse_request
from appliance.library.analysis.camelot import NOTES, camelot
from appliance.library.analysis.embedding import SIZE, likeness
from appliance.library.analysis.energy import energy_curve
from appliance.library.analysis.listen import analyse_frames
from appliance.library.analysis.result import VERSION, Analysis
from appliance.library.analysis.waveform import COLUMNS, unpacked
from tests.drums import RATE, drums
from tests.signals import sine


def heard(audio: np.ndarray, rate: int = RATE) -> Analysis:
    audio = audio if audio.ndim == 2 else np.repeat(audio[:, None], 2, axis=1)
    return analyse_frames(audio.astype(np.float32), rate)


def generated(seed: int, **asked: object) -> np.ndarray:
    request = parse_request({"seed": seed, "bars": 4, "style": "techno_minimal", **asked}).resolved()
    return ProceduralBackend().generate(request, lambda _: None, lambda: False).mix


def tone(hz: float, seconds: float = 4.0, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def right_keys(count: int) -> int:
    """How many of so many harmonic loops are in the key that was asked for, or the other one of the same notes."""
    right = 0
    for seed in range(count):
        key = f"{NOTES[seed % 12]} {('minor', 'major')[seed // 12 % 2]}"
        found = heard(generated(seed, parts=["chords", "bass"], key=key), 48_000)
        right += scale_of(found.key) == scale_of(key)
    return right


def test_keys_of_generated_loops() -> None:
    assert right_keys(20) >= 18


@pytest.mark.soak
def test_keys_of_a_hundred_generated_loops() -> None:
    assert right_keys(100) >= 90


def test_keys_on_the_camelot_wheel() -> None:
    for key, code in (("A minor", "8A"), ("C major", "8B"), ("E minor", "9A"), ("G major", "9B"), ("Ab minor", "1A"),
                      ("B major", "1B"), ("F# major", "2B"), ("Eb minor", "2A"), ("C# minor", "12A"), ("E major", "12B")):
        assert camelot(key) == code
    assert camelot("") == camelot("H dorian") == ""
    assert len({camelot(f"{note} {mode}") for note in NOTES for mode in ("major", "minor")}) == 24


@pytest.mark.parametrize(("hz", "band"), [(40, 0), (120, 1), (500, 2), (2000, 3), (7000, 4)])
def test_balance_tells_where_a_tone_is(hz: float, band: int) -> None:
    balance = heard(tone(hz)).balance
    assert balance[band] > 0.97 and sum(balance) == pytest.approx(1.0, abs=1e-3)


def test_energy_follows_the_music() -> None:
    drone = generated(0, parts=["texture"])
    calm, mix = heard(drone, 48_000).energy, heard(generated(3, energy=1.0), 48_000).energy
    pad, beat = heard(tone(220, level=0.05)).energy, heard(drums("four", 124.0, 8.0)).energy
    assert 0 < calm < 4 < 6 < mix <= 10 and 0 < pad < 3 < beat


def test_the_course_of_energy() -> None:
    audio = np.concatenate((tone(440, 2.0, 0.5), tone(440, 2.0, 0.5 / 10**0.5), np.zeros(2 * RATE), tone(440, 0.7, 0.5)))
    curve = heard(audio).energy_curve
    assert len(curve) == 14
    assert curve[1] == pytest.approx(1.0, abs=0.02)
    assert curve[5] == pytest.approx(0.5, abs=0.02), "ten decibels less sound half as loud"
    assert curve[10] < 0.05
    assert energy_curve(np.zeros(0)) == ()


def test_the_nearest_clip_plays_the_same_part() -> None:
    clips = [(part, np.array(heard(generated(seed, parts=[part], key=f"{NOTES[5 * seed % 12]} minor"), 48_000).embedding))
             for part in PARTS for seed in range(40, 43)]
    right = 0
    for part, vector in clips:
        assert vector.shape == (SIZE,) and np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-3)
        others = [(likeness(vector, other), name) for name, other in clips if other is not vector]
        right += max(others)[1] == part
    assert right >= 0.8 * len(clips)


def test_likeness_does_not_hear_level_nor_where_a_loop_begins() -> None:
    loop = drums("rock", 120.0, 8.0)
    plain = np.array(heard(loop).embedding)
    turned = np.roll(loop, 2 * RATE, axis=0)  # a bar
    assert likeness(plain, np.array(heard(0.1 * loop).embedding)) > 0.97
    assert likeness(plain, np.array(heard(turned).embedding)) > 0.97
    assert likeness(plain, np.array(heard(tone(3000)).embedding)) < 0.5


def test_the_picture_shows_outline_and_bands() -> None:
    half = RATE * 4
    audio = np.concatenate((0.5 * np.sign(tone(140, 4.0)), tone(8000, 4.0, 0.25)))
    stereo = np.stack((audio, np.zeros(2 * half)), axis=1).astype(np.float32)
    columns = unpacked(heard(stereo).waveform)
    assert columns.shape == (COLUMNS, 5)
    first, second = columns[10 : COLUMNS // 2 - 10].astype(int), columns[COLUMNS // 2 + 10 : -10].astype(int)
    assert np.abs(first[:, :2] - 127).max() <= 2 and np.abs(second[:, :2] - 64).max() <= 3
    assert first[:, 2].min() > 40 and second[:, 2].max() <= 2, "lows of the first half only; mono is half as loud"
    assert second[:, 4].min() > 28
    for seconds in (0.01, 0.7, 100.0):  # shorter than the columns; longer than the buckets
        found = unpacked(heard(tone(100, seconds)).waveform)
        assert found.shape == (COLUMNS, 5) and found[COLUMNS // 2 : COLUMNS // 2 + 200, :2].max() > 70


def test_silence_has_nothing() -> None:
    found = heard(np.zeros(3 * RATE))
    assert (found.energy, found.energy_curve, found.embedding, found.camelot, sum(found.balance)) == (0.0, (), (), "", 0.0)
    assert not unpacked(found.waveform).any()


def test_the_first_bar_that_begins_in_the_clip() -> None:
    assert heard(drums("rock", 120.0, 20.0, first_s=0.3)).downbeat_s == pytest.approx(0.3, abs=0.005)
    for first_s, downbeat_s in ((-0.5, 1.5), (-4.0, 0.0), (2.3, 0.3)):
        assert Analysis(grid=Grid.straight(120.0, first_s)).downbeat_s == pytest.approx(downbeat_s, abs=1e-6)
    assert Analysis().downbeat_s == 0.0


def test_what_an_older_analysis_has_found_is_told_from_what_this_one_has() -> None:
    """Kept files leave out what is as by default."""
    first = Track.model_validate_json('{"analysis": {"seconds": 3.0, "key": "A minor", "loudness": -9.5}}')
    assert first.analysis is not None and first.analysis.version < VERSION
    now = heard(sine(2.0, rate=RATE))
    kept = Track(analysis=now).model_dump_json(exclude_defaults=True)
    assert Track.model_validate_json(kept).analysis == now and now.version == VERSION
