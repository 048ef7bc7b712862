"""`gradcheck`: every rule compared with finite differences, and what is wrong with it named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.checking import reports
from microgradx.checking.evidence import (
    Evidence,
    Tolerance,
    evidence,
    gradient_function,
    random_stream,
)
from microgradx.checking.reports import (
    GradcheckError,
    GradcheckReport,
    Mismatch,
    same,
    some_elements,
)
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

    `f` gives a Tensor, or several; they are combined with random weights (from `seed`), so that
    the gradient arriving at a rule is not uniform. `inputs` is a Tensor or array, or a sequence
    of them: Tensors that require gradients and arrays of floats are checked, each element, or
    `samples` of them, drawn with `seed`, where an input has more. A Tensor is moved in place and
    restored, so `f` may also reach it otherwise: as a parameter of a model, say.

    eps: the step h of the differences, relative to max(1, |x|). By default it is chosen, and
        where something differs, smaller and larger ones are tried too.
    atol, rtol: what |analytic - numeric| may be, atol + rtol |numeric|. By default, in float64,
        rtol is 1e-7, and atol 1e-7 of the largest element of the same input's gradient, or
        1e-7. What rounding makes of the differences is allowed on top; the message says of how
        many elements that would hide a mistake.
    order: 2 checks the gradient of the gradient too.
    allow_float32: differences of single precision show only crude mistakes and are refused
        unless this says otherwise.

    Gives a report that is true; raises GradcheckError where something differs, or gives a report
    that is false if `raise_exception` is. Where the mistake is that of one op's rule, the report
    names the op; and the kind of mistake, if one fits. At a kink, such as that of relu at 0,
    differences have no meaning, and the report says that it is one. Raises TypeError or
    ValueError for inputs that cannot be checked.

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
    tensors = [_as_input(x) for x in (inputs if isinstance(inputs, (list, tuple)) else [inputs])]
    moved = [i for i, x in enumerate(tensors) if x.requires_grad]
    if not moved:
        raise ValueError(
            "no input requires gradients, so there is nothing to check; give arrays of floats, or "
            "Tensors with requires_grad=True"
        )
    coarse = [tensors[i] for i in moved if tensors[i].dtype != np.float64]
    if coarse and not allow_float32:
        raise TypeError(
            f"{describe(coarse[0])} is too coarse for finite differences; give float64, or pass "
            "allow_float32=True for a rough check"
        )
    precision = max(float(np.finfo(tensors[i].dtype).eps) for i in moved)
    tolerance = Tolerance(
        absolute=(3e-3 if coarse else 1e-7) if atol is None else atol,
        relative=(3e-2 if coarse else 1e-7) if rtol is None else rtol,
        # Rounding, O(1/h), and what extrapolation leaves, O(h⁴), are then of one size.
        step=precision**0.2 if eps is None else eps,
        precision=precision,
        is_scaled=atol is None and not coarse,
        refine=eps is None and not coarse,
    )
    generator = random_stream(seed)
    elements = {i: some_elements(tensors[i], samples, generator) for i in moved}
    with np.errstate(all="ignore"):  # NumPy need not warn of what is then reported
        report = _checked(_several(f), tensors, elements, order, generator, tolerance)
    if not report and raise_exception:
        raise GradcheckError(report.message, report)
    return report


def _checked(
    function: Callable[..., list[Tensor]],
    tensors: list[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    order: int,
    generator: np.random.Generator,
    tolerance: Tolerance,
) -> GradcheckReport:
    checked, largest, hidden = 0, 0.0, 0
    results: list[Tensor] = []
    found: list[Evidence] = []
    for at_order in range(1, order + 1):
        error = None
        try:
            outputs = _run_twice(function, tensors)
            if outputs is None:
                return reports.of_randomness(function, tensors)
            report = None
            if any(elements.values()):
                report = reports.of_undefined_results(outputs)
            if at_order == 2 and report is None:
                report = reports.of_other_rules_on_tensors(found, outputs, checked, largest)
            if report is not None:
                return report
            weights = [
                np.asarray(generator.normal(size=out.shape)).astype(out.dtype) for out in outputs
            ]
            results = results or outputs
            found = evidence(function, tensors, elements, weights, tolerance)
        except (ValueError, TypeError, IndexError) as raised:
            if not results:  # the function itself
                raise
            error, found = raised, []
        checked += sum(len(each.columns) for each in found)
        largest = max([largest, *(float(np.max(each.excess, initial=0)) for each in found)])
        hidden += sum(int(np.sum(each.is_hidden)) for each in found)
        wrong = [each for each in found if np.any(each.wrong)]
        if wrong or error:
            # A wrong gradient has a wrong gradient, so a second order would tell nothing new.
            return reports.of_differences(
                at_order, wrong, error, results, checked, largest, tolerance
            )
        function = gradient_function(function, weights, list(elements))
    return reports.of_agreement(checked, largest, hidden)


# ---------------------------------------------------------------------------- inputs and outputs


def _as_input(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        if x.requires_grad and not x.is_leaf:
            raise ValueError(
                f"{describe(x)} is no leaf, so it cannot be moved on its own; give the leaves it "
                "was computed from, or x.detach().requires_grad_()"
            )
        return x
    tensor = Tensor(x)
    return tensor.requires_grad_(tensor.dtype.kind == "f")


def _several(f: Callable[..., Any]) -> Callable[..., list[Tensor]]:
    """`f` with a list of Tensors as its result."""

    def function(*tensors: Tensor) -> list[Tensor]:
        out = f(*tensors)
        return [as_tensor(each) for each in (out if isinstance(out, (list, tuple)) else [out])]

    return function


def _run_twice(function: Callable[..., list[Tensor]], tensors: list[Tensor]) -> list[Tensor] | None:
    """The outputs; None if a second call gives others. Refuses what writes into its inputs."""
    before = [x.data.copy() for x in tensors]
    outputs, again = function(*tensors), function(*tensors)
    for i, (x, copy) in enumerate(zip(tensors, before, strict=True)):
        if not np.array_equal(x.data, copy, equal_nan=x.dtype.kind == "f"):
            raise ValueError(
                f"the function wrote into its input {i}, {describe(x)}, which others hold "
                "too; compute a new array instead: x = x * 2 and not x *= 2"
            )
    return outputs if same(outputs, again) else None
