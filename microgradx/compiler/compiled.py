"""`compile`: training steps, and functions of arrays, that run as generated NumPy source."""

from __future__ import annotations

from typing import Any

from microgradx.compiler.function import CompiledFunction
from microgradx.compiler.step import CompiledStep

__all__ = ["CompiledFunction", "CompiledStep", "compile"]


def compile(
    model: Any,
    loss: Any = None,
    optimizer: Any = None,
    *,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
) -> Any:
    """Compile a training step, or a function of arrays, to NumPy source.

    `compile(model, loss, optimizer)` returns a `CompiledStep`: `step(X, y)` does what these do,

        optimizer.zero_grad()
        total = loss(model(X), y)
        total.backward()
        optimizer.step()

    and returns the loss as a float. With `clip_grad_norm`, the gradients of all the optimiser's
    parameters are scaled before the update so that their norm is at most this, as by
    `clip_grad_norm_`; with `clip_grad_value`, each number is clipped, as by `clip_grad_value_`.

    `compile(f)`, of a function of arrays such as `value_and_grad(f)`, returns a `CompiledFunction`,
    with the arguments and results of `f`.

    The first call with arrays of some shapes and dtypes traces the NumPy calls of forward, backward
    and update, simplifies them, and writes them as straight lines of Python that reuse a few
    arrays. Later calls run only these lines. `source` is their text. The results are those of eager
    execution, up to the order in which sums are rounded. Buffers that `forward` assigns
    (`self.mean.data = …`) and hooks that return a gradient are parts of the step.

    The lines are the same for all values. So CaptureError is raised, with the line, where code
    branches on a value of a Tensor or takes it out of the arrays by item() or float(): in the
    first call, before anything has changed. Random numbers are drawn anew in each call if
    microgradx draws them (Dropout), or a generator that is an argument of `f`. Everything else than
    arguments, the Tensors of the model, and the optimiser is a constant. Labels and indices are
    checked in every call; other arguments in the first one only, as eager execution checks them.
    Inside `detect_anomaly()` and its like, all runs eagerly.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> slope = mg.compile(mg.grad(lambda x: np.sum(np.sin(x) * x)))
    >>> slope(np.array([0.0, 1.0]))
    array([0.        , 1.38177329])

    Raises TypeError for arguments of other kinds, ValueError for limits below 0, and for both.
    """
    limits = {"clip_grad_norm": clip_grad_norm, "clip_grad_value": clip_grad_value}
    if loss is None and optimizer is None and limits == dict.fromkeys(limits):
        return CompiledFunction(model)
    return CompiledStep(model, loss, optimizer, **limits)
