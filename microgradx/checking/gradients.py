"""`gradcheck`: compare every rule with finite differences, and name the mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from microgradx.checking import reports
from microgradx.checking.comparison import (
    GradientComparison,
    Tolerance,
    are_equal,
    as_list,
    compare_gradients,
    gradient_function,
    make_generator,
    sample_indices,
)
from microgradx.checking.reports import GradcheckError, GradcheckReport, Mismatch
from microgradx.common.messages import describe
from microgradx.engine import Op, Tensor, as_tensor

__all__ = ["GradcheckError", "GradcheckReport", "Mismatch", "gradcheck"]


def gradcheck(
    f: Callable[..., Any],
    inputs: Any,
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    order: int = 1,
    samples: int = 1000,
    seed: int = 0,
    allow_float32: bool = False,
    raise_exception: bool = True,
) -> GradcheckReport:
    """Compare the gradients of `f(*inputs)` with finite differences, and say what is wrong.

    `f` returns a Tensor, or several. They are combined with random weights, so that the gradient
    arriving at a rule is not uniform. `inputs` is a Tensor or array, or a sequence of them.
    Tensors that require gradients and arrays of floats are checked: all elements, or `samples` of
    them in an input that has more. A Tensor is changed in place and restored, so `f` may also
    use it directly, as a parameter of a model.

    eps: the step h of the differences, relative to max(1, |x|). By default it is chosen, and
        other steps are tried where something differs.
    atol, rtol: |analytic - numeric| may be atol + rtol |numeric|. By default, in float64, rtol is
        1e-7, and atol is 1e-7 times the largest element of the same input's gradient, at most
        1e-7. The rounding error of the differences is allowed in addition; the message counts the
        elements where that could hide a mistake.
    order: 2 also checks the gradient of the gradient.
    seed: of the weights and the samples.
    allow_float32: allow inputs of single precision, whose differences show only large errors.

    Returns a report, which is true if the gradients agree. If not, raises GradcheckError, which
    has the report, or returns it if `raise_exception` is False. The report names the kind of
    mistake, if it is a known one, and the op whose rule is wrong. Where differences cannot tell
    (at a kink, such as relu at 0; where the step is too large, or the function too noisy) the
    report says so. Raises TypeError or ValueError for inputs
    that cannot be checked.

    Source: Press et al., Numerical Recipes, 5.7.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> bool(gradcheck(lambda x: mg.exp(x) * x, np.array([0.5, -1.0]), order=2))
    True
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    if eps is not None and not eps > 0:
        raise ValueError(f"eps, the relative step, must be positive, not {eps}")
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, not {order}")
    if isinstance(f, type) and issubclass(f, Op):
        raise TypeError(f"gradcheck takes a function, such as an op {f.__name__}(), not its class")
    tensors = [_as_input(x) for x in as_list(inputs)]
    differentiable = [i for i, x in enumerate(tensors) if x.requires_grad]
    if not differentiable:
        raise ValueError(
            "no input requires gradients, so there is nothing to check; pass arrays of floats, or "
            "Tensors with requires_grad=True"
        )
    coarse = [tensors[i] for i in differentiable if tensors[i].dtype != np.float64]
    if coarse and not allow_float32:
        raise TypeError(
            f"{describe(coarse[0])} is too coarse for finite differences; use float64, or pass "
            "allow_float32=True for a rough check"
        )
    precision = max(float(np.finfo(tensors[i].dtype).eps) for i in differentiable)
    tolerance = Tolerance(
        absolute=(3e-3 if coarse else 1e-7) if atol is None else atol,
        relative=(3e-2 if coarse else 1e-7) if rtol is None else rtol,
        # This step balances the rounding error, O(1/h), and that of extrapolation, O(h⁴).
        step=precision**0.2 if eps is None else eps,
        precision=precision,
        is_scaled=atol is None and not coarse,
        refine=eps is None and not coarse,
    )
    generator = make_generator(seed)
    elements = {i: sample_indices(tensors[i], samples, generator) for i in differentiable}
    with np.errstate(all="ignore"):  # what is not finite is reported
        report = _check_orders(f, tensors, elements, order, generator, tolerance)
    if not report and raise_exception:
        raise GradcheckError(report.message, report)
    return report


def _check_orders(
    f: Callable[..., Any],
    tensors: list[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    order: int,
    generator: np.random.Generator,
    tolerance: Tolerance,
) -> GradcheckReport:
    def function(*tensors: Tensor) -> list[Tensor]:
        return [as_tensor(out) for out in as_list(f(*tensors))]

    checked, largest_error, inconclusive = 0, 0.0, 0
    results: list[Tensor] = []
    comparisons: list[GradientComparison] = []
    for at_order in range(1, order + 1):
        error: Exception | None = None
        try:
            outputs = _run_twice(function, tensors)
            if outputs is None:
                return reports.report_randomness(function, tensors)
            report = None
            if any(elements.values()):
                report = reports.report_undefined_results(outputs)
            if at_order == 2 and report is None:
                report = reports.report_difference_on_tensors(
                    comparisons, outputs, checked, largest_error
                )
            if report is not None:
                return report
            weights = [
                np.asarray(generator.normal(size=out.shape)).astype(out.dtype) for out in outputs
            ]
            if not results:
                results = outputs
                sizes = [float(np.max(np.abs(out.data), initial=0)) for out in outputs]
                tolerance = replace(tolerance, magnitude=min(max(sizes, default=0) or 1, 1))
            comparisons = compare_gradients(function, tensors, elements, weights, tolerance)
        except (ValueError, TypeError, IndexError) as raised:
            if not results:  # the function itself
                raise
            error, comparisons = raised, []
        checked += sum(len(each.jacobian_columns) for each in comparisons)
        for each in comparisons:
            largest_error = max(largest_error, float(np.max(each.error_ratio, initial=0)))
        inconclusive += sum(int(np.sum(each.is_inconclusive)) for each in comparisons)
        wrong = [each for each in comparisons if each.wrong_indices]
        if wrong or error:
            # The derivative of a wrong gradient is wrong too: a second order adds nothing.
            return reports.report_mismatches(
                at_order, wrong, error, results, checked, largest_error, tolerance
            )
        function = gradient_function(function, weights, list(elements))
    samples = max(map(len, elements.values()))
    hidden = reports.report_hidden_mistake(
        results, checked, largest_error, tolerance, samples, generator
    )
    if hidden is not None:
        return hidden
    return reports.report_agreement(checked, largest_error, inconclusive)


def _as_input(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        if x.requires_grad and not x.is_leaf:
            raise ValueError(
                f"{describe(x)} is not a leaf, so it cannot be changed on its own; pass the leaves "
                "it was computed from, or x.detach().requires_grad_()"
            )
        return x
    tensor = Tensor(x)
    return tensor.requires_grad_(tensor.dtype.kind == "f")


def _run_twice(function: Callable[..., list[Tensor]], tensors: list[Tensor]) -> list[Tensor] | None:
    """The outputs, or None if a second call returns others; raises if it changes its inputs."""
    before = [x.data.copy() for x in tensors]
    outputs, again = function(*tensors), function(*tensors)
    for i, (x, copy) in enumerate(zip(tensors, before, strict=True)):
        if not are_equal([x], [copy]):
            raise ValueError(
                f"the function wrote into its input {i}, {describe(x)}, which may be used "
                "elsewhere; compute a new array instead: x = x * 2, not x *= 2"
            )
    return outputs if are_equal(outputs, again) else None
