"""From a NumPy function to the op that does its work on Tensors: one table, and NumPy's way in.

Nothing here knows how to differentiate. The ops enter themselves: `implements(np.exp)` makes
`np.exp(t)` and `t.exp()` the same op as `microgradx.exp(t)`. The formulas and the documentation
stand with the ops.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np

from microgradx.arrays.pytorch_habits import hint_at_arguments, takes_axis
from microgradx.arrays.types import Operand, unwrap

__all__ = [
    "INSTEAD",
    "INSTEAD_OF_FUNCTION",
    "INSTEAD_OF_METHOD",
    "dispatch",
    "implementations",
    "implements",
    "nondifferentiable",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Implementation(Protocol):
    """What does the work of a NumPy function on Tensors, and returns a Tensor."""

    def __call__(self, x: T | Operand, /, *args: Any, **kwargs: Any) -> T: ...


#: From a NumPy function, or a name where NumPy has none, to its implementation.
implementations: dict[Any, Implementation] = {}


def implements(*functions: Any) -> Callable[[F], F]:
    """Enter what is decorated into the table, under NumPy functions or names of its own."""

    def enter(implementation: F) -> F:
        for function in functions:
            implementations[function] = implementation
        # The hint is for those who call it by its own name.
        return hint_at_arguments(implementation) if takes_axis(implementation) else implementation

    return enter


def nondifferentiable(function: F) -> F:
    """Enter a NumPy function whose result has no gradient: it takes and returns plain arrays."""

    @functools.wraps(function)
    def answer(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None or len(args) > getattr(function, "nin", len(args)):
            raise TypeError(
                f"np.{function.__name__} of a Tensor does not support out=; {INSTEAD['out']}"
            )
        return function(*unwrap(args), **{name: unwrap(kwargs[name]) for name in kwargs})

    return implements(function)(answer)  # type: ignore[return-value]


for _function in (
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
    *(np.isnan, np.isfinite, np.isinf, np.signbit, np.isneginf, np.isposinf),
    *(np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isin, np.iscomplex, np.isreal),
    *(np.argsort, np.argpartition, np.argwhere, np.nonzero, np.flatnonzero, np.searchsorted),
    *(np.lexsort, np.digitize, np.ix_, np.ravel_multi_index, np.unravel_index),
    *(np.diag_indices_from, np.tril_indices_from, np.triu_indices_from),
    *(np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.left_shift, np.right_shift),
    *(np.bitwise_count, np.gcd, np.lcm, np.packbits, np.unpackbits),
    *(np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.shares_memory),
    *(np.may_share_memory, np.iscomplexobj, np.isrealobj, np.common_type, np.min_scalar_type),
    *(np.empty_like, np.array_repr, np.array_str, np.array2string, np.einsum_path),
    *(np.savetxt, np.save, np.savez, np.savez_compressed),
):
    nondifferentiable(_function)


def dispatch(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Call the implementation of a NumPy function; refuse, by name, what it does not support."""
    module = getattr(function, "__module__", "numpy").replace("numpy", "np", 1)
    name = f"{module}.{function.__name__}"
    if function not in implementations:
        is_numpys = not isinstance(function, np.ufunc) or hasattr(np, function.__name__)
        ours = function.__name__ in implementations
        use_ours = f"use microgradx.{function.__name__}, " if ours else ""
        instead = INSTEAD_OF_FUNCTION.get(name) or (
            f"{use_ours}write it with functions that have one, subclass microgradx.Op (forward and "
            "backward)"
        )
        raise TypeError(
            f"{name if is_numpys else function.__name__} has no rule for Tensors, so no gradient "
            f"could flow; {instead}, or, if no gradient is wanted, use t.detach().numpy()"
        )
    implementation: Any = implementations[function]
    if kwargs:
        parameters = _parameters(implementation)
        # An op takes only inputs; its **settings serve an error message.
        is_op = hasattr(implementation, "arity")
        accepts_any = not is_op and any(p.kind is p.VAR_KEYWORD for p in parameters.values())
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


_SET_ELEMENTS = "write t.at[index].set(v) or np.where(mask, v, t), which give a new Tensor"
_IS_COMPLEX = "its result is complex, and Tensors hold real numbers: "
_OF_EIGENVALUES = f"{_IS_COMPLEX}of a symmetric matrix take np.linalg.eigh or np.linalg.eigvalsh"
_OF_FOURIER = f"{_IS_COMPLEX}take the products with cosines and sines, or np.convolve for a filter"
_SELECT = "select t[index] with an index such as np.unique(t.data, return_index=True) returns"

#: What to write in place of a NumPy function that has no op.
INSTEAD_OF_FUNCTION = {
    **dict.fromkeys(("np.put", "np.place", "np.putmask", "np.put_along_axis"), _SET_ELEMENTS),
    "np.copyto": _SET_ELEMENTS,
    "np.fill_diagonal": "write np.where(np.eye(n, dtype=bool), v, t), which gives a new Tensor",
    "np.polymul": "multiply polynomials with np.convolve",
    "np.polydiv": "evaluate both with np.polyval, and divide",
    "np.roots": f"{_IS_COMPLEX}find one by Newton's method, with microgradx.grad",
    "np.poly": "multiply the factors [1, -root] with np.convolve",
    **dict.fromkeys(("np.linalg.eig", "np.linalg.eigvals"), _OF_EIGENVALUES),
    **{f"np.fft.{name}": _OF_FOURIER for name in np.fft.__all__ if "shift" not in name},
    **dict.fromkeys(("np.fft.fftshift", "np.fft.ifftshift"), "move elements with np.roll"),
    **dict.fromkeys(
        ("np.unique", "np.unique_all", "np.unique_inverse", "np.unique_counts"), _SELECT
    ),
    **dict.fromkeys(("np.unique_values", "np.union1d", "np.intersect1d", "np.setdiff1d"), _SELECT),
    **dict.fromkeys(("np.setxor1d", "np.trim_zeros"), _SELECT),
    "np.angle": "write np.arctan2(imaginary, real)",
    "np.imag": "a Tensor holds real numbers: write np.zeros_like(t)",
    "np.real_if_close": "a Tensor holds real numbers: leave it out",
    "np.sort_complex": "a Tensor holds real numbers: write np.sort(t)",
    "np.frexp": "scale by a power of 2 with np.ldexp",
}

#: What to write in place of an argument of a NumPy function that its op does not take.
INSTEAD = {
    "out": "assign the result to a name: instead of `a += tensor` write `a = a + tensor`",
    "dtype": "convert the Tensor with t.astype(dtype)",
    "where": "select with np.where(mask, t, other)",
}


#: What to write in place of a method of a ufunc.
INSTEAD_OF_METHOD = {
    "at": "write t.at[index].set(v) or t.at[index].add(v), which give a new Tensor",
    "reduce": "call np.sum, np.prod, np.max or np.min",
    "accumulate": "call np.cumsum or np.cumprod",
}
