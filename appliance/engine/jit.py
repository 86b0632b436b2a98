# SPDX-License-Identifier: GPL-3.0-or-later
"""How kernels are compiled: without Python, without exceptions, with strict floating point.

``fastmath`` stays off: the same events must give the same bits whatever the period, and reassociated or contracted
arithmetic may differ between a loop's vector body and its rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from numba import carray

from appliance.bus.atomic import address_of, pointer
from appliance.bus.lean import cfunc, njit, types

OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False, "fastmath": False}


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled unit.

    It is compiled once for each kind of argument. Numba would do it once more for every constant that it is called with,
    fifteen times for some, and double the time that a set-up takes.
    """
    dispatcher: Any = njit(**OPTIONS)(function)
    find_template = dispatcher.get_call_template

    def get_call_template(arguments: Any, keywords: Any) -> Any:
        plain = tuple(types.unliteral(argument) for argument in arguments)
        return find_template(plain, {name: types.unliteral(argument) for name, argument in dict(keywords).items()})

    dispatcher.get_call_template = get_call_template
    return dispatcher


leaf = njit(inline="always", **{k: v for k, v in OPTIONS.items() if k != "cache"})
"""A few lines used once a sample or a cell, copied into its callers."""

UNIT_OPTIONS = {"nopython": True, "cache": True, "error_model": "numpy", "boundscheck": False}
UNITS: dict[str, Any] = {}
"""All units of this process by their symbols."""


def unit(name: str, returns: Any, *arguments: Any) -> Callable[[Callable[..., Any]], Any]:
    """Declares a part of the callback that is compiled for itself: a C function of addresses and numbers.

    What calls a kernel takes all of it in, and compiles it once more; so would every layer above. A unit is only called. Use it
    on a function of ``address``es that hands on to a kernel; what it returns is called from kernels in the same way.
    """
    signature = returns(*arguments)

    def declare(entry: Callable[..., Any]) -> Any:
        compiled: Any = cfunc(signature, **UNIT_OPTIONS)(entry)
        symbol = f"appliance_{name}"
        llvmlite.binding.add_symbol(symbol, compiled.address)
        UNITS[symbol] = compiled
        return types.ExternalFunction(symbol, signature)

    return declare


i64, f64, void = types.int64, types.float64, types.void
"""What units take and return; a truth is returned as 0 or 1."""


def record_at(dtype: np.dtype[Any]) -> Any:
    """A kernel that gives the record at an address."""

    @leaf
    def record(address: int) -> Any:
        return carray(pointer(address), (1,), dtype)[0]

    return record


__all__ = ["UNITS", "address_of", "f64", "i64", "kernel", "leaf", "record_at", "unit", "void"]
