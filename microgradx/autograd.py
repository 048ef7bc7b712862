"""Gradients of Tensors with respect to Tensors, as in PyTorch; no Tensor's `grad` changes.

`microgradx.grad` is something else: it turns a function into its gradient function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from microgradx.arrays.types import as_array, unwrap
from microgradx.common.floating_point import WarningsAtCaller
from microgradx.common.messages import describe
from microgradx.engine import Tensor, as_tensor, release_graph, sweep
from microgradx.graph.grad_mode import enable_grad
from microgradx.graph.initial_gradient import initial_gradient, match_kind

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
    """The gradient of the sum of the outputs at each input, leaf or not, as a tuple of arrays.

    grad_outputs: the weight of each element of an output, in its shape; required for outputs that
        are not a single number. A single one for a single output, else a sequence, in which None
        means ones.
    retain_graph: False releases the graph, and its memory, at once.
    create_graph: return Tensors with a graph of their own, for derivatives of derivatives. Unlike
        `backward(create_graph=True)`, it leaves no reference cycle behind.
    allow_unused: return None for an input that the outputs do not depend on, instead of an error.
    materialize_grads: return zeros for such an input.

    Raises ValueError for an unused input, for shapes that do not fit, and where `backward` would;
    TypeError for anything but Tensors.

    >>> import microgradx as mg
    >>> x = mg.Tensor(2.0, requires_grad=True)
    >>> (first,) = grad(x**3, x, create_graph=True)
    >>> (second,) = grad(first, x)
    >>> first, second
    (Tensor(12., op=multiply, requires_grad=True), array(12.))
    """
    ys, xs = _as_list(outputs, "outputs"), _as_list(inputs, "inputs")
    if isinstance(outputs, Tensor) and not _is_sequence_of_one(grad_outputs, outputs):
        grad_outputs = [grad_outputs]
    if grad_outputs is None:
        grad_outputs = [None] * len(ys)
    if len(grad_outputs) != len(ys):
        raise ValueError(f"{len(grad_outputs)} grad_outputs for {len(ys)} outputs; pass one each")
    with enable_grad() if create_graph else nullcontext(), WarningsAtCaller():
        seeds = accumulate_seeds(
            (y, initial_gradient(y, weight)) for y, weight in zip(ys, grad_outputs, strict=True)
        )
        wanted = set(xs)
        found = {
            tensor: g
            for tensor, g in sweep(seeds, create_graph=create_graph, run_hooks=True)
            if tensor in wanted
        }
    if not retain_graph:
        release_graph(*ys)
    gradients: list[Any] = []
    for x in xs:
        if x in found:
            gradients.append(found[x] if create_graph else as_array(found[x]).copy())
        elif materialize_grads:
            zeros = np.zeros_like(x.data)
            gradients.append(as_tensor(zeros) if create_graph else zeros)
        elif allow_unused:
            gradients.append(None)
        else:
            raise ValueError(
                f"the outputs were not computed from {describe(x)}, or it required no gradient "
                "when they were; pass allow_unused=True to get None, or materialize_grads=True to "
                "get zeros"
            )
    return tuple(gradients)


def accumulate_seeds(seeds: Iterable[tuple[Tensor, Any]]) -> dict[Tensor, Any]:
    """The initial gradients of a sweep: for an output that occurs several times, their sum.

    Outputs that require no gradients are left out.
    """
    gradients: dict[Tensor, Any] = {}
    for output, seed in seeds:
        if output.requires_grad:
            seed = match_kind(seed, output.array)
            gradients[output] = as_array(gradients[output] + seed) if output in gradients else seed
    return gradients


def _is_sequence_of_one(grad_outputs: Any, output: Tensor) -> bool:
    """Whether it is a sequence that holds one weight, for the one output, as PyTorch has it."""
    return (
        isinstance(grad_outputs, (tuple, list))
        and len(grad_outputs) == 1
        and np.shape(unwrap(grad_outputs[0])) == output.shape
    )


def _as_list(given: Any, what: str) -> list[Tensor]:
    tensors = [given] if isinstance(given, Tensor) else given
    if callable(given) or not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"{what} must be a Tensor or several, not {type(given).__name__}; for the gradient of "
            "a function of arrays use microgradx.grad(f)"
        )
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{what} must be Tensors, not {type(tensor).__name__}")
    return list(tensors)
