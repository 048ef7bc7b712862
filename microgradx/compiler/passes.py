"""Passes over a traced program: simpler calls, no common subexpressions, no dead code.

Each call is looked at once, after its arguments, and another value may replace it: a constant that
is computed here, or an argument where the call is an identity. Then equal calls become one, and
those that nothing needs are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microgradx.common.nested import map_nested
from microgradx.compiler.ir import (
    Constant,
    FunctionCall,
    Value,
    arguments_of,
    is_uniform,
    values_in,
)
from microgradx.compiler.primitives import VIEWS, cast

__all__ = ["simplify"]


def simplify(
    calls: Sequence[FunctionCall], results: Sequence[Value]
) -> tuple[list[FunctionCall], list[Value]]:
    """The calls that the results need, after all passes, and the results."""
    replacements: dict[Value, Value] = {}
    known: dict[Any, Value] = {}
    live: list[FunctionCall] = []

    def replace(x: Any) -> Any:
        return replacements.get(x, x) if isinstance(x, Value) else x

    for call in calls:
        call.args, call.kwargs = map_nested(replace, (call.args, call.kwargs))
        value = _simplify_call(call)
        key = value if value is not call or call.has_side_effects else _expression_key(call)
        found = known.setdefault(key, value)
        if found is call:
            live.append(call)
        else:
            found.name = found.name or call.name
            replacements[call] = found
    results = [replace(result) for result in results]
    return _eliminate_dead_code(live, results), results


def _expression_key(call: FunctionCall) -> Any:
    """A key that is equal for calls with equal results."""
    return call.function, _key(call.args), _key(call.kwargs)


def _key(structure: Any) -> Any:
    if isinstance(structure, (list, tuple)):
        return type(structure), tuple(map(_key, structure))
    if isinstance(structure, dict):
        return tuple((name, _key(item)) for name, item in structure.items())
    if isinstance(structure, slice):
        return slice, _key((structure.start, structure.stop, structure.step))
    if isinstance(structure, Constant):
        return Constant, structure.dtype, structure.shape, structure.data.tobytes()
    if isinstance(structure, (int, float, str)):
        return type(structure), repr(structure)  # 0.0 and -0.0 differ
    return id(structure) if isinstance(structure, Value) else structure


def _eliminate_dead_code(
    calls: Sequence[FunctionCall], results: Sequence[Value]
) -> list[FunctionCall]:
    needed = set(results)
    live = []
    for call in reversed(calls):
        if call in needed or call.has_side_effects:
            live.append(call)
            needed.update(arguments_of(call))
    return live[::-1]


def _simplify_call(call: FunctionCall) -> Value:
    """An equal value in place of a call: another one, or the call itself with other arguments."""
    function = call.function
    if call.args and not call.has_side_effects and not call.result_count and call.dtype is not None:
        folded = _fold_constant(call)
        if folded is not None:
            return folded
    if function is np.copy:
        return call.args[0]  # type: ignore[no-any-return]  # values never change
    if function is np.power and _uniform_number(call.args[1]) in (0, 1, 2) and not call.kwargs:
        base, exponent = call.args[0], _uniform_number(call.args[1])
        if isinstance(base, Value) and (base.shape, base.dtype) == (call.shape, call.dtype):
            if exponent == 0:
                return Constant(call.shape, call.dtype, np.ones(call.shape, call.dtype))
            if exponent == 1:
                return base
            call.function, call.args = np.multiply, (base, base)
            return call
    if isinstance(function, np.ufunc) and not function.signature and not call.kwargs:
        call.args = tuple(_drop_broadcast(x, call) for x in call.args)
        neutral = _drop_neutral_operand(call)
        if neutral is not None:
            return neutral
    if function is np.matmul and all(0 < len(x.shape) <= 2 and x.size != 1 for x in call.args):
        call.function = np.dot  # the same, and faster; by a single number it would be a product
    if function is cast and call.args[0].dtype == call.dtype:
        return call.args[0]  # type: ignore[no-any-return]
    if function in VIEWS and call.args and _is_whole_view(call):
        return call.args[0]  # type: ignore[no-any-return]
    if function is np.transpose and call.args and isinstance(call.args[0], FunctionCall):
        inner = call.args[0]
        axes = [_transpose_axes(c) for c in (call, inner)]
        if inner.function is np.transpose and axes == [None, None]:
            return inner.args[0]  # type: ignore[no-any-return]
    if (
        function is np.swapaxes
        and len(call.shape) == 2
        and {a % 2 for a in call.args[1:]} == {0, 1}
    ):
        call.function, call.args = np.transpose, call.args[:1]
    return call


def _is_whole_view(call: FunctionCall) -> bool:
    """Whether a view is of the whole array, in its shape."""
    source, *rest = call.args
    if not isinstance(source, Value) or source.dtype is None or source.shape != call.shape:
        return False
    if any(values_in((rest, call.kwargs))):
        return False
    whole = np.empty(source.shape, source.dtype)
    view = np.asarray(call.function(whole, *rest, **call.kwargs))
    return bool(view.strides == whole.strides and view.ctypes.data == whole.ctypes.data)


def _fold_constant(call: FunctionCall) -> Constant | Value | None:
    """The result, if it is the same whatever the values: all arguments constant, or one decides."""
    if all(isinstance(x, Constant) for x in arguments_of(call)):
        args, kwargs = map_nested(_data, (call.args, call.kwargs))
        with np.errstate(all="ignore"):
            data = np.asarray(call.function(*args, **kwargs))
        return Constant(call.shape, call.dtype, data)
    is_and = call.function in (np.bitwise_and, np.logical_and) and call.dtype == np.bool_
    if is_and and any(_uniform_number(x) is False for x in call.args):
        return Constant(call.shape, call.dtype, np.zeros(call.shape, np.bool_))
    if call.function is np.where and len(call.args) == 3:
        decided = _uniform_number(call.args[0])
        if decided is not None:
            branch = call.args[1 if decided else 2]
            if isinstance(branch, Constant) or not isinstance(branch, Value):
                data = np.broadcast_to(np.asarray(_data(branch), call.dtype), call.shape)
                return Constant(call.shape, call.dtype, data)
            if (branch.shape, branch.dtype) == (call.shape, call.dtype):
                return branch
    return None


def _data(x: Any) -> Any:
    return x.data if isinstance(x, Constant) else x


def _transpose_axes(call: FunctionCall) -> Any:
    return call.args[1] if len(call.args) > 1 else call.kwargs.get("axes")


def _drop_neutral_operand(call: FunctionCall) -> Value | None:
    """The other operand of a product with 1 or a quotient by 1, if that is the result."""
    if len(call.args) != 2:
        return None
    for i, neutral in _NEUTRAL_OPERANDS.get(call.function, ()):
        other = call.args[1 - i]
        if (
            _uniform_number(call.args[i]) == neutral
            and isinstance(other, Value)
            and (other.shape, other.dtype) == (call.shape, call.dtype)
        ):
            return other
    return None


#: For a function, which operand leaves the other unchanged if it is which number.
_NEUTRAL_OPERANDS: dict[Any, tuple[tuple[int, float], ...]] = {
    np.multiply: ((0, 1), (1, 1)),
    np.divide: ((1, 1),),
}


def _uniform_number(x: Any) -> Any:
    """The number that all elements of a constant are equal to, or None."""
    if isinstance(x, Constant):
        return x.data.flat[0].item() if x.data.size and is_uniform(x.data) else None
    if isinstance(x, np.generic):
        return x.item()
    return x if isinstance(x, (int, float)) else None


def _drop_broadcast(x: Any, call: FunctionCall) -> Any:
    """An operand before it was broadcast, if the other operands broadcast it anyway."""
    if not isinstance(x, (FunctionCall, Constant)) or x.shape != call.shape:
        return x
    shapes = [a.shape if isinstance(a, Value) else () for a in call.args if a is not x]
    if isinstance(x, Constant) and x.data.ndim and x.data.size and is_uniform(x.data):
        if len(shapes) < len(call.args) and np.broadcast_shapes((), *shapes) == call.shape:
            return Constant((), x.dtype, np.asarray(x.data.flat[0]))
        return x
    if isinstance(x, FunctionCall) and x.function is np.broadcast_to:
        source = x.args[0]
        if np.broadcast_shapes(source.shape, *shapes) == call.shape:
            return source
    return x
