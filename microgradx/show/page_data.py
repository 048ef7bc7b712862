"""Steps as JSON data for the scripts of a page, with each array once."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.show.captions import SIGNS, Captions, MathLabel, op_name
from microgradx.show.formulas.derivations import Einsum, Formula, LinearCombination, input_letters
from microgradx.show.graphs.graph import Graph
from microgradx.show.graphs.palette import KINDS
from microgradx.show.steps.op_probe import MAX_INPUTS
from microgradx.show.steps.steps import Bars, Step, axes_in_words

#: An array with more elements, or a longer axis beside others, is cropped.
LARGE, LONG = 4096, 128

#: How many elements of it are kept, in all and along each axis.
KEPT, KEPT_ALONG_AXIS = 1024, 32

#: How many operands of an op are shown.
MAX_OPERANDS = 4

# ---------------------------------------------------------------------------- arrays


class Arrays:
    """The arrays of a page, each stored once, however many steps show it."""

    def __init__(self) -> None:
        self.table: list[dict[str, Any]] = []
        self._positions: dict[Any, int] = {}

    def reference(self, array: Array, *, whole: bool = False) -> dict[str, Any]:
        """The reference to an array in the page's data. Large ones are cropped, unless `whole`."""
        kept = array.shape if whole else crop_shape(array.shape)
        dtype = "float32" if array.dtype in (np.float32, np.float16) else "float64"
        part = array[tuple(map(slice, kept))].astype(np.dtype(dtype).newbyteorder("<"))
        entry: dict[str, Any] = {"dtype": dtype, "bytes": base64.b64encode(part.tobytes()).decode()}
        if kept != array.shape:
            entry["kept"] = kept
        key = tuple(entry.values())
        if key not in self._positions:
            self._positions[key] = len(self.table)
            self.table.append(entry)
        return {"reference": self._positions[key], "shape": array.shape}

    def references(self, value: Any) -> Any:
        """A value with references instead of arrays, as JSON can hold it."""
        if isinstance(value, (np.ndarray, np.generic)):  # NumPy returns 0-d results as scalars
            return self.reference(np.asarray(value))
        if isinstance(value, dict):
            return {key: self.references(item) for key, item in value.items()}
        if isinstance(value, (tuple, list)):
            return [self.references(item) for item in value]
        if isinstance(value, LinearCombination):
            data = {
                "operand": value.operand,
                "bias": value.bias,
                **sparse_weights(value.weights),
            }
            return {"kind": "LinearCombination", **self.references(data)}
        if is_dataclass(value):
            return {"kind": type(value).__name__, **self.references(vars(value))}
        return value


def identity(array: Array) -> Any:
    """Equal for an array and its views of all elements, in any shape."""
    return array.__array_interface__["data"][0], array.dtype, array.size


def crop_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The number of elements kept along each axis."""
    if len(shape) < 2:
        return tuple(length if length <= LARGE else KEPT for length in shape)
    if np.prod(shape) <= LARGE and max(shape) <= LONG:
        return shape
    room = KEPT
    kept: list[int] = []
    for length in reversed(shape):  # the last axes first, as their elements are side by side
        kept.insert(0, max(1, min(length, room, KEPT_ALONG_AXIS)))
        room //= kept[0]
    return tuple(kept)


def sparse_weights(weights: Array) -> dict[str, Any]:
    """The nonzero weights for each kept element of the result, in a compressed sparse format."""
    kept = crop_shape(weights.shape[1:])
    columns = weights[(slice(None), *map(slice, kept))].reshape(len(weights), -1).T
    starts = np.cumsum([0, *np.count_nonzero(columns, axis=1)])
    starts = starts[starts <= LARGE][:LARGE]
    columns = columns[: len(starts) - 1]
    positions = np.nonzero(columns)[1]
    nonzero = columns[columns != 0]
    return {"shape": kept, "starts": starts, "positions": positions, "weights": nonzero}


# ---------------------------------------------------------------------------- steps


class PageData:
    """The data that the scripts of a page read."""

    def __init__(self, captions: Captions, graph: Graph) -> None:
        self.captions = captions
        self.graph = graph
        self.arrays = Arrays()
        self.totals: dict[Tensor, Array] = {}  # the gradients so far

    def build(self, steps: Sequence[Step]) -> dict[str, Any]:
        return {
            "steps": [self.step(step) for step in steps],
            "arrays": self.arrays.table,  # complete only now
            "visits": self.visits(steps),
            "tensors": self.tensors(steps),
            "boxes": self.boxes(steps),
        }

    def step(self, step: Step) -> dict[str, Any]:
        captions = self.captions
        data = {
            "kind": step.kind,
            "title": captions.title(step),
            "equation": captions.equation(step),
            "sentence": captions.sentence(step),
            "formula": step.formula,
            "value": step.value,
            "derivation": step.derivation,
            "local": step.local,
            "localFormula": step.local_formula,
            "localDerivation": step.local_derivation,
            "row": [*self.operands(step), self.result(step)],
            "contribution": captions.contribution(step),
            "sum": self.sum(step),
            "bars": step.bars and self.bars(step.bars),
            "nodes": self.nodes(step),
        }
        return {key: self.arrays.references(value) for key, value in data.items()}

    # ------------------------------------------------------------------ rows of arrays and signs

    def result(self, step: Step) -> dict[str, Any]:
        role = {"forward": "result", "backward": "passed on", "sum": "sum"}.get(step.kind, "")
        return array_figure(step.value, self.captions.result(step), role, hides=True)

    def operands(self, step: Step) -> list[Any]:
        """What the result is computed from, with signs between, and one after them."""
        captions, tensor = self.captions, step.tensor
        if step.kind == "seed":
            return []
        if step.kind == "sum":
            summed = sign("Σ", axes_in_words(step.axes))
            return [array_figure(step.upstream, None, "passed on"), summed]
        few = tensor.inputs[:MAX_INPUTS]
        inputs = [
            array_figure(np.asarray(x.data), captions.name(x), letter)
            for x, letter in zip(few, input_letters(len(few)), strict=True)
        ]
        if step.kind == "forward":
            op = op_name(step)
            more = len(tensor.inputs) - len(inputs)
            return join_figures(inputs, SIGNS.get(op, ""), "=" if op in SIGNS else "→", more)
        upstream = array_figure(step.upstream, captions.gradient(tensor), "upstream g")
        if step.local is not None:
            local = array_figure(step.local, captions.local(step), "local derivative")
            return join_figures([upstream, local], "·", "=")
        if isinstance(step.derivation, Einsum):
            out = array_figure(np.asarray(tensor.data), captions.name(tensor), "out")
            known = {identity(figure["array"]): figure for figure in (*inputs, out, upstream)}
            factors = [
                known.get(identity(array), array_figure(array, None, ""))
                for array in step.derivation.operands
            ]
            return join_figures(factors, "·", "=")
        return join_figures([upstream], "", "=")

    def sum(self, step: Step) -> dict[str, Any] | None:
        """The sum of several contributions: the gradient before, this one, and both together."""
        if step.contributions < 2 or step.contribution == 0:
            return None
        before = self.totals.get(step.receiver)
        self.totals[step.receiver] = step.total
        this = array_figure(step.value, None, "this one", hides=True)
        if before is None:
            return {"row": [this], "derivation": None, "total": step.total}
        is_last = step.contribution == step.contributions
        total = array_figure(step.total, None, "all" if is_last else "so far", hides=True)
        return {
            "row": [array_figure(before, None, "before"), sign("+"), this, sign("="), total],
            "derivation": Formula("{before} + {this}", {"before": before, "this": step.value}),
            "total": step.total,
        }

    def bars(self, bars: Bars) -> dict[str, Any]:
        """The bars of complete rows, of as many rows as are not too large."""
        rows, classes = bars.logits.shape
        kept = max(1, min(rows, LARGE // max(classes, 1)))
        return {
            name: None if array is None else self.arrays.reference(array[:kept], whole=True)
            for name, array in vars(bars).items()
        }

    # ------------------------------------------------------------------ the graph

    def nodes(self, step: Step) -> list[str]:
        """The nodes and arrows on the path of a value or gradient, as far as they are drawn."""
        graph, tensor = self.graph, step.tensor
        box, op_node = graph.node_of(tensor), graph.op_node_of(tensor)
        path: list[str | None]
        if step.kind == "seed":
            path = [box]
        elif step.kind == "forward":
            few = tensor.inputs[:MAX_INPUTS]
            arrows = [graph.arrow_into(tensor, i) for i in range(len(few))]
            inputs = map(graph.node_of, few)
            path = [*inputs, *arrows, op_node, graph.arrow_from(tensor), box]
        else:
            arrow = graph.arrow_into(tensor, step.position or 0)
            path = [box, graph.arrow_from(tensor), op_node, arrow, graph.node_of(step.receiver)]
        return list(dict.fromkeys(filter(None, path)))

    def visits(self, steps: Sequence[Step]) -> dict[str, list[int]]:
        """The steps of each node: those of an op, and those in which a Tensor is a receiver."""
        visits: dict[str, list[int]] = {}
        for position, step in enumerate(steps):
            nodes = {self.graph.node_of(step.receiver)}
            if step.kind in ("forward", "backward"):
                nodes.add(self.graph.op_node_of(step.tensor))
            for node in nodes:
                visits.setdefault(node, []).append(position)
        return visits

    def tensors(self, steps: Sequence[Step]) -> list[dict[str, Any]]:
        """All Tensors for the search, each with the first step that it takes part in."""
        first = {
            tensor: position
            for position, step in reversed(list(enumerate(steps)))
            for tensor in (*step.tensor.inputs[:MAX_INPUTS], step.receiver, step.tensor)
        }
        names = self.captions.names
        return [
            {"name": names[tensor], "op": tensor.op.name if tensor.op else "", "position": position}
            for tensor, position in sorted(first.items(), key=lambda item: item[1])
        ]

    def boxes(self, steps: Sequence[Step]) -> dict[str, dict[str, Any]]:
        """The steps from which on the values and gradients of boxes are known.

        Of a box that is red, also which of them are not finite, and its colours until then.
        """
        boxes = self.graph.boxes
        known: dict[str, dict[str, Any]] = {box.id: {} for box in boxes.values()}
        for box in boxes.values():
            if box.gradient is not None:  # at the end, if no step computes it
                known[box.id]["gradient"] = len(steps) - 1
            if not box.is_finite:
                parts = {"value": box.value, "gradient": box.gradient}
                known[box.id]["notFinite"] = [
                    name for name, part in parts.items() if part is not None and not part.is_finite
                ]
                known[box.id]["colours"] = KINDS[box.kind]
        for position, step in enumerate(steps):
            if step.receiver in boxes:
                if step.kind == "forward":
                    known[boxes[step.receiver].id]["value"] = position
                elif step.contribution == step.contributions:
                    known[boxes[step.receiver].id]["gradient"] = position
        return known


def array_figure(
    array: Array, label: MathLabel | None, role: str, *, hides: bool = False
) -> dict[str, Any]:
    """An array to show, with its label and role. `hides` if it is hidden while it is guessed."""
    return {"array": array, "label": label, "role": role, **({"hides": True} if hides else {})}


def join_figures(figures: list[Any], between: str, after: str, more: int = 0) -> list[Any]:
    """The first figures of them and `more`, with signs between them, and one after them."""
    parts: list[Any] = []
    for figure in figures[:MAX_OPERANDS]:
        parts += [sign(between), figure] if between and parts else [figure]
    more += max(0, len(figures) - MAX_OPERANDS)
    if more:
        parts.append(sign("…", f"{more:,} more"))
    return [*parts, sign(after)]


def sign(text: str, below: str = "") -> dict[str, str]:
    return {"sign": text, "below": below}
