"""What a picture of a computation shows: which Tensors, their gradients, and what frames them.

Nothing here knows how it will be drawn, and nothing here writes to a Tensor.
"""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

import numpy as np

from microgradx.array_methods import Array
from microgradx.engine import Tensor, sweep
from microgradx.recording import Scope


class Graph(NamedTuple):
    """The part of a computation that is shown."""

    output: Tensor
    #: In the order of the computation; a leaf just before its first use.
    tensors: list[Tensor]
    #: The calls of composed functions and modules that a Tensor was made in, outermost first.
    scopes: dict[Tensor, list[Scope]]
    #: How many ops came before those shown.
    elided: int
    #: Leaves whose values are no longer those that the results were computed from.
    changed: set[Tensor]
    #: Of the output with respect to each Tensor that it depends on.
    gradients: dict[Tensor, Array]
    #: What the gradients are of, or why there are none.
    note: str

    @property
    def nodes(self) -> int:
        """How many boxes and ellipses a picture has: a result is both."""
        return len(self.tensors) + sum(tensor.op is not None for tensor in self.tensors)


def graph_behind(output: Tensor, gradients: bool, max_nodes: int) -> Graph:
    """`output` and what it was computed from, the newest part of it if there is too much."""
    # The engine's own walk refuses graphs of the past. A picture shows what is left of them.
    found = {output}
    unvisited = [output]
    while unvisited:
        for x in unvisited.pop().inputs:
            if x not in found:
                found.add(x)
                unvisited.append(x)
    results = sorted((t for t in found if t.op is not None), key=attrgetter("number"))
    changed = {x for result in results for x in result.inputs if x.number > result.number}

    tensors = _newest(results, max_nodes) or [output]
    elided = len(results) - sum(tensor.op is not None for tensor in tensors)

    of_tensors: dict[Tensor, Array] = {}
    name = "the output" if output.name is None else output.name
    if not (gradients and output.requires_grad):
        note = ""
    elif changed:
        note = "no gradients: leaves have changed since they were used"
    elif not all(result.inputs for result in results):
        note = "no gradients: the graph has been freed"
    elif output.size != 1:
        note = f"no gradients: {name} has {output.size} elements, not one"
    else:
        note = f"gradients of {name}"
        shown = set(tensors)
        of_tensors = {
            tensor: g for tensor, g in sweep({output: np.ones_like(output.data)}) if tensor in shown
        }
    return Graph(output, tensors, _scopes(tensors), elided, changed, of_tensors, note)


def _newest(results: list[Tensor], max_nodes: int) -> list[Tensor]:
    """As many of the newest results as fit, each preceded by the leaves that it uses first."""
    leaves: set[Tensor] = set()
    kept: list[Tensor] = []
    for result in reversed(results):
        # A leaf may be much older than the ops that use it, and still belongs beside them.
        leaves.update(x for x in result.inputs if x.op is None)
        if kept and 2 * (len(kept) + 1) + len(leaves) > max_nodes:
            break
        kept.append(result)
    tensors: dict[Tensor, None] = {}
    for result in reversed(kept):
        tensors.update((x, None) for x in result.inputs if x.op is None)
        tensors[result] = None
    return list(tensors)


def _scopes(tensors: list[Tensor]) -> dict[Tensor, list[Scope]]:
    """Which of the Tensors were made inside which call, going by the marks on the calls' results.

    A call that computed one op alone frames nothing: the op says the same.
    """
    scopes: dict[Tensor, list[Scope]] = {tensor: [] for tensor in tensors}
    for result in tensors:
        for scope in result.scopes:
            inside = {result}
            unvisited = [result]
            while unvisited:
                for x in unvisited.pop().inputs:
                    if x in scopes and x not in inside and scope.start < x.number <= result.number:
                        inside.add(x)
                        unvisited.append(x)
            if sum(tensor.op is not None for tensor in inside) > 1:
                for tensor in inside:
                    scopes[tensor].append(scope)
    for made_in in scopes.values():
        made_in.sort(key=attrgetter("start"))
    return scopes
