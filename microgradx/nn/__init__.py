"""Neural networks: modules, layers, and the weights that they start from."""

from microgradx.nn import functional
from microgradx.nn.initialisation import glorot_normal, glorot_uniform, he_normal, he_uniform
from microgradx.nn.layers import (
    MLP,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Linear,
    LogSoftmax,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from microgradx.nn.module import Module

__all__ = [
    "functional",
    "Module",
    "Linear",
    "Sequential",
    "MLP",
    "ReLU",
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Softmax",
    "LogSoftmax",
    "Dropout",
    "Flatten",
    "CrossEntropyLoss",
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
]
