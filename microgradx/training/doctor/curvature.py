"""The curvature of a loss, and the largest learning rate that it allows."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.autograd import grad
from microgradx.engine import Tensor
from microgradx.training.doctor.case import Case, quiet
from microgradx.training.doctor.optimizer_settings import get_momentum

__all__ = ["largest_curvature", "largest_stable_rate"]


def largest_curvature(case: Case, iterations: int = 20, rows: int = 256) -> float | None:
    """The eigenvalue of the loss's Hessian matrix that is largest in size, by power iteration.

    v ← H v / |H v|, with Hessian-vector products, so that the matrix is never formed (B. A.
    Pearlmutter, "Fast exact multiplication by the Hessian", 1994). None where it is not finite.
    """
    setup = case.copy()
    setup.model.eval()
    generator = case.generator()
    with quiet():
        parameters = [p for p in setup.model.parameters() if p.requires_grad]
        value = np.mean(setup.loss(setup.model(setup.X[:rows]), setup.y[:rows]))
        if not isinstance(value, Tensor) or not value.requires_grad:
            return None
        gradients = grad(value, parameters, create_graph=True, materialize_grads=True)
        v = [generator.normal(size=p.shape) for p in parameters]
        curvature = 0.0
        for _ in range(iterations):
            length = np.sqrt(sum(float(np.sum(part**2)) for part in v))
            if not 0 < length < np.inf:
                return None
            v = [part / length for part in v]
            slope: Any = sum(np.sum(g * d.astype(g.dtype)) for g, d in zip(gradients, v))  # noqa: B905
            if not isinstance(slope, Tensor) or not slope.requires_grad:
                return 0.0
            products = grad(slope, parameters, materialize_grads=True)
            curvature = float(sum(np.sum(h * d) for h, d in zip(products, v)))  # noqa: B905
            v = [np.asarray(h, float) for h in products]
    return curvature if np.isfinite(curvature) else None


def largest_stable_rate(case: Case, optimizer: Any) -> tuple[float, float] | None:
    """The largest curvature λ, and the rate beyond which gradient descent leaves a bowl of it.

    2 / λ, and with momentum μ, 2 (1 + μ) / λ (B. T. Polyak, 1964); with Nesterov's, a (1 + 2 μ)-th
    of that. None for other optimisers, whose steps are not proportional to the gradient, and where
    λ is not positive.
    """
    if type(optimizer).__name__ != "SGD":
        return None
    curvature = largest_curvature(case)
    if curvature is None or curvature <= 0:
        return None
    momentum = get_momentum(optimizer)
    nesterov = any(group["nesterov"] for group in optimizer.param_groups)
    return curvature, 2 * (1 + momentum) / curvature / (1 + 2 * momentum if nesterov else 1)
