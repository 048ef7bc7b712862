"""What a remedy that works says about the cause: the findings of `hypotheses`, in sentences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.checking.anomaly import AnomalyError, detect_anomaly
from microgradx.common.messages import shorten
from microgradx.training.doctor.case import Case, quiet
from microgradx.training.doctor.constant_predictions import entropy_of
from microgradx.training.doctor.curvature import largest_stable_rate
from microgradx.training.doctor.data_faults import FeatureScale
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.network_faults import NetworkState
from microgradx.training.doctor.optimizer_settings import get_momentum
from microgradx.training.doctor.trials import Remedy, Trial, prepare, run_trial

__all__ = [
    "collect_losses",
    "describe_anomaly",
    "describe_constant",
    "describe_course",
    "describe_cure",
    "describe_unrelated",
    "is_numeric",
]


#: What share of a remedy's success another one must have to be as good.
TRAINS_WELL = 0.9


def describe_course(trial: Trial) -> str:
    """How the loss went, in a sentence."""
    if trial.failed_at is not None:
        return f"the loss became {trial.losses[-1]} at step {trial.failed_at}"
    return f"the loss went from {trial.before:.4g} to {trial.after:.4g} in {trial.steps}"


def describe_constant(case: Case) -> str:
    """What the loss of a constant prediction is, in a sentence."""
    loss = f"{case.constant_loss:.4g}"
    if not math.isfinite(case.constant_loss):
        return "The loss of a constant prediction is not finite."
    if case.labels is None:
        return f"The best constant prediction would have {loss}."
    counts = np.bincount(case.labels)
    logarithm = math.log(np.count_nonzero(counts))
    if abs(case.constant_loss - logarithm) <= 0.01 * logarithm:
        return f"A constant prediction would have {loss}, about ln {np.count_nonzero(counts)}."
    if math.isclose(case.constant_loss, entropy_of(case.labels), rel_tol=1e-3):
        return f"A constant prediction, the class frequencies, would have {loss}."
    return f"A constant prediction would have {loss}."


def collect_losses(trial: Trial, cure: Trial | None = None) -> dict[str, float]:
    """The losses that are numbers at all."""
    losses = {"loss before": trial.before, "loss after": trial.after}
    if cure is not None:
        losses["loss with remedy"] = cure.after
    return {name: loss for name, loss in losses.items() if not math.isnan(loss)}


def describe_cure(case: Case, state: NetworkState, trial: Trial, cure: Trial) -> Finding:
    remedy, course = cure.remedy, describe_course(trial)
    numbers = collect_losses(trial, cure)
    learnt = f"{cure.after:.3g} after {cure.steps}"
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
    if cure.rate < trial.rate:
        return _describe_large_rate(case, trial, cure, numbers)
    numbers.update({"lr": trial.rate, "suggested lr": cure.rate})
    return Finding(
        "learning rate too small",
        f"With the learning rate {trial.rate:.3g} {describe_course(trial)}; with {cure.rate:.2g} "
        f"it is {cure.after:.3g} after {cure.steps}.",
        f"Raise the learning rate to about {cure.rate:.2g}; mg.lr_range_test(model, data) shows "
        "the range.",
        numbers,
    )


def _describe_large_rate(
    case: Case, trial: Trial, cure: Trial, numbers: dict[str, float]
) -> Finding:
    momentum = get_momentum(case.optimizer)
    fresh = case if not cure.remedy.weights else _with_fresh_weights(case)
    found = largest_stable_rate(fresh, case.optimizer)
    evidence = advice = ""
    if found is not None:
        curvature, limit = found
        numbers.update({"curvature": curvature, "largest stable lr": limit})
        cure = _raise_rate(case, cure, limit)
        if limit < trial.rate:
            bound = "2 / λ"
            if momentum:
                is_nesterov = any(group["nesterov"] for group in case.optimizer.param_groups)
                bound = "2 (1 + μ) / λ" + (" / (1 + 2 μ)" if is_nesterov else "")
            evidence = (
                f" The largest curvature is {curvature:.3g}, so rates above {bound} = {limit:.2g} "
                "diverge" + (f", with the momentum μ = {momentum:g}." if momentum else ".")
            )
    if case.probe.is_sum:
        evidence += " The loss is a sum over the rows, so gradients grow with the batch."
    if momentum:
        remedy = Remedy(momentum=True, weights=cure.remedy.weights)
        calmer = run_trial(case, remedy)
        lower = get_momentum(prepare(case, remedy).optimizer)
        if not calmer.rises and calmer.explained >= TRAINS_WELL * cure.explained:
            evidence += (
                f" With the momentum {lower:g} in place of {momentum:g}, and the rate as it was, "
                f"it is {calmer.after:.3g}: the momentum, too, may be what is too large."
            )
            advice = f", or the momentum to {lower:g}"
    numbers.update({"lr": trial.rate, "suggested lr": cure.rate, "loss with remedy": cure.after})
    again = " from fresh weights, as these are broken by it," if cure.remedy.weights else ""
    return Finding(
        "learning rate too large",
        f"With the learning rate {trial.rate:.3g} {describe_course(trial)}; with {cure.rate:.2g}"
        f"{again} it is {cure.after:.3g} after {cure.steps}.{evidence}",
        f"Lower the learning rate to about {cure.rate:.2g}{advice}; "
        "mg.lr_range_test(model, data) shows the range, and clip gradients if single steps go "
        "astray.",
        numbers,
    )


def _raise_rate(case: Case, cure: Trial, limit: float) -> Trial:
    """The largest of a quarter of the limit, a sixteenth …, that trains as well, if any does.

    In a range test the momentum acts late, and what it suggests may be far too small.
    """
    rate = limit / 4
    while rate > 2 * cure.rate:
        trial = run_trial(case, cure.remedy, rate)
        if not trial.rises and trial.explained >= TRAINS_WELL * cure.explained:
            return trial
        rate /= 4
    return cure


def _with_fresh_weights(case: Case) -> Case:
    setup = prepare(case, Remedy(weights=True))
    return Case(setup.model, case.X, case.y, setup.loss, setup.optimizer, case.batch_size)


def _describe_network(
    case: Case, state: NetworkState, trial: Trial, cure: Trial, numbers: dict[str, float]
) -> Finding:
    if state.has_broken_weights:
        broken = [path for path, w in state.weights.items() if not np.isfinite(w).all()]
        return Finding(
            "weights not finite",
            f"{len(broken)} of {len(state.weights)} parameters hold NaN or infinities, "
            f"{shorten(broken)}, and no step can mend them; from fresh weights the loss is "
            f"{cure.after:.3g} after {cure.steps}.",
            "Start again from fresh weights, or from a checkpoint; clip the gradients, and train "
            "inside mg.detect_anomaly() to see where it begins.",
            {"parameters": len(broken)},
        )
    falls, scale = state.falls_by(), state.weight_scale()
    sizes = state.sizes()
    numbers.update({"gradient ratio": falls, "weights / He": scale})
    course = describe_course(trial)
    after = f"{cure.after:.3g} after {cure.steps}"
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


def describe_unrelated(case: Case, trial: Trial, seen: float, chance: float) -> Finding:
    if case.labels is None:
        what, agree, groups = "targets", "have a target in the same quarter", "quarters"
    else:
        what, agree, groups = "labels", "have its label", "classes"
    course = describe_course(trial)
    frequent = 0.0 if case.labels is None else float(np.bincount(case.labels).max() / len(case.y))
    return Finding(
        f"{what} unrelated to features",
        f"The nearest neighbours of a row {agree} in {seen:.1%} of cases, and in {chance:.1%} with "
        f"shuffled {what}"
        + (f" (one class has {frequent:.1%} of the rows)" if frequent > 0.8 else "")
        + f"; no column differs between {groups} either. "
        f"{course[0].upper()}{course[1:]}. {describe_constant(case)}",
        "Check that X and y are in the same order: were they shuffled, sorted or filtered "
        "separately? Shuffle both by one permutation."
        + (" If they are, the columns do not say which rows are rare." if frequent > 0.8 else ""),
        {**collect_losses(trial), "agreement": seen, "by chance": chance},
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


def is_numeric(case: Case, trial: Trial) -> bool:
    error = _find_anomaly(case, trial)
    return error is not None and error.op is not None and error.op.name in _NUMERIC


def describe_anomaly(case: Case, trial: Trial) -> Finding:
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
