# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a session file, and how one is read: with a plain message for whatever is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from appliance.bus.eventfile import SceneCell
from appliance.errors import ApplianceError, BadFile, BadValue
from appliance.namespace import Kind
from appliance.nodes import NAMESPACE

SCHEMA = 1
NAME = re.compile(r"[\w][\w .-]{0,63}")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Newer(BadFile):
    """Written by a newer version of the box."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClipEntry(Section):
    """A file on a pad or deck, and what was said of it when it was loaded; ``handle`` is of the running box only."""

    path: str = Field(min_length=1, max_length=4096)
    hash: str = ""
    bpm: float | None = Field(default=None, ge=0, le=1000)
    beats: float | None = Field(default=None, ge=0)
    gain: float | None = Field(default=None, ge=0, le=100)
    name: str | None = None
    role: str | None = None
    handle: int = 0


class SessionFile(Section):
    """One session. Values and texts only where they differ from the defaults."""

    session: int = Field(default=SCHEMA, description="version of this format")
    name: str = "default"
    saved: str = Field(default="", description="when, in UTC")
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    clips: dict[str, ClipEntry] = Field(default={}, description="/bank/1/pad/3 or /deck/1 → file")
    scenes: dict[int, dict[str, SceneCell]] = Field(default={}, description="stored scenes: row → pad → what it does")
    playing: list[str] = Field(default=[], description="pads and decks that play; kept for session.resume: play")
    complete: bool = Field(default=False, description="the last line of a file that the box has saved: it is not cut off")

    @field_validator("clips")
    @classmethod
    def _places(cls, clips: dict[str, ClipEntry]) -> dict[str, ClipEntry]:
        for place in clips:
            if f"{place}/load" not in NAMESPACE:
                raise ValueError(f"{place} is no pad and no deck")
        return clips


def check_name(name: str) -> str:
    """A session's name is a file's name. Raises :class:`BadValue`."""
    if not NAME.fullmatch(name) or name.endswith((".", " ")):
        raise BadValue(f"{name!r} is no name for a session; use up to 64 letters, digits, spaces, - _ .")
    return name


def read_session(path: Path) -> tuple[SessionFile, list[str]]:
    """The session, and a line for each entry that this box does not know and leaves out.

    Raises :class:`Newer` for a newer format, FileNotFoundError when it is not there, :class:`BadFile` for all else.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise BadFile(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict) or "session" not in tree:
        raise BadFile(f"{path}: is no session (or is cut off)")
    if tree.get("saved") and tree.get("complete") is not True:
        raise BadFile(f"{path}: is cut off (its last line, complete: true, is missing)")
    version = tree["session"]
    if not isinstance(version, int) or version < 1:
        raise BadFile(f"{path}: session: {version!r} is no version of the format")
    if version > SCHEMA:
        reads = f"format {version}, this one reads {SCHEMA}"
        raise Newer(f"{path}: is of a newer version of the box ({reads}); update the box")
    try:
        session = SessionFile.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadFile(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    return session, _leave_out_unknown(session, path)


def _leave_out_unknown(session: SessionFile, path: Path) -> list[str]:
    """Drop values and texts that have no address here, or do not fit it any more; the rest is worth having."""
    remarks: list[str] = []
    for table, kind in ((session.values, Kind.VALUE), (session.texts, Kind.TEXT)):
        for address in list(table):
            try:
                table[address] = check_entry(address, table[address], kind)
            except ApplianceError as error:
                remarks.append(f"{path.name}: {error.message}; left out")
                del table[address]
    return remarks


def check_entry(address: str, value: Any, kind: Kind) -> Any:
    """A value or text of a session, checked. Raises UnknownAddress, BadValue."""
    found = NAMESPACE.find(address)
    if found.node.kind is not kind:
        raise BadValue(f"{address} is no {'parameter' if kind is Kind.VALUE else 'text'}")
    return found.node.check(value, address)


def dump_session(session: SessionFile) -> bytes:
    """The session as YAML."""
    tree: dict[str, Any] = session.model_dump(mode="json", exclude_none=True)
    tree["complete"] = True
    for entry in tree["clips"].values():
        entry.pop("handle", None)
    text = yaml.dump(tree, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=4096)
    return text.encode()
