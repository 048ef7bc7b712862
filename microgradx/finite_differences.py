"""Gradients checked against finite differences: what every rule of the table must agree with.

A derivative is a limit of difference quotients. Here each element of each input is moved a little
up and a little down, and how much the result changes is compared with what the sweep says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.array_methods import Array
from microgradx.engine import Tensor, as_tensor, sweep
from microgradx.messages import described
from microgradx.recording import enable_grad, no_grad

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
    """What `gradcheck` found. It is true if nothing differed."""

    checked: int  # elements, over all inputs and orders
    largest_error: float  # |analytic - numeric|, as a multiple of what was allowed
    mismatches: tuple[Mismatch, ...]  # the worst first
    message: str

    def __bool__(self) -> bool:
        return not self.mismatches


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
    """Compare the gradients of `f(*inputs)` with central differences, (f(x+h) - f(x-h)) / 2h.

    `f` gives a Tensor, or several; they are combined with random weights (from `seed`), so that
    the gradient arriving at a rule is not uniform. `inputs` is a Tensor or array, or a sequence
    of them: Tensors that require gradients and arrays of floats are checked, each element, or
    `samples` of them, drawn with `seed`, where an input has more. A Tensor is moved in place and
    restored, so `f` may also reach it otherwise: as a parameter of a model, say.

    eps: the step h, relative to max(1, |x|); by default the cube root of the dtype's precision,
        which balances the error of the quotient, O(h²), with that of rounding, O(1/h).
    atol, rtol: what |analytic - numeric| may be, atol + rtol |numeric| (1e-7 and 1e-5 in
        float64); what rounding makes of the quotient itself is allowed on top.
    order: 2 checks the gradient of the gradient too.
    allow_float32: differences of single precision show only crude mistakes and are refused
        unless this says otherwise.

    Gives a report that is true; raises GradcheckError where something differs, or gives a report
    that is false if `raise_exception` is. Raises TypeError or ValueError for inputs that cannot
    be checked. At a kink, such as that of relu at 0, differences have no meaning.

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
    step = float(np.cbrt(precision)) if eps is None else eps
    absolute = (3e-3 if coarse else 1e-7) if atol is None else atol
    relative = (3e-2 if coarse else 1e-5) if rtol is None else rtol

    generator = np.random.default_rng(seed)
    elements = {i: _elements(tensors[i], samples, generator) for i in moved}
    function = _several(f)
    checked, largest = 0, 0.0
    mismatches: list[Mismatch] = []
    unreached: list[tuple[int, int]] = []
    for at_order in range(1, order + 1):
        before = [x.data.copy() for x in tensors]
        outputs, again = function(*tensors), function(*tensors)
        for i, (x, copy) in enumerate(zip(tensors, before, strict=True)):
            if not np.array_equal(x.data, copy, equal_nan=x.dtype.kind == "f"):
                raise ValueError(
                    f"the function wrote into its input {i}, {described(x)}, which others hold "
                    "too; compute a new array instead: x = x * 2 and not x *= 2"
                )
        if not all(map(_equal, outputs, again)):
            raise ValueError(
                "two calls of the function on the same inputs gave different results, so "
                "differences mean nothing; fix its random numbers, or switch dropout off"
            )
        weights = [
            np.asarray(generator.normal(size=out.shape)).astype(out.dtype) for out in outputs
        ]
        analytic = _gradients(outputs, weights, [tensors[i] for i in moved])
        for i, gradient in zip(moved, analytic, strict=True):
            if gradient is None:
                unreached.append((at_order, i))
                gradient = np.zeros(tensors[i].shape)
            for index in elements[i]:
                numeric, noise = _quotient(function, tensors, i, index, weights, step, precision)
                allowed = absolute + relative * abs(numeric) + noise
                error = abs(float(gradient[index]) - numeric)
                checked += 1
                # Written so that NaN counts as different.
                if not error <= allowed:
                    mismatches.append(Mismatch(at_order, i, index, float(gradient[index]), numeric))
                largest = max(largest, error / allowed) if error == error else np.inf
        if mismatches:
            break  # a wrong gradient has a wrong gradient, which would tell nothing new
        function = _gradient_function(function, weights, moved)
    mismatches.sort(key=lambda found: -_badness(found))
    message = _message(tensors, elements, mismatches, unreached, checked)
    report = GradcheckReport(checked, largest, tuple(mismatches), message)
    if mismatches and raise_exception:
        raise GradcheckError(message, report)
    return report


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


def _equal(a: Tensor, b: Tensor) -> bool:
    return bool(np.array_equal(a.data, b.data, equal_nan=True))


def _elements(x: Tensor, samples: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    """Indices of all elements, or of some drawn at random if there are more than `samples`."""
    flat: Any = range(x.size)
    if x.size > samples:
        flat = np.sort(generator.choice(x.size, samples, replace=False))
    return [tuple(int(i) for i in np.unravel_index(k, x.shape)) for k in flat]


def _gradients(outputs: list[Tensor], weights: list[Array], inputs: list[Tensor]) -> list[Any]:
    """Of the weighted sum of the outputs, at each input; None where no gradient arrives."""
    seeds = {out: w for out, w in zip(outputs, weights, strict=True) if out.requires_grad}
    arrived = dict(sweep(seeds)) if seeds else {}
    return [arrived.get(x) for x in inputs]


def _gradient_function(
    function: Callable[..., list[Tensor]], weights: list[Array], moved: Sequence[int]
) -> Callable[..., list[Tensor]]:
    """The gradient of `function` at its moved inputs, as a function itself."""

    def gradient(*tensors: Tensor) -> list[Tensor]:
        with enable_grad():
            outputs = function(*tensors)
            seeds = {
                out: as_tensor(w)
                for out, w in zip(outputs, weights, strict=True)
                if out.requires_grad
            }
            arrived = dict(sweep(seeds, create_graph=True))
            return [
                as_tensor(arrived.get(tensors[i], np.zeros_like(tensors[i].data))) for i in moved
            ]

    return gradient


def _quotient(
    function: Callable[..., list[Tensor]],
    tensors: list[Tensor],
    i: int,
    index: tuple[int, ...],
    weights: list[Array],
    step: float,
    precision: float,
) -> tuple[float, float]:
    """The central difference at one element, and how far rounding may have taken it off."""
    data = tensors[i].data
    here = data[index].copy()
    results = []
    places = []
    try:
        for direction in (1, -1):
            data[index] = here + direction * step * max(1.0, abs(float(here)))
            places.append(float(data[index]))
            with no_grad():
                results.append([out.data.astype(np.float64) for out in function(*tensors)])
    finally:
        data[index] = here
    width = places[0] - places[1]
    change = sum(
        float(np.sum(w * (up - down)))
        for w, up, down in zip(weights, results[0], results[1], strict=True)
    )
    size = sum(float(np.sum(np.abs(w * up))) for w, up in zip(weights, results[0], strict=True))
    return change / width, 10 * precision * size / width


def _badness(found: Mismatch) -> float:
    error = abs(found.analytic - found.numeric)
    return error / max(abs(found.numeric), 1e-3) if error == error else np.inf


def _message(
    tensors: list[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    mismatches: list[Mismatch],
    unreached: list[tuple[int, int]],
    checked: int,
) -> str:
    if not mismatches:
        return f"gradients agree with finite differences at {checked} elements"
    worst = mismatches[0]
    order = "second-order " if worst.order == 2 else ""
    lines = [
        f"the {order}gradient does not agree with finite differences",
        "(of the sum of the outputs, each times a random weight, so that g is not uniform)",
    ]
    for i, indices in elements.items():
        wrong = [found for found in mismatches if found.input == i]
        if not wrong:
            continue
        lines.append(
            f"input {i}, {described(tensors[i])}: wrong at {len(wrong)} of {len(indices)} elements"
            + (": no gradient reached it" if (worst.order, i) in unreached else "")
        )
        lines.append(
            f"  {'element':>12}  {'analytic':>13}  {'numeric':>13}  {'analytic / numeric':>18}"
        )
        for found in wrong[:6]:
            ratio = found.analytic / found.numeric if found.numeric else np.nan
            lines.append(
                f"  {found.index!s:>12}  {found.analytic:13.6g}  {found.numeric:13.6g}"
                f"  {ratio:18.4g}"
            )
        if len(wrong) > 6:
            lines.append(f"  and {len(wrong) - 6} more")
    return "\n".join(lines)
