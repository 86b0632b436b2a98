# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller on a JACK server: one port that sends, one whose lamps listen. Its callback is compiled: a device of metal does
not wait for Python either, and JACK's library must not cancel a thread that does."""

from __future__ import annotations

from typing import Any

import jack
import llvmlite.binding as llvm
import numpy as np

from appliance.bus.lean import cfunc, types

llvm.load_library_permanently("libjack.so.0")

from numba import carray  # noqa: E402

from appliance.bus.atomic import load_acquire, pointer, store_release  # noqa: E402

_port_buffer = types.ExternalFunction("jack_port_get_buffer", types.intp(types.intp, types.uint32))
_clear = types.ExternalFunction("jack_midi_clear_buffer", types.void(types.intp))
_reserve = types.ExternalFunction("jack_midi_event_reserve", types.intp(types.intp, types.uint32, types.uintp))
_event_count = types.ExternalFunction("jack_midi_get_event_count", types.uint32(types.intp))
_event_get = types.ExternalFunction("jack_midi_event_get", types.int32(types.intp, types.intp, types.uint32))

MESSAGES, BYTES = 1 << 14, 510
_ROW = BYTES + 2
_OUT, _IN, _SEND, _SEND_HEAD, _SEND_TAIL, _HEAR, _HEAR_HEAD, _EVENT = range(8)
_WORDS = _EVENT + 3


@cfunc(types.int32(types.uint32, types.intp), cache=True, error_model="numpy")  # pyright: ignore[reportCallIssue]
def _process(frames, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    x = carray(pointer(context), (_WORDS,), np.int64)  # pyright: ignore[reportCallIssue]
    out = _port_buffer(x[_OUT], frames)
    _clear(out)
    rows = carray(pointer(x[_SEND]), (MESSAGES, _ROW), np.uint8)
    head = load_acquire(context + 8 * _SEND_HEAD)
    while x[_SEND_TAIL] < head:
        row = rows[x[_SEND_TAIL] % MESSAGES]
        size = int(row[0]) * 256 + int(row[1])
        place = _reserve(out, np.uint32(0), types.uintp(size))
        if place == 0:
            break  # the rest comes in the next cycle
        data = carray(pointer(place), (BYTES,), np.uint8)
        for i in range(size):
            data[i] = row[2 + i]
        x[_SEND_TAIL] += 1
    lamps = _port_buffer(x[_IN], frames)
    rows = carray(pointer(x[_HEAR]), (MESSAGES, _ROW), np.uint8)
    event = carray(pointer(context + 8 * _EVENT), (3,), np.int64)  # time, size, data
    for number in range(int(_event_count(lamps))):
        if _event_get(context + 8 * _EVENT, lamps, np.uint32(number)) != 0:
            continue
        row = rows[x[_HEAR_HEAD] % MESSAGES]
        size = min(event[1], BYTES)
        row[0], row[1] = size // 256, size % 256
        data = carray(pointer(event[2]), (BYTES,), np.uint8)
        for i in range(size):
            row[2 + i] = data[i]
        store_release(context + 8 * _HEAR_HEAD, x[_HEAR_HEAD] + 1)
    return np.int32(0)


class MidiDevice:
    """``port`` sends; ``port lamps`` listens. Raises ``jack.JackError``."""

    def __init__(self, server: str, client: str, port: str) -> None:
        self.client: Any = jack.Client(client, servername=server, no_start_server=True)
        try:
            self._play(port)
        except jack.JackError:
            self.client.close()
            raise

    def _play(self, port: str) -> None:
        self.out: Any = self.client.midi_outports.register(port)
        self.lamps: Any = self.client.midi_inports.register(f"{port} lamps")
        self._sending, self._hearing = (np.zeros((MESSAGES, _ROW), np.uint8) for _ in range(2))
        self._words = np.zeros(_WORDS, np.int64)
        ffi: Any = jack._ffi  # type: ignore[attr-defined]
        self._words[_OUT], self._words[_IN] = (int(ffi.cast("intptr_t", port._ptr)) for port in (self.out, self.lamps))
        self._words[_SEND], self._words[_HEAR] = self._sending.ctypes.data, self._hearing.ctypes.data
        self._heard: list[bytes] = []
        self._taken = 0
        callback: Any = _process
        jack._lib.jack_set_process_callback(  # type: ignore[attr-defined]
            self.client._ptr, ffi.cast("JackProcessCallback", callback.address), ffi.cast("void *", self._words.ctypes.data))
        self.client.activate()

    def send(self, *data: int) -> None:
        """A message of up to 510 bytes, at the beginning of the next cycle."""
        row = self._sending[int(self._words[_SEND_HEAD]) % MESSAGES]
        row[0], row[1] = divmod(len(data), 256)
        row[2 : 2 + len(data)] = data
        self._words[_SEND_HEAD] += 1  # on its way only now: Python's own calls stand between the two

    @property
    def heard(self) -> list[bytes]:
        """What the lamps were told so far; may be cleared."""
        head = int(self._words[_HEAR_HEAD])
        for number in range(max(self._taken, head - MESSAGES), head):
            row = self._hearing[number % MESSAGES]
            self._heard.append(row[2 : 2 + int(row[0]) * 256 + int(row[1])].tobytes())
        self._taken = head
        return self._heard

    def connections(self) -> set[str]:
        return {port.name for port in self.client.get_all_connections(self.out)}

    def unplug(self) -> None:
        """Always closes the client, though the server may have dropped it. Raises ``jack.JackError``."""
        try:
            self.client.deactivate()
        finally:
            self.client.close()
