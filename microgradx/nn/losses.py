"""Loss functions as modules."""

from __future__ import annotations

from typing import Any

from microgradx.functional import LossReduction, cross_entropy
from microgradx.nn.module import Module

__all__ = ["CrossEntropyLoss"]


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
