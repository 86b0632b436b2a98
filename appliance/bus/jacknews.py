# SPDX-License-Identifier: GPL-3.0-or-later
"""What the JACK server tells a client of ports, connections, lost cycles and its own end, taken down by compiled code.

The server writes each notice to the client's socket, field by field, and waits while that is full: after some thirty notices
that nobody has taken. Meanwhile it serves no one, and a client that has died stays in the graph. An engine with its ports is
more than thirty notices; a thread that needs Python to take them comes late. And when a client is closed, JACK's library
cancels its threads: one that just waits for Python takes the interpreter's lock with it, and the process stands still for ever.
So here Python takes no part: the callbacks put numbers down, and whoever wants to know looks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from appliance.bus.atomic import store_release
from appliance.bus.lean import cfunc, njit, types

_write = types.ExternalFunction("write", types.intp(types.int32, types.intp, types.uintp))

_PORT, _LINK = 1, 2
_KEPT = 512
"""Notices; who looks ten times a second has never missed one."""
_COUNT, _XRUNS, _GONE, _WAKE, _ONE, _FIRST = range(6)
_SIZE = _FIRST + 3 * _KEPT
_places: list[np.ndarray] = []
"""For ever: a thread of JACK's library may call for a client that we have given up, as when its server has died."""


@njit
def _put_down(words, kind, one, other):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    count = words[_COUNT]
    at = _FIRST + 3 * (count % _KEPT)
    words[at], words[at + 1], words[at + 2] = kind, one, other
    store_release(words.ctypes.data + 8 * _COUNT, count + 1)


@cfunc(types.void(types.uint32, types.int32, types.voidptr), nopython=True, cache=True)
def _port(port, registered, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """JackPortRegistrationCallback."""
    _put_down(carray(place, (_SIZE,), np.int64), _PORT if registered != 0 else 0, np.int64(port), 0)


@cfunc(types.void(types.uint32, types.uint32, types.int32, types.voidptr), nopython=True, cache=True)
def _link(one, other, made, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """JackPortConnectCallback."""
    _put_down(carray(place, (_SIZE,), np.int64), _LINK if made != 0 else 0, np.int64(one), np.int64(other))


@cfunc(types.int32(types.voidptr), nopython=True, cache=True)
def _xrun(place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """JackXRunCallback."""
    carray(place, (_SIZE,), np.int64)[_XRUNS] += 1
    return np.int32(0)


@cfunc(types.void(types.int32, types.voidptr, types.voidptr), nopython=True, cache=True)
def _gone(status, reason, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """JackInfoShutdownCallback."""
    words = carray(place, (_SIZE,), np.int64)
    words[_GONE] = 1
    if words[_WAKE] >= 0:
        _write(np.int32(words[_WAKE]), words.ctypes.data + 8 * _ONE, np.uintp(8))


@cfunc(types.int32(types.int32, types.voidptr), nopython=True, cache=True)
def _freewheel(starting, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """JackFreewheelCallback."""
    carray(place, (1,), np.int64)[0] = starting
    return np.int32(0)


@cfunc(types.void(types.intp), nopython=True, cache=True)
def _say_nothing(message):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Where JACK's library puts its messages."""


def silence() -> None:
    """JACK's library would fill the journal while it looks for a server, from any thread of it."""
    import jack

    lib, ffi = jack._lib, jack._ffi  # type: ignore[attr-defined]
    nothing: Any = _say_nothing
    for set_function in (lib.jack_set_error_function, lib.jack_set_info_function):
        set_function(ffi.cast("void (*)(const char *)", nothing.address))


class JackNews:
    """The notices of one ``jack.Client``; made before it is activated. Raises ``jack.JackError`` when JACK refuses.

    ``wake``: an eventfd that is written to when the server goes. ``freewheel``: address of an int64 that is 1 while the server
    does not keep time.
    """

    def __init__(self, client: Any, *, links: bool = True, xruns: bool = True, wake: int = -1, freewheel: int = 0) -> None:
        import jack

        self._client = client
        self._lib, self._ffi = jack._lib, jack._ffi  # type: ignore[attr-defined]
        self._refusal = jack.JackError
        self._words = np.zeros(_SIZE, np.int64)
        self._words[_WAKE], self._words[_ONE] = wake, 1
        _places.append(self._words)
        self._taken = self._xruns = 0
        place = self._ffi.cast("void *", self._words.ctypes.data)
        self._set("JackPortRegistrationCallback", "jack_set_port_registration_callback", _port, place)
        if links:
            self._set("JackPortConnectCallback", "jack_set_port_connect_callback", _link, place)
        if xruns:
            self._set("JackXRunCallback", "jack_set_xrun_callback", _xrun, place)
        if freewheel:
            where = self._ffi.cast("void *", freewheel)
            self._set("JackFreewheelCallback", "jack_set_freewheel_callback", _freewheel, where)
        gone: Any = _gone
        self._lib.jack_on_info_shutdown(client._ptr, self._ffi.cast("JackInfoShutdownCallback", gone.address), place)

    def _set(self, kind: str, function: str, callback: Any, place: Any) -> None:
        if getattr(self._lib, function)(self._client._ptr, self._ffi.cast(kind, callback.address), place):
            raise self._refusal(f"{function}: refused")

    @property
    def gone(self) -> bool:
        """Whether the server has ended."""
        return bool(self._words[_GONE])

    @property
    def count(self) -> int:
        """Notices of ports and connections so far."""
        return int(self._words[_COUNT])

    @property
    def waiting(self) -> bool:
        """Whether there are notices that were not taken."""
        return self.count != self._taken

    def take_xruns(self) -> int:
        """Cycles that the server has lost since the last call."""
        count = int(self._words[_XRUNS])
        before, self._xruns = self._xruns, count
        return count - before

    def take(self) -> list[tuple[str, ...]]:
        """What has come since the last call, in order: a port ``(name,)``; a connection ``(one port's name, the other's)``,
        also one that was taken apart again. Ports that have gone again are left out."""
        count = self.count
        begun, self._taken = max(self._taken, count - _KEPT), count
        told: list[tuple[str, ...]] = []
        for number in range(begun, count):
            at = _FIRST + 3 * (number % _KEPT)
            kind, one, other = (int(word) for word in self._words[at : at + 3])
            names = tuple(map(self._name, {_PORT: (one,), _LINK: (one, other)}.get(kind, ())))
            if names and all(names):
                told.append(names)
        return told

    def _name(self, port: int) -> str:
        """Empty when there is no such port any more; its place still carries the name."""
        found = self._lib.jack_port_by_id(self._client._ptr, port)
        name = self._lib.jack_port_name(found) if found else self._ffi.NULL
        there = name != self._ffi.NULL and self._lib.jack_port_by_name(self._client._ptr, name)
        return self._ffi.string(name).decode() if there else ""
