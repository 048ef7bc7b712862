"""Why a result is NaN or infinite, and what to do about it: the rules that `detect_anomaly` asks.

Each names the ops that it is for, says when it fits, by the op and the numbers that it met, and
gives the likely cause with a remedy. The first that fits is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import Elementwise

__all__ = [
    "BACKWARD",
    "BEFORE",
    "DATA",
    "FORWARD",
    "LABEL",
    "PARAMETER",
    "Case",
    "ancestry",
    "is_finite",
    "likely_cause",
]


def is_finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


class Case:
    """What the rules for causes look at: an op, its inputs, and a result that is not finite."""

    def __init__(
        self,
        op: Op,
        inputs: tuple[Tensor, ...],
        result: Array,
        index: int | None = None,
        g: Array | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.values = [np.asarray(x.array) for x in inputs]
        #: What the op gave, or what its backward gave for the input of that index.
        self.result = result
        self.index = index
        self.g = g
        self.has_nan = bool(np.isnan(result).any())

    def at(self, i: int) -> Array:
        """The numbers of an input that made what is not finite; all if that cannot be told."""
        return self._there(self.values[i])

    def g_there(self) -> Array:
        return self._there(self.g)

    def _there(self, values: Any) -> Array:
        if not isinstance(self.op, Elementwise):
            return np.ravel(values)
        shape = np.broadcast_shapes(*(value.shape for value in self.values))
        everywhere = np.broadcast_to(values, shape)
        # A gradient may have been summed to the shape of its input.
        known = self.result.shape == shape
        return everywhere[~np.isfinite(self.result)] if known else everywhere.ravel()

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


_Rule = tuple[str, Callable[[Case], Any], str | Callable[[Case], str]]


def likely_cause(case: Case, rules: tuple[_Rule, ...]) -> str | None:
    """What the first rule that fits says. Those for names are for ops of the package only."""
    name = case.op.name if type(case.op).__module__.startswith("microgradx.") else ""
    for names, fits, text in rules:
        if (not names or name in names.split()) and np.any(fits(case)):
            return text if isinstance(text, str) else text(case)
    return None


def ancestry(*tensors: Tensor) -> Iterator[Tensor]:
    """The Tensors and all that they were computed from, as far as that was recorded."""
    found = set(tensors)
    unvisited = list(tensors)
    while unvisited:
        tensor = unvisited.pop()
        yield tensor
        new = set(tensor.inputs) - found
        found |= new
        unvisited += new


# What leaves the values as they are, or selects some of them.
_MOVES = ("reshape", "transpose", "broadcast_to", "getitem", "copy", "astype")


def _source(x: Tensor) -> Tensor:
    """What made the values of `x`, looking through what only moves them."""
    while x.op is not None and x.op.name in _MOVES and x.inputs:
        x = x.inputs[0]
    return x


def _is_made_by(x: Tensor, *names: str) -> bool:
    x = _source(x)
    made = x.op.name if x.op is not None else ""
    return made in names or any(scope.name in names for scope in x.scopes)


def _is_softmax(x: Tensor) -> bool:
    x = _source(x)
    by_hand = (
        x.op is not None
        and x.op.name == "divide"
        and _is_made_by(x.inputs[0], "exp")
        and _is_made_by(x.inputs[1], "sum")
    )
    return _is_made_by(x, "softmax") or by_hand


def _is_of_exponential(x: Tensor) -> bool:
    """Whether it is an exponential, or one times or divided by something."""
    x = _source(x)
    factors = x.inputs if x.op is not None and x.op.name in ("multiply", "divide") else (x,)
    return any(_is_made_by(factor, "exp") for factor in factors)


def _is_sigmoid(x: Tensor) -> bool:
    x = _source(x)
    is_complement = x.op is not None and x.op.name == "subtract"
    return _is_made_by(x.inputs[1] if is_complement else x, "sigmoid")


def _largest_leaf(case: Case) -> tuple[Tensor | None, float]:
    """The leaf with the largest |number| of all that the inputs were computed from."""
    largest: tuple[Tensor | None, float] = None, 0.0
    for x in ancestry(*case.inputs):
        values = np.asarray(x.array)
        if x.op is None and values.size and values.dtype.kind == "f":
            finite = np.abs(values[np.isfinite(values)])
            if finite.size and finite.max() > largest[1]:
                largest = x, float(finite.max())
    return largest


def _grew(case: Case) -> bool:
    leaf, largest = _largest_leaf(case)
    return leaf is not None and leaf.requires_grad and largest >= 100


def _overflowed(case: Case) -> bool:
    # A sum of products that overflow to both sides is NaN.
    sums = ("matmul", "linear", "sum", "mean", "var", "std")
    return case.inputs_are_finite and (not case.has_nan or case.op.name in sums)


def _too_large(case: Case) -> str:
    """That it overflowed, and what can be done about it."""
    limit = f"overflow: the largest {case.dtype} is {case.largest:.5g}"
    if _grew(case):
        leaf, largest = _largest_leaf(case)
        assert leaf is not None
        name = f" of {leaf.name!r}" if leaf.name else ""
        return (
            f"{limit}. The parameters grew: the largest |weight|{name} is {largest:.3g}. The "
            "learning rate is too large: lower it, or clip the gradients"
        )
    if case.dtype.itemsize < 8:
        wider = "float32" if case.dtype.itemsize == 2 else "float64"
        return f"{limit}; scale the numbers down, or compute in np.{wider}: t.astype(np.{wider})"
    return f"{limit}; scale the numbers down, or compute with their logarithms"


def _exponent_limit(case: Case) -> str:
    name = case.op.name
    limit = np.log(case.largest) / np.log(2 if name == "exp2" else np.e)
    if name in ("sinh", "cosh"):  # (eˣ ± e⁻ˣ) / 2
        limit += np.log(2)
    remedy = (
        "subtract the maximum first, or use softmax, log_softmax or logsumexp, which do so"
        if name == "exp"
        else "keep its argument below"
    )
    return f"{name} of more than {round(limit, 2):g} overflows in {case.dtype}: {remedy}"


# Ends what is said of a forward that np.where may have been meant to hide.
_SAFE = (
    " (if np.where chooses another value there, make the argument safe first: "
    "np.{0}(np.where({1}, {2})))"
)
PARAMETER = (
    "{} was already not finite before this op: the learning rate is too large, or an earlier step "
    "was bad; lower the learning rate, clip the gradients, and put that step inside "
    "detect_anomaly() too"
)
DATA = (
    "the data hold NaN: leave such rows out, x[~np.isnan(x).any(axis=1)], or replace them, "
    "np.nan_to_num(x)"
)
BEFORE = "it was computed before detect_anomaly() began: put what computes it inside the `with` too"
LABEL = (
    "a labelled class has the logit -inf, so probability 0, and its loss is -ln 0: mask no class "
    "that is a label, or leave such rows out by ignore_index"
)
_ROW = (
    "a row of logits is -inf throughout, and has no softmax: leave one class unmasked, or such "
    "rows out"
)
_LOGS = "log log2 log10"
_SOFTMAXES = "softmax log_softmax logsumexp softmax_cross_entropy"


def _is_masked_row(case: Case) -> bool:
    axis = getattr(case.op, "axis", -1)
    return bool(np.any(np.all(np.isneginf(case.values[0]), axis=axis)))


_DIVIDED = (
    "an input is 0: is it divided by, or its logarithm or root taken? Keep it away from 0, as by a "
    "small number added"
)


def _is_at_0_of_users_op(case: Case) -> bool:
    """An op that this package knows nothing of, where one of its inputs is 0."""
    is_ours = type(case.op).__module__.startswith("microgradx.")
    return not is_ours and any(np.any(value == 0) for value in case.values)


# Each: names of ops (or "" for all), when it fits, what it says.
FORWARD: tuple[_Rule, ...] = (
    (
        _LOGS,
        lambda c: (c.at(0) == 0).any() and _is_softmax(c.inputs[0]),
        "a probability underflowed to 0, whose logarithm is -inf: give the logits to "
        "cross_entropy, or use log_softmax in place of log(softmax)",
    ),
    (
        _LOGS,
        lambda c: (c.at(0) == 0).any() and _is_sigmoid(c.inputs[0]),
        "a sigmoid underflowed to 0 or rounded to 1: give the logits to "
        "binary_cross_entropy_with_logits, or use logsigmoid(x), and logsigmoid(-x) for "
        "log(1 - sigmoid(x))",
    ),
    (
        _LOGS,
        lambda c: (c.at(0) == 0).any() and _is_of_exponential(c.inputs[0]),
        "an exponential underflowed to 0: write the logarithm out, ln(eᵃ / b) = a - ln b, so that "
        "none is taken",
    ),
    (
        _LOGS,
        lambda c: c.at(0) == 0,
        lambda c: (
            "the logarithm of 0: keep its argument away from 0, as by np.maximum(x, 1e-12)"
            + _SAFE.format(c.op.name, "x > 0", "x, 1")
        ),
    ),
    (
        _LOGS,
        lambda c: c.at(0) < 0,
        lambda c: (
            f"the logarithm of a negative number, {c.at(0).min():.6g}: it exists only for "
            "x > 0" + _SAFE.format(c.op.name, "x > 0", "x, 1")
        ),
    ),
    (
        "log1p",
        lambda c: c.at(0) == -1,
        "log1p(x) is ln(1 + x), and x = -1 makes that ln 0: keep x above -1",
    ),
    (
        "log1p",
        lambda c: c.at(0) < -1,
        "log1p(x) is ln(1 + x), and x below -1 makes 1 + x negative: keep x above -1",
    ),
    ("exp exp2 expm1 sinh cosh", lambda c: c.inputs_are_finite, _exponent_limit),
    (
        "divide",
        lambda c: ((c.at(0) == 0) & (c.at(1) == 0)).any() and _is_made_by(c.inputs[0], "exp"),
        "0/0, as all exponentials underflowed to 0: subtract the maximum first, or use softmax, "
        "which does so",
    ),
    (
        "divide",
        lambda c: (c.at(0) == 0) & (c.at(1) == 0),
        "0/0: keep the divisor away from 0 (if np.where chooses another value there, make it safe "
        "first: x / np.where(y == 0, 1, y))",
    ),
    (
        "divide",
        lambda c: c.at(1) == 0,
        "a division by 0: keep the divisor away from 0, as by a small number added (if np.where "
        "chooses another value there, make it safe first: x / np.where(y == 0, 1, y))",
    ),
    (
        "divide",
        lambda c: np.isinf(c.at(0)) & np.isinf(c.at(1)),
        "inf / inf: keep infinite masks out of divisions",
    ),
    (
        "floor_divide remainder",
        lambda c: c.at(1) == 0,
        "a division by 0: keep the divisor away from 0",
    ),
    (
        "reciprocal",
        lambda c: c.at(0) == 0,
        "1/0: keep x away from 0, as by a small number added",
    ),
    (
        "sqrt",
        lambda c: c.at(0) < 0,
        lambda c: (
            f"the root of a negative number, {c.at(0).min():.6g}: it exists only for x >= 0; "
            "if rounding made it so, np.maximum(x, 0)"
        ),
    ),
    (
        "power",
        lambda c: (c.at(0) == 0) & (c.at(1) < 0),
        "0 to a negative exponent is 1/0: keep the base away from 0",
    ),
    (
        "power",
        lambda c: (c.at(0) < 0) & (c.at(1) != np.floor(c.at(1))),
        "a negative base with a fractional exponent has no real power: take np.abs(x), or keep "
        "the base positive",
    ),
    (
        "arcsin arccos",
        lambda c: np.abs(c.at(0)) > 1,
        lambda c: (
            f"{c.op.name} exists only from -1 to 1; if rounding went beyond, np.clip(x, -1, 1)"
        ),
    ),
    ("arccosh", lambda c: c.at(0) < 1, "arccosh exists only for x >= 1"),
    (
        "arctanh",
        lambda c: np.abs(c.at(0)) >= 1,
        "arctanh is finite only between -1 and 1; keep x inside",
    ),
    (
        "multiply",
        lambda c: ((c.at(0) == 0) & np.isinf(c.at(1))) | (np.isinf(c.at(0)) & (c.at(1) == 0)),
        "0 · inf: to mask, choose by np.where(mask, x, 0) rather than multiply",
    ),
    (
        "add subtract",
        lambda c: np.isinf(c.at(0)) & np.isinf(c.at(1)),
        "inf - inf: an infinite mask met another; mask once, by np.where",
    ),
    (
        "sum mean cumsum",
        lambda c: np.isposinf(c.at(0)).any() and np.isneginf(c.at(0)).any(),
        "inf - inf: infinities of both signs are summed; choose by np.where before the sum",
    ),
    (
        "var std",
        lambda c: np.isinf(c.at(0)),
        "inf - inf: the mean of infinite numbers is infinite too; choose by np.where before",
    ),
    (
        "matmul linear",
        lambda c: any(np.isinf(value).any() for value in c.values),
        "0 · inf or inf - inf: an infinite mask went into a product of matrices; mask after it, "
        "by np.where",
    ),
    (
        "softmax_cross_entropy",
        lambda c: not c.has_nan and c.op.label_smoothing,  # type: ignore[attr-defined]
        "label_smoothing gives a share of every target to a class whose logit is -inf, so "
        "probability 0: mask no class, or smooth the targets of the others by yourself",
    ),
    ("softmax_cross_entropy", lambda c: not c.has_nan and not c.inputs_are_finite, LABEL),
    (_SOFTMAXES, _is_masked_row, _ROW),
    (
        _SOFTMAXES,
        lambda c: np.isposinf(c.values[0]),
        "a logit is +inf: mask with -inf the others, or use argmax",
    ),
    (
        "softmax_cross_entropy",
        lambda c: c.has_nan and c.inputs_are_finite,
        'every row is ignored, or weighs 0, and there is no mean of nothing: use reduction="sum", '
        "or leave such batches out",
    ),
    ("mean", lambda c: c.values[0].size == 0, "0/0: the mean of no elements"),
    (
        "var std",
        lambda c: c.op.count(c.values[0]) <= c.op.ddof,  # type: ignore[attr-defined]
        "0/0: there are not more elements than ddof",
    ),
    (
        "slogdet",
        lambda c: c.inputs_are_finite,
        "the matrix is singular: its determinant is 0, of which there is no logarithm; add a "
        "multiple of the identity",
    ),
    ("", _is_at_0_of_users_op, _DIVIDED),
    ("", _overflowed, _too_large),
)


def _is_unused(case: Case) -> Any:
    """0 · inf: NaN where the incoming gradient is 0, as of what np.where has not chosen."""
    return np.isnan(case._there(case.result)) & (case.g_there() == 0)


def _is_at(value: float) -> Callable[[Case], Any]:
    return lambda c: np.any(c.at(0) == value)


def _unused(case: Case) -> str:
    name = case.op.name
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
        "0 · inf: the result is not used there, as np.where chose another, so 0 arrives, but the "
        f"derivative is infinite. Make the argument safe first: {example}"
    )


BACKWARD: tuple[_Rule, ...] = (
    (
        "",
        lambda c: not is_finite(c.g),
        "the gradient that arrived at it was already not finite: it was given to backward() or by "
        "a hook, or is a sum that overflowed",
    ),
    (
        "multiply matmul linear",
        lambda c: not c.inputs_are_finite,
        "the derivative of a product is the other factor, which is infinite: to mask, choose by "
        "np.where(mask, x, 0) rather than multiply",
    ),
    (
        "log log2 log10 log1p sqrt cbrt divide reciprocal power arcsin arccos arctanh arccosh",
        _is_unused,
        _unused,
    ),
    (
        "sqrt",
        _is_at(0),
        "the derivative of the root at 0 is 1 / (2 · 0): add a small number inside the root, "
        "np.sqrt(x + 1e-12), use np.hypot for the length of (x, y), or choose by np.where before "
        "the root",
    ),
    (
        "cbrt",
        _is_at(0),
        "the derivative of the cubic root at 0 is infinite: keep its argument away from 0",
    ),
    (
        "power",
        lambda c: (c.at(0) == 0) & (c.at(1) < 1),
        "the derivative of xʸ at x = 0 is y · 0ʸ⁻¹, infinite for y < 1: add a small number to the "
        "base",
    ),
    (
        "power",
        lambda c: c.index == 1 and (c.at(0) < 0).any(),
        "the derivative by the exponent is xʸ ln x, and the base is negative: keep it positive, "
        "or make the exponent a constant",
    ),
    (
        "log log2 log10",
        lambda c: c.at(0) == 0,
        "the derivative of the logarithm at 0 is 1/0: keep its argument away from 0, as by "
        "np.maximum(x, 1e-12)",
    ),
    ("log1p", _is_at(-1), "the derivative of log1p at -1 is 1/0: keep its argument above -1"),
    ("divide", lambda c: c.at(1) == 0, "a division by 0: keep the divisor away from 0"),
    ("reciprocal", _is_at(0), "1/0: keep x away from 0"),
    (
        "arcsin arccos",
        lambda c: np.abs(c.at(0)) == 1,
        lambda c: (
            f"the derivative of {c.op.name} at 1 and -1 is infinite: keep x between, "
            "np.clip(x, -1 + 1e-6, 1 - 1e-6)"
        ),
    ),
    ("arccosh", _is_at(1), "the derivative of arccosh at 1 is infinite: keep x above 1"),
    ("", _is_at_0_of_users_op, _DIVIDED),
    (
        "",
        _overflowed,
        lambda c: "the gradient is too large. " + _too_large(c).replace("overflow", "Overflow", 1),
    ),
)
