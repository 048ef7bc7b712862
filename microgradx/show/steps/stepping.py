"""A computation step by step: forward as it was computed, and back as the engine goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby, islice
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.broadcasting import broadcast_axes, unbroadcast
from microgradx.arrays.types import Array, as_array, as_read_only
from microgradx.engine import Tensor, initial_gradient, sweep
from microgradx.graph.observers import observe
from microgradx.show.computation import computation_of, why_no_gradients
from microgradx.show.steps.chain_rule import passed_on
from microgradx.show.steps.forward import how_computed
from microgradx.show.steps.op_probe import Application
from microgradx.show.steps.softmax import bars_of
from microgradx.show.steps.steps import Formula, How, Reduced, Step, axes_in_words
from microgradx.show.steps.symbolic import shown

__all__ = ["Steps", "steps_of"]


@dataclass(frozen=True, eq=False)
class Steps(Sequence[Step]):
    """The steps forward to a Tensor and, if it is a single number, back from it."""

    output: Tensor
    #: The whole computation in its order, a leaf just before its first use.
    tensors: list[Tensor]
    steps: list[Step]
    #: How many more there are: forward steps before those given, and backward steps after them.
    left_out: tuple[int, int]
    #: Why there are no steps back; empty if there are.
    note: str

    def __getitem__(self, index: Any) -> Any:
        return self.steps[index]

    def __len__(self) -> int:
        return len(self.steps)


def steps_of(output: Tensor, limit: int = 400) -> Steps:
    """The steps in which `output` was computed, and those of its backpropagation.

    Of more than `limit` steps, those next to the output are given: the newest of the forward ones
    and the first of the backward ones. Nothing is written to a Tensor, and no hook is run. The
    steps hold the Tensors' own arrays: what is written to these later, they show too.
    """
    results, changed = computation_of(output)
    name = "the output" if output.name is None else output.name
    note = why_no_gradients(output, name, results, changed)
    with np.errstate(all="ignore"):  # what overflows is seen in the steps
        swept = Swept.back_from(output, results, limit) if not note else Swept([], Counter(), 0)
        newest = min(len(results), max(limit - swept.steps, limit // 2))
        oldest = len(results) - newest
        explained = Explained(output)
        steps = list(map(explained.forward, results[oldest:]))
        if not note:
            steps += islice(explained.backward(swept), limit - newest)
    left_out = oldest, swept.steps - (len(steps) - newest)
    tensors = dict.fromkeys(x for result in results for x in (*result.inputs, result))
    return Steps(output, list(tensors) or [output], steps, left_out, note)


# ---------------------------------------------------------------------------- listening to a sweep


class Contribution(NamedTuple):
    """What the rule of a Tensor's op answered for one of its inputs."""

    tensor: Tensor
    receiver: Tensor
    g: Array
    answer: Array


class Swept(NamedTuple):
    """What was heard of a sweep."""

    #: The first ones; of the last Tensor among them, all.
    contributions: list[Contribution]
    #: How many there are, for each receiver.
    counts: Counter[Tensor]
    #: How many steps all of them make.
    steps: int

    @classmethod
    def back_from(cls, output: Tensor, results: list[Tensor], limit: int) -> Swept:
        ours = set(results)
        heard: list[Contribution] = []
        counts: Counter[Tensor] = Counter()
        steps = 1  # the seed

        def hear(tensor: Tensor, receiver: Tensor, g: Any, answer: Any) -> None:
            nonlocal steps
            if tensor not in ours:  # a rule may itself compute gradients, of something else
                return
            counts[receiver] += 1
            steps += 1 if np.shape(answer) == receiver.shape else 2
            if len(heard) < limit or heard[-1].tensor is tensor:
                heard.append(Contribution(tensor, receiver, as_array(g), as_array(answer)))

        with observe(GradientObserver(hear)):
            for _ in sweep({output: initial_gradient(output, None, False)}):
                pass
        return cls(heard, counts, steps)


class GradientObserver:
    """Has `record(tensor, receiver, g, gradient)` called for every contribution of a sweep."""

    def __init__(self, record: Callable[..., None]) -> None:
        self.backward = record

    def forward(self, op: Any, inputs: Any, out: Any) -> None:
        pass


# ---------------------------------------------------------------------------- explaining the steps


class Explained:
    """Makes steps of results and of contributions, in their order, and numbers them."""

    def __init__(self, output: Tensor) -> None:
        self.output = output
        self.numbers = count(1)
        self.known: dict[Tensor, tuple[Application, How | None]] = {}

    def application(self, tensor: Tensor) -> tuple[Application, How | None]:
        """The op that made a Tensor, with its arrays, and how the elements of that arose."""
        if tensor not in self.known:
            applied = Application(tensor)
            self.known[tensor] = applied, how_computed(applied)
        return self.known[tensor]

    def forward(self, tensor: Tensor) -> Step:
        applied, how = self.application(tensor)
        written = shown(how.template) if isinstance(how, Formula) else ""
        name = f"{applied.op.name}({', '.join(applied.symbols)})"
        return Step(
            number=next(self.numbers),
            kind="forward",
            tensor=tensor,
            receiver=tensor,
            value=applied.out,
            formula=applied.op.formula or written or name,
            how=how,
            bars=bars_of(applied),
        )

    def backward(self, swept: Swept) -> Iterator[Step]:
        one = as_read_only(initial_gradient(self.output, None, False))
        yield Step(
            number=next(self.numbers),
            kind="seed",
            tensor=self.output,
            receiver=self.output,
            value=one,
            formula="1",
            how=Formula("1", {}),
            total=one,
        )
        totals: dict[Tensor, Array] = {}
        arrived: Counter[Tensor] = Counter()
        for _, group in groupby(swept.contributions, key=attrgetter("tensor.sequence_number")):
            contributions = list(group)
            for (tensor, x, g, answer), position in zip(
                contributions, self.positions(contributions), strict=True
            ):
                arrived[x] += 1
                gradient = as_array(unbroadcast(answer, x.data))
                totals[x] = totals[x] + gradient if x in totals else gradient
                is_broadcast = answer.shape != x.shape
                step = self.contribution(tensor, position, g, answer)
                step = replace(step, contributions=swept.counts[x])
                if is_broadcast:
                    yield step
                    step = self.sum(step, gradient)
                yield replace(step, contribution=arrived[x], total=as_read_only(totals[x]))

    def positions(self, contributions: list[Contribution]) -> list[int]:
        """Which of the op's inputs each is for: it may be given a Tensor several times."""
        tensor, *_ = contributions[0]
        wanted = [i for i, x in enumerate(tensor.inputs) if x.requires_grad]
        if len(wanted) > len(contributions):  # for some the rule has no answer
            answers = self.application(tensor)[0].answers(contributions[0].g)
            wanted = [i for i in wanted if i in answers]
        return wanted

    def contribution(self, tensor: Tensor, position: int, g: Array, answer: Array) -> Step:
        applied, how = self.application(tensor)
        g, answer = as_read_only(g), as_read_only(answer)
        return Step(
            number=next(self.numbers),
            kind="backward",
            tensor=tensor,
            receiver=tensor.inputs[position],
            value=answer,
            position=position,
            upstream=g,
            bars=bars_of(applied) if position == 0 else None,
            **passed_on(applied, how, position, g, answer)._asdict(),
        )

    def sum(self, step: Step, gradient: Array) -> Step:
        """Of what a step passed on, over the axes along which its receiver was broadcast."""
        axes = broadcast_axes(step.receiver.shape, step.value.shape)
        return replace(
            step,
            number=next(self.numbers),
            kind="sum",
            value=as_read_only(gradient),
            formula=f"summed over {axes_in_words(axes)}",
            how=Reduced(step.value, axes, "", " + ", ""),
            upstream=step.value,
            local=None,
            local_formula=None,
            local_how=None,
            axes=axes,
            bars=None,
        )
