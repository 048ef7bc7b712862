"""`gradcheck`: every rule compared with finite differences, and what is wrong with it named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np

from microgradx.checking.causes import Cause, cause_of, kink
from microgradx.checking.evidence import (
    Evidence,
    Tolerance,
    evidence,
    evidence_of_op,
    gradient_function,
    random_stream,
)
from microgradx.checking.pictures import picture
from microgradx.engine import Op, Tensor, as_tensor, history
from microgradx.messages import described

__all__ = ["GradcheckError", "GradcheckReport", "Mismatch", "gradcheck"]


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
            f"{described(coarse[0])} is too coarse for finite differences; give float64, or pass "
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
    elements = {i: _elements(tensors[i], samples, generator) for i in moved}
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
                return _non_deterministic(function, tensors)
            undefined = _undefined(outputs) if any(elements.values()) else None
            if undefined is not None:
                return undefined
            if at_order == 2:
                apart = _differing(found, outputs)
                if apart:
                    return _two_rules(apart, checked, largest)
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
            return _diagnosed(at_order, wrong, error, results, checked, largest, tolerance)
        function = gradient_function(function, weights, list(elements))
    message = f"gradients agree with finite differences at {checked} elements"
    if hidden:
        message += (
            f"; at {hidden} of them rounding is so large beside the gradient that a mistake could "
            "hide: check at inputs, or of a function, of more even size"
        )
    return GradcheckReport(checked, largest, (), (), None, message, True)


# ---------------------------------------------------------------------------- what is wrong


def _diagnosed(
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
            f"input {each.position}, {described(each.tensor)}: wrong at "
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
    if error is not None and not any(cause for _, cause in causes):
        causes = [(None, Cause("error in the rule", str(error)))]  # type: ignore[list-item]
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
        tuple(cause for _, cause in causes if cause is not None),
        op,
        "\n".join(lines),
        False,
    )


def _differing(found: list[Evidence], gradients: list[Tensor]) -> list[Evidence]:
    """The inputs at which the rules, run on Tensors, give another gradient than on arrays."""
    return [
        each
        for each, gradient in zip(found, gradients, strict=True)
        if not np.allclose(each.analytic, gradient.data, 1e-6, 1e-9, equal_nan=True)
    ]


def _two_rules(apart: list[Evidence], checked: int, largest: float) -> GradcheckReport:
    """The report of rules that are right on arrays, and give something else on Tensors."""
    cause = Cause(
        "constant in the rule",
        "on arrays the rule is right, and on Tensors, on which create_graph=True runs it, it gives "
        "another gradient: does it ask for the type of its arguments, or use an array that the "
        "forward kept?",
    )
    lines = ["the gradient under create_graph=True is not that of the ordinary sweep"]
    for each in apart:
        lines.append(f"input {each.position}, {described(each.tensor)}: {cause.kind}")
    lines += wrap(cause.text, 96, initial_indent="    ", subsequent_indent="    ")
    return GradcheckReport(checked, largest, (), (cause,), None, "\n".join(lines), False)


def _op_to_blame(
    outputs: list[Tensor], order: int, tolerance: Tolerance
) -> tuple[Op | None, list[Evidence]]:
    """The first op, of those not the library's own, whose rule is wrong by itself; and how."""
    at_kinks: tuple[Op | None, list[Evidence]] = (None, [])
    generator = random_stream(0)
    for node in reversed(history(*outputs)):
        op = node.op
        if op is None or type(op).__module__.split(".")[0] == "microgradx":
            continue
        elements = {
            i: _elements(x, 100, generator) for i, x in enumerate(node.inputs) if x.requires_grad
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


def _undefined(outputs: list[Tensor]) -> GradcheckReport | None:
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


def _non_deterministic(
    function: Callable[..., list[Tensor]], tensors: list[Tensor]
) -> GradcheckReport:
    """The report of a function whose differences mean nothing."""
    text = (
        "two calls of the function on the same inputs gave different results, so differences mean "
        "nothing; fix its random numbers, or switch dropout off"
    )
    op = None
    for node in reversed(history(*function(*tensors))):
        arrays = [x.data for x in node.inputs]
        if node.op is not None and not _same([node.op(*arrays)], [node.op(*arrays)]):
            op = node.op
            text += f"; it is {op!r} whose forward gives something else each time"
            break
    cause = Cause("non-deterministic", text)
    return GradcheckReport(0, np.inf, (), (cause,), op, text, False)


# ---------------------------------------------------------------------------- inputs and outputs


def _as_input(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        if x.requires_grad and not x.is_leaf:
            raise ValueError(
                f"{described(x)} is no leaf, so it cannot be moved on its own; give the leaves it "
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
                f"the function wrote into its input {i}, {described(x)}, which others hold "
                "too; compute a new array instead: x = x * 2 and not x *= 2"
            )
    return outputs if _same(outputs, again) else None


def _same(some: list[Any], others: list[Any]) -> bool:
    return all(
        np.array_equal(as_tensor(a).data, as_tensor(b).data, equal_nan=True)
        for a, b in zip(some, others, strict=True)
    )


def _elements(x: Tensor, samples: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    """Indices of all elements, or of some drawn at random if there are more than `samples`."""
    flat: Any = range(x.size)
    if x.size > samples:
        flat = np.sort(generator.choice(x.size, samples, replace=False))
    return [tuple(int(i) for i in np.unravel_index(k, x.shape)) for k in flat]


def _badness(found: Mismatch) -> float:
    error = abs(found.analytic - found.numeric)
    return error / max(abs(found.numeric), 1e-3) if error == error else np.inf
