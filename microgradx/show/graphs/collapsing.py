"""Collapses a computation to fewer nodes: closed calls, repetitions, long chains."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

from microgradx.engine import Op, Tensor
from microgradx.show.graphs.clusters import Cluster, Clusters, is_parameter

#: A shorter run of ops needs no more room than its description.
SHORTEST_CHAIN = 3


class Computation(NamedTuple):
    """What is drawn: an output and everything that it was computed from."""

    output: Tensor
    #: In the order of the computation.
    results: list[Tensor]
    #: The leaves that the user passed in; functions and modules bring their own.
    given: Collection[Tensor]
    clusters: Clusters


@dataclass(eq=False, slots=True)
class OpNode:
    """A node between Tensors: one op, or several ops drawn as one."""

    kind: Literal["op", "block", "chain"]
    name: str
    #: The results of its ops, in the order of the computation.
    members: Sequence[Tensor]
    #: The cluster around it.
    cluster: Cluster | None
    #: Whether a module was called.
    is_module: bool = False
    #: How many equal calls in a row it stands for.
    times: int = 1
    #: Its inputs: of an op, each operand; of several ops, each Tensor once.
    inputs: Sequence[Tensor] = ()
    #: Its results, except those that only its own ops use.
    outputs: Sequence[Tensor] = ()
    #: The leaves that only its own ops use, which are not drawn.
    hidden: Sequence[Tensor] = ()
    #: How many other op nodes its inputs come from.
    sources: int = 0
    #: How many other op nodes use its results, and the last of them.
    users: int = 0
    user: OpNode | None = None

    @property
    def links(self) -> int:
        """How many op nodes there are if the ops of a chain are drawn."""
        return len(self.members) if self.kind == "chain" else 1


class Partition:
    """A computation partitioned into op nodes, and the number of nodes that are drawn."""

    def __init__(
        self,
        computation: Computation,
        closed: Mapping[Cluster | None, Cluster],
        op_nodes: Iterable[OpNode],
    ) -> None:
        self.computation = computation
        self.closed = closed
        #: In the order of the computation.
        self.op_nodes = sorted(op_nodes, key=lambda node: node.members[-1].sequence_number)
        #: The number of op nodes, and of the boxes of Tensors between them.
        self.nodes = self._connect()

    @property
    def open_nodes(self) -> int:
        """The number of nodes if all ops of chains are drawn."""
        # All op nodes of a chain but the last disappear, with their results, and hidden leaves.
        return self.nodes + sum(
            2 * (node.links - 1) + len(node.hidden)
            for node in self.op_nodes
            if node.kind == "chain"
        )

    def _connect(self) -> int:
        """Find inputs, outputs and hidden leaves of the op nodes; return the number of nodes."""
        maker: dict[Tensor, OpNode] = {}
        for node in self.op_nodes:
            node.users = 0
            maker.update(dict.fromkeys(node.members, node))
        given = {self.computation.output}
        only_user: dict[Tensor, OpNode | None] = {}  # of each leaf, if it has exactly one
        for node in self.op_nodes:
            if node.kind == "op":
                node.inputs = node.members[0].inputs
            else:
                taken = dict.fromkeys(x for member in node.members for x in member.inputs)
                own = set(node.members)
                node.inputs = [x for x in taken if x not in own]
            sources = set()
            for x in node.inputs:
                if x.op is None:
                    only_user[x] = node if only_user.get(x, node) is node else None
                else:
                    given.add(x)
                    sources.add(maker[x])
            node.sources = len(sources)
            for source in sources:
                source.users += 1
                source.user = node
        nodes = len(self.op_nodes) + len(given) + len(only_user)
        for node in self.op_nodes:
            if node.kind == "op":
                node.outputs = node.members
            else:
                node.outputs = [result for result in node.members if result in given]
                firsts = set(node.members[0].inputs)
                hidden = {
                    x: None
                    for x in node.inputs
                    if only_user.get(x) is node and self._hides(node, x, x in firsts)
                }
                node.inputs = [x for x in node.inputs if x not in hidden]
                node.hidden = list(hidden)
                nodes -= len(hidden)
        return nodes

    def _hides(self, node: OpNode, leaf: Tensor, is_first: bool) -> bool:
        """Whether a leaf that only this op node uses, its first op perhaps, is hidden in it."""
        if leaf in self.computation.given:
            return False
        if self.computation.clusters.innermost.get(leaf) in self.closed:
            return True
        if node.kind == "block":
            return node.is_module and is_parameter(leaf)
        # A chain shows the input of its first op, unless that is just a number.
        return not (is_first and (leaf.requires_grad or leaf.ndim))

    def runs(self, follows: Callable[[OpNode, OpNode], bool]) -> list[list[OpNode]]:
        """The op nodes in runs: each is used only by the next one, which `follows` it."""
        ending_with: dict[OpNode, list[OpNode]] = {}
        for node in self.op_nodes:
            run = ending_with.setdefault(node, [node])
            user = node.user
            if user is None or node.users > 1 or user.cluster is not node.cluster:
                continue
            if user not in ending_with and follows(node, user):
                del ending_with[node]
                run.append(user)
                ending_with[user] = run
        return list(ending_with.values())

    def join_repetitions(self) -> Partition:
        """The partition with equal blocks in a row as one."""
        return self._replace_by(
            [[join(run, "block")] if len(run) > 1 else run for run in self.runs(repeats)]
        )

    def join_chains(self, max_nodes: int) -> Partition:
        """The partition with the longest chains as one node each, as many as it takes to fit.

        The ops of all others are drawn.
        """
        runs = self.runs(continues)
        chains: list[list[OpNode]] = []
        if self.open_nodes > max_nodes:
            chains = [run for run in runs if count_links(run) >= SHORTEST_CHAIN]
            chains.sort(key=count_links, reverse=True)
            saved = accumulate(2 * (count_links(chain) - 1) for chain in chains)
            enough = bisect_left(list(saved), self.open_nodes - max_nodes) + 1
            del chains[enough:]
        beginnings = {chain[0] for chain in chains}
        return self._replace_by(
            [
                [join(run, "chain")]
                if run[0] in beginnings
                else [op for node in run for op in open_chain(node)]
                for run in runs
            ]
        )

    def _replace_by(self, groups: Iterable[list[OpNode]]) -> Partition:
        op_nodes = [node for group in groups for node in group]
        if set(op_nodes) == set(self.op_nodes):
            return self
        return Partition(self.computation, self.closed, op_nodes)


def count_links(run: list[OpNode]) -> int:
    return sum(node.links for node in run)


def join(run: list[OpNode], kind: Literal["block", "chain"]) -> OpNode:
    """A run of op nodes as one."""
    first = run[0]
    if len(run) == 1:
        return first
    members = [result for node in run for result in node.members]
    if kind == "block":
        return OpNode(kind, first.name, members, first.cluster, first.is_module, len(run))
    names = [link.name for node in run for link in open_chain(node)]
    return OpNode(kind, describe_chain(names), members, first.cluster)


def open_chain(node: OpNode) -> list[OpNode]:
    """The ops of a chain; anything else as it is."""
    if node.kind != "chain":
        return [node]
    return [op_node(result, node.cluster) for result in node.members]


# ---------------------------------------------------------------------------- closing and joining


def collapse(
    computation: Computation, depth: int | None, expand: Collection[str], max_nodes: int
) -> tuple[Partition, bool]:
    """Close calls nested deeper than `depth`, except those in `expand`, and join equal ones.

    If more than `max_nodes` nodes remain, calls are closed from the deepest up, then chains become
    one node each, the longest first. There may still be more nodes. Also returns whether more calls
    were closed than `depth` demands.
    """
    clusters = computation.clusters
    deepest = max((cluster.depth + 1 for cluster in clusters.drawn), default=0)
    wanted = deepest if depth is None else min(depth, deepest)
    ops_in = Counter(map(clusters.innermost.get, computation.results))

    @lru_cache
    def partition_at(depth: int) -> Partition:
        closed = outermost_closed(clusters.drawn, depth, expand)
        partition = Partition(computation, closed, ops_and_blocks(computation, closed))
        return partition.join_repetitions() if closed else partition

    def is_too_large(depth: int) -> bool:
        closed = outermost_closed(clusters.drawn, depth, expand)
        open_ops = sum(ops for cluster, ops in ops_in.items() if cluster not in closed)
        return open_ops > max_nodes or partition_at(depth).open_nodes > max_nodes

    reached = max(0, bisect_left(range(wanted + 1), True, key=is_too_large) - 1)
    return partition_at(reached).join_chains(max_nodes), reached < wanted


def outermost_closed(
    drawn: list[Cluster], depth: int, expand: Collection[str]
) -> dict[Cluster | None, Cluster]:
    """For each cluster that is closed or inside a closed one, the outermost closed one."""
    opened: set[Cluster] = set()
    for cluster in drawn:
        around: Cluster | None = cluster if cluster.scope.name in expand else None
        while around is not None and around not in opened:
            opened.add(around)
            around = around.around
    closed: dict[Cluster | None, Cluster] = {}
    for cluster in drawn:
        if cluster.around in closed:
            closed[cluster] = closed[cluster.around]
        elif cluster.depth >= depth and cluster not in opened:
            closed[cluster] = cluster
    return closed


def ops_and_blocks(
    computation: Computation, closed: Mapping[Cluster | None, Cluster]
) -> list[OpNode]:
    """The closed calls as blocks, and other ops by themselves, or in chains from the start.

    There may be millions of ops, too many to make a node of each.
    """
    innermost = computation.clusters.innermost
    inside: dict[Cluster, list[Tensor]] = {}
    for result in computation.results if closed else ():
        block = closed.get(innermost.get(result))
        if block is not None:
            inside.setdefault(block, []).append(result)
    op_nodes = [
        OpNode("block", block.scope.name, members, block.around, block.scope.is_module)
        for block, members in inside.items()
    ]
    for run in straight_runs(computation, closed):
        cluster = innermost.get(run[0])
        if len(run) < SHORTEST_CHAIN:
            op_nodes += [op_node(result, cluster) for result in run]
        else:
            op_nodes.append(OpNode("chain", describe_chain(list(map(op_name, run))), run, cluster))
    return op_nodes


def op_node(result: Tensor, cluster: Cluster | None) -> OpNode:
    return OpNode("op", op_name(result), (result,), cluster)


def op_name(result: Tensor) -> str:
    return "" if result.op is None else result.op.name


def straight_runs(
    computation: Computation, closed: Mapping[Cluster | None, Cluster]
) -> list[list[Tensor]]:
    """The open ops in runs: only the next one uses a result, and no other result beside it.

    A run lies in one cluster, and does not go on to the op of the output, which is always drawn.
    """
    innermost = computation.clusters.innermost
    runs: list[list[Tensor]] = []
    used: set[Tensor] = set()
    awaiting: dict[Tensor, list[Tensor]] = {}  # the run after each Tensor that may belong to it
    for result in reversed(computation.results):  # the newest first: all users of it are known
        sources = {x for x in result.inputs if x.op is not None}
        are_new = sources.isdisjoint(used)
        if not are_new:
            for x in sources:
                awaiting.pop(x, None)
        cluster = innermost.get(result)
        if cluster not in closed:
            run = awaiting.pop(result, None)
            if run is None or innermost.get(run[-1]) is not cluster:
                run = []
                runs.append(run)
            run.append(result)
            if are_new and len(sources) == 1 and result is not computation.output:
                awaiting.update(dict.fromkeys(sources, run))
        used |= sources
    for run in runs:
        run.reverse()
    return runs


def repeats(node: OpNode, user: OpNode) -> bool:
    """Whether two closed calls are equal: the same ops on arrays of equal shapes and dtypes."""
    if not node.kind == user.kind == "block" or node.name != user.name:
        return False
    if len(node.members) != len(user.members):
        return False
    places = {result: i for i, result in enumerate(node.members)}
    users_places = {result: i for i, result in enumerate(user.members)}
    return all(
        are_same_op(one.op, other.op)
        and len(one.inputs) == len(other.inputs)
        and all(
            x.shape == y.shape and x.dtype == y.dtype and places.get(x) == users_places.get(y)
            for x, y in zip(one.inputs, other.inputs, strict=True)
        )
        for one, other in zip(node.members, user.members, strict=True)
    )


def are_same_op(op: Op | None, other: Op | None) -> bool:
    """Whether two ops compute the same: equal classes, with equal settings."""
    if op is other:
        return True
    settings, others = (
        {name: value for name, value in vars(x).items() if name != "saved"} for x in (op, other)
    )
    return type(op) is type(other) and repr(settings) == repr(others)


def continues(node: OpNode, user: OpNode) -> bool:
    """Whether the user of a node depends on no other op."""
    return user.sources == 1 and user.users > 0  # the op of the output is always drawn


def describe_chain(names: list[str]) -> str:
    """The ops of a chain, with repetitions counted.

    >>> describe_chain(["tanh", "multiply", "tanh", "multiply", "sum"])
    '(tanh, multiply) ×2, sum'
    >>> describe_chain(["add", "exp", "log", "tanh"])
    'add, exp, log, …'
    """
    parts: list[str] = []
    begin = 0
    while begin < len(names) and len(parts) < 3:
        # The longest repetition from here on, of units of up to four names.
        times = {length: count_repetitions(names, begin, length) for length in range(1, 5)}
        length = max(times, key=lambda length: (times[length] - 1) * length)
        unit = ", ".join(names[begin : begin + length])
        if times[length] > 1:
            unit = f"({unit}) ×{times[length]:,}" if length > 1 else f"{unit} ×{times[length]:,}"
        parts.append(unit)
        begin += length * times[length]
    return ", ".join(parts) + (", …" if begin < len(names) else "")


def count_repetitions(names: list[str], begin: int, length: int) -> int:
    """How often the next `length` names are repeated in a row."""
    unit = names[begin : begin + length]
    end = begin + length
    while names[end : end + length] == unit:
        end += length
    return (end - begin) // length


# ---------------------------------------------------------------------------- leaving out


def keep_newest(op_nodes: list[OpNode], max_nodes: int) -> tuple[list[OpNode], dict[Tensor, None]]:
    """As many of the newest op nodes as fit, and the Tensors that are drawn beside them.

    One node is reserved for the elided ones. The newest op node is always kept, with as many of its
    leaves as fit.
    """
    kept: list[OpNode] = []
    shown: dict[Tensor, None] = {}
    for node in reversed(op_nodes):
        leaves = [x for x in dict.fromkeys(node.inputs) if x.op is None and x not in shown]
        others = 1 + len(kept) + 1 + len(shown) + len(node.outputs)
        if others + len(leaves) > max_nodes:
            if kept:
                break
            leaves = leaves[: max(0, max_nodes - others)]
        kept.append(node)
        shown.update(dict.fromkeys([*node.outputs, *leaves]))
    return kept[::-1], shown
