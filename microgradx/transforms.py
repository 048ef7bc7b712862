"""Functions of arrays turned into functions of their derivatives: grad, jacobian and the like.

The functions are written in plain NumPy. Their arguments are wrapped in Tensors only while they
are differentiated: arrays go in, and arrays come out. So transforms nest, as in `grad(grad(f))`:
if the results of an inner one depend on a Tensor of an outer one, it records a graph of the
derivatives too.

An argument may be a nested structure of dicts, lists and tuples of arrays, such as a set of
parameters. The gradient has the same structure.

A function must not write into an array that one of its operations has used: the graph shares it.
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
from microgradx.common.floating_point import WarningsAtCaller
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
    """The gradient of `f`, a function that returns a single number, as a function.

    argnums: which arguments to differentiate by: a position, a name, or a tuple of them for a
        tuple of gradients.
    has_aux: `f` returns a pair (number, aux); the result is then a pair (gradient, aux).

    The gradient has the structure, shapes and dtypes of the argument, with zeros for what `f` does
    not use. Raises TypeError if `f` does not return a float, or if an argument to differentiate
    by contains anything but floats; ValueError if `f` returns an array of several elements.

    >>> grad(lambda x: np.sum(np.sin(x)))(np.array([0.0, 1.0]))
    array([1.        , 0.54030231])
    >>> grad(grad(lambda x: x**3))(2.0)
    array(12.)
    """
    value_and_gradient = value_and_grad(f, argnums, has_aux=has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, g = value_and_gradient(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return gradient


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns both the value of `f` and its gradient; see `grad`.

    With `has_aux`, `f` returns a pair (value, aux), and the result is ((value, aux), gradient).

    >>> value_and_grad(lambda x, y: x * y, argnums=("x", "y"))(2.0, 3.0)
    (array(6.), (array(3.), array(2.)))
    """
    _check_function(f)

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        call = _DifferentiableCall(f, args, kwargs, argnums)
        value = call.result
        if has_aux:
            if not isinstance(value, tuple) or len(value) != 2:
                raise TypeError("with has_aux=True the function must return a pair: (value, aux)")
            value = value[0]
        out = _as_output(value)
        _as_outputs(out)
        if out.size != 1:
            raise ValueError(
                f"the function returned shape {out.shape}, but a gradient needs a single number; "
                "sum the result, or use jacobian or vjp"
            )
        g = call.gradients([(out, as_tensor(np.ones_like(out.data)))], call.is_nested(out))
        return call.unwrap(call.result), g

    return value_and_gradient


# ---------------------------------------------------------------------------- products


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    """The value of `f` at the primals, and the function v ↦ vᵀJ, where J is the Jacobian of `f`.

    That function takes weights v in the structure and shapes of the value, and returns a tuple: for
    each argument the gradient of Σ v f. Raises ValueError for weights of another shape, and
    TypeError, as do `jvp` and `jacobian`, for a value without any float.

    >>> y, f_vjp = vjp(lambda x, w: x @ w, np.array([1.0, 2.0]), np.eye(2))
    >>> f_vjp(np.array([1.0, 0.0]))[0]
    array([1., 0.])
    """
    _check_function(f)
    call = _DifferentiableCall(f, primals, {}, tuple(range(len(primals))))
    outs = _as_outputs(call.result)

    def f_vjp(v: Any) -> Any:
        weights = _match_leaves(v, call.result, "a weight for the result")
        nested = call.is_nested(*outs, *weights)
        return call.gradients(zip(outs, weights, strict=True), nested)

    return call.unwrap(call.result), f_vjp


def jvp(f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """The value of `f` at the primals, and the directional derivative J v along the tangents v.

    `primals` is a tuple of arguments (or the only argument), `tangents` has the same structure and
    shapes. vᵀJ is linear in v, and the transpose of that linear function is J. So J v is computed
    by a backward sweep through a backward sweep, without forward-mode rules (J. Townsend, "A new
    trick for calculating Jacobian vector products", 2017).

    >>> jvp(np.sin, 0.0, 2.0)
    (array(0.), array(2.))
    """
    _check_function(f)
    primals, tangents = _as_arguments(primals), _as_arguments(tangents)
    call = _DifferentiableCall(f, primals, {}, tuple(range(len(primals))))
    directions = _match_leaves(tangents, primals, "a tangent for the argument")
    outs = _as_outputs(call.result)
    nested = call.is_nested(*outs, *directions)
    with enable_grad(), WarningsAtCaller():
        weights = [_Variable(np.zeros(out.shape, _float_dtype(out))) for out in outs]
        seeds = accumulate_seeds(zip(outs, [v.requires_grad_() for v in weights], strict=True))
        gradients = dict(sweep(seeds, create_graph=True))
        seeds = accumulate_seeds(
            (gradients[x], direction if nested else direction.data)
            for x, direction in zip(call.variables, directions, strict=True)
            if x in gradients
        )
        arrived = dict(sweep(seeds, create_graph=nested))
    products = iter([_gradient_of(v, arrived, nested) for v in weights])
    return call.unwrap(call.result), map_nested(lambda _: next(products), call.result)


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """The Hessian matrix of `f` at the primals times the tangents, without forming the matrix.

    `primals` is a tuple of arguments (or the only argument); `tangents` and the result have the
    same structure and shapes. It is the gradient of Σ v ∂f, at the cost of a few gradients (B. A.
    Pearlmutter, "Fast exact multiplication by the Hessian", 1994).

    >>> hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    _check_function(f)
    arguments = _as_arguments(primals)
    directions = _match_leaves(_as_arguments(tangents), arguments, "a tangent for the argument")
    every = tuple(range(len(arguments)))

    def directional_derivative(*args: Any) -> Any:
        gradients = leaves_of(grad(f, every)(*args))
        return builtins.sum(sum(g * v) for g, v in zip(gradients, directions, strict=True))

    products = grad(directional_derivative, every)(*arguments)
    return products if _is_tuple_of_arguments(primals) else products[0]


# ---------------------------------------------------------------------------- matrices


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The Jacobian of `f`, as a function: the derivative of each element of f(x) by each of x.

    For a result of shape (…) and an argument of shape (---), it has shape (…, ---). For a result
    that is a nested structure it is such a structure of Jacobians; arguments are as in `grad`. It
    takes one backward sweep for each element of the result.

    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    _check_function(f)

    @functools.wraps(f)
    def matrix(*args: Any, **kwargs: Any) -> Any:
        call = _DifferentiableCall(f, args, kwargs, argnums)
        outputs = iter(_as_outputs(call.result))
        return map_nested(lambda _: _output_jacobian(next(outputs), call), call.result)

    return matrix


def _output_jacobian(out: Tensor, call: _DifferentiableCall) -> Any:
    nested = call.is_nested(out)
    rows = []
    for i in range(out.size):
        unit = np.zeros_like(out.data)
        unit[np.unravel_index(i, out.shape)] = 1
        rows.append(leaves_of(call.gradients([(out, as_tensor(unit))], nested)))
    empty = [np.zeros((0, *x.shape), x.dtype) for x in call.variables]
    columns = [stack(column) for column in zip(*rows, strict=True)] if rows else empty
    blocks = iter([reshape(c, out.shape + c.shape[1:]) for c in columns])
    return map_nested(lambda _: next(blocks), call.selected)


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The Hessian ∂²f / ∂xᵢ ∂xⱼ of `f`, a function that returns a single number, as a function.

    For an argument of shape (…) it has shape (…, …); for several arguments it is a tuple of
    tuples. It is the Jacobian of the gradient.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


# ---------------------------------------------------------------------------- a differentiable call


class _Variable(Tensor):
    """An argument to differentiate by.

    Inner transforms treat it as a leaf from outside while its function runs (`is_active`), and as
    a constant after that.
    """

    __slots__ = ("is_active",)
    is_active: bool

    def __init__(self, *args: Any) -> None:
        self.is_active = False


class _DifferentiableCall:
    """One call of a function, with the arguments to differentiate by wrapped in Tensors.

    `selected` holds these arguments in their structure, one or a tuple of several; `variables` are
    the Tensors in it; `result` is what the function returned.
    """

    def __init__(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], argnums: Argnums
    ) -> None:
        arguments: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        keys = _find_arguments(f, args, kwargs, argnums)
        self._is_recorded_outside = grad_enabled.get()
        with enable_grad():
            for key in dict.fromkeys(keys):
                arguments[key] = map_nested(_as_variable, arguments[key])
            several = tuple(arguments[key] for key in keys)
            self.selected = several[0] if _is_single(argnums) else several
            self.variables: list[Tensor] = leaves_of(self.selected)
            positional = [arguments[i] for i in range(len(args))]
            token = transforming.set(True)
            try:
                self.result = f(*positional, **{name: arguments[name] for name in kwargs})
            finally:
                transforming.reset(token)
                for variable in self.variables:
                    if isinstance(variable, _Variable):
                        variable.is_active = False

    def is_nested(self, *outputs: Tensor) -> bool:
        """Whether the outputs depend on Tensors from outside, which others differentiate by."""
        own = set(self.variables)
        roots = [out for out in outputs if out.requires_grad]
        return self._is_recorded_outside and any(
            x.is_leaf and x not in own and getattr(x, "is_active", True)
            for x in reverse_topological_order(*roots)
        )

    def gradients(self, weights: Iterable[tuple[Tensor, Tensor]], nested: bool) -> Any:
        """The gradients of Σ weight · output at the arguments: Tensors if nested, else arrays."""
        seeds = accumulate_seeds(
            (out, weight if nested else weight.data) for out, weight in weights
        )
        with enable_grad(), WarningsAtCaller():
            arrived = dict(sweep(seeds, create_graph=nested, run_hooks=True))
        return map_nested(lambda x: _gradient_of(x, arrived, nested), self.selected)

    def unwrap(self, structure: Any) -> Any:
        """A result with arrays for Tensors, except those that depend on Tensors from outside."""

        def unwrap(x: Any) -> Any:
            return x.data if isinstance(x, Tensor) and not self.is_nested(x) else x

        return map_nested(unwrap, structure)


def _gradient_of(x: Tensor, arrived: dict[Tensor, Any], nested: bool) -> Any:
    if x not in arrived:
        return np.zeros_like(x.data)
    return arrived[x] if nested else as_array(arrived[x]).copy()


def _as_variable(x: Any) -> Tensor:
    """An array as a Tensor to differentiate by; for a Tensor from outside, a copy of it."""
    if isinstance(x, Tensor) and x.requires_grad:
        return copy(x)  # type: ignore[no-any-return]
    array = unwrap(x)
    try:
        variable = _Variable(array)
    except (TypeError, ValueError):
        raise TypeError(
            f"an argument to differentiate by contains {x!r}, a {type(x).__name__}; it must be an "
            "array of floats, or dicts, lists and tuples of them; choose others by argnums"
        ) from None
    if variable.dtype.kind != "f":
        raise TypeError(
            f"an argument to differentiate by has dtype {variable.dtype}, shape {variable.shape}; "
            "only floats have derivatives: write 2.0 instead of 2, or x.astype(float), or choose "
            "others by argnums"
        )
    variable.is_active = True
    return variable.requires_grad_()


def _find_arguments(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], argnums: Argnums
) -> list[int | str]:
    """For each argument to differentiate by, its position in `args` or its name in `kwargs`."""
    is_several = isinstance(argnums, Iterable) and not _is_single(argnums)
    several: Any = argnums if is_several else [argnums]
    keys = []
    for which in several:
        key = which
        if isinstance(which, str) and which not in kwargs:
            names = list(inspect.signature(f).parameters)
            key = names.index(which) if which in names else len(args)
        if key not in kwargs and not (
            hasattr(key, "__index__") and 0 <= operator.index(key) < len(args)
        ):
            raise TypeError(
                f"{getattr(f, '__name__', type(f).__name__)} was called without an argument "
                f"{which!r} to differentiate by; it received {len(args)} by position and "
                f"{sorted(kwargs) or 'none'} by name: pass it, or choose others by argnums"
            )
        keys.append(key)
    return keys


def _is_single(argnums: Any) -> bool:
    """Whether it is one position or name, not several; NumPy integers are positions too."""
    return isinstance(argnums, str) or hasattr(argnums, "__index__")


def _as_outputs(result: Any) -> list[Tensor]:
    """The leaves of a result as Tensors; raises TypeError if none of them has a derivative."""
    outputs = [_as_output(leaf) for leaf in leaves_of(result)]
    if outputs and all(out.dtype.kind != "f" for out in outputs):
        dtypes = " and ".join(sorted({str(out.dtype) for out in outputs}))
        raise TypeError(
            f"the function returned {result!r}, of {dtypes}, which has no derivative; return "
            "floats: in place of a comparison the difference, or a smooth step such as sigmoid"
        )
    return outputs


def _as_output(value: Any) -> Tensor:
    try:
        return as_tensor(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"the function returned {value!r}, which has no derivative; it must return numbers or "
            "arrays, and a second result only with has_aux=True"
        ) from None


def _match_leaves(values: Any, like: Any, what: str) -> list[Tensor]:
    """The leaves of `values`, which must have the structure and shapes of `like`, in its dtypes."""

    def match(x: Any, value: Any) -> Tensor:
        x, value = as_tensor(x), as_tensor(value)
        if x.shape != value.shape:
            raise ValueError(f"{what} has shape {value.shape}, but must have its shape, {x.shape}")
        return as_tensor(value, _float_dtype(x))

    return leaves_of(map_nested(match, like, values))


def _float_dtype(x: Tensor) -> np.dtype[Any]:
    """The dtype for weights and tangents of `x`, which are floats even if `x` is not."""
    return x.dtype if x.dtype.kind == "f" else np.dtype(float)


def _as_arguments(given: Any) -> tuple[Any, ...]:
    """A tuple is several arguments; anything else, a named tuple too, is the only one."""
    return given if _is_tuple_of_arguments(given) else (given,)


def _is_tuple_of_arguments(given: Any) -> bool:
    return isinstance(given, tuple) and not hasattr(given, "_fields")


def _check_function(f: Any) -> None:
    if isinstance(f, Tensor) or not callable(f):
        raise TypeError(
            f"expected a function of arrays, not {type(f).__name__}; for gradients of Tensors with "
            "respect to others use microgradx.autograd.grad(outputs, inputs)"
        )
