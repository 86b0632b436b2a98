# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands round the box in tests: a recorder and a MIDI player with compiled callbacks.

The recorder notes the server's frame time of every cycle, so that a place in the recording is a place in time.
"""

from __future__ import annotations

import errno
from typing import Any

import jack
import llvmlite.binding as llvm
import numpy as np

llvm.load_library_permanently("libjack.so.0")

from numba import carray, cfunc, types  # noqa: E402

from appliance.bus.atomic import load_acquire, pointer, store_release  # noqa: E402
from appliance.bus.jacknews import JackNews  # noqa: E402

_port_buffer = types.ExternalFunction("jack_port_get_buffer", types.intp(types.intp, types.uint32))
_frame_time = types.ExternalFunction("jack_last_frame_time", types.uint32(types.intp))
_cycle_times = types.ExternalFunction(
    "jack_get_cycle_times", types.int32(types.intp, types.intp, types.intp, types.intp, types.intp))
_time = types.ExternalFunction("jack_get_time", types.uint64())
_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))
_clear = types.ExternalFunction("jack_midi_clear_buffer", types.void(types.intp))
_event_count = types.ExternalFunction("jack_midi_get_event_count", types.uint32(types.intp))
_event_get = types.ExternalFunction("jack_midi_event_get", types.int32(types.intp, types.intp, types.uint32))
_reserve = types.ExternalFunction("jack_midi_event_reserve", types.intp(types.intp, types.uint32, types.uintp))

# words of both contexts: 0 client, 1… ports, then what is said at each callback
_CHANNELS = 4


@cfunc(types.int32(types.uint32, types.intp), nopython=True, cache=True, error_model="numpy")
def _record(frames, context):
    # words 20…23 the server's times of a cycle, 24 25 a timespec
    # words 8 audio, 9 its capacity in frames, 10 times, 11 their capacity in cycles, 12 cycles, 13 frames
    x = carray(pointer(context), (32,), np.int64)
    n = int(frames)
    cycle, at = x[12], x[13]
    if cycle >= x[11] or at + n > x[9]:
        return np.int32(0)
    audio = carray(pointer(x[8]), (x[9], _CHANNELS), np.float32)
    times = carray(pointer(x[10]), (x[11], 4), np.int64)
    begun = int(_frame_time(x[0]))
    for channel in range(_CHANNELS):
        buffer = carray(pointer(_port_buffer(x[1 + channel], frames)), (n,), np.float32)
        for i in range(n):
            audio[at + i, channel] = buffer[i]
    times[cycle, 0] = begun
    times[cycle, 1] = n
    times[cycle, 2] = int(_frame_time(x[0])) != begun
    _cycle_times(x[0], context + 160, context + 168, context + 176, context + 184)
    _gettime(1, context + 192)  # the server's clock is one of its own
    times[cycle, 3] = x[24] * 1_000_000 + x[25] // 1000 - (np.int64(_time()) - x[21])
    x[13] = at + n
    store_release(context + 8 * 12, cycle + 1)
    return np.int32(0)


@cfunc(types.int32(types.uint32, types.intp), nopython=True, cache=True, error_model="numpy")
def _play(frames, context):
    # words 8 notes, 9 how many to send, 10 sent, 11 gap in cycles, 12 cycles to go, 13 random, 14 go
    x = carray(pointer(context), (32,), np.int64)
    out = _port_buffer(x[1], frames)
    _clear(out)
    if load_acquire(context + 8 * 14) == 0 or x[10] >= x[9]:
        return np.int32(0)
    x[12] -= 1
    if x[12] > 0:
        return np.int32(0)
    x[12] = x[11]
    s = x[13]
    s ^= (s << 13) & 0xFFFFFFFF
    s ^= s >> 17
    s ^= (s << 5) & 0xFFFFFFFF
    x[13] = s & 0xFFFFFFFF
    offset = (x[13] >> 8) % int(frames)
    pad = (x[13] >> 20) % 16
    place = _reserve(out, np.uint32(offset), types.uintp(3))
    if place != 0:
        message = carray(pointer(place), (3,), np.uint8)
        message[0] = np.uint8(0x90 + (x[13] >> 26) % 16)
        message[1] = np.uint8(36 + pad)
        message[2] = np.uint8(127)
        log = carray(pointer(x[8]), (x[9], 2), np.int64)
        log[x[10], 0] = int(_frame_time(x[0])) + offset
        log[x[10], 1] = pad
        store_release(context + 8 * 10, x[10] + 1)
    return np.int32(0)


_open: set[_Gear] = set()


def close_all() -> None:
    """What a test that failed has left open. A client that outlives its server brings the whole process down in
    ``jack_client_close`` once another server has been there."""
    for gear in tuple(_open):
        gear.close()


class _Gear:
    def __init__(self, name: str, server: str, callback: Any) -> None:
        self.client = jack.Client(name, servername=server, no_start_server=True, use_exact_name=True)
        self.news = JackNews(self.client, links=False, xruns=False)
        _open.add(self)
        self.words = np.zeros(32, np.int64)
        self._ffi: Any = jack._ffi
        self.words[0] = self._address(self.client._ptr)
        jack._lib.jack_set_process_callback(
            self.client._ptr, self._ffi.cast("JackProcessCallback", callback.address),
            self._ffi.cast("void *", self.words.ctypes.data),
        )

    def _address(self, thing: Any) -> int:
        return int(self._ffi.cast("intptr_t", thing))

    def close(self) -> None:
        _open.discard(self)
        if not self.news.gone:
            self.client.deactivate()
        self.client.close()


class Recorder(_Gear):
    """Records up to four ports for up to ``seconds``."""

    def __init__(self, server: str, seconds: float, name: str = "recorder") -> None:
        super().__init__(name, server, _record)
        capacity = round(seconds * 48000)
        self.audio = np.zeros((capacity, _CHANNELS), np.float32)
        self.times = np.zeros((capacity // 16, 4), np.int64)
        """Of each cycle: frame time, frames, whether the server went on while it was being recorded, which spoils it, and the
        monotonic time of its beginning in µs, as the server has it."""
        for channel in range(_CHANNELS):
            self.words[1 + channel] = self._address(self.client.inports.register(f"in_{channel + 1}")._ptr)
        self.words[8:12] = (self.audio.ctypes.data, capacity, self.times.ctypes.data, len(self.times))
        self.client.activate()

    def listen(self, *ports: str) -> None:
        for channel, port in enumerate(ports):
            try:
                self.client.connect(port, f"{self.client.name}:in_{channel + 1}")
            except jack.JackErrorCode as error:  # a box connects again what was connected to it before
                if error.code != errno.EEXIST:
                    raise

    def take(self) -> tuple[int, np.ndarray]:
        """``(frame time of the first frame, frames × 4)``: the recording laid out in time; lost cycles are NaN."""
        cycles = int(self.words[12])
        times, frames = self.times[:cycles, 0], self.times[:cycles, 1]
        first = int(times[0])
        laid = np.full((int(times[-1] - first + frames[-1]), _CHANNELS), np.nan, np.float32)
        at = 0
        for start, count, spoilt in zip(times - first, frames, self.times[:cycles, 2], strict=True):
            if not spoilt:
                laid[start : start + count] = self.audio[at : at + count]
            at += count
        return first, laid


class NotePlayer(_Gear):
    """Plays ``count`` notes 36…51 on random channels at random frames, one every ``gap`` cycles."""

    def __init__(self, server: str, count: int, gap: int = 20, name: str = "keys") -> None:
        super().__init__(name, server, _play)
        self.sent = np.zeros((count, 2), np.int64)
        self.port = self.client.midi_outports.register("out")
        self.words[1] = self._address(self.port._ptr)
        self.words[8:14] = (self.sent.ctypes.data, count, 0, gap, gap, 123456789)
        self.client.activate()

    def go(self) -> None:
        self.words[14] = 1

    @property
    def done(self) -> bool:
        return int(self.words[10]) >= int(self.words[9])


@cfunc(types.int32(types.uint32, types.intp), nopython=True, cache=True, error_model="numpy")
def _listen(frames, context):
    # words 8 messages, 9 how many at most, 10 heard, 11 cycles, 12 how many at most, 13 how many there were, 20 event
    x = carray(pointer(context), (32,), np.int64)
    port = _port_buffer(x[1], frames)
    begun = int(_frame_time(x[0]))
    log = carray(pointer(x[8]), (x[9], 4), np.int64)
    event = carray(pointer(context + 160), (3,), np.int64)
    time = carray(pointer(context + 160), (6,), np.uint32)
    for number in range(int(_event_count(port))):
        if x[10] >= x[9] or _event_get(context + 160, port, np.uint32(number)) != 0:
            continue
        data = carray(pointer(event[2]), (3,), np.uint8)
        log[x[10], 0] = begun + int(time[0])
        log[x[10], 1] = int(data[0])
        log[x[10], 2] = x[13]
        log[x[10], 3] = int(data[1]) + 128 * int(data[2]) if event[1] == 3 else 0
        store_release(context + 80, x[10] + 1)
    if x[13] < x[12]:
        cycles = carray(pointer(x[11]), (x[12], 2), np.int64)
        cycles[x[13], 0] = begun
        cycles[x[13], 1] = int(frames) if int(_frame_time(x[0])) == begun else 0
        x[13] += 1
    return np.int32(0)


class MidiListener(_Gear):
    """Notes the frame time and status of the messages of up to ``seconds``."""

    def __init__(self, server: str, seconds: float, name: str = "listener") -> None:
        super().__init__(name, server, _listen)
        most = round(seconds * 200) + 1000
        self._log = np.zeros((most, 4), np.int64)
        self._cycles = np.zeros((round(seconds * 800) + 1000, 2), np.int64)
        self.words[1] = self._address(self.client.midi_inports.register("in")._ptr)
        self.words[8:14] = (self._log.ctypes.data, most, 0, self._cycles.ctypes.data, len(self._cycles), 0)
        self.client.activate()

    def listen(self, *ports: str) -> None:
        """To all of them together."""
        for port in ports:
            self.client.connect(port, f"{self.client.name}:in")

    @property
    def heard(self) -> np.ndarray:
        """``(frame time, status)`` of each message so far, but for those of cycles to which this client, or the machine, came
        too late: the server then calls it for them in a later one, whose time is another."""
        begun, frames = self._cycles[: int(self.words[13])].T
        clean = np.zeros(len(begun), bool)
        clean[1:-1] = (np.diff(begun)[:-1] == frames[:-2]) & (np.diff(begun)[1:] == frames[1:-1])
        clean &= np.convolve(~clean[1:-1], np.ones(5), "full")[1:-1] == 0  # and two on each side, until all is even again
        log = self._log[: int(self.words[10])]
        log = log[log[:, 2] < len(clean)]
        return log[clean[log[:, 2]], :2].copy()

    @property
    def told(self) -> np.ndarray:
        """``(frame time, status, 14 bits of data)``: all messages, also those of cycles whose time is not certain."""
        return self._log[: int(self.words[10]), [0, 1, 3]].copy()


@cfunc(types.int32(types.uint32, types.intp), nopython=True, cache=True, error_model="numpy")
def _burst(frames, context):
    # words 8 messages, 9 how many, 10 how many are out, 11 the cycle's frame time, 14 go, 15 bursts so far
    x = carray(pointer(context), (32,), np.int64)
    out = _port_buffer(x[1], frames)
    _clear(out)
    if load_acquire(context + 8 * 14) == 0:
        return np.int32(0)
    messages = carray(pointer(x[8]), (x[9], 3), np.uint8)
    written = 0
    for number in range(x[9]):
        place = _reserve(out, np.uint32(number * int(frames) // x[9]), types.uintp(3))
        if place != 0:
            message = carray(pointer(place), (3,), np.uint8)
            for i in range(3):
                message[i] = messages[number, i]
            written += 1
    x[10] = written
    x[11] = int(_frame_time(x[0]))
    x[14] = 0
    store_release(context + 8 * 15, x[15] + 1)
    return np.int32(0)


class Burst(_Gear):
    """A device that sends all its ``messages`` (each of three bytes) in one cycle, as often as it is told to."""

    def __init__(self, server: str, messages: np.ndarray, name: str = "burst", port: str = "out") -> None:
        super().__init__(name, server, _burst)
        self._messages = np.ascontiguousarray(messages, np.uint8)
        self.port = self.client.midi_outports.register(port)
        self.words[1] = self._address(self.port._ptr)
        self.words[8:10] = (self._messages.ctypes.data, len(messages))
        self.client.activate()

    @property
    def connections(self) -> set[str]:
        return {port.name for port in self.client.get_all_connections(self.port)}

    def go(self) -> None:
        self.words[14] = 1

    @property
    def bursts(self) -> int:
        return int(self.words[15])

    @property
    def written(self) -> int:
        """Of the last burst."""
        return int(self.words[10])
