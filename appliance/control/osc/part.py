# SPDX-License-Identifier: GPL-3.0-or-later
"""One part of an OSC address pattern (``?``, ``*``, ``[a-z]``, ``[!0-3]``, ``{low,mid}``), matched in linear time.

Patterns come from the network, so no expression engine that can be made to backtrack for ever: the set of places that the
name can have been read up to is moved on token by token.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

Step = Callable[[str, set[int]], set[int]]


@lru_cache(maxsize=1024)
def compile_part(pattern: str) -> tuple[Step, ...]:
    """The steps of a pattern. A bracket or brace that is not closed is taken literally."""
    steps: list[Step] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        end = pattern.find({"[": "]", "{": "}"}.get(char, ""), at + 1) if char in "[{" else -1
        if char == "*":
            steps.append(_any_number)
        elif char == "?":
            steps.append(lambda name, places: {p + 1 for p in places if p < len(name)})
        elif char == "[" and end > at + 1:
            steps.append(_one_of(pattern[at + 1 : end]))
            at = end
        elif char == "{" and end > 0:
            steps.append(_words(tuple(dict.fromkeys(pattern[at + 1 : end].split(",")))))
            at = end
        else:
            steps.append(_words((char,)))
        at += 1
    return tuple(steps)


def matches(steps: tuple[Step, ...], name: str) -> bool:
    places = {0}
    for step in steps:
        places = step(name, places)
        if not places:
            return False
    return len(name) in places


def _any_number(name: str, places: set[int]) -> set[int]:
    return set(range(min(places), len(name) + 1))


def _words(words: tuple[str, ...]) -> Step:
    def step(name: str, places: set[int]) -> set[int]:
        return {p + len(word) for p in places for word in words if name.startswith(word, p)}

    return step


def _one_of(inside: str) -> Step:
    """``a-z`` is a range, ``!`` in front turns it round; a minus at the end stands for itself."""
    negated = inside.startswith("!")
    inside = inside[1:] if negated else inside
    singles: set[str] = set()
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(inside):
        if inside[at + 1 : at + 2] == "-" and at + 2 < len(inside):
            ranges.append((min(inside[at], inside[at + 2]), max(inside[at], inside[at + 2])))
            at += 3
        else:
            singles.add(inside[at])
            at += 1

    def step(name: str, places: set[int]) -> set[int]:
        return {
            p + 1
            for p in places
            if p < len(name) and (name[p] in singles or any(low <= name[p] <= high for low, high in ranges)) != negated
        }

    return step
