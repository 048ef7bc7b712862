"""The source of a program as a complete Python module, which imports only NumPy.

The module of a training step trains on example data when it is run.
"""

from __future__ import annotations

import itertools
import linecache
import math
import weakref
from textwrap import indent, wrap
from typing import Any

import numpy as np

from microgradx.common.messages import printable
from microgradx.compiler.codegen import generate_lines
from microgradx.compiler.ir import Input, Program, Value
from microgradx.compiler.primitives import flat_slice
from microgradx.compiler.writer import SourceLines

__all__ = [
    "NO_SOURCE",
    "PROGRAMS",
    "load_module",
    "name_in_title",
    "write_function_module",
    "write_step_module",
]

#: How many programs, for arrays of different shapes, one step or function keeps.
PROGRAMS = 8

NO_SOURCE = (
    "there is no source yet, as it is written for the shapes and dtypes of the arguments; {} first"
)

_counter = itertools.count(1)


def load_module(text: str, name: str, owner: object) -> dict[str, Any]:
    """Execute a source, and return what it defines, for as long as the owner exists.

    So long, tracebacks and debuggers show its lines. Then its names go: functions and the names
    that they see refer to each other, and only the garbage collector would free them.
    """
    filename = f"<compiled {name} {next(_counter)}>"
    linecache.cache[filename] = len(text), None, text.splitlines(True), filename
    weakref.finalize(owner, linecache.cache.pop, filename, None)
    names: dict[str, Any] = {"__name__": f"microgradx.compiled_{name}"}
    weakref.finalize(owner, names.clear)
    exec(compile(text, filename, "exec"), names)
    return names


def name_in_title(function: Any) -> str:
    """The name of a function or class for a title: one line, and not a long one."""
    name = str(getattr(function, "__name__", type(function).__name__))
    return printable(name if len(name) <= 60 else f"{name[:59]}…")


def write_function_module(program: Program, title: str) -> tuple[str, SourceLines]:
    """A module with `make_function`, which makes the buffers and returns the function."""
    lines = generate_lines(program)
    results = ", ".join(r.name if r.is_unshared else f"{r.name}.copy()" for r in lines.results)
    function = _define("function", lines.arguments, [*lines.body, "", f"return {results or None}"])
    return _assemble(
        title, lines, [_maker("function", lines, [function], "return function")]
    ), lines


def write_step_module(
    program: Program, title: str, defaults: dict[str, float]
) -> tuple[str, SourceLines]:
    """A module with `make_step`, which makes the buffers.

    It returns the step, a function of a whole epoch, and the array in which a step leaves the
    output of the model. `defaults` are the values of the step's numbers, such as the learning rate.
    """
    lines = generate_lines(program)
    loss, *outputs = lines.results
    output = outputs[0].name if outputs and outputs[0].is_fixed else "None"
    step = _define("step", lines.arguments, [*lines.body, "", f"return float({loss.name})"])
    if not _has_rows(program):  # then there are no batches of an epoch
        parts = [_maker("step", lines, [step], f"return step, None, {output}")]
        return _assemble(title, lines, parts), lines
    functions = [step, _epoch_function(program, lines)]
    parts = [_maker("step", lines, functions, f"return step, epoch, {output}")]
    if not lines.data:
        parts += [
            _example_function(program, lines),
            _train_function(program, lines, defaults),
            'if __name__ == "__main__":\n    train(*make_example())',
        ]
    return _assemble(title, lines, parts), lines


def _has_rows(program: Program) -> bool:
    x, y = (value.shape for value in program.arguments[:2])
    return bool(x and y) and x[0] == y[0] > 0


# ---------------------------------------------------------------------------- pieces of a module


def _assemble(title: str, lines: SourceLines, parts: list[str]) -> str:
    escaped = title.replace("\\", "\\\\").replace('"', '\\"')
    head = [f'"""{escaped}"""', "", "import numpy as np"]
    if lines.imports:
        names = wrap(", ".join(sorted(lines.imports)), 92)
        short = f"from numpy import {names[0]}"
        long = "from numpy import (\n" + indent("\n".join(names), "    ") + ",\n)"
        head.append(short if len(names) == 1 else long)
    helpers = [helper.rstrip() for helper in lines.helpers]
    return "\n\n\n".join(["\n".join(head), *helpers, *parts]) + "\n"


def _define(name: str, arguments: list[str], body: list[str]) -> str:
    return f"def {name}({', '.join(arguments)}):\n" + _indent("\n".join(body))


def _maker(name: str, lines: SourceLines, functions: list[str], end: str) -> str:
    parameters = [*lines.persistent, *lines.data]
    groups = [lines.persistent_views, lines.constants, lines.setup]
    setup = ["\n".join(group) for group in groups if group]
    doc = f'"""The {name}, with all the arrays that it needs, made once."""'
    body = "\n\n".join([f"{doc}\n{setup[0]}" if setup else doc, *setup[1:], *functions, end])
    return f"def make_{name}({', '.join(parameters)}):\n" + _indent(body)


def _indent(text: str) -> str:
    return indent(text, "    ", lambda line: bool(line.strip()))


def _counter_names(program: Program, lines: SourceLines) -> list[str]:
    """The names of the arguments that count steps."""
    pairs = zip(program.arguments, lines.arguments, strict=True)
    return [name for value, name in pairs if value in program.counters]


def _epoch_function(program: Program, lines: SourceLines) -> str:
    """The function of an epoch: a step for each batch of rows, in a given order."""
    x, y, *others = lines.arguments
    rows = program.arguments[0].shape[0]
    body = [
        '"""One step for each full batch of rows in this order; their losses go to a list."""',
        *(
            f"{name}_rows = np.empty({value.shape}, np.{_dtype_name(value)})"
            for name, value in zip((x, y), program.arguments[:2], strict=True)
        ),
        f"for start in range(0, len(order) - {rows - 1}, {rows}):",
        f"    rows = order[start : start + {rows}]",
        f'    {x}.take(rows, axis=0, out={x}_rows, mode="clip")',
        f'    {y}.take(rows, axis=0, out={y}_rows, mode="clip")',
        f"    losses.append(step({', '.join([f'{x}_rows', f'{y}_rows', *others])}))",
        *(f"    {name} += 1" for name in _counter_names(program, lines)),
    ]
    return _define("epoch", [x, y, "order", "losses", *others], body)


def _example_function(program: Program, lines: SourceLines) -> str:
    """The function that makes the initial weights and the rows on which the module trains."""
    x, y = lines.arguments[:2]
    x_input, y_input = program.arguments[:2]
    rows = 32 * x_input.shape[0]
    body = ['"""Initial weights, and random rows to train on."""']
    body.append("generator = np.random.default_rng(0)")
    for value, name in zip(program.persistent, lines.persistent, strict=True):
        body += _initial_value(value, name, program)
    body.append(f"{x} = {_random_rows(x_input, rows)}")
    kind, classes = program.target
    columns, width = x_input.size // x_input.shape[0], y_input.size // y_input.shape[0]
    is_rows = y_input.shape in (y_input.shape[:1], (y_input.shape[0], classes))
    if y_input.dtype.kind == "f" or (kind and is_rows):  # type: ignore[union-attr]
        # Targets that a linear teacher predicts, so that there is something to learn.
        outputs = classes if kind else width
        body.append(
            f"teacher = generator.normal(0, {max(1, columns) ** -0.5:.3g}, ({columns}, {outputs}))"
        )
        body.append(f"scores = {x}.reshape({rows}, {columns}) @ teacher")
    if kind == "labels" and is_rows:
        body.append(f"{y} = scores.argmax(axis=1).astype(np.{_dtype_name(y_input)})")
    elif kind == "probabilities" and is_rows:
        body.append("scores = np.exp(3 * scores)")
        body.append(f"{y} = scores / scores.sum(axis=1, keepdims=True)")
        body.append(f"{y} = {y}.astype(np.{_dtype_name(y_input)})")
    elif y_input.dtype.kind == "f":  # type: ignore[union-attr]
        shape = (rows, *y_input.shape[1:])
        body.append(f"{y} = scores.reshape({shape}).astype(np.{_dtype_name(y_input)})")
    else:
        body.append(f"{y} = {_random_rows(y_input, rows)}")
    body.append(f"return {', '.join([*lines.persistent, x, y])}")
    return _define("make_example", [], body)


def _initial_value(value: Input, name: str, program: Program) -> list[str]:
    """Lines that initialise a persistent array: matrices are small and random, the rest is 0."""
    dtype = _dtype_name(value)
    if value.role == "constant" and value.size <= 64:
        numbers = repr(value.array.tolist()).replace("inf", "np.inf").replace("nan", "np.nan")
        return [f"{name} = np.array({numbers}, np.{dtype})"]
    lines = [f"{name} = np.zeros({value.shape}, np.{dtype})"]
    if value.role == "state":
        return lines
    matrices = [
        (f"{name}[{call.args[1]}:{call.args[1] + call.size}]", call.shape)
        for call in program.calls
        if call.function is flat_slice and call.args[0] is value
    ] or [(f"{name}[...]", value.shape)]
    for target, shape in matrices:
        if len(shape) > 1:
            scale = max(1, math.prod(shape[1:])) ** -0.5
            size = math.prod(shape) if target != f"{name}[...]" else shape
            lines.append(f"{target} = generator.normal(0, {scale:.3g}, {size})")
    return lines


def _dtype_name(value: Value) -> str:
    """The name of a dtype in the byte order of the machine."""
    return np.dtype(value.dtype).name


def _random_rows(value: Value, rows: int) -> str:
    shape, dtype = (rows, *value.shape[1:]), _dtype_name(value)
    text = f"normal(size={shape})" if "float" in dtype else f"integers(0, 2, {shape})"
    return f"generator.{text}.astype(np.{dtype})"


def _train_function(program: Program, lines: SourceLines, defaults: dict[str, float]) -> str:
    """The function that trains for some epochs."""
    x, y, *others = lines.arguments
    arrays = [*lines.persistent, *lines.data]
    counters = _counter_names(program, lines)
    numbers = [
        name
        if name in counters
        else repr(defaults[value.name])
        if value.name in defaults
        else "generator"
        for value, name in zip(program.arguments[2:], others, strict=True)
    ]
    body = [
        '"""Train in place; print and return the mean loss of each epoch."""',
        "generator = np.random.default_rng(0)",
        f"_, epoch, _ = make_step({', '.join(arrays)})",
        "history = []",
        *(f"{name} = 0" for name in counters),
        "for number in range(1, epochs + 1):",
        "    losses = []",
        f"    epoch({', '.join([x, y, f'generator.permutation(len({x}))', 'losses', *numbers])})",
        *(f"    {name} += len(losses)" for name in counters),
        "    history.append(sum(losses) / len(losses))",
        '    print(f"epoch {number:2}: loss {history[-1]:.6f}")',
        "return history",
    ]
    return _define("train", [*arrays, x, y, "epochs=10"], body)
