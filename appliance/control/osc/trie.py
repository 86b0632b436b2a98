# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespace as a tree by the parts of its addresses, walked by OSC 1.0 patterns.

An exact address is one look-up; a pattern costs what it can reach: ``/channel/*/fader`` looks at eight channels, not at the
whole box. ``/pad/N/…`` stands for the pads of the chosen bank, also in patterns.
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.bus.pattern import is_pattern
from appliance.control.osc.part import compile_part, matches
from appliance.namespace import Address, Namespace

MAX_STEPS = 100_000
"""A pattern that has looked at so many branches finds no more: it would hold up the loop."""


class _Branch:
    __slots__ = ("children", "leaf")

    def __init__(self) -> None:
        self.children: dict[str, _Branch] = {}
        self.leaf: Address | None = None


class AddressTree:
    """All addresses of a namespace. ``match`` takes the chosen bank, because ``/pad/N`` means another pad in each."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._root = _Branch()
        for address in namespace:
            branch = self._root
            for part in address.address[1:].split("/"):
                branch = branch.children.setdefault(part, _Branch())
            branch.leaf = address
        self._banks = [
            self._root.children["bank"].children[str(n + 1)].children["pad"]
            for n in range(len(self._root.children["bank"].children))
        ]

    def match(self, pattern: str, bank: int = 1) -> list[Address]:
        """Addresses that the pattern (or the exact address) names, each once; nothing when none does.

        Raises UnknownAddress only for an exact address, with the nearest ones.
        """
        if not is_pattern(pattern):
            return [self._namespace.find(pattern, bank)]
        found: dict[str, Address] = {}
        self._steps = MAX_STEPS
        for leaf in self._walk(self._root, _parts(pattern), 0, bank):
            found[leaf.address] = leaf
        return list(found.values())

    def _children(self, branch: _Branch, bank: int) -> Iterator[tuple[str, _Branch]]:
        yield from branch.children.items()
        if branch is self._root:
            yield "pad", self._banks[bank - 1]

    def _walk(self, branch: _Branch, parts: list[str], at: int, bank: int) -> Iterator[Address]:
        if at == len(parts):
            if branch.leaf is not None:
                yield branch.leaf
            return
        self._steps -= 1
        if self._steps < 0:
            return
        part = parts[at]
        if part == "":  # from //: any number of levels, also none
            yield from self._walk(branch, parts, at + 1, bank)
            for _, child in self._children(branch, bank):
                yield from self._walk(child, parts, at, bank)
        elif not is_pattern(part):
            if branch is self._root and part == "pad":
                yield from self._walk(self._banks[bank - 1], parts, at + 1, bank)
            elif child := branch.children.get(part):
                yield from self._walk(child, parts, at + 1, bank)
        else:
            steps = compile_part(part)
            for name, child in self._children(branch, bank):
                if matches(steps, name):
                    yield from self._walk(child, parts, at + 1, bank)


def _parts(pattern: str) -> list[str]:
    """``/a//b`` → ``["a", "", "b"]``: an empty part stands for any number of levels. Repeated ones are one."""
    parts: list[str] = []
    for part in pattern[1:].rstrip("/").split("/"):
        if part or not parts or parts[-1]:
            parts.append(part)
    return parts
