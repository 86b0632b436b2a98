# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference page of all addresses, made from their declarations: ``python -m appliance.reference > docs/reference.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from appliance.namespace import Group, Kind, Node, Scope, Type
from appliance.nodes import NAMESPACE

HEAD = """# Addresses

Made from the declarations in `appliance/nodes` by `make reference`; do not edit.

Every address can be reached by OSC, HTTP, WebSocket, the command line, MIDI profiles and the hub. A *value* is a number that
stays; a *text* too, in words; a *command* happens at once or on its grid in the engine; a *call* is answered by one of the
other processes; a *state* is what the box reports. Numbers in braces count from 1: `/deck/{deck}/play` is `/deck/1/play` …
`/deck/4/play`. `/pad/N/…` is short for pad N of the bank that `/pads/bank` names. What has a ● is kept in the session. Devices
from elsewhere that are paired to *play* may use what says nothing else; *(edit)* and *(admin)* need that much, *(private)* is
never told to other machines.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for prefix, groups in _by_prefix().items():
        parts.append(f"\n## {prefix}\n")
        parts += [f"{_family(group)}\n" for group in groups if group.families]
        parts.append("| address | kind | takes or tells | default | what |\n|---|---|---|---|---|")
        parts += [row for group in groups for row in _rows(group)]
    return "\n".join(parts) + "\n"


def _by_prefix() -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in NAMESPACE.groups:
        found.setdefault("/" + group.prefix.split("/")[1], []).append(group)
    return found


def _family(group: Group) -> str:
    counts = ", ".join(f"{{{name}}} 1 … {count}" for name, count in group.families.items())
    return f"`{group.prefix}`: {counts}"


def _rows(group: Group) -> Iterator[str]:
    for node in group.nodes:
        cells = (f"`{group.prefix}/{node.name}`", _kind(node), _range(node), _default(node), node.doc)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kind(node: Node) -> str:
    scope = "private" if node.private else node.scope.value if node.scope is not Scope.PLAY else ""
    return f"{node.kind.value}{' ●' if node.session else ''}{f' ({scope})' if scope else ''}"


def _range(node: Node) -> str:
    optional = " (may be left out)" if node.optional and node.type is not Type.NONE else ""
    if node.type is Type.CHOICE:
        return ", ".join(node.choices) + optional
    if node.type is Type.BOOL:
        return "true, false" + optional
    if node.type in (Type.FLOAT, Type.INT):
        if node.kind is Kind.STATE:
            return f"{node.type.value} {node.unit}".strip()
        unit = f" {node.unit}" if node.unit else ""
        return f"{node.minimum:g} … {node.maximum:g}{unit}{' (whole)' if node.type is Type.INT else ''}{optional}"
    return {Type.TEXT: "text", Type.JSON: "", Type.NONE: ""}[node.type]


def _default(node: Node) -> str:
    if node.default is None or node.default == "":
        return ""
    if isinstance(node.default, tuple):
        return ", ".join(str(value) for value in node.default)
    if isinstance(node.default, bool):
        return str(node.default).lower()
    return f"{node.default:g}" if isinstance(node.default, float) else str(node.default)


def main() -> int:
    """Write the page to the file named, or to stdout; with ``--check`` say whether the file is current."""
    words = [word for word in sys.argv[1:] if word != "--check"]
    if not words:
        sys.stdout.write(page())
        return 0
    path = Path(words[0])
    if "--check" not in sys.argv:
        path.write_text(page(), encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == page():
        return 0
    print(f"{path} is not current; `make reference` makes it anew", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
