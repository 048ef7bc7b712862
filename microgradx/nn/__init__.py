"""Neural networks: modules, layers, activations, losses, and the initialisation of weights."""

from microgradx.nn import functional, utils
from microgradx.nn.activations import LogSoftmax, ReLU, Sigmoid, Softmax, Softplus, Tanh
from microgradx.nn.containers import MLP, ModuleDict, ModuleList, Sequential
from microgradx.nn.embedding import Embedding
from microgradx.nn.initialisation import glorot_normal, glorot_uniform, he_normal, he_uniform
from microgradx.nn.layers import Dropout, Flatten, Linear
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

__all__ = [
    "functional",
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
