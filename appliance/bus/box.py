# SPDX-License-Identifier: GPL-3.0-or-later
"""A process's hold on the running box: its shared memory, its config, its place in the process table."""

from __future__ import annotations

import json
import os
import time
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.bus import layout
from appliance.bus.memory import Segment, box_name, unlink
from appliance.bus.values import Values
from appliance.config import Config
from appliance.errors import BadFile, Unavailable
from appliance.nodes import NAMESPACE

if TYPE_CHECKING:  # what needs compiled code is imported where it is used: supervisor and command line start without it
    from appliance.bus.clips import Clips
    from appliance.bus.commands import Commands
    from appliance.bus.events import Events
    from appliance.bus.grids import Grids
    from appliance.bus.telemetry import Telemetry


class Role(IntEnum):
    """What a process is at the moment, as ``appliance status`` tells it."""

    STOPPED = 0
    STARTING = 1
    RUNNING = 2
    PLAYING = 3
    STANDBY = 4
    WAITING = 5  # after crashes, before the next start


class Box:
    """``box.json`` in the data folder's ``run`` tells where everything is; :meth:`attach` reads it."""

    def __init__(self, data: Path, config: Config, segment: Segment, name: str = "") -> None:
        self.data = data
        self.config = config
        self.segment = segment
        self.name = name
        self.namespace = NAMESPACE
        self.base = segment.address
        self.record = segment.view(layout.BOX, 1)
        self._process = self.record["process"][0]
        self._engine = self.record["engine"][0]

    @staticmethod
    def run_folder(data: Path) -> Path:
        return data / "run"

    @property
    def run(self) -> Path:
        return self.run_folder(self.data)

    @property
    def hub_path(self) -> Path:
        """The hub's socket. Socket paths are short (108 bytes), data folders need not be: so it stands in /tmp."""
        return hub_path(self.data)

    @classmethod
    def create(cls, data: Path, config: Config) -> Box:
        """Make the shared memory with every value at its default; the supervisor's call."""
        cls.run_folder(data).mkdir(parents=True, exist_ok=True)
        segment = Segment.create(f"{box_name(data)}-box", layout.BOX.itemsize)
        try:
            return cls._begin(data, config, segment)
        except OSError:
            unlink(segment.name)
            raise

    @classmethod
    def _begin(cls, data: Path, config: Config, segment: Segment) -> Box:
        box = cls(data, config, segment, "supervisor")
        box.values.reset()
        box.record["layout"] = layout.LAYOUT_HASH
        box.record["rate"] = config.audio.rate
        box.record["period"] = config.audio.period
        box.record["audio_generation"] = 1
        box.record["magic"] = layout.MAGIC
        path = cls.run_folder(data) / "box.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps({"data": str(data), "pid": os.getpid(), "segment": segment.name,
                                         "config": config.model_dump(mode="json")}), encoding="utf-8")
        temporary.replace(path)
        return box

    @classmethod
    def attach(cls, path: Path | str, name: str = "") -> Box:
        """Map the box that ``box.json`` (or a data folder) tells of.

        Raises :class:`Unavailable` when no box runs there, :class:`BadFile` when it is of another version.
        """
        path = Path(path)
        if path.is_dir():
            path = cls.run_folder(path) / "box.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            folder = path.parent.parent
            raise Unavailable(f"no box runs with the data folder {folder}; start one with `appliance run`") from None
        segment = Segment.open(facts["segment"])
        if segment.size == layout.BOX.itemsize:
            box = cls(Path(facts["data"]), Config.model_validate(facts["config"]), segment, name)
            if int(box.record["magic"][0]) == layout.MAGIC and int(box.record["layout"][0]) == layout.LAYOUT_HASH:
                return box
        raise BadFile(f"the box at {facts['data']} runs another version; stop it and start it again")

    @cached_property
    def values(self) -> Values:
        vector = self.segment.view(float, NAMESPACE.values.itemsize // 8, layout.offset("values"))
        return Values(vector, NAMESPACE)

    @cached_property
    def telemetry(self) -> Telemetry:
        from appliance.bus.telemetry import Telemetry

        return Telemetry(self.segment)

    @cached_property
    def commands(self) -> Commands:
        from appliance.bus.commands import Commands

        return Commands(self.segment)

    @cached_property
    def events(self) -> Events:
        from appliance.bus.events import Events

        return Events(self.segment)

    @cached_property
    def clips(self) -> Clips:
        from appliance.bus.clips import Clips

        return Clips(self.segment, box_name(self.data), self.config.engine.clip_memory_mb)

    @cached_property
    def grids(self) -> Grids:
        from appliance.bus.grids import Grids

        return Grids(self.segment)

    @property
    def rate(self) -> float:
        """Frames a second of the audio server; the engine sets it."""
        return float(self.record["rate"][0])

    @property
    def audio(self) -> str:
        """Where the sound goes at the moment, for people: ``jack:default``, ``pipewire:default``, ``clock``."""
        return self.record["audio"][0].decode(errors="replace")

    def process(self, name: str | None = None) -> Any:
        """A row of the process table (``layout.PROCESS``), writable."""
        return self._process[layout.PROCESSES.index(name or self.name)]

    def engine(self, index: int) -> Any:
        """An engine's own words (``layout.ENGINE``), writable."""
        return self._engine[index]

    @property
    def engines(self) -> tuple[int, ...]:
        """The engines that run: those whose mapping of clips must be waited for."""
        return tuple(i for i, name in enumerate(("engine-a", "engine-b"))
                     if int(self.process(name)["pid"]) and int(self._engine[i]["ready"]))

    def beat(self) -> None:
        """Heartbeat: call it at least five times a second from the process's main loop.

        A plain store of an aligned word: it is never torn, and it orders nothing.
        """
        self.process()["beat_ns"] = time.monotonic_ns()

    def say_role(self, role: Role) -> None:
        self.process()["role"] = int(role)

    @property
    def closing(self) -> bool:
        return bool(self.record["closing"][0])


def hub_path(data: Path) -> Path:
    return Path("/tmp") / f"{box_name(data)}-{os.getuid()}" / "hub"
