"""Gradients of Tensors at Tensors, in PyTorch's form, without touching any `grad`.

`microgradx.grad` is another thing: it turns a function into the function of its gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from microgradx.arrays.types import as_array, unwrap
from microgradx.common.messages import describe
from microgradx.engine import Tensor, as_tensor, initial_gradient, release_graph, sweep
from microgradx.graph.grad_mode import enable_grad

__all__ = ["grad"]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    *,
    retain_graph: bool = True,
    create_graph: bool = False,
    allow_unused: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradient of the outputs' sum at each of the inputs, leaves or not; a tuple of arrays.

    grad_outputs: what the elements of each output weigh, in its shape; needed for outputs that
        are not a single number. One for a lone output, else a sequence, with None for "ones".
    retain_graph: False lets go of the graph, and its memory, at once.
    create_graph: give Tensors with a graph of their own, for derivatives of derivatives. This
        is the way to higher orders: unlike `backward(create_graph=True)` it leaves nothing
        that would have to be cleared.
    allow_unused: None for an input that the outputs were not computed from, instead of an error.
    materialize_grads: zeros for such an input.

    `grad` of no Tensor changes. Raises ValueError for an unused input, for
    shapes that do not fit, and where `backward` would; TypeError for what is no Tensor.

    >>> import microgradx as mg
    >>> x = mg.Tensor(2.0, requires_grad=True)
    >>> (first,) = grad(x**3, x, create_graph=True)
    >>> (second,) = grad(first, x)
    >>> first, second
    (Tensor(12., op=multiply, requires_grad=True), array(12.))
    """
    ys, xs = _tensors(outputs, "outputs"), _tensors(inputs, "inputs")
    if isinstance(outputs, Tensor) and not _is_one_each(grad_outputs, outputs):
        grad_outputs = [grad_outputs]
    if grad_outputs is None:
        grad_outputs = [None] * len(ys)
    if len(grad_outputs) != len(ys):
        raise ValueError(f"{len(grad_outputs)} grad_outputs for {len(ys)} outputs; give one each")
    with enable_grad() if create_graph else nullcontext():
        seeds = accumulate_seeds(
            (y, initial_gradient(y, weight, create_graph))
            for y, weight in zip(ys, grad_outputs, strict=True)
        )
        wanted = set(xs)
        found = {
            tensor: g
            for tensor, g in sweep(seeds, create_graph=create_graph, run_hooks=True)
            if tensor in wanted
        }
    if not retain_graph:
        release_graph(*ys)
    answers: list[Any] = []
    for x in xs:
        if x in found:
            answers.append(found[x] if create_graph else as_array(found[x]).copy())
        elif materialize_grads:
            zeros = np.zeros_like(x.data)
            answers.append(as_tensor(zeros) if create_graph else zeros)
        elif allow_unused:
            answers.append(None)
        else:
            raise ValueError(
                f"the outputs were not computed from {describe(x)}, or it required no gradient "
                "when they were; pass allow_unused=True for None, or materialize_grads=True for "
                "zeros"
            )
    return tuple(answers)


def accumulate_seeds(seeds: Iterable[tuple[Tensor, Any]]) -> dict[Tensor, Any]:
    """What a sweep starts from: for an output that occurs several times, the sum of its seeds.

    Outputs that require no gradients are left out.
    """
    gradients: dict[Tensor, Any] = {}
    for output, seed in seeds:
        if output.requires_grad:
            gradients[output] = as_array(gradients[output] + seed) if output in gradients else seed
    return gradients


def _is_one_each(grad_outputs: Any, output: Tensor) -> bool:
    """Whether it is a sequence with one weight for the one output, in PyTorch's form."""
    return (
        isinstance(grad_outputs, (tuple, list))
        and len(grad_outputs) == 1
        and np.shape(unwrap(grad_outputs[0])) == output.shape
    )


def _tensors(given: Any, what: str) -> list[Tensor]:
    tensors = [given] if isinstance(given, Tensor) else given
    if callable(given) or not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"{what} must be a Tensor or several, not {type(given).__name__}; for the gradient of "
            "a function of arrays use microgradx.grad(f)"
        )
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{what} must be Tensors, and one is {type(tensor).__name__}")
    return list(tensors)
