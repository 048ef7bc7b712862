"""Neural networks: modules, layers, activations, losses, and the initialisation of weights."""

from microgradx.nn import functional, init, utils
from microgradx.nn.activations import LogSoftmax, ReLU, Sigmoid, Softmax, Softplus, Tanh
from microgradx.nn.containers import MLP, ModuleDict, ModuleList, Sequential
from microgradx.nn.convolution import Conv1d, Conv2d
from microgradx.nn.embedding import Embedding
from microgradx.nn.initialisation import glorot_normal, glorot_uniform, he_normal, he_uniform
from microgradx.nn.layers import Dropout, Flatten, Identity, Linear
from microgradx.nn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    FocalLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from microgradx.nn.module import Module
from microgradx.nn.normalisation import BatchNorm1d, BatchNorm2d, LayerNorm, RMSNorm
from microgradx.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)

__all__ = [
    "functional",
    "init",
    "utils",
    "Module",
    "Linear",
    "Sequential",
    "ModuleList",
    "ModuleDict",
    "MLP",
    "ReLU",
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Softmax",
    "LogSoftmax",
    "Dropout",
    "Flatten",
    "Identity",
    "Conv1d",
    "Conv2d",
    "MaxPool1d",
    "MaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "Embedding",
    "BatchNorm1d",
    "BatchNorm2d",
    "LayerNorm",
    "RMSNorm",
    "CrossEntropyLoss",
    "NLLLoss",
    "FocalLoss",
    "KLDivLoss",
    "BCEWithLogitsLoss",
    "BCELoss",
    "MSELoss",
    "L1Loss",
    "HuberLoss",
    "SmoothL1Loss",
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
]
