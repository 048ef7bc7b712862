"""Loss functions as modules. Each takes the settings of its function, and raises its errors."""

from __future__ import annotations

from typing import Any, Literal

from microgradx.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    focal_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from microgradx.functional.loss_reduction import LossReduction
from microgradx.nn.function_module import FunctionModule

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]


class CrossEntropyLoss(FunctionModule):
    """The loss of a classifier, from its logits and the labels: `microgradx.cross_entropy`.

    >>> CrossEntropyLoss(reduction="sum")([[2.0, 1.0, 0.1]], [0])
    array(0.41703002)
    """

    function = staticmethod(cross_entropy)
    settings = ("weight", "axis", "label_smoothing", "ignore_index", "reduction", "fused")

    def __init__(
        self,
        weight: Any = None,
        *,
        axis: int = -1,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: LossReduction = "mean",
        fused: bool = True,
    ) -> None:
        self.weight = weight
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.fused = fused


class NLLLoss(FunctionModule):
    """The loss of a classifier, from log-probabilities and labels: `microgradx.nll_loss`.

    >>> NLLLoss()([[-0.5, -2.0]], [1])
    np.float64(2.0)
    """

    function = staticmethod(nll_loss)
    settings = ("weight", "axis", "ignore_index", "reduction")

    def __init__(
        self,
        weight: Any = None,
        *,
        axis: int = -1,
        ignore_index: int | None = None,
        reduction: LossReduction = "mean",
    ) -> None:
        self.weight = weight
        self.axis = axis
        self.ignore_index = ignore_index
        self.reduction = reduction


class FocalLoss(FunctionModule):
    """The loss of a classifier that counts easy rows little: `microgradx.focal_loss`.

    >>> FocalLoss(gamma=2.0)([[0.0, 0.0]], [1]).round(4)
    np.float64(0.1733)
    """

    function = staticmethod(focal_loss)
    settings = ("gamma", "alpha", "axis", "ignore_index", "reduction")

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: Any = None,
        axis: int = -1,
        ignore_index: int | None = None,
        reduction: LossReduction = "mean",
    ) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.axis = axis
        self.ignore_index = ignore_index
        self.reduction = reduction


class KLDivLoss(FunctionModule):
    """The divergence of a distribution from log-probabilities: `microgradx.kl_div`.

    >>> KLDivLoss(reduction="batchmean")([[-0.5, -2.0]], [[1.0, 0.0]])
    np.float64(0.5)
    """

    function = staticmethod(kl_div)
    settings = ("reduction", "log_target")

    def __init__(
        self,
        *,
        reduction: Literal["mean", "batchmean", "sum", "none"] = "mean",
        log_target: bool = False,
    ) -> None:
        self.reduction = reduction
        self.log_target = log_target


class BCEWithLogitsLoss(FunctionModule):
    """The loss of a binary classifier: `microgradx.binary_cross_entropy_with_logits`.

    >>> BCEWithLogitsLoss(reduction="sum")([0.0], [1.0])
    np.float64(0.6931471805599453)
    """

    function = staticmethod(binary_cross_entropy_with_logits)
    settings = ("weight", "pos_weight", "reduction")

    def __init__(
        self, weight: Any = None, *, pos_weight: Any = None, reduction: LossReduction = "mean"
    ) -> None:
        self.weight = weight
        self.pos_weight = pos_weight
        self.reduction = reduction


class BCELoss(FunctionModule):
    """The loss of a binary classifier, from probabilities: `microgradx.binary_cross_entropy`.

    >>> BCELoss()([0.5, 1.0], [1.0, 1.0])
    np.float64(0.34657359027997264)
    """

    function = staticmethod(binary_cross_entropy)
    settings = ("weight", "reduction")

    def __init__(self, weight: Any = None, *, reduction: LossReduction = "mean") -> None:
        self.weight = weight
        self.reduction = reduction


class MSELoss(FunctionModule):
    """The squared error of a regression: `microgradx.mse_loss`.

    >>> MSELoss()([1.0, 2.0], [1.0, 4.0])
    np.float64(2.0)
    """

    function = staticmethod(mse_loss)
    settings = ("reduction",)

    def __init__(self, *, reduction: LossReduction = "mean") -> None:
        self.reduction = reduction


class L1Loss(FunctionModule):
    """The absolute error of a regression: `microgradx.l1_loss`.

    >>> L1Loss()([1.0, 2.0], [1.0, 4.0])
    np.float64(1.0)
    """

    function = staticmethod(l1_loss)
    settings = ("reduction",)

    def __init__(self, *, reduction: LossReduction = "mean") -> None:
        self.reduction = reduction


class HuberLoss(FunctionModule):
    """A squared error that grows like a line beyond `delta`: `microgradx.huber_loss`.

    >>> HuberLoss()([1.0, 2.0], [1.0, 4.0])
    np.float64(0.75)
    """

    function = staticmethod(huber_loss)
    settings = ("reduction", "delta")

    def __init__(self, reduction: LossReduction = "mean", delta: float = 1.0) -> None:
        self.reduction = reduction
        self.delta = delta


class SmoothL1Loss(FunctionModule):
    """An absolute error that is smooth up to `beta`: `microgradx.smooth_l1_loss`.

    >>> SmoothL1Loss(beta=0.5)([1.0, 2.0], [1.0, 4.0])
    np.float64(0.875)
    """

    function = staticmethod(smooth_l1_loss)
    settings = ("beta", "reduction")

    def __init__(self, *, beta: float = 1.0, reduction: LossReduction = "mean") -> None:
        self.beta = beta
        self.reduction = reduction
