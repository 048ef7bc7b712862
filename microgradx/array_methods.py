"""What makes a Tensor look like a NumPy array: operators, methods and NumPy's two protocols.

Nothing here knows how to differentiate. Each entry looks up, in one table, the op that does the
work, and the ops enter themselves there: `implements(np.exp)` makes `np.exp(t)` and `t.exp()` the
same op as `microgradx.exp(t)`. The formulas and the documentation stand with the ops.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from microgradx.messages import described
from microgradx.recording import transforming

if TYPE_CHECKING:
    from typing_extensions import Self

#: An ndarray, or an array that speaks both of NumPy's protocols, such as Dask's or CuPy's.
Array = Any

#: The axes of a reduction: None for all of them.
Axis = int | tuple[int, ...] | None

#: What may stand on the other side of a Tensor's operator, besides another Tensor.
Operand = float | np.ndarray[Any, Any] | Sequence[Any]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Implementation(Protocol):
    """What does the work of a NumPy function on Tensors, and gives a Tensor."""

    def __call__(self, x: T | Operand, /, *args: Any, **kwargs: Any) -> T: ...


#: From a NumPy function, or a name where NumPy has none, to its implementation.
implementations: dict[Any, Implementation] = {}


def implements(*functions: Any) -> Callable[[F], F]:
    """Enter what is decorated into the table, under NumPy functions or names of its own."""

    def enter(implementation: F) -> F:
        for function in functions:
            implementations[function] = implementation
        return implementation

    return enter


def plain(value: Any) -> Any:
    """`value` with every Tensor in it, also inside lists and tuples, replaced by its array."""
    if isinstance(value, ArrayMethods):
        return value._data
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value


def as_array(data: Any, dtype: Any = None) -> Array:
    """`data` as an array of real numbers; not copied if it is one. Tensors stay Tensors."""
    kind = type(data)
    # What speaks both of NumPy's protocols is kept, but for subclasses of ndarray, such as
    # matrices: they change what the operators mean.
    if kind is not np.ndarray and (
        isinstance(data, (np.generic, np.ndarray))
        or not (hasattr(kind, "__array_ufunc__") and hasattr(kind, "__array_function__"))
    ):
        data = np.asarray(data)
    if dtype is not None and data.dtype.kind in "fiub":
        data = data.astype(dtype, copy=False)
    if data.dtype.kind not in "fiub":
        raise TypeError(
            f"a Tensor holds real numbers, not {kind.__name__} of dtype {data.dtype}; "
            "give numbers, lists of equal length, or arrays of floats, integers or booleans"
        )
    return data


def as_floats(data: Any) -> Array:
    """`data` as an array or Tensor of floats: integers become float64, as in NumPy's functions."""
    data = as_array(data)
    return data if data.dtype.kind == "f" else data.astype(np.float64)


class Constant(dict[Any, Array]):
    """A number as a 0-d array, by dtype: NumPy computes with one twice as fast as with a number.

    >>> one[np.dtype(np.float32)]
    array(1., dtype=float32)
    """

    def __init__(self, number: float) -> None:
        self.number = number

    def __missing__(self, dtype: Any) -> Array:
        array = np.array(self.number, dtype)
        array.flags.writeable = False
        self[dtype] = array
        return array


zero, one = Constant(0), Constant(1)


class UnknownValues(RuntimeError):
    """Values were asked for that are not known: of a program that is being captured, say."""


def surely(condition: Any) -> bool:
    """Whether a condition holds; no, where values are not known. For checks of arguments."""
    try:
        return bool(condition)
    except UnknownValues:
        return False


def as_number(x: Any) -> Any:
    """A 0-d array as a number of Python's, or as it is where its value is not known."""
    try:
        return float(x)
    except UnknownValues:
        return x


def answering_plainly(function: F) -> F:
    """Enter a NumPy function whose answers have no gradient: it takes and gives plain arrays."""

    @functools.wraps(function)
    def answer(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None or len(args) > getattr(function, "nin", len(args)):
            raise TypeError(
                f"np.{function.__name__} of a Tensor does not support out=; {INSTEAD['out']}"
            )
        return function(*plain(args), **{name: plain(kwargs[name]) for name in kwargs})

    return implements(function)(answer)  # type: ignore[return-value]


for _function in (
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
    *(np.isnan, np.isfinite, np.isinf, np.signbit, np.isneginf, np.isposinf),
    *(np.isclose, np.allclose, np.array_equal, np.array_equiv),
    *(np.argsort, np.argpartition, np.argwhere, np.nonzero, np.flatnonzero, np.searchsorted),
    *(np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.shares_memory),
    *(np.may_share_memory, np.iscomplexobj, np.isrealobj),
    *(np.empty_like, np.array_repr, np.array_str, np.array2string, np.savetxt),
):
    answering_plainly(_function)


def dispatch(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Call the implementation of a NumPy function; refuse, by name, what it does not support."""
    module = getattr(function, "__module__", "numpy").replace("numpy", "np", 1)
    name = f"{module}.{function.__name__}"
    if function not in implementations:
        is_numpys = not isinstance(function, np.ufunc) or hasattr(np, function.__name__)
        ours = function.__name__ in implementations
        raise TypeError(
            f"{name if is_numpys else function.__name__} has no rule for Tensors, so no gradient "
            f"could flow; {f'use microgradx.{function.__name__}, ' if ours else ''}write it with "
            "functions that have one, subclass microgradx.Op (forward and backward), or, if no "
            "gradient is wanted, use t.detach().numpy()"
        )
    implementation: Any = implementations[function]
    if kwargs:
        parameters = _parameters(implementation)
        accepts_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        unsupported = set() if accepts_any else kwargs.keys() - parameters.keys()
        kwargs = {k: v for k, v in kwargs.items() if k not in unsupported or v is not None}
        unsupported &= kwargs.keys()  # None asks for nothing
        for keyword in sorted(unsupported, key=[*INSTEAD, *kwargs].index):
            instead = INSTEAD.get(keyword, "leave it out")
            raise TypeError(f"{name} on a Tensor does not support {keyword}=; {instead}")
    return implementation(*args, **kwargs)


@functools.cache  # the second derivative of a reduction passes here
def _parameters(implementation: Any) -> Mapping[str, inspect.Parameter]:
    # Not that of what it wraps: older ufuncs have none.
    return inspect.signature(implementation, follow_wrapped=False).parameters


#: What to write in place of an argument that a function of NumPy's has and ours has not.
INSTEAD = {
    "out": "assign the result to a name: instead of `a += tensor` write `a = a + tensor`",
    "dtype": "convert the Tensor with t.astype(dtype)",
    "where": "select with np.where(mask, t, other)",
}


#: What to write in place of a method of ufuncs.
IN_PLACE_OF_METHODS = {
    "at": "write t.at[index].set(v) or t.at[index].add(v), which give a new Tensor",
    "reduce": "call np.sum, np.prod, np.max or np.min",
    "accumulate": "call np.cumsum or np.cumprod",
}


_IN_PLACE = "a Tensor's {} would change it in place, and the graph refers to it; write {}"


class ArrayMethods:
    """The array side of Tensor: every method is one line that asks the table."""

    __slots__ = ()
    _data: Array
    requires_grad: bool
    op: Any
    name: Any

    # ------------------------------------------------------------------ NumPy's two protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            instead = IN_PLACE_OF_METHODS.get(method, f"call np.{ufunc.__name__} itself")
            raise TypeError(
                f"np.{ufunc.__name__}.{method} has no rule for Tensors, so no gradient could "
                f"flow; {instead}, or use t.detach().numpy()"
            )
        return dispatch(ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return dispatch(function, args, kwargs)

    # ------------------------------------------------------------------ what NumPy reads off it

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._data.shape
        return shape

    @property
    def ndim(self) -> int:
        return len(self._data.shape)

    @property
    def size(self) -> int:
        return int(self._data.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._data.dtype
        return dtype

    def numpy(self) -> Array:
        """The array itself, of a Tensor that requires no gradient; others: `detach()` first."""
        if self.requires_grad:
            raise TypeError(
                f"{described(self)} requires gradients, and a plain array would drop out of the "
                "graph unnoticed; call NumPy's functions, np.dot(a, t) and not a.dot(t), join "
                "Tensors by np.stack or np.concatenate, or write t.detach().numpy() if a constant "
                "is what you want"
            )
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._data.tolist()

    def __repr__(self) -> str:
        if isinstance(self._data, np.ndarray):
            parts = [np.array2string(self._data, separator=", ", prefix="Tensor(")]
        else:
            parts = [repr(self._data)]
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
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        self._refuse_to_leave("float")
        return float(self._data)

    def __int__(self) -> int:
        self._refuse_to_leave("int")
        return int(self._data)

    def _refuse_to_leave(self, kind: str) -> None:
        """Raise in a function that is being differentiated: its gradient would be wrong."""
        if self.requires_grad and transforming.get():
            raise TypeError(
                f"{described(self)} was to become a plain {kind}, by {kind}(t), by a function of "
                "math's, or by an assignment array[i] = t, and would drop out of the gradient "
                "unnoticed; use NumPy's functions, and build arrays by np.stack([...]) or by "
                "array = mg.as_tensor(array).at[i].set(t); t.item() gives the number as a constant"
            )

    def __index__(self) -> int:
        return int(self._data.__index__())

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self._data == plain(value)))

    def __format__(self, specification: str) -> str:
        return format(self._data, specification) if specification else str(self)

    def __iter__(self) -> Iterator[Self]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d Tensor; use t.item() for its number")
        return (self[i] for i in range(len(self)))

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
        return self._data == plain(other)

    def __ne__(self, other: object) -> Any:
        return self._data != plain(other)

    def __lt__(self, other: Any) -> Any:
        return self._data < plain(other)

    def __le__(self, other: Any) -> Any:
        return self._data <= plain(other)

    def __gt__(self, other: Any) -> Any:
        return self._data > plain(other)

    def __ge__(self, other: Any) -> Any:
        return self._data >= plain(other)

    def any(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return np.any(self._data, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return np.all(self._data, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return np.argmax(self._data, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return np.argmin(self._data, axis=axis, keepdims=keepdims)

    def argsort(self, axis: int | None = -1, *, stable: bool = False) -> Any:
        return np.argsort(self._data, axis=axis, stable=stable)

    def argpartition(self, kth: Any, axis: int | None = -1) -> Any:
        return np.argpartition(self._data, kth, axis=axis)

    def searchsorted(self, v: Any, side: Any = "left") -> Any:
        return np.searchsorted(self._data, plain(v), side=side)

    def nonzero(self) -> Any:
        return np.nonzero(self._data)

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

    def compress(self, condition: Any, axis: int | None = None) -> Self:
        return implementations[np.compress](condition, self, axis)  # type: ignore[no-any-return]

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        return implementations[np.diagonal](self, offset, axis1, axis2)

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
for _member in vars(ArrayMethods).values():
    if inspect.isfunction(_member):
        _member.__qualname__ = f"Tensor.{_member.__name__}"
