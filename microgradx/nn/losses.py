"""Loss functions as modules."""

from __future__ import annotations

from typing import Any

from microgradx.functional import (
    LossReduction,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from microgradx.nn.module import Module

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]


class CrossEntropyLoss(Module):
    """The loss of a classifier, from its logits and the labels: `microgradx.cross_entropy`.

    Takes the settings of `cross_entropy` and raises the same errors.

    >>> CrossEntropyLoss(reduction="sum")([[2.0, 1.0, 0.1]], [0])
    array(0.41703002)
    """

    def __init__(
        self,
        *,
        axis: int = -1,
        weight: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: LossReduction = "mean",
        fused: bool = True,
    ) -> None:
        self.axis = axis
        self.weight = weight
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.fused = fused

    def forward(self, logits: Any, target: Any) -> Any:
        return cross_entropy(
            logits,
            target,
            axis=self.axis,
            weight=self.weight,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            fused=self.fused,
        )

    def extra_repr(self) -> str:
        return f"label_smoothing={self.label_smoothing}, reduction={self.reduction!r}"


class NLLLoss(Module):
    """The loss of a classifier, from log-probabilities and labels: `microgradx.nll_loss`.

    >>> NLLLoss()([[-0.5, -2.0]], [1])
    np.float64(2.0)
    """

    def __init__(
        self,
        *,
        axis: int = -1,
        weight: Any = None,
        ignore_index: int | None = None,
        reduction: LossReduction = "mean",
    ) -> None:
        self.axis = axis
        self.weight = weight
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, log_probabilities: Any, target: Any) -> Any:
        return nll_loss(
            log_probabilities,
            target,
            axis=self.axis,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class BCEWithLogitsLoss(Module):
    """The loss of a binary classifier: `microgradx.binary_cross_entropy_with_logits`.

    >>> BCEWithLogitsLoss(reduction="sum")([0.0], [1.0])
    np.float64(0.6931471805599453)
    """

    def __init__(
        self, *, weight: Any = None, pos_weight: Any = None, reduction: LossReduction = "mean"
    ) -> None:
        self.weight = weight
        self.pos_weight = pos_weight
        self.reduction = reduction

    def forward(self, logits: Any, target: Any) -> Any:
        return binary_cross_entropy_with_logits(
            logits,
            target,
            weight=self.weight,
            pos_weight=self.pos_weight,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class MSELoss(Module):
    """The squared error of a regression: `microgradx.mse_loss`.

    >>> MSELoss()([1.0, 2.0], [1.0, 4.0])
    np.float64(2.0)
    """

    def __init__(self, *, reduction: LossReduction = "mean") -> None:
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return mse_loss(input, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class L1Loss(Module):
    """The absolute error of a regression: `microgradx.l1_loss`.

    >>> L1Loss()([1.0, 2.0], [1.0, 4.0])
    np.float64(1.0)
    """

    def __init__(self, *, reduction: LossReduction = "mean") -> None:
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return l1_loss(input, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class HuberLoss(Module):
    """A squared error that grows like a line beyond `delta`: `microgradx.huber_loss`.

    >>> HuberLoss()([1.0, 2.0], [1.0, 4.0])
    np.float64(0.75)
    """

    def __init__(self, *, delta: float = 1.0, reduction: LossReduction = "mean") -> None:
        self.delta = delta
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return huber_loss(input, target, delta=self.delta, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"delta={self.delta}, reduction={self.reduction!r}"


class SmoothL1Loss(Module):
    """An absolute error that is smooth up to `beta`: `microgradx.smooth_l1_loss`.

    >>> SmoothL1Loss(beta=0.5)([1.0, 2.0], [1.0, 4.0])
    np.float64(0.875)
    """

    def __init__(self, *, beta: float = 1.0, reduction: LossReduction = "mean") -> None:
        self.beta = beta
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return smooth_l1_loss(input, target, beta=self.beta, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, reduction={self.reduction!r}"
