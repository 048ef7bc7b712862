"""The steps of a computation as text: plain, in colours on a terminal, or as a table in HTML."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate, product
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import describe, find_caller_frame
from microgradx.engine import Tensor
from microgradx.show.captions import Captions
from microgradx.show.formulas.derivations import Derivation, Formula, input_letters
from microgradx.show.formulas.numbers_in_formula import (
    append_number,
    format_number,
    substitute_numbers,
)
from microgradx.show.graphs.names import name_all
from microgradx.show.graphs.summaries import FEW
from microgradx.show.steps.op_probe import MAX_INPUTS
from microgradx.show.steps.step_builder import Steps, steps_of
from microgradx.show.steps.steps import Step

__all__ = ["StepText", "steps"]

LETTER = re.compile(r"(?<![A-Za-z_])(?:x\d*|y|z|out)(?![A-Za-z_\d])")
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]\d+)?")

#: The length of a line of text, as far as names and formulas allow.
WIDTH = 100

#: The length of the elements of an array in it.
ELEMENTS_WIDTH = 36


def steps(tensor: Tensor, *, max_steps: int = 400) -> StepText:
    """The computation of a Tensor and its backpropagation as text, a line for each step.

    Forward, each line has the op and the name of its result, the formula, and the formula with
    numbers. Backward, in the engine's order, each line has the gradient times the local derivative,
    sums over broadcast axes, and the accumulated gradient of Tensors that are used several times.
    For arrays, the numbers are those of the first element. Nothing is written to any Tensor, and
    no hook runs.

    `print(t.steps())` prints plain text; `t.steps().show()` prints in colours on a terminal if rich
    is installed. The result is also a sequence of steps. Of more than `max_steps`, it has the ones
    nearest to the output. It has no backward steps, and the text says why, if the Tensor is not a
    single number, if a leaf was changed after use, if the graph was released, or if the rule of an
    op fails.

    Raises TypeError for anything but a Tensor; ValueError for a Tensor that was not computed from
    anything that requires gradients, and for `max_steps` below 1.

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
            f"steps() needs the result of a computation on Tensors, not {type(tensor).__name__}"
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
    return StepText(steps, name_all(steps.tensors, steps.output, find_caller_frame()))


# ---------------------------------------------------------------------------- the result


class StepText(Sequence[Step]):
    """The steps of a computation, as a sequence and as text. Returned by `Tensor.steps`.

    `steps` also has the Tensors in order, and how many steps were left out.
    """

    def __init__(self, steps: Steps, names: dict[Tensor, str]) -> None:
        self.steps = steps
        # Rendered at once, because arrays may be written to later.
        self._sections = list(TextRenderer(steps, names).sections())

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
            yield from _as_rich(section)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return "".join(map(_as_html, self._sections))


# ---------------------------------------------------------------------------- rows


class Row(NamedTuple):
    """A step, or the sum of its contribution and the earlier ones."""

    number: str
    title: str
    formula: str
    numbers: str
    result: str


class Section(NamedTuple):
    """Steps in one direction, and how many are left out before and after them."""

    title: str
    rows: list[Row]
    before: str = ""
    after: str = ""


class TextRenderer:
    """Renders steps as rows of text, with the names of the Tensors."""

    def __init__(self, steps: Steps, names: dict[Tensor, str]) -> None:
        self.steps = steps
        self.names = names
        self.captions = Captions(steps.output, names)

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
        derivation = (
            insert_local_formula(step) if step.local_derivation is not None else step.derivation
        )
        return Row(
            str(step.number),
            self.captions.title(step),
            "" if step.kind in ("seed", "sum") else self.formula(step),
            write_numbers(derivation, step.value),
            summarize_result(step.value),
        )

    def contribution(self, step: Step, before: Array) -> Row:
        """The gradient so far plus the contribution of a step."""
        assert step.total is not None
        derivation = Formula("{before} + {this}", {"before": before, "this": step.value})
        title = self.captions.contribution(step)
        return Row(
            "", title, "", write_numbers(derivation, step.total), summarize_result(step.total)
        )

    def formula(self, step: Step) -> str:
        """The formula of a step, with names for the letters of Tensors."""
        inputs = step.tensor.inputs[:MAX_INPUTS]
        tensors = {**dict(zip(input_letters(len(inputs)), inputs, strict=True)), "out": step.tensor}
        if step.kind == "forward" and isinstance(step.derivation, Formula):
            return self.insert_names(step.derivation, tensors)
        if isinstance(step.local_derivation, Formula) and step.local_formula is not None:
            return step.formula.replace(
                step.local_formula, self.insert_names(step.local_derivation, tensors)
            )
        return LETTER.sub(
            lambda match: self.names[tensors[match[0]]] if match[0] in tensors else match[0],
            step.formula,
        )

    def insert_names(self, formula: Formula, tensors: dict[str, Tensor]) -> str:
        """A formula with names in its slots, except for operands that are not Tensors (p)."""
        text, *slots = re.split(r"\{(\w+)\}", formula.template)
        for slot, after in zip(slots[::2], slots[1::2], strict=True):
            tensor = tensors.get(slot)
            if tensor is None or not np.may_share_memory(formula.operands[slot], tensor.data):
                text += slot + after
            elif NUMBER.fullmatch(self.names[tensor]):
                text = append_number(text, float(self.names[tensor]), after) + after
            else:
                text += self.names[tensor] + after
        return text


def insert_local_formula(step: Step) -> Derivation | None:
    """g times the formula of the local derivative, instead of its value."""
    local = step.local_derivation
    if not (isinstance(step.derivation, Formula) and isinstance(local, Formula)):
        return step.derivation
    is_factor = step.formula == f"g · {step.local_formula}"
    template = local.template if is_factor else f"({local.template})"
    return Formula(f"{{g}} · {template}", {**local.operands, "g": step.derivation.operands["g"]})


def write_numbers(derivation: Derivation | None, value: Array) -> str:
    """The formula of the first element with numbers; empty if it is a number alone."""
    if derivation is None or value.size == 0:
        return ""
    index = (0,) * value.ndim
    text, value_text = substitute_numbers(derivation, index), format_number(value[index])
    if text == value_text:
        return ""
    return text if value.size == 1 else f"{list(index)}: {text} = {value_text}"


def summarize_result(array: Array) -> str:
    """A number, the elements of a small array, or the range and mean of a large one."""
    if array.size == 1:
        return f"= {format_number(array.item())}"
    if array.size <= FEW and len(write_elements(array)) <= ELEMENTS_WIDTH:
        return f"= {write_elements(array)}"
    finite = array[np.isfinite(array)]
    parts = [str(array.shape)]
    if finite.size:
        mean = np.sum(finite / finite.size)  # divided first, so that a sum cannot overflow
        least, greatest = format_number(finite.min()), format_number(finite.max())
        is_one = least == greatest
        parts.append(
            f"all {least}" if is_one else f"{least} … {greatest}, mean {format_number(mean)}"
        )
    counts = (np.isnan(array).sum(), "NaN"), (np.isinf(array).sum(), "inf")
    return ", ".join([*parts, *(f"{count} {kind}" for count, kind in counts if count)])


def write_elements(array: Array) -> str:
    if array.ndim == 0:
        return format_number(array)
    return f"[{', '.join(map(write_elements, array))}]"


# ---------------------------------------------------------------------------- formats


def _as_text(section: Section) -> str:
    """Lines in columns. Numbers that are too long go below their line, or are left out."""
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
            if cell:  # it starts later where another cell is too long
                line = f"{line}  ".ljust(start + 2) + cell
        yield line
        below = " " * (ends[0] + 2) + row.numbers
        if shown.numbers != row.numbers and len(below) <= WIDTH:
            yield below


def _as_rich(section: Section) -> Iterator[Any]:
    from rich.table import Table
    from rich.text import Text  # which does not interpret names as markup

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
