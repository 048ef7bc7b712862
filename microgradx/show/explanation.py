"""A computation and its backpropagation as a page to step through, forward and then backward."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from string import Template

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import callers_frame, describe
from microgradx.engine import Tensor
from microgradx.show.graphs.drawing import Drawing, draw
from microgradx.show.graphs.graph import Graph
from microgradx.show.graphs.names import names_of_all
from microgradx.show.graphs.summaries import FEW
from microgradx.show.graphs.svg import inline
from microgradx.show.narration import Narrator
from microgradx.show.page_data import Content
from microgradx.show.pages import Page, asset, page, page_path
from microgradx.show.steps.numbers_in_formula import number, written
from microgradx.show.steps.stepping import Steps, steps_of
from microgradx.show.steps.steps import Step

__all__ = ["Explanation", "explain"]

SCRIPTS = ("theme", "graph", "arrays", "written", "heatmaps", "bars", "journey", "finder")


class Explanation(Page):
    """The page that `explain` makes; `steps` is how many steps it shows."""

    def __init__(self, html: str, steps: int) -> None:
        super().__init__(html)
        self.steps = steps

    def __repr__(self) -> str:
        return f'<Explanation in {self.steps} steps; .save("page.html") writes it to a file>'


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

    Beside the graph, each step forward shows an op's formula with its numbers in it, and each step
    backward the chain rule: the gradient that arrives, times the local derivative, is what is
    passed on, and what it adds up to where a Tensor is used several times. Any element of an array
    can be chosen, to see how it arises. The page is one file, which needs no network; notebooks
    show it in the cell. Nothing is written to any Tensor, and hooks are not run.

    path: a file, ending in .html, that the page is also saved to.
    depth, expand, max_nodes: which of its calls the graph shows closed, as in `draw`.
    max_steps: of more steps, those nearest to the output are shown, and the page says so.

    There are steps forward alone, and the page says why, if the Tensor is not a single number, if
    a leaf was changed since it was used, or if the graph was freed.

    Raises TypeError for what is not a Tensor, ValueError for a Tensor that nothing was computed
    for, a name that does not end in .html, and `max_steps` below 1, FileNotFoundError if there is
    no such directory, and RenderingError without Graphviz.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -2.0], requires_grad=True)
    >>> mg.explain((w * w).sum())
    <Explanation in 6 steps; .save("page.html") writes it to a file>
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"explain() shows how a Tensor was computed, and was given {type(tensor).__name__}; "
            "give it the result of a computation on Tensors"
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
        page_path(path)
    frame = callers_frame()
    with np.errstate(all="ignore"):  # what overflows is seen on the page
        graph = draw(tensor, depth=depth, expand=expand, max_nodes=max_nodes).graph
        steps = steps_of(tensor, max_steps)
        explanation = _explanation(steps, graph, names_of_all(steps.tensors, steps.output, frame))
    if path is not None:
        explanation.save(path)
    return explanation


def _explanation(steps: Steps, graph: Graph, names: dict[Tensor, str]) -> Explanation:
    narrator = Narrator(steps.output, names)
    # The picture uses the same names, also for Tensors that have none of their own.
    boxes = {tensor: box._replace(name=names[tensor]) for tensor, box in graph.boxes.items()}
    picture = Drawing(replace(graph, boxes=boxes)).svg()
    notes = list(_notes(steps))
    title = f"{names[steps.output]}, step by step"
    body = Template(asset("explanation.html")).substitute(
        title=html.escape(title),
        note=f'<p class="note">{html.escape(" ".join(notes))}</p>' if notes else "",
        graph=inline(picture),
        rows="\n".join(_row(step, narrator) for step in steps),
    )
    text = page(
        title,
        body,
        styles=["graph.css", "explanation.css"],
        scripts=[f"{name}.js" for name in (*SCRIPTS, "explanation")],
        data=Content(narrator, graph).of_all(steps),
    )
    return Explanation(text, len(steps))


def _notes(steps: Steps) -> Iterator[str]:
    """What is missing, and why."""
    if steps.note:
        yield f"Forward steps only; {steps.note}."
    forward, backward = steps.left_out
    if forward or backward:
        yield (
            f"The {len(steps):,} steps nearest to the output are shown; {forward:,} forward and "
            f"{backward:,} backward ones are left out."
        )


# ---------------------------------------------------------------------------- the table of steps


def _row(step: Step, narrator: Narrator) -> str:
    """A step as a row of the table that there is without scripts, and on paper."""
    direction = "forward" if step.kind == "forward" else "backward"
    cells = [
        str(step.number),
        f'<span class="{direction}">{direction}</span>',
        html.escape(narrator.title(step)),
        html.escape(step.formula),
        html.escape(_numbers(step)),
        html.escape(_summary(step.value)),
        html.escape(_sum(step, narrator)),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _numbers(step: Step) -> str:
    """The first element's formula, with the numbers in it."""
    if step.how is None or step.value.size == 0:
        return ""
    first = (0,) * step.value.ndim
    which = f"{list(first)}: " if step.value.ndim else ""
    sides = dict.fromkeys((written(step.how, first), number(step.value[first])))
    return which + " = ".join(sides)


def _sum(step: Step, narrator: Narrator) -> str:
    """What the gradient has become, where it is a sum of several contributions."""
    if step.total is None or step.contributions < 2:
        return ""
    return f"{narrator.contribution(step)}, in all {_summary(step.total)}"


def _summary(array: Array) -> str:
    """All elements of a vector of a few, and what lies between the least and the greatest."""
    if array.size == 1:
        return number(array.item())
    if array.ndim == 1 and array.size <= FEW:
        return f"[{', '.join(map(number, array))}]"
    shape = " × ".join(map(str, array.shape))
    if array.size == 0:
        return shape
    return f"{shape}, from {number(array.min())} to {number(array.max())}"
