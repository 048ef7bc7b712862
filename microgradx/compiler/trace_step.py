"""Trace one training step: forward, backward and update."""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, present_values
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
    clip: Callable[[list[Array]], list[Array]],
    scheduled: Collection[str],
    X: Array,
    y: Array,
) -> TracedProgram:
    """Trace a step on a batch.

    `group` returns the groups in which parameters that receive gradients are updated, and `clip`
    their gradients as the update is to take them; `scheduled` are the names of the settings that
    are arguments of the program.
    """
    # A first trace shows which parameters receive gradients, and what differs from call to call.
    first = ProgramBuilder()
    arrays = {
        t: first.add_persistent(t.array, name) for name, t in (parameters | constants).items()
    }
    _, gradients, _ = _trace_gradients(first, model, loss, arrays, X, y)
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
    results, gradients, buffers = _trace_gradients(builder, model, loss, arrays, X, y)
    if builder.fingerprint() != first.fingerprint():
        raise CaptureError(
            "the model, or the loss, computes something else each time it is called, with numbers "
            "that are drawn or counted outside of it; let Dropout draw, or default_generator() of "
            "microgradx.common.randomness, and pass what changes as a part of X or y"
        )
    update = _UpdateTracer(builder, optimizer, scheduled)
    suffixes = _name_suffixes(groups)
    of_groups = [
        update.flatten([gradients[t] for t in each.parameters.values()], suffix)
        for each, suffix in zip(groups, suffixes, strict=True)
    ]
    clipped = clip(of_groups)
    if clipped is not of_groups:
        builder.tracer.add_comment(Comment("clip the gradients"))
    for each, w, g, suffix in zip(groups, values, clipped, suffixes, strict=True):
        update.trace(each, w, g, suffix)
    builder.tracer.add_comment(Comment(f"update: {escape_braces(type(optimizer).__name__)}"))
    traced = builder.build(results, update.updates | buffers)
    traced.buffers = {array.value: t for t, array in arrays.items() if array.value in buffers}
    traced.program.counters += update.counters
    traced.counters = list(update.counters.values())
    traced.groups = groups
    traced.has_state = update.has_state
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

    def __init__(self, builder: ProgramBuilder, optimizer: Any, scheduled: Collection[str]) -> None:
        self.builder = builder
        self.optimizer = optimizer
        self.scheduled = scheduled
        #: Parameters and arrays of the state after the step.
        self.updates: dict[Value, TracedArray] = {}
        #: For each count, the states that hold it, and its name there.
        self.counters: dict[Any, tuple[list[dict[str, Any]], str]] = {}
        #: Whether each group has the state that its update keeps.
        self.has_state = True
        self._numbers: dict[tuple[str, int], TracedNumber] = {}
        self._settings: dict[int, dict[str, Any]] = {}

    def flatten(self, gradients: list[Any], suffix: str) -> Any:
        """The gradients of a group as one array."""
        if len(gradients) == 1:
            return gradients[0]
        flat = self.builder.tracer.call(concatenate_flat, tuple(gradients), {})
        flat.value.name = f"gradients{suffix}"
        return flat

    def trace(
        self,
        group: ParameterGroup,
        w: TracedArray,
        gradient: Any,
        suffix: str,
        *,
        is_made: bool = False,
    ) -> None:
        """Trace the update of a group.

        If it makes a state, the next update is traced, for which `is_made` is true.
        """
        tracer = self.builder.tracer
        optimizer = self.optimizer.with_settings(self._trace_settings(group))
        state = {
            name: self._trace_state(group, name, value, suffix)
            for name, value in group.state.items()
        }
        before = {name: traced.value for name, traced in state.items()}
        rehearsed = self._rehearse(optimizer, w, gradient, state)
        start = len(tracer.calls)
        updated = w.copy()
        with use_variable_names(optimizer, self.builder.number_names):
            optimizer.apply_update(updated, gradient, state)
        if state.keys() != before.keys():
            if is_made:
                raise CaptureError(
                    f"the optimiser's update keeps {', '.join(state)} in a state that held "
                    f"{', '.join(before)} after its last update, and compiled steps need the same "
                    "names in each step; put all that is kept into the state in the first update"
                )
            del tracer.calls[start:]
            self.has_state = False
            made = {name: copy.deepcopy(present_values(value)) for name, value in state.items()}
            self.trace(replace(group, state=made), w, gradient, suffix, is_made=True)
            return
        if self.builder.fingerprint(start) != rehearsed:
            raise CaptureError(
                "the optimiser's update computes something else each time it is called, with "
                "numbers that are drawn or counted outside of its arguments; keep counts in the "
                "state, as integers"
            )
        for call in tracer.calls[start:]:
            call.is_update = True
        self.updates[w.value] = updated
        for name, traced in state.items():
            if isinstance(traced, TracedArray):
                self.updates[before[name]] = traced
            else:
                _check_counter(traced, before[name], name)

    def _trace_settings(self, group: ParameterGroup) -> dict[str, Any]:
        """The settings as the update reads them: those that are scheduled are arguments."""
        groups = self.optimizer.param_groups
        k = next(k for k, each in enumerate(groups) if each is group.settings)
        suffix = str(k + 1) if len(groups) > 1 else ""
        if k not in self._settings:
            self._settings[k] = {
                name: self._trace_setting(groups[k], name, suffix) if name in self.scheduled else x
                for name, x in groups[k].items()
            }
        return self._settings[k]

    def _trace_setting(self, settings: dict[str, Any], name: str, suffix: str) -> Any:
        """The number, or numbers, of a setting. Whether each is 0 is the same in all calls."""
        value = settings[name]
        is_rate = name == "lr"  # which may become 0, as updates do not branch on it
        if not isinstance(value, tuple):
            return self._add_number(name + suffix, lambda: settings[name], is_rate)
        names = [f"{name}{i + 1}{suffix and '_'}{suffix}" for i in range(len(value))]
        items = [functools.partial(lambda i: settings[name][i], i) for i in range(len(value))]
        return tuple(map(self._add_number, names, items))

    def _add_number(
        self, name: str, source: Callable[[], float], may_be_0: bool = False
    ) -> TracedNumber:
        number = self.builder.add_number(float(source()), name, source)
        number.truth = None if may_be_0 else bool(number.example)
        return number

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

    def _rehearse(
        self, optimizer: Any, w: TracedArray, g: TracedArray, state: dict[str, Any]
    ) -> list[Any]:
        """The fingerprint of an update, of which no calls remain."""
        calls = self.builder.tracer.calls
        start = len(calls)
        copies = {k: v.copy() if isinstance(v, TracedArray) else v for k, v in state.items()}
        optimizer.apply_update(w.copy(), g, copies)
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
) -> tuple[list[TracedArray], dict[Tensor, Any], dict[Value, TracedArray]]:
    """The traced loss and output, the gradients at the Tensors, and the new values of buffers."""
    inputs = builder.add_argument(X, "X"), builder.add_argument(y, "y")
    naming = builder.naming
    with _substitute_arrays(arrays) as present, builder.tracing():
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
        buffers = {
            array.value: present[tensor]
            for tensor, array in arrays.items()
            if present[tensor].value is not array.value
        }
        return results, gradients, buffers


# ---------------------------------------------------------------------------- substitution

# A Tensor belongs to one trace at a time.
_tracing = make_lock()

#: The traced arrays of Tensors, at first and at present, in the context that traces them.
_substitutes: ContextVar[tuple[dict[Tensor, Any], dict[Tensor, Any]]] = ContextVar(
    "substitutes", default=({}, {})
)


@contextmanager
def _substitute_arrays(arrays: dict[Tensor, TracedArray]) -> Iterator[dict[Tensor, TracedArray]]:
    """Let Tensors have traced arrays here, and in other threads those that they have.

    The dict that a `with` returns has the present array of each: `t.data = v` puts another there.
    """
    for traced in arrays.values():
        traced.is_read_only = True
    present = dict(arrays)
    kinds: dict[Tensor, Any] = {tensor: type(tensor) for tensor in arrays}
    sequence_numbers = [tensor.sequence_number for tensor in arrays]
    with _tracing:
        token = _substitutes.set((arrays, present))
        try:
            for tensor, kind in kinds.items():
                tensor.__class__ = _substituted_kind(kind)
            yield present
        finally:
            for tensor, number in zip(arrays, sequence_numbers, strict=True):
                tensor.__class__ = kinds[tensor]
                tensor.sequence_number = number
            _substitutes.reset(token)


@functools.cache
def _substituted_kind(kind: Any) -> Any:
    """A subclass of a kind of Tensor, whose `array` is the substitute where there is one."""

    def get(tensor: Any) -> Any:
        found = _substitutes.get()[1].get(tensor)
        return kind.array.__get__(tensor) if found is None else found

    def put(tensor: Any, array: Any) -> None:
        first, present = _substitutes.get()
        if tensor in present:  # the calls so far are those of its new value
            array.tracer.add_comment(Comment("a new value for {0}", (first[tensor].value,)))
            present[tensor] = array
        else:
            kind.array.__set__(tensor, array)

    def reduce(tensor: Any) -> Any:
        return kind, *kind.__reduce__(tensor)[1:]

    members = {"__slots__": (), "array": property(get, put), "__reduce__": reduce}
    return type(kind.__name__, (kind,), members)
