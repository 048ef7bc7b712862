"""The graph of a computation: boxes of Tensors, op nodes between them, and arrows.

Nothing here depends on how the graph is drawn, and nothing writes to a Tensor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from types import FrameType
from typing import Literal, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor, sweep
from microgradx.show.computation import find_computation, why_no_gradients
from microgradx.show.graphs.clusters import Cluster, find_clusters
from microgradx.show.graphs.collapsing import Computation, OpNode, collapse, keep_newest
from microgradx.show.graphs.names import Names
from microgradx.show.graphs.summaries import Summary, summarize

#: Ops whose operands can be swapped.
COMMUTATIVE = {"add", "multiply", "maximum", "minimum"}

#: More parallel arrows than this are drawn as one.
MAX_PARALLEL_ARROWS = 3

Kind = Literal["input", "parameter", "constant", "intermediate", "output"]


class Box(NamedTuple):
    """A Tensor, as it was when the graph was built."""

    id: str
    tensor: Tensor
    kind: Kind
    name: str | None
    cluster: Cluster | None
    value: Summary
    gradient: Summary | None
    #: Whether it requires a gradient and has none, while others have one.
    lacks_gradient: bool
    #: Whether its values have changed since results were computed from them.
    has_changed: bool

    @property
    def is_finite(self) -> bool:
        return self.value.is_finite and (self.gradient is None or self.gradient.is_finite)


class Arrow(NamedTuple):
    """From a box to an op node that uses it, or from an op node to the box of a result."""

    tail: str
    head: str
    #: The position of the operand, or of the first one that the arrow stands for.
    position: int = 0
    #: Its letter in the op's formula, if the order of operands matters.
    letter: str = ""
    #: How many operands it stands for.
    times: int = 1

    @property
    def id(self) -> str:
        return f"e-{self.tail}-{self.head}-{self.position}"


@dataclass(frozen=True)
class Graph:
    """The part of a computation that is shown.

    Every node has an id: "t3" is the box of the third Tensor, "t3_op" the op that made it; "block1"
    and "chain1" stand for several ops each, "elided" for everything that is left out.
    """

    output: Tensor
    #: In the order of the computation, a leaf just before its first use.
    boxes: dict[Tensor, Box]
    #: By id, in the order of the computation.
    op_nodes: dict[str, OpNode]
    #: The number of ops that are left out.
    elided: int
    #: What the gradients are of, or why there are none, and how the graph was made to fit.
    note: str

    @property
    def title(self) -> str:
        """The title of a page or picture."""
        name = self.boxes[self.output].name
        return f"Computation graph of {name}" if name else "Computation graph"

    @property
    def nodes(self) -> int:
        """The number of nodes, including boxes."""
        return len(self.boxes) + len(self.op_nodes) + self.is_cut

    @property
    def is_cut(self) -> bool:
        """Whether anything is left out."""
        return any(arrow.tail == "elided" for arrow in self.arrows)

    @cached_property
    def arrows(self) -> list[Arrow]:
        arrows: list[Arrow] = []
        for head, node in self.op_nodes.items():
            tails = [self.node_of(x) for x in node.inputs]
            has_order = node.kind == "op" and len(tails) > 1 and node.name not in COMMUTATIVE
            counts = Counter(tails)
            for position, tail in enumerate(tails):
                if counts[tail] > MAX_PARALLEL_ARROWS or (tail == "elided" and counts[tail] > 1):
                    arrows.append(Arrow(tail, head, position, times=counts[tail]))
                    counts[tail] = 0
                elif counts[tail]:
                    letter = "xyz"[position] if position < 3 else str(position + 1)
                    arrows.append(Arrow(tail, head, position, letter if has_order else ""))
            arrows += [Arrow(head, self.node_of(out)) for out in node.outputs]
        return arrows

    @cached_property
    def clusters(self) -> dict[Cluster, str]:
        """The ids of the clusters with something inside."""
        ids: dict[Cluster, str] = {}
        boxes, op_nodes = self.boxes.values(), self.op_nodes.values()
        for cluster in (*(box.cluster for box in boxes), *(node.cluster for node in op_nodes)):
            while cluster is not None and cluster not in ids:
                ids[cluster] = f"cluster{len(ids) + 1}"
                cluster = cluster.around
        return ids

    # ------------------------------------------------------------------ where a Tensor is shown

    @cached_property
    def _hidden_in(self) -> dict[Tensor, str]:
        return {
            tensor: id
            for id, node in self.op_nodes.items()
            for tensor in (*node.members, *node.hidden)
        }

    def node_of(self, tensor: Tensor) -> str:
        """The id of the node that stands for a Tensor of the computation."""
        return self.boxes[tensor].id if tensor in self.boxes else self.op_node_of(tensor)

    def op_node_of(self, tensor: Tensor) -> str:
        """The id of the node that stands for the op that made a Tensor of the computation."""
        return self._hidden_in.get(tensor, "elided")

    def arrow_into(self, tensor: Tensor, position: int) -> str | None:
        """The id of the arrow from an input of a Tensor to its op; None if none is drawn."""
        ends = self.node_of(tensor.inputs[position]), self.op_node_of(tensor)
        ids = self._arrows_between.get(ends, [])
        own = Arrow(*ends, position).id
        return own if own in ids else next(iter(ids), None)

    def arrow_from(self, tensor: Tensor) -> str | None:
        """The id of the arrow from the op that made a Tensor to its box; None if none is drawn."""
        ends = self.op_node_of(tensor), self.node_of(tensor)
        return next(iter(self._arrows_between.get(ends, [])), None)

    @cached_property
    def _arrows_between(self) -> dict[tuple[str, str], list[str]]:
        ids: dict[tuple[str, str], list[str]] = {}
        for arrow in self.arrows:
            ids.setdefault((arrow.tail, arrow.head), []).append(arrow.id)
        return ids

    # ------------------------------------------------------------------ fewer nodes

    def keep_newest(self, max_nodes: int) -> Graph:
        """The graph with at most `max_nodes` nodes: more of the oldest are left out."""
        kept, shown = keep_newest(list(self.op_nodes.values()), max_nodes)
        op_nodes = dict(list(self.op_nodes.items())[-len(kept) :])
        gone = sum(len(node.members) for id, node in self.op_nodes.items() if id not in op_nodes)
        boxes = {tensor: box for tensor, box in self.boxes.items() if tensor in shown}
        return replace(self, boxes=boxes, op_nodes=op_nodes, elided=self.elided + gone)


def build_graph(
    output: Tensor,
    frame: FrameType,
    *,
    gradients: bool = True,
    depth: int | None = None,
    expand: Collection[str] = (),
    max_nodes: int = 200,
) -> Graph:
    """The graph of `output`, with names from the variables of a Python stack frame.

    `depth`, `expand` and `max_nodes` are as in `draw`. Raises ValueError for an unknown name in
    `expand`.
    """
    results, changed = find_computation(output)
    names = Names(frame)
    found = {output, *(x for result in results for x in result.inputs)}
    given = {
        x
        for x in found
        if x.op is None and (names.is_held(x) if x.requires_grad else names.find(x))
    }
    clusters = find_clusters(results, given)
    for name in expand:
        if name not in clusters.names:
            raise ValueError(
                f"nothing is called {name!r} in this graph, so it cannot be expanded; "
                + (
                    f"there are {', '.join(clusters.names)}"
                    if clusters.names
                    else "it has no calls"
                )
            )

    computation = Computation(output, results, given, clusters)
    partition, more_closed = collapse(computation, depth, expand, max_nodes)
    room = max_nodes if partition.nodes > max_nodes else partition.nodes + 1
    op_nodes, shown = keep_newest(partition.op_nodes, room)
    shown[output] = None
    arrived: dict[Tensor, Array] = {}
    note = ""
    if gradients and output.requires_grad:
        name = names.find(output) or "the output"
        note = why_no_gradients(output, name, results, changed)
        if not note:
            note = f"gradients of {name}"
            try:
                arrived = sweep_to(shown, output)
            except Exception as error:  # of a rule; the rest can be shown
                note = f"no gradients: {error}"

    boxes: dict[Tensor, Box] = {}

    def show(tensor: Tensor, cluster: Cluster | None) -> None:
        if tensor in shown and tensor not in boxes:
            g = arrived.get(tensor)
            boxes[tensor] = Box(
                id=f"t{len(boxes) + 1}",
                tensor=tensor,
                kind=_kind(tensor, cluster, computation),
                name=names.find(tensor),
                cluster=cluster,
                value=summarize(tensor.data),
                gradient=None if g is None else summarize(g),
                lacks_gradient=bool(arrived) and g is None and tensor.requires_grad,
                has_changed=tensor in changed,
            )

    by_id: dict[str, OpNode] = {}
    counts = Counter[str]()
    for node in op_nodes:
        for x in node.inputs:
            if x.op is None:
                show(x, clusters.innermost.get(x))
        for out in node.outputs:
            show(out, node.cluster)
        if node.kind == "op":
            by_id[f"{boxes[node.members[0]].id}_op"] = node
        else:
            counts[node.kind] += 1
            by_id[f"{node.kind}{counts[node.kind]}"] = node
    show(output, None)
    elided = len(results) - sum(len(node.members) for node in op_nodes)
    measures = ["calls closed"] if more_closed and counts["block"] else []
    measures += ["chains joined"] if counts["chain"] else []
    if measures:
        note += f"{' · ' if note else ''}{' and '.join(measures)}, to fit max_nodes={max_nodes}"
    return Graph(output, boxes, by_id, elided, note)


def sweep_to(shown: Collection[Tensor], output: Tensor) -> dict[Tensor, Array]:
    """The gradients of `output` with respect to what is shown; older ones are not computed."""
    oldest = min(x.sequence_number for x in shown if x.requires_grad)
    arrived: dict[Tensor, Array] = {}
    for tensor, g in sweep({output: np.ones_like(output.data)}):
        if tensor in shown:
            arrived[tensor] = g
        if tensor.sequence_number <= oldest:
            break
    return arrived


def _kind(tensor: Tensor, cluster: Cluster | None, computation: Computation) -> Kind:
    if tensor.op is not None:
        return "output" if tensor is computation.output else "intermediate"
    if tensor.requires_grad:
        return "parameter"
    # Other leaves are numbers in expressions, or were made by functions themselves.
    is_given = tensor in computation.given or (tensor.ndim > 0 and cluster is None)
    return "input" if is_given else "constant"
