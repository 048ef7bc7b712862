"""Fresh weights for a copy of a network."""

from __future__ import annotations

import numpy as np

from microgradx.nn.initialisation import glorot_uniform, he_uniform
from microgradx.nn.module import Module

__all__ = ["reinitialise"]


def reinitialise(model: Module, generator: np.random.Generator) -> None:
    """Draw all weights anew: He's distribution if the network has relu, else Glorot's.

    Of what has one axis, scales (of normalisations) become 1, and offsets 0. Running statistics
    start again.
    """
    kinds = {type(module).__name__ for module in model.modules()}
    draw = glorot_uniform if kinds & {"Sigmoid", "Tanh"} else he_uniform
    for path, leaf in model.named_parameters():
        if not leaf.requires_grad:
            continue
        name = path.rpartition(".")[2]
        if leaf.ndim > 1:
            leaf.data = draw(leaf.shape, generator, leaf.dtype)
        else:
            leaf.data = np.full_like(leaf.data, name in ("weight", "gamma", "scale"))
    for path, buffer in model.named_buffers():
        kind = path.rpartition(".")[2]
        if kind in ("running_mean", "running_var"):
            buffer.data = np.full_like(buffer.data, kind == "running_var")
