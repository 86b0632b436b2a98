# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespace as a tree by the parts of its addresses, walked by OSC patterns, level by level.

An exact address is one look-up. A pattern costs what it can reach: ``/channel/*/fader`` looks at eight channels, not at the
whole box, and members of a family share the list of names that a part was compared with. After ``//`` (OSC 1.1: any number of
levels) the branches of a name are found in the order of the tree, so nothing is walked in vain. ``/pad/N/…`` stands for the
pads of the chosen bank, also in patterns.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from appliance.bus.pattern import is_pattern
from appliance.control.osc.part import matcher
from appliance.errors import BadValue
from appliance.namespace import Address, Namespace

MAX_PATTERN = 1024
CACHED = 256
"""Patterns whose branches are remembered, and ten times as many parts."""
EVERYWHERE = -1


class _Branch:
    """``enter`` … ``leave``: its numbers and those of all below it, in the order of the tree. ``family``: branches with the
    same children have the same number. ``leaves``: what the address means in each bank (one, where banks do not matter)."""

    __slots__ = ("children", "enter", "family", "leave", "leaves", "name", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = path.rpartition("/")[2]
        self.children: dict[str, _Branch] = {}
        self.leaves: tuple[Address, ...] = ()
        self.enter = self.leave = self.family = 0


class AddressTree:
    """All addresses of a namespace. ``match`` takes the chosen bank, because ``/pad/N`` means another pad in each."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self.exact = {address.address: address for address in namespace}
        """Without ``/pad/N/…``."""
        self._root = _Branch("")
        banks: dict[str, list[Address]] = {}
        for address in namespace:
            self._grow(address.address, (address,))
            bank, pad, rest = address.address.partition("/pad/")
            if pad and bank.startswith("/bank/"):
                banks.setdefault(pad + rest, []).append(address)
        for alias, addresses in banks.items():
            self._grow(alias, tuple(addresses))
        self._lists: list[tuple[str, ...]] = []
        self._named: dict[str, list[_Branch]] = {}
        self._number(self._root, 0, {})
        self._names = tuple(self._named)
        self._enters = {name: [branch.enter for branch in branches] for name, branches in self._named.items()}
        self._chosen: dict[tuple[int, str], tuple[str, ...]] = {}
        self._found: dict[str, tuple[_Branch, ...]] = {}

    def _grow(self, path: str, leaves: tuple[Address, ...]) -> None:
        branch = self._root
        for part in path[1:].split("/"):
            branch = branch.children.setdefault(part, _Branch(f"{branch.path}/{part}"))
        branch.leaves = leaves

    def _number(self, branch: _Branch, number: int, families: dict[tuple[str, ...], int]) -> int:
        names = tuple(branch.children)
        branch.family = families.setdefault(names, len(families))
        if branch.family == len(self._lists):
            self._lists.append(names)
        branch.enter = number
        for name, child in branch.children.items():
            self._named.setdefault(name, []).append(child)
            number = self._number(child, number + 1, families)
        branch.leave = number
        return number

    def match(self, pattern: str, bank: int = 1) -> list[Address]:
        """Addresses that the pattern (or the exact address) names, each once; nothing when none does.

        Raises UnknownAddress only for an exact address, with the nearest ones.
        """
        if not is_pattern(pattern):
            return [self._namespace.find(pattern, bank)]
        found: dict[str, Address] = {}
        for branch in self._branches(pattern):
            if branch.leaves:
                leaf = branch.leaves[min(bank, len(branch.leaves)) - 1]
                found[leaf.address] = leaf
        return list(found.values())

    def watched(self, pattern: str) -> list[str]:
        """The addresses, ``/pad/N/…`` under their own names, that one who watches means by an address, a pattern, or a prefix
        such as ``/pad/3``; with a star at its end, a pattern means all that stands below too."""
        branches: Iterable[_Branch] = self._branches(pattern.rstrip("/"))
        alone = not is_pattern(pattern) and any(branch.leaves for branch in branches)
        if not alone and (pattern.endswith("*") or not is_pattern(pattern)):
            branches = [below for branch in branches for below in _all_below(branch)]
        return [branch.path for branch in branches if branch.leaves]

    def _branches(self, pattern: str) -> tuple[_Branch, ...]:
        """Raises :class:`BadValue` for a pattern that is too long."""
        found = self._found.get(pattern)
        if found is None:
            if len(pattern) > MAX_PATTERN:
                raise BadValue(f"OSC: a pattern of {len(pattern)} characters is too long; {MAX_PATTERN} at most")
            if len(self._found) >= CACHED:
                self._found.clear()
            found = self._found[pattern] = tuple(self.walk(pattern))
        return found

    def walk(self, pattern: str) -> list[_Branch]:
        """The branches that the pattern names, not remembered."""
        front, anywhere = [self._root], False
        for part in pattern[1:].split("/"):
            if not part:
                anywhere = True
                continue
            front = self._below(front, part) if anywhere else self._next(front, part)
            anywhere = False
        return front

    def _next(self, front: list[_Branch], part: str) -> list[_Branch]:
        """Children of the branches in front."""
        if not is_pattern(part):
            return [child for branch in front if (child := branch.children.get(part))]
        return [branch.children[name] for branch in front for name in self._choose(branch.family, part)]

    def _below(self, front: list[_Branch], part: str) -> list[_Branch]:
        """Branches of that name at any depth below those in front, in the order of the tree, each once."""
        found: list[_Branch] = []
        names = self._choose(EVERYWHERE, part) if is_pattern(part) else (part,) if part in self._named else ()
        seen = -1
        for branch in sorted(front, key=lambda branch: branch.enter):
            if branch.enter <= seen:
                continue  # stands below one that has been looked through
            seen = branch.leave
            for name in names:
                enters = self._enters[name]
                found += self._named[name][bisect_right(enters, branch.enter) : bisect_left(enters, branch.leave + 1)]
        return found

    def _choose(self, family: int, part: str) -> tuple[str, ...]:
        """Which names of a list match."""
        chosen = self._chosen.get((family, part))
        if chosen is None:
            if len(self._chosen) >= CACHED * 10:
                self._chosen.clear()
            matches = matcher(part)
            names = self._names if family == EVERYWHERE else self._lists[family]
            chosen = self._chosen[family, part] = tuple(name for name in names if matches(name))
        return chosen


def _all_below(branch: _Branch) -> list[_Branch]:
    found = [branch]
    for child in branch.children.values():
        found += _all_below(child)
    return found
