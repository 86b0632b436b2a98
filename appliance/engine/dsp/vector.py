# SPDX-License-Identifier: GPL-3.0-or-later
"""A sum written in vector instructions. In a loop LLVM takes this one apart into single numbers, at three times the cost."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from appliance.bus.lean import cgutils, intrinsic, types

_F32, _I32 = ir.FloatType(), ir.IntType(32)


def weighted_sums(width: int) -> Any:
    """A compiled function of ``(near, far, share, frames)``, arrays of ``width`` (a power of two) float32 and a number.

    It gives left and right of ``frames`` (interleaved) under the weights ``near + share * (far - near)``. Halves are folded
    upon each other until a pair is left: in this order, whatever the processor.
    """
    numbers = ir.VectorType(_F32, width)
    nothing = ir.Constant(numbers, ir.Undefined)
    everywhere = ir.Constant(ir.VectorType(_I32, width), None)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def load(place: int) -> Any:
            data = cgutils.create_struct_proxy(signature.args[place])(context, builder, args[place]).data
            return builder.load(builder.bitcast(data, numbers.as_pointer()), align=4)

        near, far, frames = load(0), load(1), load(3)
        share = builder.shuffle_vector(builder.insert_element(nothing, args[2], _I32(0)), nothing, everywhere)
        sums = builder.fmul(builder.fadd(near, builder.fmul(share, builder.fsub(far, near))), frames)
        left = width // 2
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
