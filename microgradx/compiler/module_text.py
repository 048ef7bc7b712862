"""A program as a complete module of Python: it imports NumPy alone, and a step trains when run."""

from __future__ import annotations

import itertools
import linecache
import math
import weakref
from textwrap import indent, wrap
from typing import Any

import numpy as np

from microgradx.compiler.buffers import Written
from microgradx.compiler.codegen import written
from microgradx.compiler.ir import Input, Program, Value
from microgradx.compiler.primitives import piece

__all__ = ["NO_SOURCE", "PROGRAMS", "as_module", "source_of_function", "source_of_step"]

#: How many programs, for arrays of different shapes, one step or function keeps.
PROGRAMS = 8

NO_SOURCE = (
    "there is no source yet, as it is written for the shapes and dtypes that it is called with; "
    "{} first"
)

_counter = itertools.count(1)


def as_module(text: str, name: str, owner: object) -> dict[str, Any]:
    """What a source defines; tracebacks and debuggers show its lines, while the owner lives."""
    filename = f"<compiled {name} {next(_counter)}>"
    linecache.cache[filename] = len(text), None, text.splitlines(True), filename
    weakref.finalize(owner, linecache.cache.pop, filename, None)
    names: dict[str, Any] = {"__name__": f"microgradx.compiled_{name}"}
    exec(compile(text, filename, "exec"), names)
    return names


def source_of_function(program: Program, title: str) -> tuple[str, Written]:
    """A module with `make_function`, which makes the buffers and gives the function."""
    lines = written(program)
    results = ", ".join(r.name if r.is_alone else f"{r.name}.copy()" for r in lines.results)
    function = _function(
        "function", lines.arguments, [*lines.body, "", f"return {results or None}"]
    )
    maker = _maker("function", lines, [function], "return function")
    return _module(title, lines, [maker]), lines


def source_of_step(program: Program, title: str, defaults: dict[str, float]) -> tuple[str, Written]:
    """A module with `make_step`, which makes the buffers, and gives the step, a whole epoch, and
    the array in which a step leaves what the model gave.

    `defaults` are the numbers that the step takes, such as the learning rate, as they were.
    """
    lines = written(program)
    loss, *outputs = lines.results
    output = outputs[0].name if outputs and outputs[0].is_fixed else "None"
    step = _function("step", lines.arguments, [*lines.body, "", f"return float({loss.name})"])
    if not _has_rows(program):  # of which an epoch could take batches
        return _module(
            title, lines, [_maker("step", lines, [step], f"return step, None, {output}")]
        ), lines
    parts = [_maker("step", lines, [step, _epoch(program, lines)], f"return step, epoch, {output}")]
    if not lines.data:
        train = _train(program, lines, defaults)
        parts += [
            _made_up(program, lines),
            train,
            'if __name__ == "__main__":\n    train(*made_up())',
        ]
    return _module(title, lines, parts), lines


def _has_rows(program: Program) -> bool:
    x, y = (value.shape for value in program.arguments[:2])
    return bool(x and y) and x[0] == y[0] > 0


# ---------------------------------------------------------------------------- pieces of a module


def _module(title: str, lines: Written, parts: list[str]) -> str:
    head = [f'"""{title}"""', "", "import numpy as np"]
    if lines.imports:
        names = wrap(", ".join(sorted(lines.imports)), 92)
        short = f"from numpy import {names[0]}"
        long = "from numpy import (\n" + indent("\n".join(names), "    ") + ",\n)"
        head.append(short if len(names) == 1 else long)
    helpers = [helper.rstrip() for helper in lines.helpers]
    return "\n\n\n".join(["\n".join(head), *helpers, *parts]) + "\n"


def _function(name: str, arguments: list[str], body: list[str]) -> str:
    return f"def {name}({', '.join(arguments)}):\n" + _indented("\n".join(body))


def _maker(name: str, lines: Written, made: list[str], end: str) -> str:
    parameters = [*lines.kept, *lines.data]
    groups = [lines.views_of_kept, lines.constants, lines.setup]
    setup = ["\n".join(group) for group in groups if group]
    doc = f'"""The {name}, with all the arrays that it needs, made once."""'
    body = "\n\n".join([f"{doc}\n{setup[0]}" if setup else doc, *setup[1:], *made, end])
    return f"def make_{name}({', '.join(parameters)}):\n" + _indented(body)


def _indented(text: str) -> str:
    return indent(text, "    ", lambda line: bool(line.strip()))


def _counters(program: Program, lines: Written) -> list[str]:
    """The names of arguments that count steps."""
    pairs = zip(program.arguments, lines.arguments, strict=True)
    return [name for value, name in pairs if value in program.counters]


def _epoch(program: Program, lines: Written) -> str:
    """A loop over batches of rows, in an order that is given."""
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
        *(f"    {name} += 1" for name in _counters(program, lines)),
    ]
    return _function("epoch", [x, y, "order", "losses", *others], body)


def _made_up(program: Program, lines: Written) -> str:
    """A function that gives what the module trains when it is run: small weights, and rows."""
    x, y = lines.arguments[:2]
    of_x, of_y = program.arguments[:2]
    rows = 32 * of_x.shape[0]
    body = ['"""What to start from, and rows to train on, all made up."""']
    body.append("generator = np.random.default_rng(0)")
    for value, name in zip(program.kept, lines.kept, strict=True):
        body += _start_of(value, name, program)
    body.append(f"{x} = {_drawn(of_x, rows)}")
    kind, classes = program.target
    columns, width = of_x.size // of_x.shape[0], of_y.size // of_y.shape[0]
    is_rows = of_y.shape in (of_y.shape[:1], (of_y.shape[0], classes))
    if of_y.dtype.kind == "f" or (kind and is_rows):  # type: ignore[union-attr]
        # A teacher, so that there is something to learn.
        outputs = classes if kind else width
        body.append(f"teacher = generator.normal(0, {columns**-0.5:.3g}, ({columns}, {outputs}))")
        body.append(f"scores = {x}.reshape({rows}, {columns}) @ teacher")
    if kind == "labels" and is_rows:
        body.append(f"{y} = scores.argmax(axis=1).astype(np.{_dtype_name(of_y)})")
    elif kind == "probabilities" and is_rows:
        body.append("scores = np.exp(3 * scores)")
        body.append(f"{y} = scores / scores.sum(axis=1, keepdims=True)")
        body.append(f"{y} = {y}.astype(np.{_dtype_name(of_y)})")
    elif of_y.dtype.kind == "f":  # type: ignore[union-attr]
        shape = (rows, *of_y.shape[1:])
        body.append(f"{y} = scores.reshape({shape}).astype(np.{_dtype_name(of_y)})")
    else:
        body.append(f"{y} = {_drawn(of_y, rows)}")
    body.append(f"return {', '.join([*lines.kept, x, y])}")
    return _function("made_up", [], body)


def _start_of(value: Input, name: str, program: Program) -> list[str]:
    """Lines for what an array that is kept starts from: matrices small and random, the rest 0."""
    dtype = _dtype_name(value)
    if value.role == "constant" and value.array is not None and value.size <= 64:
        return [f"{name} = np.array({value.array.tolist()!r}, np.{dtype})"]
    lines = [f"{name} = np.zeros({value.shape}, np.{dtype})"]
    if value.role == "state":
        return lines
    matrices = [
        (f"{name}[{call.args[1]}:{call.args[1] + call.size}]", call.shape)
        for call in program.calls
        if call.function is piece and call.args[0] is value
    ] or [(f"{name}[...]", value.shape)]
    for target, shape in matrices:
        if len(shape) > 1:
            scale = math.prod(shape[1:]) ** -0.5
            size = math.prod(shape) if target != f"{name}[...]" else shape
            lines.append(f"{target} = generator.normal(0, {scale:.3g}, {size})")
    return lines


def _dtype_name(value: Value) -> str:
    """What NumPy calls a dtype, in the machine's order of bytes."""
    return np.dtype(value.dtype).name


def _drawn(value: Value, rows: int) -> str:
    shape, dtype = (rows, *value.shape[1:]), _dtype_name(value)
    draw = f"normal(size={shape})" if "float" in dtype else f"integers(0, 2, {shape})"
    return f"generator.{draw}.astype(np.{dtype})"


def _train(program: Program, lines: Written, defaults: dict[str, float]) -> str:
    """A function that trains, for what is not in the file to be found elsewhere."""
    x, y, *others = lines.arguments
    kept = [*lines.kept, *lines.data]
    counters = _counters(program, lines)
    numbers = [
        name
        if name in counters
        else repr(defaults[value.name])
        if value.name in defaults
        else "generator"
        for value, name in zip(program.arguments[2:], others, strict=True)
    ]
    body = [
        '"""Train, in place; prints, and gives, the mean loss of each epoch."""',
        "generator = np.random.default_rng(0)",
        f"_, epoch, _ = make_step({', '.join(kept)})",
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
    return _function("train", [*kept, x, y, "epochs=10"], body)
