"""`check_op`: all that an op must keep to, in one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.checking.gradients import GradcheckReport, gradcheck
from microgradx.engine import Op, Tensor, as_tensor, sweep
from microgradx.graph.observers import observe

__all__ = ["Check", "OpCheckError", "OpReport", "check_op"]


class OpCheckError(AssertionError):
    """An op does not keep to what ops must; `report` holds the details."""

    def __init__(self, message: str, report: OpReport) -> None:
        super().__init__(message)
        self.report = report


class Check(NamedTuple):
    """One requirement, tried on one sample: an empty message if it was met."""

    name: str
    sample: str
    message: str


@dataclass(frozen=True)
class OpReport:
    """What `check_op` tried. It is true if everything was met."""

    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.message)

    @property
    def message(self) -> str:
        """A line for each requirement, and what went wrong where one was not met."""
        lines = []
        for name in dict.fromkeys(check.name for check in self.checks):
            tried = [check for check in self.checks if check.name == name]
            failed = [check for check in tried if check.message]
            lines.append(f"{'✗' if failed else '✓'} {name} ({len(tried)} samples)")
            for check in failed:
                lines.append(f"    on {check.sample}:")
                lines += [f"    {line}" for line in check.message.splitlines()]
        return "\n".join(lines)

    def __bool__(self) -> bool:
        return not self.failures


def check_op(
    op: Any,
    *samples: Any,
    reference: Callable[..., Any] | None = None,
    order: int = 2,
    raise_exception: bool = True,
) -> OpReport:
    """Try an op on samples: its values, both orders of derivative, dtypes, shapes, side effects.

    op: an Op, an Op class that needs no settings, or any function of arrays.
    samples: the float64 inputs of one call each: an array, or a tuple of arrays. Away from kinks,
        and within the function's domain also near by.
    reference: a function that computes the same values independently.
    order: 1 if the op has no second derivative.

    Checked are: that the forward gives an array of numbers, the same for Tensors, and that of the
    reference; that neither direction writes into its inputs, or keeps state; that the derivatives
    agree with finite differences (`gradcheck`, which names the mistake); that float32 stays
    float32 in both directions; that inputs which are not contiguous give the same; and, as far as
    the forward takes them, inputs that are broadcast, and empty ones.

    Gives a report that is true; raises OpCheckError where something was not met, or gives a report
    that is false if `raise_exception` is.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> class Cube(mg.Op):
    ...     def forward(self, x):
    ...         return x**3
    ...     def backward(self, g, out, x):
    ...         return g * 3 * x**2
    >>> print(check_op(Cube, np.array([1.0, -2.0]), reference=lambda x: x * x * x).message)
    ✓ forward (1 samples)
    ✓ derivatives (1 samples)
    ✓ inputs unchanged (1 samples)
    ✓ no state (1 samples)
    ✓ float32 (1 samples)
    ✓ not contiguous (1 samples)
    ✓ empty (1 samples)
    """
    function = op() if isinstance(op, type) and issubclass(op, Op) else op
    if not samples:
        raise ValueError("check_op needs samples: the inputs to try, as arrays or tuples of arrays")
    checks = [
        Check(name, _described(arrays), message)
        for sample in samples
        for arrays in [[np.array(a) for a in (sample if isinstance(sample, tuple) else (sample,))]]
        for name, message in _tried(function, arrays, reference, order)
    ]
    report = OpReport(tuple(checks))
    if not report and raise_exception:
        raise OpCheckError(report.message, report)
    return report


def _tried(
    function: Callable[..., Any], arrays: list[Array], reference: Any, order: int
) -> Iterator[tuple[str, str]]:
    """The requirements on one sample, with what is wrong."""
    message = _forward(function, arrays, reference)
    yield "forward", message
    if message:
        return  # nothing else could be told from what is wrong already
    message = _derivatives(function, arrays, order)
    yield "derivatives", message
    if message.startswith("the rule raised"):
        return  # it would raise everywhere
    for name, requirement in REQUIREMENTS.items():
        try:
            yield name, requirement(function, arrays)
        except (ValueError, TypeError, IndexError) as error:
            yield name, str(error)
    for others in _broadcast(arrays):
        if _accepts(function, others):
            yield "broadcasting", _derivatives(function, others, order)
    empty = [a[:0] if a.ndim else a for a in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the mean of nothing, NumPy warns
        if any(a.ndim for a in arrays) and _accepts(function, empty):
            yield "empty", _derivatives(function, empty, 1)


def _forward(function: Callable[..., Any], arrays: list[Array], reference: Any) -> str:
    before = [a.copy() for a in arrays]
    outs = _several(function(*arrays))
    if not _equal(arrays, before, exactly=True):
        return "it wrote into its inputs; compute a new array instead: x = x * 2, not x *= 2"
    for out in outs:
        if isinstance(out, Tensor):
            return "of arrays it gives a Tensor; arrays in must give arrays out"
        if np.asarray(out).dtype.kind not in "fiub":
            return (
                f"it gives {type(out).__name__} of dtype {np.asarray(out).dtype}, not real numbers"
            )
    wrapped = _several(function(*_leaves(arrays)))
    if not all(isinstance(out, Tensor) for out in wrapped):
        return "of Tensors it gives no Tensor: it must be computed by ops, or be one"
    if not _equal(outs, [unwrap(out) for out in wrapped], exactly=True):
        return f"of Tensors it gives {wrapped!r}, and of their arrays {outs!r}"
    if reference is not None:
        expected = _several(reference(*arrays))
        if not _equal(outs, expected):
            return f"it gives {outs!r}, and the reference {expected!r}"
    return ""


def _derivatives(function: Callable[..., Any], arrays: list[Array], order: int) -> str:
    report: GradcheckReport = gradcheck(function, arrays, order=order, raise_exception=False)
    return "" if report else report.message


def _unchanged(function: Callable[..., Any], arrays: list[Array]) -> str:
    tensors = _leaves(arrays)
    outs, seeds = _outputs_and_seeds(function, tensors)
    before = [x.data.copy() for x in [*tensors, *outs]]
    weights = [seed.copy() for seed in seeds.values()]
    list(sweep(seeds))
    for i, (x, copy) in enumerate(zip([*tensors, *outs], before, strict=True)):
        if not np.array_equal(x.data, copy, equal_nan=True):
            what = f"input {i}" if i < len(tensors) else "its own output"
            return f"the backward wrote into {what}; compute a new array instead"
    if not _equal(list(seeds.values()), weights, exactly=True):
        return "the backward wrote into g; compute a new array instead"
    return ""


def _stateless(function: Callable[..., Any], arrays: list[Array]) -> str:
    def gradients(then: Callable[[], Any]) -> list[Array]:
        tensors = _leaves(arrays)
        _, seeds = _outputs_and_seeds(function, tensors)
        then()
        arrived = dict(sweep(seeds))
        return [arrived.get(x, np.zeros(())) for x in tensors]

    others = [np.roll(a.ravel(), 1).reshape(a.shape) for a in arrays]
    at_once = gradients(lambda: None)
    later = gradients(lambda: function(*others) if _accepts(function, others) else None)
    return (
        ""
        if _equal(at_once, later)
        else (
            "a forward of other inputs, between a forward and its backward, changes the gradient: "
            "do not keep anything on self; the rule is given g, out and the inputs"
        )
    )


def _float32(function: Callable[..., Any], arrays: list[Array]) -> str:
    tensors = _leaves([a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays])
    outs, seeds = _outputs_and_seeds(function, tensors)
    for out in outs:
        if out.dtype.kind == "f" and out.dtype != np.float32:
            return (
                f"of float32 it gives {out.dtype}; use Python's numbers, which are weak, and no "
                "constants of float64"
            )
    given = _Gradients()
    with observe(given):
        list(sweep(seeds))
    for x, gradient in given.seen:
        if x.dtype == np.float32 and np.asarray(unwrap(gradient)).dtype == np.float64:
            return (
                f"the rule gives a gradient of float64 for an input of float32, {x.shape}, which "
                "has to be converted each time; use Python's numbers, which are weak"
            )
    return ""


class _Gradients:
    """An observer that notes the gradients as the rules give them."""

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Any]] = []

    def forward(self, op: Op, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        pass

    def backward(self, out: Tensor, x: Tensor, g: Any, gradient: Any) -> None:
        self.seen.append((x, gradient))


def _not_contiguous(function: Callable[..., Any], arrays: list[Array]) -> str:
    def results(tensors: list[Tensor]) -> list[Array]:
        outs, seeds = _outputs_and_seeds(function, tensors)
        arrived = dict(sweep(seeds))
        return [*(out.data for out in outs), *(arrived.get(x, 0.0) for x in tensors)]

    expected = results(_leaves(arrays))
    for layout in LAYOUTS:
        tensors = [as_tensor(layout(a)) for a in arrays]
        for tensor in tensors:
            tensor.requires_grad_(tensor.dtype.kind == "f")
        if not _equal(results(tensors), expected):
            return (
                "inputs that lie otherwise in memory, such as x.T, x[:, 0] or x[::-1], give other "
                "results"
            )
    return ""


#: The same elements in other places of memory.
LAYOUTS: tuple[Callable[[Array], Array], ...] = (
    lambda a: np.repeat(a[..., None], 2, axis=-1)[..., 0],
    lambda a: np.array(a, order="F"),
    lambda a: np.flip(np.flip(a).copy()),
)

REQUIREMENTS: dict[str, Callable[[Callable[..., Any], list[Array]], str]] = {
    "inputs unchanged": _unchanged,
    "no state": _stateless,
    "float32": _float32,
    "not contiguous": _not_contiguous,
}


# ---------------------------------------------------------------------------- samples and results


def _broadcast(arrays: list[Array]) -> Iterator[list[Array]]:
    """The sample with one of several inputs of equal shape at length 1, or short of an axis."""
    if len(arrays) < 2 or len({a.shape for a in arrays}) > 1:
        return
    for i, a in enumerate(arrays):
        shorter = [np.take(a, [0], axis) for axis in range(a.ndim) if a.shape[axis] > 1]
        shorter += [a[0]] if a.ndim and len(a) else []
        for one in shorter:
            yield [one if i == j else other for j, other in enumerate(arrays)]


def _accepts(function: Callable[..., Any], arrays: list[Array]) -> bool:
    try:
        function(*arrays)
    except (ValueError, TypeError, IndexError, ZeroDivisionError):
        return False
    return True


def _leaves(arrays: Sequence[Array]) -> list[Tensor]:
    return [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]


def _outputs_and_seeds(
    function: Callable[..., Any], tensors: list[Tensor]
) -> tuple[list[Tensor], dict[Tensor, Array]]:
    """The results, and for each that requires gradients one that is not uniform."""
    outs = [as_tensor(out) for out in _several(function(*tensors))]
    return outs, {
        out: np.asarray(np.linspace(0.5, 1.5, out.size).reshape(out.shape), out.dtype)
        for out in outs
        if out.requires_grad
    }


def _several(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def _equal(some: list[Any], others: list[Any], *, exactly: bool = False) -> bool:
    relative, absolute = (0, 0) if exactly else (1e-9, 1e-12)
    return len(some) == len(others) and all(
        np.shape(a) == np.shape(b) and np.allclose(a, b, relative, absolute, equal_nan=True)
        for a, b in zip(some, others, strict=True)
    )


def _described(arrays: list[Array]) -> str:
    return " and ".join(f"{a.dtype} {a.shape}" for a in arrays)
