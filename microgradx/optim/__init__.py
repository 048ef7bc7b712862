"""Optimisers: how parameters follow their gradients."""

from microgradx.optim.adam import Adam, AdamW
from microgradx.optim.optimizer import Optimizer
from microgradx.optim.sgd import SGD

__all__ = ["Optimizer", "SGD", "Adam", "AdamW"]
