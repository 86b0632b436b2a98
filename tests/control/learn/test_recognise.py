# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls recognised by the bytes of one move."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.control.learn.recognise import Form, recognise
from appliance.control.learn.streams import Key, Said
from appliance.control.mapping.profile import Encoding, Source
from tests.control.learn.gestures import encoder, fine_fader, knob, mixed, noise, press, wheel

randoms = st.randoms(use_true_random=False)


def surface(messages: list[Said]) -> dict[str, Any] | None:
    found = recognise(messages)
    return None if found is None else found.surface


@given(randoms, st.floats(0.05, 4.0), st.floats(0, 1), st.floats(0, 1), st.integers(0, 127), st.integers(1, 16), st.booleans())
@settings(max_examples=60, deadline=None)
def test_knobs_slow_and_fast(chance, seconds, begin, end, number, channel, noisy):
    if abs(end - begin) < 0.15 or number in (6, 38, 69, 96, 97, 98, 99, 100, 101):
        return
    doubles = chance.choice((0, 0, 1, 5)) if end in (0.0, 1.0) else 0
    move = knob(chance, number, channel=channel, begin=begin, end=end, seconds=seconds, doubles=doubles)
    found = recognise(mixed(move, noise(chance, seconds + 0.2)) if noisy else move)
    assert found is not None and found.form is Form.FADER, [said.data2 for said in move]
    assert found.surface == {"cc": number} | ({"channel": channel} if channel > 1 else {})


@given(randoms, st.integers(2, 20), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_knob_thrown_to_its_stop_is_no_encoder(chance, doubles, up):
    begin, end = (0.6, 1.0) if up else (0.4, 0.0)
    move = knob(chance, begin=begin, end=end, seconds=0.3, doubles=doubles)
    move += knob(chance, begin=end, end=begin, seconds=0.3)
    assert surface(mixed(move)) == {"cc": 7}
    assert surface(knob(chance, begin=begin, end=end, seconds=0.3, doubles=doubles)) == {"cc": 7}


@given(randoms, st.sampled_from(list(Encoding)), st.booleans(), st.integers(6, 40), st.booleans(), st.permutations((1, -1)))
@settings(max_examples=60, deadline=None)
def test_encoders_in_all_encodings(chance, encoding, slow, clicks, noisy, turns):
    move = encoder(chance, encoding, clicks=clicks, slow=slow, turns=turns)
    found = recognise(mixed(move, noise(chance, move[-1].time_s)) if noisy else move)
    assert found is not None and found.surface == {"cc": 16, "encoder": encoding.value}, [said.data2 for said in move]
    assert not found.ask and not found.doubt


@given(randoms, st.sampled_from(list(Encoding)), st.sampled_from((1, -1)), st.integers(4, 30))
@settings(max_examples=60, deadline=None)
def test_an_encoder_turned_one_way_is_asked_for_the_other_where_that_matters(chance, encoding, way, clicks):
    found = recognise(encoder(chance, encoding, turns=(way,), clicks=clicks))
    assert found is not None and found.form is Form.ENCODER
    sure = (encoding, way) in {(Encoding.TWOS, -1), (Encoding.OFFSET, -1)}
    assert bool(found.ask) != sure
    if sure:
        assert found.surface["encoder"] == encoding.value
    others = recognise(encoder(chance, encoding, turns=(way,), clicks=clicks), encoding)
    assert others is not None and (others.surface["encoder"], others.ask) == (encoding.value, "")  # it counts as the others do


@given(randoms, st.integers(0, 31), st.booleans(), st.booleans(), st.floats(0.1, 3.0), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_halves_of_14_bits_in_either_order(chance, number, fine_first, together, seconds, noisy, down):
    if number == 6:
        return
    begin, end = (0.9, 0.1) if down else (0.0, 1.0)
    move = fine_fader(chance, number, fine_first=fine_first, together=together, seconds=seconds, begin=begin, end=end)
    found = recognise(mixed(move, noise(chance, seconds)) if noisy else move)
    assert found is not None and found.form is Form.FADER
    assert found.surface == {"cc14": number} | ({"fine_first": True} if fine_first else {})
    assert found.keys == {Key(Source.CC, 1, number), Key(Source.CC, 1, number + 32)}


def test_a_coarse_half_that_did_not_change_may_be_left_out():
    move, last = [], -1
    for step in range(200):
        value = 3000 + 25 * step
        if value >> 7 != last:
            move.append(Said(step * 0.005, 0xB0, 1, last := value >> 7))
        move.append(Said(step * 0.005 + 0.001, 0xB0, 33, value & 127))
    assert surface(move) == {"cc14": 1}


@given(randoms, st.sampled_from(list(Encoding)), st.sampled_from((128, 360, 720, 2048)), st.sampled_from((None, 54)))
@settings(max_examples=60, deadline=None)
def test_wheels_with_and_without_touch(chance, encoding, ticks, touch):
    found = recognise(wheel(chance, encoding, ticks=ticks, touch=touch))
    assert found is not None and found.surface == {"cc": 34, "encoder": encoding.value}
    assert found.form is Form.JOG
    assert found.touch == (None if touch is None else Key(Source.NOTE, 1, touch))
    assert abs(found.turned - ticks) <= 2


@pytest.mark.parametrize(("kind", "surface", "released"), [
    ("note", {"note": 40}, True), ("note off", {"note": 40}, True), ("cc", {"cc": 40}, True),
    ("note on", {"note": 40}, False), ("on", {"cc": 40}, False), ("off", {"cc": 40}, False),
])
@pytest.mark.parametrize("noisy", [False, True])
def test_buttons(kind, surface, released, noisy):
    for seed in range(20):
        move = press(kind=kind)
        found = recognise(mixed(move, noise(random.Random(seed), 0.5)) if noisy else move)
        assert found is not None and found.form is Form.BUTTON
        assert (found.surface, found.released) == (surface, released)


def test_a_pad_with_pressure_is_a_pad():
    rng = random.Random(1)
    squeeze = [Said(0.02 + n * 0.005, 0xA9, 44, round(60 + 60 * rng.random())) for n in range(40)]
    whole = [Said(0.02 + n * 0.005, 0xD9, round(60 + 60 * rng.random()), 0) for n in range(40)]
    for pressure in (squeeze, whole):
        assert surface(mixed(press(44, channel=10, down_s=0.3, value=90), pressure)) == {"note": 44, "channel": 10}


def test_a_motor_fader_is_its_bend_and_not_its_touch():
    move = [Said(0.01 + n * 0.004, 0xE2, (n * 130) & 127, (n * 130) >> 7) for n in range(100)]
    assert surface(mixed(press(104, down_s=0.6), move)) == {"bend": True, "channel": 3}


@pytest.mark.parametrize("fine", [False, True])
def test_parameters(fine):
    move = []
    for n in range(60):
        move += [Said(n * 0.01, 0xB0, 99, 2), Said(n * 0.01, 0xB0, 98, 44), Said(n * 0.01, 0xB0, 6, 20 + n)]
        if fine:
            move.append(Said(n * 0.01, 0xB0, 38, (n * 37) & 127))
        move += [Said(n * 0.01, 0xB0, 99, 127), Said(n * 0.01, 0xB0, 98, 127)]
    assert surface(move) == {"nrpn": 2 << 7 | 44}


def test_program_changes_are_buttons():
    found = recognise([Said(0.0, 0xC4, 12, 0)])
    assert found is not None and (found.surface, found.released) == ({"program": 12, "channel": 5}, False)


@given(randoms, st.floats(0.5, 6.0))
@settings(max_examples=60, deadline=None)
def test_trembling_alone_is_nothing(chance, seconds):
    messages = noise(chance, seconds)
    found = recognise(messages)
    assert found is None or (found.form is Form.BUTTON and len(messages) < 400 and
                             {said.data2 for said in messages if said.status == 0xB0} <= {0, 1, 2}), found


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 127), st.integers(0, 127), st.floats(0, 0.1)), max_size=200))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_there_is_an_answer(raw):
    at, messages = 0.0, []
    for status, data1, data2, gap in raw:
        at += gap
        messages.append(Said(at, status, data1, data2))
    found = recognise(messages)
    assert found is None or (found.keys and found.surface and found.first_s <= found.last_s)
