"""The calls of composed functions and of modules that a computation was made in, one in another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from microgradx.engine import Tensor
from microgradx.graph.scopes import Scope


@dataclass(eq=False)
class Frame:
    """A call, for what was computed inside to be drawn in."""

    scope: Scope
    #: The number of its result.
    end: int
    #: The call that it was made in.
    around: Frame | None
    #: How many calls are around it.
    depth: int
    #: The result of the first op inside.
    first: Tensor
    #: How many ops are inside.
    ops: int = 0


class Frames(NamedTuple):
    #: The innermost one of every result and leaf; None for what is outside all calls.
    innermost: dict[Tensor, Frame | None]
    #: All of them, a call before those made in it.
    calls: list[Frame]
    #: The names of all calls, also of those that are not framed.
    names: list[str]


def frames_of(results: list[Tensor], given: Collection[Tensor]) -> Frames:
    """Which call each result and each leaf is inside of.

    A result is inside a call if it was made meanwhile, and if what the call gave depends on it. A
    leaf, unless it was `given` to the computation, is inside if all that uses it is, and if it was
    made meanwhile or is a parameter of the module that was called. A call of one op that has no
    parameters frames nothing: the op says the same.
    """
    inside: dict[Tensor, Frame | None] = {}
    frames: list[Frame] = []
    for result in reversed(results):
        frame = inside.get(result)
        for scope in reversed(result.scopes):  # the outermost first
            depth = 0 if frame is None else frame.depth + 1
            frame = Frame(scope, result.sequence_number, frame, depth, first=result)
            frames.append(frame)
        inside[result] = frame
        if frame is not None:
            frame.ops += 1
            frame.first = result
        for x in result.inputs:
            if x.op is None:
                inside[x] = _common(inside.get(x, frame), frame)
                continue
            candidate = frame
            while candidate is not None and x.sequence_number <= candidate.scope.start:
                candidate = candidate.around
            known = inside.get(x)
            if known is None or (candidate is not None and candidate.depth > known.depth):
                inside[x] = candidate

    outside = set(given)
    for frame in reversed(frames):  # the innermost first
        around = frame.around
        if around is None:
            outside.update(_argument(frame))
            continue
        around.ops += frame.ops
        around.first = min(around.first, frame.first, key=attrgetter("sequence_number"))
    homes = {
        x: None if x in outside else _home(x, frame) for x, frame in inside.items() if x.op is None
    }
    with_parameters = {frame for x, frame in homes.items() if x.requires_grad}
    shown: dict[Frame | None, Frame | None] = {None: None}
    for frame in frames:
        frame.around = shown[frame.around]
        frame.depth = 0 if frame.around is None else frame.around.depth + 1
        shown[frame] = frame if frame.ops > 1 or frame in with_parameters else frame.around
    innermost = {tensor: shown[frame] for tensor, frame in {**inside, **homes}.items()}
    called = sorted({frame.scope.name for frame in frames})
    return Frames(innermost, [frame for frame in frames if shown[frame] is frame], called)


def _common(one: Frame | None, other: Frame | None) -> Frame | None:
    """The innermost frame that both are in."""
    while one is not None and other is not None and one is not other:
        if one.depth < other.depth:
            other = other.around
        else:
            one = one.around
    return one if one is other else None


def _argument(frame: Frame) -> list[Tensor]:
    """The array that a module was called on, as far as it is seen: its first op takes it first.

    Layers make Tensors of arrays themselves, so going by numbers they were made inside.
    """
    inputs = frame.first.inputs
    is_first = frame.scope.is_module and all(x.op is None for x in inputs)
    return [x for x in inputs[:1] if is_first and x.ndim and not x.requires_grad]


def _home(leaf: Tensor, frame: Frame | None) -> Frame | None:
    """Of the frames around all that uses a leaf, the innermost that it belongs to."""
    while frame is not None:
        if is_parameter(leaf):
            if frame.scope.is_module:
                break
        elif frame.scope.start < leaf.sequence_number <= frame.end:
            break
        frame = frame.around
    return frame


def is_parameter(leaf: Tensor) -> bool:
    """Whether a leaf may be a module's parameter: those have names, of where they are in it."""
    return leaf.requires_grad and leaf.name is not None
