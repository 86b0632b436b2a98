# SPDX-License-Identifier: GPL-3.0-or-later
"""Numba without SciPy: import it from here first.

When the first compiled function is loaded, Numba looks whether SciPy's linear algebra is there. No kernel of ours uses it,
and importing it costs each process 0.3 s of CPU time and 13 MB at a start, when others wait for the processor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """To who imports it within, a package that is not installed; one that is loaded already stays."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # the import system's way to say that there is none
    try:
        yield
    finally:
        del sys.modules[name]


with _hidden("scipy"):
    import numba.np.arraymath  # noqa: F401  # pyright: ignore[reportUnusedImport]  # it is what looks, once
    from numba import carray, cfunc, njit, types
    from numba.core import cgutils
    from numba.extending import intrinsic

__all__ = ["carray", "cfunc", "cgutils", "intrinsic", "njit", "types"]
