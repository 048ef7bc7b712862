"""The steps of a computation as text, the same in every run, and in colours on a terminal."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate, product
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import callers_frame, describe
from microgradx.engine import Tensor
from microgradx.show.graphs.names import names_of_all
from microgradx.show.graphs.summaries import FEW
from microgradx.show.narration import Narrator
from microgradx.show.steps.numbers_in_formula import number, placed, written
from microgradx.show.steps.stepping import Steps, steps_of
from microgradx.show.steps.steps import Formula, How, Step, letters

__all__ = ["Trace", "steps"]

LETTER = re.compile(r"(?<![A-Za-z_])(?:x\d*|y|z|out)(?![A-Za-z_\d])")
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]\d+)?")

#: How many characters a line of text may have, as far as names and formulas let it.
WIDTH = 100

#: How many the elements of an array may have in it.
ROOM = 36


def steps(tensor: Tensor, *, max_steps: int = 400) -> Trace:
    """The computation of a Tensor and its backpropagation as text, a line for each step.

    Forward, each line has the op and its result's name, the formula, and the numbers in it; back,
    in the order that the engine takes, what arrives times the local derivative, sums over what was
    broadcast, and the gradient so far of what is used several times. Of arrays, the numbers are
    those of the first element. Nothing is written to any Tensor, and hooks are not run.

    `print(t.steps())` gives plain text, `t.steps().show()` colours on a terminal where rich is
    installed; it is also a sequence of its steps. Of more than `max_steps`, those nearest to the
    output are there. There are none back, and the text says why, if the Tensor is not a single
    number, if a leaf was changed since it was used, or if the graph was freed.

    Raises TypeError for what is not a Tensor, ValueError for a Tensor that was not computed, or
    not from anything that requires gradients, and for `max_steps` below 1.

    >>> import microgradx as mg
    >>> a, b = (mg.Tensor(x, requires_grad=True) for x in (2.0, -3.0))
    >>> (a * b).steps()
    forward
      1  multiply → output  a · b  2 · (-3)  = -6
    <BLANKLINE>
    backward, the gradients of output
      2  ...
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"steps() is for the result of a computation on Tensors, not {type(tensor).__name__}"
        )
    if tensor.op is None:
        raise ValueError(
            f"{describe(tensor)} was not computed from anything, or not from anything that "
            "requires gradients, so there are no steps; make an input with requires_grad=True, "
            "and call steps() on what is computed from it"
        )
    if max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, not {max_steps}")
    steps = steps_of(tensor, max_steps)
    return Trace(steps, names_of_all(steps.tensors, steps.output, callers_frame()))


# ---------------------------------------------------------------------------- the trace


class Trace(Sequence[Step]):
    """The steps of a computation, as a sequence and as text. Made by `trace`.

    `steps` has what they belong to besides: the Tensors in order, and what was left out.
    """

    def __init__(self, steps: Steps, names: dict[Tensor, str]) -> None:
        self.steps = steps
        # Told at once, as arrays may be written to later.
        self._sections = list(Teller(steps, names).sections())

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: Any) -> Any:
        return self.steps[index]

    def __str__(self) -> str:
        return "\n\n".join(map(_as_text, self._sections))

    __repr__ = __str__

    def show(self) -> None:
        """Print it, in colours if this is a terminal and rich is installed."""
        if sys.stdout.isatty():
            try:
                from rich.console import Console
            except ImportError:
                pass
            else:
                Console().print(self)
                return
        print(self)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        for place, section in enumerate(self._sections):
            yield from ("",) * (place > 0)
            yield from _for_terminals(section)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return "".join(map(_as_html, self._sections))


# ---------------------------------------------------------------------------- what it tells


class Row(NamedTuple):
    """A step, or how its contribution adds to others."""

    number: str
    title: str
    formula: str
    numbers: str
    result: str


class Section(NamedTuple):
    """Steps in one direction, and how many more there are before and after."""

    title: str
    rows: list[Row]
    before: str = ""
    after: str = ""


class Teller:
    """Tells steps by the names of the Tensors."""

    def __init__(self, steps: Steps, names: dict[Tensor, str]) -> None:
        self.steps = steps
        self.names = names
        self.narrator = Narrator(steps.output, names)

    def sections(self) -> Iterator[Section]:
        forward = [self.step(step) for step in self.steps if step.kind == "forward"]
        before, after = self.steps.left_out
        yield Section("forward", forward, before=f"… {before:,} earlier steps" if before else "")
        if self.steps.note:
            yield Section(self.steps.note, [])
            return
        rows: list[Row] = []
        totals: dict[Tensor, Array] = {}
        for step in self.steps:
            if step.kind != "forward":
                rows.append(self.step(step))
            if step.total is not None:
                if step.receiver in totals:
                    rows.append(self.contribution(step, totals[step.receiver]))
                totals[step.receiver] = step.total
        title = f"backward, the gradients of {self.names[self.steps.output]}"
        yield Section(title, rows, after=f"… {after:,} more steps" if after else "")

    def step(self, step: Step) -> Row:
        how = with_derivative(step) if step.local_how is not None else step.how
        return Row(
            str(step.number),
            self.narrator.title(step),
            "" if step.kind in ("seed", "sum") else self.formula(step),
            numbers(how, step.value),
            result(step.value),
        )

    def contribution(self, step: Step, before: Array) -> Row:
        """How what there was and what a step adds make what there is."""
        assert step.total is not None
        how = Formula("{before} + {this}", {"before": before, "this": step.value})
        title = self.narrator.contribution(step)
        return Row("", title, "", numbers(how, step.total), result(step.total))

    def formula(self, step: Step) -> str:
        """A step's formula with names for the letters that stand for Tensors."""
        inputs = step.tensor.inputs
        called = {**dict(zip(letters(len(inputs)), inputs, strict=True)), "out": step.tensor}
        if step.kind == "forward" and isinstance(step.how, Formula):
            return self.named(step.how, called)
        if isinstance(step.local_how, Formula) and step.local_formula is not None:
            return step.formula.replace(step.local_formula, self.named(step.local_how, called))
        return LETTER.sub(
            lambda match: self.names[called[match[0]]] if match[0] in called else match[0],
            step.formula,
        )

    def named(self, formula: Formula, called: dict[str, Tensor]) -> str:
        """A formula with names in its slots, but for operands that are no Tensors: p, say."""
        text, *slots = re.split(r"\{(\w+)\}", formula.template)
        for slot, after in zip(slots[::2], slots[1::2], strict=True):
            tensor = called.get(slot)
            if tensor is None or not np.may_share_memory(formula.operands[slot], tensor.data):
                text += slot + after
            elif NUMBER.fullmatch(self.names[tensor]):
                text = placed(text, float(self.names[tensor]), after) + after
            else:
                text += self.names[tensor] + after
        return text


def with_derivative(step: Step) -> How | None:
    """What arrives times the local derivative as it is computed, and not as it came out."""
    local = step.local_how
    if not (isinstance(step.how, Formula) and isinstance(local, Formula)):
        return step.how
    is_factor = step.formula == f"g · {step.local_formula}"
    template = local.template if is_factor else f"({local.template})"
    return Formula(f"{{g}} · {template}", {**local.operands, "g": step.how.operands["g"]})


def numbers(how: How | None, value: Array) -> str:
    """The formula of the first element with the numbers in it; nothing if it is a number alone."""
    if how is None or value.size == 0:
        return ""
    index = (0,) * value.ndim
    text, answer = written(how, index), number(value[index])
    if text == answer:
        return ""
    return text if value.size == 1 else f"{list(index)}: {text} = {answer}"


def result(array: Array) -> str:
    """A number, the elements of a small array, or between what those of a large one lie."""
    if array.size == 1:
        return f"= {number(array.item())}"
    if array.size <= FEW and len(elements(array)) <= ROOM:
        return f"= {elements(array)}"
    finite = array[np.isfinite(array)]
    parts = [str(array.shape)]
    if finite.size:
        mean = np.sum(finite / finite.size)  # divided first, so that a sum cannot overflow
        least, greatest = number(finite.min()), number(finite.max())
        is_one = least == greatest
        parts.append(f"all {least}" if is_one else f"{least} … {greatest}, mean {number(mean)}")
    counts = (np.isnan(array).sum(), "NaN"), (np.isinf(array).sum(), "inf")
    return ", ".join([*parts, *(f"{count} {kind}" for count, kind in counts if count)])


def elements(array: Array) -> str:
    if array.ndim == 0:
        return number(array)
    return f"[{', '.join(map(elements, array))}]"


# ---------------------------------------------------------------------------- how it looks


def _as_text(section: Section) -> str:
    """Lines with columns. Numbers that need too much room beside stand below, or nowhere."""
    for room, widest in product((WIDTH, 44, 34, 26, 20, 14, 0), (44, 32, 24)):
        lines = list(_lines(section.rows, room, widest))
        if max(map(len, lines), default=0) <= WIDTH:
            break
    return "\n".join(filter(None, [section.title, section.before, *lines, section.after]))


def _lines(rows: list[Row], room: int, widest: int) -> Iterator[str]:
    """Rows with up to `room` characters of numbers, and columns that take up to `widest`."""
    beside = [row if len(row.numbers) <= room else row._replace(numbers="") for row in rows]
    widths = [max(map(len, column)) for column in zip(*beside, strict=True)]
    ends = list(accumulate(min(width, widest) + 2 for width in widths))
    for row, shown in zip(rows, beside, strict=True):
        line = "  " + row.number.rjust(widths[0])
        for cell, start in zip(shown[1:], ends, strict=False):
            if cell:  # where another is too long, it begins later
                line = f"{line}  ".ljust(start + 2) + cell
        yield line
        below = " " * (ends[0] + 2) + row.numbers
        if shown.numbers != row.numbers and len(below) <= WIDTH:
            yield below


def _for_terminals(section: Section) -> Iterator[Any]:
    from rich.table import Table
    from rich.text import Text  # which takes no part of a name for markup

    yield Text(section.title, "bold")
    if section.before:
        yield Text(section.before, "dim")
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(style="dim", justify="right")
    for style in ("bold", "cyan", "", "bold"):
        table.add_column(style=style, overflow="fold")
    for row in section.rows:
        table.add_row(*map(Text, row))
    yield table
    if section.after:
        yield Text(section.after, "dim")


def _as_html(section: Section) -> str:
    cell = '<td style="text-align: left">{}</td>'  # notebooks' own styles put it on the right
    rows = [
        f"<tr>{''.join(cell.format(html.escape(text)) for text in row)}</tr>"
        for row in section.rows
    ]
    before, after = (f"<p>{html.escape(text)}</p>" * bool(text) for text in section[2:])
    title = f"<h4>{html.escape(section.title)}</h4>"
    return f"{title}{before}<table>{''.join(rows)}</table>{after}"
