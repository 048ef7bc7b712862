"""Optimisers, the base for others, schedules of the learning rate, and clipping."""

from microgradx.arrays.pytorch_habits import hint_at_names
from microgradx.clipping import clip_grad_norm_, clip_grad_value_
from microgradx.optim import lr_scheduler
from microgradx.optim.adagrad import Adagrad
from microgradx.optim.adam import Adam, AdamW
from microgradx.optim.lion import Lion
from microgradx.optim.optimizer import Optimizer
from microgradx.optim.rmsprop import RMSprop
from microgradx.optim.sgd import SGD

__all__ = [
    "Optimizer",
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Lion",
    "lr_scheduler",
    "clip_grad_norm_",
    "clip_grad_value_",
]

hint_at_names(__name__)
