"""The learning rate and the state of an optimiser: read, set, forgotten."""

from __future__ import annotations

from typing import Any

__all__ = ["forget_state", "get_rate", "set_rate"]


def get_rate(optimizer: Any) -> float:
    """The largest learning rate of an optimiser's groups."""
    return max(float(group["lr"]) for group in optimizer.param_groups)


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the largest learning rate, and those of other groups in proportion."""
    largest = get_rate(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr"] / largest if largest else rate


def forget_state(optimizer: Any) -> None:
    """An optimiser as before its first step."""
    optimizer.state = [{} for _ in optimizer.params]
