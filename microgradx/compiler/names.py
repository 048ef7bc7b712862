"""Names for a program's values, and comments for its calls, found while it is captured."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradx.common.messages import describe
from microgradx.compiler.ir import Constant, Part, Value
from microgradx.compiler.primitives import check_labels, softmax_cross_entropy
from microgradx.compiler.tracing import CaptureError, RecordedArray, RecordedNumber, Recorder
from microgradx.engine import Op, Tensor
from microgradx.ops.softmax import SoftmaxCrossEntropy

__all__ = ["Naming", "names_of_arguments", "names_of_locals"]


class Naming:
    """Told of each op's result while a program is captured: names values, says what calls do."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.layers = 0
        #: What the second input of the latest cross-entropy was, and the number of classes.
        self.target = ("", 0)
        #: Of a function, when it was called; 0 for a training step.
        self.function_began = 0

    def forward(self, op: Op, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        data = out.array
        if not isinstance(data, RecordedArray) or data.recorder is not self.recorder:
            return
        self._check_parameters(inputs)
        values = [_value(x) for x in inputs]
        if isinstance(op, SoftmaxCrossEntropy):
            is_labels = inputs[1].ndim < inputs[0].ndim
            classes = inputs[0].shape[op.axis]
            self.target = ("labels" if is_labels else "probabilities", classes)
            self._fuse(op, inputs, out)
        value = data.value
        value.name = value.name or self._name(op)
        self.recorder.claim(
            Part(f"{{0}} = {_with_places(op.formula, len(values))}", (value, *values))
        )

    def _check_parameters(self, inputs: tuple[Tensor, ...]) -> None:
        """A function must not hold on to the values that parameters have now."""
        for x in inputs:
            is_outside = x.is_leaf and x.sequence_number < self.function_began
            if is_outside and x.requires_grad and not isinstance(x.array, RecordedArray):
                raise CaptureError(
                    f"the function uses {describe(x)}, which is none of its arguments, and a "
                    "compiled function would keep the values that it has now; pass the array as "
                    "an argument, or for a training step write compile(model, loss, optimizer)"
                )

    def backward(self, tensor: Tensor, x: Tensor, g: Any, gradient: Any) -> None:
        if self.function_began and tensor.op is not None:
            self.recorder.claim(Part(f"backward of {tensor.op.name}: to {{0}}", (_value(x),)))

    def after_rules(self, of: Tensor | None) -> None:
        """Claim the calls of the backward of the op that made a Tensor."""
        if of is not None and of.op is not None:
            wanted = tuple(_value(x) for x in of.inputs if x.requires_grad)
            places = ", ".join(f"{{{i}}}" for i in range(len(wanted)))
            self.recorder.claim(Part(f"backward of {of.op.name}: to {places}", wanted))

    def name_gradient(self, tensor: Tensor, g: Any) -> None:
        value = _value(tensor)
        if isinstance(g, RecordedArray) and not g.value.name and value.name:
            g.value.name = f"d{value.name}"

    def _name(self, op: Op) -> str:
        if op.name == "linear":
            self.layers += 1
            return f"z{self.layers}"
        if op.name in _ACTIVATIONS and self.layers:
            return f"h{self.layers}"
        return op.name

    def _fuse(self, op: SoftmaxCrossEntropy, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        """Labels of rows of logits are the common case, which has its own few lines."""
        logits, target = inputs[0].array, inputs[1].array
        if (
            len(inputs) > 2
            or not isinstance(logits, RecordedArray)
            or not isinstance(target, RecordedArray)
            or (logits.ndim, target.ndim) != (2, 1)
            or not logits.size
            or op.ignore_index is not None
            or op.reduction == "none"
            or op.axis not in (1, -1)
            or logits.dtype == np.float16
            or not np.can_cast(target.dtype, np.int64)
        ):
            return
        for call in self.recorder.calls:
            if call.function is check_labels and call.args[0] is target.value:
                call.is_unique = False  # for these lines check the labels themselves
        logits.value.name = "logits"
        divisor = len(target) if op.reduction == "mean" else 1
        loss, gradient = self.recorder.call(
            softmax_cross_entropy, (logits, target, float(divisor), op.label_smoothing), {}
        )
        loss.value.name, gradient.value.name = "loss", "dlogits"
        out.array.value = loss.value
        if out.op is not None and out.op.saved is not None:
            out.op.saved.value = gradient.value


_ACTIVATIONS = {"relu", "tanh", "sigmoid", "softplus", "gelu", "silu", "elu", "leaky_relu"}


def _with_places(formula: str, count: int) -> str:
    """A formula of so many of x, y and z, with places for the names of what they are."""
    text = formula.replace("{", "{{").replace("}", "}}")
    letters = "xyz"[:count]
    pattern = f"(?<![A-Za-z])[{letters or ' '}](?![A-Za-z])"
    return (
        re.sub(pattern, lambda match: f"{{{letters.find(match[0]) + 1}}}", text) if count else text
    )


def _value(x: Tensor) -> Value:
    """What stands for a Tensor in the program; for one that is none of it, a constant."""
    data = x.array
    return data.value if isinstance(data, RecordedArray) else Constant(data.shape, data.dtype, data)


@contextmanager
def names_of_locals(owner: Any, number_names: dict[float, str]) -> Iterator[None]:
    """Let values, and numbers, take the names of the variables that hold them.

    The variables are those of a function, or of an optimiser's methods.
    """
    code = getattr(inspect.unwrap(owner), "__code__", None) if callable(owner) else None

    def on_event(frame: Any, event: str, argument: Any) -> None:
        if event != "return":
            return
        # To ask a frame for its variables takes time, and there are many frames.
        if frame.f_code is not code if code else frame.f_locals.get("self") is not owner:
            return
        for name, x in frame.f_locals.items():
            x = x.array if isinstance(x, Tensor) else x
            if isinstance(x, (RecordedArray, RecordedNumber)) and name not in ("w", "g"):
                if code is not None or not x.value.name:
                    x.value.name, x.value.is_named = name, code is not None
            elif type(x) is float and code is None:
                number_names.setdefault(x, name)
                number_names.setdefault(1 - x, f"one_minus_{name}")

    if sys.getprofile() is not None:  # somebody profiles: then names matter less
        yield
        return
    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(None)


def names_of_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[str]:
    """What the function calls its positional arguments."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):  # what cannot be asked, and what the call itself will refuse
        return [f"x{i + 1}" for i in range(len(args))]
    names: list[str] = []
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{name}_{i + 1}" for i in range(len(value))]
        elif name not in kwargs and parameter.kind is not parameter.VAR_KEYWORD:
            names.append(name)
    return names
