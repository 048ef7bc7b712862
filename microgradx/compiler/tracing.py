"""Arrays that record the NumPy functions called on them.

A `TracedArray` holds an example, the array of the call that is being traced, so that every function
sees real shapes and dtypes, and the value of the program that it stands for. It implements both of
NumPy's protocols, so rules, layers, losses and optimisers run on it unchanged.

What a program cannot contain raises CaptureError where it happens: a Python branch on a value, a
conversion to a Python number, a shape that depends on values, a write through a view.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from microgradx.arrays.bounds import check_range
from microgradx.arrays.methods import ArrayMethods
from microgradx.arrays.types import UnknownValues, memory_order, refuse_subclasses
from microgradx.common.messages import find_caller_frame, quote
from microgradx.common.nested import leaves_of, map_nested
from microgradx.compiler.ir import Comment, Constant, FunctionCall, Input, Value, values_in
from microgradx.compiler.primitives import IN_PLACE, add_at, cast, draw, set_item

__all__ = ["CaptureError", "Traced", "TracedArray", "TracedGenerator", "TracedNumber", "Tracer"]


class CaptureError(UnknownValues):
    """The code to compile does something that a traced program cannot repeat."""


def error_at_caller(problem: str, remedy: str) -> CaptureError:
    """A CaptureError that names the line of the user's code where it happened."""
    frame = find_caller_frame()
    return CaptureError(f"{problem} ({frame.f_code.co_filename}, line {frame.f_lineno}); {remedy}")


# ---------------------------------------------------------------------------- the tracer

# The result depends on shapes and dtypes alone, so it is the same in every call.
_STATIC = {
    *(np.shape, np.ndim, np.size, np.result_type, np.can_cast),
    *(np.iscomplexobj, np.isrealobj, np.shares_memory, np.may_share_memory),
}
# The result depends on the shape and dtype of the argument, and not on its values.
_LIKE = {np.zeros_like, np.ones_like, np.empty_like, np.full_like}
# The shape of the result depends on values.
_SHAPED_BY_VALUES = {
    *(np.nonzero, np.flatnonzero, np.argwhere, np.compress, np.extract, np.union1d, np.unique),
    *(np.intersect1d, np.setdiff1d, np.setxor1d, np.trim_zeros, np.bincount, np.histogram),
}
# They change an argument, in ways that are not traced.
_CHANGING_AN_ARGUMENT = {np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}


class Tracer:
    """The calls of a program, in the order in which they are made."""

    def __init__(self) -> None:
        self.calls: list[FunctionCall] = []
        #: By call. Comments name values, so a call that held its own could refer to itself.
        self.comments: dict[FunctionCall, Comment] = {}
        self._first_without_comment = 0
        self._silenced_outside = _silenced_errors()

    def add_comment(self, comment: Comment) -> None:
        """Attach a comment to the calls since the last comment."""
        self.comments |= dict.fromkeys(self.calls[self._first_without_comment :], comment)
        self._first_without_comment = len(self.calls)

    def call(
        self, function: Any, args: Any, kwargs: dict[str, Any], *, has_side_effects: bool = False
    ) -> Any:
        """Call the function on the examples, and record the call unless its result is constant."""
        example_args, example_kwargs = map_nested(_example, args), map_nested(_example, kwargs)
        if function in IN_PLACE:
            example_args = (example_args[0].copy(order="K"), *example_args[1:])
        with np.errstate(all="ignore"):  # warnings are for the program, which computes
            result = function(*example_args, **example_kwargs)
        inputs = leaves_of((args, kwargs))
        args, kwargs = map_nested(_value, args), map_nested(_value, kwargs)
        if not has_side_effects and all(isinstance(v, Constant) for v in values_in((args, kwargs))):
            traced = map_nested(self.constant, result)
        else:
            call = self._add(function, args, kwargs, result, has_side_effects)
            if isinstance(result, (tuple, list)):
                items = [
                    TracedArray(
                        self, np.asarray(x), self._add(operator.getitem, (call, i), {}, x, False)
                    )
                    for i, x in enumerate(result)
                ]
                is_named = hasattr(result, "_fields")
                traced = type(result)(*items) if is_named else type(result)(items)
            elif call.is_number:
                traced = TracedNumber(self, result, call)
            else:
                traced = TracedArray(self, np.asarray(result), call)
        _mark_views(leaves_of(traced), inputs)
        return traced

    def constant(self, data: Any) -> TracedArray:
        """A traced array that is the same in every call of the program."""
        data = np.asarray(data)
        return TracedArray(self, data, Constant(data.shape, data.dtype, data))

    def _add(
        self, function: Any, args: Any, kwargs: Any, result: Any, has_side_effects: bool
    ) -> FunctionCall:
        if isinstance(function, np.ufunc) and type(result) in (int, float):
            result = np.asarray(result, object)  # the result of np.frompyfunc on Python numbers
        is_array = isinstance(result, (np.ndarray, np.generic))
        shape, dtype = (result.shape, result.dtype) if is_array else ((), None)
        count = len(result) if isinstance(result, (tuple, list)) else 0
        call = FunctionCall(
            *(shape, dtype, function, args, kwargs),
            has_side_effects=has_side_effects,
            result_count=count,
            silenced=tuple(sorted(_silenced_errors() - self._silenced_outside)),
            order=memory_order(result) if is_array else (),
        )
        self.calls.append(call)
        return call


def _silenced_errors() -> set[str]:
    """The kinds of floating-point errors of which NumPy does not warn here."""
    return {kind for kind, mode in np.geterr().items() if mode == "ignore"}


def _mark_views(results: list[Any], inputs: list[Any]) -> None:
    """Note which results are views of which inputs; to write to either would change the other."""
    for x in inputs:
        if isinstance(x, TracedArray):
            for result in results:
                if isinstance(result, TracedArray) and np.may_share_memory(
                    result.example, x.example
                ):
                    result.is_view = x.has_views = True


def _example(x: Any) -> Any:
    if isinstance(x, Traced):
        return x.example
    refuse_subclasses(x)
    return x


def _constant_values(x: Any) -> Any:
    """The array of a traced array that is the same in every call; others stay traced."""
    return x.example if isinstance(x, TracedArray) and isinstance(x.value, Constant) else x


def _value(x: Any) -> Any:
    """The value that a traced array stands for; a plain array becomes a constant."""
    if isinstance(x, Traced):
        return x.value
    return Constant(x.shape, x.dtype, np.array(x)) if isinstance(x, np.ndarray) else x


class Traced:
    """A value of the program that is being traced, with an example of it."""

    def __init__(self, tracer: Tracer, example: Any, value: Value) -> None:
        self.tracer = tracer
        self.example = example
        self.value = value


# ---------------------------------------------------------------------------- arrays


class TracedArray(Traced, NDArrayOperatorsMixin):
    """An array of the program that is being traced."""

    __hash__ = object.__hash__

    #: Whether it is a view of another traced array, or others are views of it.
    is_view = has_views = False
    #: Whether the program must not write to it: an argument, a parameter or a constant.
    is_read_only = False

    shape = property(lambda self: self.example.shape)
    strides = property(lambda self: self.example.strides)
    ndim = property(lambda self: self.example.ndim)
    size = property(lambda self: self.example.size)
    dtype = property(lambda self: self.example.dtype)
    nbytes = property(lambda self: self.example.nbytes)
    flags = property(lambda self: self.example.flags)

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, ArrayMethods) for x in inputs):
            return NotImplemented  # left to the Tensor
        out = kwargs.pop("out", (None,))[0]
        if method == "at":
            return inputs[0].rebind(self.tracer.call(add_at, inputs, kwargs))
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        # Unlike a Python number, a NumPy scalar takes part in promotion.
        inputs = tuple(np.asarray(x) if isinstance(x, np.generic) else x for x in inputs)
        where = kwargs.pop("where", True) if method == "__call__" and out is not None else True
        result = self.tracer.call(function, inputs, kwargs)
        if where is not True:  # elsewhere `out` keeps its values
            result = np.where(where, result, out)
        return result if out is None else _write_to_out(out, result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, ArrayMethods) for kind in types):
            return NotImplemented
        name = f"np.{function.__name__}"
        traced = [x for x in leaves_of((args, kwargs)) if isinstance(x, Traced)]
        is_like = function in _LIKE and len(traced) == 1  # full_like may take the number, too
        if function in _STATIC or is_like:
            result = function(*map_nested(_example, args), **map_nested(_example, kwargs))
            return self.tracer.constant(result) if is_like else result
        if function in _SHAPED_BY_VALUES or (function is np.where and len(args) == 1):
            args, kwargs = map_nested(_constant_values, (args, kwargs))
            if not any(isinstance(x, Traced) for x in leaves_of((args, kwargs))):
                return map_nested(self.tracer.constant, function(*args, **kwargs))
            raise error_at_caller(
                f"the shape of the result of {name} depends on values, and a compiled program has "
                "fixed shapes",
                "select with np.where(mask, x, 0), or leave this step out of what is compiled",
            )
        if function is np.copyto:
            return self._trace_copyto(*args, **kwargs)
        if function in _CHANGING_AN_ARGUMENT:
            raise error_at_caller(f"{name} changes an array in place", "write array[index] = value")
        kwargs = dict(kwargs)
        out = kwargs.pop("out", None)
        result = self.tracer.call(function, args, kwargs)
        if isinstance(result, TracedNumber):
            raise error_at_caller(
                f"{name} returns a Python number, which depends on values",
                "use a function that returns an array",
            )
        return result if out is None else _write_to_out(out, result)

    def _trace_copyto(
        self, dst: Any, src: Any, casting: Any = "same_kind", where: Any = True
    ) -> None:
        if not isinstance(src, TracedArray):
            src = self.tracer.constant(src)
        if not np.can_cast(src.dtype, dst.dtype, casting):
            raise TypeError(
                f"Cannot cast array data from {src.dtype!r} to {dst.dtype!r} according to the rule "
                f"{casting!r}"
            )
        _write_to_out(dst, src if where is True else np.where(where, src, dst))

    # ------------------------------------------------------------------ elements

    def __getitem__(self, index: Any) -> Any:
        index = map_nested(_constant_values, index)
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, TracedArray) and part.dtype == bool and part.ndim:
                raise error_at_caller(
                    "the shape of an array indexed by a boolean mask depends on values, and a "
                    "compiled program has fixed shapes",
                    "select with np.where(mask, x, 0)",
                )
        return self.tracer.call(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        self.rebind(self.tracer.call(set_item, (self, index, value), {}))

    def rebind(self, other: TracedArray) -> TracedArray:
        """Stand for the value of another array from now on, as after a change in place."""
        if self.is_read_only:
            raise error_at_caller(
                "an argument, a parameter or a constant of the model is written to, and a compiled "
                "program does not change its inputs",
                "write to a copy, x.copy(), and return it",
            )
        if self.is_view or self.has_views:
            raise error_at_caller(
                "an array is written to that is a view, or of which there is a view",
                "write array[index] = value before views are made, or make a new array",
            )
        self.example, self.value = other.example, other.value
        return self

    def check_range(self, *arguments: Any) -> None:
        """Record that the program is to check these integers."""
        self.tracer.call(check_range, (self, *arguments), {}, has_side_effects=True)

    def refuse_observer(self, hook: Any) -> None:
        """Raise CaptureError for a hook that returns None: it only looks at the gradient."""
        function = getattr(hook, "func", hook)
        raise CaptureError(
            f"a hook, {quote(getattr(function, '__name__', repr(function)))}, returns None, so "
            "all that it does is outside of the program, which calls no hooks; return a gradient "
            "that replaces the one it was given, or remove the hook"
        )

    def __len__(self) -> int:
        return len(self.example)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    # ------------------------------------------------------------------ an array's methods

    @property
    def T(self) -> TracedArray:
        return self.tracer.call(np.transpose, (self,), {})  # type: ignore[no-any-return]

    def astype(self, dtype: Any, copy: bool = True) -> TracedArray:
        if self.dtype == dtype and not copy:
            return self
        traced: TracedArray = self.tracer.call(cast, (self, np.dtype(dtype)), {})
        if isinstance(self.value, Input):
            traced.value.name = f"{self.value.name}_{traced.dtype}"
        return traced

    def copy(self) -> TracedArray:
        return TracedArray(self.tracer, self.example, self.value)  # values never change

    def reshape(self, *shape: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self) -> Any:
        return np.ravel(self)

    # ------------------------------------------------------------------ what cannot be traced

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self._known_values("as a plain array"), dtype)

    def _known_values(self, purpose: str) -> Any:
        """The array, if it is the same in every call; otherwise raises CaptureError."""
        if isinstance(self.value, Constant):
            return self.example
        take = "microgradx.take(array, integers, axis=0) to index a plain array, "
        raise error_at_caller(
            f"a value is needed {purpose}, and a compiled program is the same for all values",
            f"use {take if self.dtype.kind in 'iu' else ''}np.where, or keep this out of what is "
            "compiled",
        )


def _method_of_values(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        values = self._known_values(
            "as a Python number, by a branch such as `if x > 0`, by item(), float() or int()"
        )
        return getattr(values, name)(*args, **kwargs)

    return method


for _name in (
    *("__bool__", "__float__", "__int__", "__index__", "__complex__", "__contains__"),
    *("item", "tolist", "tobytes"),
):
    setattr(TracedArray, _name, _method_of_values(_name))


def _method(function: Any) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return method


for _function in (
    *(np.sum, np.mean, np.prod, np.max, np.min, np.var, np.std, np.any, np.all, np.argmax),
    *(np.argmin, np.argsort, np.clip, np.cumsum, np.cumprod, np.diagonal, np.dot, np.ravel),
    *(np.repeat, np.round, np.squeeze, np.swapaxes, np.take, np.trace),
):
    setattr(TracedArray, _function.__name__, _method(_function))


def _write_to_out(out: Any, result: TracedArray) -> Any:
    """What `out=` does: the array stands for the result from now on, in its own dtype."""
    out = out[0] if isinstance(out, tuple) else out
    if not isinstance(out, TracedArray):
        raise error_at_caller(
            "an array that is not traced is written to by out= or an operator such as +=",
            "make a new array instead",
        )
    if result.shape != out.shape:
        result = np.broadcast_to(result, out.shape)  # type: ignore[assignment]
    return out.rebind(result if result.dtype == out.dtype else result.astype(out.dtype))


# ---------------------------------------------------------------------------- random numbers


class TracedGenerator(Traced):
    """A random generator. Each call of the program draws new numbers.

    The example is a copy of the generator, so that tracing draws nothing from it.
    """

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_") or not callable(getattr(self.example, method)):
            raise AttributeError(method)

        def trace(*args: Any, **kwargs: Any) -> Any:
            if method == "shuffle" or "out" in kwargs:
                raise error_at_caller(
                    f"{method} of a generator changes an array in place",
                    "draw a new array, with permutation(x) or without out=",
                )
            return self.tracer.call(draw, (self, method, *args), kwargs, has_side_effects=True)

        return trace


# ---------------------------------------------------------------------------- numbers


class TracedNumber(Traced):
    """A Python number that may differ in the next call: a learning rate, a count of steps."""

    #: Whether it is other than 0, if that is so in all calls.
    truth: bool | None = None

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return TracedArray.__array_ufunc__(self, ufunc, method, *inputs, **kwargs)  # type: ignore[arg-type]

    def _refuse_value(self, *args: Any, **kwargs: Any) -> Any:
        raise error_at_caller(
            "the present value is needed of a number that changes from call to call, such as the "
            "learning rate or the count of steps: by a branch, math.sqrt(), int() or float()",
            "use arithmetic, such as x**0.5 for math.sqrt(x)",
        )

    def __neg__(self) -> Any:
        return self.tracer.call(operator.neg, (self,), {})

    def __bool__(self) -> bool:
        return bool(self._refuse_value()) if self.truth is None else self.truth

    __hash__ = object.__hash__
    __float__ = __int__ = __index__ = _refuse_value
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse_value


def _arithmetic(function: Any, is_reflected: bool) -> Callable[..., Any]:
    def method(self: TracedNumber, other: Any) -> Any:
        if not isinstance(other, (int, float, TracedNumber)):
            return NotImplemented
        pair = (other, self) if is_reflected else (self, other)
        return self.tracer.call(function, pair, {})

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(TracedNumber, f"__{_name}__", _arithmetic(getattr(operator, _name), False))
    setattr(TracedNumber, f"__r{_name}__", _arithmetic(getattr(operator, _name), True))
