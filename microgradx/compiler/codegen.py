"""How the calls of a program are written: each function of NumPy's in the form that costs least."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.common.nested import leaves_of
from microgradx.compiler.buffers import Place, Result, Writer, Written, fresh, piece_text
from microgradx.compiler.cross_entropy import source_of, write_softmax_cross_entropy
from microgradx.compiler.ir import Call, Constant, Program, Value
from microgradx.compiler.primitives import check_labels, drawn, joined, piece, softmax_cross_entropy
from microgradx.compiler.tracing import VIEWS, CaptureError, add_at, converted, set_item
from microgradx.ops.elementwise import SAME_SIZE_INTEGER

__all__ = ["written"]


def written(program: Program) -> Written:
    """The lines of a program."""
    writer = Writer(program)
    writer.prepare()
    for i, call in enumerate(program.calls):
        # Other numbers are written where they are used.
        if not call.is_number or call.function in (drawn, check_labels):
            writer.comment(call)
            _write(writer, call, i)
            writer.release(call, i)
    writer.finish()
    results = _results(writer)
    for kept, value in program.changed.items():
        if writer.places[value].memory is not writer.places[kept].memory:
            writer.step(f"{writer.use('copyto')}({writer.text(kept)}, {writer.text(value)})")
    writer.written.results = results
    return writer.written


def _results(writer: Writer) -> list[Result]:
    """The results by name; each with an array of its own, if the last lines would change it."""
    program = writer.program
    taken = {writer.places[v].memory for v in program.arguments if v in writer.places}
    changing = {writer.places[v].memory for v in program.changed}
    results = []
    for value in program.results:
        name = writer.text(value)
        if value not in writer.places:  # a number, which nobody can change, or a constant
            results.append(Result(name, not value.is_number, value.is_number))
            continue
        memory = writer.places[value].memory
        if memory in changing:
            old, name = name, writer.name(f"{name}_before")
            writer.step(f"{name} = {old}.copy()")
            results.append(Result(name, False, True))
            continue
        results.append(Result(name, memory.is_fixed, not memory.is_fixed and memory not in taken))
        taken.add(memory)
    return results


def _write(writer: Writer, call: Call, i: int) -> None:
    """The lines of a call: the first way that fits."""
    function = call.function
    if function is operator.getitem and call.args[0] in writer.several:
        writer.settle(call, writer.several[call.args[0]][call.args[1]])
    elif function in _WAYS:
        _WAYS[function](writer, call, i)
    elif isinstance(function, np.ufunc) and not call.count:
        _write_ufunc(writer, call, i)
    elif not (
        ((function in VIEWS or function is piece) and call.args and _write_view(writer, call))
        or (function is np.where and _write_choice(writer, call, i))
        or (function in _REDUCTIONS and _write_reduction(writer, call, i))
        or (function in _WITH_OUT and _write_with_out(writer, call, i))
    ):
        _write_fresh(writer, call)


# ---------------------------------------------------------------------------- functions of NumPy's

# What gives its result in an array that it is handed, besides elementwise functions.
_WITH_OUT = {
    *(np.dot, np.matmul, np.einsum, np.concatenate, np.stack, np.cumsum, np.cumprod, np.round),
    *(np.mean, np.clip),
}

_REDUCTIONS = {np.max: "maximum", np.min: "minimum", np.prod: "multiply", np.sum: "add"}


def _write_ufunc(writer: Writer, call: Call, i: int) -> None:
    name = call.function.__name__
    made_of = getattr(math, name.removesuffix(_MADE_OF), None) if name.endswith(_MADE_OF) else None
    if made_of is not None:
        _write_of_numbers(writer, call, made_of.__name__)
        return
    if getattr(np, name, None) is not call.function:
        raise CaptureError(
            f"{name} is not one of NumPy's functions, which are all that a compiled program can "
            "call; compute it with those, or leave it out of what is compiled"
        )
    dtypes = {x.dtype for x in call.args if isinstance(x, Value) and not x.is_number}
    of_numbers = dtypes.pop() if len(dtypes) == 1 else None
    operands = ", ".join(_operand(writer, x, of_numbers) for x in call.args)
    place = writer.destination(call, i)
    keywords = "".join(f", {key}={writer.text(x)}" for key, x in call.kwargs.items())
    writer.step(f"{writer.use(name)}({operands}, out={place.name}{keywords})")
    writer.settle(call, place)


def _fits(x: Any, dtype: Any) -> bool:
    """Whether a number is one of these integers; others may be compared with them all the same."""
    return (
        type(x) is int
        and dtype.kind in "iu"
        and bool(np.iinfo(dtype).min <= x <= np.iinfo(dtype).max)
    )


# What np.frompyfunc appends to the name of a function of numbers.
_MADE_OF = " (vectorized)"


def _write_of_numbers(writer: Writer, call: Call, name: str) -> None:
    """A function of Python's math, number by number."""
    writer.help(f"from math import {name}\n\n{name}_of_numbers = np.frompyfunc({name}, 1, 1)\n")
    variable = writer.name(call.name or name)
    writer.step(f"{variable} = {name}_of_numbers({writer.text(call.args[0])})")
    writer.settle_fresh(call, variable)


def _operand(writer: Writer, x: Any, dtype: Any) -> str:
    """An operand; numbers take the dtype of the arrays, if that can hold them."""
    is_number = x.is_number if isinstance(x, Value) else type(x) in (int, float)
    if not is_number or dtype is None or (dtype.kind != "f" and not _fits(x, dtype)):
        return writer.text(x)
    return writer.scalar(x, dtype)


def _write_choice(writer: Writer, call: Call, i: int) -> bool:
    """x where a condition holds, else 0: a product with 1 and 0, of the bits taken for integers.

    It takes a fraction of the time of `where`, and unlike a product of the numbers themselves it
    makes 0 also of infinity and NaN.
    """
    if len(call.args) != 3:
        return False
    condition, x, y = call.args
    is_negated = _is_zero(x)
    if is_negated:
        x, y = y, x
    if not (_is_zero(y) and isinstance(x, Value) and isinstance(condition, Value)):
        return False
    bits: Any = SAME_SIZE_INTEGER.get(x.dtype)  # type: ignore[arg-type]
    source = writer.places.get(x)
    if (
        bits is None
        or source is None
        or (x.shape, x.dtype) != (call.shape, call.dtype)
        or (condition.shape, condition.dtype) != (call.shape, np.dtype(bool))
        or not source.memory.is_fixed
        or not source.array.flags.c_contiguous
    ):
        return False
    use, text = writer.use, writer.text(condition)
    if call in writer.targets:
        place = writer.targets[call]
    elif writer.is_free_after(x, i):
        place = source
    else:
        place = writer.buffer(call.shape, call.dtype, call.name)
    mask = writer.buffer(call.shape, bits, "mask")
    writer.step(f"{use('copyto')}({mask.name}, {text})")
    if is_negated:
        one = writer.scalar(1, bits)
        writer.step(f"{use('subtract')}({one}, {mask.name}, out={mask.name})")
    of_source, of_place = writer.bits_of(source, bits), writer.bits_of(place, bits)
    writer.step(f"{use('multiply')}({of_source}, {mask.name}, out={of_place})")
    writer.settle(call, place)
    writer.give_back(mask)
    return True


def _is_zero(x: Any) -> bool:
    if isinstance(x, Constant):
        return not x.data.any() and not (x.dtype.kind == "f" and np.signbit(x.data).any())  # type: ignore[union-attr]
    return type(x) in (int, float) and repr(x) in ("0", "0.0")


def _write_reduction(writer: Writer, call: Call, i: int) -> bool:
    if set(call.kwargs) - {"axis", "keepdims"} or len(call.args) > 2 or call.dtype == np.float16:
        return False
    x = call.args[0]
    axis = call.args[1] if len(call.args) > 1 else call.kwargs.get("axis")
    axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
    keepdims = call.kwargs.get("keepdims", False)
    place = writer.destination(call, i)
    if (
        call.function is np.sum
        and x.dtype == call.dtype
        and x.dtype.kind == "f"
        and len(x.shape) == 2
        and isinstance(axis, int)
        and not keepdims
        and 0 < x.shape[axis] <= 65536  # beyond it, rounding would add up
        and x.size
    ):
        # As a product with ones it takes a third of the time.
        pair = [writer.ones(x.shape[axis], x.dtype), writer.text(x)]
        writer.step(
            f"{writer.use('dot')}({', '.join(pair[:: -1 if axis % 2 else 1])}, out={place.name})"
        )
    else:
        settings = f"axis={axis!r}{', keepdims=True' if keepdims else ''}"
        function = writer.use(_REDUCTIONS[call.function])
        writer.step(f"{function}.reduce({writer.text(x)}, {settings}, out={place.name})")
    writer.settle(call, place)
    return True


def _write_with_out(writer: Writer, call: Call, i: int) -> bool:
    if call.function is np.mean and call.dtype == np.float16:
        return False  # its sum, in `out`, would overflow
    place = writer.destination(call, i)
    arguments = writer.arguments(call.args, call.kwargs)
    writer.step(f"{writer.use(_name_of(call.function))}({arguments}, out={place.name})")
    writer.settle(call, place)
    return True


def _write_fresh(writer: Writer, call: Call) -> None:
    """A function that makes its own array, in each call."""
    function_name = _name_of(call.function)
    name = writer.name(call.name or function_name.rpartition(".")[2])
    if call.function is operator.getitem:
        writer.step(f"{name} = {writer.text(call.args[0])}[{writer.index(call.args[1])}]")
    else:
        arguments = writer.arguments(call.args, call.kwargs)
        writer.step(f"{name} = {writer.use(function_name)}({arguments})")
    if call.count:
        items = [c for c in writer.program.calls if c.args and c.args[0] is call]
        writer.several[call] = {c.args[1]: fresh(f"{name}[{c.args[1]}]", c) for c in items}
    else:
        writer.settle_fresh(call, name)


def _name_of(function: Any) -> str:
    """A function of NumPy's, without the np in front."""
    if isinstance(function, np.ufunc) or not hasattr(function, "__module__"):
        return str(function.__name__)
    if getattr(function, "__self__", None) is not None and isinstance(function.__self__, np.ufunc):
        return f"{function.__self__.__name__}.{function.__name__}"
    return f"{function.__module__ or 'numpy'}.{function.__name__}".removeprefix("numpy.")


# ---------------------------------------------------------------------------- views


def _write_view(writer: Writer, call: Call) -> bool:
    """A view needs no memory; that of an array which stays is made beforehand."""
    source = call.args[0]
    rest = call.args[1:], call.kwargs
    if source not in writer.places or any(isinstance(x, Value) for x in leaves_of(rest)):
        return False
    place = writer.places[source]
    view = call.function(place.array, *call.args[1:], **call.kwargs)
    if view.size and not np.shares_memory(view, place.array):
        return False
    expression, suffix = _view_text(writer, call, place.name)
    name = writer.name(call.name or f"{place.name}{suffix}")
    line = f"{name} = {expression}"
    if source in writer.program.kept:
        writer.written.views_of_kept.append(line)
    elif place.memory.is_fixed:
        writer.setup(line)
    else:
        writer.step(line)
    writer.settle(call, Place(name, view, place.memory))
    return True


def _view_text(writer: Writer, call: Call, name: str) -> tuple[str, str]:
    """A view as an expression, and what its name ends in if it has none of its own."""
    if call.function is piece:
        return piece_text(name, *call.args[1:]), "_part"
    if call.function is np.transpose and len(call.args) == 1 and not call.kwargs:
        return f"{name}.T", "_T"
    if call.function is operator.getitem:
        return f"{name}[{writer.index(call.args[1])}]", "_part"
    if call.function is np.reshape and len(call.args) == 2 and not call.kwargs:
        return f"{name}.reshape({writer.text(call.args[1])})", "_reshaped"
    rest = writer.arguments(call.args[1:], call.kwargs)
    function_name = _name_of(call.function)
    return f"{writer.use(function_name)}({name}{', ' * bool(rest)}{rest})", f"_{function_name}"


# ---------------------------------------------------------------------------- the vocabulary


def _write_converted(writer: Writer, call: Call, i: int) -> None:
    x, dtype = call.args
    place = writer.destination(call, i)
    unsafe = "" if np.can_cast(x.dtype, dtype, "same_kind") else ', casting="unsafe"'
    writer.step(f"{writer.use('copyto')}({place.name}, {writer.text(x)}{unsafe})")
    writer.settle(call, place)


def _write_change(writer: Writer, call: Call, i: int) -> None:
    """A change in place, of a copy if the array before it is still read, or is not ours."""
    array, index, value = call.args
    if writer.is_free_after(array, i):
        place = writer.places[array]
    else:
        place = writer.buffer(call.shape, call.dtype, call.name)
        writer.step(f"{writer.use('copyto')}({place.name}, {writer.text(array)})")
    if call.function is set_item:
        writer.step(f"{place.name}[{writer.index(index)}] = {writer.text(value)}")
    else:
        arguments = f"{place.name}, {writer.text(index)}, {writer.text(value)}"
        writer.step(f"{writer.use('add')}.at({arguments})")
    writer.settle(call, place)


def _write_joined(writer: Writer, call: Call, i: int) -> None:
    for part, piece_of_it in zip(call.args, writer.pieces[call], strict=True):
        if not isinstance(part, Value) or writer.text(part) != piece_of_it.name:
            writer.step(f"{writer.use('copyto')}({piece_of_it.name}, {writer.text(part)})")
    writer.settle(call, writer.targets[call])


def _write_drawn(writer: Writer, call: Call, i: int) -> None:
    generator, method, *args = call.args
    name = writer.name(call.name or "random")
    arguments = writer.arguments(args, call.kwargs)
    writer.step(f"{name} = {writer.text(generator)}.{method}({arguments})")
    if call.is_number:
        writer.settle_number(call, name)
    else:
        writer.settle_fresh(call, name)


def _write_check(writer: Writer, call: Call, i: int) -> None:
    writer.help(source_of(check_labels))
    labels, classes, ignored = call.args
    rest = "" if ignored is None else f", {ignored}"
    writer.step(f"check_labels({writer.text(labels)}, {classes}{rest})")


_WAYS: dict[Any, Callable[[Writer, Call, int], None]] = {
    converted: _write_converted,
    set_item: _write_change,
    add_at: _write_change,
    joined: _write_joined,
    drawn: _write_drawn,
    check_labels: _write_check,
    softmax_cross_entropy: lambda writer, call, i: write_softmax_cross_entropy(writer, call),
}
