"""`detect_anomaly`: the first NaN or infinity raises an error that says where and why.

Numbers that are not finite spread: when a loss is NaN, thousands of ops may have passed it on. Here
every result is checked when it is computed, and every gradient when a rule returns it. An observer
does this, and records the user's line for each result; ops record nothing.
"""

from __future__ import annotations

import linecache
import sys
import weakref
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.broadcasting import unbroadcast
from microgradx.arrays.types import Array, unwrap
from microgradx.checking.anomaly_diagnosis import (
    BACKWARD_CAUSES,
    COMPUTED_BEFORE,
    FORWARD_CAUSES,
    MASKED_LABEL,
    NAN_IN_DATA,
    PARAMETER_NOT_FINITE,
    Anomaly,
    find_likely_cause,
    is_finite,
    walk_ancestors,
)
from microgradx.common.messages import find_caller_frame
from microgradx.engine import Op, Tensor, sweep
from microgradx.graph.grad_mode import StatefulContext
from microgradx.graph.observers import observe
from microgradx.ops.elementwise import Elementwise

__all__ = ["AnomalyError", "detect_anomaly"]


# ---------------------------------------------------------------------------- what is reported


class CodeLocation(NamedTuple):
    """The user's line that called an op."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        source = linecache.getline(self.file, self.line).strip()
        text = f'File "{self.file}", line {self.line}, in {self.function}'
        return f"{text}\n    {source}" if source else text


class ValueRange(NamedTuple):
    """The range of numbers in an input. NaN is excluded from `min` and `max`."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    min: float
    max: float
    nans: int
    infinities: int

    def __str__(self) -> str:
        text = f"{self.name}: {self.dtype} {self.shape}"
        if self.min <= self.max:
            text += f", from {self.min:.6g} to {self.max:.6g}"
        if self.nans:
            text += f", {self.nans} NaN"
        if self.infinities:
            text += f", {self.infinities} inf"
        return text


class AnomalyError(FloatingPointError):
    """Raised by `detect_anomaly` at the first result or gradient that is not finite.

    Attributes: `op`, which computed it; `ranges`, of its inputs, each with `name`, `shape`,
    `dtype`, `min`, `max`, `nans` and `infinities`; `location`, the `file`, `line` and `function`
    that called the op, or None if unknown; and `cause`, the likely one, or None if unknown.
    """

    op: Op | None = None
    ranges: tuple[ValueRange, ...] = ()
    location: CodeLocation | None = None
    cause: str | None = None


# ---------------------------------------------------------------------------- the block


class detect_anomaly(StatefulContext):
    """Raise AnomalyError at the first NaN or infinity inside `with detect_anomaly():`.

    The error names the op, forward or backward, the line of your program that called it, the ranges
    of its inputs, and the likely cause with a remedy. Also a decorator, `@detect_anomaly()`.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> p = mg.Tensor([1.0, 0.0], requires_grad=True, name="p")
    >>> with mg.detect_anomaly():
    ...     loss = -np.log(p).sum()
    Traceback (most recent call last):
    microgradx.checking.anomaly.AnomalyError: the forward of log returned -inf in 1 of 2 elements,
    the first at index (1,)
      File "...", line 2, in <module>
        loss = -np.log(p).sum()
      x, 'p': float64 (2,), from 0 to 1
    the logarithm of 0: keep its argument away from 0, ...

    Put both passes inside: the lines of ops are known only if they were called there. Every number
    is checked, so use it to find an error and not in every training. NumPy's warnings of
    floating-point errors are silent inside.

    An infinity in a constant is a mask: it is allowed, and so is what becomes infinite because of
    it, unless the result is NaN or an infinite loss. NaN in the data is reported when it reaches a
    result, so that np.where and np.nan_to_num may remove it. Parameters must be finite. Only the
    thread, or the context of asynchronous code, that entered the block is watched.
    """

    def __enter__(self) -> None:
        blocks = _blocks.get()
        context = ExitStack()
        context.enter_context(np.errstate(all="ignore"))
        if not blocks:
            observer = AnomalyObserver()
            context.callback(observer.locations.clear)
            context.enter_context(observe(observer))
        _blocks.set((*blocks, context))

    def __exit__(self, *error: object) -> None:
        *outer, context = _blocks.get()
        _blocks.set(tuple(outer))
        context.close()


#: The blocks that this thread or context is in, each with what to undo at its end.
_blocks: ContextVar[tuple[ExitStack, ...]] = ContextVar("detect_anomaly", default=())


class AnomalyObserver:
    """Checks what ops compute, and records where they were called, in one thread or context.

    It is not the block itself: several threads may enter the same one.
    """

    def __init__(self) -> None:
        #: For each result, by sequence number: the user's line, and what forgets it in time.
        self.locations: dict[int, tuple[CodeLocation, weakref.ref[Tensor]]] = {}

    def forward(self, op: Op, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        for i, x in enumerate(inputs):
            if x.op is None and x.requires_grad and not is_finite(x.array):
                what = (
                    f"the forward of {op!r} received {_input_name(i, x)}, a parameter, which was "
                    f"already {_describe_not_finite(x.array)}"
                )
                remedy = PARAMETER_NOT_FINITE.format(x.name or _input_name(i, x))
                raise _anomaly_error(what, op, inputs, _users_line(), remedy)
        if not is_finite(out.array):
            self._check_result(op, inputs, out)
        if out.op is not None:
            number, locations = out.sequence_number, self.locations
            forget = weakref.ref(out, lambda _: locations.pop(number, None))
            locations[number] = _users_line(), forget

    def backward(self, out: Tensor, x: Tensor, g: Any, gradient: Any) -> None:
        assert out.op is not None
        location, _ = self.locations.get(out.sequence_number, (None, None))
        inputs = out.inputs
        if any(scope.name in _LOSSES for scope in out.scopes) and np.isinf(out.array).any():
            what = f"the backward of {out.op!r} cannot begin: the loss is {_kinds_of(out.array)}"
            raise _anomaly_error(what, out.op, inputs, location, MASKED_LABEL)
        result = unwrap(gradient)
        if is_finite(result):
            if result.shape == x.shape and result.dtype == x.dtype:
                return
            result = unbroadcast(result, x.data)  # the sum or the cast may overflow
            if is_finite(result):
                return
        i = next(i for i, y in enumerate(inputs) if y is x)
        anomaly = Anomaly(out.op, inputs, np.asarray(result), i, np.asarray(unwrap(g)))
        what = (
            f"the backward of {out.op!r} returned, for {_input_name(i, x)}, "
            f"{_describe_not_finite(anomaly.result)}"
        )
        cause = find_likely_cause(anomaly, BACKWARD_CAUSES)
        raise _anomaly_error(what, out.op, inputs, location, cause)

    def _check_result(self, op: Op, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        """Raise for a result that is not finite, unless that is deliberate."""
        if _is_inside_rule():
            return  # the gradient that the rule returns is checked instead
        anomaly = Anomaly(op, inputs, np.asarray(out.array))
        for i, x in enumerate(inputs):
            if anomaly.has_nan:
                is_inherited = np.isnan(anomaly.values[i]).any()
            else:
                is_inherited = self._is_of_unknown_origin(x)
            if is_inherited:
                what = (
                    f"the forward of {op!r} received {_input_name(i, x)}, which was already "
                    f"{_describe_not_finite(x.array)}"
                )
                remedy = NAN_IN_DATA if x.op is None else COMPUTED_BEFORE
                raise _anomaly_error(what, op, inputs, _users_line(), remedy)
        if anomaly.has_nan or not _is_due_to_mask(anomaly):
            what = f"the forward of {op!r} returned {_describe_not_finite(anomaly.result)}"
            cause = find_likely_cause(anomaly, FORWARD_CAUSES)
            raise _anomaly_error(what, op, inputs, _users_line(), cause)

    def _is_of_unknown_origin(self, x: Tensor) -> bool:
        """Whether it became infinite before the block began, and not because of a constant."""
        if x.op is None or x.sequence_number in self.locations or is_finite(x.array):
            return False
        return not any(y.op is None and np.isinf(y.array).any() for y in walk_ancestors(x))


_LOSSES = ("cross_entropy", "nll_loss")


def _users_line() -> CodeLocation:
    frame = find_caller_frame()
    code = frame.f_code
    # The qualified name includes the class; Python 3.10 does not have it.
    return CodeLocation(
        code.co_filename, frame.f_lineno, getattr(code, "co_qualname", code.co_name)
    )


def _is_inside_rule() -> bool:
    """Whether the op was called by a rule of the package, in a sweep with create_graph=True."""
    caller, frame = find_caller_frame(), sys._getframe()
    while frame is not caller and frame.f_back is not None:
        if frame.f_code is sweep.__code__:
            return True
        frame = frame.f_back
    return False


def _is_due_to_mask(anomaly: Anomaly) -> bool:
    """Whether infinities in the result are due to infinities in its inputs, which are masks."""
    if anomaly.op.name == "softmax_cross_entropy":
        return False
    masks = [np.isinf(value) for value in anomaly.values]
    if not any(mask.any() for mask in masks):
        return False
    if not isinstance(anomaly.op, Elementwise):
        return True
    masked = np.zeros(anomaly.result.shape, bool)
    for mask in masks:
        masked = masked | mask
    return bool(masked[np.isinf(anomaly.result)].all())


# ---------------------------------------------------------------------------- the message


_UNKNOWN_LOCATION = (
    "at an unknown line, because it was called before detect_anomaly() began: put the forward "
    "inside the `with` too"
)


def _anomaly_error(
    what: str, op: Op, inputs: tuple[Tensor, ...], location: CodeLocation | None, cause: str | None
) -> AnomalyError:
    ranges = tuple(_value_range(i, x) for i, x in enumerate(inputs))
    where = str(location or _UNKNOWN_LOCATION).splitlines()
    message = "\n  ".join([what, *where, *map(str, ranges)])
    error = AnomalyError(f"{message}\n{cause}" if cause else message)
    error.op, error.ranges, error.location, error.cause = op, ranges, location, cause
    return error


def _input_name(i: int, x: Tensor) -> str:
    letter = "xyz"[i] if i < 3 else f"input {i}"
    return f"{letter}, {x.name!r}" if x.name else letter


def _value_range(i: int, x: Tensor) -> ValueRange:
    values = np.asarray(x.array)
    is_nan = np.isnan(values)
    numbers = values[~is_nan]
    return ValueRange(
        _input_name(i, x),
        values.shape,
        values.dtype,
        float(numbers.min()) if numbers.size else np.nan,
        float(numbers.max()) if numbers.size else np.nan,
        int(is_nan.sum()),
        int(np.isinf(values).sum()),
    )


def _kinds_of(values: Array) -> str:
    """Which of NaN, inf and -inf the array contains."""
    kinds = [("NaN", np.isnan(values)), ("inf", np.isposinf(values)), ("-inf", np.isneginf(values))]
    return " and ".join(name for name, is_kind in kinds if is_kind.any())


def _describe_not_finite(values: Array) -> str:
    """What is not finite, how often, and where first."""
    values = np.asarray(values)
    if values.ndim == 0:
        return _kinds_of(values)
    wrong = np.argwhere(~np.isfinite(values))
    first = tuple(int(i) for i in wrong[0])
    return (
        f"{_kinds_of(values)} in {len(wrong)} of {values.size} elements, the first at index {first}"
    )
