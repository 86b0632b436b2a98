# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC 1.0 address patterns (``?``, ``*``, ``[1-4]``, ``{a,b}``) as compiled regular expressions; ``//`` spans levels.

``*`` and ``?`` stay within one part of the address, except that a trailing ``/*`` of a watch also takes deeper parts, as a
person who types ``/pad/*`` means it.
"""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str, *, deep: bool = False) -> re.Pattern[str]:
    """Compile an OSC pattern. ``deep``: a trailing ``*`` spans levels. Unbalanced brackets are taken literally."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            last = at == len(pattern) - 1
            out.append(".*" if deep and last else "[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "/" and pattern[at : at + 2] == "//":
            out.append("/(?:.*/)?")
            at += 1
        elif char == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end]
            sign = "^" if inside.startswith("!") else ""
            body = re.sub(r"([\\\]\[^])", r"\\\1", inside.lstrip("!"))
            out.append(f"[{sign}{body}]" if body else re.escape(pattern[at : end + 1]))
            at = end
        elif char == "{" and (end := pattern.find("}", at)) > 0:
            out.append("(?:" + "|".join(re.escape(word) for word in pattern[at + 1 : end].split(",")) + ")")
            at = end
        else:
            out.append(re.escape(char))
        at += 1
    try:
        return re.compile("".join(out))
    except re.error:
        return re.compile(re.escape(pattern))


def is_pattern(address: str) -> bool:
    return any(char in address for char in "*?[{") or "//" in address
