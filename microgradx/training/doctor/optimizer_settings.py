"""The learning rate and the state of an optimiser: read, set, forgotten."""

from __future__ import annotations

from typing import Any

__all__ = ["forget_state", "get_rate", "set_rate"]


def get_rate(optimizer: Any) -> float | None:
    """The largest learning rate of an optimiser's groups."""
    groups = getattr(optimizer, "param_groups", None)
    if groups:
        return max(float(group["lr"]) for group in groups)
    return None if optimizer is None else float(optimizer.lr)


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the largest learning rate, and those of other groups in proportion."""
    groups = getattr(optimizer, "param_groups", None)
    largest = get_rate(optimizer)
    for group in groups or ():
        group["lr"] = rate * group["lr"] / largest if largest else rate
    if not groups or len(groups) == 1:
        optimizer.lr = rate


def forget_state(optimizer: Any) -> None:
    """An optimiser as before its first step."""
    if hasattr(optimizer, "state"):
        optimizer.state = [{} for _ in optimizer.params]
