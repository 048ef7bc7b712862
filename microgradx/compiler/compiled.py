"""`compile`: training steps, and functions of arrays, that run as NumPy source written for them."""

from __future__ import annotations

from typing import Any

from microgradx.compiler.function import CompiledFunction
from microgradx.compiler.step import CompiledStep

__all__ = ["CompiledFunction", "CompiledStep", "compile"]


def compile(model: Any, loss: Any = None, optimizer: Any = None) -> Any:
    """A training step, or a function of arrays, as a program of NumPy calls written for it.

    `compile(model, loss, optimizer)` gives a `CompiledStep`: `step(X, y)` does what these do,

        optimizer.zero_grad()
        total = loss(model(X), y)
        total.backward()
        optimizer.step()

    and gives the loss as a float. `compile(f)`, of a function of arrays such as
    `value_and_grad(f)`, gives a `CompiledFunction`, with the arguments and results of `f`.

    At the first call with arrays of some shapes and dtypes, the calls of NumPy's that forward,
    backward and update make are recorded, simplified, and written as straight lines of Python that
    reuse a few arrays; from then on only these lines run. `source` is their text. The results are
    those of eager execution, but for the order in which sums are rounded.

    The lines are the same for all values. So what branches on a value of a Tensor, or takes it out
    of the arrays by item() or float(), raises CaptureError, which names the line; what is drawn is
    drawn anew each time, if by microgradx (Dropout) or by a generator that is an argument of `f`.
    Everything that is neither an argument, nor a parameter or constant of the model, nor of the
    optimiser, is a constant. Of values, only labels are checked.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> slope = mg.compile(mg.grad(lambda x: np.sum(np.sin(x) * x)))
    >>> slope(np.array([0.0, 1.0]))
    array([0.        , 1.38177329])

    Raises TypeError for what is no function, model, loss or optimiser.
    """
    if loss is None and optimizer is None:
        return CompiledFunction(model)
    return CompiledStep(model, loss, optimizer)
