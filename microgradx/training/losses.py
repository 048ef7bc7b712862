"""Losses by name, and what each one expects of the model's outputs and of the targets."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from microgradx import functional
from microgradx.common.messages import find_name
from microgradx.engine import Tensor
from microgradx.nn import functional as nn_functional
from microgradx.nn.module import Module

__all__ = ["Outputs", "find_loss", "loss_name", "losses_of_rows", "outputs_of"]

#: What a model's outputs are, and so how they become predictions.
Outputs = Literal[
    "logits",
    "log_probabilities",
    "binary_logits",
    "binary_probabilities",
    "values",
    "unknown",
]

#: Losses by the names of their functions, and the outputs that they take.
LOSSES: dict[str, Outputs] = {
    "cross_entropy": "logits",
    "focal_loss": "logits",
    "nll_loss": "log_probabilities",
    "kl_div": "log_probabilities",
    "binary_cross_entropy_with_logits": "binary_logits",
    "binary_cross_entropy": "binary_probabilities",
    "mse_loss": "values",
    "l1_loss": "values",
    "huber_loss": "values",
    "smooth_l1_loss": "values",
}

#: The modules that compute the same.
MODULES: dict[str, str] = {
    "CrossEntropyLoss": "cross_entropy",
    "FocalLoss": "focal_loss",
    "NLLLoss": "nll_loss",
    "KLDivLoss": "kl_div",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "BCELoss": "binary_cross_entropy",
    "MSELoss": "mse_loss",
    "L1Loss": "l1_loss",
    "HuberLoss": "huber_loss",
    "SmoothL1Loss": "smooth_l1_loss",
}


def find_loss(loss: Any) -> Callable[[Any, Any], Any]:
    """A loss by its name, or the function or module that was given.

    >>> find_loss("mse_loss")([1.0, 2.0], [1.0, 4.0])
    np.float64(2.0)

    Raises ValueError for an unknown name, and TypeError for what cannot be called.
    """
    if isinstance(loss, str):
        loss = MODULES.get(loss, loss)
        known = [n for n in LOSSES if hasattr(functional, n) or hasattr(nn_functional, n)]
        name = find_name("loss", loss, known)
        found = getattr(functional, name, None) or getattr(nn_functional, name)
    else:
        found = loss
    if isinstance(found, type):
        raise TypeError(f"loss is the class {found.__name__}; give an instance, {found.__name__}()")
    if not callable(found):
        raise TypeError(
            "loss must be a name such as 'cross_entropy', or a function of outputs and targets, "
            f"not {loss!r}"
        )
    return found  # type: ignore[no-any-return]


def loss_name(loss: Any) -> str:
    """The name of a loss of this package, or else of its function or class."""
    loss = getattr(loss, "func", loss)  # of a functools.partial
    name = getattr(loss, "__name__", type(loss).__name__)
    return MODULES.get(name, name)


def outputs_of(loss: Any) -> Outputs | None:
    """What a model's outputs are for a loss; None if the loss is not one of this package."""
    return LOSSES.get(loss_name(loss))


def ignored_label(loss: Any) -> int | None:
    """The label of rows that do not count, as `ignore_index` of a loss says."""
    settings = getattr(loss, "keywords", None) or getattr(loss, "__dict__", {})
    label: int | None = settings.get("ignore_index")
    return label


def losses_of_rows(loss: Any) -> Callable[[Any, Any], Any]:
    """The same loss with a number for each row instead of their mean, so that rows can be weighted.

    Raises TypeError for a loss that has no `reduction`.
    """
    each: Any = None
    if isinstance(loss, Module) and hasattr(loss, "reduction"):
        each = copy.copy(loss)
        each.reduction = "none"
    elif not isinstance(loss, Module) and "reduction" in inspect.signature(loss).parameters:
        each = partial(loss, reduction="none")
    if each is None:
        raise TypeError(
            f"{loss_name(loss)} has no argument reduction='none', by which rows get losses of "
            "their own, and so they cannot be weighted; write the loss with it, or leave out "
            "sample_weight and class_weight"
        )
    return each  # type: ignore[no-any-return]


class WeightedLoss(Module):
    """The mean of a loss over the rows, each times its weight.

    Targets are (rows, …, 1) arrays whose last number along the last axis is the weight of the row:
    so that a batch stays a pair of arrays, as compiled steps take it.
    """

    def __init__(self, loss: Any, target_dtype: Any, target_shape: tuple[int, ...]) -> None:
        self.loss = loss
        self.losses = losses_of_rows(loss)
        self.target_dtype, self.target_shape = target_dtype, target_shape

    def forward(self, outputs: Any, packed: Any) -> Tensor:
        rows = packed.shape[0]
        targets = packed[:, :-1].astype(self.target_dtype).reshape(rows, *self.target_shape)
        losses = self.losses(outputs, targets)
        weighted = losses.reshape(rows, -1).mean(axis=1) * packed[:, -1].astype(losses.dtype)
        return weighted.mean()  # type: ignore[no-any-return]
