"""The learning rate, the momentum and the state of an optimiser: read, set, forgotten."""

from __future__ import annotations

from typing import Any

__all__ = ["forget_state", "get_momentum", "get_rate", "lower_momentum", "set_rate"]


def get_rate(optimizer: Any) -> float:
    """The largest learning rate of an optimiser's groups."""
    return max(float(group["lr"]) for group in optimizer.param_groups)


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the largest learning rate, and those of other groups in proportion."""
    largest = get_rate(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr"] / largest if largest else rate


def get_momentum(optimizer: Any) -> float:
    """The largest momentum of an optimiser's groups; 0 if it has none."""
    groups = getattr(optimizer, "param_groups", [])
    return max((float(group.get("momentum", 0.0)) for group in groups), default=0.0)


def lower_momentum(optimizer: Any) -> float:
    """Set the momentum to 0.9, where it was above, or to 0; returns it."""
    lower = 0.9 if get_momentum(optimizer) > 0.9 else 0.0
    for group in optimizer.param_groups:
        if not lower and "nesterov" in group:
            group["nesterov"] = False
        group["momentum"] = lower
    return lower


def forget_state(optimizer: Any) -> None:
    """An optimiser as before its first step."""
    optimizer.state = [{} for _ in optimizer.params]
