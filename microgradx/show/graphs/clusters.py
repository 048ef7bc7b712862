"""The calls of composed functions and of modules that a computation was made in, one in another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from microgradx.engine import Tensor
from microgradx.graph.scopes import Scope


@dataclass(eq=False)
class Cluster:
    """A call, for what was computed inside to be drawn in."""

    scope: Scope
    #: The number of its result.
    end: int
    #: The call that it was made in.
    around: Cluster | None
    #: How many calls are around it.
    depth: int
    #: The result of the first op inside.
    first: Tensor
    #: How many ops are inside.
    ops: int = 0


class Clusters(NamedTuple):
    #: The innermost one of every result and leaf; None for what is outside all calls.
    innermost: dict[Tensor, Cluster | None]
    #: All of them, a call before those made in it.
    drawn: list[Cluster]
    #: The names of all calls, also of those that are not framed.
    names: list[str]


def find_clusters(results: list[Tensor], given: Collection[Tensor]) -> Clusters:
    """Which call each result and each leaf is inside of.

    A result is inside a call if it was made meanwhile, and if what the call gave depends on it. A
    leaf, unless it was `given` to the computation, is inside if all that uses it is, and if it was
    made meanwhile or is a parameter of the module that was called. A call of one op that has no
    parameters frames nothing: the op says the same.
    """
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
    """The innermost frame that both are in."""
    while one is not None and other is not None and one is not other:
        if one.depth < other.depth:
            other = other.around
        else:
            one = one.around
    return one if one is other else None


def module_argument(cluster: Cluster) -> list[Tensor]:
    """The array that a module was called on, as far as it is seen: its first op takes it first.

    Layers make Tensors of arrays themselves, so going by numbers they were made inside.
    """
    inputs = cluster.first.inputs
    is_first = cluster.scope.is_module and all(x.op is None for x in inputs)
    return [x for x in inputs[:1] if is_first and x.ndim and not x.requires_grad]


def home_cluster(leaf: Tensor, cluster: Cluster | None) -> Cluster | None:
    """Of the frames around all that uses a leaf, the innermost that it belongs to."""
    while cluster is not None:
        if is_parameter(leaf):
            if cluster.scope.is_module:
                break
        elif cluster.scope.start < leaf.sequence_number <= cluster.end:
            break
        cluster = cluster.around
    return cluster


def is_parameter(leaf: Tensor) -> bool:
    """Whether a leaf may be a module's parameter: those have names, of where they are in it."""
    return leaf.requires_grad and leaf.name is not None
