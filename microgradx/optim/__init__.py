"""Optimisers, and the base for others."""

from microgradx.optim.adam import Adam, AdamW
from microgradx.optim.optimizer import Optimizer
from microgradx.optim.sgd import SGD

__all__ = ["Optimizer", "SGD", "Adam", "AdamW"]
