"""Gradients that are too large: scaled to a norm, or clipped to an interval.

The formulas are functions of arrays, so that compiled steps contain them too.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.messages import describe
from microgradx.engine import Tensor

__all__ = [
    "check_clip_value",
    "check_max_norm",
    "check_norm_type",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_values",
    "scale_to_norm",
    "total_norm",
]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients by one factor, so that their norm is at most `max_norm`; return it.

        ‖g‖ = (Σ |gᵢ|ᵖ)^(1/p) over all elements of all gradients, before they are scaled
        g = g · min(1, max_norm / (‖g‖ + 10⁻⁶))

    norm_type: p, above 0; `math.inf`, or "inf", for the largest |gᵢ|.
    error_if_nonfinite: raise FloatingPointError, before anything is changed, if the norm is
        infinite or NaN. Otherwise, as in PyTorch, an infinite one makes finite gradients 0, and NaN
        makes all of them NaN.

    Call it between `backward()` and `step()`. Parameters without gradients do not count. A
    `max_norm` of infinity only measures. Source: R. Pascanu et al., "On the difficulty of training
    recurrent neural networks", 2013, algorithm 1, in PyTorch's form.

    >>> import microgradx as mg
    >>> w = mg.Tensor([0.0, 0.0], requires_grad=True)
    >>> w.grad = np.array([3.0, 4.0])
    >>> mg.nn.utils.clip_grad_norm_([w], max_norm=1.0)
    5.0
    >>> np.round(w.grad, 6)
    array([0.6, 0.8])

    Raises ValueError for a `max_norm` below 0 and a `norm_type` of 0 or less, and TypeError for
    anything but Tensors.
    """
    max_norm, norm_type = check_max_norm(max_norm), check_norm_type(norm_type)
    tensors = _with_gradients(parameters)
    with np.errstate(invalid="ignore"):  # an infinity times 0
        gradients, norm = scale_to_norm([_gradient(t) for t in tensors], max_norm, norm_type)
    if error_if_nonfinite and not np.isfinite(norm):
        raise FloatingPointError(
            f"the norm of the gradients is {norm}, so they cannot be scaled to {max_norm:g}; look "
            "for the infinity or NaN with microgradx.detect_anomaly(), or lower the learning rate"
        )
    for tensor, gradient in zip(tensors, gradients, strict=True):
        tensor.grad = gradient
    return float(norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip each element of all gradients to between `-clip_value` and `clip_value`.

    Call it between `backward()` and `step()`. Parameters without gradients are left out.

    >>> import microgradx as mg
    >>> w = mg.Tensor([0.0, 0.0], requires_grad=True)
    >>> w.grad = np.array([3.0, -0.5])
    >>> mg.nn.utils.clip_grad_value_(w, 1.0)
    >>> w.grad
    array([ 1. , -0.5])

    Raises ValueError for a `clip_value` below 0, and TypeError for anything but Tensors.
    """
    clip_value = check_clip_value(clip_value)
    tensors = _with_gradients(parameters)
    gradients = clip_values([_gradient(t) for t in tensors], clip_value)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        tensor.grad = gradient


# ---------------------------------------------------------------------------- of arrays


def scale_to_norm(
    gradients: Sequence[Array], max_norm: float, norm_type: float = 2.0
) -> tuple[list[Array], Array]:
    """The gradients as `clip_grad_norm_` scales them, as arrays, and their norm."""
    norm = total_norm(gradients, norm_type)
    if max_norm == math.inf:
        return list(gradients), norm
    factor = np.minimum(max_norm / (norm + 1e-6), 1.0)
    return [(g * factor).astype(g.dtype) for g in gradients], norm


def total_norm(gradients: Sequence[Array], norm_type: float = 2.0) -> Array:
    """The norm of all elements together, in float64.

    Divided by the largest, no power overflows, or is 0 for numbers that are not.
    """
    filled = [g for g in gradients if g.size]
    if not filled:
        return np.zeros(())
    magnitudes = [np.abs(g.astype(np.float64)) for g in filled]
    largest = _reduce(np.maximum, [np.max(magnitude) for magnitude in magnitudes])
    if norm_type == math.inf:
        return largest
    # By 1 if all are 0, or the largest is infinite or NaN: it is the norm then, times something.
    scale = np.where((largest > 0) & (largest < math.inf), largest, 1.0)
    powers = [np.sum((magnitude / scale) ** norm_type) for magnitude in magnitudes]
    norm: Array = scale * _reduce(np.add, powers) ** (1 / norm_type)
    return norm


def clip_values(gradients: Sequence[Array], clip_value: float) -> list[Array]:
    """The gradients as `clip_grad_value_` clips them, in new arrays."""
    limits = [min(clip_value, float(np.finfo(g.dtype).max)) for g in gradients]
    return [np.clip(g, -limit, limit) for g, limit in zip(gradients, limits, strict=True)]


def _reduce(function: Callable[[Any, Any], Any], items: list[Any]) -> Any:
    return functools.reduce(function, items)


# ---------------------------------------------------------------------------- arguments


def check_max_norm(max_norm: Any) -> float:
    """`max_norm` as a float; raises TypeError or ValueError if it cannot be one."""
    return _check_limit("max_norm", max_norm)


def check_clip_value(clip_value: Any) -> float:
    """`clip_value` as a float; raises TypeError or ValueError if it cannot be one."""
    return _check_limit("clip_value", clip_value)


def check_norm_type(norm_type: Any) -> float:
    """`norm_type` as a float; raises TypeError or ValueError if it cannot be one."""
    norm_type = math.inf if norm_type == "inf" else norm_type
    if _check_limit("norm_type", norm_type) == 0:
        raise ValueError("norm_type must be above 0, not 0; 2 is the usual one, inf the largest")
    return float(norm_type)


def _check_limit(name: str, value: Any) -> float:
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, not {value}")
    return float(value)


def _with_gradients(parameters: Any) -> list[Tensor]:
    """The Tensors that have a gradient, each once."""
    tensors = [parameters] if isinstance(parameters, Tensor) else parameters
    if not isinstance(tensors, Iterable):
        raise TypeError(
            f"parameters must be Tensors, not {type(parameters).__name__}; write "
            "model.parameters(), or a list of Tensors"
        )
    tensors = list(dict.fromkeys(tensors))
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"parameter {position} is not a Tensor but {type(tensor).__name__}; write "
                "model.parameters(), or a list of Tensors"
            )
    if not tensors:
        warnings.warn(
            "there are no parameters, so no gradient was clipped; a generator such as "
            "model.parameters() is empty after its first use",
            stacklevel=3,
        )
    return [tensor for tensor in tensors if tensor.grad is not None]


def _gradient(tensor: Tensor) -> Array:
    """The gradient of a Tensor as an array; raises ValueError for one of another shape."""
    gradient: Array = np.asarray(unwrap(tensor.grad))
    if gradient.shape != tensor.shape:
        raise ValueError(
            f"{describe(tensor)} has a gradient of shape {gradient.shape}; the shapes must be the "
            "same: set grad to None, and let backward() fill it"
        )
    return gradient
