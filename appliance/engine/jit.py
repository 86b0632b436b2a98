# SPDX-License-Identifier: GPL-3.0-or-later
"""How kernels are compiled: without Python, without exceptions, with strict floating point.

``fastmath`` stays off: the same events must give the same bits whatever the period, and reassociated or contracted
arithmetic may differ between a loop's vector body and its rest.
"""

from __future__ import annotations

from numba import njit

OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False, "fastmath": False}

kernel = njit(**OPTIONS)
"""A compiled unit."""

leaf = njit(inline="always", **{k: v for k, v in OPTIONS.items() if k != "cache"})
"""A few lines used once a sample or a cell, copied into its callers."""
