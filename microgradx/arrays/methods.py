"""The array side of Tensor: NumPy's two protocols, operators and methods, a line each."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.arrays.dispatch import INSTEAD_OF_METHOD, dispatch, implementations
from microgradx.arrays.pytorch_habits import (
    INSTEAD_OF_ATTRIBUTE,
    MissingAttribute,
    hint_at_arguments,
    takes_axis,
)
from microgradx.arrays.types import ArrayHolder, Axis, Operand, unwrap

if TYPE_CHECKING:
    from typing_extensions import Self

_IN_PLACE = "a Tensor's {} would change it in place, and the graph refers to it; write {}"


class ArrayMethods(ArrayHolder):
    """The array side of Tensor: every method is one line that asks the table."""

    __slots__ = ()
    requires_grad: bool
    op: Any
    name: Any

    # ------------------------------------------------------------------ NumPy's two protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            instead = INSTEAD_OF_METHOD.get(method, f"call np.{ufunc.__name__} itself")
            raise TypeError(
                f"np.{ufunc.__name__}.{method} has no rule for Tensors, so no gradient could "
                f"flow; {instead}, or use t.detach().numpy()"
            )
        return dispatch(ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return dispatch(function, args, kwargs)

    #: pandas leaves operators to what is above its own (DataFrames, 4000).
    __pandas_priority__ = 5000

    # ------------------------------------------------------------------ what NumPy reads off it

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def ndim(self) -> int:
        return len(self.array.shape)

    @property
    def size(self) -> int:
        return int(self.array.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self.array.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.array.tolist()

    def __repr__(self) -> str:
        if isinstance(self.array, np.ndarray):
            parts = [np.array2string(self.array, separator=", ", prefix="Tensor(")]
        else:
            parts = [repr(self.array)]
        if self.size == 0 and self.shape != (0,):
            parts.append(f"shape={self.shape}")
        if self.dtype not in (np.dtype(float), np.dtype(int), np.dtype(bool)):
            parts.append(f"dtype={self.dtype}")
        if self.op is not None:
            parts.append(f"op={self.op!r}")
        if self.requires_grad:
            parts.append("requires_grad=True")
        if self.name is not None:
            parts.append(f"name={self.name!r}")
        return f"Tensor({', '.join(parts)})"

    def __len__(self) -> int:
        return len(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __index__(self) -> int:
        return int(self.array.__index__())

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self.array == unwrap(value)))

    def __format__(self, specification: str) -> str:
        return format(self.array, specification) if specification else str(self)

    def __iter__(self) -> Iterator[Self]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d Tensor; use t.item() for its number")
        return (self[i] for i in range(len(self)))

    def __dir__(self) -> list[str]:
        missing = {k for k, v in vars(ArrayMethods).items() if isinstance(v, MissingAttribute)}
        return [name for name in object.__dir__(self) if name not in missing]

    def __getitem__(self, index: Any) -> Self:
        return implementations["getitem"](self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor's elements cannot be assigned, since the graph refers to them; write "
            "t = t.at[index].set(value), or np.where(mask, value, t), which give a new Tensor"
        )

    # Answers without a gradient: plain arrays and numbers. Tensors hash by identity.

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return self.array == unwrap(other)

    def __ne__(self, other: object) -> Any:
        return self.array != unwrap(other)

    def __lt__(self, other: Any) -> Any:
        return self.array < unwrap(other)

    def __le__(self, other: Any) -> Any:
        return self.array <= unwrap(other)

    def __gt__(self, other: Any) -> Any:
        return self.array > unwrap(other)

    def __ge__(self, other: Any) -> Any:
        return self.array >= unwrap(other)

    def any(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return np.any(self.array, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return np.all(self.array, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return np.argmax(self.array, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return np.argmin(self.array, axis=axis, keepdims=keepdims)

    def argsort(self, axis: int | None = -1, *, stable: bool = False) -> Any:
        return np.argsort(self.array, axis=axis, stable=stable)

    def argpartition(self, kth: Any, axis: int | None = -1) -> Any:
        return np.argpartition(self.array, kth, axis=axis)

    def searchsorted(self, v: Any, side: Any = "left") -> Any:
        return np.searchsorted(self.array, unwrap(v), side=side)

    def nonzero(self) -> Any:
        return np.nonzero(self.array)

    # ------------------------------------------------------------------ operators

    def __add__(self, other: Self | Operand) -> Self:
        return implementations[np.add](self, other)

    def __radd__(self, other: Operand) -> Self:
        return implementations[np.add](other, self)

    def __sub__(self, other: Self | Operand) -> Self:
        return implementations[np.subtract](self, other)

    def __rsub__(self, other: Operand) -> Self:
        return implementations[np.subtract](other, self)

    def __mul__(self, other: Self | Operand) -> Self:
        return implementations[np.multiply](self, other)

    def __rmul__(self, other: Operand) -> Self:
        return implementations[np.multiply](other, self)

    def __truediv__(self, other: Self | Operand) -> Self:
        return implementations[np.divide](self, other)

    def __rtruediv__(self, other: Operand) -> Self:
        return implementations[np.divide](other, self)

    def __floordiv__(self, other: Self | Operand) -> Self:
        return implementations[np.floor_divide](self, other)

    def __rfloordiv__(self, other: Operand) -> Self:
        return implementations[np.floor_divide](other, self)

    def __mod__(self, other: Self | Operand) -> Self:
        return implementations[np.remainder](self, other)

    def __rmod__(self, other: Operand) -> Self:
        return implementations[np.remainder](other, self)

    def __divmod__(self, other: Self | Operand) -> tuple[Self, Self]:
        return self // other, self % other

    def __rdivmod__(self, other: Operand) -> tuple[Self, Self]:
        return other // self, other % self

    def __pow__(self, other: Self | Operand) -> Self:
        return implementations[np.power](self, other)

    def __rpow__(self, other: Operand) -> Self:
        return implementations[np.power](other, self)

    def __matmul__(self, other: Self | Operand) -> Self:
        return implementations[np.matmul](self, other)

    def __rmatmul__(self, other: Operand) -> Self:
        return implementations[np.matmul](other, self)

    def __neg__(self) -> Self:
        return implementations[np.negative](self)

    def __pos__(self) -> Self:
        return implementations[np.positive](self)

    def __abs__(self) -> Self:
        return implementations[np.absolute](self)

    # ------------------------------------------------------------------ methods

    def exp(self) -> Self:
        return implementations[np.exp](self)

    def expm1(self) -> Self:
        return implementations[np.expm1](self)

    def log(self) -> Self:
        return implementations[np.log](self)

    def log1p(self) -> Self:
        return implementations[np.log1p](self)

    def sqrt(self) -> Self:
        return implementations[np.sqrt](self)

    def square(self) -> Self:
        return implementations[np.square](self)

    def sin(self) -> Self:
        return implementations[np.sin](self)

    def cos(self) -> Self:
        return implementations[np.cos](self)

    def tanh(self) -> Self:
        return implementations[np.tanh](self)

    def abs(self) -> Self:
        return implementations[np.absolute](self)

    def sigmoid(self) -> Self:
        return implementations["sigmoid"](self)

    def relu(self) -> Self:
        return implementations["relu"](self)

    def round(self, decimals: int = 0) -> Self:
        return implementations[np.round](self, decimals)

    def clip(self, min: Any = None, max: Any = None) -> Self:
        return implementations[np.clip](self, min, max)

    def sum(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        return implementations[np.sum](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        return implementations[np.mean](self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        return implementations[np.max](self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        return implementations[np.min](self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        return implementations[np.prod](self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Self:
        return implementations[np.var](self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Self:
        return implementations[np.std](self, axis=axis, ddof=ddof, keepdims=keepdims)

    def cumsum(self, axis: int | None = None) -> Self:
        return implementations[np.cumsum](self, axis)

    def cumprod(self, axis: int | None = None) -> Self:
        return implementations[np.cumprod](self, axis)

    def logsumexp(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        return implementations["logsumexp"](self, axis=axis, keepdims=keepdims)

    def softmax(self, axis: int = -1, temperature: Any = 1.0) -> Self:
        return implementations["softmax"](self, axis=axis, temperature=temperature)

    def log_softmax(self, axis: int = -1, temperature: Any = 1.0) -> Self:
        return implementations["log_softmax"](self, axis=axis, temperature=temperature)

    def dot(self, b: Any) -> Self:
        return implementations[np.dot](self, b)

    def reshape(self, *shape: Any) -> Self:
        return implementations[np.reshape](self, shape[0] if len(shape) == 1 else shape)

    def ravel(self) -> Self:
        return implementations[np.ravel](self)

    def flatten(self) -> Self:
        return implementations[np.ravel](self)

    def transpose(self, *axes: Any) -> Self:
        if not axes:
            return implementations[np.transpose](self)
        as_one = len(axes) == 1 and not isinstance(axes[0], int)  # a tuple or list, or None
        return implementations[np.transpose](self, axes[0] if as_one else axes)

    def swapaxes(self, axis1: int, axis2: int) -> Self:
        return implementations[np.swapaxes](self, axis1, axis2)

    def squeeze(self, axis: Axis = None) -> Self:
        return implementations[np.squeeze](self, axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> Self:
        return implementations[np.repeat](self, repeats, axis)

    def take(self, indices: Any, axis: int | None = None) -> Self:
        return implementations[np.take](self, indices, axis)

    def conj(self) -> Self:
        return implementations[np.conjugate](self)

    conjugate = conj

    def compress(self, condition: Any, axis: int | None = None) -> Self:
        return implementations[np.compress](condition, self, axis)  # type: ignore[no-any-return]

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        return implementations[np.diagonal](self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        return implementations[np.trace](self, offset, axis1, axis2)

    def astype(self, dtype: Any) -> Self:
        return implementations[np.astype](self, dtype)

    def copy(self) -> Self:
        return implementations[np.copy](self)

    @property
    def at(self) -> Any:
        """Functional updates: `t.at[index].set(v)` and `.add(v)` give a new Tensor."""
        return implementations["at"](self)

    # An array's sort() and the like change it in place and give None; a Tensor has no such thing.

    def sort(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(_IN_PLACE.format("sort", "np.sort(t)"))

    def partition(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(_IN_PLACE.format("partition", "np.partition(t, kth)"))

    def fill(self, value: Any) -> None:
        raise TypeError(_IN_PLACE.format("fill", "np.full_like(t, value)"))

    def put(self, indices: Any, values: Any) -> None:
        raise TypeError(_IN_PLACE.format("put", "t.at[indices].set(values)"))

    def resize(self, *shape: Any) -> None:
        raise TypeError(_IN_PLACE.format("resize", "t.reshape(shape)"))

    @property
    def T(self) -> Self:
        return implementations[np.transpose](self)

    @property
    def mT(self) -> Self:
        """The transpose of the last two axes: of each matrix in a stack."""
        return implementations[np.swapaxes](self, -1, -2)


# Python's own errors, about a wrong argument say, shall speak of the class that users know.
for _name, _member in list(vars(ArrayMethods).items()):
    if inspect.isfunction(_member):
        _member.__qualname__ = f"Tensor.{_member.__name__}"
        if takes_axis(_member):
            setattr(ArrayMethods, _name, hint_at_arguments(_member))

# A __getattr__ would say the same of missing attributes, and slow down all those there are.
for _name in INSTEAD_OF_ATTRIBUTE:
    if not hasattr(ArrayMethods, _name):
        setattr(ArrayMethods, _name, MissingAttribute(_name))
