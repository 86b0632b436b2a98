# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub's side of the process: a thread with its own event loop, so that talking never waits for drawing.

The frame loop looks at `wish` and at the mailbox of snapshots once a picture; what it reads there becomes a PNG here.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from appliance.bus.hub import HubClient
from appliance.errors import Unavailable, UnknownAddress
from appliance.visuals.library import SceneLibrary

log = logging.getLogger(__name__)

SNAPSHOT_S = 3.0


@dataclass(frozen=True)
class Picture:
    """What a snapshot is made of: RGB rows from the bottom, or a ready PNG where nothing can draw."""

    width: int
    height: int
    rgb: bytes = b""
    png: bytes = b""

    def encode(self) -> dict[str, Any]:
        """The answer to /visuals/snapshot."""
        png = self.png or encode_png(self.rgb, self.width, self.height)
        return {"png": base64.b64encode(png).decode("ascii"), "width": self.width, "height": self.height}


def encode_png(rgb: bytes, width: int, height: int) -> bytes:
    """A PNG of RGB rows that stand from the bottom to the top."""
    buffer = io.BytesIO()
    image = Image.frombytes("RGB", (width, height), rgb).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Link(threading.Thread):
    """Watches, serves and publishes, all of it safely from another thread. `wish` is the scene last asked for; `chosen` tells
    whether it is another one than at the start: somebody has chosen it since."""

    def __init__(self, hub_path: Path, library: SceneLibrary) -> None:
        super().__init__(name="hub", daemon=True)
        self.wish = ""
        self.chosen = False
        self._first: str | None = None
        self.snapshots: queue.SimpleQueue[Future[Picture]] = queue.SimpleQueue()
        self._hub_path = hub_path
        self._library = library
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._hub: HubClient | None = None
        self._end = asyncio.Event()
        self._last: dict[str, Any] = {}

    def run(self) -> None:
        self._loop.run_until_complete(self._live())

    async def _live(self) -> None:
        hub = HubClient(self._hub_path, name="visuals")
        self._hub = hub
        hub.watch("/visuals/scene", self._heard)
        hub.serve("/visuals", self._serve)
        await hub.start()
        self._ready.set()
        await self._end.wait()
        await hub.stop()

    def begin(self) -> None:
        """Starts the thread and waits until it can take what is published."""
        self.start()
        self._ready.wait(2.0)

    def end(self) -> None:
        """Ends the thread; at most half a second."""
        self._loop.call_soon_threadsafe(self._end.set)
        self.join(0.5)

    def publish(self, address: str, value: Any) -> None:
        """Tells a state to everyone, if it has changed."""
        if self._last.get(address) == value or self._hub is None:
            return
        self._last[address] = value
        asyncio.run_coroutine_threadsafe(self._hub.publish(address, value), self._loop)

    def _heard(self, address: str, value: Any) -> None:
        if isinstance(value, str):
            self._first = value if self._first is None else self._first
            self.chosen = self.chosen or value != self._first
            self.wish = value

    async def _serve(self, address: str, args: list[Any]) -> Any:
        match address:
            case "/visuals/snapshot":
                return await self._snapshot()
            case "/visuals/scenes":
                return await asyncio.to_thread(lambda: list(self._library.all()))
            case "/visuals/next":
                return await self._next()
            case _:
                raise UnknownAddress(f"{address} is nothing that visuals can do; there are snapshot, scenes and next")

    async def _snapshot(self) -> dict[str, Any]:
        wish: Future[Picture] = Future()
        self.snapshots.put(wish)
        try:
            picture = await asyncio.wait_for(asyncio.wrap_future(wish), SNAPSHOT_S)
        except TimeoutError:
            raise Unavailable(
                "/visuals/snapshot: no picture within 3 s, a scene is being compiled; try again"
            ) from None
        return await asyncio.to_thread(picture.encode)

    async def _next(self) -> str:
        name = self._library.after(Path(self.wish).stem)
        assert self._hub is not None
        await self._hub.set("/visuals/scene", name)
        return name
