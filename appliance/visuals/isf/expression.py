# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of passes written as arithmetic (`floor($WIDTH / 16.0)`), evaluated without ever running the text as code.

A scene file may come from anywhere, so only numbers, `$NAME`s, five operators and a list of functions are understood,
and everything that could take long (a tower of powers, a very long text) is refused before it is computed.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_TEXT = 400
MAX_PIXELS = 8192
"""Largest edge of a render target; the smallest guaranteed by GL 3.3 is 1024, every driver in use takes 8192."""

_PREFIX = "isf_var_"


class ExpressionError(ValueError):
    """The text is not arithmetic this format knows; the message says which part."""


def _divide(a: float, b: float) -> float:
    return a / b if b else 0.0


def _modulo(a: float, b: float) -> float:
    return math.fmod(a, b) if b else 0.0


def _power(a: float, b: float) -> float:
    if abs(b) > 64 or abs(a) > 1e6:
        raise ExpressionError("a power this large has no place in a size")
    result = math.pow(a, b)
    return result


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "abs": math.fabs,
    "ceil": lambda x: float(math.ceil(x)),
    "cos": math.cos,
    "exp": math.exp,
    "floor": lambda x: float(math.floor(x)),
    "log": math.log,
    "log2": math.log2,
    "max": max,
    "min": min,
    "mod": _modulo,
    "pow": _power,
    "round": lambda x: float(math.floor(x + 0.5)),
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
    ast.Mod: _modulo,
    ast.Pow: _power,
}


@dataclass(frozen=True)
class Expression:
    """Arithmetic over `$WIDTH`, `$HEIGHT` and the scene's own numeric inputs."""

    text: str
    names: frozenset[str]
    _body: ast.expr

    def evaluate(self, values: Mapping[str, float]) -> float:
        """The number this stands for; raises ExpressionError when it is not finite or a name has no value."""
        try:
            result = float(_evaluate(self._body, values))
        except ExpressionError:
            raise
        except (ArithmeticError, ValueError, TypeError) as error:
            raise ExpressionError(f"'{self.text}' cannot be computed ({error})") from None
        if not math.isfinite(result):
            raise ExpressionError(f"'{self.text}' is not a finite number")
        return result

    def pixels(self, values: Mapping[str, float]) -> int:
        """The same as an edge of a render target: a whole number of pixels, 1 to MAX_PIXELS."""
        return max(1, min(MAX_PIXELS, int(self.evaluate(values))))


def parse(source: str | float) -> Expression:
    """Reads a size: a number or a text. Raises ExpressionError with the part that is not understood."""
    text = str(source).strip()
    if not text:
        raise ExpressionError("an empty size")
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"a size of {len(text)} characters, at most {MAX_TEXT} are read")
    code = re.sub(r"\$([A-Za-z_]\w*)", _PREFIX + r"\1", text)
    if "$" in code:
        raise ExpressionError(f"'{text}' has a $ without a name behind it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python has opinions on text like "1e", which is refused anyway
            body = ast.parse(code.replace("^", "**"), mode="eval").body
        names = frozenset(_check(body, text))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"'{text}' is not arithmetic") from None
    return Expression(text, names, body)


def _check(node: ast.expr, text: str) -> set[str]:
    """Names used below `node`; raises ExpressionError at the first construct that is not allowed."""
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            if abs(value) > 1e12:
                raise ExpressionError(f"'{text}' has a number out of range")
            return set()
        case ast.Name(id=name) if name.startswith(_PREFIX):
            return {name.removeprefix(_PREFIX)}
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _check(operand, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _check(left, text) | _check(right, text)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and args:
            return set[str]().union(*(_check(arg, text) for arg in args))
        case _:
            raise ExpressionError(f"'{text}' uses something other than numbers, $NAMES, + - * / % and functions")


def _evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]
        case ast.Name(id=name):
            key = name.removeprefix(_PREFIX)
            if key not in values:
                raise ExpressionError(f"${key} is not known here")
            return values[key]
        case ast.UnaryOp(op=op, operand=operand):
            value = _evaluate(operand, values)
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name](*(_evaluate(arg, values) for arg in args))
        case _:
            raise ExpressionError("not arithmetic")
