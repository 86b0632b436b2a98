# SPDX-License-Identifier: GPL-3.0-or-later
"""Another peer of Ableton Link, in a process of its own: what it says of the session, and what it is told to do to it.

``python linkother.py BPM`` writes a line ``monotonic_ns beat bpm peers playing`` each 10 ms and obeys lines ``bpm 130``,
``play 1``, ``force 2.5`` (the beat is that now) and ``quit``.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple


class Said(NamedTuple):
    ns: int
    beat: float
    bpm: float
    peers: int
    playing: bool


class Other:
    """The process, and all that it has said."""

    def __init__(self, bpm: float) -> None:
        self.said: list[Said] = []
        self._process = subprocess.Popen([sys.executable, str(Path(__file__)), str(bpm)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            if not line.endswith("\n"):
                return  # it was killed in the middle
            ns, beat, bpm, peers, playing = line.split()
            self.said.append(Said(int(ns), float(beat), float(bpm), int(peers), playing == "True"))

    @property
    def now(self) -> Said:
        return self.said[-1]

    def settle(self) -> None:
        """Until its session is there, and older than any that begins now."""
        deadline = time.monotonic() + 10.0
        while not self.said:
            assert time.monotonic() < deadline, "the other peer says nothing"
            time.sleep(0.01)
        time.sleep(1.0)

    def tell(self, words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()

    def beat_at(self, ns: int) -> float:
        """The session's beat as this peer had it at that time."""
        near = min(self.said, key=lambda one: abs(one.ns - ns))
        assert abs(near.ns - ns) < 200_000_000, "the other peer said nothing then"
        return near.beat + (ns - near.ns) * near.bpm / 60e9

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(2)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def peers_meet() -> str:
    """Why two plain peers do not find each other on this machine; empty when they do."""
    try:
        import aalink  # noqa: F401
    except ImportError as error:
        return f"Ableton Link's package is not installed ({error})"
    one, two = Other(100.0), Other(140.0)
    try:
        deadline = time.monotonic() + 6.0
        while time.monotonic() < deadline:
            if one.said and two.said and one.now.peers and two.now.peers and abs(one.now.bpm - two.now.bpm) < 0.01:
                return ""
            time.sleep(0.05)
        return "two peers of Ableton Link do not find each other here: no multicast"
    finally:
        one.close()
        two.close()


async def _run(bpm: float) -> None:
    from aalink import Link

    link = Link(bpm)
    link.quantum = 4.0
    link.start_stop_sync_enabled = True
    await asyncio.sleep(0.5)
    link.enabled = True
    orders: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, line)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        while not orders.empty():
            verb, _, value = orders.get_nowait().strip().partition(" ")
            if verb == "bpm":
                link.tempo = float(value)
            elif verb == "play":
                link.playing = value == "1"
            elif verb == "force":
                link.force_beat(float(value))
            else:
                link.enabled = False
                return
        best, found = 1 << 62, (0, 0.0)
        for _ in range(5):
            before = time.monotonic_ns()
            beat = link.beat
            took = time.monotonic_ns() - before
            if took < best:
                best, found = took, (before + took // 2, beat)
        print(*found, link.tempo, link.num_peers, link.playing, flush=True)
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(_run(float(sys.argv[1])))
