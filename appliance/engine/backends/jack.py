# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a JACK client: a compiled process callback, no Python on the audio thread.

The callback is registered through JACK-Client's own cffi handle (private names; the version is pinned). Everything in it
comes from the context: ports, buffers, addresses.
"""

from __future__ import annotations

import ctypes
import logging
import time
from functools import cache
from pathlib import Path
from typing import Any

import jack
import llvmlite.binding as llvm
import numpy as np

from appliance.bus import layout
from appliance.config import Audio
from appliance.engine.context import CONTEXT

llvm.load_library_permanently("libjack.so.0")

from numba import carray, cfunc, types  # noqa: E402

from appliance.bus.atomic import load_acquire, pointer, store_release  # noqa: E402
from appliance.bus.jacknews import JackNews, silence  # noqa: E402
from appliance.engine.backends.clock import MONOTONIC, THREAD_CPU, now  # noqa: E402
from appliance.engine.backends.floating import flush_denormals_at  # noqa: E402
from appliance.engine.backends.jacktransport import read_transport, timebase, use_transport  # noqa: E402
from appliance.engine.backends.links import Link, Links  # noqa: E402
from appliance.engine.backends.midiout import HEAD, TAIL, message_at  # noqa: E402
from appliance.engine.block import enter, leave  # noqa: E402
from appliance.engine.context import INPUTS, MIDI_EVENTS, OUTPUTS  # noqa: E402
from appliance.engine.dsp.gain import clear  # noqa: E402
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES  # noqa: E402
from appliance.engine.jit import kernel  # noqa: E402
from appliance.engine.standby import still_plays, take_part  # noqa: E402
from appliance.errors import Unavailable  # noqa: E402

log = logging.getLogger(__name__)

_port_buffer = types.ExternalFunction("jack_port_get_buffer", types.intp(types.intp, types.uint32))
_frame_time = types.ExternalFunction("jack_last_frame_time", types.uint32(types.intp))
_event_count = types.ExternalFunction("jack_midi_get_event_count", types.uint32(types.intp))
_event_get = types.ExternalFunction("jack_midi_event_get", types.int32(types.intp, types.intp, types.uint32))
_clear_buffer = types.ExternalFunction("jack_midi_clear_buffer", types.void(types.intp))
_cycle_times = types.ExternalFunction(
    "jack_get_cycle_times", types.int32(types.intp, types.intp, types.intp, types.intp, types.intp))
_server_time = types.ExternalFunction("jack_get_time", types.uint64())
_reserve = types.ExternalFunction("jack_midi_event_reserve", types.intp(types.intp, types.uint32, types.uintp))

_fields = CONTEXT.fields or {}
_FLOATING, _JACK_EVENT, _FREEWHEEL = (_fields[name][1] for name in ("floating_env", "jack_event", "freewheel"))
_MICROSECOND_NS = 1000
_UNDISTURBED_NS = 20_000
"""Two clocks read one after the other in less than that were read at once."""
_PLAYBACK = 1
TIMEBASE_RETRY_S = LATENCY_S = 1.0

CLOCK_NAME = "clock_out"
OUT_NAMES = ("master_1", "master_2", "cue_1", "cue_2", "booth_1", "booth_2")
IN_NAMES = ("in_1", "in_2")


def midi_names(direction: str) -> list[str]:
    """``midi_in``, ``midi_in_2`` …"""
    return [f"midi_{direction}" + (f"_{n}" if n > 1 else "") for n in range(1, layout.MIDI_PORTS + 1)]


@kernel
def _read_midi(ctx: Any, context: int, frames: int) -> None:
    """Gather the channel messages of all ports, in the order of their frames."""
    ctx.midi_count = 0
    event = carray(pointer(context + _JACK_EVENT), (3,), np.int64)
    time = carray(pointer(context + _JACK_EVENT), (6,), np.uint32)
    for port in range(layout.MIDI_PORTS):
        buffer = _port_buffer(ctx.midi_in_port[port], np.uint32(frames))
        if buffer == 0:
            continue
        count = int(_event_count(buffer))
        for number in range(count):
            if _event_get(context + _JACK_EVENT, buffer, np.uint32(number)) != 0 or ctx.midi_count >= MIDI_EVENTS:
                continue
            size = event[1]
            if size < 1 or size > 3:
                continue
            data = carray(pointer(event[2]), (3,), np.uint8)
            at = ctx.midi_count
            offset = min(int(time[0]), frames - 1)
            while at > 0 and ctx.midi[at - 1].offset > offset:
                ctx.midi[at] = ctx.midi[at - 1]
                at -= 1
            row = ctx.midi[at]
            row.offset = np.int32(offset)
            row.port = np.int32(port)
            row.status = np.int32(data[0])
            row.data1 = np.int32(data[1]) if size > 1 else np.int32(0)
            row.data2 = np.int32(data[2]) if size > 2 else np.int32(0)
            ctx.midi_count += 1


@kernel
def _clear_midi(ctx: Any, frames: int) -> None:
    for port in range(layout.MIDI_PORTS):
        buffer = _port_buffer(ctx.midi_out_port[port], np.uint32(frames))
        if buffer != 0:
            _clear_buffer(buffer)
    buffer = _port_buffer(ctx.clock_out_port, np.uint32(frames))
    if buffer != 0:
        _clear_buffer(buffer)


@kernel
def _write_clock(ctx: Any, frames: int) -> None:
    """Send the block's MIDI clock."""
    buffer = _port_buffer(ctx.clock_out_port, np.uint32(frames))
    for number in range(ctx.clock_out_count):
        offset, size, data = ctx.clock_out[number, 0], ctx.clock_out[number, 1], ctx.clock_out[number, 2]
        place = _reserve(buffer, np.uint32(offset), types.uintp(size)) if buffer != 0 else 0
        if place != 0:
            out = carray(pointer(place), (3,), np.uint8)
            for i in range(size):
                out[i] = np.uint8((data >> (8 * i)) & 0xFF)


@kernel
def _write_midi(ctx: Any, frames: int, first: int) -> None:
    """Send what control has queued and what is due in this block, in order."""
    head, tail = load_acquire(ctx.base + HEAD), load_acquire(ctx.base + TAIL)
    last = 0
    while tail < head:
        message = message_at(ctx, tail)
        offset = message.frame - first if message.frame > 0 else 0
        if offset >= frames:
            break
        last = max(last, offset, 0)
        buffer = _port_buffer(ctx.midi_out_port[message.port & (layout.MIDI_PORTS - 1)], np.uint32(frames))
        size = min(message.size, layout.MIDI_MESSAGE_BYTES)
        place = _reserve(buffer, np.uint32(last), types.uintp(size)) if buffer != 0 else 0
        if place != 0:
            out = carray(pointer(place), (layout.MIDI_MESSAGE_BYTES,), np.uint8)
            for i in range(size):
                out[i] = message.data[i]
        tail += 1
    store_release(ctx.base + TAIL, tail)


@kernel
def _copy_out(ctx: Any, frames: int, played: bool, hush: bool) -> None:
    """Fill the output ports. ``hush``: what the server still mixes of an engine that no longer writes its ports is silenced."""
    for number in range(OUTPUTS):
        buffer = _port_buffer(ctx.out_port[number], np.uint32(frames))
        if buffer != 0:
            out = carray(pointer(buffer), (frames,), np.float32)
            if played:
                for i in range(frames):
                    out[i] = ctx.out[number, i]
            else:
                clear(out, 0, frames)
        if hush and ctx.peer_port[number] != 0:
            buffer = _port_buffer(ctx.peer_port[number], np.uint32(frames))
            if buffer != 0:
                clear(carray(pointer(buffer), (frames,), np.float32), 0, frames)


@kernel
def _hush_midi(ctx: Any, frames: int) -> None:
    """The server hands out again and again what an engine that is dead has sent last."""
    for number in range(layout.MIDI_PORTS + 1):
        if ctx.peer_midi_port[number] != 0:
            buffer = _port_buffer(ctx.peer_midi_port[number], np.uint32(frames))
            if buffer != 0:
                _clear_buffer(buffer)


@kernel
def _cycle_ns(ctx: Any, context: int, began: int) -> int:
    """The monotonic time of the cycle's beginning as the server has smoothed it. The server's microseconds are those of a
    clock of its own: jackd's is not slewed by the network's time (CLOCK_MONOTONIC_RAW), and hours after a start it is a quarter
    of a second away from ours."""
    words = carray(pointer(context + _JACK_EVENT), (4,), np.int64)
    place = context + _JACK_EVENT
    if _cycle_times(ctx.client, place, place + 8, place + 16, place + 24) != 0:
        return began
    theirs = words[1]
    before = now(context, MONOTONIC)
    present = np.int64(_server_time())
    after = now(context, MONOTONIC)
    if after - before < _UNDISTURBED_NS or ctx.server_clock_ns == 0:
        ctx.server_clock_ns = (before + after) // 2 - present * _MICROSECOND_NS
    return theirs * _MICROSECOND_NS + ctx.server_clock_ns


@kernel
def _process(frames: int, context: int) -> None:
    ctx = carray(pointer(context), (1,), CONTEXT)[0]
    cpu = now(context, THREAD_CPU)
    began = now(context, MONOTONIC)
    enter(ctx, began)
    time = np.int64(_frame_time(ctx.client))
    played = False
    if ctx.first == 1:
        ctx.first = 0
        flush_denormals_at(context + _FLOATING)
    elif time == ctx.cycle_time:
        # The server calls a client that was late once for every cycle that it missed, at once and all in the present one.
        # This one is done.
        leave(ctx, played, frames, began, now(context, MONOTONIC), now(context, THREAD_CPU) - cpu)
        return
    ctx.cycle_time = time
    ctx.cycle_ns = _cycle_ns(ctx, context, began)
    read_transport(ctx, context)
    _read_midi(ctx, context, frames)
    if frames <= layout.MAX_BLOCK_FRAMES:
        played = take_part(ctx, frames, time, began)
    hush = played and began < ctx.hush_until_ns
    _copy_out(ctx, frames, played, hush)
    if hush:
        _hush_midi(ctx, frames)
    _clear_midi(ctx, frames)
    if played:
        if not still_plays(ctx):  # stopped in between, and the other one plays by now
            _copy_out(ctx, frames, False, False)
        state_frame = carray(pointer(ctx.state), (1,), layout.STATE)[0].frame
        _write_midi(ctx, frames, state_frame - frames)
        _write_clock(ctx, frames)
        use_transport(ctx)
    leave(ctx, played, frames, began, now(context, MONOTONIC), now(context, THREAD_CPU) - cpu)


@cfunc(types.int32(types.uint32, types.intp), nopython=True, cache=True, error_model="numpy")
def process(frames, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """JackProcessCallback: ``context`` is the address of the CONTEXT record."""
    _process(np.int64(frames), context)
    return np.int32(0)


class _Range(ctypes.Structure):
    """``jack_latency_range_t``, in frames."""

    _fields_ = [("minimum", ctypes.c_uint32), ("maximum", ctypes.c_uint32)]


@cache
def _latency(verb: str) -> Any:
    """``jack_port_get_latency_range`` or ``…_set_…``, which JACK-Client does not have."""
    function = getattr(ctypes.CDLL("libjack.so.0"), f"jack_port_{verb}_latency_range")
    function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    function.restype = None
    return function


class JackBackend:
    """A client named ``name`` on the server ``server``. Raises :class:`Unavailable` when the server is not there.

    ``wake``: an eventfd that is written to when the server goes away.
    """

    name = "jack"

    def __init__(self, context: np.ndarray, name: str, server: str, wake: int) -> None:
        self._context = context
        self._links: Links | None = None
        lib, ffi = jack._lib, jack._ffi  # type: ignore[attr-defined]
        silence()
        try:
            self.client = jack.Client(name, use_exact_name=True, no_start_server=True, servername=server)
        except jack.JackError as error:
            raise Unavailable(f"JACK server {server!r} does not take us as {name}: {error}; is it running?") from None
        self.rate = float(self.client.samplerate)
        self.period = int(self.client.blocksize)
        self._refused = False
        try:
            self._register()
        except jack.JackError as error:
            self.client.close(ignore_errors=True)
            raise Unavailable(f"JACK server {server!r} gives {name} no ports: {error}") from None
        address = context.ctypes.data
        context["client"] = int(ffi.cast("intptr_t", self.client._ptr))
        callback = ffi.cast("JackProcessCallback", process.address)
        if lib.jack_set_process_callback(self.client._ptr, callback, ffi.cast("void *", address)):
            raise Unavailable("JACK refused the process callback")
        context["freewheel"] = 0
        self._news = JackNews(self.client, wake=wake, freewheel=address + _FREEWHEEL)
        context["timebase"] = 0
        self._seek_timebase = self._seek_latency = 0.0
        self._report_latency()

    def _register(self) -> None:
        ports: dict[str, list[int]] = {"out_port": [], "in_port": [], "midi_in_port": [], "midi_out_port": []}
        ffi = jack._ffi  # type: ignore[attr-defined]
        for field, names, ports_of in (
            ("out_port", OUT_NAMES, self.client.outports), ("in_port", IN_NAMES, self.client.inports),
            ("midi_in_port", midi_names("in"), self.client.midi_inports),
            ("midi_out_port", midi_names("out"), self.client.midi_outports),
        ):
            for name in names:
                ports[field].append(int(ffi.cast("intptr_t", ports_of.register(name)._ptr)))
        clock_port = self.client.midi_outports.register(CLOCK_NAME)
        self._context["clock_out_port"] = int(ffi.cast("intptr_t", clock_port._ptr))
        for field, addresses in ports.items():
            self._context[field][0, : len(addresses)] = addresses
        assert len(ports["out_port"]) == OUTPUTS and len(ports["in_port"]) == INPUTS

    def _report_latency(self) -> None:
        """Tell JACK that master and booth come out LOOK_AHEAD_FRAMES after what goes in (``jack_port_set_latency_range``)."""
        set_range = _latency("set")
        latency = _Range(LOOK_AHEAD_FRAMES, LOOK_AHEAD_FRAMES)
        for name, port in zip(OUT_NAMES, self._context["out_port"][0], strict=True):
            if not name.startswith("cue"):
                set_range(int(port), 0, ctypes.byref(latency))

    def _take_latency(self) -> None:
        """How long what leaves the master takes until it is heard, by what it is connected to."""
        latency = _Range()
        _latency("get")(int(self._context["out_port"][0, 0]), _PLAYBACK, ctypes.byref(latency))
        self._context["playback_latency"] = min(latency.maximum, layout.LINE_FRAMES)

    def lead(self, *, wanted: bool) -> None:
        """Now and then: be JACK's timebase master, where no other client is, or be it no longer."""
        is_master, now = bool(self._context["timebase"][0]), time.monotonic()
        if wanted == is_master or (wanted and now < self._seek_timebase):
            return
        lib, ffi = jack._lib, jack._ffi  # type: ignore[attr-defined]
        if not wanted:
            lib.jack_release_timebase(self.client._ptr)
            self._context["timebase"] = 0
            return
        self._seek_timebase = now + TIMEBASE_RETRY_S
        callback = ffi.cast("JackTimebaseCallback", timebase.address)
        argument = ffi.cast("void *", self._context.ctypes.data)
        if lib.jack_set_timebase_callback(self.client._ptr, 1, callback, argument) == 0:
            self._context["timebase"] = 1

    def watch_links(self, peer: str, audio: Audio, memory: Path, stamp: int) -> None:
        """Before :meth:`start`: see to the connections of our ports; ``audio`` names those of the start."""
        self._links = Links(self.client, self._news, peer, lambda: self._first_links(audio), memory, stamp)

    def _first_links(self, audio: Audio) -> list[Link]:
        """The named ports, or the physical ones: master, cue where there are four, booth where there are six."""
        if not audio.connect:
            return []
        outputs, inputs = audio.outputs, audio.inputs
        if not outputs:
            found = self.client.get_ports(is_audio=True, is_physical=True, is_input=True)
            outputs = [port.name for port in found][: min(max(len(found) // 2, 1) * 2, OUTPUTS)]
        if not inputs:
            found = self.client.get_ports(is_audio=True, is_physical=True, is_output=True)
            inputs = [port.name for port in found][:2]
        return [*zip(OUT_NAMES, outputs, strict=False), *zip(IN_NAMES, inputs, strict=False)]

    def start(self) -> None:
        """Raises :class:`Unavailable` when the server has gone meanwhile."""
        self._context["first"] = 1
        try:
            self.client.activate()
        except jack.JackError as error:
            self._refused = True
            raise Unavailable(f"the JACK server went away at the start ({error})") from None

    def take_xruns(self) -> int:
        """Cycles that the server has lost since the last call."""
        return self._news.take_xruns()

    def tend(self, *, playing: bool) -> None:
        """Now and then, from the main thread: connections, and where the other engine's ports are."""
        if self._links and self.alive and self._links.tend(playing=playing):
            self._context["peer_port"][0] = self._links.peer_ports(OUT_NAMES)
            self._context["peer_midi_port"][0] = self._links.peer_ports((*midi_names("out"), CLOCK_NAME))
            self._seek_latency = 0.0
        if self.alive and (now := time.monotonic()) >= self._seek_latency:
            self._seek_latency = now + LATENCY_S
            self._take_latency()

    @property
    def alive(self) -> bool:
        """Whether the server is there."""
        return not (self._refused or self._news.gone)

    def stop(self) -> None:
        for step in (self.client.deactivate, self.client.close):
            try:
                step()
            except jack.JackError as error:
                log.debug("closing the JACK client: %s", error)
