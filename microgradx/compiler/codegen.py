"""Code generation: each call of a program as lines, in the form that costs NumPy the least."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.bounds import check_range
from microgradx.common.nested import leaves_of
from microgradx.compiler.buffers import Location, new_array
from microgradx.compiler.cross_entropy import function_source, write_softmax_cross_entropy
from microgradx.compiler.ir import Constant, FunctionCall, Program, Value, is_uniform
from microgradx.compiler.numpy_calls import (
    REDUCTIONS,
    WITH_OUT,
    numpy_name,
    write_allocating,
    write_mask,
    write_reduction,
    write_ufunc,
    write_with_out,
)
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
from microgradx.compiler.writer import Result, SourceLines, Writer, flat_slice_text

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
        write_ufunc(writer, call, i)
    elif not (
        (function in VIEWS and call.args and _write_view(writer, call))
        or (function is np.where and write_mask(writer, call, i))
        or (function in REDUCTIONS and write_reduction(writer, call, i))
        or (function in WITH_OUT and write_with_out(writer, call, i))
    ):
        write_allocating(writer, call)


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
        write_allocating(writer, call)
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
    function = numpy_name(call.function)
    arguments = ", ".join([name, *writer.arguments(call.args[1:], call.kwargs)])
    return f"{writer.use(function)}({arguments})", f"_{_VIEW_NAMES.get(call.function, function)}"


# Shorter names than those of their functions, for the names of views.
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
