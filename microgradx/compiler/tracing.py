"""Arrays that record what NumPy is asked to do with them.

A `RecordedArray` holds an example, the array of the call that is being captured, so that every
function sees real shapes and dtypes, and the value of the program that it stands for. It speaks
both of NumPy's protocols; so rules, layers, losses and optimisers run on it unchanged.

What a program cannot contain is refused where it happens: a Python branch on a value, a number
that leaves the arrays, a shape that depends on values, a write through a view.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from microgradx.arrays.methods import ArrayMethods
from microgradx.arrays.types import Array, UnknownValues
from microgradx.common.messages import callers_frame
from microgradx.common.nested import leaves_of, map_nested
from microgradx.compiler.ir import Call, Constant, Input, Part, Value, values_in
from microgradx.compiler.primitives import check_labels, drawn

__all__ = [
    "CHANGES",
    "VIEWS",
    "CaptureError",
    "RecordedArray",
    "RecordedGenerator",
    "RecordedNumber",
    "Recorder",
    "add_at",
    "converted",
    "key_of",
    "refused",
    "set_item",
]


class CaptureError(UnknownValues):
    """What was to be compiled does something that a captured program cannot repeat."""


def refused(what: str, instead: str) -> CaptureError:
    """An error that names the line of the user's where it happened."""
    frame = callers_frame()
    place = f"{frame.f_code.co_filename}, line {frame.f_lineno}"
    return CaptureError(f"{what} ({place}); {instead}")


# ---------------------------------------------------------------------------- what is recorded

# Answers that depend on shapes and dtypes alone, and so are the same in every call.
_STATIC = {
    *(np.shape, np.ndim, np.size, np.result_type, np.can_cast),
    *(np.iscomplexobj, np.isrealobj, np.shares_memory, np.may_share_memory),
}
# Arrays like another, of which the values do not matter.
_LIKE = {np.zeros_like, np.ones_like, np.empty_like}
# The length of the result depends on values.
_SHAPED_BY_VALUES = {
    *(np.nonzero, np.flatnonzero, np.argwhere, np.compress, np.extract, np.union1d, np.unique),
    *(np.intersect1d, np.setdiff1d, np.setxor1d, np.trim_zeros, np.bincount, np.histogram),
}
# They change an argument, in ways that are not followed here.
_IN_PLACE = {np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}


def set_item(array: Array, index: Any, value: Any) -> Array:
    """The array with other values at an index."""
    array[index] = value
    return array


def add_at(array: Array, index: Any, value: Any) -> Array:
    """The array with values added at an index, once for each mention."""
    np.add.at(array, index, value)
    return array


def converted(array: Array, dtype: Any) -> Array:
    """The array in another dtype."""
    return array.astype(dtype)


#: Vocabulary beside NumPy's functions: what changes an array in place, as calls with a result.
CHANGES = (set_item, add_at)


class Recorder:
    """The calls of a program, in the order in which they are made."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._unclaimed = 0

    # ------------------------------------------------------------------ inputs

    def array(self, example: Array, name: str) -> RecordedArray:
        return RecordedArray(self, example, Input(example.shape, example.dtype, name=name))

    def number(self, example: float, name: str) -> RecordedNumber:
        return RecordedNumber(self, example, Input((), None, name=name))

    def generator(self, example: np.random.Generator, name: str) -> RecordedGenerator:
        return RecordedGenerator(self, copy.deepcopy(example), Input((), None, name=name))

    def claim(self, part: Part) -> None:
        """Say what the calls since the last claim do together."""
        for call in self.calls[self._unclaimed :]:
            call.part = part
        self._unclaimed = len(self.calls)

    # ------------------------------------------------------------------ calls

    def call(
        self, function: Any, args: Any, kwargs: dict[str, Any], *, is_unique: bool = False
    ) -> Any:
        """What the function gives for the examples, recorded; plain if it is always the same."""
        example_args, example_kwargs = map_nested(_example, args), map_nested(_example, kwargs)
        if function in CHANGES:  # they write, and not into what others hold
            example_args = (example_args[0].copy(), *example_args[1:])
        with np.errstate(all="ignore"):  # it is the program that computes
            result = function(*example_args, **example_kwargs)
        given = leaves_of((args, kwargs))
        args, kwargs = map_nested(_value, args), map_nested(_value, kwargs)
        if not is_unique and all(isinstance(v, Constant) for v in values_in((args, kwargs))):
            recorded = map_nested(self.constant, result)
        else:
            value = self._recorded(function, args, kwargs, result, is_unique)
            if isinstance(result, (tuple, list)):
                items = [self._item(value, i, example) for i, example in enumerate(result)]
                is_named = hasattr(result, "_fields")
                recorded = type(result)(*items) if is_named else type(result)(items)
            elif value.is_number:
                recorded = RecordedNumber(self, result, value)
            else:
                recorded = RecordedArray(self, np.asarray(result), value)
        _mark_views(leaves_of(recorded), given)
        return recorded

    def _item(self, several: Value, i: int, example: Any) -> RecordedArray:
        item = self._recorded(operator.getitem, (several, i), {}, example, False)
        return RecordedArray(self, np.asarray(example), item)

    def constant(self, data: Any) -> RecordedArray:
        data = np.asarray(data)
        return RecordedArray(self, data, Constant(data.shape, data.dtype, data))

    def _recorded(
        self, function: Any, args: Any, kwargs: Any, result: Any, is_unique: bool
    ) -> Call:
        if isinstance(function, np.ufunc) and type(result) in (int, float):
            result = np.asarray(result, object)  # a function of Python's numbers gives one
        if isinstance(result, (np.ndarray, np.generic)):
            shape, dtype = result.shape, result.dtype
        else:
            shape, dtype = (), None
        count = len(result) if isinstance(result, (tuple, list)) else 0
        call = Call(shape, dtype, function, args, kwargs, is_unique=is_unique, count=count)
        self.calls.append(call)
        return call


def _mark_views(results: list[Any], given: list[Any]) -> None:
    """Note which results are views of which arrays; to write to either would change the other."""
    for x in given:
        if isinstance(x, RecordedArray):
            for result in results:
                if isinstance(result, RecordedArray) and np.may_share_memory(
                    result.example, x.example
                ):
                    result.is_view = x.has_views = True


def _example(x: Any) -> Any:
    return x.example if isinstance(x, (RecordedArray, RecordedNumber, RecordedGenerator)) else x


def _value(x: Any) -> Any:
    """The value that a recorded array stands for; a plain array becomes a constant."""
    if isinstance(x, (RecordedArray, RecordedNumber, RecordedGenerator)):
        return x.value
    if isinstance(x, np.ndarray):
        return Constant(x.shape, x.dtype, x.copy())
    return x


def key_of(call: Call) -> Any:
    """What is equal for calls that give the same."""
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
        return type(structure), repr(structure)  # 0.0 and -0.0 are two
    return id(structure) if isinstance(structure, Value) else structure


# ---------------------------------------------------------------------------- arrays


class RecordedArray(NDArrayOperatorsMixin):
    """An array of a program that is being captured."""

    __hash__ = object.__hash__

    def __init__(self, recorder: Recorder, example: Array, value: Value) -> None:
        self.recorder = recorder
        self.example = example
        self.value = value
        self.is_view = self.has_views = False
        #: Whether others hold the array too, and would not find it changed.
        self.is_given = False

    shape = property(lambda self: self.example.shape)
    ndim = property(lambda self: self.example.ndim)
    size = property(lambda self: self.example.size)
    dtype = property(lambda self: self.example.dtype)
    nbytes = property(lambda self: self.example.nbytes)

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, ArrayMethods) for x in inputs):
            return NotImplemented  # a Tensor's part
        out = kwargs.pop("out", (None,))[0]
        if method == "at":
            return inputs[0].become(self.recorder.call(add_at, inputs, kwargs))
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        # Unlike a number of Python's, a scalar of NumPy's has a say in the dtype of the result.
        inputs = tuple(np.asarray(x) if isinstance(x, np.generic) else x for x in inputs)
        chosen = kwargs.pop("where", True) if method == "__call__" and out is not None else True
        result = self.recorder.call(function, inputs, kwargs)
        if chosen is not True:  # elsewhere, what is there stays
            result = np.where(chosen, result, out)
        return result if out is None else _into(out, result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, ArrayMethods) for kind in types):
            return NotImplemented
        name = f"np.{function.__name__}"
        if function in _STATIC:
            return function(*map_nested(_example, args), **map_nested(_example, kwargs))
        if function in _LIKE:
            like = function(*map_nested(_example, args), **map_nested(_example, kwargs))
            return self.recorder.constant(like)
        if function in _SHAPED_BY_VALUES or (function is np.where and len(args) == 1):
            raise refused(
                f"the shape of what {name} gives depends on values, and a compiled program has "
                "fixed shapes",
                "select with np.where(mask, x, 0), or leave this step out of what is compiled",
            )
        if function is np.copyto and not kwargs and len(args) == 2:
            args[0][...] = args[1]
            return None
        if function in _IN_PLACE or function is np.copyto:
            raise refused(f"{name} changes an array in place", "write array[index] = value")
        kwargs = dict(kwargs)
        out = kwargs.pop("out", None)
        result = self.recorder.call(function, args, kwargs)
        if isinstance(result, RecordedNumber):
            raise refused(
                f"{name} gives a number of Python's, which depends on values",
                "use a function that gives an array",
            )
        return result if out is None else _into(out, result)

    # ------------------------------------------------------------------ elements

    def __getitem__(self, index: Any) -> Any:
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, RecordedArray) and part.dtype == bool and part.ndim:
                raise refused(
                    "a boolean mask as an index gives a shape that depends on values, and a "
                    "compiled program has fixed shapes",
                    "select with np.where(mask, x, 0)",
                )
        return self.recorder.call(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        self.become(self.recorder.call(set_item, (self, index, value), {}))

    def become(self, other: RecordedArray) -> RecordedArray:
        """Take what another stands for: how a change in place is followed."""
        if self.is_given:
            raise refused(
                "an argument, a parameter or a constant of the model is written to, and a compiled "
                "program leaves what it is given as it is",
                "write to a copy, x.copy(), and give what changes as a result",
            )
        if self.is_view or self.has_views:
            raise refused(
                "an array is written to of which there is a view, or which is one",
                "write array[index] = value before views are made, or make a new array",
            )
        self.example, self.value = other.example, other.value
        return self

    def check_labels(self, classes: int, ignore_index: int | None) -> None:
        """Record that the program is to check these labels."""
        self.recorder.call(check_labels, (self, classes, ignore_index), {}, is_unique=True)

    def __len__(self) -> int:
        return len(self.example)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    # ------------------------------------------------------------------ an array's methods

    @property
    def T(self) -> RecordedArray:
        return self.recorder.call(np.transpose, (self,), {})  # type: ignore[no-any-return]

    def astype(self, dtype: Any, copy: bool = True) -> RecordedArray:
        if self.dtype == dtype and not copy:
            return self
        recorded: RecordedArray = self.recorder.call(converted, (self, np.dtype(dtype)), {})
        if isinstance(self.value, Input):
            recorded.value.name = f"{self.value.name}_{recorded.dtype}"
        return recorded

    def copy(self) -> RecordedArray:
        return RecordedArray(self.recorder, self.example, self.value)  # values never change

    def reshape(self, *shape: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self) -> Any:
        return np.ravel(self)

    # ------------------------------------------------------------------ what cannot be recorded

    def _leave(self, *args: Any, **kwargs: Any) -> Any:
        raise refused(
            "a value is needed as a number of Python's, by a branch such as `if x > 0`, by item(), "
            "float() or int(), or as a plain array, and a compiled program is the same whatever "
            "the values are",
            "use np.where, or keep this out of what is compiled",
        )

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _leave
    __array__ = item = tolist = tobytes = __contains__ = _leave


def _method(function: Any) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return method


for _function in (
    *(np.sum, np.mean, np.prod, np.max, np.min, np.var, np.std, np.any, np.all, np.argmax),
    *(np.argmin, np.argsort, np.clip, np.cumsum, np.cumprod, np.diagonal, np.dot, np.ravel),
    *(np.repeat, np.round, np.squeeze, np.swapaxes, np.take, np.trace),
):
    setattr(RecordedArray, _function.__name__, _method(_function))

#: What may give a view of its first argument.
VIEWS = {
    *(operator.getitem, np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis),
    *(np.rollaxis, np.expand_dims, np.squeeze, np.broadcast_to, np.diagonal, np.flip, np.fliplr),
    *(np.flipud, np.rot90, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.matrix_transpose),
}


def _into(out: Any, result: RecordedArray) -> Any:
    """What `out=` asks for: the array that was given stands for the result, in its own dtype."""
    out = out[0] if isinstance(out, tuple) else out
    if not isinstance(out, RecordedArray):
        raise refused(
            "an array that is not captured is written to by out= or an operator such as +=",
            "make a new array instead",
        )
    if result.shape != out.shape:
        result = np.broadcast_to(result, out.shape)  # type: ignore[assignment]
    return out.become(result if result.dtype == out.dtype else result.astype(out.dtype))


# ---------------------------------------------------------------------------- random numbers


class RecordedGenerator:
    """A generator of random numbers, of which each call of the program draws others."""

    def __init__(self, recorder: Recorder, example: np.random.Generator, value: Value) -> None:
        self.recorder = recorder
        self.example = example  # a copy, so that to capture draws nothing
        self.value = value

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_") or not callable(getattr(self.example, method)):
            raise AttributeError(method)

        def draw(*args: Any, **kwargs: Any) -> Any:
            if method == "shuffle" or "out" in kwargs:
                raise refused(
                    f"{method} of a generator changes an array in place",
                    "draw a new array, with permutation(x) or without out=",
                )
            return self.recorder.call(drawn, (self, method, *args), kwargs, is_unique=True)

        return draw


# ---------------------------------------------------------------------------- numbers


class RecordedNumber:
    """A number of Python's that may be another in the next call: a learning rate, a step count."""

    def __init__(self, recorder: Recorder, example: float, value: Value) -> None:
        self.recorder = recorder
        self.example = example
        self.value = value

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return RecordedArray.__array_ufunc__(self, ufunc, method, *inputs, **kwargs)  # type: ignore[arg-type]

    def _leave(self, *args: Any, **kwargs: Any) -> Any:
        raise refused(
            "a number that changes from call to call, such as the learning rate or the count of "
            "steps, is needed as it is now, by a branch, a function of math's, int() or float()",
            "use arithmetic, such as x**0.5 for math.sqrt(x)",
        )

    def __neg__(self) -> Any:
        return self.recorder.call(operator.neg, (self,), {})

    __hash__ = object.__hash__
    __bool__ = __float__ = __int__ = __index__ = _leave
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _leave


def _arithmetic(function: Any, is_reflected: bool) -> Callable[..., Any]:
    def method(self: RecordedNumber, other: Any) -> Any:
        if not isinstance(other, (int, float, RecordedNumber)):
            return NotImplemented
        pair = (other, self) if is_reflected else (self, other)
        return self.recorder.call(function, pair, {})

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(RecordedNumber, f"__{_name}__", _arithmetic(getattr(operator, _name), False))
    setattr(RecordedNumber, f"__r{_name}__", _arithmetic(getattr(operator, _name), True))
