"""Functions of arrays turned into functions of their derivatives: grad, jacobian and the like.

The functions are written in plain NumPy. Only while one is differentiated are its arguments
wrapped in Tensors; arrays go in, and arrays come out. So the transforms nest, `grad(grad(f))`:
an inner one finds that its results depend on a Tensor of an outer one, and then records a graph
of the derivatives too.

The Tensors share the arrays that the function combines them with, so it must not write into a
buffer or a mask of its own that an operation has used: it makes a new one.

An argument may be a nested structure of dicts, lists and tuples of arrays: a set of parameters.
The gradient has the same structure.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import as_array, unwrap
from microgradx.autograd import accumulate_seeds
from microgradx.common.nested import leaves_of, map_nested
from microgradx.engine import Tensor, as_tensor, reverse_topological_order, sweep
from microgradx.graph.grad_mode import enable_grad, grad_enabled, transforming
from microgradx.ops.elementwise import copy
from microgradx.ops.reductions import sum
from microgradx.ops.shapes import reshape, stack

__all__ = ["grad", "value_and_grad", "vjp", "jvp", "jacobian", "hessian", "hvp"]

#: Which arguments to differentiate by: a position, a name, or several of either.
Argnums = int | str | Sequence[int | str]


# ---------------------------------------------------------------------------- gradients


def grad(
    f: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that gives the gradient of `f`, which gives a single number.

    argnums: by which arguments: a position, a name, or a tuple of them for a tuple of gradients.
    has_aux: `f` gives a pair, the number and something else; so then does the result: the
        gradient and that something.

    The gradient has the structure, shapes and dtypes of the argument; what `f` does not use gets
    zeros. Raises TypeError if `f` gives no number, or an argument to differentiate by holds other
    than floats; ValueError if the result of `f` is not a single number.

    >>> grad(lambda x: np.sum(np.sin(x)))(np.array([0.0, 1.0]))
    array([1.        , 0.54030231])
    >>> grad(grad(lambda x: x**3))(2.0)
    array(12.)
    """
    valued = value_and_grad(f, argnums, has_aux=has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, g = valued(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return gradient


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that gives both what `f` gives and its gradient; see `grad`.

    With `has_aux`, what `f` gives is a pair, and the result ((value, something), gradient).

    >>> value_and_grad(lambda x, y: x * y, argnums=("x", "y"))(2.0, 3.0)
    (array(6.), (array(3.), array(2.)))
    """
    _check_function(f)

    @functools.wraps(f)
    def valued(*args: Any, **kwargs: Any) -> Any:
        run = _Run(f, args, kwargs, argnums)
        if has_aux:
            if not isinstance(run.result, tuple) or len(run.result) != 2:
                raise TypeError("with has_aux=True the function must give a pair: (value, aux)")
            value, aux = run.result
        else:
            value, aux = run.result, None
        out = _number(value)
        g = run.pull([(out, as_tensor(np.ones_like(out.data)))], run.is_nested(out))
        value = run.unwrapped(value)
        return ((value, run.unwrapped(aux)), g) if has_aux else (value, g)

    return valued


# ---------------------------------------------------------------------------- products


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    """What `f` gives at the primals, and the function from weights v of that to the vᵀJ.

    J is the Jacobian matrix of `f`. The function takes weights in the structure and shapes of the
    result, and gives a tuple: for each argument the gradient of Σ v f. Raises ValueError for
    weights of another shape.

    >>> y, pull = vjp(lambda x, w: x @ w, np.array([1.0, 2.0]), np.eye(2))
    >>> pull(np.array([1.0, 0.0]))[0]
    array([1., 0.])
    """
    _check_function(f)
    run = _Run(f, primals, {}, tuple(range(len(primals))))
    outs = [_result(leaf) for leaf in leaves_of(run.result)]

    def pull(v: Any) -> tuple[Any, ...]:
        weights = _fitted(v, run.result, "a weight for the result")
        nested = run.is_nested(*outs, *weights)
        answer: tuple[Any, ...] = run.pull(zip(outs, weights, strict=True), nested)
        return answer

    return run.unwrapped(run.result), pull


def jvp(f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """What `f` gives at the primals, and the directional derivative J v along the tangents v.

    `primals` is a tuple of arguments (or the only one), `tangents` of the same structure and
    shapes. vᵀJ is linear in v, and the transpose of that linear function is J: so it is computed
    by a backward sweep through a backward sweep, and needs no rules of its own (J. Townsend,
    "A new trick for calculating Jacobian vector products", 2017).

    >>> jvp(np.sin, 0.0, 2.0)
    (array(0.), array(2.))
    """
    _check_function(f)
    primals, tangents = _as_arguments(primals), _as_arguments(tangents)
    run = _Run(f, primals, {}, tuple(range(len(primals))))
    directions = _fitted(tangents, primals, "a tangent for the argument")
    outs = [_result(leaf) for leaf in leaves_of(run.result)]
    nested = run.is_nested(*outs, *directions)
    with enable_grad():
        weights = [_variable(np.zeros(out.shape, _float_of(out))) for out in outs]
        pulled = dict(sweep(accumulate_seeds(zip(outs, weights, strict=True)), create_graph=True))
        seeds = accumulate_seeds(
            (pulled[x], direction if nested else direction.data)
            for x, direction in zip(run.variables, directions, strict=True)
            if x in pulled
        )
        pushed = dict(sweep(seeds, create_graph=nested))

    def tangent(v: Tensor) -> Any:
        if v not in pushed:
            return v.data
        return pushed[v] if nested else as_array(pushed[v]).copy()

    answers = iter([tangent(v) for v in weights])
    return run.unwrapped(run.result), map_nested(lambda _: next(answers), run.result)


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """The Hessian matrix of `f` at the primals, times the tangents, without forming the matrix.

    `primals` is a tuple of arguments (or the only one), `tangents` and the result are of the same
    structure and shapes. It is the gradient of Σ v ∂f, for the cost of a few gradients (B. A.
    Pearlmutter, "Fast exact multiplication by the Hessian", 1994).

    >>> hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    _check_function(f)
    arguments = _as_arguments(primals)
    directions = _fitted(_as_arguments(tangents), arguments, "a tangent for the argument")
    every = tuple(range(len(arguments)))

    def slope(*args: Any) -> Any:
        """The directional derivative of `f`."""
        gradients = leaves_of(grad(f, every)(*args))
        return builtins.sum(sum(g * v) for g, v in zip(gradients, directions, strict=True))

    products = grad(slope, every)(*arguments)
    return products if _is_tuple_of_arguments(primals) else products[0]


# ---------------------------------------------------------------------------- matrices


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that gives the Jacobian of `f`: each element of its result by each of x.

    For a result of shape (…) and an argument of shape (---), it has shape (…, ---). A result that
    is a nested structure gives such a structure of Jacobians; arguments are as in `grad`. It takes
    one backward sweep for each element of the result.

    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    _check_function(f)

    @functools.wraps(f)
    def matrix(*args: Any, **kwargs: Any) -> Any:
        run = _Run(f, args, kwargs, argnums)
        return map_nested(lambda y: _jacobian_of(_result(y), run), run.result)

    return matrix


def _jacobian_of(out: Tensor, run: _Run) -> Any:
    nested = run.is_nested(out)
    rows = []
    for i in range(out.size):
        unit = np.zeros_like(out.data)
        unit[np.unravel_index(i, out.shape)] = 1
        rows.append(leaves_of(run.pull([(out, as_tensor(unit))], nested)))
    empty = [np.zeros((0, *x.shape), x.dtype) for x in run.variables]
    columns = [stack(column) for column in zip(*rows, strict=True)] if rows else empty
    found = iter([reshape(c, out.shape + c.shape[1:]) for c in columns])
    return map_nested(lambda _: next(found), run.selected)


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that gives the Hessian of `f`, which gives a single number: ∂²f / ∂xᵢ ∂xⱼ.

    For an argument of shape (…), it has shape (…, …); for several arguments it is a tuple of
    tuples. It is the Jacobian of the gradient.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


# ---------------------------------------------------------------------------- the machinery


class _Variable(Tensor):
    """An argument to differentiate by: a leaf while its function runs, then a constant to others.

    Results of an inner transform are recorded as computed from it. It does not make what depends
    on it depend on a Tensor from outside.
    """

    __slots__ = ("is_done",)
    is_done: bool


def _variable(data: Any) -> _Variable:
    """A variable that never is one from outside."""
    variable = _Variable(data, requires_grad=True)
    variable.is_done = True
    return variable


class _Run:
    """One call of a function, with the arguments to differentiate by wrapped in Tensors.

    `selected` are these arguments in their structure, one or a tuple of several; `variables` the
    Tensors in it; `result` is what the function gave.
    """

    def __init__(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], argnums: Argnums
    ) -> None:
        arguments: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        places = _places(f, args, kwargs, argnums)
        self._is_recorded_outside = grad_enabled.get()
        with enable_grad():
            for place in dict.fromkeys(places):
                arguments[place] = map_nested(_wrapped, arguments[place])
            several = tuple(arguments[place] for place in places)
            self.selected = several[0] if _is_one(argnums) else several
            self.variables: list[Tensor] = leaves_of(self.selected)
            positional = [arguments[i] for i in range(len(args))]
            token = transforming.set(True)
            try:
                self.result = f(*positional, **{name: arguments[name] for name in kwargs})
            finally:
                transforming.reset(token)
                for variable in self.variables:
                    if isinstance(variable, _Variable):
                        variable.is_done = True

    def is_nested(self, *outputs: Tensor) -> bool:
        """Whether the outputs depend on Tensors from outside, which others differentiate by."""
        own = set(self.variables)
        roots = [out for out in outputs if out.requires_grad]
        return self._is_recorded_outside and any(
            x.is_leaf and x not in own and not getattr(x, "is_done", False)
            for x in reverse_topological_order(*roots)
        )

    def pull(self, weights: Iterable[tuple[Tensor, Tensor]], nested: bool) -> Any:
        """The gradients at the arguments, from weights of outputs; Tensors only if nested."""
        seeds = accumulate_seeds(
            (out, weight if nested else weight.data) for out, weight in weights
        )
        with enable_grad():
            arrived = dict(sweep(seeds, create_graph=nested, run_hooks=True))

        def gradient(x: Tensor) -> Any:
            if x not in arrived:
                return np.zeros_like(x.data)
            return arrived[x] if nested else as_array(arrived[x]).copy()

        return map_nested(gradient, self.selected)

    def unwrapped(self, structure: Any) -> Any:
        """A result as plain arrays, but for what depends on Tensors from outside."""

        def unwrap(x: Any) -> Any:
            return x.data if isinstance(x, Tensor) and not self.is_nested(x) else x

        return map_nested(unwrap, structure)


def _wrapped(x: Any) -> Tensor:
    """An array as a Tensor to differentiate by; a Tensor from outside as one computed from it."""
    if isinstance(x, Tensor) and x.requires_grad:
        return copy(x)  # type: ignore[no-any-return]
    try:
        tensor = _Variable(unwrap(x))
    except (TypeError, ValueError):
        raise TypeError(
            f"an argument to differentiate by holds {x!r}, a {type(x).__name__}; it must be of "
            "floats, or of dicts, lists and tuples of them; choose others by argnums"
        ) from None
    if tensor.dtype.kind != "f":
        raise TypeError(
            f"an argument to differentiate by holds {tensor.dtype}, shape {tensor.shape}; only "
            "floats have derivatives: write 2.0 instead of 2, or x.astype(float), or choose "
            "others by argnums"
        )
    tensor.is_done = False
    return tensor.requires_grad_()


def _places(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], argnums: Argnums
) -> list[int | str]:
    """Where, in args or kwargs, each argument to differentiate by is."""
    several: Any = [argnums] if _is_one(argnums) else argnums
    places = []
    for which in several if isinstance(several, Iterable) else [several]:
        place = which
        if isinstance(which, str) and which not in kwargs:
            names = list(inspect.signature(f).parameters)
            place = names.index(which) if which in names else len(args)
        if place not in kwargs and not (
            hasattr(place, "__index__") and 0 <= operator.index(place) < len(args)
        ):
            raise TypeError(
                f"{_name(f)} was called without an argument {which!r} to differentiate by; it got "
                f"{len(args)} by position and {sorted(kwargs) or 'none'} by name: give it, or "
                "choose others by argnums"
            )
        places.append(place)
    return places


def _is_one(argnums: Any) -> bool:
    """Whether it is one position or name, and not several; NumPy's integers are positions too."""
    return isinstance(argnums, str) or hasattr(argnums, "__index__")


def _number(value: Any) -> Tensor:
    """The result of a function that must give a single number."""
    out = _result(value)
    if out.size != 1:
        raise ValueError(
            f"the function gave shape {out.shape}, and a gradient is that of a single number; sum "
            "the result, or use jacobian or vjp"
        )
    return out


def _result(value: Any) -> Tensor:
    try:
        return as_tensor(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"the function gave {value!r}, of which there is no derivative; it must return "
            "numbers or arrays, and a second result is for has_aux=True"
        ) from None


def _fitted(values: Any, like: Any, what: str) -> list[Tensor]:
    """The leaves of a structure, in the shapes and dtypes of another's, which it must match."""

    def fit(x: Any, value: Any) -> Tensor:
        x, value = as_tensor(x), as_tensor(value)
        if x.shape != value.shape:
            raise ValueError(f"{what} has shape {value.shape}, and needs that of it: {x.shape}")
        return as_tensor(value, _float_of(x))

    return leaves_of(map_nested(fit, like, values))


def _float_of(x: Tensor) -> np.dtype[Any]:
    """The dtype of weights and tangents of `x`: also where that is of integers, floats."""
    return x.dtype if x.dtype.kind == "f" else np.dtype(float)


def _as_arguments(given: Any) -> tuple[Any, ...]:
    """A tuple is one of arguments; anything else, also a named tuple, is the only one."""
    return given if _is_tuple_of_arguments(given) else (given,)


def _is_tuple_of_arguments(given: Any) -> bool:
    return isinstance(given, tuple) and not hasattr(given, "_fields")


def _check_function(f: Any) -> None:
    if isinstance(f, Tensor) or not callable(f):
        raise TypeError(
            f"a function of arrays is needed, not {type(f).__name__}; for the gradient of a Tensor "
            "at others use microgradx.autograd.grad(outputs, inputs)"
        )


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", type(f).__name__)
