# SPDX-License-Identifier: GPL-3.0-or-later
"""Records JACK's loopback driver to disk, in a process of its own, for as long as it takes and through every restart of the
server.

Every life of the server gives two files: ``sound-N.f32`` (frames × 2 float32, the cycles one after the other) and
``cycles-N.i64`` (a row a cycle: frame time, frames, monotonic time in ns at which our callback began). ``xruns`` holds the
monotonic times at which the server complained. Started as ``python -m tests.soak.recorder SERVER FOLDER``; it says
``ready`` when it hears the server, and ends with SIGTERM. """

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jack
import llvmlite.binding as llvm
import numpy as np

llvm.load_library_permanently("libjack.so.0")

from numba import carray, cfunc, types  # noqa: E402

from appliance.bus.atomic import load_acquire, pointer, read, store_release  # noqa: E402
from appliance.bus.jacknews import JackNews  # noqa: E402
from tests.soak.lives import Gone, live  # noqa: E402
from tests.soak.stalls import fork_stalls  # noqa: E402

_port_buffer = types.ExternalFunction("jack_port_get_buffer", types.intp(types.intp, types.uint32))
_frame_time = types.ExternalFunction("jack_last_frame_time", types.uint32(types.intp))
_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))

CHANNELS = 2
AUDIO_FRAMES = 1 << 20
CYCLES = 1 << 16
FIELDS = 3
CAPTURE = ("loopback:capture_1", "loopback:capture_2")
_MONOTONIC = 1
_DRAIN_S = 0.05


@cfunc(types.int32(types.uint32, types.intp), nopython=True, cache=True, error_model="numpy")
def _record(frames, context):
    # words: 0 client, 1 2 ports, 3 audio, 4 cycles, 5 cycles written, 6 frames written, 7 8 timespec, 9 frames read,
    # 10 cycles that found no room
    x = carray(pointer(context), (16,), np.int64)
    n = int(frames)
    _gettime(_MONOTONIC, context + 8 * 7)
    if x[6] + n - load_acquire(context + 8 * 9) > AUDIO_FRAMES:
        x[10] += 1
        return np.int32(0)
    audio = carray(pointer(x[3]), (AUDIO_FRAMES, CHANNELS), np.float32)
    cycles = carray(pointer(x[4]), (CYCLES, FIELDS), np.int64)
    at = x[6]
    for channel in range(CHANNELS):
        buffer = carray(pointer(_port_buffer(x[1 + channel], frames)), (n,), np.float32)
        for i in range(n):
            audio[(at + i) & (AUDIO_FRAMES - 1), channel] = buffer[i]
    row = x[5] & (CYCLES - 1)
    cycles[row, 0] = int(_frame_time(x[0]))
    cycles[row, 1] = n
    cycles[row, 2] = x[7] * 1_000_000_000 + x[8]
    x[6] = at + n
    store_release(context + 8 * 5, x[5] + 1)
    return np.int32(0)


class Life:
    """One life of the server, recorded into two files."""

    def __init__(self, server: str, folder: Path, number: int) -> None:
        self.words = np.zeros(16, np.int64)
        self.audio = np.ones((AUDIO_FRAMES, CHANNELS), np.float32)
        self.cycles = np.ones((CYCLES, FIELDS), np.int64)
        self.xruns: list[int] = []
        self.client = jack.Client("soak-recorder", servername=server, no_start_server=True)
        ffi: Any = jack._ffi
        self.words[0] = int(ffi.cast("intptr_t", self.client._ptr))
        for channel in range(CHANNELS):
            port = self.client.inports.register(f"in_{channel + 1}")
            self.words[1 + channel] = int(ffi.cast("intptr_t", port._ptr))
        self.words[3:5] = self.audio.ctypes.data, self.cycles.ctypes.data
        jack._lib.jack_set_process_callback(self.client._ptr, ffi.cast("JackProcessCallback", _record.address),
                                            ffi.cast("void *", self.words.ctypes.data))
        self.news = JackNews(self.client, links=False)
        self.client.activate()
        for channel, port in enumerate(CAPTURE):
            self.client.connect(port, f"{self.client.name}:in_{channel + 1}")
        self._sound = (folder / f"sound-{number}.f32").open("wb")
        self._times = (folder / f"cycles-{number}.i64").open("wb")
        self._drained = 0

    def drain(self) -> None:
        """Write what has come since the last time."""
        self.xruns += self.news.take_xruns() * [time.monotonic_ns()]
        address = int(self.words.ctypes.data)
        written = int(read(address + 8 * 5))
        if written == self._drained:
            return
        rows = self.cycles[np.arange(self._drained, written) & (CYCLES - 1)]
        frames, at = int(rows[:, 1].sum()), int(self.words[9])
        self._sound.write(self.audio[np.arange(at, at + frames) & (AUDIO_FRAMES - 1)].tobytes())
        self._times.write(rows.tobytes())
        self._drained = written
        self.words[9] = at + frames

    def finish(self, folder: Path) -> None:
        """Write what is left. The client is closed by the process's end."""
        self.drain()
        self._sound.close()
        self._times.close()
        with (folder / "xruns").open("a") as file:
            file.writelines(f"{when}\n" for when in self.xruns)
        if self.words[10]:
            print(f"recorder: {self.words[10]} cycles could not be kept; the disk is too slow", file=sys.stderr)


@dataclass
class Recording:
    """What was recorded in one life of the server. ``sound`` is mapped, not read."""

    sound: np.ndarray
    cycles: np.ndarray

    @property
    def began_ns(self) -> int:
        return int(self.cycles[0, 2])

    @property
    def ended_ns(self) -> int:
        return int(self.cycles[-1, 2])


def recordings(folder: Path) -> list[Recording]:
    """All lives of the server, in their order; those in which nothing was recorded are left out."""
    found: list[Recording] = []
    for path in sorted(folder.glob("cycles-*.i64"), key=lambda path: int(path.stem.split("-")[1])):
        cycles = np.fromfile(path, np.int64).reshape(-1, FIELDS)
        if len(cycles):
            sound = np.memmap(path.with_name(path.name.replace("cycles-", "sound-").replace(".i64", ".f32")), np.float32, "r")
            found.append(Recording(sound.reshape(-1, CHANNELS)[: int(cycles[:, 1].sum())], cycles))
    return found


def main(server: str, folder: Path) -> None:
    jack.set_error_function(lambda message: None)
    jack.set_info_function(lambda message: None)

    def one_life(number: int, opened: Callable[[], None], stop: threading.Event) -> None:
        try:
            life = Life(server, folder, number)
        except jack.JackError:
            raise Gone from None
        opened()
        while not stop.wait(_DRAIN_S) and not life.news.gone:
            life.drain()
        life.finish(folder)

    stalls = fork_stalls(folder / "stalls")
    live(one_life, lambda: print("ready", flush=True))
    os.kill(stalls, signal.SIGTERM)
    os.waitpid(stalls, 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
