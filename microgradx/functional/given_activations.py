"""Warnings of a loss that is given what another loss takes: probabilities for logits, say."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from microgradx.arrays.types import is_known_true, unwrap
from microgradx.common.messages import warn_caller
from microgradx.engine import Tensor

__all__ = ["warn_of_activation", "warn_unless_log_probabilities"]

#: Ops that only move numbers: behind them the activation is looked for.
_MOVES = {"reshape", "transpose", "getitem", "astype", "copy", "broadcast_to", "concatenate"}

#: A logarithm of a probability may be above 0 by a rounding error, but not by so much.
_POSITIVE = 0.01


def warn_of_activation(loss: str, x: Any, activations: Collection[str], consequence: str) -> bool:
    """Warn, at the caller's line, if x is the output of one of these activations.

    In `consequence`, {0} stands for its name. Returns whether it warned.
    """
    while isinstance(x, Tensor) and x.op is not None:
        names = [x.op.name, *(scope.name for scope in x.scopes)]
        for name in activations:
            if name in names:
                warn_caller(
                    f"{loss} was given the output of a {name}, but {consequence.format(name)}"
                )
                return True
        x = x.inputs[0] if x.op.name in _MOVES and x.inputs else None
    return False


def warn_unless_log_probabilities(loss: str, x: Any) -> None:
    """Warn, at the caller's line, if x cannot be logarithms of probabilities."""
    remedy = "takes log-probabilities: pass log_softmax(logits), or give logits to cross_entropy"
    if warn_of_activation(loss, x, ("softmax", "sigmoid"), remedy):
        return
    values = unwrap(x)
    if isinstance(values, np.ndarray) and is_known_true(np.any(values > _POSITIVE)):
        warn_caller(
            f"{loss} was given numbers up to {np.nanmax(values):.4g}, but {remedy}; logarithms of "
            "probabilities are not positive"
        )
