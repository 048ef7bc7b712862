"""What `gradcheck` reports: that gradients agree, or what is wrong, in words and as data."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from microgradx.checking.comparison import (
    GradientComparison,
    Tolerance,
    agree_elsewhere,
    are_equal,
    compare_elsewhere,
    compare_op_gradients,
    find_kink,
    make_generator,
    sample_indices,
)
from microgradx.checking.diagnosis import diagnose_undecided, find_cause
from microgradx.checking.mismatch_table import format_mismatch_table
from microgradx.checking.predictions import Cause
from microgradx.common.messages import describe
from microgradx.engine import Op, Tensor, reverse_topological_order

__all__ = [
    "GradcheckError",
    "GradcheckReport",
    "Mismatch",
    "report_agreement",
    "report_difference_on_tensors",
    "report_hidden_mistake",
    "report_mismatches",
    "report_randomness",
    "report_undefined_results",
]


class GradcheckError(AssertionError):
    """Analytic and numeric gradients differ; `report` has the details."""

    def __init__(self, message: str, report: GradcheckReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Mismatch:
    """One element whose analytic gradient differs from the numeric one."""

    order: int
    input: int
    index: tuple[int, ...]
    analytic: float
    numeric: float

    @property
    def relative_error(self) -> float:
        error = abs(self.analytic - self.numeric)
        return error / max(abs(self.numeric), 1e-3) if error == error else np.inf


@dataclass(frozen=True)
class GradcheckReport:
    """The result of `gradcheck`; bool(report) is True if the gradients agree.

    `cause` names the kind of mistake: "constant factor", "transposed", "missing sum",
    "double sum", "wrong axis", "misplaced", "missing factor", "missing mask", "wrong variable",
    "arguments in the wrong order", "gradients in the wrong order", "one of several uses", "outside
    the first row", "upstream gradient ignored", "missing gradient", "error in the rule", "not
    finite", "coarse dtype", "non-deterministic", "constant in the rule"; where differences cannot
    tell, "kink" (also a jump, a tie, the edge of the domain), "step too large" or "evaluation
    noise"; or it is None, if nothing is wrong or no cause fits.
    """

    checked: int  # elements, over all inputs and orders
    largest_error: float  # |analytic - numeric| as a multiple of the tolerance
    message: str
    passed: bool = False
    mismatches: tuple[Mismatch, ...] = ()  # the worst first
    causes: tuple[Cause, ...] = ()  # one for each wrong input
    op: Op | None = None  # the op whose rule is wrong, if one is

    @property
    def cause(self) -> str | None:
        return self.causes[0].kind if self.causes else None

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        """What notebooks show: the message, in lines and columns as they are."""
        style = "font-family: monospace; white-space: pre; overflow-x: auto"
        return f'<pre style="{style}">{html.escape(self.message)}</pre>'


def report_agreement(checked: int, largest_error: float, inconclusive: int) -> GradcheckReport:
    """The gradients agree; at `inconclusive` elements rounding could hide a mistake."""
    message = f"gradients agree with finite differences at {checked} elements"
    if inconclusive:
        message += (
            f"; at {inconclusive} of them the gradient is so small that rounding could hide a "
            "mistake: check at inputs, or a function, of more uniform size"
        )
    return GradcheckReport(checked, largest_error, message, passed=True)


def report_mismatches(
    order: int,
    wrong: list[GradientComparison],
    error: Exception | None,
    outputs: list[Tensor],
    checked: int,
    largest_error: float,
    tolerance: Tolerance,
) -> GradcheckReport:
    """Gradients differ, or a rule raised an error, or differences cannot tell."""
    op, wrong_in_op = _find_wrong_op(outputs, order, tolerance, 100, make_generator(0))
    lines = []
    if wrong and not any(each.is_wrong for each in wrong_in_op or wrong):
        lines.append("finite differences cannot tell whether the gradient is right")
    elif wrong:
        lines += [
            f"the {'second-order ' if order == 2 else ''}gradient does not agree with finite "
            "differences",
            "(of the sum of the outputs, each times a random weight, so that g is not uniform)",
        ]
    elif error is not None:
        lines.append(f"the rule raised {type(error.__cause__ or error).__name__}: {error}")
    lines += _describe_elements(wrong)
    is_not_finite = op is None and any(
        np.any(each.wrong & ~np.isfinite(each.analytic)) for each in wrong
    )
    kink = _find_kink_inside(wrong, order, tolerance) if order == 2 or is_not_finite else None
    if kink is not None:
        op, causes = None, [kink]
        lines += [f"likely cause: {kink.kind}", *_indent(kink.text)]
    else:
        causes, about_causes = _describe_causes(op, wrong_in_op or wrong, order, tolerance)
        lines += about_causes
    if error is not None and not causes:
        causes = [Cause("error in the rule", str(error))]
    mismatches = _list_mismatches(wrong, order)
    message = "\n".join(lines)
    return GradcheckReport(
        checked, largest_error, message, mismatches=mismatches, causes=tuple(causes), op=op
    )


def report_hidden_mistake(
    outputs: list[Tensor],
    checked: int,
    largest_error: float,
    tolerance: Tolerance,
    samples: int,
    generator: np.random.Generator,
) -> GradcheckReport | None:
    """The gradients agree, but an op's own rule is wrong, which larger terms hide."""
    op, wrong = _find_wrong_op(outputs, 1, tolerance, min(samples, 100), generator)
    wrong = [each for each in wrong if each.is_wrong]
    if op is None or not wrong:
        return None
    causes, about_causes = _describe_causes(op, wrong, 1, tolerance)
    lines = [
        f"the rule of {op!r} is wrong, although the whole gradient agrees with finite differences:",
        "(other terms are so much larger that they hide the mistake; this is the op alone)",
        *_describe_elements(wrong),
        *about_causes,
    ]
    return GradcheckReport(
        checked,
        largest_error,
        "\n".join(lines),
        mismatches=_list_mismatches(wrong, 1),
        causes=tuple(causes),
        op=op,
    )


def _find_kink_inside(
    wrong: list[GradientComparison], order: int, tolerance: Tolerance
) -> Cause | None:
    """Derivatives that are wrong at this point alone, as a second one behind the kink of a norm."""
    if not any(each.is_wrong for each in wrong) or not agree_elsewhere(wrong, tolerance):
        return None
    differences = wrong[0].differences
    op = find_kink(differences.function(*differences.tensors), tolerance)
    where = "a derivative in it" if op is None else repr(op)
    return Cause(
        "kink",
        f"a kink inside, not your rule: {where} has no derivative here, so that of the whole "
        f"{'follows a convention, 0 or NaN' if order == 2 else 'is NaN'}, even where the whole "
        "function is smooth. Near by, the gradient agrees with finite differences: check there",
    )


def _describe_elements(wrong: list[GradientComparison]) -> list[str]:
    lines = []
    for each in wrong:
        lines.append(
            f"input {each.input_index}, {describe(each.tensor)}: "
            f"{'wrong' if each.is_wrong else 'not confirmed'} at "
            f"{len(each.wrong_indices)} of {len(each.jacobian_columns)} elements"
            + ("" if each.has_gradient else ": no gradient reached it")
        )
        error_ratio = np.where(each.wrong, each.error_ratio, 0)
        lines += format_mismatch_table(each.analytic, each.numeric, error_ratio)
    return lines


def _describe_causes(
    op: Op | None, wrong: list[GradientComparison], order: int, tolerance: Tolerance
) -> tuple[list[Cause], list[str]]:
    causes, lines = [], []
    for each in wrong:
        where = f"input {each.input_index}"
        if op is not None:
            where = f"the rule of {op!r}, for its input {each.input_index}"
        cause = find_cause(each, compare_elsewhere(each, tolerance), order)
        if cause is not None:
            causes.append(cause)
            lines += [f"likely cause, in {where}: {cause.kind}", *_indent(cause.text)]
        elif op is not None:
            lines.append(f"the mistake is in {where}")
    return causes, lines


def _list_mismatches(wrong: list[GradientComparison], order: int) -> tuple[Mismatch, ...]:
    mismatches = [
        Mismatch(order, each.input_index, i, float(each.analytic[i]), float(each.numeric[i]))
        for each in wrong
        for i in each.wrong_indices
    ]
    return tuple(sorted(mismatches, key=lambda mismatch: -mismatch.relative_error))


def report_difference_on_tensors(
    comparisons: list[GradientComparison],
    gradients: list[Tensor],
    checked: int,
    largest_error: float,
) -> GradcheckReport | None:
    """Rules are right on arrays, but return something else on Tensors."""
    different = [
        each
        for each, gradient in zip(comparisons, gradients, strict=True)
        if not np.allclose(each.analytic, gradient.data, 1e-6, 1e-9, equal_nan=True)
    ]
    if not different:
        return None
    cause = Cause(
        "constant in the rule",
        "on arrays the rule is correct, but on Tensors, on which create_graph=True runs it, it "
        "returns another gradient: does it check the type of its arguments, or use an array that "
        "the forward saved?",
    )
    lines = ["the gradient with create_graph=True differs from the ordinary one"]
    lines += [
        f"input {each.input_index}, {describe(each.tensor)}: {cause.kind}" for each in different
    ]
    message = "\n".join([*lines, *_indent(cause.text)])
    return GradcheckReport(checked, largest_error, message, causes=(cause,))


def report_undefined_results(outputs: list[Tensor]) -> GradcheckReport | None:
    """The function is NaN or infinite at its inputs, so it has no derivative there."""
    for i, out in enumerate(outputs):
        wrong = np.argwhere(~np.isfinite(out.data))
        if len(wrong):
            text = (
                f"result {i} of the function, of shape {out.shape}, is NaN or infinite at "
                f"{len(wrong)} of its elements, the first at index {tuple(map(int, wrong[0]))}, "
                "where it has no derivative; check at other inputs"
            )
            return GradcheckReport(0, np.inf, text, causes=(Cause("not finite", text),))
    return None


def report_randomness(
    function: Callable[..., list[Tensor]], tensors: list[Tensor]
) -> GradcheckReport:
    """The function is not deterministic, so its differences are meaningless."""
    text = (
        "two calls of the function on the same inputs returned different results, so differences "
        "are meaningless; seed its random numbers, or switch dropout off"
    )
    op = None
    for node in reversed(reverse_topological_order(*function(*tensors))):
        arrays = [x.data for x in node.inputs]
        if node.op is not None and not are_equal([node.op(*arrays)], [node.op(*arrays)]):
            op = node.op
            text += f"; the forward of {op!r} returns something else each time"
            break
    return GradcheckReport(0, np.inf, text, causes=(Cause("non-deterministic", text),), op=op)


def _find_wrong_op(
    outputs: list[Tensor],
    order: int,
    tolerance: Tolerance,
    samples: int,
    generator: np.random.Generator,
) -> tuple[Op | None, list[GradientComparison]]:
    """The first op, of those outside the package, whose rule is wrong on its own; and how."""
    at_kinks: tuple[Op | None, list[GradientComparison]] = (None, [])
    for node in reversed(reverse_topological_order(*outputs)):
        op = node.op
        if op is None or type(op).__module__.split(".")[0] == "microgradx":
            continue
        elements = {
            i: sample_indices(x, samples, generator)
            for i, x in enumerate(node.inputs)
            if x.requires_grad
        }
        wrong = [
            each
            for each in compare_op_gradients(op, node.inputs, elements, order, tolerance)
            if np.any(each.wrong) or each.error is not None
        ]
        if wrong and all(diagnose_undecided(each) for each in wrong):
            at_kinks = op, wrong
        elif wrong:
            return op, wrong
    return at_kinks


def _indent(text: str) -> list[str]:
    return wrap(text, 96, initial_indent="    ", subsequent_indent="    ")
