"""`detect_anomaly`: the first NaN or infinity stops the program, and says where and why.

Numbers that are not finite spread: by the time that a loss is NaN, thousands of ops have handed it
on. Here every result, and every gradient that a rule gives, is looked at when it is made. Ops
record nothing for this: an observer remembers, while it is active, the user's line of each result.
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
    BACKWARD,
    BEFORE,
    DATA,
    FORWARD,
    LABEL,
    PARAMETER,
    Case,
    ancestry,
    is_finite,
    likely_cause,
)
from microgradx.common.messages import callers_frame
from microgradx.engine import Op, Tensor, sweep
from microgradx.graph.grad_mode import StatefulContext
from microgradx.graph.observers import observe
from microgradx.ops.elementwise import Elementwise

__all__ = ["AnomalyError", "detect_anomaly"]


# ---------------------------------------------------------------------------- what is reported


class Place(NamedTuple):
    """A line of the user's, where an op was called."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        source = linecache.getline(self.file, self.line).strip()
        shown = f'File "{self.file}", line {self.line}, in {self.function}'
        return f"{shown}\n    {source}" if source else shown


class Range(NamedTuple):
    """What is told of an input: which numbers it holds. NaN is in neither `min` nor `max`."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    min: float
    max: float
    nans: int
    infinities: int

    def __str__(self) -> str:
        shown = f"{self.name}: {self.dtype} {self.shape}"
        if self.min <= self.max:
            shown += f", from {self.min:.6g} to {self.max:.6g}"
        if self.nans:
            shown += f", {self.nans} NaN"
        if self.infinities:
            shown += f", {self.infinities} inf"
        return shown


class AnomalyError(FloatingPointError):
    """What `detect_anomaly` raises at the first result or gradient that is not finite.

    Attributes: `op`, which gave it; `ranges`, of its inputs, each with `name`, `shape`, `dtype`,
    `min`, `max`, `nans` and `infinities`; `place`, the `file`, `line` and `function` that called
    the op, or None if that is not known; and `cause`, the likely one, or None if none is known.
    """

    op: Op | None = None
    ranges: tuple[Range, ...] = ()
    place: Place | None = None
    cause: str | None = None


# ---------------------------------------------------------------------------- the block


class detect_anomaly(StatefulContext):
    """Raise AnomalyError at the first NaN or infinity inside `with detect_anomaly():`.

    Forward or backward, it names the op, the line of your program that called it, the ranges of
    its inputs, and the likely cause with a remedy. Also as a decorator, `@detect_anomaly()`.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> p = mg.Tensor([1.0, 0.0], requires_grad=True, name="p")
    >>> with mg.detect_anomaly():
    ...     loss = -np.log(p).sum()
    Traceback (most recent call last):
    microgradx.checking.anomaly.AnomalyError: the forward of log gave -inf in 1 of 2 elements,
    the first at index (1,)
      File "...", line 2, in <module>
        loss = -np.log(p).sum()
      x, 'p': float64 (2,), from 0 to 1
    the logarithm of 0: keep its argument away from 0, ...

    Both passes belong inside: the lines of ops are known only if they were called there. It looks
    at all numbers, so use it to find an error and not in every training. NumPy's own warnings
    of floating-point errors are silent meanwhile.

    An infinity in a constant is a mask, and passes, as does what is infinite because of it, until
    it makes a NaN or an infinite loss. A NaN in the data is reported where it reaches a result, so
    that np.where and np.nan_to_num may remove it; parameters must be finite. Only the thread, or
    the context of asynchronous code, that entered the block is watched.
    """

    def __enter__(self) -> None:
        outer = _block.get()
        context = ExitStack()
        context.enter_context(np.errstate(all="ignore"))
        if outer is None:
            watch = Watch()
            context.callback(watch.places.clear)
            context.enter_context(observe(watch))
        _block.set(_Entered(context, outer))

    def __exit__(self, *error: object) -> None:
        block = _block.get()
        assert block is not None
        _block.set(block.outer)
        block.context.close()


class Watch:
    """Looks at what ops give in one thread or context, and remembers where they were called."""

    def __init__(self) -> None:
        #: The user's line, by the number of the result, and what forgets it with the result.
        self.places: dict[int, tuple[Place, weakref.ref[Tensor]]] = {}

    def forward(self, op: Op, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        for i, x in enumerate(inputs):
            if x.op is None and x.requires_grad and not is_finite(x.array):
                what = (
                    f"the forward of {op!r} met {_input_name(i, x)}, a parameter, which was "
                    f"already {_extent(x.array)}"
                )
                raise _error(what, op, inputs, _here(), PARAMETER.format(x.name or "xyz"[i]))
        if not is_finite(out.array):
            self._judge(op, inputs, out)
        if out.op is not None:
            number, places = out.sequence_number, self.places
            places[number] = _here(), weakref.ref(out, lambda _: places.pop(number, None))

    def backward(self, out: Tensor, x: Tensor, g: Any, gradient: Any) -> None:
        assert out.op is not None
        known = self.places.get(out.sequence_number)
        place = known[0] if known else None
        inputs = out.inputs
        if any(scope.name in _LOSSES for scope in out.scopes) and np.isinf(out.array).any():
            what = (
                f"the backward of {out.op!r} has nothing to follow: the loss is {_kind(out.array)}"
            )
            raise _error(what, out.op, inputs, place, LABEL)
        result = unwrap(gradient)
        if is_finite(result):
            if result.shape == x.shape and result.dtype == x.dtype:
                return
            result = unbroadcast(result, x.data)  # which may overflow, in the sum or in the cast
            if is_finite(result):
                return
        i = next(i for i, y in enumerate(inputs) if y is x)
        case = Case(out.op, inputs, np.asarray(result), i, np.asarray(unwrap(g)))
        what = f"the backward of {out.op!r} gave, for {_input_name(i, x)}, {_extent(case.result)}"
        raise _error(what, out.op, inputs, place, likely_cause(case, BACKWARD))

    def _judge(self, op: Op, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        """Raise for a result that is not finite, unless that is deliberate."""
        if _is_in_a_rule():
            return  # what comes of it is the rule's gradient, which is judged
        case = Case(op, inputs, np.asarray(out.array))
        has_nan = bool(np.isnan(case.result).any())
        for i, x in enumerate(inputs):
            inherited = np.isnan(case.values[i]).any() if has_nan else self._is_of_unknown_origin(x)
            if inherited:
                met = f"{_input_name(i, x)}, which was already {_extent(x.array)}"
                cause = DATA if x.op is None else BEFORE
                raise _error(f"the forward of {op!r} met {met}", op, inputs, _here(), cause)
        if not has_nan and _is_excused(case):
            return
        what = f"the forward of {op!r} gave {_extent(case.result)}"
        raise _error(what, op, inputs, _here(), likely_cause(case, FORWARD))

    def _is_of_unknown_origin(self, x: Tensor) -> bool:
        """Whether it became infinite before the block began, and not by a constant."""
        if x.op is None or x.sequence_number in self.places or is_finite(x.array):
            return False
        return not any(y.op is None and np.isinf(y.array).any() for y in ancestry(x))


class _Entered(NamedTuple):
    """A block that was entered: what it is to end, and the block around it."""

    context: ExitStack
    outer: _Entered | None


_LOSSES = ("cross_entropy", "nll_loss")
_block: ContextVar[_Entered | None] = ContextVar("detect_anomaly", default=None)


def _here() -> Place:
    frame = callers_frame()
    code = frame.f_code
    # Classes are in the qualified name, which Python 3.10 does not have.
    return Place(code.co_filename, frame.f_lineno, getattr(code, "co_qualname", code.co_name))


def _is_in_a_rule() -> bool:
    """Whether the op was called by a rule of the package, in a sweep with create_graph=True."""
    caller, frame = callers_frame(), sys._getframe()
    while frame is not caller and frame.f_back is not None:
        if frame.f_code is sweep.__code__:
            return True
        frame = frame.f_back
    return False


def _is_excused(case: Case) -> bool:
    """Whether infinities in a result are due to those in its inputs, which were let pass."""
    if case.op.name == "softmax_cross_entropy":
        return False
    infinite = [np.isinf(value) for value in case.values]
    if not any(places.any() for places in infinite):
        return False
    if not isinstance(case.op, Elementwise):
        return True
    due = np.zeros(case.result.shape, bool)
    for places in infinite:
        due = due | places
    return bool(due[np.isinf(case.result)].all())


# ---------------------------------------------------------------------------- the message


def _error(
    what: str,
    op: Op,
    inputs: tuple[Tensor, ...],
    place: Place | None,
    cause: str | None,
) -> AnomalyError:
    ranges = tuple(_range(i, x) for i, x in enumerate(inputs))
    if place is None:
        where = (
            "at a line that is not known, since it was called before detect_anomaly() began: put "
            "the forward inside the `with` too"
        )
    else:
        where = str(place)
    message = "\n  ".join([what, *where.splitlines(), *map(str, ranges)])
    error = AnomalyError(f"{message}\n{cause}" if cause else message)
    error.op, error.ranges, error.place, error.cause = op, ranges, place, cause
    return error


def _input_name(i: int, x: Tensor) -> str:
    letter = "xyz"[i] if i < 3 else f"input {i}"
    return f"{letter}, {x.name!r}" if x.name else letter


def _range(i: int, x: Tensor) -> Range:
    values = np.asarray(x.array)
    is_nan = np.isnan(values)
    numbers = values[~is_nan]
    return Range(
        _input_name(i, x),
        values.shape,
        values.dtype,
        float(numbers.min()) if numbers.size else np.nan,
        float(numbers.max()) if numbers.size else np.nan,
        int(is_nan.sum()),
        int(np.isinf(values).sum()),
    )


def _kind(values: Array) -> str:
    """Which of NaN, inf and -inf there are."""
    kinds = [("NaN", np.isnan(values)), ("inf", np.isposinf(values)), ("-inf", np.isneginf(values))]
    return " and ".join(name for name, places in kinds if places.any())


def _extent(values: Array) -> str:
    """What is not finite, how often and where first."""
    values = np.asarray(values)
    if values.ndim == 0:
        return _kind(values)
    wrong = np.argwhere(~np.isfinite(values))
    first = tuple(int(i) for i in wrong[0])
    return f"{_kind(values)} in {len(wrong)} of {values.size} elements, the first at index {first}"
