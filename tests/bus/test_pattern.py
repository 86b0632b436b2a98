# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns that come from other machines: they mean what OSC says, and none holds up the box."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bus.pattern import compile_pattern
from appliance.control.osc.part import matcher

_WORDS = st.lists(st.sampled_from(["a", "b", "ab", "?", "[ab]", "[!a]", "{a,b}", "{ab,b}", "*"]), min_size=1, max_size=5)
PARTS = _WORDS.map("".join).filter(lambda part: part.count("*") <= 3)
NAMES = st.text("abc", min_size=1, max_size=6)


@given(st.lists(PARTS, min_size=1, max_size=4), st.lists(NAMES, min_size=1, max_size=4))
def test_part_by_part_as_the_osc_server_matches(pattern: list[str], address: list[str]) -> None:
    expected = len(pattern) == len(address) and all(
        matcher(part)(name) for part, name in zip(pattern, address, strict=True))
    assert bool(compile_pattern("/" + "/".join(pattern)).fullmatch("/" + "/".join(address))) is expected


@pytest.mark.parametrize(("pattern", "address", "expected"), [
    ("/pad/*", "/pad/3/gain", True), ("/*", "/clock/bpm", True), ("//bpm", "/clock/bpm", True),
    ("/deck//at", "/deck/1/hotcue/2/at", True),
    ("/pad/*/gain", "/pad/3/eq/gain", False), ("/a[!b]c", "/a/c", False), ("/pad/[1-4]/stop", "/pad/3/stop", True),
    ("/pad/[1-4/stop", "/pad/[1-4/stop", True), ("/{clock,mixer}/*", "/mixer/master", True), ("/clock/bpm", "/clock/bpm", True),
])
def test_what_people_write(pattern: str, address: str, expected: bool) -> None:
    assert bool(compile_pattern(pattern, deep=True).fullmatch(address)) is expected


def test_no_pattern_tries_for_ever() -> None:
    """In a process of its own, which the test can end: an expression that runs wild cannot be interrupted."""
    script = ("from appliance.control.desk import matching\n"
              "for pattern in ('/' + '*' * 30 + 'x', '/*a*a*a*a*a*a*a*a*a*x', '//*' * 9 + 'x', '/' + '*{,}' * 20 + 'x',\n"
              "                '/*{,}*{,}*' * 8 + 'x', '//*{,}*{,}*' * 4 + 'x', '/' + '{a,' * 4000, '/' + '[' * 900,\n"
              "                '/*[!x]*[!x]*' * 6):\n"
              "    matching(pattern)\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
