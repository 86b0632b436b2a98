# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML that keeps what a person wrote: comments, order, quotes, empty lines; and puts new things in as a person would."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken


def put(section: CommentedMap, key: str, value: Any, after: Callable[[str], bool] = lambda _text: False) -> None:
    """At its place, behind the last one that it goes with, or at the end; empty lines and comments before the next section stay
    there."""
    keys = list(section)
    if key in section:
        section[key] = value
        return
    at = max((at for at, text in enumerate(keys) if after(text)), default=len(keys) - 1) + 1
    section.insert(at, key, value)
    if 0 < at == len(keys) and (comment := section.ca.items.get(keys[-1])) and (token := comment[2]) is not None:
        own, _, rest = token.value.partition("\n")
        section.ca.items[key] = [None, None, CommentToken("\n" + rest, token.start_mark, None), None]
        token.value = own + "\n"
        if not own:
            del section.ca.items[keys[-1]]


def runs(numbers: list[int]) -> list[tuple[int, int]]:
    """1 2 3 5 as 1…3, 5…5."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def again(value: Any) -> Any:
    """The same, not an alias of it."""
    if isinstance(value, CommentedMap | CommentedSeq):
        stream = io.StringIO()
        _yaml().dump(value, stream)
        return _yaml().load(stream.getvalue())
    return value


def _yaml() -> YAML:
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = 4096
    writer.indent(mapping=2, sequence=4, offset=2)
    return writer


def load(text: str) -> CommentedMap:
    tree = _yaml().load(text)
    return tree if isinstance(tree, CommentedMap) else CommentedMap()


def dump(tree: CommentedMap) -> str:
    stream = io.StringIO()
    _yaml().dump(tree, stream)
    return stream.getvalue()


def flow(pairs: dict[str, Any]) -> CommentedMap:
    tree = CommentedMap({name: value_of(value) for name, value in pairs.items()})
    tree.fa.set_flow_style()
    return tree


def value_of(value: Any) -> Any:
    """Text so that the profile's reader takes it for text."""
    if isinstance(value, dict):
        return flow(value)
    if isinstance(value, list):
        sequence = CommentedSeq([value_of(item) for item in value])
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and (not value or yaml.safe_load(value) != value):
        return DoubleQuotedScalarString(value)
    return value


def numbers_of(numbers: list[int]) -> Any:
    """36, 37, 38 as 36..38."""
    parts = [part for first, last in runs(numbers) for part in ([first, last] if last == first + 1 and len(numbers) > 2 else
             [first] if first == last else [f"{first}..{last}"])]
    if len(parts) == 1:
        return parts[0]
    sequence = CommentedSeq(parts)
    sequence.fa.set_flow_style()
    return sequence
