"""Errors of the backward sweep: the graph, or what it starts from, is not as it must be."""

from __future__ import annotations

from typing import Any

from microgradx.common.messages import describe


def graph_was_released(tensor: Any) -> ValueError:
    return ValueError(
        f"the graph behind {describe(tensor)} was released by backward(retain_graph=False); keep "
        "it, or compute the result again"
    )


def changed_after_use(x: Any, op: Any) -> ValueError:
    return ValueError(
        f"{describe(x)} was changed after {op!r} had used it, so its gradient would be that of "
        "values that are gone; call backward() before an optimiser's step or `.data = …`, or "
        "compute the result again"
    )


def requires_no_gradient(output: Any) -> ValueError:
    return ValueError(
        f"{describe(output)} does not require gradients, so there is nothing to compute; was an "
        "input made with requires_grad=True, and outside no_grad()?"
    )


def needs_gradient(output: Any) -> ValueError:
    return ValueError(
        f"backward() of {describe(output)} needs a gradient of its shape, since it is not a single "
        "number; reduce it first, as in t.sum().backward(), or pass one"
    )


def gradient_does_not_fit(gradient: Any, output: Any) -> ValueError:
    return ValueError(
        f"a gradient of shape {gradient.shape} for {describe(output)}; the shapes must be the "
        "same: the gradient says how much each element counts"
    )
