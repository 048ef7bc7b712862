"""`diagnose`: why a network does not learn, in ranked sentences, with numbers and remedies."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.data.rows import check_rows
from microgradx.functional import cross_entropy
from microgradx.training.doctor.case import Case
from microgradx.training.doctor.data_faults import find_data_faults
from microgradx.training.doctor.findings import Diagnosis, Finding
from microgradx.training.doctor.generalisation_faults import (
    find_generalisation_faults,
    find_leaks,
    find_shared_rows,
)
from microgradx.training.doctor.hypotheses import constant_name, find_reason, learns
from microgradx.training.doctor.loop_faults import find_loop_faults, modal_layers
from microgradx.training.doctor.loss_faults import below_floor, find_loss_faults
from microgradx.training.doctor.network_faults import (
    find_network_faults,
    find_stuck_units,
    observe_network,
)
from microgradx.training.doctor.optimizer_faults import find_optimizer_faults
from microgradx.training.doctor.preservation import preserve
from microgradx.training.doctor.rates import RateRange, measure_rates
from microgradx.training.doctor.trials import Remedy, Trial, prepare, run_trial

__all__ = ["diagnose", "lr_range_test"]


def diagnose(
    model: Any,
    data: Any,
    *,
    loss: Callable[[Any, Any], Any] = cross_entropy,
    optimizer: Any = None,
    validation: Any = None,
    step: Callable[..., Any] | None = None,
    batch_size: int = 32,
    seed: int = 0,
) -> Diagnosis:
    """Why a network does not learn: causes in plain sentences, the most important first.

    model, data, loss, optimizer: as they are trained, data being (X, y). Copies of them are
        trained for a few hundred steps; they themselves do not change. Without an optimiser, Adam.
    validation: (X, y), rows that are not trained on; they show overfitting, miscalibration, and
        rows that are in both parts.
    step: your own training step, a function of a batch, step(X, y), or of nothing. It is run a few
        times to see the order of its calls, and what it changes is restored.

    Each finding has a `kind`, a `sentence` with the `numbers` that show it, and a `remedy`.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> generator = np.random.default_rng(0)
    >>> X, y = mg.data.moons(200, generator=generator)
    >>> model = mg.nn.MLP(2, [16], 2, generator=generator)
    >>> optimizer = mg.optim.SGD(model.parameters(), lr=1e-5)
    >>> found = mg.diagnose(model, (X, y), optimizer=optimizer)
    >>> found.kinds
    ['learning rate too small']

    Raises ValueError for data without rows, and for shapes that do not fit each other, the model,
    or the loss.
    """
    X, y = _check_data(data, "data")
    held_out = None if validation is None else _check_data(validation, "validation")
    batch_size = operator.index(batch_size)
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    case = Case(model, X, y, loss, optimizer, batch_size, held_out, seed)
    with preserve(model, optimizer, loss):
        return _examine(case, X, y, step)


def _check_data(data: Any, name: str) -> tuple[Array, Array]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"{name} must be a pair (X, y), not {type(data).__name__}")
    X, y = check_rows(*data)
    for what, values in (("X", X), ("y", y)):
        if values.dtype.kind not in "fiub":
            raise TypeError(
                f"{what} of {name} has dtype {values.dtype}; it must hold numbers: encode text as "
                "columns or labels of integers first"
            )
    return X, y


def _examine(case: Case, X: Array, y: Array, step: Callable[..., Any] | None) -> Diagnosis:
    if not all(np.isfinite(values).all() for values in (X, y) if values.dtype.kind == "f"):
        summary = f"{case.rows} rows were looked at; nothing was trained, as they are not finite."
        return Diagnosis.from_findings(summary, list(find_data_faults(case, X, y)))
    state = observe_network(case)
    findings = list(find_loop_faults(case, step)) if step is not None else []
    findings += find_data_faults(case, X, y)
    findings += find_optimizer_faults(case)
    findings += find_loss_faults(case)
    findings += find_network_faults(case, state)
    trial = run_trial(case)
    if not any(finding.severity == "error" for finding in findings):
        needs_reason = not learns(trial, case) or trial.rises
        reasons = list(find_reason(case, state, trial)) if needs_reason else []
        stuck = find_stuck_units(case, state)
        # Dead units are a consequence, unless fresh weights are the remedy.
        findings += stuck if stuck and all(r.kind == "initialisation" for r in reasons) else reasons
        floor = case.lowest_loss
        if not findings and floor is not None and trial.after < floor - 1e-3:
            findings.append(below_floor(trial.after, floor))
    findings += _find_faults_of_learning(case, X, findings, step)
    return Diagnosis.from_findings(_summarise(case, trial), findings)


def _find_faults_of_learning(
    case: Case, X: Array, findings: list[Finding], step: Callable[..., Any] | None
) -> Iterator[Finding]:
    yield from find_leaks(case)
    if case.validation is not None:
        shared = list(find_shared_rows(X, case.validation))
        yield from shared
        if not shared and not findings:
            yield from find_generalisation_faults(case)
    layers = sorted(modal_layers(case.model))
    if step is None and layers and case.optimizer is not None:
        off = [path for path, module in case.model.named_modules() if not module.training]
        if off:
            yield Finding(
                "evaluation mode",
                f"The model is in evaluation mode, in which {' and '.join(layers)} do not compute "
                "what they do in training.",
                "If you train it now, call model.train() first.",
                {"modules": len(off)},
                "note",
            )


def _summarise(case: Case, trial: Trial) -> str:
    course = (
        f"the loss became {trial.losses[-1]} at step {trial.failed_at}"
        if trial.failed_at is not None
        else f"the loss went from {trial.before:.4g} to {trial.after:.4g}"
    )
    return f"On a copy, in {len(trial.losses)} steps, {course}; {constant_name(case)}."


def lr_range_test(
    model: Any,
    data: Any,
    *,
    loss: Callable[[Any, Any], Any] = cross_entropy,
    optimizer: Any = None,
    batch_size: int = 32,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    seed: int = 0,
) -> RateRange:
    """Train a copy for some steps at learning rates that grow from `lowest` to `highest`.

    Returns `rates` and `losses`, until the loss is four times as large as at first, and a
    `suggestion`: a tenth of the rate with the lowest smoothed loss. `plot()` draws them. The
    optimiser is Adam, if none is given; neither it nor the model changes.

    Raises ValueError for rates that are not positive and ascending, and where `diagnose` does.
    Source: L. N. Smith, "Cyclical learning rates for training neural networks", 2017.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> generator = np.random.default_rng(0)
    >>> model = mg.nn.MLP(2, [16], 2, generator=generator)
    >>> found = mg.lr_range_test(model, mg.data.moons(200, generator=generator))
    >>> 0.001 < found.suggestion < 0.5
    True
    """
    X, y = _check_data(data, "data")
    if not 0 < lowest < highest < np.inf or steps < 2:
        raise ValueError(
            f"lowest={lowest}, highest={highest} and steps={steps}; rates must be positive and "
            "ascend, in 2 steps or more"
        )
    case = Case(model, X, y, loss, optimizer, operator.index(batch_size), None, seed)
    with preserve(model, optimizer, loss):
        setup = prepare(case, Remedy())
        return measure_rates(setup, case, lowest=lowest, highest=highest, steps=steps)
