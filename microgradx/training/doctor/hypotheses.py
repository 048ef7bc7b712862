"""Why a short training does not learn: hypotheses, each tested by training with its remedy.

If the loss of a copy, trained as the user would, comes far less down than with a remedy, the remedy
says what was wrong. The first in `REMEDIES` that works is reported, so that features which lie far
apart, say, are not called too large a learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from microgradx.arrays.types import Array
from microgradx.functional import cross_entropy
from microgradx.nn import MLP, Flatten, Sequential
from microgradx.optim import Adam
from microgradx.training.doctor.case import Case
from microgradx.training.doctor.causes import (
    collect_losses,
    describe_anomaly,
    describe_constant,
    describe_course,
    describe_cure,
    describe_unrelated,
    is_numeric,
)
from microgradx.training.doctor.data_faults import FeatureScale, are_related
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.network_faults import NetworkState
from microgradx.training.doctor.trials import (
    Remedy,
    Trial,
    overfit_one_batch,
    run_trial,
    standardise,
)

__all__ = ["find_hindrance", "find_reason", "learns", "moves"]

#: Trials that have come down so far need no reason.
LEARNS = 0.5
#: What a remedy must reach, as a share of what the best one does.
GOOD = 0.6


def learns(trial: Trial) -> bool:
    """Whether the loss is far down, and was not up in between."""
    return trial.explained >= LEARNS and not trial.rises


def moves(trial: Trial, case: Case) -> bool:
    """Whether the loss came down, or was nearly as low as it can be."""
    return trial.explained - case.explained(trial.before) >= 0.05 or trial.explained >= 0.9


def find_reason(case: Case, state: NetworkState, trial: Trial) -> Iterator[Finding]:
    """The causes of a training that fails, or goes far less down than it could."""
    if trial.failed_at == 1 and not state.has_broken_weights:
        yield describe_anomaly(case, trial)
        return
    groups = _group_targets(case)
    if groups is not None and len(case.X) >= 30 and not learns(trial):
        related, seen, chance = are_related(case.X, groups, case.generator())
        if not related and trial.failed_at is None:
            yield describe_unrelated(case, trial, seen, chance)
            return
    trials = list(_try_remedies(case))
    best = max((each for each in trials if not each.remedy.adam), key=lambda each: each.explained)
    good = [each for each in trials if each.explained >= GOOD * best.explained]
    if not _cures(case, trial, best):  # only then is another optimiser to be blamed on this one
        best = max(trials, key=lambda each: each.explained)
        good = [best]
    if _cures(case, trial, best):
        if trial.failed_at is not None and not trial.rises and is_numeric(case, trial):
            yield describe_anomaly(case, trial)
        else:
            yield describe_cure(case, state, trial, good[0])
        return
    for first in trials:
        # Evidence of its own: a remedy that leaves less than half of the loss.
        if _has_evidence(case, state, trial, first) and _halves(trial, first):
            yield describe_cure(case, state, trial, first)
            return
    if trial.failed_at is not None:
        yield describe_anomaly(case, trial)
    elif max(best.explained, trial.explained) < LEARNS:
        yield from _compare_with_reference(case, trial, max(best.explained, trial.explained))


def find_hindrance(case: Case, state: NetworkState, trial: Trial) -> Iterator[Finding]:
    """Whether features of bad scale keep a training that learns far from what it could reach.

    A training that is over is judged by its result, too: rows of bad scale make it jump about.
    """
    if not _has_bad_features(case):
        return
    reached = replace(trial)
    if case.trained_loss is not None:
        result = case.explained(max(case.trained_loss, trial.before))
        reached.explained = min(trial.explained, result)
    # What a training has learnt from raw features does not suit others.
    for remedy in (Remedy(features=True), Remedy(features=True, weights=True)):
        cure = run_trial(case, remedy)
        if not cure.rises and _halves(reached, cure):
            yield describe_cure(case, state, trial, cure)
            return


def _has_bad_features(case: Case) -> bool:
    return case.X.dtype.kind == "f" and FeatureScale.of(case.X).is_bad(case.X[0].size)


def _group_targets(case: Case) -> Array | None:
    """The labels, or the quarter of all targets in which each target of a regression lies."""
    if case.labels is not None or case.y.size != len(case.y) or case.y.dtype.kind != "f":
        return case.labels
    targets = case.y.reshape(-1)
    return np.searchsorted(np.quantile(targets, (0.25, 0.5, 0.75)), targets)


def _try_remedies(case: Case) -> Iterator[Trial]:
    """Trials with one remedy after the other, until one learns."""
    for remedy in _choose_remedies(case):
        trial = run_trial(case, remedy)
        if trial.rises and remedy == Remedy(weights=True):
            continue  # fresh weights that went astray and came back by luck
        yield trial
        if trial.explained >= GOOD:
            return


def _cures(case: Case, trial: Trial, cure: Trial) -> bool:
    """Whether a remedy gains more than ten times of what is gained without it.

    What the loss explains before any step counts only if it is more than that of a constant. Then
    the remedy must halve what is left, too.
    """
    start = max(case.explained(trial.before), 0)
    gain = cure.explained - start
    is_far = gain > 0.05 and max(trial.explained - start, 0) < 0.1 * gain
    return is_far and (start < 0.05 or _halves(trial, cure))


def _halves(trial: Trial, cure: Trial) -> bool:
    gain = cure.explained - trial.explained
    return gain >= 0.1 and 1 - cure.explained <= 0.5 * (1 - trial.explained)


def _choose_remedies(case: Case) -> list[Remedy]:
    """Those that change something, the more specific first, and combinations last."""
    scaled = _has_bad_features(case)
    has_targets = case.labels is None and case.probe.kind != "cross_entropy"
    unscaled = has_targets and FeatureScale.of(case.y.reshape(len(case.y), -1)).is_bad(1)
    modules = list(case.model.modules())
    kinds = {type(module).__name__ for module in modules}
    groups = getattr(case.optimizer, "param_groups", [])
    decays = any(group.get("weight_decay") for group in groups)
    drops = any(getattr(module, "p", 0) >= 0.5 for module in modules)
    remedies = [Remedy(features=True)] * scaled + [Remedy(targets=True)] * unscaled
    remedies += [Remedy(features=True, targets=True)] * (scaled and unscaled)
    remedies += [Remedy(decay=True)] * decays + [Remedy(dropout=True)] * drops
    remedies += [Remedy(weights=True)]
    if kinds & {"Sigmoid", "Tanh"}:
        remedies.append(Remedy(relu=True))
    remedies += [Remedy(rate=True), Remedy(weights=True, rate=True)]
    if scaled or unscaled:
        both = Remedy(features=scaled, targets=unscaled)
        remedies += [both._replace(rate=True), both._replace(weights=True, rate=True)]
    if kinds & {"Sigmoid", "Tanh"}:
        remedies.append(Remedy(relu=True, rate=True))
    return [*remedies, Remedy(adam=True)]


# ---------------------------------------------------------------------------- evidence


def _has_evidence(case: Case, state: NetworkState, trial: Trial, cure: Trial) -> bool:
    remedy = cure.remedy
    if remedy.features or remedy.targets:
        return True  # such remedies are tried for bad scales only
    if remedy.weights and not remedy.rate:
        scale = state.weight_scale()
        return not 0.2 < scale < 5 or state.falls_by() < 1e-4
    if remedy.rate:
        return trial.rises and cure.rate < trial.rate
    return remedy.dropout or remedy.decay


# ---------------------------------------------------------------------------- the network itself


def _compare_with_reference(case: Case, trial: Trial, best: float) -> Iterator[Finding]:
    """Whether another network learns what this one does not, with any of the remedies."""
    reference = _train_reference(case)
    stuck = trial.explained < 0.02
    course = describe_course(trial)
    if reference is not None and reference - best > 0.3 and 1 - reference <= 0.5 * (1 - best):
        before, after = overfit_one_batch(case)
        if after < 0.2 * before:  # it can learn, if slowly
            return
        outputs = case.probe.output.array
        is_constant = len(outputs) > 1 and np.ptp(outputs, axis=0).max() <= 1e-6
        yield Finding(
            "the network cannot learn this",
            f"{course[0].upper()}{course[1:]}. {describe_constant(case)} "
            f"It cannot overfit one batch of 16 rows either, {before:.3g} → {after:.3g} in 300 "
            f"steps of Adam; but an MLP with 64 hidden units explains {reference:.0%} of the loss "
            "in as many steps." + (" Its output is the same for every row." if is_constant else ""),
            "Give the network hidden layers of 16 units or more with an activation between linear "
            "layers, and check that forward passes its input on.",
            {**collect_losses(trial), "one batch": after, "explained by an MLP": reference},
        )
    elif stuck and reference is not None and reference > 0.1:
        before, after = overfit_one_batch(case)
        yield Finding(
            "the loss does not fall",
            f"{course[0].upper()}{course[1:]}. {describe_constant(case)} "
            f"On one batch of 16 rows it goes from {before:.3g} to {after:.3g}.",
            "No single cause was found: begin with one batch, a smaller network, and Adam.",
            {**collect_losses(trial), "one batch": after},
        )


def _train_reference(case: Case) -> float | None:
    """What share of the loss an MLP explains in as many steps, on rows as columns of numbers."""
    if case.labels is None or case.X.dtype.kind not in "fiub":
        return None
    generator = case.generator()
    columns = int(np.prod(case.X.shape[1:]))
    model = Sequential(Flatten(), MLP(columns, (64,), case.classes, generator=generator))
    twin = Case(
        model,
        standardise(case.X),
        case.labels,
        cross_entropy,
        Adam(model.parameters(), 0.01),
        case.batch_size,
    )
    return run_trial(twin).explained
