"""What `gradcheck` found: that gradients agree, or what is wrong, in words and as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np

from microgradx.checking.diagnosis import Cause, cause_of, kink
from microgradx.checking.evidence import Evidence, Tolerance, evidence_of_op, random_stream
from microgradx.checking.mismatch_table import picture
from microgradx.common.messages import describe
from microgradx.engine import Op, Tensor, as_tensor, reverse_topological_order

__all__ = [
    "GradcheckError",
    "GradcheckReport",
    "Mismatch",
    "of_agreement",
    "of_differences",
    "of_other_rules_on_tensors",
    "of_randomness",
    "of_undefined_results",
    "same",
    "some_elements",
]


class GradcheckError(AssertionError):
    """Analytic and numeric gradients differ; `report` holds the details."""

    def __init__(self, message: str, report: GradcheckReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Mismatch:
    """One element whose analytic gradient is not the numeric one."""

    order: int
    input: int
    index: tuple[int, ...]
    analytic: float
    numeric: float


@dataclass(frozen=True)
class GradcheckReport:
    """What `gradcheck` found. It is true if nothing differed.

    `cause` names the kind of mistake: "constant factor", "transposed", "missing sum",
    "double sum", "missing factor", "one of several uses", "kink", "outside the first row",
    "coarse dtype", "missing gradient", "non-deterministic", "upstream gradient ignored",
    "not finite", "constant in the rule", "error in the rule"; or it is None, if nothing
    differed or no cause fits.
    """

    checked: int  # elements, over all inputs and orders
    largest_error: float  # |analytic - numeric|, as a multiple of what was allowed
    mismatches: tuple[Mismatch, ...]  # the worst first
    causes: tuple[Cause, ...]  # the kind of mistake and a sentence on it, for each wrong input
    op: Op | None  # the op whose rule is wrong, if it is that of an op
    message: str
    passed: bool

    @property
    def cause(self) -> str | None:
        return self.causes[0].kind if self.causes else None

    def __bool__(self) -> bool:
        return self.passed


def of_agreement(checked: int, largest: float, hidden: int) -> GradcheckReport:
    """The report that nothing differed; of how many elements rounding would have hidden it."""
    message = f"gradients agree with finite differences at {checked} elements"
    if hidden:
        message += (
            f"; at {hidden} of them rounding is so large beside the gradient that a mistake could "
            "hide: check at inputs, or of a function, of more even size"
        )
    return GradcheckReport(checked, largest, (), (), None, message, True)


def of_differences(
    order: int,
    wrong: list[Evidence],
    error: Exception | None,
    outputs: list[Tensor],
    checked: int,
    largest: float,
    tolerance: Tolerance,
) -> GradcheckReport:
    """The report of gradients that differ, or of a rule that raised."""
    op, blamed = _op_to_blame(outputs, order, tolerance)
    causes = [(each, cause_of(each, order)) for each in blamed or wrong]
    lines = []
    if wrong:
        lines += [
            f"the {'second-order ' if order == 2 else ''}gradient does not agree with finite "
            "differences",
            "(of the sum of the outputs, each times a random weight, so that g is not uniform)",
        ]
    elif error is not None:
        lines.append(f"the rule raised {type(error).__name__}: {error}")
    for each in wrong:
        of = len(each.columns)
        lines.append(
            f"input {each.position}, {describe(each.tensor)}: wrong at "
            f"{int(np.sum(each.wrong))} of {of} elements"
            + ("" if each.reached else ": no gradient reached it")
        )
        lines += picture(each.analytic, each.numeric, np.where(each.wrong, each.excess, 0))
    for each, cause in causes:
        place = f"input {each.position}"
        if op is not None:
            place = f"the rule of {op!r}, for its input {each.position}"
        if cause is not None:
            lines.append(f"likely cause, in {place}: {cause.kind}")
            lines += wrap(cause.text, 96, initial_indent="    ", subsequent_indent="    ")
        elif op is not None:
            lines.append(f"the mistake is in {place}")
    named = tuple(cause for _, cause in causes if cause is not None)
    if error is not None and not named:
        named = (Cause("error in the rule", str(error)),)
    mismatches = [
        Mismatch(
            order, each.position, index, float(each.analytic[index]), float(each.numeric[index])
        )
        for each in wrong
        for index in each.columns
        if each.wrong[index]
    ]
    mismatches.sort(key=lambda found: -_badness(found))
    return GradcheckReport(
        checked,
        largest,
        tuple(mismatches),
        named,
        op,
        "\n".join(lines),
        False,
    )


def of_other_rules_on_tensors(
    found: list[Evidence], gradients: list[Tensor], checked: int, largest: float
) -> GradcheckReport | None:
    """The report of rules that are right on arrays, and give something else on Tensors."""
    apart = [
        each
        for each, gradient in zip(found, gradients, strict=True)
        if not np.allclose(each.analytic, gradient.data, 1e-6, 1e-9, equal_nan=True)
    ]
    if not apart:
        return None
    cause = Cause(
        "constant in the rule",
        "on arrays the rule is right, and on Tensors, on which create_graph=True runs it, it gives "
        "another gradient: does it ask for the type of its arguments, or use an array that the "
        "forward kept?",
    )
    lines = ["the gradient under create_graph=True is not that of the ordinary sweep"]
    for each in apart:
        lines.append(f"input {each.position}, {describe(each.tensor)}: {cause.kind}")
    lines += wrap(cause.text, 96, initial_indent="    ", subsequent_indent="    ")
    return GradcheckReport(checked, largest, (), (cause,), None, "\n".join(lines), False)


def _op_to_blame(
    outputs: list[Tensor], order: int, tolerance: Tolerance
) -> tuple[Op | None, list[Evidence]]:
    """The first op, of those not the library's own, whose rule is wrong by itself; and how."""
    at_kinks: tuple[Op | None, list[Evidence]] = (None, [])
    generator = random_stream(0)
    for node in reversed(reverse_topological_order(*outputs)):
        op = node.op
        if op is None or type(op).__module__.split(".")[0] == "microgradx":
            continue
        elements = {
            i: some_elements(x, 100, generator)
            for i, x in enumerate(node.inputs)
            if x.requires_grad
        }
        wrong = [
            each
            for each in evidence_of_op(op, node.inputs, elements, order, tolerance)
            if np.any(each.wrong) or each.error is not None
        ]
        if wrong and all(kink(each) for each in wrong):
            at_kinks = op, wrong
        elif wrong:
            return op, wrong
    return at_kinks


def of_undefined_results(outputs: list[Tensor]) -> GradcheckReport | None:
    """The report of a function that is NaN or infinite at its inputs, so has no derivative."""
    for i, out in enumerate(outputs):
        wrong = np.argwhere(~np.isfinite(out.data))
        if len(wrong):
            text = (
                f"the function's result {i}, of shape {out.shape}, is NaN or infinite at "
                f"{len(wrong)} of its elements, the first at index {tuple(map(int, wrong[0]))}, "
                "where there is no derivative; check at other inputs"
            )
            return GradcheckReport(0, np.inf, (), (Cause("not finite", text),), None, text, False)
    return None


def of_randomness(function: Callable[..., list[Tensor]], tensors: list[Tensor]) -> GradcheckReport:
    """The report of a function whose differences mean nothing."""
    text = (
        "two calls of the function on the same inputs gave different results, so differences mean "
        "nothing; fix its random numbers, or switch dropout off"
    )
    op = None
    for node in reversed(reverse_topological_order(*function(*tensors))):
        arrays = [x.data for x in node.inputs]
        if node.op is not None and not same([node.op(*arrays)], [node.op(*arrays)]):
            op = node.op
            text += f"; it is {op!r} whose forward gives something else each time"
            break
    cause = Cause("non-deterministic", text)
    return GradcheckReport(0, np.inf, (), (cause,), op, text, False)


def same(some: list[Any], others: list[Any]) -> bool:
    return all(
        np.array_equal(as_tensor(a).data, as_tensor(b).data, equal_nan=True)
        for a, b in zip(some, others, strict=True)
    )


def some_elements(x: Tensor, samples: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    """Indices of all elements, or of some drawn at random if there are more than `samples`."""
    flat: Any = range(x.size)
    if x.size > samples:
        flat = np.sort(generator.choice(x.size, samples, replace=False))
    return [tuple(int(i) for i in np.unravel_index(k, x.shape)) for k in flat]


def _badness(found: Mismatch) -> float:
    error = abs(found.analytic - found.numeric)
    return error / max(abs(found.numeric), 1e-3) if error == error else np.inf
