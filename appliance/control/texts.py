# SPDX-License-Identifier: GPL-3.0-or-later
"""Text parameters: control keeps them, and refuses a role that is none, a colour that is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any

from appliance.errors import BadValue, UnknownAddress
from appliance.namespace import Address, Kind
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import ROLES

Guard = Callable[[Address, str], str]
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def template_of(address: Address) -> str:
    """The declaration's address with its families: ``/deck/{deck}/title``."""
    return f"{address.group.prefix}/{address.node.name}"


def _check_role(address: Address, value: str) -> str:
    word = value.strip().lower()
    if word in ROLES:
        return word
    close = difflib.get_close_matches(word, ROLES, 1)
    hint = f"did you mean {close[0]}?" if close else f"it is one of {', '.join(ROLES)}"
    raise BadValue(f"{address}: {value!r} is no role; {hint}")


def _check_colour(address: Address, value: str) -> str:
    if value == "" or _COLOUR.fullmatch(value):
        return value.lower()
    raise BadValue(f"{address}: {value!r} is no colour; write #rrggbb, or nothing for the role's colour")


def _check_panic_loop(address: Address, value: str) -> str:
    """The pad must be one when the button is pressed: nothing is found out then."""
    if value == "":
        return value
    try:
        pad = NAMESPACE.find(f"{value.rstrip('/')}/trigger")
    except UnknownAddress:
        raise BadValue(f"{address}: {value!r} is no pad; write /bank/B/pad/N, or nothing for the first loaded pad") from None
    return pad.address.removesuffix("/trigger")


class Texts:
    """Texts by canonical address. ``guards`` check or normalise by template before a text is kept."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}
        self.guards: dict[str, Guard] = {
            "/bank/{bank}/pad/{pad}/role": _check_role,
            "/bank/{bank}/pad/{pad}/colour": _check_colour,
            "/panic/loop": _check_panic_loop,
        }

    def get(self, address: Address) -> str:
        return self._kept.get(address.address, str(address.node.default))

    def check(self, address: Address, value: Any) -> str:
        """The text as it would be kept. Raises :class:`BadValue`, or what the guard raises."""
        text: str = address.node.check(value, address.address)
        guard = self.guards.get(template_of(address))
        return guard(address, text) if guard else text

    def keep(self, address: Address, value: str) -> bool:
        """Keep a checked text; whether it is another than before."""
        before = self.get(address)
        if value == address.node.default:
            self._kept.pop(address.address, None)
        else:
            self._kept[address.address] = value
        return value != before

    def changed_from_default(self) -> dict[str, str]:
        """What belongs into a session: canonical address → text."""
        return {a: t for a, t in sorted(self._kept.items()) if NAMESPACE.find(a).node.session}

    def session_addresses(self) -> list[Address]:
        return [a for a in NAMESPACE if a.node.kind is Kind.TEXT and a.node.session]
