"""The table that `Module.summary` returns: layers, output shapes, how many numbers they have."""

from __future__ import annotations

import copy
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradx.common.randomness import default_generator
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import no_grad

__all__ = ["LayerSummary", "Summary", "summarise"]


@dataclass
class LayerSummary:
    """A row of a summary: a module, with its own numbers and without those of its submodules."""

    #: Its path in the model, "" for the model itself, and the part of it below the module around.
    path: str
    name: str
    #: The name of its class.
    kind: str
    #: How many modules are around it.
    depth: int
    #: The shape of the output of each call; of a tuple of outputs, a tuple of shapes.
    output_shapes: list[Any] = field(default_factory=list)
    #: How many numbers are trained, are frozen, and are in buffers.
    trainable: int = 0
    frozen: int = 0
    buffers: int = 0

    @property
    def parameters(self) -> int:
        """How many numbers its parameters have, trained or frozen."""
        return self.trainable + self.frozen

    @property
    def output_shape(self) -> Any:
        """The shape of the output of its first call; None if it was not called."""
        return self.output_shapes[0] if self.output_shapes else None


class Summary(Sequence[LayerSummary]):
    """The layers of a model, as a sequence, and as a table where it is printed.

    >>> import microgradx as mg
    >>> summary = mg.nn.MLP(4, (8,), 3).summary((5, 4))
    >>> summary
    layer         output shape  parameters
    MLP           (5, 3)
      (0) Linear  (5, 8)                40
      (1) ReLU    (5, 8)
      (2) Linear  (5, 3)                27
    <BLANKLINE>
    67 parameters, all trainable
    >>> summary.parameters, summary["2"].output_shape
    (67, (5, 3))
    """

    def __init__(self, layers: list[LayerSummary], *, has_shapes: bool = True) -> None:
        self.layers = layers
        self.has_shapes = has_shapes
        self.trainable = sum(layer.trainable for layer in layers)
        self.frozen = sum(layer.frozen for layer in layers)
        #: How many numbers are trained or frozen; what is shared counts once.
        self.parameters = self.trainable + self.frozen
        self.buffers = sum(layer.buffers for layer in layers)

    def __getitem__(self, key: Any) -> Any:
        """The layer at a position, or at a path."""
        return {x.path: x for x in self.layers}[key] if isinstance(key, str) else self.layers[key]

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        shapes = ["output shape"] * self.has_shapes
        counts = ["parameters", *[name for name in ("frozen", "buffers") if getattr(self, name)]]
        rows = [["layer", *shapes, *counts]]
        for layer in self.layers:
            name = f"({layer.name}) " * bool(layer.name)
            numbers = [getattr(layer, count) for count in counts]
            rows.append(
                ["  " * layer.depth + name + layer.kind]
                + [_format_shapes(layer.output_shapes)] * self.has_shapes
                + [f"{number:,}" if number else "" for number in numbers]
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            first = len(cells) - len(counts)  # of the numbers, which end where others do
            cells[first:] = [cell.rjust(n) for cell, n in zip(row, widths, strict=True)][first:]
            lines.append("  ".join(cells).rstrip())
        of_them = ", all trainable"
        if self.frozen:
            of_them = f", {self.trainable:,} trainable and {self.frozen:,} frozen"
        total = f"{self.parameters:,} parameters{of_them if self.parameters else ''}"
        if self.buffers:
            total += f"; {self.buffers:,} numbers in buffers"
        return "\n".join([*lines, "", total])


def summarise(model: Any, inputs: Sequence[Any], dtype: Any) -> Summary:
    """The layers of a Module, after a call on inputs, arrays or shapes; see `Module.summary`."""
    layers = list(_list_layers(model))
    if inputs:
        for layer, shapes in zip(layers, _try_inputs(model, inputs, dtype), strict=True):
            layer.output_shapes = shapes
    return Summary(layers, has_shapes=bool(inputs))


def _list_layers(model: Any) -> Iterator[LayerSummary]:
    """The modules with their own numbers; what several of them have belongs to the first."""
    around: list[LayerSummary] = []
    counted: set[Tensor] = set()
    for path, module in model.named_modules():
        while around and around[-1].path and not path.startswith(f"{around[-1].path}."):
            around.pop()
        parent = around[-1].path if around else ""
        name = path.removeprefix(f"{parent}.") if parent else path
        layer = LayerSummary(path, name, type(module).__name__, len(around))
        parameters = [p for p in module.parameters(recurse=False) if p not in counted]
        buffers = [b for b in module.buffers(recurse=False) if b not in counted]
        counted.update(parameters, buffers)
        layer.trainable = sum(p.size for p in parameters if p.requires_grad)
        layer.frozen = sum(p.size for p in parameters if not p.requires_grad)
        layer.buffers = sum(b.size for b in buffers)
        around.append(layer)
        yield layer


# ---------------------------------------------------------------------------- calling the model


#: What may be missing before a shape; statistics of a batch need two rows.
_BATCHES: tuple[tuple[int, ...], ...] = ((), (1,), (2,))


def _try_inputs(model: Any, inputs: Sequence[Any], dtype: Any) -> list[list[Any]]:
    """For each module the shapes of its outputs, for the first reading of the inputs that fits.

    Shapes may be without the axis of the batch, and inputs may have to be integers.
    """
    shapes = [_as_shape(each) for each in inputs]
    floats = [p.dtype for p in model.parameters()]
    dtypes = [dtype] if dtype is not None else [floats[0] if floats else np.float32, np.int64]
    errors: list[Exception] = []
    for kind, batch in itertools.product(dtypes, _BATCHES):
        arrays = [
            each if shape is None else np.zeros((*batch, *shape), kind)
            for each, shape in zip(inputs, shapes, strict=True)
        ]
        try:
            return _record_shapes(model, arrays)
        except (ValueError, TypeError, IndexError) as error:
            errors.append(error)
            if all(shape is None for shape in shapes):
                raise
    # Floats where integers are needed are a TypeError: then what was said of integers counts.
    said = errors[-len(_BATCHES) :] if isinstance(errors[0], TypeError) else errors
    as_given, as_one, *_ = said
    raise ValueError(
        f"{type(model).__name__} takes no input of shape {', '.join(map(str, shapes))} ({as_given})"
        f", nor one with a batch axis before it ({as_one})"
    ) from as_given


def _as_shape(given: Any) -> tuple[int, ...] | None:
    """A shape, in which None stands for a batch of any size; None for an array."""
    if isinstance(given, (int, np.integer)):
        return (int(given),)
    if isinstance(given, (tuple, list)):
        try:
            return tuple(1 if size is None else operator.index(size) for size in given)
        except TypeError:
            pass
    return None


def _record_shapes(model: Any, arrays: list[Any]) -> list[list[Any]]:
    """Call a copy of the model in evaluation mode, which leaves the model itself as it is."""
    clone = copy.deepcopy(model).eval()
    modules = list(clone.modules())
    recorded: list[list[Any]] = [[] for _ in modules]
    for module, shapes in zip(modules, recorded, strict=True):
        vars(module)["forward"] = _recording(module.forward, shapes)
    with no_grad(), _same_random_numbers(), np.errstate(all="ignore"):
        clone(*arrays)
    return recorded


def _recording(forward: Callable[..., Any], shapes: list[Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        out = forward(*args, **kwargs)
        shapes.append(_shape_of(out))
        return out

    return call


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Let what is drawn inside be drawn again afterwards."""
    generator = default_generator().bit_generator
    ours, legacy = generator.state, np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        generator.state = ours
        np.random.set_state(legacy)  # noqa: NPY002


def _shape_of(output: Any) -> Any:
    if isinstance(output, (tuple, list)):
        return tuple(map(_shape_of, output))
    if isinstance(output, dict):
        return {name: _shape_of(each) for name, each in output.items()}
    return tuple(np.shape(output))


def _format_shapes(shapes: list[Any]) -> str:
    """Each shape once, with the number of calls if there are several."""
    texts = list(dict.fromkeys(map(str, shapes)))
    if not texts:
        return "not called"
    return ", ".join(texts) + (f" × {len(shapes)}" if len(shapes) > 1 else "")
