# SPDX-License-Identifier: GPL-3.0-or-later
"""Scene headers as people write them, and whatever else a file may hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.visuals.isf.errors import SceneError
from appliance.visuals.isf.expression import MAX_PIXELS, ExpressionError
from appliance.visuals.isf.expression import parse as parse_expression
from appliance.visuals.isf.header import Header, parse

FILE = Path("scene.fs")


def header(text: str) -> Header:
    return parse(f"/*{text}*/\nvoid main() {{}}", FILE).header


def inputs(text: str) -> dict[str, Any]:
    return {i.name: i for i in header(f'{{"INPUTS": [{text}]}}').inputs}


def test_every_type_of_input_with_and_without_its_range() -> None:
    found = inputs("""
        {"NAME": "f", "TYPE": "float"},
        {"NAME": "g", "TYPE": "float", "MIN": -2, "MAX": "4", "DEFAULT": "1.5"},
        {"NAME": "b", "TYPE": "bool", "DEFAULT": 1},
        {"NAME": "e", "TYPE": "event"},
        {"NAME": "l", "TYPE": "long", "VALUES": [3, 5, 9], "LABELS": ["a", "b", "c"], "DEFAULT": 5},
        {"NAME": "c", "TYPE": "color", "DEFAULT": [1, 0.5]},
        {"NAME": "p", "TYPE": "point2D", "DEFAULT": [0.25, 0.75]},
        {"NAME": "i", "TYPE": "image"},
        {"NAME": "a", "TYPE": "audio", "MAX": 128},
        {"NAME": "s", "TYPE": "audiofft"}""")
    assert (found["f"].minimum, found["f"].default, found["f"].maximum) == (0.0, 0.5, 1.0)
    assert (found["g"].minimum, found["g"].default, found["g"].maximum) == (-2.0, 1.5, 4.0)
    assert found["b"].default is True and found["e"].default is False
    assert (found["l"].default, found["l"].values, found["l"].labels) == (5, (3, 5, 9), ("a", "b", "c"))
    assert found["c"].default == (1.0, 0.5, 0.0, 1.0)
    assert found["p"].default == (0.25, 0.75)
    assert found["a"].maximum == 128 and found["s"].type == "audioFFT"
    assert [n for n, i in found.items() if i.is_texture] == ["i", "a", "s"]


def test_written_by_hand_with_comments_trailing_commas_and_single_quotes() -> None:
    found = header("{ // mine\n 'INPUTS': [ {'NAME': 'a', 'TYPE': 'float',}, ], 'DESCRIPTION': null, }")
    assert found.inputs[0].name == "a" and found.description == ""


def test_version_1_names_its_persistent_buffers_apart() -> None:
    found = header(
        """{"PERSISTENT_BUFFERS": {"b": {"WIDTH": "$WIDTH/4", "FLOAT": 1}}, "PASSES": [{"TARGET": "b"}, {}]}"""
    )
    first, last = found.passes
    assert first.persistent and first.floating and first.width is not None
    assert first.width.pixels({"WIDTH": 640.0}) == 160
    assert not last.persistent and last.target == ""
    assert header('{"PERSISTENT_BUFFERS": ["b"], "PASSES": [{"TARGET": "b"}]}').passes[0].persistent


def test_imported_pictures_as_a_list_and_as_an_object() -> None:
    assert header('{"IMPORTED": [{"NAME": "x", "PATH": "x.png"}]}').imported == {"x": "x.png"}
    assert header('{"IMPORTED": {"x": {"PATH": "x.png"}}}').imported == {"x": "x.png"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{\n"INPUTS": [\n {"NAME": "a", "TYPE": "float"},\n {"NAME": "b", "TYPE": "flot"}]}', 4, "'flot' is no type"),
        ('{\n"INPUTS": [\n {"NAME" "a"}]}', 3, "not JSON"),
        ('{"PASSES": [{"TARGET": "b",\n "WIDTH": "__import__(1)"}]}', 2, "__import__"),
        ('{"PASSES": [{"TARGET": "b",\n "WIDTH": "$NOISE * 2"}]}', 2, "$NOISE"),
        ('{"INPUTS": [{"TYPE": "float"}]}', 1, "NAME is missing"),
        ('{"INPUTS": [{"NAME": "a", "TYPE": "float"},\n {"NAME": "a", "TYPE": "bool"}]}', 2, "given twice"),
        ('{"INPUTS": [{"NAME": "my input", "TYPE": "float"}]}', 1, "no name a shader can use"),
        ("[1, 2]", 1, "not a JSON object"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(SceneError) as caught:
        header(text)
    assert caught.value.line == line
    assert words in caught.value.message
    assert caught.value.file == FILE
    assert caught.value.problem.advice


def test_a_file_without_a_header_is_refused() -> None:
    with pytest.raises(SceneError, match="does not begin with a comment"):
        parse("void main() {}", FILE)


_names = st.sampled_from(["a", "b", "WIDTH", "x y", "", "gl_x", "ä"])
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _names
_keys = st.sampled_from(
    "NAME TYPE DEFAULT MIN MAX VALUES LABELS TARGET PERSISTENT FLOAT WIDTH HEIGHT PATH INPUTS PASSES IMPORTED".split()
)
_types = st.sampled_from(["float", "bool", "long", "event", "color", "point2D", "image", "audio", "audioFFT", "?"])
_values = st.recursive(
    _scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(_keys, v, max_size=4), max_leaves=8
)
_input = st.dictionaries(_keys, _values, max_size=3).flatmap(
    lambda more: st.builds(lambda n, t: {**more, "NAME": n, "TYPE": t}, _names, _types)
)
_headers = st.fixed_dictionaries(
    {},
    optional={
        "INPUTS": st.lists(_input, max_size=3) | _values,
        "PASSES": st.lists(st.dictionaries(_keys, _values, max_size=4), max_size=3) | _values,
        "PERSISTENT_BUFFERS": _values,
        "IMPORTED": _values,
        "CATEGORIES": _values,
    },
)


@settings(max_examples=250, deadline=None)
@given(_headers)
def test_any_json_is_read_or_refused_with_a_line(data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=1)
    try:
        found = header(text.replace("*/", "* /"))
    except SceneError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert error.message
        return
    for item in found.inputs:
        if item.type == "float":
            assert item.minimum <= item.maximum and math.isfinite(item.default)
    assert found.passes


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        header(text)
    except SceneError as error:
        assert error.line >= 1


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789.+-*/%^()$WIDTHeax, floormnpq", max_size=60))
def test_any_size_is_a_number_of_pixels_or_refused(text: str) -> None:
    try:
        size = parse_expression(text)
        pixels = size.pixels({"WIDTH": 640.0, "HEIGHT": 360.0, "e": 1.0})
    except ExpressionError:
        return
    assert 1 <= pixels <= MAX_PIXELS


@pytest.mark.parametrize(
    ("text", "value"),
    [("$WIDTH/4.0", 160), ("floor($WIDTH / 3.0)", 213), ("max($WIDTH, $HEIGHT) * 0.5", 320), ("64", 64), ("$WIDTH / 0", 1),
     ("2 ^ 5", 32), ("1e9", MAX_PIXELS), ("-5", 1)],
)  # fmt: skip
def test_sizes_are_computed(text: str, value: int) -> None:
    assert parse_expression(text).pixels({"WIDTH": 640.0, "HEIGHT": 360.0}) == value


@pytest.mark.parametrize(
    "text", ["9**9**9**9", "().__class__", "lambda: 1", "[1][0]", "'a'*9", "$", "a", "1 if 1 else 2", "9" * 500]
)
def test_a_size_is_never_run_as_code(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(text).pixels({"WIDTH": 1.0})
