"""Names for a program's values, and comments on its calls, found while it is traced."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradx.arrays.bounds import check_range
from microgradx.common.messages import describe
from microgradx.compiler.ir import Comment, Constant, Value, escape_braces
from microgradx.compiler.primitives import softmax_cross_entropy
from microgradx.compiler.tracing import CaptureError, TracedArray, TracedNumber, Tracer
from microgradx.engine import Op, Tensor
from microgradx.ops import activations
from microgradx.ops.softmax import SoftmaxCrossEntropy

__all__ = ["NamingObserver", "argument_names", "use_variable_names"]


class NamingObserver:
    """Observes the ops while a program is traced: names values, and comments on calls."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.layers = 0
        #: What the second input of the latest cross-entropy was, and the number of classes.
        self.target = ("", 0)
        #: The sequence number at which the traced function was called; 0 for a training step.
        self.function_start = 0

    def forward(self, op: Op, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        data = out.array
        if not isinstance(data, TracedArray) or data.tracer is not self.tracer:
            return
        self._check_parameters(inputs)
        values = [_value(x) for x in inputs]
        if isinstance(op, SoftmaxCrossEntropy):
            is_labels = inputs[1].ndim < inputs[0].ndim
            classes = inputs[0].shape[op.axis]
            self.target = ("labels" if is_labels else "probabilities", classes)
            self._fuse_cross_entropy(op, inputs, out)
        value = data.value
        value.name = value.name or self._choose_name(op)
        text = f"{{0}} = {_as_template(op.formula, len(values))}"
        self.tracer.add_comment(Comment(text, (value, *values)))

    def _check_parameters(self, inputs: tuple[Tensor, ...]) -> None:
        """Raise CaptureError if a function would keep the values that parameters have now."""
        for x in inputs:
            is_outside = x.is_leaf and x.sequence_number < self.function_start
            if is_outside and x.requires_grad and not isinstance(x.array, TracedArray):
                raise CaptureError(
                    f"the function uses {describe(x)}, which is none of its arguments, and a "
                    "compiled function would keep the values that it has now; pass the array as "
                    "an argument, or for a training step write compile(model, loss, optimizer)"
                )

    def backward(self, tensor: Tensor, x: Tensor, g: Any, gradient: Any) -> None:
        if self.function_start and tensor.op is not None:
            self._add_backward_comment(tensor.op, "{0}", (_value(x),))

    def end_backward(self, out: Tensor | None) -> None:
        """Comment on the calls of the backward of the op that made a Tensor."""
        if out is not None and out.op is not None:
            inputs = tuple(_value(x) for x in out.inputs if x.requires_grad)
            names = ", ".join(f"{{{i}}}" for i in range(len(inputs)))
            self._add_backward_comment(out.op, names, inputs)

    def _add_backward_comment(self, op: Op, names: str, inputs: tuple[Value, ...]) -> None:
        text = f"backward of {escape_braces(op.name)}: to {names}"
        self.tracer.add_comment(Comment(text, inputs))

    def name_gradient(self, tensor: Tensor, g: Any) -> None:
        value = _value(tensor)
        if isinstance(g, TracedArray) and not g.value.name and value.name:
            g.value.name = f"d{value.name}"

    def _choose_name(self, op: Op) -> str:
        if op.name == "linear":
            self.layers += 1
            return f"z{self.layers}"
        if op.name in _ACTIVATIONS and self.layers:
            return f"h{self.layers}"
        return op.name

    def _fuse_cross_entropy(
        self, op: SoftmaxCrossEntropy, inputs: tuple[Tensor, ...], out: Tensor
    ) -> None:
        """For class labels, the common case, call the primitive that has lines of its own."""
        logits, target = inputs[0].array, inputs[1].array
        if (
            len(inputs) > 2
            or not isinstance(logits, TracedArray)
            or not isinstance(target, TracedArray)
            or (logits.ndim, target.ndim) != (2, 1)
            or not logits.size
            or op.ignore_index is not None
            or op.reduction == "none"
            or op.axis not in (1, -1)
            or logits.dtype == np.float16
            or not np.can_cast(target.dtype, np.int64)
        ):
            return
        for call in self.tracer.calls:
            if call.function is check_range and call.args[0] is target.value:
                call.has_side_effects = False  # the lines of the primitive check the labels
        logits.value.name = "logits"
        divisor = len(target) if op.reduction == "mean" else 1
        loss, gradient = self.tracer.call(
            softmax_cross_entropy, (logits, target, float(divisor), op.label_smoothing), {}
        )
        loss.value.name, gradient.value.name = "loss", "dlogits"
        out.array.value = loss.value
        if out.op is not None and out.op.saved is not None:
            out.op.saved.value = gradient.value


_ACTIVATIONS = {*activations.__all__, "tanh"}


def _as_template(formula: str, count: int) -> str:
    """A formula of the first `count` of x, y and z as a template: x is {1}, y {2} and z {3}."""
    text = escape_braces(formula)
    letters = "xyz"[:count]
    if not letters:
        return text
    pattern = f"(?<![A-Za-z])[{letters}](?![A-Za-z])"
    return re.sub(pattern, lambda match: f"{{{letters.find(match[0]) + 1}}}", text)


def _value(x: Tensor) -> Value:
    """The value of the program that a Tensor stands for; a constant if it is not traced."""
    data = x.array
    return data.value if isinstance(data, TracedArray) else Constant(data.shape, data.dtype, data)


@contextmanager
def use_variable_names(owner: Any, number_names: dict[float, str]) -> Iterator[None]:
    """Name values and numbers after the local variables that hold them.

    The variables are those of a function, or of an optimiser's methods.
    """
    code = getattr(inspect.unwrap(owner), "__code__", None) if callable(owner) else None

    def on_event(frame: Any, event: str, argument: Any) -> None:
        if event != "return":
            return
        # frame.f_locals takes time, and there are many frames.
        if frame.f_code is not code if code else frame.f_locals.get("self") is not owner:
            return
        for name, x in frame.f_locals.items():
            x = x.array if isinstance(x, Tensor) else x
            if isinstance(x, (TracedArray, TracedNumber)) and name not in ("w", "g"):
                if code is not None or not x.value.name:
                    x.value.name, x.value.has_variable_name = name, code is not None
            elif type(x) is float and code is None and x not in (0, 1):
                number_names.setdefault(x, name)
                number_names.setdefault(1 - x, f"one_minus_{name}")

    if sys.getprofile() is not None:  # leave another profiler in place; names matter less
        yield
        return
    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(None)


def argument_names(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[str]:
    """The names of the function's parameters to which positional arguments are bound."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):  # no signature, or the call itself will raise
        return [f"x{i + 1}" for i in range(len(args))]
    names: list[str] = []
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{name}_{i + 1}" for i in range(len(value))]
        elif name not in kwargs and parameter.kind is not parameter.VAR_KEYWORD:
            names.append(name)
    return names
