"""Short trainings of copies: as the user would train, and with one thing or several changed.

A hypothesis about why a network does not learn is tested by its remedy: the same training with the
remedy must learn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import format_count
from microgradx.nn.activations import ReLU
from microgradx.nn.module import Module
from microgradx.optim import Adam
from microgradx.training.doctor.case import Case, Setup, quiet
from microgradx.training.doctor.optimizer_settings import (
    forget_state,
    get_rate,
    lower_momentum,
    set_rate,
)
from microgradx.training.doctor.rates import find_rate
from microgradx.training.doctor.weights import reinitialise

__all__ = [
    "Remedy",
    "Trial",
    "affordable_steps",
    "overfit_one_batch",
    "prepare",
    "run_trial",
    "standardise",
]

STEPS = 200
#: Work of a step, in numbers computed, beyond which fewer steps are taken.
FULL_WORK = 40_000
#: What an op costs however small its result is, in the same unit.
OVERHEAD = 2_000


class Remedy(NamedTuple):
    """What is changed in a trial; by default nothing."""

    features: bool = False  # standardise the features
    targets: bool = False  # standardise the targets of a regression
    weights: bool = False  # draw fresh weights
    relu: bool = False  # use relu in place of sigmoid and tanh, with fresh weights
    rate: bool = False  # choose the learning rate by a range test
    adam: bool = False  # use Adam, at such a rate
    momentum: bool = False  # lower the momentum
    decay: bool = False  # switch weight decay off
    dropout: bool = False  # switch dropout off


@dataclass
class Trial:
    """A short training: the loss at each step, and of all rows before and after it."""

    remedy: Remedy
    before: float
    after: float
    explained: float  # how far the loss has come, from a constant prediction's to the lowest
    constant: float = 0.0  # the loss of the best constant prediction
    losses: list[float] = field(default_factory=list)
    rate: float = 0.0
    #: Of the last two steps: the weights before, and the batch.
    last_steps: list[tuple[dict[str, Array], Array, Array]] = field(default_factory=list)

    @property
    def steps(self) -> str:
        """How many steps were taken, in a sentence."""
        return format_count(len(self.losses), "step")

    @property
    def failed_at(self) -> int | None:
        """The step whose loss was not finite, from 1."""
        return None if self.losses and math.isfinite(self.losses[-1]) else len(self.losses)

    @property
    def rises(self) -> bool:
        """Whether the loss was, for a while, well above where it began, and a constant's."""
        if len(self.losses) < 10:
            return False
        means = np.convolve(self.losses, np.ones(5) / 5, "valid")
        return bool(np.max(means) > 1.5 * max(means[0], self.before, self.constant))


def run_trial(
    case: Case,
    remedy: Remedy = Remedy(),  # noqa: B008
    rate: float | None = None,
) -> Trial:
    """Train a copy for some steps, with what the remedy changes, at a rate if one is given."""
    setup = prepare(case, remedy)
    if rate is None and (remedy.rate or remedy.adam):
        rate = find_rate(prepare(case, remedy), case, affordable_steps(case, 100))
    if rate is not None:
        set_rate(setup.optimizer, rate)
    rate = get_rate(setup.optimizer)
    trial = Trial(remedy, setup.measure_loss(), math.nan, math.nan, case.constant_loss, rate=rate)
    with quiet():
        for x, y in case.draw_batches(setup, affordable_steps(case, STEPS)):
            trial.last_steps = [*trial.last_steps[-1:], (setup.model.state_dict(), x, y)]
            trial.losses.append(setup.take_step(x, y))
            if trial.failed_at is not None:
                break
    trial.after = setup.measure_loss()
    trial.explained = _explained(case, setup, trial.after)
    return trial


def affordable_steps(case: Case, steps: int) -> int:
    """Fewer steps of a network that computes much in each."""
    share = min(case.batch_size, len(case.X)) / len(case.X)
    work = sum(OVERHEAD + share * tensor.size for tensor in case.probe.ancestors)
    return int(np.clip(steps * FULL_WORK / max(work, 1), min(50, steps), steps))


def _explained(case: Case, setup: Setup, loss: float) -> float:
    if setup.y is case.y:
        return case.explained(loss)
    return 1 - loss / float(np.mean((setup.y - setup.y.mean(axis=0)) ** 2))


# ---------------------------------------------------------------------------- remedies


def prepare(case: Case, remedy: Remedy) -> Setup:
    """Copies, with all of a remedy's changes but the learning rate."""
    setup = case.copy()
    if remedy.features:
        setup.X = standardise(setup.X)
    if remedy.targets:
        setup.y = standardise(setup.y)
    if remedy.relu:
        replace_activations(setup.model)
    if remedy.weights or remedy.relu:
        reinitialise(setup.model, case.generator())
        forget_state(setup.optimizer)
    if remedy.dropout:
        for module in setup.model.modules():
            if hasattr(module, "p"):
                module.p = 0.0
    if remedy.momentum:
        lower_momentum(setup.optimizer)
    if remedy.decay:
        for group in setup.optimizer.param_groups:
            group["weight_decay"] = 0.0
    if remedy.adam:
        setup.optimizer = Adam([p for p in setup.model.parameters() if p.requires_grad], 0.01)
    return setup


def standardise(X: Array) -> Array:
    """Each column with mean 0 and deviation 1; images with one scale for all pixels."""
    axes = 0 if X.ndim <= 2 else tuple(range(X.ndim))
    X = X.astype(float)
    mean, deviation = X.mean(axis=axes), X.std(axis=axes)
    # Columns that are constant up to rounding stay so.
    return (X - mean) / np.where(deviation > 1e-9 * np.abs(mean), deviation, 1)


def replace_activations(model: Module) -> None:
    """Put relu in the place of saturating activation modules."""
    for module in list(model.modules()):
        for name, value in list(vars(module).items()):
            if type(value).__name__ in ("Sigmoid", "Tanh"):
                setattr(module, name, ReLU())


# ---------------------------------------------------------------------------- one batch


def overfit_one_batch(case: Case, rows: int = 16, steps: int = 300) -> tuple[float, float]:
    """The loss of a few rows before and after a training on them alone, with Adam, of a copy."""
    remedy = Remedy(adam=True)
    setup = prepare(case, remedy)
    set_rate(setup.optimizer, find_rate(prepare(case, remedy), case, 50))
    chosen = case.generator().permutation(len(case.X))[:rows]
    setup.X, setup.y = setup.X[chosen], setup.y[chosen]
    before = setup.measure_loss()
    with quiet():
        for _ in range(steps):
            if not math.isfinite(setup.take_step(setup.X, setup.y)):
                break
    return before, setup.measure_loss()
