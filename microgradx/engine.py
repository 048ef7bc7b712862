"""Reverse-mode automatic differentiation, complete, to be read from top to bottom.

A `Tensor` is an array that remembers which `Op` made it, and from which Tensors. The Tensors are
the graph. `sweep` walks it from an output back to the leaves, the newest Tensor first, asks each op
for the gradients of its inputs, and adds up what arrives at each Tensor: that is backpropagation.
`examples/tiny_engine.py` is the same idea in fifty lines, without the checks and the speed. What
Tensors can compute, and the derivatives of it, is in `ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from operator import attrgetter
from typing import Any

import numpy as np
from numpy import ndarray

from microgradx.arrays.broadcasting import unbroadcast
from microgradx.arrays.methods import ArrayMethods
from microgradx.arrays.pytorch_habits import wrong_arguments
from microgradx.arrays.summation import add_gradients
from microgradx.arrays.types import as_array, as_input, as_operand, as_read_only, as_result, unwrap
from microgradx.common.floating_point import WarningsAtCaller, restore_warnings, warn_at_caller
from microgradx.common.messages import describe, format_call, with_context, wrong_gradient_count
from microgradx.graph.accumulation import accumulate_gradients
from microgradx.graph.conversion import Conversion
from microgradx.graph.creation_order import creation_counter
from microgradx.graph.displays import Displays
from microgradx.graph.grad_mode import enable_grad, grad_enabled
from microgradx.graph.hooks import GradientHooks, apply_hooks
from microgradx.graph.initial_gradient import initial_gradient
from microgradx.graph.leaf import Leaf
from microgradx.graph.observers import observers
from microgradx.graph.scopes import Scope

__all__ = ["Op", "Tensor", "as_tensor"]

_new = object.__new__
_array_of = attrgetter("array")


# ---------------------------------------------------------------------------- operations


class Op:
    """A function on arrays and its vector-Jacobian product: the unit that graphs are made of.

    A subclass writes both in plain NumPy. `g` is the gradient of the final result with respect to
    the op's output `out`; `backward` returns the gradient with respect to each input (a tuple if
    there are several, in which None stands where there is none):

    >>> import numpy as np
    >>> import microgradx as mg
    >>> class Cube(mg.Op):
    ...     formula = "x³"
    ...     def forward(self, x):
    ...         return x**3
    ...     def backward(self, g, out, x):
    ...         return g * 3 * x**2
    >>> cube = Cube()
    >>> x = mg.Tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).sum().backward()
    >>> x.grad
    array([ 3., 12.])

    The same lines run on arrays in the ordinary sweep and on Tensors under `create_graph=True`,
    which is where second derivatives come from. Settings (an axis, say) live on the instance;
    whatever may vary from call to call, or may need a gradient, is an input. An input that was
    broadcast needs no care: the sweep sums its gradient back to its shape.
    """

    #: What drawings and error messages call the op; the class's name in lower case by default.
    name: str = ""
    #: What it computes, as text, with inputs x, y, z.
    formula: str = ""
    #: How many inputs it takes; 0 if that differs. NumPy would take one more for `out`.
    arity: int = 0
    #: Instead of `backward`: one formula for each input, so that only those needed are computed.
    derivatives: tuple[Callable[..., Any] | None, ...] = ()
    #: Instead of `forward`, where a gradient will be needed: may save arrays in `self.saved`, for
    #: `backward` on arrays to use. It runs on a copy of the op that belongs to this one call.
    forward_saving: Callable[..., Any] | None = None
    saved: Any = None

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = cls.__name__.lower()

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no forward(self, *inputs)")

    def backward(self, g: Any, out: Any, *inputs: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no backward(self, g, out, *inputs)")

    def gradient_at(self, i: int, g: Any, out: Any, *inputs: Any) -> Any:
        """The gradient at input `i`, by its formula or by `backward`; None if there is none."""
        if self.derivatives:
            derivative = self.derivatives[i]
            return derivative(g, out, *inputs) if derivative else None
        return self.all_gradients(g, out, *inputs)[i]

    def all_gradients(self, g: Any, out: Any, *inputs: Any) -> Any:
        """What `backward` returns, as a sequence with a gradient for each input."""
        # A rule may see what others hold too, so it must not write into it.
        arguments = [as_read_only(a) if type(a) is ndarray else a for a in (g, out, *inputs)]
        returned = self.backward(*arguments)
        gradients = returned if isinstance(returned, (tuple, list)) else (returned,)
        if returned is None or len(gradients) != len(inputs):
            raise wrong_gradient_count(returned, len(inputs))
        return gradients

    def for_this_call(self) -> Op:
        """The op that a result remembers: itself, or a copy where the call saves arrays in it."""
        if self.forward_saving is None:
            return self
        op = _new(type(self))
        vars(op).update(vars(self))
        return op

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        """Arrays in, array out; a Tensor anywhere in, a Tensor out, which remembers."""
        if settings or (len(inputs) != self.arity and self.arity):
            raise wrong_arguments(self.name, self.arity, inputs, settings)
        arrays, is_differentiable = [], False
        for x in inputs:
            if not isinstance(x, Tensor):
                if not any(isinstance(y, Tensor) for y in inputs):
                    with WarningsAtCaller():
                        return self.forward(*map(as_input, inputs))
                return self(
                    *[y if isinstance(y, Tensor) else _make(as_operand(y, inputs)) for y in inputs]
                )
            arrays.append(x.array)
            if x._requires_grad:
                is_differentiable = True
        token = warn_at_caller()  # at the user's line, and not at one of the op's
        try:
            if not (is_differentiable and grad_enabled.get()):
                out = _make(self.forward(*arrays))
            elif self.forward_saving is None:
                out = _make(self.forward(*arrays), self, inputs)
            else:
                op: Any = self.for_this_call()
                out = _make(op.forward_saving(*arrays), op, inputs)
        except (ValueError, TypeError, IndexError) as error:
            raise with_context(error, repr(self), inputs) from error
        finally:
            restore_warnings(token)
        if watching := observers.get():
            for observer in watching:
                observer.forward(self, inputs, out)
        return out

    def __repr__(self) -> str:
        return format_call(self.name, self, unless_in=Op)


# ---------------------------------------------------------------------------- tensors


class Tensor(Leaf, ArrayMethods, Conversion, GradientHooks, Displays):
    """An array that remembers how it was computed, so that gradients can be.

    `data` (numbers, lists, an array; floats if it requires gradients) is copied. Functions of
    NumPy and of microgradx, operators and methods make further Tensors from it, and record a graph
    where an input requires gradients; `backward()` on a result then fills the `grad` of the
    leaves, the Tensors that you made, with arrays of their shape and dtype.

    Attributes: `data`, the array; `grad`, the accumulated gradient of a leaf, or None; `op` and
    `inputs`, what it was computed by and from (None and () for a leaf); `requires_grad`; `name`,
    for messages and drawings; and of the array, `shape`, `ndim`, `size` and `dtype`.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -2.0], requires_grad=True, name="w")
    >>> loss = (w * w).sum()
    >>> loss
    Tensor(5., op=sum, requires_grad=True)
    >>> loss.backward()
    >>> w.grad
    array([ 2., -4.])

    Raises TypeError for data that are not real numbers, for integers or booleans that should
    require gradients, and for Tensors in `data` that do (they would drop out of their graph).
    """

    __slots__ = (
        "array",  # its data; who writes to it, or puts another in its place, calls mark_changed
        "op",  # the Op that made it; None for a leaf
        "inputs",  # the Tensors that op was given
        "sequence_number",  # when it was made, or, for a leaf, last changed
        "_grad",  # a leaf's accumulated gradient, behind a property
        "_requires_grad",  # behind a property, which checks what is assigned
        "retains_grad",  # whether backward() fills grad although this is not a leaf
        "hooks",  # the functions that are told of its gradient
        "scopes",  # the composed functions and modules whose result it is, innermost first
        "name",  # what drawings and messages call it
        "__weakref__",
    )
    op: Op | None
    inputs: tuple[Tensor, ...]
    sequence_number: int
    scopes: tuple[Scope, ...]
    name: str | None

    def __new__(
        cls, data: Any, requires_grad: bool = False, *, dtype: Any = None, name: str | None = None
    ) -> Tensor:
        # A Tensor that requires gradients refuses here: a copy would drop out of its graph.
        array = data.numpy() if isinstance(data, Tensor) else data
        tensor = _make(as_array(array, dtype).copy(), cls=cls)
        tensor.name = name
        return tensor.requires_grad_(requires_grad)

    def detach(self) -> Tensor:
        """The same array, shared, as a leaf that requires no gradient: a constant from here on."""
        return _make(self.array)

    def __reduce__(self) -> Any:
        # Copying and pickling keep data and flags. The graph stays behind: it would be followed
        # recursively, and a copy of it would not be the one that the other Tensors are in.
        state = {"name": self.name, "requires_grad": self.requires_grad}
        return type(self), (self.array, self.requires_grad or self.is_frozen), (None, state)

    def backward(
        self, gradient: Any = None, *, retain_graph: bool = True, create_graph: bool = False
    ) -> None:
        """Add to the `grad` of each leaf this was computed from the gradient of this Tensor.

        `gradient`, of this Tensor's shape, is the gradient of some final result with respect to
        it. A Tensor of one element needs none: 1. Tensors after `retain_grad()` receive theirs
        too. A second call adds the same again.

        `retain_graph=False` releases the graph behind this Tensor, and its memory, at once. With
        `create_graph=True` the gradients are Tensors with a graph of their own, for derivatives of
        derivatives (`grad` then refers back to its leaf: set it to None when done).

        Raises ValueError if this requires no gradient, if `gradient` is missing or has another
        shape, if a leaf was changed after use, or if the graph was released.
        """
        start = {self: initial_gradient(self, gradient)}
        with enable_grad() if create_graph else nullcontext(), WarningsAtCaller():
            # First all, then assign: a rule that fails leaves no gradient half accumulated.
            arrived = [
                (tensor, g)
                for tensor, g in sweep(start, create_graph=create_graph, run_hooks=True)
                if tensor.op is None or tensor.retains_grad
            ]
            accumulate_gradients(arrived)
        if not retain_graph:
            release_graph(self)


# ---------------------------------------------------------------------------- the backward sweep


def sweep(
    gradients: dict[Tensor, Any], *, create_graph: bool = False, run_hooks: bool = False
) -> Iterator[tuple[Tensor, Any]]:
    """Reverse mode: from gradients at some outputs, those of all that they were computed from.

    Yields each Tensor with its complete gradient, the newest first: when a Tensor's turn comes,
    all that was computed from it has had its own, so no contribution can be missing. Only the dict
    of pending gradients is written to.
    """
    gradients = {t: as_tensor(g) if create_graph else unwrap(g) for t, g in gradients.items()}
    additions: dict[Tensor, int] = {}  # how often a gradient was added to that of a Tensor
    watching = observers.get()
    for tensor in reverse_topological_order(*gradients):
        g = gradients.pop(tensor, None)
        if g is None:  # no rule passed anything on to it
            continue
        if additions and tensor in additions and g.dtype is not tensor.array.dtype:
            g = g.astype(tensor.array.dtype)  # a long sum, which is added up in a wider type
        if run_hooks and tensor.hooks:
            g = apply_hooks(tensor, g, create_graph)
            if create_graph:
                g = as_tensor(g)
        yield tensor, g
        op = tensor.op
        if op is None:
            continue
        inputs = tensor.inputs
        if create_graph:
            arguments = [g, tensor, *inputs]
        else:
            arguments = [g, tensor.array, *map(_array_of, inputs)]
        try:
            # Formulas, of which only those needed are computed, or else all gradients at once.
            derivatives = op.derivatives
            each = derivatives or op.all_gradients(*arguments)
            if len(each) < len(inputs):
                raise ValueError(f"{len(each)} derivatives for {len(inputs)} inputs")
            for x, gradient in zip(inputs, each):  # noqa: B905 (strict= takes as long as a sum)
                if gradient is None or not x._requires_grad:
                    continue
                if derivatives:
                    gradient = gradient(*arguments)
                if watching:
                    for observer in watching:
                        observer.backward(tensor, x, g, gradient)
                if create_graph:
                    gradient = as_tensor(gradient)
                array = x.array
                if (
                    type(gradient) is not ndarray
                    or gradient.shape != array.shape
                    or gradient.dtype is not array.dtype
                ):
                    gradient = unbroadcast(gradient, array)
                if x in gradients:
                    additions[x] = count = additions.get(x, 0) + 1
                    gradient = add_gradients(gradients[x], gradient, count)
                gradients[x] = gradient
        except (ValueError, TypeError, IndexError) as error:
            raise with_context(error, f"the backward of {op!r}", inputs) from error


def reverse_topological_order(*outputs: Tensor) -> list[Tensor]:
    """The outputs and all that they were computed from that requires gradients, newest first.

    Raises ValueError if a leaf was changed after it was used, or the graph was released.
    """
    found = list(dict.fromkeys(outputs))
    seen = set(found)
    for tensor in found:  # which grows meanwhile
        if tensor.op is None:
            continue
        inputs = tensor.inputs
        sequence_number = tensor.sequence_number
        if not inputs:
            raise ValueError(
                f"the graph behind {describe(tensor)} was released by "
                "backward(retain_graph=False); keep it, or compute the result again"
            )
        for x in inputs:
            if x.sequence_number > sequence_number:
                raise ValueError(
                    f"{describe(x)} was changed after {tensor.op!r} had used it, so its gradient "
                    "would be that of values that are gone; call backward() before an optimiser's "
                    "step or `.data = …`, or compute the result again"
                )
            if x._requires_grad and x not in seen:
                seen.add(x)
                found.append(x)
    # Inputs are made before what is computed from them, so this is an order for the sweep.
    found.sort(key=attrgetter("sequence_number"), reverse=True)
    return found


def release_graph(*outputs: Tensor) -> None:
    """Release the graph behind the outputs, and its memory."""
    for tensor in reverse_topological_order(*outputs):
        tensor.inputs = ()
        if tensor.op is not None and tensor.op.saved is not None:
            tensor.op.saved = None


# ---------------------------------------------------------------------------- making Tensors


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """`data` as a Tensor: itself if it is one, else a constant that shares the array's memory.

    >>> import microgradx as mg
    >>> mg.as_tensor([1, 2])
    Tensor([1, 2])
    """
    if isinstance(data, Tensor):
        return data if dtype is None or data.array.dtype == dtype else data.astype(dtype)
    return _make(as_array(data, dtype))


def _make(
    data: Any, op: Op | None = None, inputs: tuple[Tensor, ...] = (), cls: type[Tensor] = Tensor
) -> Tensor:
    """The one place where Tensors are made, and made to hold an array, also if it is 0-d."""
    tensor = _new(cls)
    if type(data) is not ndarray:  # NumPy's functions return a scalar for a single number
        data = np.asarray(data) if isinstance(data, np.generic) else as_result(data)
    if data.dtype.kind != "f":
        op, inputs = None, ()  # no gradient can flow through integers and booleans
        data = as_array(data)  # refuses what is not real
    tensor.array = data
    tensor.op = op
    tensor.inputs = inputs
    tensor.sequence_number = next(creation_counter)
    tensor._grad = None
    tensor._requires_grad = op is not None
    tensor.retains_grad = False
    tensor.hooks = ()
    tensor.scopes = ()
    tensor.name = None
    return tensor
