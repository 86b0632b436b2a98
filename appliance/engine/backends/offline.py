# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as fast as it goes, in private memory: the same compiled render, fed with the same events."""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.bus import layout
from appliance.bus.clips import Clip, Clips
from appliance.bus.commands import Code, Commands
from appliance.bus.commit import slots
from appliance.bus.enginestate import EngineState, thaw
from appliance.bus.events import Event, Events
from appliance.bus.grids import Grid, Grids
from appliance.bus.memory import PrivateSegment
from appliance.bus.telemetry import Telemetry
from appliance.bus.values import Values
from appliance.engine.backends.floating import flushed_denormals
from appliance.engine.block import leave, run_block
from appliance.engine.context import OUTPUTS, make_context
from appliance.engine.dsp import rubberband
from appliance.engine.jit import kernel
from appliance.engine.journal import VALUE_COUNT
from appliance.nodes import NAMESPACE


@kernel
def advance(context: np.ndarray, frames: int, time: int) -> bool:
    ctx = context[0]
    ctx.cycle_time = time
    ctx.cycle_ns = int(time * 1e9 / ctx.rate)
    played = run_block(ctx, frames, time, 0)
    leave(ctx, played, frames, 0, 0, 0)
    return played


class OfflineEngine:
    """A whole engine in one object. ``rate`` frames a second; ``segment``: the block to play on, else one of its own."""

    def __init__(self, rate: float = 48000.0, segment: PrivateSegment | None = None) -> None:
        self.segment = segment or PrivateSegment(layout.BOX.itemsize)
        self.record = self.segment.view(layout.BOX, 1)
        self.rate = rate
        self.values = Values(self.segment.view(float, NAMESPACE.values.itemsize // 8, layout.offset("values")), NAMESPACE)
        self.values.reset()
        self.commands = Commands(self.segment)
        self.events = Events(self.segment)
        self.clips = Clips(self.segment, "offline")
        self.telemetry = Telemetry(self.segment)
        self.grids = Grids(self.segment)
        self.context = make_context(self.segment.address, rate)
        self.context["offline"] = 1
        self._shifters = rubberband.Shifters(layout.DECKS, rate, warm=False)
        self._shifters.give_to(self.context, rubberband.R2)
        self.context["epoch"] = 1
        self.record["commit"] = 1 << 48
        self.frame = 0
        self._time = 0

    def load(self, audio: np.ndarray, *, bpm: float = 0.0, beats: float = 0.0, gain: float = 1.0, handle: int = 0) -> Clip:
        """Make a clip of float32 audio, frames × 2."""
        clip = self.clips.place(len(audio), self.rate, bpm=bpm, beats=beats, gain=gain, handle=handle)
        self.clips.fill(clip, [np.ascontiguousarray(audio, np.float32)])
        self.context["clip_address"][0, clip.place] = clip.segment.address
        self.context["clip_generation"][0, clip.place] = clip.handle >> 16
        return clip

    def begin_at(self, frame: int, beat: float) -> None:
        """Before the first block: count from this frame, with the clock at this beat."""
        slot = slots(self.segment)[0]
        slot["frame"] = self.frame = frame
        slot["clock"]["anchor_frame"], slot["clock"]["anchor_beat"] = frame, beat

    def resume(self, state: EngineState) -> None:
        """Before the first block: go on from a state that was written down; its clips are loaded under their handles."""
        slot = thaw(self.segment, state)
        self.frame = int(slot["frame"][0])
        self.values.vector[:VALUE_COUNT] = slot["values"].view(np.float64)

    def set(self, address: str, value: Any) -> None:
        self.values.set(address, value)

    def do(self, address: str, a: float = 1.0, *, frame: int = 0) -> None:
        """A command of the namespace (``/pad/1/trigger``) for ``frame`` (0: the next block's first)."""
        found = self.values.find(address)
        self.commands.send(NAMESPACE.command(found.group.record, found.node.name), found.index, a, frame=frame)

    def load_pad(self, pad: int, clip: Clip | None, *, frame: int = 0) -> None:
        """Pad 1…128, counted through the banks."""
        self.commands.send(Code.LOAD_PAD, pad - 1, float(clip.handle if clip else 0), frame=frame)

    def load_deck(self, deck: int, clip: Clip | None, grid: Grid | None = None, *, frame: int = 0) -> None:
        place = self.grids.put(grid, self.rate) if grid else 0
        self.commands.send(Code.LOAD_DECK, deck - 1, float(clip.handle if clip else 0), float(place), frame=frame)

    def set_grid(self, deck: int, grid: Grid, *, frame: int = 0) -> None:
        self.commands.send(Code.SET_GRID, deck - 1, float(self.grids.put(grid, self.rate)), frame=frame)

    def run(self, frames: int, period: int = 128) -> np.ndarray:
        """Render; returns float32, frames × 6: left and right of master, cue and booth."""
        out = np.empty((frames, OUTPUTS), np.float32)
        at = 0
        while at < frames:
            count = min(period, frames - at)
            with flushed_denormals():
                advance(self.context, count, self._time)
            self._time += count
            out[at : at + count] = self.context["out"][0, :, :count].T
            at += count
        self.frame = int(self.telemetry.snapshot()["clock"]["frame"])
        return out

    def midi(self, messages: list[tuple[int, int, int, int, int]]) -> None:
        """Messages (offset, port, status, data1, data2) for the next block, in the order of their offsets."""
        self.context["midi_count"] = len(messages)
        for place, (offset, port, status, data1, data2) in enumerate(messages):
            self.context["midi"][0, place] = (offset, port, status, data1, data2, 0)

    def read_events(self) -> list[Event]:
        return self.events.read()
