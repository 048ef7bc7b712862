"""Fresh weights for a copy of a network, and a fresh state for its optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.nn.initialisation import glorot_uniform, he_uniform
from microgradx.nn.module import Module

__all__ = ["forget_state", "reinitialise"]


def reinitialise(model: Module, generator: np.random.Generator) -> None:
    """Draw all weights anew: He's distribution if the network has relu, else Glorot's.

    Of what has one axis, scales (of normalisations) become 1, and offsets 0. Running statistics
    start again.
    """
    kinds = {type(module).__name__ for module in model.modules()}
    draw = glorot_uniform if kinds & {"Sigmoid", "Tanh"} else he_uniform
    for path, leaf in model.named_parameters():
        name = path.rpartition(".")[2]
        if leaf.ndim > 1:
            leaf.data = draw(leaf.shape, generator, leaf.dtype)
        else:
            leaf.data = np.full_like(leaf.data, name in ("weight", "gamma", "scale"))
    for path, value in model.state_dict().items():
        kind = path.rpartition(".")[2]
        if kind in ("running_mean", "running_var"):
            owner: Any = model
            *folders, name = path.split(".")
            for folder in folders:
                owner = owner[int(folder)] if isinstance(owner, list) else getattr(owner, folder)
            getattr(owner, name).data = np.full_like(value, kind == "running_var")


def forget_state(optimizer: Any) -> None:
    """An optimiser as before its first step."""
    if optimizer is not None and hasattr(optimizer, "state"):
        optimizer.state = [{} for _ in optimizer.params]
