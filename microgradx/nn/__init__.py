"""Neural networks: modules, layers, activations, losses, and the initialisation of weights."""

from microgradx.nn import functional
from microgradx.nn.activations import LogSoftmax, ReLU, Sigmoid, Softmax, Softplus, Tanh
from microgradx.nn.containers import MLP, Sequential
from microgradx.nn.initialisation import glorot_normal, glorot_uniform, he_normal, he_uniform
from microgradx.nn.layers import Dropout, Flatten, Linear
from microgradx.nn.losses import CrossEntropyLoss
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
