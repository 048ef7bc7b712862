"""What is wrong with a gradient: hypotheses, each tested on comparisons with finite differences.

A hypothesis predicts the gradient that a certain mistake would produce. It must predict every
element, and do so at other inputs too, near those that were given: at one point, x and x² may be
equal by chance. The first that fits is reported, the more specific ones first; if none does, no
cause is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from microgradx.checking import gradient_hypotheses as by_gradient
from microgradx.checking import rule_hypotheses as by_rule
from microgradx.checking.comparison import GradientComparison
from microgradx.checking.predictions import Cause
from microgradx.common.messages import add_remedy

__all__ = ["diagnose_undecided", "find_cause"]


def find_cause(
    comparison: GradientComparison, elsewhere: Sequence[GradientComparison] = (), order: int = 1
) -> Cause | None:
    """The cause of a wrong gradient at one input, if one fits here and at the points elsewhere."""
    for find in FACTS if order == 1 else SECOND_ORDER_FACTS:
        cause = find(comparison)
        if cause is not None:
            return cause
    if order == 1 and comparison.jacobian_columns and (elsewhere or comparison.decided_count > 2):
        for propose in HYPOTHESES:
            causes = list(propose(comparison))
            for other in elsewhere if causes else ():
                fitting = set(propose(other))
                causes = [cause for cause in causes if cause in fitting]
            if causes:
                return causes[0]
    return diagnose_error_in_rule(comparison)


# ---------------------------------------------------------------------------- without a prediction


def diagnose_missing_gradient(comparison: GradientComparison) -> Cause | None:
    if comparison.has_gradient or comparison.error is not None or not np.any(comparison.wrong):
        return None
    where = (
        f"{comparison.op!r} returns None for it"
        if comparison.op is not None
        else "is its value taken by .data, .detach(), float() or item() on the way to the result?"
    )
    return Cause(
        "missing gradient", f"no gradient reached this input, but the result depends on it: {where}"
    )


def diagnose_zero_gradient(comparison: GradientComparison) -> Iterator[Cause]:
    if comparison.has_gradient and np.any(comparison.wrong) and not np.any(comparison.analytic):
        yield Cause(
            "missing gradient", "the rule returns only zeros, but the result depends on this input"
        )


def diagnose_coarse_dtype(comparison: GradientComparison) -> Cause | None:
    """Outputs that are constant for small steps, and change as the rule predicts for large ones."""
    differences, i = comparison.differences, comparison.input_index
    error = total = 0.0
    for index in comparison.wrong_indices[:20]:
        if not differences.is_locally_constant(i, index):
            return None
        column, _ = differences.central_difference(i, index, 100 * differences.step_for(i, index))
        error += abs(differences.weighted_sum(column) - float(comparison.analytic[index]))
        total += float(np.sum(np.abs(comparison.weights * column)))
    if not error < 0.2 * total:
        return None
    return Cause(
        "coarse dtype",
        "the result changes in steps, as if it were computed in float32 or less: the rule may be "
        "correct, but the differences are too coarse to tell; compute in float64 throughout",
    )


def diagnose_undecided(comparison: GradientComparison) -> Cause | None:
    """Points at which finite differences cannot tell, because there is no derivative, or ..."""
    indices = comparison.wrong_indices
    if not indices or not np.all(comparison.is_undecided[comparison.wrong]):
        return None
    return _describe_undecided(comparison, indices[0])


def _describe_undecided(comparison: GradientComparison, index: tuple[int, ...]) -> Cause:
    estimate = comparison.estimates[index]
    where = (
        f"at {_format_index(index)}, where the input is {float(comparison.tensor.data[index])!r}"
    )
    low, high = sorted([estimate.left, estimate.right])
    slack = 1e-6 * (high - low)
    if estimate.behaviour == "domain edge":
        return Cause(
            "kink",
            f"{where}, the function's domain ends: on one side it is not finite, so finite "
            "differences say nothing; check at another point",
        )
    if estimate.behaviour == "jump":
        return Cause(
            "kink",
            f"{where}, the function has a jump or a tie: it has no derivative there, and finite "
            "differences are meaningless. Check at another point",
        )
    if estimate.behaviour == "steep":
        return Cause(
            "kink",
            f"{where}, the function is infinitely steep: its slope grows without bound as the "
            "step shrinks, so finite differences are meaningless. Check at another point",
        )
    if estimate.behaviour == "kink":
        verdict = (
            "the rule's value lies between the two, as any convention would, so it may be correct"
            if low - slack <= float(comparison.analytic[index]) <= high + slack
            else "the rule's value does not even lie between the two"
        )
        return Cause(
            "kink",
            f"{where}, the slope is {estimate.left:.6g} from the left and {estimate.right:.6g} "
            "from the right: a kink or a tie, where finite differences are meaningless; "
            f"{verdict}. Check at another point",
        )
    if estimate.is_noisy and np.isfinite(estimate.error):
        return Cause(
            "evaluation noise",
            f"{where}, the function's own rounding errors are too large for finite differences: "
            f"they are {estimate.value:.3g}, give or take {estimate.error:.1g}, so the rule may be "
            "correct. Does the function subtract numbers that are nearly equal? Check at another "
            "point, or the parts of the function by themselves",
        )
    return Cause(
        "step too large",
        f"{where}, the step is too large here: finite differences do not settle, even with a step "
        f"of {estimate.step:.1g}, so the rule may be correct. Check at a point where the function "
        "changes more slowly",
    )


def diagnose_not_finite(comparison: GradientComparison) -> Cause | None:
    if np.any(comparison.wrong & ~np.isfinite(comparison.numeric)):
        return Cause("not finite", "finite differences are NaN or infinite there: they say nothing")
    analytic = comparison.analytic
    count = int(np.sum(comparison.wrong & ~np.isfinite(analytic)))
    if comparison.raw_gradient is not None or not count:
        return None
    return Cause(
        "not finite", f"the rule returns NaN or infinity at {count} of {analytic.size} elements"
    )


def diagnose_error_in_rule(comparison: GradientComparison) -> Cause | None:
    error = comparison.error
    if error is None:
        return None
    is_missing = "returned None" in str(error)
    return Cause("missing gradient" if is_missing else "error in the rule", add_remedy(str(error)))


def diagnose_constant_in_rule(comparison: GradientComparison) -> Cause | None:
    return Cause(
        "constant in the rule",
        "the first derivative is correct, the second is not. With create_graph=True the rule runs "
        "on Tensors, and something in it that depends on an input is a constant there: .data, "
        "float(), an array saved by the forward, or a value computed under no_grad",
    )


def _format_index(index: tuple[int, ...]) -> str:
    return f"index {index[0] if len(index) == 1 else index}" if index else "its only element"


#: Causes that are seen without a prediction. They rule out all others.
FACTS: tuple[Callable[[GradientComparison], Cause | None], ...] = (
    diagnose_missing_gradient,
    diagnose_coarse_dtype,
    diagnose_undecided,
    diagnose_not_finite,
)
SECOND_ORDER_FACTS = (
    diagnose_error_in_rule,
    diagnose_coarse_dtype,
    diagnose_undecided,
    diagnose_not_finite,
    diagnose_constant_in_rule,
)
#: In this order: the specific before the general.
HYPOTHESES: tuple[Callable[[GradientComparison], Iterator[Cause]], ...] = (
    diagnose_zero_gradient,
    by_rule.diagnose_misnamed_arguments,
    by_gradient.diagnose_ignored_upstream,
    by_rule.diagnose_gradient_order,
    by_gradient.diagnose_transpose,
    by_rule.diagnose_first_row_only,
    by_gradient.diagnose_missing_sum,
    by_gradient.diagnose_diagonal_only,
    by_gradient.diagnose_wrong_axis,
    by_gradient.diagnose_overwriting,
    by_rule.diagnose_missing_use,
    by_gradient.diagnose_constant_factor,
    by_gradient.diagnose_missing_mask,
    by_gradient.diagnose_forward_direction,
    by_gradient.diagnose_misplaced,
    by_rule.diagnose_missing_derivative,
    by_gradient.diagnose_identity,
    by_gradient.diagnose_double_sum,
    by_gradient.diagnose_missing_factor,
    by_rule.diagnose_wrong_variable,
    by_rule.diagnose_argument_order,
)
