# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's committed state as text: what an events file begins with, so that a rendering of it is exact to the bit."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from pydantic import BaseModel, ConfigDict

from appliance.bus import layout
from appliance.bus.grids import Grid, Grids
from appliance.bus.memory import PrivateSegment, Segment

HISTORY_FRAMES = 128
"""More than the limiters look back."""

_LINES: tuple[tuple[str, int], ...] = (
    ("limiter_line", 2 * layout.LIMITERS), ("limiter_gain", layout.LIMITERS), ("limiter_hold", layout.LIMITERS))


class EngineState(BaseModel):
    """``slot`` and ``lines`` are zlib in base64, ``grids`` the beat grids by their places. Only a box with the same ``layout``
    can take it over exactly."""

    model_config = ConfigDict(extra="forbid")
    layout: str
    slot: str
    lines: str
    handles: dict[int, str] = {}
    grids: dict[int, Grid] = {}

    @property
    def fits(self) -> bool:
        return self.layout == f"{layout.LAYOUT_HASH:x}"


def _pack(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def _unpack(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def freeze(segment: Segment | PrivateSegment, state: np.void, handles: dict[int, str]) -> EngineState:
    """Write down a copied committed state of the box; ``handles`` names the clips that it refers to."""
    places = np.arange(int(state["frame"]) - HISTORY_FRAMES, int(state["frame"])) % layout.LINE_FRAMES
    table, rate = Grids(segment), float(state["rate"])
    grids = {int(place): grid for place in state["deck"]["grid"] if (grid := table.read(int(place), rate))}
    lines = [_line(segment, name, width)[:, places] for name, width in _LINES]
    return EngineState(layout=f"{layout.LAYOUT_HASH:x}", slot=_pack(state.tobytes()), handles=handles, grids=grids,
                       lines=_pack(np.concatenate([line.reshape(-1) for line in lines]).tobytes()))


def thaw(segment: Segment | PrivateSegment, frozen: EngineState) -> np.ndarray:
    """Put the state into slot 0 of a private block, ready to go on; returns the slot, shape (1,). Its command tail and
    event head count from zero, because the rings are new."""
    slot = segment.view(layout.STATE, 1, layout.offset("slot"))
    slot[0] = np.frombuffer(_unpack(frozen.slot), layout.STATE)[0]
    for place, grid in frozen.grids.items():
        Grids(segment).put(grid, float(slot["rate"][0]), place)
    slot["command_tail"] = 0
    slot["event_head"] = 0
    slot["pending_count"] = 0
    places = np.arange(int(slot["frame"][0]) - HISTORY_FRAMES, int(slot["frame"][0])) % layout.LINE_FRAMES
    data, at = np.frombuffer(_unpack(frozen.lines), np.float32), 0
    for name, width in _LINES:
        _line(segment, name, width)[:, places] = data[at : at + HISTORY_FRAMES * width].reshape(width, HISTORY_FRAMES)
        at += HISTORY_FRAMES * width
    return slot


def _line(segment: Segment | PrivateSegment, name: str, width: int) -> np.ndarray:
    return segment.view(np.float32, layout.LINE_FRAMES * width, layout.offset(name)).reshape(width, layout.LINE_FRAMES)
