"""Why a short training does not learn: hypotheses, each tested by training with its remedy.

If the loss of a copy, trained as the user would, comes far less down than with a remedy, the remedy
says what was wrong. The first in `REMEDIES` that works is reported, so that features which lie far
apart, say, are not called too large a learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.checking.anomaly import AnomalyError, detect_anomaly
from microgradx.common.messages import shorten
from microgradx.functional import cross_entropy
from microgradx.nn import MLP, Flatten, Sequential
from microgradx.optim import Adam
from microgradx.training.doctor.case import Case, quiet
from microgradx.training.doctor.curvature import largest_stable_rate
from microgradx.training.doctor.data_faults import FeatureScale, are_related
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.network_faults import NetworkState
from microgradx.training.doctor.trials import (
    Remedy,
    Trial,
    overfit_one_batch,
    prepare,
    run_trial,
    standardise,
)

__all__ = ["find_reason", "learns", "moves"]

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
    if trial.failed_at == 1 and not _has_broken_weights(state):
        yield _describe_anomaly(case, trial)
        return
    groups = _group_targets(case)
    if groups is not None and len(case.X) >= 30 and not learns(trial):
        related, seen, chance = are_related(case.X, groups, case.generator())
        if not related and trial.failed_at is None:
            yield _describe_unrelated(case, trial, seen, chance)
            return
    trials = list(_try_remedies(case))
    best = max((each for each in trials if not each.remedy.adam), key=lambda each: each.explained)
    good = [each for each in trials if each.explained >= GOOD * best.explained]
    if not _cures(case, trial, best):  # only then is another optimiser to be blamed on this one
        best = max(trials, key=lambda each: each.explained)
        good = [best]
    if _cures(case, trial, best):
        if trial.failed_at is not None and not trial.rises and _is_numeric(case, trial):
            yield _describe_anomaly(case, trial)
        else:
            yield _describe_cure(case, state, trial, good[0])
        return
    for first in trials:
        # Evidence of its own: a remedy that leaves less than half of the loss.
        if _has_evidence(case, state, trial, first) and _halves(trial, first):
            yield _describe_cure(case, state, trial, first)
            return
    if trial.failed_at is not None:
        yield _describe_anomaly(case, trial)
    elif max(best.explained, trial.explained) < LEARNS:
        yield from _compare_with_reference(case, trial, max(best.explained, trial.explained))


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
    scaled = FeatureScale.of(case.X).is_bad(case.X[0].size) and case.X.dtype.kind == "f"
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


def _has_broken_weights(state: NetworkState) -> bool:
    return not all(np.isfinite(w).all() for w in state.weights.values())


def _weight_scale(case: Case, state: NetworkState) -> float:
    """The geometric mean of |weights| / √(2 / fan in): 1 for He's distribution."""
    ratios = [
        float(np.sqrt(np.mean(np.square(w, dtype=float)) * np.prod(w.shape[1:]) / 2))
        for w in state.weights.values()
        if w.ndim > 1 and np.any(w)
    ]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else 1.0


def _has_evidence(case: Case, state: NetworkState, trial: Trial, cure: Trial) -> bool:
    remedy = cure.remedy
    if remedy.features or remedy.targets:
        return True  # such remedies are tried for bad scales only
    if remedy.weights and not remedy.rate:
        scale = _weight_scale(case, state)
        return not 0.2 < scale < 5 or state.falls_by() < 1e-4
    if remedy.rate:
        return trial.rises and cure.rate < trial.rate
    return remedy.dropout or remedy.decay


# ---------------------------------------------------------------------------- sentences


def _course(trial: Trial, case: Case) -> str:
    """How the loss went, in a sentence."""
    if trial.failed_at is not None:
        return f"the loss became {trial.losses[-1]} at step {trial.failed_at}"
    return (
        f"the loss went from {trial.before:.4g} to {trial.after:.4g} in {len(trial.losses)} steps"
    )


def constant_name(case: Case) -> str:
    """What the loss of a constant prediction is, in words."""
    if not math.isfinite(case.constant_loss):
        return "that of a constant prediction is not finite"
    if case.labels is None:
        return f"{case.constant_loss:.4g}, that of the best constant prediction"
    counts = np.bincount(case.labels)
    counts = counts[counts > 0]
    if np.ptp(counts) <= 0.1 * counts.max():
        return f"{case.constant_loss:.4g}, about ln {len(counts)}, that of a constant prediction"
    return f"{case.constant_loss:.4g}, that of predicting the class frequencies for every row"


def _numbers(trial: Trial, cure: Trial | None = None) -> dict[str, float]:
    """The losses that are numbers at all."""
    losses = {"loss before": trial.before, "loss after": trial.after}
    if cure is not None:
        losses["loss with remedy"] = cure.after
    return {name: loss for name, loss in losses.items() if not math.isnan(loss)}


def _describe_cure(case: Case, state: NetworkState, trial: Trial, cure: Trial) -> Finding:
    remedy, course = cure.remedy, _course(trial, case)
    numbers = _numbers(trial, cure)
    learnt = f"{cure.after:.3g} after {len(cure.losses)} steps"
    if remedy.features or remedy.targets:
        what = "features" if remedy.features else "targets"
        scale = FeatureScale.of(case.X if remedy.features else case.y.reshape(len(case.y), -1))
        numbers.update(scale._asdict())
        return Finding(
            f"{what} not standardised",
            f"The {what} have {scale}, and {course}; with standardised {what} it is {learnt}.",
            f"Standardise the {what} by training rows: (x - mean) / deviation for each column, "
            "mg.data.StandardScaler().",
            numbers,
        )
    if remedy.relu or (remedy.weights and not remedy.rate):
        return _describe_network(case, state, trial, cure, numbers)
    if remedy.decay or remedy.dropout:
        name = "weight decay" if remedy.decay else "dropout"
        return Finding(
            f"{name} too strong",
            f"With {name} {course}; without, it is {learnt}.",
            f"Lower the {name}.",
            numbers,
        )
    if remedy.adam and not remedy.rate:
        return Finding(
            "optimiser settings",
            f"With {case.optimizer!r} {course}; with Adam at {cure.rate:.2g} it is {learnt}.",
            f"Use optim.Adam(model.parameters(), lr={cure.rate:.2g}), or PyTorch's defaults of the "
            "other settings.",
            numbers,
        )
    return _describe_rate(case, trial, cure, numbers)


def _describe_rate(case: Case, trial: Trial, cure: Trial, numbers: dict[str, float]) -> Finding:
    rate = trial.rate
    numbers.update({"lr": rate, "suggested lr": cure.rate})
    is_large = cure.rate < rate
    curve = ""
    if is_large:
        fresh = case if not cure.remedy.weights else _with_fresh_weights(case)
        found = largest_stable_rate(fresh, case.optimizer)
        if found is not None:
            numbers.update({"curvature": found[0], "largest stable lr": found[1]})
            if found[1] < rate:
                curve = (
                    f" The largest curvature is {found[0]:.3g}, so rates above 2 / λ = "
                    f"{found[1]:.2g} diverge."
                )
        if case.probe.is_sum:
            curve += " The loss is a sum over the rows, so gradients grow with the batch."
    again = " from fresh weights, as these are broken by it," if cure.remedy.weights else ""
    return Finding(
        "learning rate too large" if is_large else "learning rate too small",
        f"With the learning rate {rate:.3g} {_course(trial, case)}; with {cure.rate:.2g}{again} it "
        f"is {cure.after:.3g} after {len(cure.losses)} steps.{curve}",
        f"{'Lower' if is_large else 'Raise'} the learning rate to about {cure.rate:.2g}; "
        "mg.lr_range_test(model, data) shows the range"
        + (", and clip gradients if single steps go astray." if is_large else "."),
        numbers,
    )


def _with_fresh_weights(case: Case) -> Case:
    setup = prepare(case, Remedy(weights=True))
    return Case(setup.model, case.X, case.y, setup.loss, setup.optimizer, case.batch_size)


def _describe_network(
    case: Case, state: NetworkState, trial: Trial, cure: Trial, numbers: dict[str, float]
) -> Finding:
    if _has_broken_weights(state):
        broken = [path for path, w in state.weights.items() if not np.isfinite(w).all()]
        return Finding(
            "weights not finite",
            f"{len(broken)} of {len(state.weights)} parameters hold NaN or infinities, "
            f"{shorten(broken)}, and no step can mend them; from fresh weights the loss is "
            f"{cure.after:.3g} after {len(cure.losses)} steps.",
            "Start again from fresh weights, or from a checkpoint; clip the gradients, and train "
            "inside mg.detect_anomaly() to see where it begins.",
            {"parameters": len(broken)},
        )
    falls, scale = state.falls_by(), _weight_scale(case, state)
    sizes = state.sizes()
    numbers.update({"gradient ratio": falls, "weights / He": scale})
    course = _course(trial, case)
    after = f"{cure.after:.3g} after {len(cure.losses)} steps"
    if 0 < falls < 1e-3 and len(sizes) > 2:
        listed = ", ".join(f"{path} {size:.1e}" for path, size in list(sizes.items())[:6])
        how = "relu and He's weights" if cure.remedy.relu else "fresh weights of the usual size"
        return Finding(
            "vanishing gradients",
            f"Gradients shrink towards the input: their root mean square is {listed}; and {course}."
            f" With {how} it is {after}.",
            "Use relu with he_uniform, or tanh with glorot_uniform, fewer layers, or a "
            "normalisation between them.",
            numbers,
        )
    if cure.remedy.relu:
        return Finding(
            "saturating activations",
            f"With sigmoid or tanh {course}; with relu it is {after}.",
            "Use relu with he_uniform.",
            numbers,
        )
    size = "large" if scale > 1 else "small"
    return Finding(
        "initialisation",
        f"The weights are {scale:.3g} times as large as He's distribution has them, and {course}; "
        f"from fresh weights it is {after}.",
        f"The weights are too {size}, or broken by an earlier training: draw them anew by "
        "nn.initialisation.he_uniform or glorot_uniform, with biases 0.",
        numbers,
    )


def _describe_unrelated(case: Case, trial: Trial, seen: float, chance: float) -> Finding:
    return Finding(
        "labels unrelated to features",
        f"The nearest neighbours of a row have its label in {seen:.1%} of cases, and in "
        f"{chance:.1%} with shuffled labels; no column differs between classes either, and "
        f"{_course(trial, case)}; {constant_name(case)}.",
        "Check that X and y are in the same order: were they shuffled, sorted or filtered "
        "separately? Shuffle both by one permutation.",
        {**_numbers(trial), "agreement": seen, "by chance": chance},
    )


# ---------------------------------------------------------------------------- not finite


def _find_anomaly(case: Case, trial: Trial) -> AnomalyError | None:
    """The last two steps before the loss was not finite, again, inside detect_anomaly."""
    for state, x, y in trial.last_steps:
        setup = case.copy()
        setup.model.load_state_dict(state)
        try:
            with quiet(), detect_anomaly():
                total: Any = np.mean(setup.loss(setup.model(x), y))
                total.backward()
        except AnomalyError as error:
            return error
        except (ValueError, TypeError, AttributeError):
            continue
    return None


#: Ops that are not finite at single points, however small the weights are.
_NUMERIC = ("log", "log2", "log10", "log1p", "divide", "sqrt", "power", "reciprocal", "arccos")


def _is_numeric(case: Case, trial: Trial) -> bool:
    error = _find_anomaly(case, trial)
    return error is not None and error.op is not None and error.op.name in _NUMERIC


def _describe_anomaly(case: Case, trial: Trial) -> Finding:
    error = _find_anomaly(case, trial)
    where = f"It began here: {str(error).splitlines()[0]}" if error else "No op returned it"
    if error is not None and error.location is not None:
        line = str(error.location).splitlines()[-1].strip()
        where += f", in the line `{line}`"
    cause = (error.cause if error is not None else None) or (
        "Look at that op's inputs, and keep them inside its domain."
    )
    return Finding(
        "loss not finite",
        f"The loss became {trial.losses[-1]} at step {trial.failed_at}. {where}.",
        cause[0].upper() + cause[1:] + ("" if cause.endswith(".") else "."),
        {"step": float(trial.failed_at or 0)},
    )


# ---------------------------------------------------------------------------- the network itself


def _compare_with_reference(case: Case, trial: Trial, best: float) -> Iterator[Finding]:
    """Whether another network learns what this one does not, with any of the remedies."""
    reference = _train_reference(case)
    stuck = trial.explained < 0.02
    if reference is not None and reference - best > 0.3 and 1 - reference <= 0.5 * (1 - best):
        before, after = overfit_one_batch(case)
        if after < 0.2 * before:  # it can learn, if slowly
            return
        outputs = case.probe.output.array
        is_constant = len(outputs) > 1 and np.ptp(outputs, axis=0).max() <= 1e-6
        yield Finding(
            "the network cannot learn this",
            f"{_course(trial, case)[0].upper()}{_course(trial, case)[1:]}; {constant_name(case)}. "
            f"It cannot overfit one batch of 16 rows either, {before:.3g} → {after:.3g} in 300 "
            f"steps of Adam; but an MLP with 64 hidden units explains {reference:.0%} of the loss "
            "in as many steps." + (" Its output is the same for every row." if is_constant else ""),
            "Give the network hidden layers of 16 units or more with an activation between linear "
            "layers, and check that forward passes its input on.",
            {**_numbers(trial), "one batch": after, "explained by an MLP": reference},
        )
    elif stuck and reference is not None and reference > 0.1:
        before, after = overfit_one_batch(case)
        yield Finding(
            "the loss does not fall",
            f"{_course(trial, case)[0].upper()}{_course(trial, case)[1:]}; {constant_name(case)}. "
            f"On one batch of 16 rows it goes from {before:.3g} to {after:.3g}.",
            "No single cause was found: begin with one batch, a smaller network, and Adam.",
            {**_numbers(trial), "one batch": after},
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
