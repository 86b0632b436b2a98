# SPDX-License-Identifier: GPL-3.0-or-later
"""OSC 1.0 address patterns (``?``, ``*``, ``[1-4]``, ``{a,b}``) as compiled regular expressions; ``//`` spans levels.

``*`` and ``?`` stay within one part of the address, except that a trailing ``/*`` of a watch also takes deeper parts, as a
person who types ``/pad/*`` means it.

Patterns come from other machines, and an expression can be made to try for ever. So each part is an atomic group (once it has
matched, it is not tried another way), and a pattern with more wildcards than anybody needs is taken literally.
"""

from __future__ import annotations

import re
from functools import lru_cache

MOST_STARS = 3
"""In one part, neighbours counted once."""
MOST_SPANS = 4
LONGEST = 1024


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str, *, deep: bool = False) -> re.Pattern[str]:
    """Compile an OSC pattern. ``deep``: a trailing ``*`` spans levels. Unbalanced brackets are taken literally."""
    if len(pattern) > LONGEST:
        return re.compile(re.escape(pattern))
    out: list[str] = []
    part: list[str] = []
    stars = most_stars = spans = at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            while pattern[at + 1 : at + 2] == "*":
                at += 1
            stars += 1
            most_stars = max(stars, most_stars)
            part.append(".*" if deep and at == len(pattern) - 1 else "[^/]*")
        elif char == "?":
            part.append("[^/]")
        elif char == "/":
            out.append(_closed(part))
            part, stars = [], 0
            if pattern[at + 1 : at + 2] == "/":
                out.append("/(?:.*/)?")
                spans += 1
                at += 1
            else:
                out.append("/")
        elif char == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end]
            sign = "^/" if inside.startswith("!") else ""
            body = re.sub(r"([\\\]\[^])", r"\\\1", inside.lstrip("!"))
            part.append(f"[{sign}{body}]" if body else re.escape(pattern[at : end + 1]))
            at = end
        elif char == "{" and (end := pattern.find("}", at)) > 0:
            words = dict.fromkeys(pattern[at + 1 : end].split(","))
            part.append("(?:" + "|".join(re.escape(word) for word in words) + ")")
            at = end
        else:
            part.append(re.escape(char))
        at += 1
    out += part  # the last one need not be closed: the match ends here
    try:
        return re.compile("".join(out) if most_stars <= MOST_STARS and spans <= MOST_SPANS else re.escape(pattern))
    except re.error:
        return re.compile(re.escape(pattern))


def _closed(part: list[str]) -> str:
    """A part up to its slash: whichever way it matches, it ends there, so the first way is as good as any."""
    return f"(?>{''.join(part)}(?=/))" if part else ""


def is_pattern(address: str) -> bool:
    return any(char in address for char in "*?[{") or "//" in address
