# SPDX-License-Identifier: GPL-3.0-or-later
"""EVENTS.yaml: what the engine obeyed, in order, with its frame; recorded by control or written by hand, then rendered.

::

    version: 1
    rate: 48000
    values: {/clock/bpm: 126, /channel/1/fader: 0.8}     # where it differs from the defaults
    clips:
      drums: {file: drums.flac, bpm: 126, beats: 16}     # relative to this file
    pads: {/bank/1/pad/1: drums}                         # loaded from the beginning
    length: {beat: 64}
    events:
    - {beat: 0, address: /pad/1/trigger}
    - {beat: 16, address: /mixer/crossfader, value: -1}
    - {at: 20.5, address: /pad/2/load, args: [bass.wav]}

An event happens at a ``frame`` (absolute, ``start_frame`` is the file's first), ``at`` seconds or at ``beat`` quarter
notes of the beginning tempo, both from the file's first frame. Events of one frame happen in the file's order.
``/scene/R/store`` with a scene's pads as its argument changes what a later ``/scene/R/launch`` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from appliance.bus.enginestate import EngineState
from appliance.bus.grids import HIGHEST_BPM, LOWEST_BPM, Grid
from appliance.bus.wholefile import write_atomically
from appliance.errors import ApplianceError, BadFile
from appliance.namespace import Address, Kind
from appliance.nodes import NAMESPACE

VERSION = 1
BEGIN = "begin"
"""``source`` of events that only stand for what played already at the first frame; ``state`` makes them needless."""
SKIP = "skip"
"""Address of an event that stands for frames which the audio server lost; its ``value`` says how many."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Moment(Section):
    """A place in time by exactly one of three clocks."""

    frame: int | None = Field(default=None, ge=0)
    at: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="seconds from the beginning")
    beat: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="quarter notes from the beginning")

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        given = [name for name in ("frame", "at", "beat") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"say when by one of frame, at, beat (there is {' and '.join(given) or 'none'})")
        return self


class ClipFile(Section):
    """A clip by name. ``file`` is relative to the events file; ``hash``: the store's, else the SHA-256 of the file."""

    file: str = Field(min_length=1)
    hash: str = ""
    bpm: float = Field(default=0.0, ge=0, le=1000, description="0: not known")
    beats: float = Field(default=0.0, ge=0, description="length in quarter notes; 0: not known")
    gain: float = Field(default=1.0, ge=0, le=100, description="linear")
    grid: Grid | None = Field(default=None, description="beats, for a deck; else straight at bpm from the first frame")

    @property
    def beat_grid(self) -> Grid | None:
        if self.grid is None and LOWEST_BPM <= self.bpm <= HIGHEST_BPM:
            return Grid.straight(self.bpm)
        return self.grid


class SceneCell(Section):
    """What a scene does to one pad: ``launch`` 1 starts, -1 stops, 0 leaves; a setting that is not given stays."""

    launch: int = Field(default=0, ge=-1, le=1)
    gain: float | None = None
    pan: float | None = None
    filter: float | None = None
    pitch: float | None = None


class FileEvent(Moment):
    """One happening: ``value`` for a parameter, ``args`` for an action. ``source``: who caused it (a note only)."""

    address: str
    value: Any = None
    args: list[Any] = []
    source: str = ""

    @field_validator("address")
    @classmethod
    def _known(cls, address: str) -> str:
        if address != SKIP:
            try:
                NAMESPACE.find(address)
            except ApplianceError as error:
                raise ValueError(error.message) from None
        return address

    @property
    def arguments(self) -> list[Any]:
        """``args``, or ``value`` as the only argument."""
        return self.args if self.value is None else [self.value]


class EventFile(Section):
    """The whole file. ``folder`` is where it lies: relative clip paths begin there."""

    version: int = VERSION
    rate: int = Field(default=48000, ge=8000, le=192000)
    start_frame: int = Field(default=0, ge=0)
    start_beat: float = Field(default=0.0, description="the clock's position at start_frame")
    values: dict[str, Any] = {}
    clips: dict[str, ClipFile] = {}
    pads: dict[str, str] = Field(default={}, description="pad (/bank/1/pad/3) → clip name or file")
    decks: dict[str, str] = Field(default={}, description="deck (/deck/1) → clip name or file")
    scenes: dict[int, dict[str, SceneCell]] = Field(default={}, description="row → pad → what it does; others: default")
    state: EngineState | None = Field(default=None, description="the engine at the first frame, for an exact rendering")
    length: Moment | None = Field(default=None, description="where the file ends; else with the last event")
    events: list[FileEvent] = []

    _folder: Path = Path()

    @field_validator("version")
    @classmethod
    def _readable(cls, version: int) -> int:
        if not 1 <= version <= VERSION:
            raise ValueError(f"is version {version}; this box reads up to {VERSION}: update it")
        return version

    @field_validator("values")
    @classmethod
    def _checked_values(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {address: _checked(address, value) for address, value in values.items()}

    @field_validator("pads", "decks")
    @classmethod
    def _places(cls, places: dict[str, str]) -> dict[str, str]:
        for place in places:
            try:
                NAMESPACE.find(f"{place}/load")
            except ApplianceError as error:
                raise ValueError(error.message) from None
        return {NAMESPACE.find(f"{place}/load").address.removesuffix("/load"): name for place, name in places.items()}

    @property
    def folder(self) -> Path:
        return self._folder

    def clip(self, name: str) -> ClipFile:
        """The clip of that name, or a file named so."""
        return self.clips.get(name) or ClipFile(file=name)

    def path(self, clip: ClipFile) -> Path:
        return self._folder / Path(clip.file).expanduser()

    def frame_of(self, moment: Moment) -> int:
        """The absolute frame of an event: seconds and beats count from ``start_frame``."""
        if moment.frame is not None:
            return moment.frame
        if moment.at is not None:
            return self.start_frame + round(moment.at * self.rate)
        bpm = float(self.values.get("/clock/bpm", NAMESPACE.find("/clock/bpm").node.default))
        return self.start_frame + round((moment.beat or 0.0) * 60.0 / bpm * self.rate)

    def ordered(self) -> list[tuple[int, FileEvent]]:
        """``(frame, event)`` in time order; events of one frame keep the file's order."""
        return sorted(((self.frame_of(event), event) for event in self.events), key=lambda pair: pair[0])

    @property
    def end_frame(self) -> int:
        """The frame where the file ends: ``length``, else the last event's."""
        last = max((self.frame_of(event) for event in self.events), default=self.start_frame)
        return last if self.length is None else max(self.frame_of(self.length), self.start_frame)

    @classmethod
    def load(cls, path: Path) -> EventFile:
        """Read and check. Raises :class:`BadFile` with file, place and what to do."""
        try:
            tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
        except FileNotFoundError:
            raise BadFile(f"{path}: there is no such events file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise BadFile(f"{path}: cannot be read ({error})") from None
        except yaml.YAMLError as error:
            raise BadFile(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(tree, dict):
            raise BadFile(f"{path}: an events file is a tree with events:, not {type(tree).__name__}")
        try:
            file = cls.model_validate(tree)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadFile(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
        file._folder = path.parent
        return file

    def save(self, path: Path) -> None:
        """Write atomically, or raise OSError and leave nothing; clip paths below the file's folder become relative to it."""
        tree = self.model_dump(mode="json", exclude_none=True, exclude={"clips", "events"})
        tree["clips"] = {name: clip.model_dump(mode="json", exclude_defaults=True) | {"file": relative(clip.file, path.parent)}
                         for name, clip in self.clips.items()}
        tree["events"] = [event.model_dump(mode="json", exclude_defaults=True) for event in self.events]
        text = yaml.dump(tree, None, _Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=4096)
        write_atomically(path, text.encode())


def relative(file: str, folder: Path) -> str:
    path = Path(file)
    return str(path.relative_to(folder)) if path.is_absolute() and path.is_relative_to(folder) else file


def _checked(address: str, value: Any) -> Any:
    try:
        found: Address = NAMESPACE.find(address)
        if found.node.kind is not Kind.VALUE:
            raise ValueError(f"{address} is no parameter with a number; put it under events")
        return found.node.check(value, address)
    except ApplianceError as error:
        raise ValueError(error.message) from None
