# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordered access to single 64-bit words in shared memory, for compiled code and for Python.

A plain load of a word that another process writes may be hoisted out of a loop, and a plain store may overtake the data it
announces, also on x86. All words that order others go through here. Addresses are integers (bytes); words are int64.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from appliance.bus.lean import cgutils, intrinsic, njit, types

_I64 = ir.IntType(64)


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _I64.as_pointer())


@intrinsic
def pointer(typingctx: Any, address: Any) -> Any:
    """An integer address as the ``void *`` that ``numba.carray`` takes."""
    return types.voidptr(types.int64), lambda context, b, sig, args: b.inttoptr(args[0], cgutils.voidptr_t)


@intrinsic
def address_of(typingctx: Any, record: Any) -> Any:
    """Where a record lies."""
    return types.int64(record), lambda context, b, sig, args: b.ptrtoint(args[0], _I64)


@intrinsic
def load_acquire(typingctx: Any, address: Any) -> Any:
    """Load; nothing that follows is read before it."""
    return types.int64(types.int64), lambda c, b, s, a: b.load_atomic(_pointer(b, a[0]), "acquire", 8)


@intrinsic
def load_relaxed(typingctx: Any, address: Any) -> Any:
    """Load that is neither torn nor hoisted; orders nothing."""
    return types.int64(types.int64), lambda c, b, s, a: b.load_atomic(_pointer(b, a[0]), "monotonic", 8)


def _store(order: str) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _pointer(builder, args[0]), order, 8)
        return context.get_dummy_value()

    return generate


@intrinsic
def store_release(typingctx: Any, address: Any, value: Any) -> Any:
    """Store; all that was written before is visible to whoever loads it with acquire."""
    return types.void(types.int64, types.int64), _store("release")


@intrinsic
def store_relaxed(typingctx: Any, address: Any, value: Any) -> Any:
    """Store that is not torn; orders nothing."""
    return types.void(types.int64, types.int64), _store("monotonic")


@intrinsic
def compare_swap(typingctx: Any, address: Any, expected: Any, desired: Any) -> Any:
    """Compare and swap; returns the word found, which equals ``expected`` when the swap was made."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], "acq_rel", "acquire")
        return builder.extract_value(found, 0)

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic
def add(typingctx: Any, address: Any, amount: Any) -> Any:
    """Add and return the word before."""
    return types.int64(types.int64, types.int64), lambda c, b, s, a: b.atomic_rmw(
        "add", _pointer(b, a[0]), a[1], "acq_rel"
    )


def _fence(order: str) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence(order)
        return context.get_dummy_value()

    return generate


@intrinsic
def fence_acquire(typingctx: Any) -> Any:
    """Loads before it stay before loads and stores after it."""
    return types.void(), _fence("acquire")


@intrinsic
def fence_release(typingctx: Any) -> Any:
    """Loads and stores before it stay before stores after it."""
    return types.void(), _fence("release")


@njit(cache=True, nogil=True)
def read(address: int) -> int:
    """Load-acquire, from Python (about 0.3 µs a call)."""
    return load_acquire(address)


@njit(cache=True, nogil=True)
def write(address: int, value: int) -> None:
    """Store-release, from Python."""
    store_release(address, value)


@njit(cache=True, nogil=True)
def swap(address: int, expected: int, desired: int) -> int:
    """Compare and swap, from Python; returns the word found."""
    return compare_swap(address, expected, desired)
