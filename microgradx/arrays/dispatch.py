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

from microgradx.arrays.types import Operand, unwrap

__all__ = [
    "INSTEAD",
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
        return implementation

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
    *(np.isclose, np.allclose, np.array_equal, np.array_equiv),
    *(np.argsort, np.argpartition, np.argwhere, np.nonzero, np.flatnonzero, np.searchsorted),
    *(np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.shares_memory),
    *(np.may_share_memory, np.iscomplexobj, np.isrealobj),
    *(np.empty_like, np.array_repr, np.array_str, np.array2string, np.savetxt),
):
    nondifferentiable(_function)


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
