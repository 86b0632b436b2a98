# SPDX-License-Identifier: GPL-3.0-or-later
"""One part of an OSC address pattern (``?``, ``*``, ``[a-z]``, ``[!0-3]``, ``{low,mid}``), matched in linear time.

Patterns come from the network, so no expression engine that can be made to backtrack for ever (and that takes longer to compile
than a look-up may): the set of places that the name can have been read up to is moved on token by token.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import takewhile

Step = Callable[[str, set[int]], set[int]]
Matcher = Callable[[str], bool]
Token = tuple[str, str]


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Matcher:
    """``matcher("l[ao]?")("low")`` is true. A bracket or brace that is not closed is taken literally."""
    tokens = _tokens(pattern)
    if tokens == [("*", "")]:
        return lambda name: True
    if not any(kind in "*{" for kind, _ in tokens):
        return _of_one_length(tokens)
    start = "".join(char for _, char in takewhile(lambda token: token[0] == "c", tokens))
    steps = [_step(kind, inside) for kind, inside in tokens[len(start) :]]

    def matches(name: str) -> bool:
        if not name.startswith(start):
            return False
        places = {len(start)}
        for step in steps:
            places = step(name, places)
            if not places:
                return False
        return len(name) in places

    return matches


def _tokens(pattern: str) -> list[Token]:
    """``l*[ao]{w,x}`` → ``("c", "l") ("*", "") ("[", "ao") ("{", "w,x")``."""
    tokens: list[Token] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        end = pattern.find({"[": "]", "{": "}"}.get(char, ""), at + 1) if char in "[{" else -1
        if char == "*":
            if not tokens or tokens[-1][0] != "*":
                tokens.append(("*", ""))
        elif char == "?":
            tokens.append(("?", ""))
        elif (char == "[" and end > at + 1) or (char == "{" and end > 0):
            tokens.append((char, pattern[at + 1 : end]))
            at = end
        else:
            tokens.append(("c", char))
        at += 1
    return tokens


def _of_one_length(tokens: list[Token]) -> Matcher:
    """Every token takes one character."""
    tests = [(at, _one(kind, inside)) for at, (kind, inside) in enumerate(tokens) if kind != "?"]
    length = len(tokens)
    return lambda name: len(name) == length and all(test(name[at]) for at, test in tests)


def _one(kind: str, inside: str) -> Callable[[str], bool]:
    if kind == "c":
        return inside.__eq__
    negated, singles, ranges = _one_of(inside)
    return lambda char: (char in singles or any(low <= char <= high for low, high in ranges)) != negated


def _one_of(inside: str) -> tuple[bool, set[str], list[tuple[str, str]]]:
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
    return negated, singles, ranges


def _step(kind: str, inside: str) -> Step:
    match kind:
        case "*":
            return lambda name, places: set(range(min(places), len(name) + 1))
        case "?":
            return lambda name, places: {p + 1 for p in places if p < len(name)}
        case "{":
            words = tuple(dict.fromkeys(inside.split(",")))
            return lambda name, places: {p + len(word) for p in places for word in words if name.startswith(word, p)}
        case _:
            test = _one(kind, inside)
            return lambda name, places: {p + 1 for p in places if p < len(name) and test(name[p])}
