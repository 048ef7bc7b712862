"""Arrays: the types that annotations name, and what makes an array of other things."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = [
    "Array",
    "Axis",
    "ArrayHolder",
    "NO_MASKED_ARRAYS",
    "Operand",
    "ScalarCache",
    "UnknownValues",
    "ONE",
    "ZERO",
    "as_array",
    "as_floats",
    "as_input",
    "as_number",
    "as_operand",
    "as_read_only",
    "as_result",
    "filled_vector",
    "is_known_true",
    "is_ndarray",
    "match_kind",
    "memory_order",
    "present_values",
    "refuse_subclasses",
    "unwrap",
]

#: An ndarray, or an array that speaks both of NumPy's protocols, such as Dask's or CuPy's.
Array = Any

#: The axes of a reduction: None for all of them.
Axis = int | tuple[int, ...] | None

#: What may stand on the other side of a Tensor's operator, besides another Tensor.
Operand = float | np.ndarray[Any, Any] | Sequence[Any]

#: What is said of masked arrays, wherever they meet a Tensor.
NO_MASKED_ARRAYS = (
    "a masked array (of numpy.ma) would lose its mask; write m.filled(0.0) for its numbers, and "
    "give the mask by itself, as in np.where(m.mask, 0.0, t), or as weights of 0"
)


class ArrayHolder:
    """What holds an array: the base of Tensor, and all that these files need to know of it."""

    __slots__ = ()
    array: Array


def unwrap(value: Any) -> Any:
    """`value` with every Tensor in it, also inside lists and tuples, replaced by its array."""
    kind = type(value)
    if kind is np.ndarray:
        return value
    if isinstance(value, ArrayHolder):
        return value.array
    if kind in (list, tuple):
        return kind(unwrap(item) for item in value)
    refuse_subclasses(value)
    return value


def refuse_subclasses(data: Any) -> None:
    """Raise TypeError for arrays that mean more than their numbers, also inside lists.

    These are masked arrays and matrices, and other subclasses of ndarray with rules of their own
    for NumPy's functions. As plain arrays they would silently lose their masks, units and so on.
    """
    if isinstance(data, (list, tuple)):
        kinds = set(map(type, data))  # a million numbers are of one
        if any(issubclass(kind, (np.ndarray, list, tuple)) for kind in kinds):
            for item in data:
                refuse_subclasses(item)
        return
    kind = type(data)
    if kind is np.ndarray or not issubclass(kind, np.ndarray):
        return
    if issubclass(kind, np.ma.MaskedArray):
        raise TypeError(NO_MASKED_ARRAYS)
    if issubclass(kind, np.matrix):
        raise TypeError(
            "a numpy.matrix gives the operators another meaning (* is a product of matrices); "
            "write np.asarray(m), and @ for products of matrices"
        )
    if any(
        getattr(kind, protocol) is not getattr(np.ndarray, protocol)
        for protocol in ("__array_ufunc__", "__array_function__")
    ):
        raise TypeError(
            f"{kind.__name__}, a subclass of ndarray, has rules of its own for NumPy's functions, "
            "which would be lost; write np.asarray(x) for its numbers"
        )


def fits_dtype(array: Array, dtype: Any) -> bool:
    """Whether no finite number of an array becomes infinite in a dtype."""
    with np.errstate(over="ignore"):
        return bool(np.all(np.isfinite(array.astype(dtype)) == np.isfinite(array)))


def as_array(data: Any, dtype: Any = None) -> Array:
    """`data` as an array of real numbers; not copied if it is one. Tensors stay Tensors."""
    kind = type(data)
    # Arrays that speak both of NumPy's protocols are kept. Subclasses of ndarray become ndarrays.
    if kind is not np.ndarray and (
        isinstance(data, (np.generic, np.ndarray))
        or not (hasattr(kind, "__array_ufunc__") and hasattr(kind, "__array_function__"))
    ):
        refuse_subclasses(data)
        data = np.asarray(data)
    if dtype is not None and data.dtype.kind in "fiub":
        data = data.astype(dtype, copy=False)
    if data.dtype.kind not in "fiub":
        raise TypeError(
            f"a Tensor holds real numbers, not {kind.__name__} of dtype {data.dtype}; "
            "give numbers, lists of equal length, or arrays of floats, integers or booleans"
        )
    return data


def as_result(data: Any) -> Array:
    """What an op's forward returned, as an array; raises TypeError if it is none."""
    if isinstance(data, (tuple, list)):
        raise TypeError(f"forward returned {len(data)} results; an op has one array for a result")
    if isinstance(data, ArrayHolder):
        raise TypeError("forward returned a Tensor; what it computes with must be an input")
    return as_array(data)


def as_input(x: Any) -> Any:
    """An input of an op of plain arrays: a list as an array, and a number as it is."""
    if type(x) is np.ndarray:
        return x
    refuse_subclasses(x)
    return np.asarray(x) if isinstance(x, (list, tuple)) else x


def as_operand(x: Any, operands: Sequence[Any]) -> Array:
    """`x` as an array; a Python number takes the dtype that the other operands have."""
    if type(x) not in (float, int, bool):
        return as_array(x)
    dtypes = {as_array(y).dtype for y in operands if type(y) not in (float, int, bool)}
    dtype = dtypes.pop()
    has_own = dtypes or dtype.kind != "f"
    return np.asarray(x, np.result_type(dtype, *dtypes, x) if has_own else dtype)


def as_floats(data: Any) -> Array:
    """`data` as an array or Tensor of floats: integers become float64, as in NumPy's functions."""
    data = as_array(data)
    return data if data.dtype.kind == "f" else data.astype(np.float64)


def as_read_only(array: Any) -> Array:
    """A view of an array that cannot be written through, as an ndarray."""
    view = (array if type(array) is np.ndarray else np.asarray(array)).view()
    view.flags.writeable = False
    return view


class ScalarCache(dict[Any, Array]):
    """A number as a 0-d array, by dtype: NumPy computes with one twice as fast as with a number.

    >>> ONE[np.dtype(np.float32)]
    array(1., dtype=float32)
    """

    def __init__(self, value: float) -> None:
        self.value = value

    def __missing__(self, dtype: Any) -> Array:
        self[dtype] = array = as_read_only(np.array(self.value, dtype))
        return array


ZERO, ONE = ScalarCache(0), ScalarCache(1)


@lru_cache(maxsize=64)
def filled_vector(value: float, count: int, dtype: Any = np.float64) -> Array:
    """A read-only vector that holds one value `count` times, made once: to sum with, by BLAS.

    >>> filled_vector(1.0, 3)
    array([1., 1., 1.])
    """
    vector = np.full(count, value, dtype)
    vector.flags.writeable = False
    return vector


def is_ndarray(x: Any) -> bool:
    """Whether `x` is an ndarray, or stands for one in a program that is being traced."""
    return type(x) is np.ndarray or hasattr(x, "tracer")


def memory_order(x: Array) -> tuple[int, ...]:
    """The axes of an array, the one whose neighbours lie farthest apart in memory first.

    >>> memory_order(np.zeros((2, 3, 4)).transpose(2, 0, 1))
    (1, 2, 0)
    """
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))


def match_kind(x: Any, others: Sequence[Any]) -> Any:
    """An ndarray as an array of the kind of the others, if they are traced or Dask's, say.

    Such arrays may index it, or be written into a copy; an ndarray would ask for their values.
    """
    for other in others:
        if type(other) is not np.ndarray and type(x) is np.ndarray:
            return np.where(np.ones_like(other, bool, shape=x.shape), x, x)
    return x


class UnknownValues(RuntimeError):
    """Values were asked for that are not known yet, as of a program that is being traced."""


def present_values(x: Any) -> Any:
    """An array as it is; of a program that is being traced, the array of the present call."""
    return getattr(x, "example", x)


def is_known_true(condition: Any) -> bool:
    """Whether a condition holds now. For checks of arguments, which no program repeats."""
    return bool(present_values(condition))


def as_number(x: Any) -> Any:
    """A 0-d array as a Python number, or unchanged where its value is not known."""
    try:
        return float(x)
    except UnknownValues:
        return x
