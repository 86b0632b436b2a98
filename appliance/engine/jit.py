# SPDX-License-Identifier: GPL-3.0-or-later
"""How kernels are compiled: without Python, without exceptions, with strict floating point.

``fastmath`` stays off: the same events must give the same bits whatever the period, and reassociated or contracted
arithmetic may differ between a loop's vector body and its rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.bus.lean import njit, types

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
