# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiler would not write by itself: products and sums in one step, and a sum in vector instructions.

LLVM may not join a product and a sum of its own accord, for that rounds once instead of twice; said so in the source it is
the same on every path, whether a loop is vectorised or not. Processors without such an instruction (x86 before 2013) compute
it slowly.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from appliance.bus.lean import cgutils, intrinsic, types


def _fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once; all three are float64, or all float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    kind = types.float32 if a == b == c == types.float32 else types.float64
    return kind(kind, kind, kind), generate


fused: Any = intrinsic(_fused)

_F32, _I32 = ir.FloatType(), ir.IntType(32)
_STRETCH = 8


def weighted_sums(width: int) -> Any:
    """A compiled function of ``(near, far, share, frames)``, arrays of ``width`` (a multiple of eight) float32 and a number.

    It gives left and right of ``frames`` (interleaved) under the weights ``near + share * (far - near)``. Stretches of eight
    are summed upon each other, then halves of them until a pair is left: in this order, whatever the processor.
    """
    numbers = ir.VectorType(_F32, _STRETCH)
    nothing = ir.Constant(numbers, ir.Undefined)
    everywhere = ir.Constant(ir.VectorType(_I32, _STRETCH), None)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def load(place: int, at: int) -> Any:
            data = cgutils.create_struct_proxy(signature.args[place])(context, builder, args[place]).data
            return builder.load(builder.bitcast(builder.gep(data, [_I32(at)]), numbers.as_pointer()), align=4)

        join = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(numbers, [numbers] * 3), f"llvm.fma.v{_STRETCH}f32")
        share = builder.shuffle_vector(builder.insert_element(nothing, args[2], _I32(0)), nothing, everywhere)
        sums = None
        for at in range(0, width, _STRETCH):
            near, far, frames = load(0, at), load(1, at), load(3, at)
            weights = builder.call(join, [share, builder.fsub(far, near), near])
            sums = builder.fmul(weights, frames) if sums is None else builder.call(join, [weights, frames, sums])
        left = _STRETCH // 2
        while left > 1:
            lower, upper = (
                builder.shuffle_vector(sums, sums, ir.Constant(ir.VectorType(_I32, left), list(range(at, at + left))))
                for at in (0, left)
            )
            sums = builder.fadd(lower, upper)
            left //= 2
        return context.make_tuple(
            builder, signature.return_type, [builder.extract_element(sums, _I32(side)) for side in range(2)])

    @intrinsic
    def sums(typingctx: Any, near: Any, far: Any, share: Any, frames: Any) -> Any:
        return types.UniTuple(types.float32, 2)(near, far, types.float32, frames), generate

    return sums
