"""Faults of the network: units that are dead, saturated or alike, and gradients that are lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from microgradx.arrays.types import Array
from microgradx.autograd import grad
from microgradx.common.messages import shorten
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import no_grad
from microgradx.graph.observers import observe
from microgradx.training.doctor.case import Case, quiet
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.units import ActivationLayer, ActivationObserver

__all__ = [
    "NetworkState",
    "find_mixed_rows",
    "find_network_faults",
    "find_stuck_units",
    "observe_network",
]


Hidden = list[tuple[ActivationLayer, Array]]


@dataclass
class NetworkState:
    """What one forward and backward pass over the rows shows of the network."""

    activations: list[ActivationLayer]
    activation_gradients: list[Array | None]
    gradients: dict[str, Array | None]  # of each parameter, by its path
    weights: dict[str, Array]
    loss: float

    def sizes(self) -> dict[str, float]:
        """The root mean square of the gradient of each weight that is a matrix or a kernel."""
        return {
            path: float(np.sqrt(np.mean(np.square(g, dtype=float))))
            for path, g in self.gradients.items()
            if g is not None and g.ndim > 1
        }

    @property
    def has_broken_weights(self) -> bool:
        return not all(np.isfinite(w).all() for w in self.weights.values())

    def weight_scale(self) -> float:
        """The geometric mean of |weights| / √(2 / fan in): 1 for He's distribution."""
        ratios = [
            float(np.sqrt(np.mean(np.square(w, dtype=float)) * np.prod(w.shape[1:]) / 2))
            for w in self.weights.values()
            if w.ndim > 1 and np.any(w)
        ]
        return float(np.exp(np.mean(np.log(ratios)))) if ratios else 1.0

    def falls_by(self) -> float:
        """How much smaller the first weights' gradient is than the largest of the later ones."""
        sizes = list(self.sizes().values())
        return sizes[0] / max(sizes) if len(sizes) > 1 and max(sizes) > 0 else 1.0


def observe_network(case: Case) -> NetworkState:
    setup = case.copy()
    observer = ActivationObserver()
    setup.model.eval()
    with quiet():
        with observe(observer):
            output = setup.model(setup.X)
        value = np.mean(setup.loss(output, setup.y))
        parameters = {path: p for path, p in setup.model.named_parameters() if p.requires_grad}
        outs = [layer.out for layer in observer.layers]
        wanted = [*parameters.values(), *outs]
        if isinstance(value, Tensor) and value.requires_grad and wanted:
            found = grad(value, wanted, allow_unused=True)
        else:
            found = (None,) * len(wanted)
    count = len(parameters)
    return NetworkState(
        observer.layers,
        list(found[count:]),
        dict(zip(parameters, found[:count], strict=True)),
        {path: parameter.data for path, parameter in parameters.items()},
        float(np.asarray(value.data if isinstance(value, Tensor) else value)),
    )


def find_network_faults(case: Case, state: NetworkState) -> Iterator[Finding]:
    yield from _find_missing_gradients(case, state)
    yield from _find_symmetric_units(_hidden(case, state), state)


def find_stuck_units(case: Case, state: NetworkState, *, learns: bool) -> list[Finding]:
    """Layers of which most units are dead or saturated; a mere note if the rest learns."""
    found = list(_find_stuck_units(_hidden(case, state)))
    return [replace(finding, severity="note") for finding in found] if learns else found


def _hidden(case: Case, state: NetworkState) -> Hidden:
    """The activations before the loss's argument, with their gradients."""
    return [
        (layer, g)
        for layer, g in zip(state.activations, state.activation_gradients, strict=True)
        if layer.name != "?" and not _is_argument(layer.out, case) and g is not None
    ]


def _is_argument(out: Tensor, case: Case) -> bool:
    argument = case.probe.argument.array
    return out.shape == argument.shape and np.array_equal(out.array, argument)


# ---------------------------------------------------------------------------- gradients


def _find_missing_gradients(case: Case, state: NetworkState) -> Iterator[Finding]:
    if not state.gradients:
        frozen = len(list(case.model.parameters()))
        yield Finding(
            "no trainable parameters",
            f"All {frozen} parameters of the model are frozen, so no step changes anything."
            if frozen
            else "The model has no parameters, so no step changes anything.",
            "Call model.unfreeze()."
            if frozen
            else "Set Tensors that require gradients, or modules, as attributes of the model.",
            {"frozen": frozen},
        )
        return
    missing = [path for path, g in state.gradients.items() if g is None]
    if missing:
        total = len(state.gradients)
        yield Finding(
            "no gradient reaches parameters",
            f"The gradient of {len(missing)} of {total} parameters is None: {shorten(missing)}. "
            "The loss was not computed from them, or its graph was cut on the way.",
            "In forward, use every layer, and remove .data, .detach(), .numpy(), float() and "
            "no_grad() between these parameters and the loss.",
            {"without gradient": len(missing), "parameters": total},
            "error"
            if 2 * len(missing) >= total or missing[0] == next(iter(state.gradients))
            else "warning",
        )


# ---------------------------------------------------------------------------- rows that mix


def find_mixed_rows(case: Case) -> Iterator[Finding]:
    """A row's output must not depend on the other rows that are in its batch."""
    setup = case.copy()
    setup.model.eval()
    rows = min(len(case.X), 64)
    if rows < 4:
        return
    X = case.X[:rows]
    with no_grad(), quiet():
        try:
            whole, again = (np.asarray(setup.model(X).data, float) for _ in range(2))
            part = np.asarray(setup.model(X[: rows // 2]).data, float)
        except (ValueError, TypeError, IndexError, AttributeError):
            return
    if len(whole) != rows or not np.isfinite(whole).all() or not np.array_equal(whole, again):
        return
    scale = max(float(np.std(whole)), float(np.abs(whole).max()) * 1e-3, 1e-30)
    difference = float(np.abs(whole[: rows // 2] - part).max()) / scale
    if difference > 1e-2:
        yield Finding(
            "wrong axis in the model",
            f"A row's output depends on the other rows of its batch: without half of {rows} rows "
            f"the others' outputs change by up to {difference:.2g} standard deviations, in "
            "evaluation mode.",
            "Look in forward for a softmax, mean, norm, reshape or transpose that works along "
            "axis 0, the rows; classes and features are along the last axis (axis=-1).",
            {"change": difference, "rows": rows},
        )


# ---------------------------------------------------------------------------- units


def _by_unit(layer: ActivationLayer, values: Array) -> Array:
    return np.moveaxis(values, layer.axis, 0).reshape(values.shape[layer.axis], -1)


def _find_symmetric_units(hidden: Hidden, state: NetworkState) -> Iterator[Finding]:
    """Units that compute the same and receive the same gradient stay the same for ever."""
    for layer, g in hidden:
        outputs, gradients = _by_unit(layer, layer.out.array), _by_unit(layer, g)
        if len(outputs) < 2 or not np.isfinite(outputs).all():
            continue
        scale = np.abs(gradients).max()
        are_alike = np.ptp(outputs, axis=0).max() <= 1e-6 * max(np.abs(outputs).max(), 1e-30)
        if not are_alike or np.ptp(gradients, axis=0).max() > 1e-6 * scale:
            continue
        weights = [w for path, w in state.weights.items() if w.ndim > 1]
        constant = [w for w in weights if np.ptp(w) == 0]
        if not constant:
            continue  # all of them dead, say, and not alike by their weights
        is_zero = all(np.all(w == 0) for w in constant)
        value = float(constant[0].flat[0])
        yield Finding(
            "zero initialisation" if is_zero else "constant initialisation",
            f"All {len(outputs)} units of layer {layer.name!r} compute the same number and receive "
            f"the same gradient, because {len(constant)} of {len(weights)} weights are "
            f"{value:g} throughout: they will stay alike, as if there were one unit, "
            "or none.",
            "Draw the weights at random, as nn.Linear does by default; only biases start at 0.",
            {"units": len(outputs), "weights": value},
        )
        return


def _find_stuck_units(hidden: Hidden) -> Iterator[Finding]:
    for kind, is_saturating in (("dead units", False), ("saturated units", True)):
        layers = [layer for layer, _ in hidden if layer.is_saturating is is_saturating]
        # Half of a layer is lost.
        bad = [layer for layer in layers if 2 * int(layer.stuck.sum()) > len(layer.stuck)]
        if not bad:
            continue
        counts = ", ".join(
            f"{int(layer.stuck.sum())} of {len(layer.stuck)} in layer {layer.name!r}"
            for layer in bad
        )
        worst = max(bad, key=lambda layer: float(layer.stuck.mean()))
        share = float(worst.stuck.mean())
        numbers = {f"layer {layer.name}": float(layer.stuck.mean()) for layer in bad}
        if is_saturating:
            sentence = (
                f"Units of {worst.op} are saturated, flat at 90 % of the rows or more: {counts}. "
                "Their derivative there is less than a hundredth of its largest, so hardly any "
                "gradient passes."
            )
            remedy = (
                "Start from smaller weights (nn.initialisation.glorot_uniform), standardise the "
                "features, lower the learning rate, or use relu."
            )
        else:
            sentence = (
                f"Units of {worst.op} are dead, 0 for every row: {counts}. No gradient passes "
                "through them, so they stay dead."
            )
            remedy = (
                "Start again from fresh weights (he_uniform, biases 0), with a lower learning rate "
                "and standardised features; or use leaky_relu, whose units cannot die."
            )
        yield Finding(kind, sentence, remedy, numbers, "error" if share == 1 else "warning")
