"""One call of a training step, or of a function, captured as a program."""

from __future__ import annotations

import copy
import functools
import inspect
import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradx.array_methods import Array, plain
from microgradx.compiler.program import (
    Call,
    Constant,
    Input,
    Part,
    Program,
    Value,
    mapped,
    values_in,
)
from microgradx.compiler.recording import (
    CaptureError,
    RecordedArray,
    RecordedGenerator,
    RecordedNumber,
    Recorder,
)
from microgradx.compiler.simplification import simplified
from microgradx.compiler.vocabulary import check_labels, joined, piece, softmax_cross_entropy
from microgradx.engine import Op, Tensor, seed_of, sweep
from microgradx.messages import described
from microgradx.nn.module import Module
from microgradx.ops.softmax import SoftmaxCrossEntropy
from microgradx.randomness import default_generator, standing_in
from microgradx.recording import enable_grad, numbers, observers

__all__ = ["Captured", "Group", "captured_function", "captured_step", "unchanged"]


@dataclass
class Group:
    """Parameters that are updated as one, in `values`, with what the optimiser keeps for them.

    Several are parts of one flat array; one alone is an array of its own shape.
    """

    parameters: dict[str, Tensor]
    values: Array
    state: dict[str, Any]


@dataclass
class Captured:
    """A program, with the arrays that it keeps and where its arguments come from."""

    program: Program
    #: What the program keeps and changes: parameters, state, constants of the model.
    kept: list[Array]
    #: What gives, at each call, the arguments after the arrays: learning rate, counts, generators.
    sources: list[Callable[[], Any]]
    #: The states in which each count is, the same in all of them, and its name.
    counters: list[tuple[list[dict[str, Any]], str]] = field(default_factory=list)
    #: How the parameters were updated together.
    groups: list[Group] = field(default_factory=list)
    #: What is made of the program's results.
    rebuilt: Callable[[Sequence[Any]], Any] | None = None


# ---------------------------------------------------------------------------- a training step


class _Capture:
    """What a program is captured with: a recorder, and the inputs that it has been given."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.naming = Naming(self.recorder)
        self.arguments: list[tuple[Input, Callable[[], Any] | None]] = []
        self.kept: list[tuple[Input, Array]] = []
        self.number_names: dict[float, str] = {}
        self._generators: dict[int, RecordedGenerator] = {}

    def argument(self, example: Array, name: str) -> RecordedArray:
        recorded = self.recorder.array(example, name)
        recorded.is_given = True
        self.arguments.append((recorded.value, None))  # type: ignore[arg-type]
        return recorded

    def keep(self, array: Array, name: str) -> RecordedArray:
        recorded = self.recorder.array(array, name)
        recorded.value.array = array  # type: ignore[attr-defined]
        self.kept.append((recorded.value, array))  # type: ignore[arg-type]
        return recorded

    def number(self, example: float, name: str, source: Callable[[], Any]) -> RecordedNumber:
        recorded = self.recorder.number(example, name)
        self.arguments.append((recorded.value, source))  # type: ignore[arg-type]
        return recorded

    def generator(self, generator: np.random.Generator) -> RecordedGenerator:
        """What stands in for a generator that the model draws from."""
        if id(generator) not in self._generators:
            recorded = self.recorder.generator(generator, "generator")
            is_default = generator is default_generator()
            source = default_generator if is_default else lambda: generator
            self.arguments.append((recorded.value, source))  # type: ignore[arg-type]
            self._generators[id(generator)] = recorded
        return self._generators[id(generator)]

    def generator_argument(self, generator: np.random.Generator, name: str) -> RecordedGenerator:
        recorded = self.recorder.generator(generator, name)
        self.arguments.append((recorded.value, None))  # type: ignore[arg-type]
        return recorded

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Ops are observed, and what is drawn is recorded."""
        observers.append(self.naming)
        token = standing_in.set(self.generator)
        try:
            with enable_grad():
                yield
        finally:
            standing_in.reset(token)
            observers.remove(self.naming)

    def captured(
        self,
        results: Sequence[RecordedArray | RecordedNumber],
        changed: Mapping[Value, RecordedArray],
    ) -> Captured:
        """The program so far, without what its results do not need."""
        ends = [recorded.value for recorded in (*results, *changed.values())]
        calls, values = simplified(self.recorder.calls, ends)
        needed = {*values, *(v for call in calls for v in values_in((call.args, call.kwargs)))}
        arguments = [(v, source) for v, source in self.arguments if source is None or v in needed]
        kept = [(v, array) for v, array in self.kept if v in needed or v in changed]
        ends = dict(zip(changed, values[len(results) :], strict=True))  # type: ignore[assignment]
        program = Program(
            calls,
            [value for value, _ in kept],
            [value for value, _ in arguments],
            values[: len(results)],
            {start: end for start, end in ends.items() if start is not end},  # type: ignore[attr-defined]
            number_names=self.number_names,
            target=self.naming.target,
        )
        sources = [source for _, source in arguments if source is not None]
        return Captured(program, [array for _, array in kept], sources)

    def fingerprint(self, start: int = 0) -> list[Any]:
        """What is the same for another capture, unless something is drawn or counted elsewhere."""
        calls = [c for c in self.recorder.calls[start:] if c.function not in (piece, joined)]
        positions: dict[Any, int] = {call: i for i, call in enumerate(calls)}

        def part(x: Any) -> Any:
            if isinstance(x, Constant):
                return x.data.tobytes()
            if isinstance(x, Value):
                return positions.get(x, x.name)
            return repr(x) if isinstance(x, (int, float)) else x

        return [(call.function, mapped(part, (call.args, call.kwargs))) for call in calls]


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
        if tensor._hooks:
            raise CaptureError(
                f"{name} has hooks, which a compiled step would not call; remove them, or write "
                "what they do into the loss"
            )
    # First to see which parameters do receive gradients, and what differs from call to call.
    first = _Capture()
    stand_ins = {tensor: first.keep(tensor._data, name) for name, tensor in parameters.items()}
    stand_ins |= {tensor: first.keep(tensor._data, name) for name, tensor in constants.items()}
    _, gradients = _differentiated(first, model, loss, stand_ins, X, y)
    used = {name: tensor for name, tensor in parameters.items() if tensor in gradients}
    if not used:
        raise ValueError(
            "the loss depends on none of the optimiser's parameters; is it that of another model? "
            "Make it with model.parameters()"
        )

    capture = _Capture()
    groups = group(used)
    flats = []
    stand_ins = {}
    for k, each in enumerate(groups):
        several = len(each.parameters) > 1
        name = _numbered("parameters", k, groups) if several else next(iter(each.parameters))
        flats.append(capture.keep(each.values, name))
        flats[-1].value.role = "parameter"  # type: ignore[attr-defined]
        start = 0
        for path, tensor in each.parameters.items():
            stand_ins[tensor] = flats[-1]
            if several:
                part = capture.recorder.call(piece, (flats[-1], start, tensor.shape), {})
                part.value.name = path
                stand_ins[tensor] = part
            start += tensor.size
    rest = {n: t for n, t in (parameters | constants).items() if t not in stand_ins}
    stand_ins |= {tensor: capture.keep(tensor._data, name) for name, tensor in rest.items()}
    (total, *output), gradients = _differentiated(capture, model, loss, stand_ins, X, y)
    if capture.fingerprint() != first.fingerprint():
        raise CaptureError(
            "the model, or the loss, computes something else each time it is called, with numbers "
            "that are drawn or counted outside of it; let Dropout draw, or "
            "microgradx.default_generator(), and pass what changes as a part of X or y"
        )

    changed: dict[Value, RecordedArray] = {}
    counted: dict[Value, tuple[list[dict[str, Any]], str]] = {}
    shared: dict[tuple[str, int], RecordedNumber] = {}
    stand_in = copy.copy(optimizer)
    stand_in.lr = capture.number(float(optimizer.lr), "lr", lambda: float(optimizer.lr))
    for k, (each, flat) in enumerate(zip(groups, flats, strict=True)):
        several = len(each.parameters) > 1
        suffix = _numbered("", k, groups) if several else f"_{next(iter(each.parameters))}"
        grads = [gradients[tensor] for tensor in each.parameters.values()]
        whole = grads[0]
        if several:
            whole = capture.recorder.call(joined, tuple(grads), {})
            whole.value.name = _numbered("gradients", k, groups)
        state: dict[str, Any] = {}
        before: dict[str, Value] = {}
        for name, value in each.state.items():
            if isinstance(value, np.ndarray):
                state[name] = capture.keep(value, f"{name}{suffix}")
                state[name].value.role = "state"
            elif (name, value) in shared:
                state[name] = shared[name, value]
            else:
                source = operator.itemgetter(name)
                number = capture.number(value, name, lambda s=source, e=each: s(e.state))  # type: ignore[misc]
                state[name] = shared[name, value] = number
            before[name] = state[name].value
            if isinstance(value, int):
                counted.setdefault(before[name], ([], name))[0].append(each.state)
        rehearsed = _rehearsed(capture, stand_in, flat, whole, state)
        start = len(capture.recorder.calls)
        updated = flat.copy()
        with _names_of_locals(stand_in, capture.number_names):
            stand_in.update(updated, whole, state)
        if state.keys() != before.keys():
            return None
        if capture.fingerprint(start) != rehearsed:
            raise CaptureError(
                "the optimiser's update computes something else each time it is called, with "
                "numbers that are drawn or counted outside of its arguments; keep counts in the "
                "state, as integers"
            )
        changed[flat.value] = updated
        for name, recorded in state.items():
            if isinstance(recorded, RecordedArray):
                changed[before[name]] = recorded
            else:
                _check_counter(recorded, before[name], name)
    capture.recorder.claim(Part(f"update: {type(optimizer).__name__}"))
    captured = capture.captured([total, *output], changed)
    for value, (states, name) in counted.items():
        captured.program.counters.append(value)  # type: ignore[arg-type]
        captured.counters.append((states, name))
    captured.groups = groups
    return captured


def _rehearsed(
    capture: _Capture, optimizer: Any, w: RecordedArray, g: RecordedArray, state: dict[str, Any]
) -> list[Any]:
    """The fingerprint of an update that leaves nothing behind."""
    start = len(capture.recorder.calls)
    copies = {k: v.copy() if isinstance(v, RecordedArray) else v for k, v in state.items()}
    optimizer.update(w.copy(), g, copies)
    fingerprint = capture.fingerprint(start)
    del capture.recorder.calls[start:]
    return fingerprint


def _numbered(name: str, k: int, groups: Sequence[Group]) -> str:
    """A name for what a group has, with a number if several groups have such."""
    alike = [i for i, group in enumerate(groups) if len(group.parameters) > 1]
    return name if len(alike) == 1 else f"{name}{alike.index(k) + 1}"


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
    capture: _Capture,
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
        for tensor, g in sweep({total: seed_of(total, None, False)}, run_hooks=True):
            naming.after_rules(of)
            naming.name_gradient(tensor, g)
            of = tensor
            if tensor in stand_ins:
                gradients[tensor] = g
        naming.after_rules(of)
        total._data.value.name, total._data.value.is_named = "loss", True
        loss_of_one: Any = np.reshape(total._data, ()) if total.ndim else total._data
        results: list[RecordedArray] = [loss_of_one]
        if isinstance(output, Tensor) and isinstance(output._data, RecordedArray):
            results.append(output._data)
        return results, gradients


# ---------------------------------------------------------------------------- a function


def captured_function(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Captured:
    """A function of the arrays among its arguments; all else is the same in every call."""
    captures = []
    names = _names_of_arguments(function, args, kwargs)
    for _ in range(2):
        capture = _Capture()
        capture.naming.function_began = next(numbers)

        def recorded(name: str, x: Any, capture: _Capture = capture) -> Any:
            return mapped(functools.partial(_recorded_argument, capture, name), x)

        with capture.recording(), _names_of_locals(function, capture.number_names):
            result = function(
                *map(recorded, names, args),
                **{name: recorded(name, x) for name, x in kwargs.items()},
            )
        captures.append((capture, result))
    if captures[0][0].fingerprint() != captures[1][0].fingerprint():
        raise CaptureError(
            "the function computes something else each time it is called, with numbers that are "
            "drawn or counted outside of it; pass what changes as an argument: an array, or a "
            "numpy.random.Generator to draw from"
        )
    results: list[RecordedArray | RecordedNumber] = []

    def placed(x: Any) -> Any:
        if isinstance(x, Tensor):
            x = x._data
        if isinstance(x, np.ndarray):
            x = capture.recorder.constant(x)
        if not isinstance(x, (RecordedArray, RecordedNumber)):
            return x
        results.append(x)
        x.value.name = x.value.name or "result"
        return _Result(len(results) - 1)

    structure = mapped(placed, result)
    captured = capture.captured(results, {})
    captured.rebuilt = lambda arrays: mapped(
        lambda x: arrays[x.position] if isinstance(x, _Result) else x, structure
    )
    return captured


@dataclass
class _Result:
    """The place of a result of the program in what the function gives."""

    position: int


def _recorded_argument(capture: _Capture, name: str, x: Any) -> Any:
    x = plain(x)
    if isinstance(x, np.random.Generator):
        return capture.generator_argument(x, name)
    return capture.argument(np.asarray(x), name) if isinstance(x, (np.ndarray, np.generic)) else x


def _names_of_arguments(
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
    before = {tensor: (tensor._data, tensor.number) for tensor in stand_ins}
    try:
        for tensor, recorded in stand_ins.items():
            tensor._data = recorded
            recorded.is_given = True
        yield
    finally:
        for tensor, (array, number) in before.items():
            tensor._data, tensor.number = array, number


@contextmanager
def _names_of_locals(owner: Any, number_names: dict[float, str]) -> Iterator[None]:
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
            x = x._data if isinstance(x, Tensor) else x
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
        data = out._data
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
            is_outside = x.is_leaf and x.number < self.function_began
            if is_outside and x.requires_grad and not isinstance(x._data, RecordedArray):
                raise CaptureError(
                    f"the function uses {described(x)}, which is none of its arguments, and a "
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
        logits, target = inputs[0]._data, inputs[1]._data
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
        out._data.value = loss.value
        if out.op is not None and out.op.kept is not None:
            out.op.kept.value = gradient.value


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
    data = x._data
    return data.value if isinstance(data, RecordedArray) else Constant(data.shape, data.dtype, data)
