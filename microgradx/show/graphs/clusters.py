"""Clusters: the nested calls of composed functions and modules in which a computation was made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from microgradx.engine import Tensor
from microgradx.graph.scopes import Scope


@dataclass(eq=False)
class Cluster:
    """A call of a function or module, around what was computed inside it."""

    scope: Scope
    #: The sequence number of its result.
    end: int
    #: The call around it.
    around: Cluster | None
    #: How many calls are around it.
    depth: int
    #: The result of the first op inside.
    first: Tensor
    #: How many ops are inside.
    ops: int = 0


class Clusters(NamedTuple):
    #: The innermost cluster of each result and leaf; None, or no entry, outside all calls.
    innermost: dict[Tensor, Cluster | None]
    #: The clusters that are drawn, each before those inside it.
    drawn: list[Cluster]
    #: The names of all calls, also of those that are not drawn.
    names: list[str]


def find_clusters(results: list[Tensor], given: Collection[Tensor]) -> Clusters:
    """The call in which each result and each leaf was made.

    A result is inside a call if it was made during the call, and the result of the call depends on
    it. A leaf that was not `given` to the computation is inside if all its users are, and if it was
    made during the call or is a parameter of the module. A call of one op without parameters is not
    drawn: the op says the same.
    """
    if not any(result.scopes for result in results):
        return Clusters({}, [], [])
    inside: dict[Tensor, Cluster | None] = {}
    clusters: list[Cluster] = []
    for result in reversed(results):
        cluster = inside.get(result)
        for scope in reversed(result.scopes):  # the outermost first
            depth = 0 if cluster is None else cluster.depth + 1
            cluster = Cluster(scope, result.sequence_number, cluster, depth, first=result)
            clusters.append(cluster)
        inside[result] = cluster
        if cluster is not None:
            cluster.ops += 1
            cluster.first = result
        for x in result.inputs:
            if x.op is None:
                inside[x] = innermost_common(inside.get(x, cluster), cluster)
                continue
            candidate = cluster
            while candidate is not None and x.sequence_number <= candidate.scope.start:
                candidate = candidate.around
            known = inside.get(x)
            if known is None or (candidate is not None and candidate.depth > known.depth):
                inside[x] = candidate

    outside = set(given)
    for cluster in reversed(clusters):  # the innermost first
        around = cluster.around
        if around is None:
            outside.update(module_argument(cluster))
            continue
        around.ops += cluster.ops
        around.first = min(around.first, cluster.first, key=attrgetter("sequence_number"))
    homes = {
        x: None if x in outside else home_cluster(x, cluster)
        for x, cluster in inside.items()
        if x.op is None
    }
    with_parameters = {cluster for x, cluster in homes.items() if x.requires_grad}
    shown: dict[Cluster | None, Cluster | None] = {None: None}
    for cluster in clusters:
        cluster.around = shown[cluster.around]
        cluster.depth = 0 if cluster.around is None else cluster.around.depth + 1
        shown[cluster] = (
            cluster if cluster.ops > 1 or cluster in with_parameters else cluster.around
        )
    innermost = {tensor: shown[cluster] for tensor, cluster in {**inside, **homes}.items()}
    called = sorted({cluster.scope.name for cluster in clusters})
    return Clusters(
        innermost, [cluster for cluster in clusters if shown[cluster] is cluster], called
    )


def innermost_common(one: Cluster | None, other: Cluster | None) -> Cluster | None:
    """The innermost cluster around both."""
    while one is not None and other is not None and one is not other:
        if one.depth < other.depth:
            other = other.around
        else:
            one = one.around
    return one if one is other else None


def module_argument(cluster: Cluster) -> list[Tensor]:
    """The array that a module was called with, if it is the first input of its first op.

    Layers convert arrays to Tensors, so by its sequence number the array was made inside.
    """
    inputs = cluster.first.inputs
    is_first = cluster.scope.is_module and all(x.op is None for x in inputs)
    return [x for x in inputs[:1] if is_first and x.ndim and not x.requires_grad]


def home_cluster(leaf: Tensor, cluster: Cluster | None) -> Cluster | None:
    """The innermost cluster that a leaf belongs to, of those around all its users."""
    while cluster is not None:
        if is_parameter(leaf):
            if cluster.scope.is_module:
                break
        elif cluster.scope.start < leaf.sequence_number <= cluster.end:
            break
        cluster = cluster.around
    return cluster


def is_parameter(leaf: Tensor) -> bool:
    """Whether a leaf may be a parameter of a module: trained or frozen, with a name."""
    return (leaf.requires_grad or leaf.is_frozen) and leaf.name is not None
