"""`check_op`: all requirements on an op, checked in one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array, as_array, unwrap
from microgradx.checking.comparison import are_equal, as_list
from microgradx.checking.gradients import gradcheck
from microgradx.engine import Op, Tensor, as_tensor, sweep
from microgradx.graph.observers import observe

__all__ = ["Check", "OpCheckError", "OpReport", "check_op"]


class OpCheckError(AssertionError):
    """An op does not meet the requirements; `report` has the details."""

    def __init__(self, message: str, report: OpReport) -> None:
        super().__init__(message)
        self.report = report


class Check(NamedTuple):
    """One requirement, checked on one sample. The message is empty if it was met."""

    name: str
    sample: str
    message: str


@dataclass(frozen=True)
class OpReport:
    """The result of `check_op`; bool(report) is True if every requirement was met."""

    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.message)

    @property
    def message(self) -> str:
        """A line for each requirement, and below it what is wrong if it was not met."""
        lines = []
        for name in dict.fromkeys(check.name for check in self.checks):
            checks = [check for check in self.checks if check.name == name]
            failed = [check for check in checks if check.message]
            lines.append(f"{'✗' if failed else '✓'} {name} ({len(checks)} samples)")
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
    """Check an op on samples: values, first and second derivatives, dtypes, shapes, side effects.

    op: an Op, an Op class without settings, or any function of arrays.
    samples: the float64 inputs of one call each, an array or a tuple of arrays; not at kinks or
        at the edge of the function's domain.
    reference: a function that computes the same values independently.
    order: 1 if the op has no second derivative.

    The requirements: the forward returns an array of numbers, the same for Tensors, equal to the
    reference; neither forward nor backward writes into its inputs or keeps state; derivatives
    agree with finite differences (`gradcheck`, which names the mistake); float32 stays float32 in
    both directions; the memory layout of inputs does not matter; and, if the forward accepts them,
    all this holds for inputs that are broadcast, and for empty ones.

    Returns a report, which is true if all are met. If not, raises OpCheckError, which has the
    report, or returns it if `raise_exception` is False.

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
        raise ValueError("check_op needs samples: the inputs of a call, an array or several")
    checks = []
    for sample in samples:
        arrays = [as_array(a).copy() for a in (sample if isinstance(sample, tuple) else (sample,))]
        text = " and ".join(f"{a.dtype} {a.shape}" for a in arrays)
        for name, message in _check_sample(function, arrays, reference, order):
            checks.append(Check(name, text, message))
    report = OpReport(tuple(checks))
    if not report and raise_exception:
        raise OpCheckError(report.message, report)
    return report


def _check_sample(
    function: Callable[..., Any], arrays: list[Array], reference: Any, order: int
) -> Iterator[tuple[str, str]]:
    """Each requirement, and what is wrong with it on one sample."""
    message = _check_forward(function, arrays, reference)
    yield "forward", message
    if message:
        return  # everything else would fail too
    message = _check_derivatives(function, arrays, order)
    yield "derivatives", message
    if message.startswith("the rule raised"):
        return  # it would raise everywhere
    for name, check in REQUIREMENTS.items():
        try:
            yield name, check(function, arrays)
        except (ValueError, TypeError, IndexError) as error:
            yield name, str(error)
    for others in _broadcast_samples(arrays):
        if _accepts(function, others):
            yield "broadcasting", _check_derivatives(function, others, order)
    empty = [a[:0] if a.ndim else a for a in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of the mean of no elements
        if any(a.ndim for a in arrays) and _accepts(function, empty):
            yield "empty", _check_derivatives(function, empty, 1)


def _check_forward(function: Callable[..., Any], arrays: list[Array], reference: Any) -> str:
    before = [a.copy() for a in arrays]
    outs = as_list(function(*arrays))
    if not are_equal(arrays, before):
        return "it wrote into its inputs; compute a new array instead: x = x * 2, not x *= 2"
    for out in outs:
        if isinstance(out, Tensor):
            return "for arrays it returns a Tensor; arrays in must give arrays out"
        dtype = np.asarray(out).dtype
        if dtype.kind not in "fiub":
            return f"it returns {type(out).__name__} of dtype {dtype}, not real numbers"
    tensors = as_list(function(*_as_leaves(arrays)))
    if not all(isinstance(out, Tensor) for out in tensors):
        return "for Tensors it does not return a Tensor: it must be an Op, or be composed of ops"
    if not are_equal(outs, tensors):
        return f"for Tensors it returns {tensors!r}, but for their arrays {outs!r}"
    if reference is not None:
        expected = as_list(reference(*arrays))
        if not _are_close(outs, expected):
            return f"it returns {outs!r}, but the reference {expected!r}"
    return ""


def _check_derivatives(function: Callable[..., Any], arrays: list[Array], order: int) -> str:
    report = gradcheck(function, arrays, order=order, raise_exception=False)
    return "" if report else report.message


def _check_inputs_unchanged(function: Callable[..., Any], arrays: list[Array]) -> str:
    inputs = _as_leaves(arrays)
    outs, seeds = _outputs_and_seeds(function, inputs)
    tensors = [*inputs, *outs]
    before = [x.data.copy() for x in tensors]
    weights = [seed.copy() for seed in seeds.values()]
    list(sweep(seeds))
    for i, (x, copy) in enumerate(zip(tensors, before, strict=True)):
        if not are_equal([x], [copy]):
            what = f"input {i}" if i < len(inputs) else "its own output"
            return f"the backward wrote into {what}; compute a new array instead"
    if not are_equal(list(seeds.values()), weights):
        return "the backward wrote into g; compute a new array instead"
    return ""


def _check_no_state(function: Callable[..., Any], arrays: list[Array]) -> str:
    others = [np.roll(a.ravel(), 1).reshape(a.shape) for a in arrays]
    expected = _values_and_gradients(function, _as_leaves(arrays))
    after = _values_and_gradients(
        function, _as_leaves(arrays), before_backward=lambda: _accepts(function, others)
    )
    if _are_close(expected, after):
        return ""
    return (
        "a forward on other inputs, between a forward and its backward, changes the gradient: do "
        "not store anything on self; the backward receives g, out and the inputs"
    )


def _check_float32(function: Callable[..., Any], arrays: list[Array]) -> str:
    tensors = _as_leaves([a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays])
    outs, seeds = _outputs_and_seeds(function, tensors)
    for out in outs:
        if out.dtype.kind == "f" and out.dtype != np.float32:
            return (
                f"for float32 it returns {out.dtype}; use Python numbers, which do not change the "
                "dtype, instead of float64 constants"
            )
    recorder = _GradientRecorder()
    with observe(recorder):
        list(sweep(seeds))
    for x, gradient in recorder.gradients:
        if x.dtype == np.float32 and np.asarray(unwrap(gradient)).dtype == np.float64:
            return (
                f"the rule returns a float64 gradient for a float32 input of shape {x.shape}, "
                "which must be converted each time; use Python numbers, which do not change the "
                "dtype"
            )
    return ""


class _GradientRecorder:
    """An observer that records the gradients as the rules return them."""

    def __init__(self) -> None:
        self.gradients: list[tuple[Tensor, Any]] = []

    def forward(self, op: Op, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        pass

    def backward(self, out: Tensor, x: Tensor, g: Any, gradient: Any) -> None:
        self.gradients.append((x, gradient))


def _check_memory_layouts(function: Callable[..., Any], arrays: list[Array]) -> str:
    expected = _values_and_gradients(function, _as_leaves(arrays))
    for change_layout in LAYOUTS:
        tensors = [as_tensor(change_layout(a)) for a in arrays]  # Tensor(...) would copy
        for tensor in tensors:
            tensor.requires_grad_(tensor.dtype.kind == "f")
        if not _are_close(_values_and_gradients(function, tensors), expected):
            return (
                "inputs with another memory layout, such as x.T, x[:, 0] or x[::-1], give "
                "different results"
            )
    return ""


#: The same elements in other memory layouts: strided, in Fortran's order, with negative strides.
LAYOUTS: tuple[Callable[[Array], Array], ...] = (
    lambda a: np.repeat(a[..., None], 2, axis=-1)[..., 0],
    lambda a: np.array(a, order="F"),
    lambda a: np.flip(np.flip(a).copy()),
)

REQUIREMENTS: dict[str, Callable[[Callable[..., Any], list[Array]], str]] = {
    "inputs unchanged": _check_inputs_unchanged,
    "no state": _check_no_state,
    "float32": _check_float32,
    "not contiguous": _check_memory_layouts,
}


# ---------------------------------------------------------------------------- samples and results


def _broadcast_samples(arrays: list[Array]) -> Iterator[list[Array]]:
    """The sample with one of several inputs of equal shape at length 1, or without an axis."""
    if len(arrays) < 2 or len({a.shape for a in arrays}) > 1:
        return
    for i, a in enumerate(arrays):
        smaller = [np.take(a, [0], axis) for axis in range(a.ndim) if a.shape[axis] > 1]
        smaller += [a[0]] if a.ndim and len(a) else []
        for each in smaller:
            yield [*arrays[:i], each, *arrays[i + 1 :]]


def _accepts(function: Callable[..., Any], arrays: list[Array]) -> bool:
    try:
        function(*arrays)
    except (ValueError, TypeError, IndexError, ZeroDivisionError):
        return False
    return True


def _as_leaves(arrays: Sequence[Array]) -> list[Tensor]:
    return [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]


def _outputs_and_seeds(
    function: Callable[..., Any], tensors: list[Tensor]
) -> tuple[list[Tensor], dict[Tensor, Array]]:
    """The results, and for each that requires gradients an initial one that is not uniform."""
    outs = [as_tensor(out) for out in as_list(function(*tensors))]
    return outs, {
        out: np.asarray(np.linspace(0.5, 1.5, out.size).reshape(out.shape), out.dtype)
        for out in outs
        if out.requires_grad
    }


def _values_and_gradients(
    function: Callable[..., Any],
    tensors: list[Tensor],
    before_backward: Callable[[], Any] = lambda: None,
) -> list[Array]:
    outs, seeds = _outputs_and_seeds(function, tensors)
    before_backward()
    arrived = dict(sweep(seeds))
    return [*(out.data for out in outs), *(arrived.get(x, np.zeros(())) for x in tensors)]


def _are_close(some: list[Any], others: list[Any]) -> bool:
    return are_equal(some, others, rtol=1e-9, atol=1e-12)
