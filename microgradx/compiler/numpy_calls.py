"""NumPy's functions as lines: with `out`, as reductions, as products of bits, or as they are."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from microgradx.common.messages import quote
from microgradx.compiler.buffers import new_array
from microgradx.compiler.ir import Constant, FunctionCall, Value
from microgradx.compiler.tracing import CaptureError
from microgradx.compiler.writer import Writer
from microgradx.ops.activations import MATH_FUNCTIONS
from microgradx.ops.elementwise import SAME_SIZE_INTEGER

__all__ = [
    "REDUCTIONS",
    "WITH_OUT",
    "numpy_name",
    "write_allocating",
    "write_mask",
    "write_reduction",
    "write_ufunc",
    "write_with_out",
]

# Functions with an argument `out`, besides ufuncs.
WITH_OUT = {
    *(np.dot, np.matmul, np.einsum, np.concatenate, np.stack, np.cumsum, np.cumprod, np.round),
    *(np.mean, np.clip),
}

REDUCTIONS = {np.max: "maximum", np.min: "minimum", np.prod: "multiply", np.sum: "add"}

_MATH_NAMES = {function: name for name, function in MATH_FUNCTIONS.items()}


def write_ufunc(writer: Writer, call: FunctionCall, i: int) -> None:
    if call.function in _MATH_NAMES:
        _write_math_function(writer, call, _MATH_NAMES[call.function])
        return
    name = numpy_name(call.function)
    dtypes = {x.dtype for x in call.args if isinstance(x, Value) and not x.is_number}
    number_dtype = dtypes.pop() if len(dtypes) == 1 else None
    operands = [_operand(writer, x, number_dtype) for x in call.args]
    location = writer.destination(call, i)
    keywords = writer.arguments((), call.kwargs)
    writer.add_call(name, *operands, f"out={location.name}", *keywords)
    writer.plan.bind(call, location)


def _operand(writer: Writer, x: Any, dtype: Any) -> str:
    """The text of an operand; a number takes the dtype of the arrays, if that can represent it."""
    is_number = x.is_number if isinstance(x, Value) else type(x) in (int, float)
    if not is_number or dtype is None or (dtype.kind != "f" and not _fits(x, dtype)):
        return writer.text(x)
    return writer.scalar(x, dtype)


def _fits(x: Any, dtype: Any) -> bool:
    """Whether a number is in the range of an integer dtype."""
    return (
        type(x) is int
        and dtype.kind in "iu"
        and bool(np.iinfo(dtype).min <= x <= np.iinfo(dtype).max)
    )


def _write_math_function(writer: Writer, call: FunctionCall, name: str) -> None:
    """A function of Python's math module, number by number."""
    writer.add_helper(
        f"from math import {name}\n\n{name}_of_numbers = np.frompyfunc({name}, 1, 1)\n"
    )
    variable = writer.new_name(call.name or name)
    writer.add_line(f"{variable} = {name}_of_numbers({writer.text(call.args[0])})")
    writer.plan.bind(call, new_array(variable, call))


def write_mask(writer: Writer, call: FunctionCall, i: int) -> bool:
    """x where a condition holds, else 0, as a product of bits, like `mask_gradient`."""
    if len(call.args) != 3:
        return False
    condition, x, y = call.args
    is_negated = _is_zero(x)
    if is_negated:
        x, y = y, x
    if not (_is_zero(y) and isinstance(x, Value) and isinstance(condition, Value)):
        return False
    integer: Any = SAME_SIZE_INTEGER.get(x.dtype)  # type: ignore[arg-type]
    source = writer.plan.locations.get(x)
    if (
        integer is None
        or source is None
        or (x.shape, x.dtype) != (call.shape, call.dtype)
        or (condition.shape, condition.dtype) != (call.shape, np.dtype(bool))
        or not source.buffer.is_fixed
    ):
        return False
    text = writer.text(condition)
    location = writer.plan.targets.get(call) or (
        source
        if writer.plan.is_last_read(x, i)
        else writer.allocate(call.shape, call.dtype, call.name, call.order)
    )
    mask = writer.allocate(call.shape, integer, "mask", call.order)
    writer.add_call("copyto", mask.name, text)
    if is_negated:
        writer.add_call("subtract", writer.scalar(1, integer), mask.name, f"out={mask.name}")
    source_bits, result_bits = (
        writer.name_bits(source, integer),
        writer.name_bits(location, integer),
    )
    writer.add_call("multiply", source_bits, mask.name, f"out={result_bits}")
    writer.plan.bind(call, location)
    writer.plan.free(mask.buffer)
    return True


def _is_zero(x: Any) -> bool:
    if isinstance(x, Constant):
        return not x.data.any() and not (x.dtype.kind == "f" and np.signbit(x.data).any())  # type: ignore[union-attr]
    return type(x) in (int, float) and repr(x) in ("0", "0.0")


def write_reduction(writer: Writer, call: FunctionCall, i: int) -> bool:
    kwargs = dict(call.kwargs)
    axis = call.args[1] if len(call.args) > 1 else kwargs.pop("axis", None)
    keepdims, dtype = kwargs.pop("keepdims", False), kwargs.pop("dtype", None)
    if kwargs or len(call.args) > 2 or call.dtype == np.float16:
        return False
    axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
    location = writer.destination(call, i)
    settings = [f"axis={axis!r}", *["keepdims=True"] * keepdims]
    settings += [] if dtype is None else [f"dtype={writer.text(dtype)}"]
    arguments = ", ".join([writer.text(call.args[0]), *settings, f"out={location.name}"])
    writer.add_line(f"{writer.use(REDUCTIONS[call.function])}.reduce({arguments})")
    writer.plan.bind(call, location)
    return True


def write_with_out(writer: Writer, call: FunctionCall, i: int) -> bool:
    if call.function is np.einsum and len(call.args) == 2:
        return False  # added to zeros, -0 would become 0
    if call.function is np.mean and call.dtype == np.float16:
        return False  # its sum, in `out`, would overflow
    location = writer.destination(call, i)
    arguments = writer.arguments(call.args, call.kwargs)
    writer.add_call(numpy_name(call.function), *arguments, f"out={location.name}")
    writer.plan.bind(call, location)
    return True


def write_allocating(writer: Writer, call: FunctionCall) -> None:
    """A function that makes a new array in each call."""
    if call.function is operator.getitem:
        name = writer.new_name(call.name or "getitem")
        text = f"{writer.text(call.args[0])}[{writer.index(call.args[1])}]"
    else:
        function = numpy_name(call.function)
        name = writer.new_name(call.name or function.rpartition(".")[2])
        arguments = ", ".join(writer.arguments(call.args, call.kwargs))
        text = f"{writer.use(function)}({arguments})"
    writer.add_line(f"{name} = {text}")
    if call.result_count:
        items = [c for c in writer.program.calls if c.args and c.args[0] is call]
        writer.plan.items[call] = {c.args[1]: new_array(f"{name}[{c.args[1]}]", c) for c in items}
    else:
        writer.plan.bind(call, new_array(name, call))


def numpy_name(function: Any) -> str:
    """The name of a NumPy function, without np at its start."""
    name = str(function.__name__)
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        name = f"{function.__self__.__name__}.{name}"
    elif not isinstance(function, np.ufunc):
        module = getattr(function, "__module__", None) or "numpy"
        name = f"{module}.{name}".removeprefix("numpy.")
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None or found != function:
        raise CaptureError(
            f"{quote(name)} is not a NumPy function, and a compiled program can call no others; "
            "compute it with those, or leave it out of what is compiled"
        )
    return name
