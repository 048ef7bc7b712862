"""What of a computation is drawn as one node: closed calls, repetitions, long chains."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

from microgradx.engine import Op, Tensor
from microgradx.show.graphs.frames import Frame, Frames, is_parameter

#: A shorter run of ops takes as little room drawn as it takes described.
SHORTEST_CHAIN = 3


class Computation(NamedTuple):
    """What is to be drawn: an output and all that it was computed from."""

    output: Tensor
    #: In the order of the computation.
    results: list[Tensor]
    #: The leaves that it was applied to, as opposed to what functions and modules bring along.
    given: Collection[Tensor]
    frames: Frames


@dataclass(eq=False, slots=True)
class Call:
    """One node between Tensors: an op, or several ops of which no more is drawn."""

    kind: Literal["op", "block", "chain"]
    name: str
    #: The results of its ops, in the order of the computation.
    members: Sequence[Tensor]
    #: What it is drawn in.
    frame: Frame | None
    #: Whether a module was called.
    is_module: bool = False
    #: How many calls in a row, all alike, are drawn as this one.
    times: int = 1
    #: What it takes: an op each of its operands, several ops each Tensor once.
    inputs: Sequence[Tensor] = ()
    #: What it gives, but for what only its own ops use.
    outputs: Sequence[Tensor] = ()
    #: The leaves that are not drawn, as only its own ops use them.
    hidden: Sequence[Tensor] = ()
    #: How many other calls it takes something from.
    sources: int = 0
    #: How many other calls use what it gives, and the last of them.
    users: int = 0
    user: Call | None = None


class Layout:
    """The calls that a computation is drawn as, and how many nodes that makes."""

    def __init__(
        self, computation: Computation, closed: Mapping[Frame | None, Frame], calls: Iterable[Call]
    ) -> None:
        self.computation = computation
        self.closed = closed
        #: In the order of the computation.
        self.calls = sorted(calls, key=lambda call: call.members[-1].sequence_number)
        #: The calls, and the boxes of Tensors between them.
        self.nodes = self._connect()

    def _connect(self) -> int:
        """Find what the calls take, give, and keep to themselves; gives the number of nodes."""
        maker: dict[Tensor, Call] = {}
        for call in self.calls:
            call.users = 0
            for result in call.members:
                maker[result] = call
        given = {self.computation.output}
        only_user: dict[Tensor, Call | None] = {}  # of each leaf, if there is one alone
        for call in self.calls:
            if call.kind == "op":
                call.inputs = call.members[0].inputs
            else:
                taken = dict.fromkeys(x for member in call.members for x in member.inputs)
                call.inputs = [x for x in taken if maker.get(x) is not call]
            sources = set()
            for x in call.inputs:
                if x.op is None:
                    only_user[x] = call if only_user.get(x, call) is call else None
                else:
                    given.add(x)
                    sources.add(maker[x])
            call.sources = len(sources)
            for source in sources:
                source.users += 1
                source.user = call
        nodes = len(self.calls) + len(given) + len(only_user)
        for call in self.calls:
            if call.kind == "op":
                call.outputs = call.members
            else:
                call.outputs = [result for result in call.members if result in given]
                hidden = {
                    x: None
                    for x in call.inputs
                    if only_user.get(x) is call and self._keeps(call, x)
                }
                call.inputs = [x for x in call.inputs if x not in hidden]
                call.hidden = list(hidden)
                nodes -= len(hidden)
        return nodes

    def _keeps(self, call: Call, leaf: Tensor) -> bool:
        """Whether a leaf that is used by this call alone is hidden in it."""
        if leaf in self.computation.given:
            return False
        if self.computation.frames.innermost[leaf] in self.closed:
            return True
        if call.kind == "block":
            return call.is_module and is_parameter(leaf)
        # A chain is about what its first op takes, unless that is just a number.
        is_first = any(x is leaf for x in call.members[0].inputs)
        return not (is_first and (leaf.requires_grad or leaf.ndim))

    def runs(self, follows: Callable[[Call, Call], bool]) -> list[list[Call]]:
        """The runs of calls in which each is used by the next alone, which `follows` it."""
        ending_with: dict[Call, list[Call]] = {}
        for call in self.calls:
            user = call.user
            if user is None or call.users > 1 or user.frame is not call.frame:
                continue
            if user not in ending_with and follows(call, user):
                run = ending_with.pop(call, [call])
                run.append(user)
                ending_with[user] = run
        return list(ending_with.values())

    def joined(self, kind: Literal["block", "chain"], runs: Iterable[list[Call]]) -> Layout:
        """With each of these runs as one call."""
        calls = dict.fromkeys(self.calls)
        for run in runs:
            for call in run:
                del calls[call]
            members = [result for call in run for result in call.members]
            first = run[0]
            if kind == "block":
                joined = Call(kind, first.name, members, first.frame, first.is_module, len(run))
            else:
                joined = Call(kind, pattern([call.name for call in run]), members, first.frame)
            calls[joined] = None
        return Layout(self.computation, self.closed, calls)


# ---------------------------------------------------------------------------- closing and joining


def collapsed(
    computation: Computation, depth: int | None, expand: Collection[str], max_nodes: int
) -> tuple[Layout, bool]:
    """Calls nested deeper than `depth` closed, but for those in `expand`, and like ones joined.

    If that makes more than `max_nodes` nodes, calls are closed from the deepest up, and then chains
    become one node each, the longest first. There may still be more. Also gives whether more calls
    were closed than `depth` says.
    """
    frames = computation.frames
    deepest = max((frame.depth + 1 for frame in frames.calls), default=0)
    wanted = deepest if depth is None else min(depth, deepest)
    ops_in = Counter(frames.innermost[result] for result in computation.results)

    @lru_cache
    def layout_at(depth: int) -> Layout:
        closed = _closed(frames.calls, depth, expand)
        layout = Layout(computation, closed, _ops_and_blocks(computation, closed))
        repetitions = layout.runs(_repeats)
        return layout.joined("block", repetitions) if repetitions else layout

    def is_too_large(depth: int) -> bool:
        closed = _closed(frames.calls, depth, expand)
        open_ops = sum(ops for frame, ops in ops_in.items() if frame not in closed)
        return open_ops > max_nodes or layout_at(depth).nodes > max_nodes

    reached = max(0, bisect_left(range(wanted + 1), True, key=is_too_large) - 1)
    layout = layout_at(reached)
    if layout.nodes > max_nodes:
        chains = [run for run in layout.runs(_continues) if len(run) >= SHORTEST_CHAIN]
        chains.sort(key=len, reverse=True)
        # Each call of a chain but the last goes, and what it gives.
        saved = accumulate(2 * (len(chain) - 1) for chain in chains)
        enough = bisect_left(list(saved), layout.nodes - max_nodes) + 1
        layout = layout.joined("chain", chains[:enough])
    return layout, reached < wanted


def _closed(calls: list[Frame], depth: int, expand: Collection[str]) -> dict[Frame | None, Frame]:
    """Of each frame that is inside a closed one, or closed itself, the outermost closed one."""
    opened: set[Frame] = set()
    for frame in calls:
        around: Frame | None = frame if frame.scope.name in expand else None
        while around is not None and around not in opened:
            opened.add(around)
            around = around.around
    closed: dict[Frame | None, Frame] = {}
    for frame in calls:
        if frame.around in closed:
            closed[frame] = closed[frame.around]
        elif frame.depth >= depth and frame not in opened:
            closed[frame] = frame
    return closed


def _ops_and_blocks(computation: Computation, closed: Mapping[Frame | None, Frame]) -> list[Call]:
    ops: list[Call] = []
    inside: dict[Frame, list[Tensor]] = {}
    for result in computation.results:
        frame = computation.frames.innermost[result]
        block = closed.get(frame)
        if block is not None:
            inside.setdefault(block, []).append(result)
        elif result.op is not None:
            ops.append(Call("op", result.op.name, (result,), frame))
    blocks = [
        Call("block", block.scope.name, members, block.around, block.scope.is_module)
        for block, members in inside.items()
    ]
    return ops + blocks


def _repeats(call: Call, user: Call) -> bool:
    """Whether two closed calls are alike: the same ops on the same kinds of arrays."""
    if not call.kind == user.kind == "block" or call.name != user.name:
        return False
    if len(call.members) != len(user.members):
        return False
    places = {result: i for i, result in enumerate(call.members)}
    users_places = {result: i for i, result in enumerate(user.members)}
    return all(
        _are_alike(one.op, other.op)
        and len(one.inputs) == len(other.inputs)
        and all(
            x.shape == y.shape and x.dtype == y.dtype and places.get(x) == users_places.get(y)
            for x, y in zip(one.inputs, other.inputs, strict=True)
        )
        for one, other in zip(call.members, user.members, strict=True)
    )


def _are_alike(op: Op | None, other: Op | None) -> bool:
    """Whether two ops compute the same: they are of one kind, with the same settings."""
    if op is other:
        return True
    settings, others = (
        {name: value for name, value in vars(x).items() if name != "kept"} for x in (op, other)
    )
    return type(op) is type(other) and repr(settings) == repr(others)


def _continues(call: Call, user: Call) -> bool:
    """Whether what uses the call depends on nothing else that was computed."""
    return user.sources == 1 and user.users > 0  # the output's own op is always drawn


def pattern(names: list[str]) -> str:
    """What a chain consists of, with what repeats said once.

    >>> pattern(["tanh", "multiply", "tanh", "multiply", "sum"])
    '(tanh, multiply) ×2, sum'
    >>> pattern(["add", "exp", "log", "tanh"])
    'add, exp, log, …'
    """
    parts: list[str] = []
    begin = 0
    while begin < len(names) and len(parts) < 3:
        # What repeats the longest from here on, in units of up to four names.
        times = {length: _times(names, begin, length) for length in range(1, 5)}
        length = max(times, key=lambda length: (times[length] - 1) * length)
        unit = ", ".join(names[begin : begin + length])
        if times[length] > 1:
            unit = f"({unit}) ×{times[length]:,}" if length > 1 else f"{unit} ×{times[length]:,}"
        parts.append(unit)
        begin += length * times[length]
    return ", ".join(parts) + (", …" if begin < len(names) else "")


def _times(names: list[str], begin: int, length: int) -> int:
    """How often the next few names come in a row."""
    unit = names[begin : begin + length]
    end = begin + length
    while names[end : end + length] == unit:
        end += length
    return (end - begin) // length


# ---------------------------------------------------------------------------- leaving out


def newest(calls: list[Call], max_nodes: int) -> tuple[list[Call], dict[Tensor, None]]:
    """As many of the newest calls as fit, and the Tensors that are drawn beside them.

    One node is left for what stands for the others. The newest call itself is always there, with
    as many of the leaves that it takes as fit.
    """
    kept: list[Call] = []
    shown: dict[Tensor, None] = {}
    for call in reversed(calls):
        leaves = [x for x in dict.fromkeys(call.inputs) if x.op is None and x not in shown]
        others = 1 + len(kept) + 1 + len(shown) + len(call.outputs)
        if others + len(leaves) > max_nodes:
            if kept:
                break
            leaves = leaves[: max(0, max_nodes - others)]
        kept.append(call)
        shown.update(dict.fromkeys([*call.outputs, *leaves]))
    return kept[::-1], shown
