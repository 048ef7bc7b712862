"""Trace one training step: forward, backward and update."""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.threads import make_lock
from microgradx.compiler.ir import Comment, FunctionCall, Value, escape_braces
from microgradx.compiler.names import use_variable_names
from microgradx.compiler.primitives import concatenate_flat, flat_slice
from microgradx.compiler.traced_program import ParameterGroup, ProgramBuilder, TracedProgram
from microgradx.compiler.tracing import CaptureError, TracedArray, TracedNumber
from microgradx.engine import Tensor, sweep
from microgradx.graph.initial_gradient import initial_gradient

__all__ = ["trace_step"]


def trace_step(
    model: Callable[..., Any],
    loss: Callable[[Any, Any], Any],
    optimizer: Any,
    parameters: dict[str, Tensor],
    constants: dict[str, Tensor],
    group: Callable[[dict[str, Tensor]], list[ParameterGroup]],
    X: Array,
    y: Array,
) -> TracedProgram | None:
    """Trace a step on a batch; None if the optimiser has no state yet.

    `group` returns the groups in which parameters that receive gradients are updated.
    """
    for name, tensor in parameters.items():
        if tensor.hooks:
            raise CaptureError(
                f"{name} has hooks, which a compiled step would not call; remove them, or write "
                "what they do into the loss"
            )
    # A first trace shows which parameters receive gradients, and what differs from call to call.
    first = ProgramBuilder()
    arrays = {
        t: first.add_persistent(t.array, name) for name, t in (parameters | constants).items()
    }
    _, gradients = _trace_gradients(first, model, loss, arrays, X, y)
    used = {name: tensor for name, tensor in parameters.items() if tensor in gradients}
    if not used:
        raise ValueError(
            "the loss depends on none of the optimiser's parameters; is it that of another model? "
            "Make it with model.parameters()"
        )

    builder = ProgramBuilder()
    groups = group(used)
    values, arrays = _add_groups(builder, groups)
    rest = {n: t for n, t in (parameters | constants).items() if t not in arrays}
    arrays |= {tensor: builder.add_persistent(tensor.array, name) for name, tensor in rest.items()}
    results, gradients = _trace_gradients(builder, model, loss, arrays, X, y)
    if builder.fingerprint() != first.fingerprint():
        raise CaptureError(
            "the model, or the loss, computes something else each time it is called, with numbers "
            "that are drawn or counted outside of it; let Dropout draw, or default_generator() of "
            "microgradx.common.randomness, and pass what changes as a part of X or y"
        )
    update = _UpdateTracer(builder, optimizer)
    for each, w, suffix in zip(groups, values, _name_suffixes(groups), strict=True):
        if not update.trace(each, w, [gradients[t] for t in each.parameters.values()], suffix):
            return None
    builder.tracer.add_comment(Comment(f"update: {escape_braces(type(optimizer).__name__)}"))
    traced = builder.build(results, update.updates)
    traced.program.counters += update.counters
    traced.counters = list(update.counters.values())
    traced.groups = groups
    return traced


def _name_suffixes(groups: Sequence[ParameterGroup]) -> list[str]:
    """The ends of the names of each group's arrays."""
    several = [group for group in groups if len(group.parameters) > 1]
    numbers = {id(group): str(k + 1) if len(several) > 1 else "" for k, group in enumerate(several)}
    return [numbers.get(id(group), f"_{next(iter(group.parameters))}") for group in groups]


def _add_groups(
    builder: ProgramBuilder, groups: Sequence[ParameterGroup]
) -> tuple[list[TracedArray], dict[Tensor, TracedArray]]:
    """Traced arrays for the values of the groups, and for each of their parameters."""
    values, arrays = [], {}
    for group, suffix in zip(groups, _name_suffixes(groups), strict=True):
        several = len(group.parameters) > 1
        name = f"parameters{suffix}" if several else next(iter(group.parameters))
        flat = builder.add_persistent(group.values, name, role="parameter")
        values.append(flat)
        start = 0
        for path, tensor in group.parameters.items():
            arrays[tensor] = flat
            if several:
                arrays[tensor] = builder.tracer.call(flat_slice, (flat, start, tensor.shape), {})
                arrays[tensor].value.name = path
            start += tensor.size
    return values, arrays


class _UpdateTracer:
    """Traces the optimiser's update of each group."""

    def __init__(self, builder: ProgramBuilder, optimizer: Any) -> None:
        self.builder = builder
        self.optimizer = copy.copy(optimizer)
        self.optimizer.lr = builder.add_number(
            float(optimizer.lr), "lr", lambda: float(optimizer.lr)
        )
        #: Parameters and arrays of the state after the step.
        self.updates: dict[Value, TracedArray] = {}
        #: For each count, the states that hold it, and its name there.
        self.counters: dict[Any, tuple[list[dict[str, Any]], str]] = {}
        self._numbers: dict[tuple[str, int], TracedNumber] = {}

    def trace(
        self, group: ParameterGroup, w: TracedArray, gradients: list[Any], suffix: str
    ) -> bool:
        """Trace the update of a group; False if the optimiser has no state for it yet."""
        tracer = self.builder.tracer
        gradient = gradients[0]
        if len(gradients) > 1:
            gradient = tracer.call(concatenate_flat, tuple(gradients), {})
            gradient.value.name = f"gradients{suffix}"
        state = {
            name: self._trace_state(group, name, value, suffix)
            for name, value in group.state.items()
        }
        before = {name: traced.value for name, traced in state.items()}
        rehearsed = self._rehearse(w, gradient, state)
        start = len(tracer.calls)
        updated = w.copy()
        with use_variable_names(self.optimizer, self.builder.number_names):
            self.optimizer.apply_update(updated, gradient, state)
        if state.keys() != before.keys():
            return False
        if self.builder.fingerprint(start) != rehearsed:
            raise CaptureError(
                "the optimiser's update computes something else each time it is called, with "
                "numbers that are drawn or counted outside of its arguments; keep counts in the "
                "state, as integers"
            )
        self.updates[w.value] = updated
        for name, traced in state.items():
            if isinstance(traced, TracedArray):
                self.updates[before[name]] = traced
            else:
                _check_counter(traced, before[name], name)
        return True

    def _trace_state(self, group: ParameterGroup, name: str, value: Any, suffix: str) -> Any:
        """The traced entry of a state; counts that are equal are one argument."""
        if isinstance(value, np.ndarray):
            return self.builder.add_persistent(value, f"{name}{suffix}", role="state")
        if (name, value) not in self._numbers:
            number = self.builder.add_number(value, name, lambda: group.state[name])
            self._numbers[name, value] = number
        number = self._numbers[name, value]
        if isinstance(value, int):
            self.counters.setdefault(number.value, ([], name))[0].append(group.state)
        return number

    def _rehearse(self, w: TracedArray, g: TracedArray, state: dict[str, Any]) -> list[Any]:
        """The fingerprint of an update, of which no calls remain."""
        calls = self.builder.tracer.calls
        start = len(calls)
        copies = {k: v.copy() if isinstance(v, TracedArray) else v for k, v in state.items()}
        self.optimizer.apply_update(w.copy(), g, copies)
        fingerprint = self.builder.fingerprint(start)
        del calls[start:]
        return fingerprint


def _check_counter(after: Any, before: Value, name: str) -> None:
    value = getattr(after, "value", None)
    if value is not before and not (
        isinstance(value, FunctionCall)
        and value.function is operator.add
        and value.args[0] is before
        and value.args[1] == 1
    ):
        raise CaptureError(
            f"the optimiser's update changes {name} in its state other than by adding 1, which "
            "compiled steps do not support; keep numbers that change as arrays, np.zeros_like(w)"
        )


def _trace_gradients(
    builder: ProgramBuilder,
    model: Callable[..., Any],
    loss: Callable[[Any, Any], Any],
    arrays: dict[Tensor, TracedArray],
    X: Array,
    y: Array,
) -> tuple[list[TracedArray], dict[Tensor, Any]]:
    """The traced loss and output of the model, and the gradients at the Tensors."""
    inputs = builder.add_argument(X, "X"), builder.add_argument(y, "y")
    naming = builder.naming
    with _substitute_arrays(arrays), builder.tracing():
        output = model(inputs[0])
        total = loss(output, inputs[1])
        if not isinstance(total, Tensor) or total.size != 1 or not total.requires_grad:
            what = f"shape {total.shape}" if isinstance(total, Tensor) else type(total).__name__
            raise ValueError(
                f"the loss is {what}; it must be a Tensor of a single number that was computed "
                "from the parameters, as microgradx.cross_entropy(model(X), y) is"
            )
        gradients = {}
        latest: Tensor | None = None
        for tensor, g in sweep({total: initial_gradient(total)}, run_hooks=True):
            naming.end_backward(latest)
            naming.name_gradient(tensor, g)
            latest = tensor
            if tensor in arrays:
                gradients[tensor] = g
        naming.end_backward(latest)
        total.array.value.name, total.array.value.has_variable_name = "loss", True
        scalar_loss: Any = np.reshape(total.array, ()) if total.ndim else total.array
        results: list[TracedArray] = [scalar_loss]
        if isinstance(output, Tensor) and isinstance(output.array, TracedArray):
            results.append(output.array)
        return results, gradients


# ---------------------------------------------------------------------------- substitution

# A Tensor belongs to one trace at a time.
_tracing = make_lock()

#: The traced arrays of Tensors, in the context that traces them.
_substitutes: ContextVar[dict[Tensor, Any] | None] = ContextVar("substitutes", default=None)


@contextmanager
def _substitute_arrays(arrays: dict[Tensor, TracedArray]) -> Iterator[None]:
    """Let Tensors have traced arrays here, and in other threads those that they have."""
    for traced in arrays.values():
        traced.is_read_only = True
    kinds: dict[Tensor, Any] = {tensor: type(tensor) for tensor in arrays}
    with _tracing:
        token = _substitutes.set(dict(arrays))
        try:
            for tensor, kind in kinds.items():
                tensor.__class__ = _substituted_kind(kind)
            yield
        finally:
            for tensor, kind in kinds.items():
                tensor.__class__ = kind
            _substitutes.reset(token)


@functools.cache
def _substituted_kind(kind: Any) -> Any:
    """A subclass of a kind of Tensor, whose `array` is the substitute where there is one."""

    def get(tensor: Any) -> Any:
        substitutes = _substitutes.get()
        found = None if substitutes is None else substitutes.get(tensor)
        return kind.array.__get__(tensor) if found is None else found

    def put(tensor: Any, array: Any) -> None:
        substitutes = _substitutes.get()
        if substitutes is not None and tensor in substitutes:
            substitutes[tensor] = array
        else:
            kind.array.__set__(tensor, array)

    def reduce(tensor: Any) -> Any:
        return kind, *kind.__reduce__(tensor)[1:]

    members = {"__slots__": (), "array": property(get, put), "__reduce__": reduce}
    return type(kind.__name__, (kind,), members)
