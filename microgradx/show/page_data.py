"""Steps as data for the scripts of a page: arrays, each once, and what to show where."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.show.graphs.graph import Graph
from microgradx.show.narration import SIGNS, Narrator, Symbol, op_of
from microgradx.show.steps.steps import (
    Bars,
    Formula,
    Products,
    Step,
    Weighted,
    axes_in_words,
    letters,
)

#: Arrays of more elements, in all or along an axis beside others, are large.
LARGE, LONG = 4096, 128

#: Of a large array the first elements are kept, so many in all and along an axis.
IN_ALL, ALONG_AXIS = 1024, 32

#: Of an op with more inputs, so many are shown.
MOST_OPERANDS = 4

# ---------------------------------------------------------------------------- arrays


class Arrays:
    """The arrays of a page, each once, however many steps show it."""

    def __init__(self) -> None:
        self.table: list[dict[str, Any]] = []
        self._places: dict[Any, int] = {}

    def reference(self, array: Array, *, whole: bool = False) -> dict[str, Any]:
        """What stands for an array in the page's data. A large one is cropped, if not `whole`."""
        kept = array.shape if whole else cropped(array.shape)
        dtype = "float32" if array.dtype in (np.float32, np.float16) else "float64"
        part = array[tuple(map(slice, kept))].astype(np.dtype(dtype).newbyteorder("<"))
        entry: dict[str, Any] = {"dtype": dtype, "bytes": base64.b64encode(part.tobytes()).decode()}
        if kept != array.shape:
            entry["kept"] = kept
        key = tuple(entry.values())
        if key not in self._places:
            self._places[key] = len(self.table)
            self.table.append(entry)
        return {"array": self._places[key], "shape": array.shape}

    def references(self, value: Any) -> Any:
        """A value with all arrays in it replaced, as JSON can hold it."""
        if isinstance(value, np.ndarray):
            return self.reference(value)
        if isinstance(value, dict):
            return {key: self.references(item) for key, item in value.items()}
        if isinstance(value, (tuple, list)):
            return [self.references(item) for item in value]
        if isinstance(value, Weighted):
            content = {"operand": value.operand, "bias": value.bias, **sparse(value.weights)}
            return {"kind": "Weighted", **self.references(content)}
        if is_dataclass(value):
            return {"kind": type(value).__name__, **self.references(vars(value))}
        return value


def identity(array: Array) -> Any:
    """The same for an array and for views that show all of it, in another shape, say."""
    return array.__array_interface__["data"][0], array.dtype, array.size


def cropped(shape: tuple[int, ...]) -> tuple[int, ...]:
    """How many elements are kept along each axis."""
    if len(shape) < 2:
        return tuple(length if length <= LARGE else IN_ALL for length in shape)
    if np.prod(shape) <= LARGE and max(shape) <= LONG:
        return shape
    room = IN_ALL
    kept: list[int] = []
    for length in reversed(shape):  # the last axes, along which numbers lie side by side, first
        kept.insert(0, max(1, min(length, room, ALONG_AXIS)))
        room //= kept[0]
    return tuple(kept)


def sparse(weights: Array) -> dict[str, Any]:
    """The weights that are not 0, one element of the result after the other, as far as kept."""
    kept = cropped(weights.shape[1:])
    columns = weights[(slice(None), *map(slice, kept))].reshape(len(weights), -1).T
    starts = np.cumsum([0, *np.count_nonzero(columns, axis=1)])
    starts = starts[starts <= LARGE][:LARGE]
    columns = columns[: len(starts) - 1]
    places = np.nonzero(columns)[1]
    return {"shape": kept, "starts": starts, "places": places, "weights": columns[columns != 0]}


# ---------------------------------------------------------------------------- steps


class Content:
    """What the page's scripts are given of each step."""

    def __init__(self, narrator: Narrator, graph: Graph) -> None:
        self.narrator = narrator
        self.graph = graph
        self.arrays = Arrays()
        self.totals: dict[Tensor, Array] = {}  # the gradients so far

    def of_all(self, steps: Sequence[Step]) -> dict[str, Any]:
        return {
            "steps": [self.of(step) for step in steps],
            "arrays": self.arrays.table,  # which is full by now
            "visits": self.visits(steps),
            "found": self.found(steps),
            "boxes": self.boxes(steps),
        }

    def of(self, step: Step) -> dict[str, Any]:
        narrator = self.narrator
        content = {
            "kind": step.kind,
            "title": narrator.title(step),
            "equation": narrator.equation(step),
            "sentence": narrator.sentence(step),
            "formula": step.formula,
            "value": step.value,
            "how": step.how,
            "local": step.local,
            "localFormula": step.local_formula,
            "localHow": step.local_how,
            "row": [*self.operands(step), self.result(step)],
            "contribution": narrator.contribution(step),
            "sum": self.sum(step),
            "bars": step.bars and self.bars(step.bars),
            "nodes": self.nodes(step),
        }
        return {key: self.arrays.references(value) for key, value in content.items()}

    # ------------------------------------------------------------------ rows of arrays and signs

    def result(self, step: Step) -> dict[str, Any]:
        role = {"forward": "result", "backward": "passed on", "sum": "sum"}.get(step.kind, "")
        return picture(step.value, self.narrator.result(step), role, hides=True)

    def operands(self, step: Step) -> list[Any]:
        """What the result is computed from, with the signs between, and the one behind."""
        narrator, tensor = self.narrator, step.tensor
        if step.kind == "seed":
            return []
        if step.kind == "sum":
            summed = sign("Σ", axes_in_words(step.axes))
            return [picture(step.upstream, None, "passed on"), summed]
        inputs = [
            picture(np.asarray(x.data), narrator.name(x), letter)
            for x, letter in zip(tensor.inputs, letters(len(tensor.inputs)), strict=True)
        ]
        if step.kind == "forward":
            op = op_of(step)
            return joined(inputs, SIGNS.get(op, ""), "=" if op in SIGNS else "→")
        upstream = picture(step.upstream, narrator.gradient(tensor), "upstream g")
        if step.local is not None:
            local = picture(step.local, narrator.local(step), "local derivative")
            return joined([upstream, local], "·", "=")
        if isinstance(step.how, Products):
            out = picture(np.asarray(tensor.data), narrator.name(tensor), "out")
            known = {identity(shown["of"]): shown for shown in (*inputs, out, upstream)}
            factors = [
                known.get(identity(array), picture(array, None, "")) for array in step.how.operands
            ]
            return joined(factors, "·", "=")
        return joined([upstream], "", "=")

    def sum(self, step: Step) -> dict[str, Any] | None:
        """Where several contributions meet: what there was, this one, and both together."""
        if step.contributions < 2 or step.contribution == 0:
            return None
        before = self.totals.get(step.receiver)
        self.totals[step.receiver] = step.total
        this = picture(step.value, None, "this one", hides=True)
        if before is None:
            return {"row": [this], "how": None, "total": step.total}
        is_last = step.contribution == step.contributions
        total = picture(step.total, None, "all" if is_last else "so far", hides=True)
        return {
            "row": [picture(before, None, "before"), sign("+"), this, sign("="), total],
            "how": Formula("{before} + {this}", {"before": before, "this": step.value}),
            "total": step.total,
        }

    def bars(self, bars: Bars) -> dict[str, Any]:
        """All that there is of each row, of as many rows as are not too much."""
        rows, classes = bars.logits.shape
        kept = max(1, min(rows, LARGE // max(classes, 1)))
        return {
            name: None if array is None else self.arrays.reference(array[:kept], whole=True)
            for name, array in vars(bars).items()
        }

    # ------------------------------------------------------------------ the graph

    def nodes(self, step: Step) -> list[str]:
        """The nodes and arrows that a value or gradient passes, as far as they are drawn."""
        graph, tensor = self.graph, step.tensor
        box, call = graph.place_of(tensor), graph.place_of_op(tensor)
        passed: list[str | None]
        if step.kind == "seed":
            passed = [box]
        elif step.kind == "forward":
            arrows = [graph.arrow_into(tensor, i) for i in range(len(tensor.inputs))]
            inputs = map(graph.place_of, tensor.inputs)
            passed = [*inputs, *arrows, call, graph.arrow_from(tensor), box]
        else:
            arrow = graph.arrow_into(tensor, step.position or 0)
            passed = [box, graph.arrow_from(tensor), call, arrow, graph.place_of(step.receiver)]
        return list(dict.fromkeys(filter(None, passed)))

    def visits(self, steps: Sequence[Step]) -> dict[str, list[int]]:
        """The steps of each node: those of an op, and those that a Tensor receives something in."""
        visits: dict[str, list[int]] = {}
        for place, step in enumerate(steps):
            nodes = {self.graph.place_of(step.receiver)}
            if step.kind in ("forward", "backward"):
                nodes.add(self.graph.place_of_op(step.tensor))
            for node in nodes:
                visits.setdefault(node, []).append(place)
        return visits

    def found(self, steps: Sequence[Step]) -> list[dict[str, Any]]:
        """What can be searched for: all Tensors, each with the first step that it takes part in."""
        first = {
            tensor: place
            for place, step in reversed(list(enumerate(steps)))
            for tensor in (*step.tensor.inputs, step.tensor)
        }
        names = self.narrator.names
        return [
            {"name": names[tensor], "op": tensor.op.name if tensor.op else "", "place": place}
            for tensor, place in sorted(first.items(), key=lambda item: item[1])
        ]

    def boxes(self, steps: Sequence[Step]) -> dict[str, dict[str, int]]:
        """From which steps on the values and gradients of boxes are known."""
        boxes = self.graph.boxes
        known: dict[str, dict[str, int]] = {box.id: {} for box in boxes.values()}
        for box in boxes.values():
            if box.gradient is not None:  # and if no step computes it, at the end
                known[box.id]["gradient"] = len(steps) - 1
        for place, step in enumerate(steps):
            if step.receiver in boxes:
                if step.kind == "forward":
                    known[boxes[step.receiver].id]["value"] = place
                elif step.contribution == step.contributions:
                    known[boxes[step.receiver].id]["gradient"] = place
        return known


def picture(
    array: Array, symbol: Symbol | None, role: str, *, hides: bool = False
) -> dict[str, Any]:
    """An array to be shown, with what it is called and the part it plays. Predictions hide some."""
    return {"of": array, "symbol": symbol, "role": role, **({"hides": True} if hides else {})}


def joined(pictures: list[Any], between: str, behind: str) -> list[Any]:
    """Pictures, of many the first ones, with signs between them, and one behind."""
    parts: list[Any] = []
    for shown in pictures[:MOST_OPERANDS]:
        parts += [sign(between), shown] if between and parts else [shown]
    if len(pictures) > MOST_OPERANDS:
        parts.append(sign("…", f"{len(pictures) - MOST_OPERANDS} more"))
    return [*parts, sign(behind)]


def sign(text: str, below: str = "") -> dict[str, str]:
    return {"sign": text, "below": below}
