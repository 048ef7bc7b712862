"""Schedules of the learning rate, with PyTorch's names, arguments and values."""

from microgradx.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from microgradx.optim.lr_scheduler.decay import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)
from microgradx.optim.lr_scheduler.one_cycle import OneCycleLR
from microgradx.optim.lr_scheduler.plateau import ReduceLROnPlateau
from microgradx.optim.lr_scheduler.scheduler import LRScheduler
from microgradx.optim.lr_scheduler.sequence import SequentialLR

__all__ = [
    "LRScheduler",
    "LambdaLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
]
