"""Builds the steps of a computation: forward as it ran, and backward in the engine's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby, islice
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.broadcasting import broadcast_axes, unbroadcast
from microgradx.arrays.types import Array, as_array, as_read_only
from microgradx.engine import Tensor, sweep
from microgradx.graph.initial_gradient import initial_gradient
from microgradx.graph.observers import observe
from microgradx.show.computation import find_computation, why_no_gradients
from microgradx.show.formulas.derivations import Derivation, Formula, Reduce
from microgradx.show.formulas.symbolic import display_formula
from microgradx.show.steps.chain_rule import derive_gradient
from microgradx.show.steps.forward import derive_result
from microgradx.show.steps.op_probe import OpProbe
from microgradx.show.steps.softmax import softmax_bars
from microgradx.show.steps.steps import Step, axes_in_words, shorten_list

__all__ = ["Steps", "steps_of"]


@dataclass(frozen=True, eq=False)
class Steps(Sequence[Step]):
    """The forward steps to a Tensor and, if it is a single number, the backward steps from it."""

    output: Tensor
    #: The whole computation in order, each leaf just before its first use.
    tensors: list[Tensor]
    steps: list[Step]
    #: How many steps are left out: forward ones before these steps, backward ones after them.
    left_out: tuple[int, int]
    #: Why there are no backward steps; empty if there are.
    note: str

    def __getitem__(self, index: Any) -> Any:
        return self.steps[index]

    def __len__(self) -> int:
        return len(self.steps)


def steps_of(output: Tensor, limit: int = 400) -> Steps:
    """The steps in which `output` was computed, and those of its backpropagation.

    Of more than `limit` steps, the ones nearest to the output are returned: the last forward and
    the first backward ones. Nothing is written to a Tensor, and no hook runs. The steps share
    their arrays with the Tensors, so later writes to these show.
    """
    results, changed = find_computation(output)
    name = "the output" if output.name is None else output.name
    note = why_no_gradients(output, name, results, changed)
    with np.errstate(all="ignore"):  # the steps show what overflows
        log = SweepLog(results, limit)
        try:
            if not note:
                log.sweep_from(output)
        except Exception as error:  # of a rule; the rest can be shown
            note, log = f"no gradients: {error}", SweepLog(results, limit)
        newest = min(len(results), max(limit - log.steps, limit // 2))
        oldest = len(results) - newest
        builder = StepBuilder(output)
        steps = list(map(builder.forward, results[oldest:]))
        if not note:
            steps += islice(builder.backward(log), limit - newest)
    left_out = oldest, log.steps - (len(steps) - newest)
    tensors = dict.fromkeys(x for result in results for x in (*result.inputs, result))
    return Steps(output, list(tensors) or [output], steps, left_out, note)


# ---------------------------------------------------------------------------- observing a sweep


class Contribution(NamedTuple):
    """The gradient that the rule of a Tensor's op returned for one of its inputs."""

    tensor: Tensor
    receiver: Tensor
    g: Array
    gradient: Array


class SweepLog:
    """The contributions of a sweep, which it observes: the first `limit`, and counts of all."""

    def __init__(self, results: list[Tensor], limit: int) -> None:
        self.results = set(results)
        self.limit = limit
        #: The last Tensor among them is complete, even beyond the limit.
        self.contributions: list[Contribution] = []
        #: How many contributions each receiver has.
        self.counts: Counter[Tensor] = Counter()
        #: How many steps all contributions make.
        self.steps = 0

    def sweep_from(self, output: Tensor) -> None:
        self.steps = 1  # the seed
        with observe(self):
            for _ in sweep({output: initial_gradient(output)}):
                pass

    def forward(self, op: Any, inputs: Any, out: Any) -> None:
        pass

    def backward(self, tensor: Tensor, receiver: Tensor, g: Any, gradient: Any) -> None:
        if tensor not in self.results:  # a rule may compute gradients of something else
            return
        self.counts[receiver] += 1
        self.steps += 1 if np.shape(gradient) == receiver.shape else 2
        if len(self.contributions) < self.limit or self.contributions[-1].tensor is tensor:
            arrays = as_array(g), as_array(gradient)
            self.contributions.append(Contribution(tensor, receiver, *arrays))


# ---------------------------------------------------------------------------- building the steps


class StepBuilder:
    """Makes numbered steps from results and from contributions."""

    def __init__(self, output: Tensor) -> None:
        self.output = output
        self.numbers = count(1)
        self.known: dict[Tensor, tuple[OpProbe, Derivation | None]] = {}

    def probe(self, tensor: Tensor) -> tuple[OpProbe, Derivation | None]:
        """The op that made a Tensor, with its arrays, and the derivation of its result."""
        if tensor not in self.known:
            probe = OpProbe(tensor)
            self.known[tensor] = probe, derive_result(probe)
        return self.known[tensor]

    def forward(self, tensor: Tensor) -> Step:
        probe, derivation = self.probe(tensor)
        written = display_formula(derivation.template) if isinstance(derivation, Formula) else ""
        name = f"{probe.op.name}({', '.join(shorten_list(list(probe.symbols)))})"
        return Step(
            number=next(self.numbers),
            kind="forward",
            tensor=tensor,
            receiver=tensor,
            value=probe.out,
            formula=probe.op.formula or written or name,
            derivation=derivation,
            bars=softmax_bars(probe),
        )

    def backward(self, log: SweepLog) -> Iterator[Step]:
        one = as_read_only(initial_gradient(self.output))
        yield Step(
            number=next(self.numbers),
            kind="seed",
            tensor=self.output,
            receiver=self.output,
            value=one,
            formula="1",
            derivation=Formula("1", {}),
            total=one,
        )
        totals: dict[Tensor, Array] = {}
        arrived: Counter[Tensor] = Counter()
        for _, group in groupby(log.contributions, key=attrgetter("tensor.sequence_number")):
            contributions = list(group)
            for (tensor, x, g, contributed), position in zip(
                contributions, self.positions(contributions), strict=True
            ):
                arrived[x] += 1
                gradient = as_array(unbroadcast(contributed, x.data))
                totals[x] = totals[x] + gradient if x in totals else gradient
                is_broadcast = contributed.shape != x.shape
                step = self.contribution(tensor, position, g, contributed)
                step = replace(step, contributions=log.counts[x])
                if is_broadcast:
                    yield step
                    step = self.sum(step, gradient)
                yield replace(step, contribution=arrived[x], total=as_read_only(totals[x]))

    def positions(self, contributions: list[Contribution]) -> list[int]:
        """The op's input that each is for: a Tensor may be several of its inputs."""
        tensor, *_ = contributions[0]
        wanted = [i for i, x in enumerate(tensor.inputs) if x.requires_grad]
        if len(wanted) > len(contributions):  # the rule returns None for some
            probe, g = self.probe(tensor)[0], contributions[0].g
            has_gradient = probe.which_have_gradients(g)
            wanted = [i for i in wanted if has_gradient[i]]
        return wanted

    def contribution(self, tensor: Tensor, position: int, g: Array, contributed: Array) -> Step:
        probe, derivation = self.probe(tensor)
        g, contributed = as_read_only(g), as_read_only(contributed)
        return Step(
            number=next(self.numbers),
            kind="backward",
            tensor=tensor,
            receiver=tensor.inputs[position],
            value=contributed,
            position=position,
            upstream=g,
            bars=softmax_bars(probe) if position == 0 else None,
            **derive_gradient(probe, derivation, position, g, contributed)._asdict(),
        )

    def sum(self, step: Step, gradient: Array) -> Step:
        """The sum of a step's contribution over the axes along which its receiver was broadcast."""
        axes = broadcast_axes(step.receiver.shape, step.value.shape)
        return replace(
            step,
            number=next(self.numbers),
            kind="sum",
            value=as_read_only(gradient),
            formula=f"summed over {axes_in_words(axes)}",
            derivation=Reduce(step.value, axes, "", " + ", ""),
            upstream=step.value,
            local=None,
            local_formula=None,
            local_derivation=None,
            axes=axes,
            bars=None,
        )
