# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said with a load: the path, then options as an object, as ``name=value`` words or as names and values in turn."""

from __future__ import annotations

from typing import Any

from appliance.control.clipbank import Options
from appliance.errors import BadValue
from appliance.namespace import Address
from appliance.nodes.pad import ROLES

OPTION_NAMES = ("name", "role", "bpm", "beats", "gain")


def parse_load(address: Address, args: list[Any]) -> tuple[str, Options]:
    """``path, options…``: options as an object, as ``name=value`` words or as names and values in turn.

    Raises :class:`BadValue` with what is wrong.
    """
    if not args or not isinstance(args[0], str) or not args[0].strip():
        raise BadValue(f"{address} takes a path (or a stored clip's hash), then options: {', '.join(OPTION_NAMES)}")
    said: dict[str, Any] = {}
    rest = list(args[1:])
    while rest:
        word = rest.pop(0)
        if isinstance(word, dict):
            said.update(word)
        elif isinstance(word, str) and "=" in word:
            key, _, value = word.partition("=")
            said[key.strip()] = value.strip()
        elif isinstance(word, str) and rest:
            said[word] = rest.pop(0)
        elif word is not None:
            raise BadValue(f"{address}: {word!r} is no option; options are {', '.join(OPTION_NAMES)}, as name=value")
    unknown = [key for key in said if key not in OPTION_NAMES]
    if unknown:
        raise BadValue(f"{address}: there is no option {unknown[0]!r}; options are {', '.join(OPTION_NAMES)}")
    role = said.get("role")
    if role is not None and role not in ROLES:
        raise BadValue(f"{address}: {role!r} is no role; it is one of {', '.join(ROLES)}")
    name = said.get("name")
    if name is not None and not isinstance(name, str):
        raise BadValue(f"{address}: name is text, not {name!r}")
    return args[0].strip(), Options(_amount(address, said, "bpm", 1000), _amount(address, said, "beats", 1e6),
                                    _amount(address, said, "gain", 100), name, role)


def _amount(address: Address, said: dict[str, Any], key: str, most: float) -> float | None:
    if said.get(key) is None:
        return None
    try:
        number = float(said[key])
    except (TypeError, ValueError):
        raise BadValue(f"{address}: {key} is a number, not {said[key]!r}") from None
    if not 0 <= number <= most:
        raise BadValue(f"{address}: {key} is 0 … {most:g}, not {number:g}")
    return number
