"""Code generation: each call of a program as lines, in the form that costs NumPy the least."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.bounds import check_range
from microgradx.common.messages import quote
from microgradx.common.nested import leaves_of
from microgradx.compiler.buffers import Location, new_array
from microgradx.compiler.cross_entropy import function_source, write_softmax_cross_entropy
from microgradx.compiler.ir import Constant, FunctionCall, Program, Value, is_uniform
from microgradx.compiler.primitives import (
    VIEWS,
    add_at,
    cast,
    concatenate_flat,
    draw,
    flat_slice,
    set_item,
    softmax_cross_entropy,
)
from microgradx.compiler.tracing import CaptureError
from microgradx.compiler.writer import Result, SourceLines, Writer, flat_slice_text
from microgradx.ops.activations import MATH_FUNCTIONS
from microgradx.ops.elementwise import SAME_SIZE_INTEGER

__all__ = ["generate_lines"]


def generate_lines(program: Program) -> SourceLines:
    """The source of a program as lines."""
    writer = Writer(program)
    plan = writer.plan
    for i, call in enumerate(program.calls):
        # Other numbers are expressions, written where they are used.
        if not call.is_number or call.function in (draw, check_range):
            writer.add_comment(call)
            writer.silenced = call.silenced
            writer.number_names = program.number_names if call.is_update else {}
            _write(writer, call, i)
            writer.silenced = ()
            plan.release(call, i)
    writer.finish_comments()
    writer.lines.results = _name_results(writer)
    _write_updates(writer)
    return writer.lines


def _write_updates(writer: Writer) -> None:
    """Copy new values that are not in their place yet, first those that others would overwrite."""
    locations = writer.plan.locations
    starts = [locations[start] for start in writer.program.updates]
    ends = [locations.get(end) for end in writer.program.updates.values()]
    changing = {start.buffer for start in starts}
    copies = []
    for start, end, value in zip(starts, ends, writer.program.updates.values(), strict=True):
        if end is not None and end.buffer is start.buffer:
            continue
        text = writer.text(value)
        if end is not None and end.buffer in changing:
            before, text = text, writer.new_name(f"{text}_before")
            writer.add_line(f"{text} = {before}.copy()")
        copies.append((start.name, text))
    if copies:
        writer.add_line("")
        writer.add_line("# keep the new values")
    for start_name, text in copies:
        writer.add_call("copyto", start_name, text)


def _name_results(writer: Writer) -> list[Result]:
    """The results by name; each is copied that the last lines would change."""
    program, locations = writer.program, writer.plan.locations
    taken = {locations[v].buffer for v in program.arguments if v in locations}
    changing = {locations[v].buffer for v in program.updates}
    results = []
    for value in program.results:
        name = writer.text(value)
        if value not in locations:  # a number, which is immutable, or a constant
            results.append(Result(name, not value.is_number, value.is_number))
            continue
        buffer = locations[value].buffer
        if buffer in changing:
            copied = writer.new_name(f"{name}_before")
            writer.add_line(f"{copied} = {name}.copy()")
            results.append(Result(copied, False, True))
            continue
        results.append(Result(name, buffer.is_fixed, not buffer.is_fixed and buffer not in taken))
        taken.add(buffer)
    return results


def _write(writer: Writer, call: FunctionCall, i: int) -> None:
    """Write a call in the first way that fits."""
    function = call.function
    if function is operator.getitem and call.args[0] in writer.plan.items:
        writer.plan.bind(call, writer.plan.items[call.args[0]][call.args[1]])
    elif function in _WRITERS:
        _WRITERS[function](writer, call, i)
    elif isinstance(function, np.ufunc) and not call.result_count:
        _write_ufunc(writer, call, i)
    elif not (
        (function in VIEWS and call.args and _write_view(writer, call))
        or (function is np.where and _write_mask(writer, call, i))
        or (function in _REDUCTIONS and _write_reduction(writer, call, i))
        or (function in _WITH_OUT and _write_with_out(writer, call, i))
    ):
        _write_allocating(writer, call)


# ---------------------------------------------------------------------------- NumPy's functions

# Functions with an argument `out`, besides ufuncs.
_WITH_OUT = {
    *(np.dot, np.matmul, np.einsum, np.concatenate, np.stack, np.cumsum, np.cumprod, np.round),
    *(np.mean, np.clip),
}

_REDUCTIONS = {np.max: "maximum", np.min: "minimum", np.prod: "multiply", np.sum: "add"}

_MATH_NAMES = {function: name for name, function in MATH_FUNCTIONS.items()}


def _write_ufunc(writer: Writer, call: FunctionCall, i: int) -> None:
    if call.function in _MATH_NAMES:
        _write_math_function(writer, call, _MATH_NAMES[call.function])
        return
    name = _numpy_name(call.function)
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


def _write_mask(writer: Writer, call: FunctionCall, i: int) -> bool:
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


def _write_reduction(writer: Writer, call: FunctionCall, i: int) -> bool:
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
    writer.add_line(f"{writer.use(_REDUCTIONS[call.function])}.reduce({arguments})")
    writer.plan.bind(call, location)
    return True


def _write_with_out(writer: Writer, call: FunctionCall, i: int) -> bool:
    if call.function is np.einsum and len(call.args) == 2:
        return False  # added to zeros, -0 would become 0
    if call.function is np.mean and call.dtype == np.float16:
        return False  # its sum, in `out`, would overflow
    location = writer.destination(call, i)
    arguments = writer.arguments(call.args, call.kwargs)
    writer.add_call(_numpy_name(call.function), *arguments, f"out={location.name}")
    writer.plan.bind(call, location)
    return True


def _write_allocating(writer: Writer, call: FunctionCall) -> None:
    """A function that makes a new array in each call."""
    if call.function is operator.getitem:
        name = writer.new_name(call.name or "getitem")
        text = f"{writer.text(call.args[0])}[{writer.index(call.args[1])}]"
    else:
        function = _numpy_name(call.function)
        name = writer.new_name(call.name or function.rpartition(".")[2])
        arguments = ", ".join(writer.arguments(call.args, call.kwargs))
        text = f"{writer.use(function)}({arguments})"
    writer.add_line(f"{name} = {text}")
    if call.result_count:
        items = [c for c in writer.program.calls if c.args and c.args[0] is call]
        writer.plan.items[call] = {c.args[1]: new_array(f"{name}[{c.args[1]}]", c) for c in items}
    else:
        writer.plan.bind(call, new_array(name, call))


def _numpy_name(function: Any) -> str:
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


# ---------------------------------------------------------------------------- views


def _write_view(writer: Writer, call: FunctionCall) -> bool:
    """A view needs no memory; one of a fixed buffer is made beforehand."""
    source, *rest = call.args
    source_location = writer.plan.locations.get(source)
    if source_location is None:
        return False
    if any(isinstance(x, Value) for x in leaves_of((rest, call.kwargs))):
        return False
    view = call.function(source_location.array, *rest, **call.kwargs)
    if view.size and not np.may_share_memory(view, source_location.array):
        is_in_order = call.function is np.reshape and len(call.args) == 2 and not call.kwargs
        return is_in_order and _write_copy(writer, call)
    text, suffix = _view_text(writer, call, source_location.name)
    name = writer.new_name(call.name or f"{source_location.name}{suffix}")
    line = f"{name} = {text}"
    if source in writer.program.persistent:
        writer.lines.persistent_views.append(line)
    elif source_location.buffer.is_fixed:
        writer.add_setup(line)
    else:
        writer.add_line(line)
    writer.plan.bind(call, Location(name, view, source_location.buffer))
    return True


def _write_copy(writer: Writer, call: FunctionCall) -> bool:
    """A copy of an array, in another shape or order of axes in memory."""
    location = writer.plan.targets.get(call) or writer.allocate(call.shape, call.dtype, call.name)
    source = call.args[0]
    part = location.name
    if call.shape != source.shape:
        part = writer.new_name(f"{location.name}_reshaped")
        writer.add_setup(f"{part} = {location.name}.reshape({source.shape})")
    writer.add_call("copyto", part, writer.text(source))
    writer.plan.bind(call, location)
    return True


def _write_ascontiguousarray(writer: Writer, call: FunctionCall, i: int) -> None:
    x = call.args[0]
    location = writer.plan.locations.get(x)
    if location is None or x.dtype != call.dtype:
        _write_allocating(writer, call)
    elif (
        location.array.flags.c_contiguous
        and x.shape == call.shape
        and call not in writer.plan.targets
    ):
        writer.plan.bind(call, location)
    else:
        _write_copy(writer, call)


def _view_text(writer: Writer, call: FunctionCall, name: str) -> tuple[str, str]:
    """The text of a view, and the end of its name if it has none."""
    if call.function is flat_slice:
        return flat_slice_text(name, *call.args[1:]), "_part"
    if call.function is np.transpose and len(call.args) == 1 and not call.kwargs:
        return f"{name}.T", "_T"
    if call.function is operator.getitem:
        return f"{name}[{writer.index(call.args[1])}]", "_part"
    if call.function is np.reshape and len(call.args) == 2 and not call.kwargs:
        return f"{name}.reshape({writer.text(call.args[1])})", "_reshaped"
    function = _numpy_name(call.function)
    arguments = ", ".join([name, *writer.arguments(call.args[1:], call.kwargs)])
    return f"{writer.use(function)}({arguments})", f"_{_VIEW_NAMES.get(call.function, function)}"


_VIEW_NAMES = {np.lib.stride_tricks.sliding_window_view: "windows"}


# ---------------------------------------------------------------------------- primitives


def _write_cast(writer: Writer, call: FunctionCall, i: int) -> None:
    x, dtype = call.args
    location = writer.destination(call, i)
    unsafe = [] if np.can_cast(x.dtype, dtype, "same_kind") else ['casting="unsafe"']
    writer.add_call("copyto", location.name, writer.text(x), *unsafe)
    writer.plan.bind(call, location)


def _write_in_place(writer: Writer, call: FunctionCall, i: int) -> None:
    """A change in place: of a copy, if the array is read again or must not be changed."""
    array, index, value = call.args
    if writer.plan.is_last_read(array, i):
        location = writer.plan.locations[array]
    else:
        location = writer.plan.targets.get(call) or writer.allocate(
            call.shape, call.dtype, call.name, call.order
        )
        is_filled = isinstance(array, Constant) and is_uniform(array.data)
        start = writer.scalar(array.data.flat[0], call.dtype) if is_filled else writer.text(array)
        writer.add_call("copyto", location.name, start)
    if call.function is set_item:
        writer.add_line(f"{location.name}[{writer.index(index)}] = {writer.text(value)}")
    elif _is_slice(index):  # which repeats no element
        part = writer.new_name(f"{location.name}_part")
        writer.add_setup(f"{part} = {location.name}[{writer.index(index)}]")
        writer.add_call("add", part, writer.text(value), f"out={part}")
    else:
        index = index[0] if isinstance(index, tuple) and len(index) == 1 else index
        arguments = f"{location.name}, {writer.text(index)}, {writer.text(value)}"
        writer.add_line(f"{writer.use('add')}.at({arguments})")
    writer.plan.bind(call, location)


def _is_slice(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(isinstance(part, slice) or part is Ellipsis for part in parts)


def _write_concatenate_flat(writer: Writer, call: FunctionCall, i: int) -> None:
    for value, part in zip(call.args, writer.plan.parts[call], strict=True):
        if not isinstance(value, Value) or writer.text(value) != part.name:
            writer.add_call("copyto", part.name, writer.text(value))
    writer.plan.bind(call, writer.plan.targets[call])


def _write_draw(writer: Writer, call: FunctionCall, i: int) -> None:
    generator, method, *args = call.args
    name = writer.new_name(call.name or "random")
    arguments = ", ".join(writer.arguments(args, call.kwargs))
    writer.add_line(f"{name} = {writer.text(generator)}.{method}({arguments})")
    if call.is_number:
        writer.name_number(call, name)
    else:
        writer.plan.bind(call, new_array(name, call))


def _write_check_range(writer: Writer, call: FunctionCall, i: int) -> None:
    writer.add_helper(function_source(check_range))
    arguments = [writer.text(x) for x in call.args]
    writer.add_line(f"check_range({', '.join(arguments)})")


_WRITERS: dict[Any, Callable[[Writer, FunctionCall, int], None]] = {
    cast: _write_cast,
    set_item: _write_in_place,
    add_at: _write_in_place,
    np.ascontiguousarray: _write_ascontiguousarray,
    concatenate_flat: _write_concatenate_flat,
    draw: _write_draw,
    check_range: _write_check_range,
    softmax_cross_entropy: lambda writer, call, i: write_softmax_cross_entropy(writer, call),
}
