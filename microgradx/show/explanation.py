"""A page that steps through a computation and its backpropagation."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from string import Template

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import describe, find_caller_frame, format_count
from microgradx.engine import Tensor
from microgradx.show.captions import Captions
from microgradx.show.formulas.numbers_in_formula import format_number, substitute_numbers
from microgradx.show.graphs.drawing import Drawing, draw
from microgradx.show.graphs.graph import Graph
from microgradx.show.graphs.names import name_all
from microgradx.show.graphs.summaries import FEW
from microgradx.show.graphs.svg import inline_svg
from microgradx.show.page_data import PageData
from microgradx.show.pages import Page, check_page_path, read_asset, render_page
from microgradx.show.steps.step_builder import Steps, steps_of
from microgradx.show.steps.steps import Step

__all__ = ["Explanation", "explain"]

SCRIPTS = (
    *("theme.js", "graph.js", "arrays.js", "numbers_in_formula.js", "heatmaps.js", "bars.js"),
    *("graph_path.js", "search.js", "explanation.js"),
)


class Explanation(Page):
    """The page that `explain` returns; `steps` is how many steps it shows."""

    def __init__(self, html: str, steps: int) -> None:
        super().__init__(html)
        self.steps = steps

    def __repr__(self) -> str:
        return (
            f"<Explanation in {format_count(self.steps, 'step')}; "
            '.save("page.html") writes it to a file>'
        )


def explain(
    tensor: Tensor,
    path: str | os.PathLike[str] | None = None,
    *,
    depth: int | None = None,
    expand: str | Iterable[str] = (),
    max_nodes: int = 200,
    max_steps: int = 400,
) -> Explanation:
    """A page that steps through the computation of a Tensor, and back through its derivatives.

    Beside the graph, each forward step shows the formula of an op with numbers, and each backward
    step the chain rule: the upstream gradient times the local derivative, and the sum where a
    Tensor is used several times. Any element of an array can be chosen, to see how it is computed.
    The page is one file that needs no network; notebooks show it in the cell. Nothing is written to
    any Tensor, and no hook runs.

    path: a file, ending in .html, to save the page to as well.
    depth, expand, max_nodes: which calls the graph shows as one node, as in `draw`.
    max_steps: of more steps, the page shows the ones nearest to the output, and says so.

    There are forward steps only, and the page says why, if the Tensor is not a single number, if a
    leaf was changed after use, if the graph was released, or if the rule of an op fails.

    Raises TypeError for anything but a Tensor; ValueError for a Tensor that was not computed from
    anything, a name that does not end in .html, and `max_steps` below 1; FileNotFoundError if the
    directory does not exist; RenderingError without Graphviz.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -2.0], requires_grad=True)
    >>> mg.explain((w * w).sum())
    <Explanation in 6 steps; .save("page.html") writes it to a file>
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"explain() needs the result of a computation on Tensors, not {type(tensor).__name__}"
        )
    if tensor.op is None:
        raise ValueError(
            f"{describe(tensor)} was not computed from anything, or not from anything that "
            "requires gradients, so there is nothing to explain; make an input with "
            "requires_grad=True, and explain what is computed from it"
        )
    if max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, not {max_steps}")
    if path is not None:
        check_page_path(path)
    frame = find_caller_frame()
    with np.errstate(all="ignore"):  # the page shows what overflows
        graph = draw(tensor, depth=depth, expand=expand, max_nodes=max_nodes).graph
        steps = steps_of(tensor, max_steps)
        explanation = _build_page(steps, graph, name_all(steps.tensors, steps.output, frame))
    if path is not None:
        explanation.save(path)
    return explanation


def _build_page(steps: Steps, graph: Graph, names: dict[Tensor, str]) -> Explanation:
    captions = Captions(steps.output, names)
    # The picture uses the same names, also for Tensors without a name of their own.
    boxes = {tensor: box._replace(name=names[tensor]) for tensor, box in graph.boxes.items()}
    picture = Drawing(replace(graph, boxes=boxes)).svg()
    notes = list(_write_notes(steps))
    title = f"{names[steps.output]}, step by step"
    body = Template(read_asset("explanation.html")).substitute(
        title=html.escape(title),
        note=f'<p class="note">{html.escape(" ".join(notes))}</p>' if notes else "",
        graph=inline_svg(picture),
        rows="\n".join(_write_row(step, captions) for step in steps),
    )
    text = render_page(
        title,
        body,
        styles=["graph.css", "explanation.css"],
        scripts=SCRIPTS,
        data=PageData(captions, graph).build(steps),
    )
    return Explanation(text, len(steps))


def _write_notes(steps: Steps) -> Iterator[str]:
    """What the page leaves out, and why."""
    if steps.note:
        yield f"Forward steps only; {steps.note}."
    forward, backward = steps.left_out
    if forward or backward:
        yield (
            f"The {len(steps):,} steps nearest to the output are shown; {forward:,} forward and "
            f"{backward:,} backward ones are left out."
        )


# ---------------------------------------------------------------------------- the table of steps


def _write_row(step: Step, captions: Captions) -> str:
    """A step as a row of the table that is shown without scripts, and in print."""
    direction = "forward" if step.kind == "forward" else "backward"
    cells = [
        str(step.number),
        f'<span class="{direction}">{direction}</span>',
        html.escape(captions.title(step)),
        html.escape(step.formula),
        html.escape(_write_numbers(step)),
        html.escape(_summarize(step.value)),
        html.escape(_write_sum(step, captions)),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _write_numbers(step: Step) -> str:
    """The formula of the first element, with numbers."""
    if step.derivation is None or step.value.size == 0:
        return ""
    first = (0,) * step.value.ndim
    which = f"{list(first)}: " if step.value.ndim else ""
    sides = dict.fromkeys(
        (substitute_numbers(step.derivation, first), format_number(step.value[first]))
    )
    return which + " = ".join(sides)


def _write_sum(step: Step, captions: Captions) -> str:
    """The gradient so far, where it is a sum of several contributions."""
    if step.total is None or step.contributions < 2:
        return ""
    return f"{captions.contribution(step)}, in all {_summarize(step.total)}"


def _summarize(array: Array) -> str:
    """The elements of a short vector, or the shape and the range of an array."""
    if array.size == 1:
        return format_number(array.item())
    if array.ndim == 1 and array.size <= FEW:
        return f"[{', '.join(map(format_number, array))}]"
    shape = " × ".join(map(str, array.shape))
    if array.size == 0:
        return shape
    return f"{shape}, from {format_number(array.min())} to {format_number(array.max())}"
