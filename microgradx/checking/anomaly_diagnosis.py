"""Why a result is NaN or infinite, and what to do about it: the table that `detect_anomaly` reads.

Each row names the ops it applies to, a condition on the op and its numbers, and the likely cause
with a remedy. The first row whose condition holds is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import Elementwise

__all__ = [
    "BACKWARD_CAUSES",
    "COMPUTED_BEFORE",
    "FORWARD_CAUSES",
    "MASKED_LABEL",
    "NAN_IN_DATA",
    "PARAMETER_NOT_FINITE",
    "Anomaly",
    "find_likely_cause",
    "is_finite",
    "walk_ancestors",
]


def is_finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


@dataclass
class Anomaly:
    """An op, its inputs, and a result or gradient of it that is not finite."""

    op: Op
    inputs: tuple[Tensor, ...]
    result: Array  # of the forward, or of the backward for the input of that index
    index: int | None = None
    g: Array | None = None

    def __post_init__(self) -> None:
        self.values = [np.asarray(x.array) for x in self.inputs]
        self.has_nan = bool(np.isnan(self.result).any())

    def at(self, i: int) -> Array:
        """The numbers of input `i` that led to what is not finite; all if that is unknown."""
        return self.where_not_finite(self.values[i])

    def where_not_finite(self, values: Any) -> Array:
        if not isinstance(self.op, Elementwise):
            return np.ravel(values)
        shape = np.broadcast_shapes(*(value.shape for value in self.values))
        everywhere = np.broadcast_to(values, shape)
        # A gradient may have been summed to the shape of its input.
        is_known = self.result.shape == shape
        return everywhere[~np.isfinite(self.result)] if is_known else everywhere.ravel()

    @property
    def inputs_are_finite(self) -> bool:
        return all(is_finite(value) for value in self.values)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.result.dtype
        return dtype

    @property
    def largest(self) -> float:
        return float(np.finfo(self.dtype).max)


#: Names of ops ("" for all), a condition, the cause.
_Row = tuple[str, Callable[[Anomaly], Any], str | Callable[[Anomaly], str]]


def find_likely_cause(anomaly: Anomaly, table: tuple[_Row, ...]) -> str | None:
    """The cause in the first row that applies. Names refer to ops of the package only."""
    name = anomaly.op.name if _is_from_package(anomaly.op) else ""
    for names, condition, cause in table:
        if (not names or name in names.split()) and np.any(condition(anomaly)):
            return cause if isinstance(cause, str) else cause(anomaly)
    return None


def _is_from_package(op: Op) -> bool:
    return type(op).__module__.startswith("microgradx.")


def walk_ancestors(*tensors: Tensor) -> Iterator[Tensor]:
    """The Tensors and all that they were computed from, as far as the graph is recorded."""
    found = set(tensors)
    unvisited = list(tensors)
    while unvisited:
        tensor = unvisited.pop()
        yield tensor
        new = set(tensor.inputs) - found
        found |= new
        unvisited += new


# Ops that keep the values as they are, or select some of them.
_MOVES = ("reshape", "transpose", "broadcast_to", "getitem", "copy", "astype")


def _skip_moves(x: Tensor) -> Tensor:
    """The Tensor whose op computed the values of `x`: ops that only move values are skipped."""
    while x.op is not None and x.op.name in _MOVES and x.inputs:
        x = x.inputs[0]
    return x


def _is_computed_by(x: Tensor, *names: str) -> bool:
    x = _skip_moves(x)
    name = x.op.name if x.op is not None else ""
    return name in names or any(scope.name in names for scope in x.scopes)


def _is_softmax(x: Tensor) -> bool:
    x = _skip_moves(x)
    is_composed = (
        x.op is not None
        and x.op.name == "divide"
        and _is_computed_by(x.inputs[0], "exp")
        and _is_computed_by(x.inputs[1], "sum")
    )
    return _is_computed_by(x, "softmax") or is_composed


def _has_exponential_factor(x: Tensor) -> bool:
    """Whether it is an exponential, possibly times or divided by something."""
    x = _skip_moves(x)
    factors = x.inputs if x.op is not None and x.op.name in ("multiply", "divide") else (x,)
    return any(_is_computed_by(factor, "exp") for factor in factors)


def _is_sigmoid(x: Tensor) -> bool:
    x = _skip_moves(x)
    is_complement = x.op is not None and x.op.name == "subtract"
    return _is_computed_by(x.inputs[1] if is_complement else x, "sigmoid")


def _largest_leaf(anomaly: Anomaly) -> tuple[Tensor | None, float]:
    """The leaf with the largest |number| among those that the inputs were computed from."""
    largest: tuple[Tensor | None, float] = None, 0.0
    for x in walk_ancestors(*anomaly.inputs):
        values = np.asarray(x.array)
        if x.op is None and values.size and values.dtype.kind == "f":
            finite = np.abs(values[np.isfinite(values)])
            if finite.size and finite.max() > largest[1]:
                largest = x, float(finite.max())
    return largest


def _is_overflow(anomaly: Anomaly) -> bool:
    # A sum of products that overflow to +inf and -inf is NaN.
    sums = ("matmul", "linear", "sum", "mean", "var", "std")
    return anomaly.inputs_are_finite and (not anomaly.has_nan or anomaly.op.name in sums)


def _explain_overflow(anomaly: Anomaly) -> str:
    limit = f"overflow: the largest {anomaly.dtype} is {anomaly.largest:.5g}"
    leaf, largest = _largest_leaf(anomaly)
    if leaf is not None and leaf.requires_grad and largest >= 100:
        name = f" of {leaf.name!r}" if leaf.name else ""
        return (
            f"{limit}. The parameters grew: the largest |weight|{name} is {largest:.3g}. The "
            "learning rate is too large: lower it, or clip the gradients"
        )
    if anomaly.dtype.itemsize < 8:
        wider = "float32" if anomaly.dtype.itemsize == 2 else "float64"
        return f"{limit}; scale the numbers down, or compute in np.{wider}: t.astype(np.{wider})"
    return f"{limit}; scale the numbers down, or compute with their logarithms"


def _explain_exponent(anomaly: Anomaly) -> str:
    name = anomaly.op.name
    limit = np.log(anomaly.largest) / np.log(2 if name == "exp2" else np.e)
    if name in ("sinh", "cosh"):  # (eˣ ± e⁻ˣ) / 2
        limit += np.log(2)
    remedy = (
        "subtract the maximum first, or use softmax, log_softmax or logsumexp, which do that"
        if name == "exp"
        else "keep its argument smaller"
    )
    return f"{name} of more than {round(limit, 2):g} overflows in {anomaly.dtype}: {remedy}"


# For a forward whose result np.where may have been meant to hide.
_SAFE_ARGUMENT = (
    " (if np.where selects another value there, make the argument safe first: "
    "np.{0}(np.where({1}, {2})))"
)
PARAMETER_NOT_FINITE = (
    "{} was not finite even before this op: the learning rate is too large, or an earlier step "
    "went wrong; lower the learning rate, clip the gradients, and put that step inside "
    "detect_anomaly() too"
)
NAN_IN_DATA = (
    "the data contain NaN: remove such rows, x[~np.isnan(x).any(axis=1)], or replace NaN by "
    "np.nan_to_num(x)"
)
COMPUTED_BEFORE = (
    "it was computed before detect_anomaly() began: put its computation inside the `with` too"
)
MASKED_LABEL = (
    "a label's class has the logit -inf, so probability 0 and loss -ln 0: do not mask the class "
    "of a label, or ignore such rows with ignore_index"
)
_MASKED_ROW = (
    "a row of logits contains only -inf, and has no softmax: keep one class unmasked, or remove "
    "such rows"
)
_LOGS = "log log2 log10"
_SOFTMAXES = "softmax log_softmax logsumexp softmax_cross_entropy"


def _has_masked_row(anomaly: Anomaly) -> bool:
    axis = getattr(anomaly.op, "axis", -1)
    return bool(np.any(np.all(np.isneginf(anomaly.values[0]), axis=axis)))


_ZERO_INPUT = (
    "an input is 0: does the op divide by it, or take its logarithm or root? Keep it away from 0, "
    "for example by adding a small number"
)


def _is_users_op_at_0(anomaly: Anomaly) -> bool:
    """An op from outside the package, about which nothing is known, where an input is 0."""
    return not _is_from_package(anomaly.op) and any(np.any(value == 0) for value in anomaly.values)


FORWARD_CAUSES: tuple[_Row, ...] = (
    (
        _LOGS,
        lambda a: (a.at(0) == 0).any() and _is_softmax(a.inputs[0]),
        "a probability underflowed to 0, whose logarithm is -inf: pass the logits to "
        "cross_entropy, or use log_softmax instead of log(softmax)",
    ),
    (
        _LOGS,
        lambda a: (a.at(0) == 0).any() and _is_sigmoid(a.inputs[0]),
        "a sigmoid underflowed to 0 or rounded to 1: pass the logits to "
        "binary_cross_entropy_with_logits, or use logsigmoid(x), and logsigmoid(-x) for "
        "log(1 - sigmoid(x))",
    ),
    (
        _LOGS,
        lambda a: (a.at(0) == 0).any() and _has_exponential_factor(a.inputs[0]),
        "an exponential underflowed to 0: simplify the logarithm, ln(eᵃ / b) = a - ln b, so that "
        "no exponential is computed",
    ),
    (
        _LOGS,
        lambda a: a.at(0) == 0,
        lambda a: (
            "the logarithm of 0: keep its argument away from 0, for example np.maximum(x, 1e-12)"
            + _SAFE_ARGUMENT.format(a.op.name, "x > 0", "x, 1")
        ),
    ),
    (
        _LOGS,
        lambda a: a.at(0) < 0,
        lambda a: (
            f"the logarithm of a negative number, {a.at(0).min():.6g}: it is defined only for "
            "x > 0" + _SAFE_ARGUMENT.format(a.op.name, "x > 0", "x, 1")
        ),
    ),
    (
        "log1p",
        lambda a: a.at(0) == -1,
        "log1p(x) is ln(1 + x), and x = -1 makes that ln 0: keep x above -1",
    ),
    (
        "log1p",
        lambda a: a.at(0) < -1,
        "log1p(x) is ln(1 + x), and x below -1 makes 1 + x negative: keep x above -1",
    ),
    ("exp exp2 expm1 sinh cosh", lambda a: a.inputs_are_finite, _explain_exponent),
    (
        "divide",
        lambda a: ((a.at(0) == 0) & (a.at(1) == 0)).any() and _is_computed_by(a.inputs[0], "exp"),
        "0/0, because all exponentials underflowed to 0: subtract the maximum first, or use "
        "softmax, which does that",
    ),
    (
        "divide",
        lambda a: (a.at(0) == 0) & (a.at(1) == 0),
        "0/0: keep the divisor away from 0 (if np.where selects another value there, make it safe "
        "first: x / np.where(y == 0, 1, y))",
    ),
    (
        "divide",
        lambda a: a.at(1) == 0,
        "a division by 0: keep the divisor away from 0, for example by adding a small number (if "
        "np.where selects another value there, make it safe first: x / np.where(y == 0, 1, y))",
    ),
    (
        "divide",
        lambda a: np.isinf(a.at(0)) & np.isinf(a.at(1)),
        "inf / inf: keep infinite masks out of divisions",
    ),
    (
        "floor_divide remainder",
        lambda a: a.at(1) == 0,
        "a division by 0: keep the divisor away from 0",
    ),
    (
        "reciprocal",
        lambda a: a.at(0) == 0,
        "1/0: keep x away from 0, for example by adding a small number",
    ),
    (
        "sqrt",
        lambda a: a.at(0) < 0,
        lambda a: (
            f"the root of a negative number, {a.at(0).min():.6g}: it is defined only for x >= 0; "
            "if rounding made it so, np.maximum(x, 0)"
        ),
    ),
    (
        "power",
        lambda a: (a.at(0) == 0) & (a.at(1) < 0),
        "0 to a negative exponent is 1/0: keep the base away from 0",
    ),
    (
        "power",
        lambda a: (a.at(0) < 0) & (a.at(1) != np.floor(a.at(1))),
        "a negative base with a fractional exponent has no real power: take np.abs(x), or keep "
        "the base positive",
    ),
    (
        "arcsin arccos",
        lambda a: np.abs(a.at(0)) > 1,
        lambda a: (
            f"{a.op.name} is defined only from -1 to 1; if rounding went beyond, np.clip(x, -1, 1)"
        ),
    ),
    ("arccosh", lambda a: a.at(0) < 1, "arccosh is defined only for x >= 1"),
    (
        "arctanh",
        lambda a: np.abs(a.at(0)) >= 1,
        "arctanh is finite only between -1 and 1; keep x inside",
    ),
    (
        "multiply",
        lambda a: ((a.at(0) == 0) & np.isinf(a.at(1))) | (np.isinf(a.at(0)) & (a.at(1) == 0)),
        "0 · inf: to mask, use np.where(mask, x, 0) instead of a product",
    ),
    (
        "add subtract",
        lambda a: np.isinf(a.at(0)) & np.isinf(a.at(1)),
        "inf - inf: two infinite masks meet; mask once, with np.where",
    ),
    (
        "sum mean cumsum",
        lambda a: np.isposinf(a.at(0)).any() and np.isneginf(a.at(0)).any(),
        "inf - inf: infinities of both signs are summed; use np.where before the sum",
    ),
    (
        "var std",
        lambda a: np.isinf(a.at(0)),
        "inf - inf: the mean of infinite numbers is infinite too; use np.where before",
    ),
    (
        "matmul linear",
        lambda a: any(np.isinf(value).any() for value in a.values),
        "0 · inf or inf - inf: an infinite mask is a factor of a matrix product; mask after it, "
        "with np.where",
    ),
    (
        "softmax_cross_entropy",
        lambda a: not a.has_nan and a.op.label_smoothing,  # type: ignore[attr-defined]
        "label_smoothing gives part of every target to a class whose logit is -inf, so "
        "probability 0: do not mask classes, or smooth the targets of the other classes yourself",
    ),
    ("softmax_cross_entropy", lambda a: not a.has_nan and not a.inputs_are_finite, MASKED_LABEL),
    (_SOFTMAXES, _has_masked_row, _MASKED_ROW),
    (
        _SOFTMAXES,
        lambda a: np.isposinf(a.values[0]),
        "a logit is +inf: mask the others with -inf instead, or use argmax",
    ),
    (
        "softmax_cross_entropy",
        lambda a: a.has_nan and a.inputs_are_finite,
        'every row is ignored, or has weight 0, so the mean is 0/0: use reduction="sum", or skip '
        "such batches",
    ),
    ("mean", lambda a: a.values[0].size == 0, "0/0: the mean of no elements"),
    (
        "var std",
        lambda a: a.op.count(a.values[0]) <= a.op.ddof,  # type: ignore[attr-defined]
        "0/0: var and std need more elements than ddof",
    ),
    (
        "slogdet",
        lambda a: a.inputs_are_finite,
        "the matrix is singular: its determinant is 0, which has no logarithm; add a multiple of "
        "the identity",
    ),
    ("", _is_users_op_at_0, _ZERO_INPUT),
    ("", _is_overflow, _explain_overflow),
)


def _is_unused(anomaly: Anomaly) -> Any:
    """0 · inf: NaN where the arriving gradient is 0, as where np.where selected another value."""
    result, g = map(anomaly.where_not_finite, (anomaly.result, anomaly.g))
    return np.isnan(result) & (g == 0)


def _is_at(value: float) -> Callable[[Anomaly], Any]:
    return lambda a: np.any(a.at(0) == value)


def _explain_unused(anomaly: Anomaly) -> str:
    name = anomaly.op.name
    examples = {
        "divide": "x / np.where(y == 0, 1, y)",
        "reciprocal": "np.reciprocal(np.where(x == 0, 1, x))",
        "power": "np.where(x > 0, x, 1) ** y",
        "arccosh": "np.arccosh(np.where(x > 1, x, 2))",
        "log1p": "np.log1p(np.where(x > -1, x, 0))",
        "cbrt": "np.cbrt(np.where(x == 0, 1, x))",
        **dict.fromkeys(("arcsin", "arccos"), f"np.{name}(np.where(np.abs(x) < 1, x, 0))"),
    }
    example = examples.get(name, f"np.{name}(np.where(x > 0, x, 1))")
    return (
        "0 · inf: the result is not used there, because np.where selected another, so the gradient "
        f"0 arrives, but the derivative is infinite. Make the argument safe first: {example}"
    )


BACKWARD_CAUSES: tuple[_Row, ...] = (
    (
        "",
        lambda a: not is_finite(a.g),
        "the gradient that arrived at it was not finite already: it was passed to backward(), or "
        "returned by a hook, or is a sum that overflowed",
    ),
    (
        "multiply matmul linear",
        lambda a: not a.inputs_are_finite,
        "the derivative of a product is the other factor, which is infinite: to mask, use "
        "np.where(mask, x, 0) instead of a product",
    ),
    (
        "log log2 log10 log1p sqrt cbrt divide reciprocal power arcsin arccos arctanh arccosh",
        _is_unused,
        _explain_unused,
    ),
    (
        "sqrt",
        _is_at(0),
        "the derivative of the root at 0 is 1 / (2 · 0): add a small number inside the root, "
        "np.sqrt(x + 1e-12), use np.hypot for the length of (x, y), or np.where before the "
        "root",
    ),
    (
        "cbrt",
        _is_at(0),
        "the derivative of the cube root at 0 is infinite: keep its argument away from 0",
    ),
    (
        "power",
        lambda a: (a.at(0) == 0) & (a.at(1) < 1),
        "the derivative of xʸ at x = 0 is y · 0ʸ⁻¹, infinite for y < 1: add a small number to the "
        "base",
    ),
    (
        "power",
        lambda a: a.index == 1 and (a.at(0) < 0).any(),
        "the derivative with respect to the exponent is xʸ ln x, and the base is negative: keep it "
        "positive, or make the exponent a constant",
    ),
    (
        "log log2 log10",
        lambda a: a.at(0) == 0,
        "the derivative of the logarithm at 0 is 1/0: keep its argument away from 0, for "
        "example np.maximum(x, 1e-12)",
    ),
    ("log1p", _is_at(-1), "the derivative of log1p at -1 is 1/0: keep its argument above -1"),
    ("divide", lambda a: a.at(1) == 0, "a division by 0: keep the divisor away from 0"),
    ("reciprocal", _is_at(0), "1/0: keep x away from 0"),
    (
        "arcsin arccos",
        lambda a: np.abs(a.at(0)) == 1,
        lambda a: (
            f"the derivative of {a.op.name} at 1 and -1 is infinite: keep x in between, "
            "np.clip(x, -1 + 1e-6, 1 - 1e-6)"
        ),
    ),
    ("arccosh", _is_at(1), "the derivative of arccosh at 1 is infinite: keep x above 1"),
    ("", _is_users_op_at_0, _ZERO_INPUT),
    (
        "",
        _is_overflow,
        lambda a: (
            "the gradient is too large. " + _explain_overflow(a).replace("overflow", "Overflow", 1)
        ),
    ),
)
