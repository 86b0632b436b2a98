# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of addresses against a plain matcher that tries everything, and packets against bytes at random."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.control.announce import pad_aliases
from appliance.control.osc.packet import decode, encode
from appliance.control.osc.trie import MAX_PATTERN, AddressTree
from appliance.errors import BadValue, UnknownAddress
from appliance.namespace import Group, Namespace, number
from appliance.nodes import NAMESPACE

TREE = AddressTree(NAMESPACE)


def matches(pattern: str, text: str) -> bool:
    """OSC 1.0's words, one after the other, with everything tried; ``//`` is any number of parts."""
    if not pattern:
        return not text
    if pattern.startswith("//"):
        rest = pattern.lstrip("/")
        return text[:1] == "/" and any(matches("/" + rest, text[at:]) for at in range(len(text)) if text[at] == "/")
    char, rest = pattern[0], pattern[1:]
    if char == "*":
        end = text.find("/") if "/" in text else len(text)
        return any(matches(rest, text[at:]) for at in range(end + 1))
    if char == "?":
        return text[:1] not in ("", "/") and matches(rest, text[1:])
    if char == "[" and (end := pattern.find("]", 2)) > 0 and "/" not in pattern[:end]:
        return text[:1] not in ("", "/") and among(pattern[1:end], text[0]) and matches(pattern[end + 1 :], text[1:])
    if char == "{" and (end := pattern.find("}")) > 0 and "/" not in pattern[:end]:
        words = pattern[1:end].split(",")
        return any(text.startswith(word) and matches(pattern[end + 1 :], text[len(word) :]) for word in words)
    return text[:1] == char and matches(rest, text[1:])


def among(inside: str, char: str) -> bool:
    if inside.startswith("!"):
        return not among(inside[1:], char)
    while inside:
        if len(inside) > 2 and inside[1] == "-":
            if min(inside[0], inside[2]) <= char <= max(inside[0], inside[2]):
                return True
            inside = inside[3:]
        elif inside[0] == char:
            return True
        else:
            inside = inside[1:]
    return False


NAMES = ("a", "b", "ab", "ba", "aa", "abba", "1", "12", "a-b")


def little(paths: set[tuple[str, ...]]) -> Namespace:
    """A namespace with these addresses; none of them below another."""
    nodes = tuple(number("/".join(path), 0.0, 0.0, 1.0, "") for path in sorted(paths))
    return Namespace([Group("little", "/z", nodes)])


PATHS = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1, max_size=12)
PART = st.lists(st.sampled_from(["*", "?", "a", "b", "1", "[ab]", "[!a]", "[a-b]", "[1-2]", "{a,ab}", "{b,ba,}", "[b-", "{a"]),
                min_size=1, max_size=4).map("".join)
PATTERN = st.lists(st.tuples(st.sampled_from(["/", "/", "//"]), PART), min_size=1, max_size=4).map(
    lambda parts: "".join(slash + part for slash, part in parts))


@settings(max_examples=200, deadline=None)
@given(PATHS, PATTERN)
def test_the_tree_finds_what_a_plain_matcher_finds(paths: set[tuple[str, ...]], pattern: str) -> None:
    namespace = little(paths)
    asked = "/z" + pattern + "*"  # always a pattern
    expected = {a.address for a in namespace if matches(asked, a.address)}
    assert {a.address for a in AddressTree(namespace).match(asked)} == expected


@pytest.mark.parametrize("pattern", [
    "/channel/*/fader", "//mute", "//pad/3/gain", "/bank/[!1-7]//gain", "/*/*/*", "/deck//hotcue/?/*", "//{gain,pan}",
    "/channel/1*/*", "//bank//gain", "/bank/*//*in"])
def test_the_boxs_own_addresses(pattern: str) -> None:
    names = (*(a.address for a in NAMESPACE), *pad_aliases())
    expected = {NAMESPACE.find(name).address for name in names if matches(pattern, name)}
    assert {a.address for a in TREE.match(pattern)} == expected
    assert expected


def test_pads_are_those_of_the_bank() -> None:
    assert [a.address for a in TREE.match("/pad/[1-2]/gain", 3)] == ["/bank/3/pad/1/gain", "/bank/3/pad/2/gain"]
    assert "/pad/1/gain" in TREE.watched("/pad/*")
    assert "/bank/1/pad/1/gain" not in TREE.watched("/pad")
    assert set(TREE.watched("/mixer")) == {a.address for a in NAMESPACE if a.address.startswith("/mixer/")}
    assert TREE.watched("/mixer/crossfader") == ["/mixer/crossfader"]
    assert len(TREE.watched("/*")) > len(NAMESPACE)
    assert TREE.watched("/nowhere") == []


def test_what_is_too_long_or_unknown_is_refused() -> None:
    with pytest.raises(BadValue, match="too long"):
        TREE.match("/" + "*" * MAX_PATTERN)
    with pytest.raises(UnknownAddress, match="did you mean /mixer/crossfader"):
        TREE.match("/mixer/crosfader")


SEEDS = [encode("/mixer/crossfader", 0.5), encode("/pad/1/load", "kick.wav", 3, 2.5), encode("/a", 2**40, "ü", True),
         b"/x\0\0,TFNImc\0" + bytes(8), b"#bundle\0" + bytes(7) + b"\1\0\0\0\x20" + encode("/mixer/crossfader", 0.5)]


def fuzz(count: int, seed: int) -> tuple[int, int]:
    """Random and mutated packets: how many were read, and how many refused; nothing else may happen."""
    rng = random.Random(seed)
    read = refused = 0
    for _ in range(count):
        packet = bytearray(rng.choice(SEEDS) if rng.random() < 0.9 else rng.randbytes(rng.randrange(80)))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(packet) + 1)
            match rng.randrange(4):
                case 0 if at < len(packet):
                    packet[at] = rng.randrange(256)
                case 1:
                    del packet[at : at + rng.randrange(9)]
                case 2:
                    packet[at:at] = rng.choice([b"\0" * 4, b"/", b"#bundle\0", b",f\0\0", rng.randbytes(4)])
                case _:
                    packet += rng.choice(SEEDS)
        try:
            messages: list[Any] = decode(bytes(packet))
        except BadValue as error:
            assert error.message.startswith("OSC: ")
            refused += 1
        else:
            assert all(message.address.startswith("/") for message in messages)
            read += 1
            for message in messages:
                try:
                    TREE.match(message.address)
                except (UnknownAddress, BadValue):
                    pass
                break
    return read, refused


def test_two_thousand_packets_are_read_or_refused() -> None:
    read, refused = fuzz(2000, 1)
    assert read > 200
    assert refused > 200


@pytest.mark.soak
def test_two_hundred_thousand_packets_are_read_or_refused() -> None:
    read, refused = fuzz(200_000, 2)
    assert read + refused == 200_000
