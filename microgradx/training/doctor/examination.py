"""`diagnose`: why a network does not learn, in ranked sentences, with numbers and remedies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from microgradx.optim.optimizer import Optimizer
from microgradx.training.arguments import check_count, check_model
from microgradx.training.doctor.case import Case
from microgradx.training.doctor.causes import describe_constant, describe_course
from microgradx.training.doctor.data_faults import describe_not_finite, find_data_faults
from microgradx.training.doctor.findings import Diagnosis, Finding
from microgradx.training.doctor.generalisation_faults import find_generalisation_faults
from microgradx.training.doctor.hypotheses import find_hindrance, find_reason, learns, moves
from microgradx.training.doctor.leaks import find_leaks, find_shared_rows
from microgradx.training.doctor.loop_faults import find_loop_faults, modal_layers
from microgradx.training.doctor.loss_faults import below_floor, find_loss_faults
from microgradx.training.doctor.network_faults import (
    find_mixed_rows,
    find_network_faults,
    find_stuck_units,
    observe_network,
)
from microgradx.training.doctor.optimizer_faults import find_optimizer_faults
from microgradx.training.doctor.optimizer_settings import get_rate
from microgradx.training.doctor.preservation import preserve
from microgradx.training.doctor.rates import RateRange, measure_rates
from microgradx.training.doctor.trials import Remedy, Trial, prepare, run_trial
from microgradx.training.features import NotFiniteError, fitted_data
from microgradx.training.losses import find_loss
from microgradx.training.preparation import prepare_data

__all__ = ["diagnose", "diagnose_history", "lr_range_test"]


def diagnose(
    model: Any,
    data: Any,
    *,
    label: Any = None,
    loss: Any = "cross_entropy",
    optimizer: Any = None,
    lr: float | None = None,
    validation: Any = None,
    step: Callable[..., Any] | None = None,
    batch_size: int = 32,
    seed: int = 0,
) -> Diagnosis:
    """Why a network does not learn: causes in plain sentences, the most important first.

    model, data, label, loss, optimizer, lr: as `fit` takes them. Copies are trained for a few
        hundred steps; model, optimiser and generators themselves do not change. Without an
        optimiser it is Adam.
    validation: (X, y) or a share of the rows, which are not trained on: they show overfitting and
        miscalibration, of the model if it is trained and else of a copy, and rows that are in both
        parts.
    step: your own training step, a function of a batch, step(X, y), or of nothing. It is run a few
        times to see the order of its calls, and those of its optimiser, whether or not that is
        passed too; what it changes is restored.

    Each finding has a `kind`, a `sentence` with the `numbers` that show it, and a `remedy`.

    >>> import numpy as np
    >>> import microgradx as mg
    >>> generator = np.random.default_rng(1)
    >>> X, y = mg.data.moons(200, generator=generator)
    >>> model = mg.nn.MLP(2, [16], 2, generator=generator)
    >>> mg.diagnose(model, (X, y), optimizer="sgd", lr=1e-5).kinds
    ['learning rate too small']

    Raises ValueError for data without rows, and for shapes that do not fit each other, the model,
    or the loss.
    """
    check_model(model)
    batch_size = check_count("batch_size", batch_size)
    loss = find_loss(loss)
    _check_optimizer(optimizer)
    with preserve(model, optimizer, loss):
        try:
            with np.errstate(all="ignore"):  # it looks at the model's outputs, too
                rows = prepare_data(
                    model,
                    data,
                    label,
                    loss,
                    validation=validation,
                    generator=np.random.default_rng(seed),
                )
        except NotFiniteError as error:
            return Diagnosis.from_findings("Nothing was trained.", [describe_not_finite(error)])
        case = Case(model, rows.X, rows.y, loss, optimizer, batch_size, lr, rows.validation, seed)
        case.columns = rows.fitted.columns
        return _examine(case, step)


def diagnose_history(history: Any, columns: Sequence[str] | None = None) -> Diagnosis:
    """The diagnosis of a training, by what its history keeps, at its largest rate.

    columns: the names of the features, if the model does not remember them.
    """
    if history.model is None or history.training_data is None:
        raise ValueError("the history is of no training; call diagnose(model, data)")
    X, y = history.training_data
    case = Case(history.model, X, y, history.loss_function, history.optimizer)
    case.validation = history.validation_data
    remembered = fitted_data(history.model)
    case.columns = columns or (remembered.columns if remembered else None)
    if len(history):
        case.lr = max(float(np.max(history["lr"])), get_rate(history.optimizer))
        case.trained_loss = float(history["loss"][-1])
    with preserve(case.model, case.optimizer, case.loss):
        return _examine(case, None)


def _check_optimizer(optimizer: Any) -> None:
    if optimizer is not None and not isinstance(optimizer, (str, Optimizer)):
        raise TypeError(
            "optimizer must be a name such as 'adam', or an optimiser of microgradx.optim, not "
            f"{type(optimizer).__name__}"
        )


def _examine(case: Case, step: Callable[..., Any] | None) -> Diagnosis:
    state = observe_network(case)
    findings = list(find_loop_faults(case, step)) if step is not None else []
    findings += find_data_faults(case)
    findings += find_optimizer_faults(case)
    findings += list(find_mixed_rows(case)) or find_loss_faults(case)
    findings += find_network_faults(case, state)
    trial = run_trial(case)
    if not any(finding.severity == "error" for finding in findings):
        needs_reason = not (learns(trial) and moves(trial, case))
        find = find_reason if needs_reason else find_hindrance
        reasons = list(find(case, state, trial))
        stuck = find_stuck_units(case, state, learns=learns(trial))
        # Dead units are a consequence, unless fresh weights are the remedy.
        findings += stuck if stuck and all(r.kind == "initialisation" for r in reasons) else reasons
        floor = case.lowest_loss
        if not findings and floor is not None and trial.after < floor - 1e-3:
            findings.append(below_floor(trial.after, floor))
    findings += _find_faults_of_learning(case, findings, step)
    if not findings:
        findings += _find_high_loss(case, trial)
    return Diagnosis.from_findings(_summarise(case, trial), findings)


def _find_faults_of_learning(
    case: Case, findings: list[Finding], step: Callable[..., Any] | None
) -> Iterator[Finding]:
    yield from find_leaks(case)
    if case.validation is not None:
        shared = list(find_shared_rows(case.X, case.validation))
        yield from shared
        if not shared and all(finding.severity == "note" for finding in findings):
            yield from find_generalisation_faults(case)
    layers = sorted(modal_layers(case.model))
    if step is None and layers and isinstance(case.optimizer, Optimizer):
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


def _find_high_loss(case: Case, trial: Trial) -> Iterator[Finding]:
    """A loss above a constant prediction's, for which there is no other finding."""
    loss, where = trial.after, "on the copy"
    if case.trained_loss is not None:
        loss, where = max(case.trained_loss, trial.before), "at the end of the training"
    if case.explained(loss) < -0.02:
        yield Finding(
            "worse than a constant prediction",
            f"The loss is {loss:.4g} {where}. {describe_constant(case)}",
            "No single cause was found: look at the learning rate with "
            "mg.lr_range_test(model, data), standardise features and targets, and train longer.",
            {"loss": loss, "loss of a constant": case.constant_loss},
            "warning",
        )


def _summarise(case: Case, trial: Trial) -> str:
    return f"On a copy, {describe_course(trial)}. {describe_constant(case)}"


def lr_range_test(
    model: Any,
    data: Any,
    *,
    label: Any = None,
    loss: Any = "cross_entropy",
    optimizer: Any = None,
    batch_size: int = 32,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    seed: int = 0,
) -> RateRange:
    """Train a copy for some steps at learning rates that grow from `lowest` to `highest`.

    Returns `rates` and `losses`, until the loss is four times as large as at first, and a
    `suggestion`: a tenth of the rate with the lowest loss. `plot()` draws them. The
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
    check_model(model)
    loss = find_loss(loss)
    _check_optimizer(optimizer)
    if not 0 < lowest < highest < np.inf or steps < 2:
        raise ValueError(
            f"lowest={lowest}, highest={highest} and steps={steps}; rates must be positive and "
            "ascend, in 2 steps or more"
        )
    batch_size = check_count("batch_size", batch_size)
    with preserve(model, optimizer, loss):
        with np.errstate(all="ignore"):
            rows = prepare_data(model, data, label, loss)
        case = Case(model, rows.X, rows.y, loss, optimizer, batch_size, seed=seed)
        setup = prepare(case, Remedy())
        return measure_rates(setup, case, lowest=lowest, highest=highest, steps=steps)
