"""Faults of the optimiser that can be seen without a step: what it holds, and its gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from microgradx.arrays.types import Array
from microgradx.autograd import grad
from microgradx.common.messages import shorten
from microgradx.engine import Tensor
from microgradx.optim.optimizer import Optimizer
from microgradx.training.doctor.case import Case, quiet
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.optimizer_settings import get_rate

__all__ = ["find_optimizer_faults"]


def find_optimizer_faults(case: Case) -> Iterator[Finding]:
    if not isinstance(case.optimizer, Optimizer):
        return
    yield from _find_parameters_not_held(case)
    yield from _find_accumulated_gradients(case)
    if get_rate(case.optimizer) == 0:
        yield Finding(
            "learning rate 0",
            "The learning rate is 0, so no step changes anything.",
            "Set optimizer.lr, and check whether a schedule has ended.",
            {"lr": 0},
        )


def _find_parameters_not_held(case: Case) -> Iterator[Finding]:
    names = {
        id(parameter): path
        for path, parameter in case.model.named_parameters()
        if parameter.requires_grad
    }
    held = {id(parameter) for parameter in case.optimizer.params}
    missing = [path for each, path in names.items() if each not in held]
    foreign = len(held - set(names))
    numbers = {"held": len(held & set(names)), "parameters": len(names), "foreign": foreign}
    if not names or not missing:
        return
    if foreign and not held & set(names):
        yield Finding(
            "parameters of another model",
            f"None of the {foreign} parameters that the optimiser holds is the model's: its steps "
            f"change another model, and not these {len(names)}.",
            "Make the optimiser after the model, from its parameters: "
            f"optim.{type(case.optimizer).__name__}(model.parameters(), lr=…). Making the model "
            "again, or copying it, makes other parameters.",
            numbers,
        )
        return
    yield Finding(
        "parameters not in the optimiser",
        f"The optimiser does not hold {len(missing)} of the model's {len(names)} parameters, which "
        f"stay as they are: {shorten(missing)}.",
        "Pass all of model.parameters(), and make the optimiser after the last layer was added or "
        "replaced; freeze by requires_grad_(False) what shall stay.",
        numbers,
    )


def _find_accumulated_gradients(case: Case) -> Iterator[Finding]:
    """A `.grad` that is far larger than the gradient of any batch."""
    parameters = [p for p in case.model.parameters() if isinstance(p.grad, np.ndarray)]
    if not parameters:
        return
    kept = _norm([p.grad for p in parameters])
    rows = np.array_split(np.arange(len(case.X)), max(1, len(case.X) // case.batch_size))[:20]
    model = case.copy().model
    own = list(model.parameters())
    paths = [i for i, p in enumerate(case.model.parameters()) if isinstance(p.grad, np.ndarray)]
    norms = []
    with quiet():
        for chosen in rows:
            value = np.mean(case.loss(model(case.X[chosen]), case.y[chosen]))
            if isinstance(value, Tensor) and value.requires_grad:
                found = grad(value, own, materialize_grads=True)
                norms.append(_norm([found[i] for i in paths]))
    largest = max(norms, default=0.0)
    if not np.isfinite(kept) or not 0 < largest < np.inf or kept < 5 * largest:
        return
    yield Finding(
        "gradients that add up",
        f"The gradients that the parameters hold have the norm {kept:.3g}, and no batch of "
        f"{len(rows[0])} rows has a gradient with a norm above {largest:.3g}: they are the sum of "
        "many steps.",
        "Call optimizer.zero_grad() in each step, before backward().",
        {"norm": kept, "largest of a batch": largest},
    )


def _norm(gradients: list[Array]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(g, dtype=float)) for g in gradients)))
