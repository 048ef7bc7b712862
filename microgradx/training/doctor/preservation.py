"""What is diagnosed stays as it is, whatever a loss or a step of the user's reaches by itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradx.common.randomness import default_generator
from microgradx.engine import Tensor
from microgradx.nn.module import Module, walk_members
from microgradx.optim.optimizer import Optimizer

__all__ = ["preserve"]


@contextmanager
def preserve(model: Any, optimizer: Any, *others: Any) -> Iterator[None]:
    """Restore model, optimiser, generators, and modules among the others, at the end."""
    roots = [each for each in (model, *others) if isinstance(each, (Module, Tensor))]
    members = [member for _, member in walk_members([("", root) for root in roots])]
    modules = [member for member in members if isinstance(member, Module)]
    tensors = dict.fromkeys(member for member in members if isinstance(member, Tensor))
    tensors |= dict.fromkeys(getattr(optimizer, "params", ()))
    arrays = [
        (t, t.array, t.array.copy(), t.grad if t.is_leaf else None, t.sequence_number)
        for t in tensors
    ]
    gradients = [(g, g.copy()) for _, _, _, g, _ in arrays if isinstance(g, np.ndarray)]
    attributes = [(module, dict(vars(module))) for module in modules]
    is_optimizer = isinstance(optimizer, Optimizer)
    settings = dict(vars(optimizer)) if is_optimizer else {}
    state = optimizer.state_dict() if is_optimizer else None
    generators = [(g, copy.deepcopy(g.bit_generator.state)) for g in _find_generators(modules)]
    try:
        yield
    finally:
        if state is not None:
            vars(optimizer).clear()
            vars(optimizer).update(settings)
            optimizer.load_state_dict(state)
        for module, values in attributes:
            vars(module).clear()
            vars(module).update(values)
        for tensor, array, kept, gradient, number in arrays:
            np.copyto(array, kept)
            tensor.array = array
            tensor.sequence_number = number
            if tensor.is_leaf:
                tensor.grad = gradient
        for gradient, kept in gradients:
            np.copyto(gradient, kept)
        for generator, state_of_bits in generators:
            generator.bit_generator.state = state_of_bits


def _find_generators(modules: list[Module]) -> list[np.random.Generator]:
    found = {id(default_generator()): default_generator()}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, np.random.Generator):
                found[id(value)] = value
    return list(found.values())
