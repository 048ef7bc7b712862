"""Captions of steps: titles, sentences and equations, with the names of the Tensors."""

from __future__ import annotations

from collections.abc import Mapping

from microgradx.engine import Tensor
from microgradx.show.formulas.derivations import Einsum
from microgradx.show.steps.steps import Step, axes_in_words, join_words, shorten_list

#: Infix ops.
SIGNS = {"add": "+", "subtract": "-", "multiply": "·", "divide": "/", "matmul": "@"}

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")

#: How many operands of an op are named.
MOST_OPERANDS = 8

#: A name, {"name": "h"}, or a derivative, {"of": "loss", "by": "h"}, to be set as a fraction.
MathLabel = dict[str, str]


class Captions:
    """Titles, sentences and equations for the steps of a computation."""

    def __init__(self, output: Tensor, names: Mapping[Tensor, str]) -> None:
        self.output = output
        self.names = names

    # ------------------------------------------------------------------ labels

    def name(self, tensor: Tensor) -> MathLabel:
        return {"name": self.names[tensor]}

    def gradient(self, tensor: Tensor) -> MathLabel:
        return {"of": self.names[self.output], "by": self.names[tensor]}

    def local(self, step: Step) -> MathLabel:
        return {"of": self.names[step.tensor], "by": self.names[step.receiver]}

    def result(self, step: Step) -> MathLabel:
        """The label of the Tensor or gradient that a step computes."""
        is_forward = step.kind == "forward"
        return self.name(step.tensor) if is_forward else self.gradient(step.receiver)

    def equation(self, step: Step) -> list[str | MathLabel]:
        """The equation of a step, as text and labels."""
        result = self.result(step)
        if step.kind == "seed":
            return [result, " = 1"]
        if step.kind == "sum":
            return [result, f" = Σ over {axes_in_words(step.axes)}"]
        if step.kind == "backward":
            if step.local is None:
                return [result, f" = {step.formula}"]
            return [result, " = ", self.gradient(step.tensor), " · ", self.local(step)]
        op = op_name(step)
        if not step.tensor.inputs:  # the graph was released
            return [result, f" = {op}(…)"]
        before, between, after = (
            ("", f" {SIGNS[op]} ", "") if op in SIGNS else (f"{op}(", ", ", ")")
        )
        inputs = step.tensor.inputs
        operands = [part for x in inputs[:MOST_OPERANDS] for part in (between, self.name(x))][1:]
        more = len(inputs) - MOST_OPERANDS
        after = f", … {more:,} more{after}" if more > 0 else after
        return [result, f" = {before}", *operands, after]

    # ------------------------------------------------------------------ words

    def title(self, step: Step) -> str:
        """The path of the value or the gradient."""
        name, receiver, op = self.names[step.tensor], self.names[step.receiver], op_name(step)
        if step.kind == "forward":
            return f"{op} → {name}"
        if step.kind == "seed":
            return f"begins at {name}"
        if step.kind == "sum":
            return f"summed over {axes_in_words(step.axes)} → {receiver}"
        return f"{name} → {op} → {receiver}"

    def sentence(self, step: Step) -> str:
        """A sentence about a step."""
        name, receiver, op = self.names[step.tensor], self.names[step.receiver], op_name(step)
        if step.kind == "forward":
            operands = [self.names[x] for x in step.tensor.inputs]
            inputs = join_words(shorten_list(operands, MOST_OPERANDS)) or "released inputs"
            return f"{op} computes {name} from {inputs}."
        if step.kind == "seed":
            return f"Backpropagation begins: the derivative of {name} with respect to itself is 1."
        if step.kind == "sum":
            return (
                f"{receiver} was broadcast along {axes_in_words(step.axes)}, so its gradient is "
                "summed over it."
            )
        if step.local is not None:
            return (
                f"The chain rule: the gradient at {name}, times the derivative of {name} with "
                f"respect to {receiver}."
            )
        if isinstance(step.derivation, Einsum):
            return (
                f"Each element of {receiver} affects several of {name}: their gradients are summed."
            )
        return f"{op} passes the gradient at {name} on to {receiver}."

    def contribution(self, step: Step) -> str:
        """The position of a step among the contributions to the receiver's gradient."""
        receiver = self.names[step.receiver]
        if step.kind in ("forward", "seed"):
            return ""
        if step.contribution == 0:
            return f"{receiver} was broadcast: a sum follows"
        if step.contributions == 1:
            return f"the only contribution to {receiver}"
        n = step.contribution
        which = ORDINALS[n - 1] if n <= len(ORDINALS) else f"number {n}"
        return f"{which} of {step.contributions} contributions to {receiver}"


def op_name(step: Step) -> str:
    return "" if step.tensor.op is None else step.tensor.op.name
