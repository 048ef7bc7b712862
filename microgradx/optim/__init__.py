"""Optimisers, and the base for others."""

from microgradx.clipping import clip_grad_norm_, clip_grad_value_
from microgradx.optim.adam import Adam, AdamW
from microgradx.optim.optimizer import Optimizer
from microgradx.optim.sgd import SGD

__all__ = ["Optimizer", "SGD", "Adam", "AdamW", "clip_grad_norm_", "clip_grad_value_"]
