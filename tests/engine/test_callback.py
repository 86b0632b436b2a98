# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiled JACK callback and its units are made of: no allocation, no Python, no raising, ordered accesses."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

ALLOWED = {
    # the audio server's
    "jack_last_frame_time", "jack_port_get_buffer", "jack_midi_get_event_count", "jack_midi_event_get",
    "jack_midi_clear_buffer", "jack_midi_event_reserve", "jack_get_cycle_times", "jack_get_time",
    "jack_transport_query", "jack_transport_start", "jack_transport_stop", "jack_transport_locate",
    # the pitch shifters': while the tempo moves they allocate nothing, see docs/decks.md
    "rubberband_process", "rubberband_available", "rubberband_retrieve", "rubberband_reset", "rubberband_set_time_ratio",
    "rubberband_set_pitch_scale",
    # time and floating point
    "clock_gettime", "fegetenv", "fesetenv",
    # arithmetic and memory of fixed size
    "sin", "cos", "tan", "exp", "exp2", "pow", "log2", "log10", "fmod", "floor", "ceil", "memset", "memcpy", "memmove",
}


@pytest.fixture(scope="module")
def functions() -> dict[str, str]:
    """The bodies of all functions that make up the callback, by their mangled name, as optimised LLVM code; the units in it
    under the names that they are called by."""
    pytest.importorskip("jack")
    from appliance.engine.backends.jack import process
    from appliance.engine.jit import UNITS

    bodies: dict[str, str] = {}
    for entry in (process, *UNITS.values()):
        code = str(entry._library._get_module_for_linking())
        bodies |= dict(re.findall(r'^define [^@]*@"?([^"(]+)"?\([^\n]*\{\n(.*?)^\}', code, re.S | re.M))
    return bodies | dict.fromkeys(UNITS, "")


def ours(functions: dict[str, str]) -> dict[str, str]:
    """Without the wrapper that numba puts round a callback: it turns errors, of which there are none, into messages."""
    return {name: body for name, body in functions.items() if not name.startswith(("cfunc.", "NRT_"))}


def test_it_calls_nothing_but_what_is_allowed(functions: dict[str, str]) -> None:
    called: set[str] = set()
    for body in ours(functions).values():
        called |= set(re.findall(r'(?:call|invoke)[^@\n]*@"?([^"(\s]+)', body))
    foreign = {name for name in called if name not in functions and not name.startswith("llvm.")}
    assert foreign <= ALLOWED, f"not allowed on the audio thread: {sorted(foreign - ALLOWED)}"
    assert "jack_port_get_buffer" in foreign, "this is not the callback"


def test_it_allocates_nothing(functions: dict[str, str]) -> None:
    guilty = {name: found for name, body in ours(functions).items()
              if (found := re.findall(r"NRT_(?:MemInfo_alloc|Allocate|Reallocate)\w*|malloc|calloc|alloca_once", body))}
    assert not guilty


def test_it_cannot_raise(functions: dict[str, str]) -> None:
    """A function that can raise stores a pickled exception; none does."""
    guilty = [name for name, body in ours(functions).items() if "picklebuf" in body or "excinfo_struct" in body]
    assert not guilty


_ASSEMBLE = r"""
import re, sys
import llvmlite.binding as llvm
from appliance.engine.backends.jack import process
from appliance.engine.jit import UNITS
llvm.initialize_all_targets(); llvm.initialize_all_asmprinters()
machine = llvm.Target.from_triple('aarch64-unknown-linux-gnu').create_target_machine(cpu='cortex-a72', opt=2)
for entry in (process, *UNITS.values()):
    code = str(entry._library._get_module_for_linking())
    code = re.sub(r'^define [^@]*@"?(?:cfunc\.|NRT_)[^\n]*\{\n.*?^\}\n', '', code, flags=re.S | re.M)
    code = re.sub(r'^declare [^@]*@NRT_[^\n]*\n', '', code, flags=re.M)
    code += ''.join(f'declare void @{name}(ptr)\n' for name in sorted(set(re.findall(r'@(NRT_\w+)', code))))
    code = re.sub(r'^target triple = .*$', 'target triple = "aarch64-unknown-linux-gnu"', code, flags=re.M)
    code = re.sub(r'^target datalayout = .*$', '', code, flags=re.M)
    code = re.sub(r'"target-(?:cpu|features)"="[^"]*"', '', code)
    sys.stdout.write(machine.emit_assembly(llvm.parse_assembly(code)))
"""


def test_on_aarch64_shared_words_are_ordered() -> None:
    """The commit is an acquire-release swap, heads are acquired, what is published is released."""
    pytest.importorskip("jack")
    done = subprocess.run([sys.executable, "-c", _ASSEMBLE], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    bodies = dict(re.findall(r"^(_ZN[^\n:]+):\n(.*?)^\.Lfunc_end", done.stdout, re.S | re.M))

    def instructions(unit: str) -> set[str]:
        found = [body for name, body in bodies.items() if unit in name]
        assert found, f"{unit} is not in the callback's code"
        return set(re.findall(r"^\t(\w+)", "\n".join(found), re.M))

    assert {"ldaxr", "stlxr", "ldar", "stlr"} <= instructions("10_run_block"), "state is not committed by compare-and-swap"
    assert "ldar" in instructions("13take_commands"), "the command ring's head is not acquired"
    assert {"dmb", "stlr"} <= instructions("4tell4tell"), "telemetry is not published under a sequence lock"
    assert "ldar" in instructions("5voice4_run") or "ldar" in instructions("15readable_frames")
