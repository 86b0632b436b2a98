# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests as people type them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ApplianceError, BadValue
from appliance.gen.request import PARTS, SECTIONS, STYLE_BPM, GenRequest, parse_request, suggest_prompt
from appliance.gen.theory import NOTE_NAMES, SCALES, parse_key, voice_lead
from appliance.gen.vocabulary import INSTRUMENT_PARTS, INSTRUMENT_WORDS, STYLE_WORDS, SUGGESTIONS


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"prompt": "x" * 10_001}, ["prompt", "10,001", "10,000"]),
        ({"prompt": "kick\x00\x01\x02"}, ["prompt", "binary"]),
        (b"\xff\xfe", ["binary"]),
        ({"bars": 0}, ["bars", "1 … 64", "not 0"]),
        ({"bars": 1000}, ["bars", "1 … 64", "not 1000"]),
        ({"key": "H minor"}, ["no key 'H minor'", "did you mean"]),
        ({"key": "A minro"}, ["did you mean A minor?"]),
        ({"bpm": float("nan")}, ["bpm", "nan"]),
        ({"bpm": "fast"}, ["bpm", "'fast'"]),
        ({"bpm": 10}, ["bpm", "40 … 240"]),
        ({"style": "techno_minimall"}, ["did you mean techno_minimal?"]),
        ({"parts": ["bas"]}, ["did you mean bass?"]),
        ({"mood": "drak"}, ["did you mean dark?"]),
        ({"section": "chorus"}, ["no section 'chorus'", "intro"]),
        ({"instruments": "pianno"}, ["no instrument 'pianno'", "did you mean piano?"]),
        ({"promt": "x"}, ["no field 'promt'", "did you mean prompt?"]),
        ({"candidates": 6}, ["candidates", "1 … 5"]),
        ({"tempo": 120, "bpm": 121}, ["same thing"]),
        (["a list"], ["prompt or an object"]),
        (7, ["prompt or an object"]),
    ],
)  # fmt: skip
def test_bad_requests_get_one_clear_line(value: object, words: list[str]) -> None:
    with pytest.raises(BadValue) as caught:
        parse_request(value).resolved()
    assert "\n" not in caught.value.message and len(caught.value.message) < 300
    for word in words:
        assert word in caught.value.message


def test_prompt_that_asks_for_the_impossible_is_refused() -> None:
    with pytest.raises(BadValue, match="bpm"):
        parse_request("techno at 300 bpm").resolved()
    with pytest.raises(BadValue, match="240 s at most"):
        parse_request({"bars": 64, "bpm": 40}).resolved()


def test_the_prompt_fills_what_is_left_open_and_explicit_fields_win() -> None:
    request = parse_request({"prompt": "dark minimal techno in F# minor, 8 bars, 130 bpm, long echo", "bars": 2}).resolved()
    assert (request.style, request.key, request.bpm, request.bars) == ("techno_minimal", "F# minor", 130.0, 2)
    assert request.mood == pytest.approx(0.1) and request.effects == ("delay",) and request.parts == PARTS


def test_only_and_negative_words_choose_parts() -> None:
    assert parse_request("only drums").resolved().parts == ("drums",)
    without = parse_request({"prompt": "techno", "negative_prompt": "drums, melody"}).resolved()
    assert without.parts == ("bass", "chords", "texture")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Drum & Bass, liquid, dreamy, 172 bpm", {"style": "jungle_dnb", "bpm": 172.0}),
        ("lo-fi hip hop with Rhodes Piano", {"style": "hip_hop", "instruments": ("rhodes",), "bpm": 90.0}),
        ("Jamaican Dub, ominous drone", {"style": "dub", "effects": ("delay",)}),
        ("60s psychedelic rock, shredding guitar", {"style": "rock", "instruments": ("overdrive",)}),
        ("orchestral score with harp and timpani in D minor", {"style": "classical", "instruments": ("harp", "timpani")}),
        ("ambient, calm kalimba", {"style": "downtempo_ambient", "instruments": ("mallet",)}),
        ("Trip Hop with a dusty beat", {"style": "trip_hop", "texture": "vinyl"}),
        ("garage rock", {"style": "rock"}),
        ("uk garage", {"style": "deep_house"}),
        ("dub techno", {"style": "techno_minimal"}),
        ("techno, 303 acid bass, TR-909, breakdown", {"instruments": ("acid",), "section": "break"}),
        ("techno, huge drop", {"section": "drop", "energy": 0.9}),
        ("deep house intro", {"style": "deep_house", "section": "intro"}),
        ("only congas", {"parts": ("percussion",), "instruments": ("conga",)}),
        ("glitch, weird noises", {"style": "experimental"}),
    ],
)  # fmt: skip
def test_words_of_genre_mood_instrument_and_section_are_read(prompt: str, expected: dict[str, object]) -> None:
    request = parse_request(prompt).resolved()
    assert {name: getattr(request, name) for name in expected} == expected


def test_every_style_has_words_and_prompts_that_lead_to_it() -> None:
    for style in STYLE_BPM:
        assert all(parse_request(prompt).resolved().style == style for prompt in SUGGESTIONS[style])
        assert parse_request(style.replace("_", " ")).resolved().style == style
        assert parse_request({"style": style}).resolved().prompt in SUGGESTIONS[style]
    assert set(STYLE_WORDS.values()) == set(STYLE_BPM) and set(INSTRUMENT_WORDS.values()) <= set(INSTRUMENT_PARTS)


def test_unwanted_instruments_are_left_out() -> None:
    request = parse_request({"prompt": "jazz with piano and flute", "negative_prompt": "flute"}).resolved()
    assert request.instruments == ("piano",)


def test_sections_of_a_request_differ_in_nothing_else() -> None:
    sections = parse_request({"prompt": "deep house", "seed": 3}).sections()
    assert list(sections) == list(SECTIONS) and len({request.content_hash() for request in sections.values()}) == 5
    assert len({request.model_copy(update={"section": "drop"}).content_hash() for request in sections.values()}) == 1


def test_names_of_other_systems_are_understood() -> None:
    request = parse_request({"genre": "techno_minimal", "tempo": 120, "instrument_focus": "melody", "fx": ["echo"]})
    assert (request.style, request.bpm, request.parts, request.effects) == ("techno_minimal", 120, ("lead",), ("delay",))


def test_empty_prompt_gets_a_suggestion_that_follows_from_the_seed() -> None:
    assert parse_request("").resolved().prompt == suggest_prompt(0) != ""
    assert len({suggest_prompt(seed) for seed in range(50)}) > 3


def test_hash_is_of_the_music_not_of_the_name() -> None:
    plain = parse_request({"prompt": "techno", "seed": 3})
    assert plain.content_hash() == parse_request({"prompt": "techno", "seed": 3, "name": "Mine"}).content_hash()
    assert plain.content_hash() == plain.resolved().content_hash() == plain.resolved().resolved().content_hash()
    assert plain.content_hash() != parse_request({"prompt": "techno", "seed": 4}).content_hash()
    assert plain.content_hash("1") != plain.content_hash("2")


def test_hash_is_the_same_in_another_process() -> None:
    code = "from appliance.gen.request import parse_request as p; print(p({'prompt': 'techno', 'seed': 3}).content_hash())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == parse_request({"prompt": "techno", "seed": 3}).content_hash()


def test_candidates_differ_in_seed_and_share_the_harmony() -> None:
    request = parse_request({"prompt": "techno", "candidates": 3, "seed": 9})
    candidates = [request.candidate(number) for number in range(3)]
    assert len({c.seed for c in candidates}) == 3 and {c.harmony_seed for c in candidates} == {9}
    assert candidates[0].content_hash() == parse_request({"prompt": "techno", "seed": 9}).content_hash()


@given(st.text(max_size=300))
def test_any_text_is_a_prompt_or_refused_in_one_line(text: str) -> None:
    try:
        request = parse_request(text).resolved()
    except ApplianceError as error:
        assert error.message and "\n" not in error.message
    else:
        assert request.prompt and request.style in STYLE_BPM and request.frames > 0
        assert parse_request(request.model_dump(mode="json")).content_hash() == request.content_hash()


@given(st.dictionaries(
    st.sampled_from([*GenRequest.model_fields, "tempo", "nonsense"]),
    st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text(max_size=8), max_size=3) | st.booleans(),
    max_size=4,
))  # fmt: skip
def test_any_object_is_a_request_or_refused_in_one_line(fields: dict[str, object]) -> None:
    try:
        parse_request(fields).resolved().content_hash()
    except ApplianceError as error:
        assert error.message and "\n" not in error.message and len(error.message) < 400


@pytest.mark.parametrize(
    ("text", "name"),
    [("A minor", "A minor"), ("am", "A minor"), ("Bb", "Bb major"), ("f#m", "F# minor"), ("Db major", "C# major"),
     ("e phrygian", "E phrygian"), ("C#min", "C# minor"), ("G flat major", "F# major"),
     ("h", None), ("", None), ("A minor 7", None)],
)  # fmt: skip
def test_keys_as_people_write_them(text: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(BadValue, match="no key"):
            parse_key(text)
    else:
        assert parse_key(text).name == name


@given(st.sampled_from(NOTE_NAMES), st.sampled_from(sorted(SCALES)))
def test_every_key_survives_its_name(note: str, mode: str) -> None:
    assert parse_key(f"{note} {mode}").name == f"{note} {mode}"


def test_voices_move_little_and_stay_in_range() -> None:
    first = voice_lead([], [9, 0, 4, 7], 55, 76)
    second = voice_lead(first, [5, 9, 0, 4], 55, 76)
    assert all(55 <= note <= 76 for note in first + second)
    assert sorted(n % 12 for n in second) == [0, 4, 5, 9]
    assert all(min(abs(note - old) for old in first) <= 2 for note in second)
