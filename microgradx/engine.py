"""Reverse-mode automatic differentiation, complete, to be read from top to bottom.

A `Tensor` is an array that remembers which `Op` made it and from which Tensors. The Tensors are
the graph. `sweep` walks it from an output back to the leaves, the newest Tensor first, and asks
each op for the gradients of its inputs. Everything else is the table of derivatives, in `ops`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from operator import attrgetter
from sys import getrefcount
from threading import Lock
from typing import Any

import numpy as np
from numpy import ndarray

from microgradx.array_methods import Array, ArrayMethods, as_array, one, plain
from microgradx.displays import Displays
from microgradx.hooks import GradientHooks, hooked, retain
from microgradx.memory import Loan
from microgradx.messages import described, explained, listed
from microgradx.recording import Labels, enable_grad, numbers, observers, recording

__all__ = ["Op", "Tensor", "as_tensor", "free", "history", "seed_of", "summed", "sweep"]

_new = object.__new__
_as_it_is = nullcontext()
_accumulating = Lock()  # threads may share leaves

# What getrefcount says of an array that one variable refers to and nothing else. From 3.14 on it
# may leave out its own argument; where it does not, no array passes for alone, which is safe.
ONLY_REFERENCE = 2 if sys.version_info < (3, 14) else 1


# ---------------------------------------------------------------------------- operations


class Op:
    """A function on arrays and its vector-Jacobian product: the unit that graphs are made of.

    A subclass writes both in plain NumPy. `g` is the gradient of the final result with respect to
    the op's output `out`; `backward` answers with the gradient with respect to each input (a tuple
    if there are several, None where there is none):

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

    #: What drawings and error messages call the op; the class's name in lower case if not given.
    name: str = ""
    #: What it computes, as text, with inputs x, y, z.
    formula: str = ""
    #: How many inputs it takes; 0 if that differs. NumPy would take one more for `out`.
    arity: int = 0
    #: Instead of `backward`: one formula for each input, so that only those wanted are computed.
    derivatives: tuple[Any, ...] = ()
    #: Instead of `forward`, where a gradient will be wanted: may keep arrays in `self.kept`, for
    #: `backward` on arrays to use. It is run on a copy of the op that belongs to this one call.
    forward_and_keep: Any = None
    kept: Any = None

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = cls.__name__.lower()

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no forward(self, *inputs)")

    def backward(self, g: Any, out: Any, *inputs: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no backward(self, g, out, *inputs)")

    def __call__(self, *inputs: Any) -> Any:
        """Arrays in, array out; a Tensor anywhere in, a Tensor out, which remembers."""
        if len(inputs) != self.arity and self.arity:
            raise TypeError(f"{self.name} takes {self.arity} inputs, not {len(inputs)}")
        arrays = []
        wanted = False
        for x in inputs:
            if not isinstance(x, Tensor):
                tensors = _as_tensors(inputs)
                return self(*tensors) if tensors else self.forward(*inputs)
            arrays.append(x._data)
            if x._hooks is not None:
                wanted = True
        try:
            if not (wanted and recording.get()):
                out = _make(self.forward(*arrays))
            elif self.forward_and_keep is None:
                out = _make(self.forward(*arrays), self, inputs)
            else:
                op = _new(type(self))
                vars(op).update(vars(self))
                out = _make(op.forward_and_keep(*arrays), op, inputs)
        except (ValueError, TypeError, IndexError) as error:
            raise explained(error, f"{self!r} of {listed(inputs)}") from error
        if observers:
            for observer in tuple(observers):  # which others may leave meanwhile
                observer.forward(self, inputs, out)
        return out

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        settings = [
            f"{name}={vars(self)[name]!r}"
            for name, parameter in parameters.items()
            if name in vars(self)
            and not hasattr(Op, name)
            and not np.array_equal(vars(self)[name], parameter.default)
        ]
        return f"{self.name}({', '.join(settings)})" if settings else self.name


# ---------------------------------------------------------------------------- tensors


class Tensor(ArrayMethods, GradientHooks, Displays, Labels):
    """An array that remembers how it was computed, so that gradients can be.

    `data` (numbers, lists, an array; floats if it shall require gradients) is copied. Functions
    of NumPy and of microgradx, operators and methods make further Tensors from it, and record a
    graph where an input requires gradients; `backward()` on a result then fills the `grad` of
    the leaves, the Tensors that you made, with arrays of their shape and dtype.

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

    Raises TypeError for data that are not real numbers, for integers or booleans that shall
    require gradients, and for Tensors in `data` that do (they would drop out of their graph).
    """

    __slots__ = (
        "_data",  # the array
        "op",  # the Op that made it; None for a leaf
        "inputs",  # the Tensors that op was given
        "number",  # when it was made, or, for a leaf, last changed
        "grad",  # a leaf's accumulated gradient
        "_hooks",  # what is told of its gradient; None if it requires none
        "_labels",  # its name, and the functions and modules whose result it is
        "__weakref__",
    )
    op: Op | None
    inputs: tuple[Tensor, ...]
    number: int
    grad: Array

    def __new__(
        cls, data: Any, requires_grad: bool = False, *, dtype: Any = None, name: str | None = None
    ) -> Tensor:
        # A Tensor that requires gradients refuses here: a copy would drop out of its graph.
        array = data.numpy() if isinstance(data, Tensor) else data
        tensor = _make(as_array(array, dtype).copy(), cls=cls)
        tensor.name = name
        return tensor.requires_grad_(requires_grad)

    # ------------------------------------------------------------------ data and flags

    @property
    def data(self) -> Array:
        """The array itself. `t.data = v` gives it other values, of the same shape (leaves only).

        Where gradients are required, `v` is copied into the array that is there; a constant, which
        may share its array with others, takes a copy of `v` instead. The graph learns of it, and
        refuses a `backward` through results of the old values. It cannot see writes through the
        array, `t.data[...] = v`, nor into an array that an operand shares: don't, while a graph
        that used it still waits for its `backward`.
        """
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        value = as_array(plain(value))
        if self.op is not None:
            raise ValueError(
                f"{described(self)} is no leaf, so its data cannot be set; set the data of the "
                "leaves it was computed from, or make a new Tensor"
            )
        if value.shape != self.shape:
            raise ValueError(
                f"data of shape {value.shape} cannot replace that of {described(self)}; the shape "
                "must stay as it is: make a new Tensor for another shape"
            )
        if self._hooks is None:
            self._data = self._data.copy()
        np.copyto(self._data, value, casting="same_kind")
        self.mark_changed()

    def mark_changed(self) -> None:
        """Say that the array was written to: graphs that used its old values are now refused."""
        self.number = next(numbers)

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for it, and for what is computed from it."""
        return self._hooks is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, value: bool = True) -> Tensor:
        """Set whether a leaf requires gradients, and False, end its hooks; gives the Tensor."""
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(
                f"requires_grad must be True or False, not {value!r}; a dtype is given by dtype="
            )
        if self.op is not None and not value:
            raise ValueError(
                f"{described(self)} was computed from Tensors that require gradients, so it does "
                "too; use t.detach() for its value alone"
            )
        if value and self.dtype.kind != "f":
            raise TypeError(
                f"only floats can require gradients, and {described(self)} is not of floats; "
                "write 2.0 instead of 2, or pass dtype=float (np.float32, np.float64)"
            )
        if value != self.requires_grad:
            self._hooks = () if value else None
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no op made it, so that gradients end here."""
        return self.op is None

    def zero_grad(self) -> None:
        """Forget the accumulated gradient: `grad` is None again."""
        self.grad = None

    def detach(self) -> Tensor:
        """The same array, shared, as a leaf that requires no gradient: a constant from here on."""
        return _make(self._data)

    def __reduce__(self) -> Any:
        # Copying and pickling keep data and flags. The graph stays behind: it would be followed
        # recursively, and a copy of it would not be the one that the other Tensors are in.
        return type(self), (self._data, self.requires_grad), (None, {"name": self.name})

    # ------------------------------------------------------------------ backward

    def backward(
        self, gradient: Any = None, *, retain_graph: bool = True, create_graph: bool = False
    ) -> None:
        """Add to `grad`, of each leaf this was computed from, the gradient of this Tensor.

        `gradient`, of this Tensor's shape, is what each of its elements weighs: the gradient of
        some final result with respect to it. A Tensor of one element needs none: 1. Tensors after
        `retain_grad()` receive theirs too. A second call adds the same again.

        `retain_graph=False` lets go of the graph behind this Tensor, and its memory, at once.
        With `create_graph=True` the gradients are Tensors with a graph of their own, for
        derivatives of derivatives (`grad` then refers back to its leaf: set it to None when done).

        Raises ValueError if this requires no gradient, if `gradient` is missing or has another
        shape, if a leaf was changed after use, or if the graph was freed.
        """
        seed = seed_of(self, gradient, create_graph)
        with enable_grad() if create_graph else _as_it_is:
            # First all, then assign: a rule that fails leaves no gradient half accumulated.
            arrived = [
                (tensor, g)
                for tensor, g in sweep({self: seed}, create_graph=create_graph, run_hooks=True)
                if tensor.op is None or retain in tensor._hooks  # type: ignore[operator]
            ]
            with _accumulating:
                while arrived:
                    tensor, g = arrived.pop()
                    if tensor.grad is not None:
                        tensor.grad = as_array(tensor.grad + g)
                        continue
                    # `grad` shares memory with nothing, so what others might see is copied: a
                    # rule's own array, a view, what is another leaf's gradient too.
                    is_ours = getrefcount(g) == ONLY_REFERENCE and type(g) is ndarray
                    if is_ours and (g.base is None or type(g.base) is Loan) and g.flags.carray:
                        tensor.grad = g
                    else:
                        tensor.grad = g.copy()
        if not retain_graph:
            free(self)


# ---------------------------------------------------------------------------- the backward sweep


def history(*outputs: Tensor) -> list[Tensor]:
    """The outputs and all that they were computed from that requires gradients, newest first.

    Raises ValueError if a leaf was changed after it was used, or the graph was freed.
    """
    found = list(dict.fromkeys(outputs))
    seen = set(found)
    for tensor in found:  # which grows meanwhile
        if tensor.op is None:
            continue
        inputs = tensor.inputs
        number = tensor.number
        if not inputs:
            raise ValueError(
                f"the graph behind {described(tensor)} was freed by "
                "backward(retain_graph=False); keep it, or compute the result again"
            )
        for x in inputs:
            if x.number > number:
                raise ValueError(
                    f"{described(x)} was changed after {tensor.op!r} had used it, so its gradient "
                    "would be that of values that are gone; call backward() before an optimiser's "
                    "step or `.data = …`, or compute the result again"
                )
            if x._hooks is not None and x not in seen:
                seen.add(x)
                found.append(x)
    # Inputs are made before what is computed from them, so this is an order for the sweep.
    found.sort(key=attrgetter("number"), reverse=True)
    return found


def free(*outputs: Tensor) -> None:
    """Let go of the graph behind the outputs, and of its memory."""
    for tensor in history(*outputs):
        tensor.inputs = ()
        if tensor.op is not None and tensor.op.kept is not None:
            tensor.op.kept = None


def sweep(
    gradients: dict[Tensor, Any], *, create_graph: bool = False, run_hooks: bool = False
) -> Iterator[tuple[Tensor, Any]]:
    """Reverse mode: from gradients at some outputs, those of all that they were computed from.

    Gives each Tensor with its complete gradient, the newest first: when a Tensor's turn comes,
    all that was computed from it has had its own, so no contribution can be missing. Nothing but
    the dict of pending gradients is written to.
    """
    gradients = dict(gradients)
    for tensor in history(*gradients):
        g = gradients.pop(tensor, None)
        if g is None:  # no rule passed anything on to it
            continue
        if run_hooks and tensor._hooks:
            g = hooked(tensor, g, create_graph)
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
            arguments = [g, tensor._data]
            for x in inputs:
                arguments.append(x._data)
        try:
            rules = op.derivatives
            answers = rules or _by_backward(op, arguments)
            if len(answers) < len(inputs):
                raise ValueError(f"{len(answers)} derivatives for {len(inputs)} inputs")
            for x, answer in zip(inputs, answers):  # noqa: B905 (strict= takes as long as a sum)
                if answer is None or x._hooks is None:
                    continue
                gradient = answer(*arguments) if rules else answer
                if observers:
                    for observer in tuple(observers):
                        observer.backward(tensor, x, g, gradient)
                if create_graph:
                    gradient = as_tensor(gradient)
                data = x._data
                if (
                    type(gradient) is not ndarray
                    or gradient.shape != data.shape
                    or gradient.dtype is not data.dtype
                ):
                    gradient = unbroadcast(gradient, x)
                if x in gradients:
                    gradient = gradients[x] + gradient
                    if isinstance(gradient, np.generic):
                        gradient = np.asarray(gradient)
                gradients[x] = gradient
        except (ValueError, TypeError, IndexError) as error:
            raise explained(error, f"the backward of {op!r} of {listed(inputs)}") from error


def summed(weights: Iterable[tuple[Tensor, Any]]) -> dict[Tensor, Any]:
    """What a sweep starts from: an output that occurs several times weighs as much as all."""
    gradients: dict[Tensor, Any] = {}
    for out, weight in weights:
        if out.requires_grad:
            gradients[out] = as_array(gradients[out] + weight) if out in gradients else weight
    return gradients


def _by_backward(op: Op, arguments: list[Any]) -> Any:
    """What the op's `backward` says: a gradient for each input."""
    # A rule may see what others hold too, so it is not to write into it.
    answer = op.backward(*[_read_only(a) if type(a) is ndarray else a for a in arguments])
    answers = answer if isinstance(answer, (tuple, list)) else (answer,)
    if len(answers) != len(arguments) - 2:
        raise ValueError(f"{len(answers)} gradients for {len(arguments) - 2} inputs")
    return answers


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def stretched(shape: tuple[int, ...], onto: tuple[int, ...]) -> tuple[int, ...]:
    """The axes along which `onto`, broadcast to `shape`, was stretched or that it was given."""
    added = len(shape) - len(onto)
    return tuple(i for i in range(len(shape)) if i < added or onto[i - added] != shape[i])


def unbroadcast(gradient: Any, x: Tensor) -> Any:
    """The gradient of `x` from that of `x` broadcast: summed over the axes it was stretched along.

    Also gives it the dtype of `x`.
    """
    gradient = as_array(gradient)
    shape = x._data.shape
    if gradient.shape != shape:
        added = gradient.ndim - len(shape)
        axes = stretched(gradient.shape, shape)
        if added < 0 or any(i >= added and shape[i - added] != 1 for i in axes):
            raise ValueError(
                f"a gradient of shape {gradient.shape} for an input of shape {shape}; "
                "it must have the shape that the input, or the input broadcast, has"
            )
        if gradient.dtype == np.float16:  # whose sums stand still at 2048
            gradient = gradient.astype(np.float32)
        gradient = as_array(np.reshape(np.sum(gradient, axis=axes), shape))
    return gradient if gradient.dtype == x._data.dtype else gradient.astype(x._data.dtype)


def seed_of(output: Tensor, gradient: Any, create_graph: bool) -> Any:
    """What the sweep starts from at `output`, of its shape and dtype: ones, or what was given."""
    if not output.requires_grad:
        raise ValueError(
            f"{described(output)} does not require gradients, so there is nothing to compute; "
            "was an input made with requires_grad=True, and outside no_grad()?"
        )
    if gradient is None:
        if output.size != 1:
            raise ValueError(
                f"backward() of {described(output)} needs a gradient of its shape, since it is "
                "not a single number; reduce it first, as in t.sum().backward(), or pass one"
            )
        if type(output._data) is ndarray and not create_graph:
            return one[output.dtype].reshape(output.shape)
        gradient = np.ones_like(output._data)
    gradient = as_array(gradient)
    if gradient.shape != output.shape:
        raise ValueError(
            f"a gradient of shape {gradient.shape} for {described(output)}; the shapes must be "
            "the same: the gradient says what each element weighs"
        )
    if gradient.dtype != output.dtype:
        gradient = gradient.astype(output.dtype)
    return as_tensor(gradient) if create_graph else plain(gradient)


# ---------------------------------------------------------------------------- making Tensors


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """`data` as a Tensor: itself if it is one, else a constant that shares the array's memory.

    >>> import microgradx as mg
    >>> mg.as_tensor([1, 2])
    Tensor([1, 2])
    """
    if isinstance(data, Tensor):
        return data if dtype is None or data._data.dtype == dtype else data.astype(dtype)
    return _make(as_array(data, dtype))


def _as_tensors(inputs: tuple[Any, ...]) -> list[Tensor] | None:
    """Inputs of an op as Tensors, if one of them is one; None if it is given plain arrays."""
    for x in inputs:
        if isinstance(x, Tensor):
            break
    else:
        return None
    return [
        _make(np.asarray(x, _dtype_beside(x, inputs)))
        if type(x) in (float, int, bool)
        else as_tensor(x)
        for x in inputs
    ]


def _dtype_beside(number: Any, inputs: tuple[Any, ...]) -> Any:
    """The dtype that a number of Python's takes among other inputs: the one that they have."""
    dtypes = {as_array(x).dtype for x in inputs if type(x) not in (float, int, bool)}
    dtype = dtypes.pop()
    return dtype if not dtypes and dtype.kind == "f" else np.result_type(dtype, *dtypes, number)


def _make(
    data: Any, op: Op | None = None, inputs: tuple[Tensor, ...] = (), cls: type[Tensor] = Tensor
) -> Tensor:
    """The one place where Tensors are made, and made to hold an array, be it 0-d."""
    tensor = _new(cls)
    if type(data) is not ndarray and isinstance(data, np.generic):
        data = np.asarray(data)  # a single number again, of which NumPy's functions make a scalar
    if type(data) is not ndarray or data.dtype.kind != "f":
        if isinstance(data, (tuple, list)):
            raise TypeError(f"forward gave {len(data)} results; an op has one array for a result")
        if isinstance(data, Tensor):
            raise TypeError("forward gave a Tensor; what it computes with must be an input")
        data = as_array(data)
        if data.dtype.kind != "f":
            op, inputs = None, ()  # no gradient can flow through integers and booleans
    tensor._data = data
    tensor.op = op
    tensor.inputs = inputs
    tensor.number = next(numbers)
    tensor.grad = None
    tensor._hooks = None if op is None else ()
    tensor._labels = ()
    return tensor
