"""A captured program made shorter: what changes no result is left out, and nothing is done twice.

Each rule looks at one call, with its arguments simplified before, and says what may stand in its
place. Then calls that are equal become one, and those that nothing needs go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microgradx.common.nested import map_nested
from microgradx.compiler.ir import (
    Call,
    Constant,
    Value,
    arguments_of,
    is_uniform,
    values_in,
)
from microgradx.compiler.tracing import VIEWS, converted, key_of

__all__ = ["simplified"]


def simplified(calls: Sequence[Call], results: Sequence[Value]) -> tuple[list[Call], list[Value]]:
    """The calls that the results need, and the results, after all rules."""
    instead: dict[Value, Value] = {}
    known: dict[Any, Value] = {}
    kept: list[Call] = []

    def current(x: Any) -> Any:
        return instead.get(x, x) if isinstance(x, Value) else x

    for call in calls:
        call.args, call.kwargs = map_nested(current, call.args), map_nested(current, call.kwargs)
        value = _simpler(call)
        key = value if value is not call or call.is_unique else key_of(call)
        found = known.setdefault(key, value)
        if found is call:
            kept.append(call)
        else:
            found.name = found.name or call.name
            instead[call] = found
    results = [current(result) for result in results]
    return _needed(kept, results), results


def _needed(calls: Sequence[Call], results: Sequence[Value]) -> list[Call]:
    needed = set(results)
    kept = []
    for call in reversed(calls):
        if call in needed or call.is_unique:  # what is drawn is missing in the stream
            kept.append(call)
            needed.update(arguments_of(call))
    return kept[::-1]


def _simpler(call: Call) -> Value:
    """What may stand in place of a call, or be the call itself, with other arguments."""
    function = call.function
    if call.args and not call.is_unique and not call.count and call.dtype is not None:
        folded = _folded(call)
        if folded is not None:
            return folded
    if function is np.copy:
        return call.args[0]  # type: ignore[no-any-return]  # values never change
    if function is np.power and _number_of(call.args[1]) in (0, 1, 2) and not call.kwargs:
        base, exponent = call.args[0], _number_of(call.args[1])
        if isinstance(base, Value) and (base.shape, base.dtype) == (call.shape, call.dtype):
            if exponent == 0:
                return Constant(call.shape, call.dtype, np.ones(call.shape, call.dtype))
            if exponent == 1:
                return base
            call.function, call.args = np.multiply, (base, base)
            return call
    if isinstance(function, np.ufunc) and not function.signature and not call.kwargs:
        call.args = tuple(_without_broadcast(x, call) for x in call.args)
        neutral = _neutral(call)
        if neutral is not None:
            return neutral
    if function is np.matmul and all(x.shape and len(x.shape) <= 2 for x in call.args):
        call.function = np.dot  # the same, and faster
    if function is converted and call.args[0].dtype == call.dtype:
        return call.args[0]  # type: ignore[no-any-return]
    if function in VIEWS and call.args and _is_all_of_it(call):
        return call.args[0]  # type: ignore[no-any-return]
    if function is np.transpose and call.args and isinstance(call.args[0], Call):
        inner = call.args[0]
        axes = [_axes_of(c) for c in (call, inner)]
        if inner.function is np.transpose and axes == [None, None]:
            return inner.args[0]  # type: ignore[no-any-return]
    if (
        function is np.swapaxes
        and len(call.shape) == 2
        and {a % 2 for a in call.args[1:]} == {0, 1}
    ):
        call.function, call.args = np.transpose, call.args[:1]
    return call


def _is_all_of_it(call: Call) -> bool:
    """Whether a view is of the whole array, and in its shape."""
    source, *rest = call.args
    if not isinstance(source, Value) or source.dtype is None or source.shape != call.shape:
        return False
    if any(values_in((rest, call.kwargs))):
        return False
    whole = np.empty(source.shape, source.dtype)
    view = np.asarray(call.function(whole, *rest, **call.kwargs))
    return bool(view.strides == whole.strides and view.ctypes.data == whole.ctypes.data)


def _folded(call: Call) -> Constant | Value | None:
    """What is always the same: of constants alone, or where one operand decides."""
    if all(isinstance(x, Constant) for x in arguments_of(call)):
        args, kwargs = map_nested(_data, (call.args, call.kwargs))
        with np.errstate(all="ignore"):
            data = np.asarray(call.function(*args, **kwargs))
        return Constant(call.shape, call.dtype, data)
    is_and = call.function in (np.bitwise_and, np.logical_and) and call.dtype == np.bool_
    if is_and and any(_number_of(x) is False for x in call.args):
        return Constant(call.shape, call.dtype, np.zeros(call.shape, np.bool_))
    if call.function is np.where and len(call.args) == 3:
        decided = _number_of(call.args[0])
        if decided is not None:
            chosen = call.args[1 if decided else 2]
            if isinstance(chosen, Constant) or not isinstance(chosen, Value):
                data = np.broadcast_to(np.asarray(_data(chosen), call.dtype), call.shape)
                return Constant(call.shape, call.dtype, data)
            if (chosen.shape, chosen.dtype) == (call.shape, call.dtype):
                return chosen
    return None


def _data(x: Any) -> Any:
    return x.data if isinstance(x, Constant) else x


def _axes_of(call: Call) -> Any:
    return call.args[1] if len(call.args) > 1 else call.kwargs.get("axes")


def _neutral(call: Call) -> Value | None:
    """The other operand of a product with 1 or a sum with 0, if that is the result."""
    if len(call.args) != 2:
        return None
    for i, neutral in _NEUTRAL.get(call.function, ()):
        other = call.args[1 - i]
        if (
            _number_of(call.args[i]) == neutral
            and isinstance(other, Value)
            and (other.shape, other.dtype) == (call.shape, call.dtype)
        ):
            return other
    return None


#: Which operand, and which number, changes nothing.
_NEUTRAL: dict[Any, tuple[tuple[int, float], ...]] = {
    np.multiply: ((0, 1), (1, 1)),
    np.divide: ((1, 1),),
}


def _number_of(x: Any) -> Any:
    """The number that all elements of a constant are; None if there is none."""
    if isinstance(x, Constant):
        return x.data.flat[0].item() if x.data.size and is_uniform(x.data) else None
    if isinstance(x, np.generic):
        return x.item()
    return x if isinstance(x, (int, float)) else None


def _without_broadcast(x: Any, call: Call) -> Any:
    """An operand before it was broadcast, where the other operands broadcast it all the same."""
    if not isinstance(x, (Call, Constant)) or x.shape != call.shape:
        return x
    shapes = [a.shape if isinstance(a, Value) else () for a in call.args if a is not x]
    if isinstance(x, Constant) and x.data.ndim and x.data.size and is_uniform(x.data):
        if len(shapes) < len(call.args) and np.broadcast_shapes((), *shapes) == call.shape:
            return Constant((), x.dtype, np.asarray(x.data.flat[0]))
        return x
    if isinstance(x, Call) and x.function is np.broadcast_to:
        source = x.args[0]
        if np.broadcast_shapes(source.shape, *shapes) == call.shape:
            return source
    return x
