"""One call of a training step, captured as a program."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.compiler.capture import Capture, Captured, Group
from microgradx.compiler.ir import Call, Part, Value
from microgradx.compiler.names import names_of_locals
from microgradx.compiler.primitives import joined, piece
from microgradx.compiler.tracing import CaptureError, RecordedArray, RecordedNumber
from microgradx.engine import Tensor, initial_gradient, sweep
from microgradx.nn.module import Module

__all__ = ["captured_step", "unchanged"]


def captured_step(
    model: Callable[..., Any],
    loss: Callable[[Any, Any], Any],
    optimizer: Any,
    parameters: dict[str, Tensor],
    constants: dict[str, Tensor],
    group: Callable[[dict[str, Tensor]], list[Group]],
    X: Array,
    y: Array,
) -> Captured | None:
    """Forward, backward and update of one step; None if the optimiser keeps nothing yet.

    `group` says how the parameters that receive gradients are updated together.
    """
    for name, tensor in parameters.items():
        if tensor.hooks:
            raise CaptureError(
                f"{name} has hooks, which a compiled step would not call; remove them, or write "
                "what they do into the loss"
            )
    # First to see which parameters do receive gradients, and what differs from call to call.
    first = Capture()
    stand_ins = {t: first.keep(t.array, name) for name, t in (parameters | constants).items()}
    _, gradients = _differentiated(first, model, loss, stand_ins, X, y)
    used = {name: tensor for name, tensor in parameters.items() if tensor in gradients}
    if not used:
        raise ValueError(
            "the loss depends on none of the optimiser's parameters; is it that of another model? "
            "Make it with model.parameters()"
        )

    capture = Capture()
    groups = group(used)
    flats, stand_ins = _laid_out(capture, groups)
    rest = {n: t for n, t in (parameters | constants).items() if t not in stand_ins}
    stand_ins |= {tensor: capture.keep(tensor.array, name) for name, tensor in rest.items()}
    results, gradients = _differentiated(capture, model, loss, stand_ins, X, y)
    if capture.fingerprint() != first.fingerprint():
        raise CaptureError(
            "the model, or the loss, computes something else each time it is called, with numbers "
            "that are drawn or counted outside of it; let Dropout draw, or "
            "microgradx.default_generator(), and pass what changes as a part of X or y"
        )
    update = _Update(capture, optimizer)
    for each, flat, suffix in zip(groups, flats, _suffixes(groups), strict=True):
        if not update.record(each, flat, [gradients[t] for t in each.parameters.values()], suffix):
            return None
    capture.recorder.claim(Part(f"update: {type(optimizer).__name__}"))
    captured = capture.captured(results, update.changed)
    captured.program.counters += update.counted
    captured.counters = list(update.counted.values())
    captured.groups = groups
    return captured


def _suffixes(groups: Sequence[Group]) -> list[str]:
    """What the names of each group's arrays end in."""
    several = [group for group in groups if len(group.parameters) > 1]
    numbers = {id(group): str(k + 1) if len(several) > 1 else "" for k, group in enumerate(several)}
    return [numbers.get(id(group), f"_{next(iter(group.parameters))}") for group in groups]


def _laid_out(
    capture: Capture, groups: Sequence[Group]
) -> tuple[list[RecordedArray], dict[Tensor, RecordedArray]]:
    """The groups' arrays, kept, and what stands in each of their parameters."""
    flats, stand_ins = [], {}
    for group, suffix in zip(groups, _suffixes(groups), strict=True):
        several = len(group.parameters) > 1
        name = f"parameters{suffix}" if several else next(iter(group.parameters))
        flat = capture.keep(group.values, name)
        flat.value.role = "parameter"  # type: ignore[attr-defined]
        flats.append(flat)
        start = 0
        for path, tensor in group.parameters.items():
            stand_ins[tensor] = flat
            if several:
                stand_ins[tensor] = capture.recorder.call(piece, (flat, start, tensor.shape), {})
                stand_ins[tensor].value.name = path
            start += tensor.size
    return flats, stand_ins


class _Update:
    """What the optimiser does to each group, recorded, and what is changed by it."""

    def __init__(self, capture: Capture, optimizer: Any) -> None:
        self.capture = capture
        self.optimizer = copy.copy(optimizer)
        self.optimizer.lr = capture.number(float(optimizer.lr), "lr", lambda: float(optimizer.lr))
        #: What parameters and arrays of the state are at the end of the step.
        self.changed: dict[Value, RecordedArray] = {}
        #: Of each count, the states that it is in, and its name there.
        self.counted: dict[Any, tuple[list[dict[str, Any]], str]] = {}
        self._numbers: dict[tuple[str, int], RecordedNumber] = {}

    def record(self, group: Group, flat: RecordedArray, gradients: list[Any], suffix: str) -> bool:
        """Record the update of a group; False if the optimiser keeps nothing for it yet."""
        recorder = self.capture.recorder
        gradient = gradients[0]
        if len(gradients) > 1:
            gradient = recorder.call(joined, tuple(gradients), {})
            gradient.value.name = f"gradients{suffix}"
        state = {
            name: self._recorded(group, name, value, suffix) for name, value in group.state.items()
        }
        before = {name: recorded.value for name, recorded in state.items()}
        rehearsed = self._rehearsed(flat, gradient, state)
        start = len(recorder.calls)
        updated = flat.copy()
        with names_of_locals(self.optimizer, self.capture.number_names):
            self.optimizer.update(updated, gradient, state)
        if state.keys() != before.keys():
            return False
        if self.capture.fingerprint(start) != rehearsed:
            raise CaptureError(
                "the optimiser's update computes something else each time it is called, with "
                "numbers that are drawn or counted outside of its arguments; keep counts in the "
                "state, as integers"
            )
        self.changed[flat.value] = updated
        for name, recorded in state.items():
            if isinstance(recorded, RecordedArray):
                self.changed[before[name]] = recorded
            else:
                _check_counter(recorded, before[name], name)
        return True

    def _recorded(self, group: Group, name: str, value: Any, suffix: str) -> Any:
        """What stands in for an entry of a state; counts that agree are one argument."""
        if isinstance(value, np.ndarray):
            array = self.capture.keep(value, f"{name}{suffix}")
            array.value.role = "state"  # type: ignore[attr-defined]
            return array
        if (name, value) not in self._numbers:
            number = self.capture.number(value, name, lambda: group.state[name])
            self._numbers[name, value] = number
        number = self._numbers[name, value]
        if isinstance(value, int):
            self.counted.setdefault(number.value, ([], name))[0].append(group.state)
        return number

    def _rehearsed(self, w: RecordedArray, g: RecordedArray, state: dict[str, Any]) -> list[Any]:
        """The fingerprint of an update that leaves nothing behind."""
        calls = self.capture.recorder.calls
        start = len(calls)
        copies = {k: v.copy() if isinstance(v, RecordedArray) else v for k, v in state.items()}
        self.optimizer.update(w.copy(), g, copies)
        fingerprint = self.capture.fingerprint(start)
        del calls[start:]
        return fingerprint


def _check_counter(after: Any, before: Value, name: str) -> None:
    value = getattr(after, "value", None)
    if value is not before and not (
        isinstance(value, Call)
        and value.function is operator.add
        and value.args[0] is before
        and value.args[1] == 1
    ):
        raise CaptureError(
            f"the optimiser's update makes {name} of its state other than one greater, which "
            "compiled steps do not follow; keep numbers that change as arrays, np.zeros_like(w)"
        )


def _differentiated(
    capture: Capture,
    model: Callable[..., Any],
    loss: Callable[[Any, Any], Any],
    stand_ins: dict[Tensor, RecordedArray],
    X: Array,
    y: Array,
) -> tuple[list[RecordedArray], dict[Tensor, Any]]:
    """The loss and what the model gave, recorded, and the gradients at the Tensors."""
    inputs = capture.argument(X, "X"), capture.argument(y, "y")
    naming = capture.naming
    with _stood_in(stand_ins), capture.recording():
        output = model(inputs[0])
        total = loss(output, inputs[1])
        if not isinstance(total, Tensor) or total.size != 1 or not total.requires_grad:
            what = f"shape {total.shape}" if isinstance(total, Tensor) else type(total).__name__
            raise ValueError(
                f"the loss is {what}; it must be a Tensor of a single number that was computed "
                "from the parameters, as microgradx.cross_entropy(model(X), y) is"
            )
        gradients = {}
        of: Tensor | None = None
        for tensor, g in sweep({total: initial_gradient(total, None, False)}, run_hooks=True):
            naming.after_rules(of)
            naming.name_gradient(tensor, g)
            of = tensor
            if tensor in stand_ins:
                gradients[tensor] = g
        naming.after_rules(of)
        total.array.value.name, total.array.value.is_named = "loss", True
        loss_of_one: Any = np.reshape(total.array, ()) if total.ndim else total.array
        results: list[RecordedArray] = [loss_of_one]
        if isinstance(output, Tensor) and isinstance(output.array, RecordedArray):
            results.append(output.array)
        return results, gradients


# ---------------------------------------------------------------------------- while it is recorded


@contextmanager
def unchanged(modules: Sequence[Module]) -> Iterator[None]:
    """What `forward` sets as attributes, such as what it found, is forgotten again."""
    before = [dict(vars(module)) for module in modules]
    changes = Module.changes
    try:
        yield
    finally:
        for module, attributes in zip(modules, before, strict=True):
            vars(module).clear()
            vars(module).update(attributes)
        Module.changes = changes


@contextmanager
def _stood_in(stand_ins: dict[Tensor, RecordedArray]) -> Iterator[None]:
    """Recorded arrays in the Tensors, in place of their own."""
    before = {tensor: (tensor.array, tensor.sequence_number) for tensor in stand_ins}
    try:
        for tensor, recorded in stand_ins.items():
            tensor.array = recorded
            recorded.is_given = True
        yield
    finally:
        for tensor, (array, number) in before.items():
            tensor.array, tensor.sequence_number = array, number
