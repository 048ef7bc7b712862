"""Faults of the loss: what it is given, and along which axis."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from microgradx.arrays.types import Array
from microgradx.autograd import grad
from microgradx.engine import Tensor
from microgradx.functional import logsumexp
from microgradx.training.doctor.case import Case, Setup, quiet
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.loss_probe import BINARY_LOSSES, LABEL_LOSSES, LossProbe

__all__ = ["find_loss_faults"]


def find_loss_faults(case: Case) -> Iterator[Finding]:
    mixed = list(_find_wrong_axis(case))
    yield from mixed
    if not mixed:
        yield from _find_wrong_argument(case)
        yield from _find_loss_below_floor(case)


# ---------------------------------------------------------------------------- the axis


def _find_wrong_axis(case: Case) -> Iterator[Finding]:
    """The gradient at a row's output depends on that row alone, if the loss sums over rows.

    Other rows' outputs and targets are exchanged among each other, and the gradients compared.
    """
    out, y = case.probe.output, case.y
    rows = len(y)
    if out.ndim < 1 or len(out.array) != rows or rows < 4:
        return
    half = rows // 2
    broadcasts = out.shape != y.shape and out.size == y.size
    exchanged = np.r_[np.arange(half), np.roll(np.arange(half, rows), 1)]
    targets = y[exchanged]
    if broadcasts:  # where a mean over the targets would not notice an exchange
        targets[half:] = y.max() + y.min() - targets[half:]
        if y.dtype.kind == "f":
            targets[half:] += np.ptp(y)
    changed = out.array[exchanged] * np.where(np.arange(rows) < half, 1, 0.5).reshape(
        -1, *[1] * (out.ndim - 1)
    )
    with quiet():
        before = _output_gradient(case, out.array, y)
        after = _output_gradient(case, changed, targets)
    if before is None or after is None or not np.isfinite(before).all():
        return
    scale = float(np.abs(before).max())
    difference = float(np.abs(before[:half] - after[:half]).max())
    if scale == 0 or difference <= 1e-3 * scale:
        return
    numbers = {"change": difference / scale}
    if broadcasts:
        yield Finding(
            "wrong shapes in the loss",
            f"The output has shape {out.shape} and y has shape {y.shape}, which broadcast to "
            f"{np.broadcast_shapes(out.shape, y.shape)}: each prediction is compared with every "
            f"target, and other targets of other rows change a row's gradient by "
            f"{difference / scale:.0%}.",
            "Give both one shape: model(X)[:, 0], or y[:, None]; mse_loss refuses shapes that "
            "differ.",
            numbers,
        )
        return
    axis = case.probe.settings.get("axis")
    at = f" (axis={axis})" if axis is not None else ""
    yield Finding(
        "wrong axis in the loss",
        f"The gradient of a row depends on the other rows: exchanging those changes it by up to "
        f"{difference / scale:.0%}. The loss normalises over the rows of the batch{at} and not "
        "over the classes of a row.",
        "Take softmax, log_softmax and cross_entropy along the axis of the classes, axis=-1.",
        numbers,
    )


def _output_gradient(case: Case, output: Array, y: Array) -> Array | None:
    leaf = Tensor(output, requires_grad=True)
    try:
        value = np.mean(case.loss(leaf, y))
        (gradient,) = grad(value, leaf)
    except (ValueError, TypeError, IndexError):
        return None
    return np.asarray(gradient, float)


# ---------------------------------------------------------------------------- the argument


def _find_wrong_argument(case: Case) -> Iterator[Finding]:
    probe = case.probe
    if probe.kind == "nll_loss":
        yield from _find_wrong_log_probabilities(case)
        return
    low, high = _reach(case)
    is_classifier = case.labels is not None and (probe.kind in (*LABEL_LOSSES, *BINARY_LOSSES))
    if not is_classifier:
        yield from _find_unreachable_targets(case, low, high)
        return
    if low >= -1e-6 and high <= 1 + 1e-6:
        yield _describe_probabilities(case, probe)
    elif low >= 0:
        yield Finding(
            "relu after the last layer",
            f"No output of the model is negative, whatever its weights: {_share_of_zeros(case):.0%}"
            f" of them are 0, where no gradient passes. {probe.kind} needs scores of both signs.",
            "Remove the relu after the last layer: the logits are a linear layer's output.",
            {"zeros": _share_of_zeros(case)},
        )
    elif math.isfinite(low) and math.isfinite(high):
        floor = _floor_of_range(case, low, high)
        if floor > 0.05:
            yield Finding(
                "bounded logits",
                f"The model's outputs stay between {low:.3g} and {high:.3g}, whatever its weights, "
                f"so the loss cannot fall below {floor:.3g}.",
                "Remove the activation after the last layer: logits must be able to grow.",
                {"low": low, "high": high, "loss": floor},
            )


def _describe_probabilities(case: Case, probe: LossProbe) -> Finding:
    floor = _floor_of_range(case, 0, 1)
    numbers = {"lowest loss": floor, "loss": float(np.mean(probe.value.data))}
    if probe.kind in BINARY_LOSSES:
        return Finding(
            "sigmoid applied twice",
            f"The model's outputs are probabilities, from 0 to 1, and {probe.kind} applies a "
            f"sigmoid itself: its probabilities stay between 0.5 and 0.73, and the loss cannot "
            f"fall below {floor:.3g}.",
            "Pass the logits: remove the sigmoid (or softmax) at the end of the model.",
            numbers,
        )
    sums = np.sum(probe.argument.array, axis=probe.axis)
    what = "softmax" if np.allclose(sums, 1, atol=1e-3) else "sigmoid"
    return Finding(
        "softmax applied twice" if what == "softmax" else "sigmoid before the loss",
        f"The model's outputs are probabilities, from 0 to 1"
        f"{' with the sum 1' if what == 'softmax' else ''}, and {probe.kind} applies softmax "
        f"itself: gradients shrink, and with {case.classes} classes the loss cannot fall below "
        f"{floor:.3g}.",
        f"Pass the logits: remove the {what} at the end of the model, and use it for predictions "
        "only.",
        numbers,
    )


def _find_wrong_log_probabilities(case: Case) -> Iterator[Finding]:
    scores = case.probe.argument.array
    axis = -1 if case.probe.argument.ndim == 1 else 1
    if scores.ndim != 2 or not np.isfinite(scores).all():
        return
    sums = np.asarray(logsumexp(scores.astype(float), axis))
    if np.abs(sums).max() < 1e-2:
        return
    numbers = {"Σ exp": float(np.mean(np.exp(np.minimum(sums, 700))))}
    low, high = float(scores.min()), float(scores.max())
    if low >= 0 and np.allclose(scores.sum(axis), 1, atol=1e-3):
        yield Finding(
            "softmax before nll_loss",
            f"nll_loss takes log-probabilities, and the model's outputs are probabilities, from "
            f"{low:.3g} to {high:.3g} with the sum 1: the loss is -p and not -ln p, and its "
            "gradient does not grow where p is small.",
            "Use log_softmax in place of softmax, or pass the logits to cross_entropy.",
            numbers,
        )
        return
    yield Finding(
        "logits passed to nll_loss",
        f"nll_loss takes log-probabilities, whose exponentials have the sum 1; those of the "
        f"model's outputs have the sum {numbers['Σ exp']:.3g} on average. The loss has no lowest "
        "value: it falls below 0 without learning.",
        "Pass the logits to cross_entropy, or add log_softmax at the end of the model.",
        numbers,
    )


def _find_unreachable_targets(case: Case, low: float, high: float) -> Iterator[Finding]:
    """Targets of a regression outside the range of the last activation."""
    y = case.y
    if y.dtype.kind != "f" or case.labels is not None or y.size == 0:
        return
    outside = float(np.mean((y < low - 1e-6) | (y > high + 1e-6)))
    if outside > 0.05:
        yield Finding(
            "targets out of reach",
            f"The model's outputs stay between {low:.3g} and {high:.3g}, whatever its weights, and "
            f"{outside:.0%} of the targets, from {y.min():.3g} to {y.max():.3g}, lie outside.",
            "Remove the activation after the last layer, or scale the targets into its range.",
            {"low": low, "high": high, "outside": outside},
        )


def _share_of_zeros(case: Case) -> float:
    return float(np.mean(case.probe.argument.array == 0))


def _floor_of_range(case: Case, low: float, high: float) -> float:
    """The lowest loss if the right class has the score `high`, and all others `low`."""
    if case.probe.kind in BINARY_LOSSES:
        assert case.labels is not None
        positive = float(np.mean(case.labels))
        return positive * math.log1p(math.exp(-high)) + (1 - positive) * math.log1p(math.exp(low))
    classes = case.probe.argument.shape[case.probe.axis]
    return math.log1p((classes - 1) * math.exp(max(low - high, -700)))


def _reach(case: Case) -> tuple[float, float]:
    """The range of what the loss is given, under weights that are far larger, of either sign."""
    probes = [case.probe.argument.array]
    generator = case.generator()
    with quiet():
        for scale in (30.0, 30.0, 1000.0, 1000.0):
            setup = case.copy()
            for parameter in setup.model.parameters():
                sign = generator.choice([-1.0, 1.0], parameter.shape)
                large = np.nan_to_num(np.asarray(parameter.data, float)) * scale + scale / 10
                parameter.data = np.clip(sign * large, -1e6, 1e6).astype(parameter.dtype)
            probes.append(_argument_of(setup))
    values = np.concatenate([np.ravel(probe) for probe in probes]).astype(float)
    values = values[np.isfinite(values)]
    if not values.size:
        return -math.inf, math.inf
    low, high = float(values.min()), float(values.max())
    if low >= -1e-6 and high <= 1 + 1e-6:
        return low, high
    # Bounds are reached again and again; other values spread.
    near = 1e-3 * max(high - low, 1e-12)
    is_bounded_below = np.mean(values <= low + near) > 0.05 and low > -100
    is_bounded_above = np.mean(values >= high - near) > 0.05 and high < 100
    return low if is_bounded_below else -math.inf, high if is_bounded_above else math.inf


def _argument_of(setup: Setup) -> Array:
    setup.model.eval()
    try:
        return np.asarray(LossProbe(setup.model, setup.loss, setup.X, setup.y).argument.array)
    except (ValueError, TypeError, IndexError):
        return np.zeros(0)


# ---------------------------------------------------------------------------- below the floor


def _find_loss_below_floor(case: Case) -> Iterator[Finding]:
    floor = case.lowest_loss
    loss = float(np.mean(case.probe.value.data))
    if floor is None or case.probe.kind == "nll_loss" or not math.isfinite(loss):
        return
    if loss < floor - 1e-4 * max(1, abs(floor)):
        yield below_floor(loss, floor)


def below_floor(loss: float, floor: float) -> Finding:
    return Finding(
        "loss below its floor",
        f"The loss is {loss:.4g}, and no prediction has a loss below {floor:.4g}: it does not "
        "measure how well the labels are predicted.",
        "Check its sign, that it takes logits or log-probabilities as it should, and that targets "
        "are labels or probabilities; cross_entropy(logits, labels) does all of this.",
        {"loss": loss, "floor": floor},
    )
