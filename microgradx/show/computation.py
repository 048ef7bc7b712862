"""What a Tensor was computed from, as far as its graph exists, and why it has no gradients."""

from __future__ import annotations

from operator import attrgetter

from microgradx.engine import Tensor

__all__ = ["find_computation", "why_no_gradients"]


def find_computation(output: Tensor) -> tuple[list[Tensor], set[Tensor]]:
    """All results that the output depends on, in order, and the leaves changed after use."""
    # The engine's walk raises for released graphs and changed leaves; what is left can be shown.
    found = [output]
    seen = {output}
    changed = set()
    for tensor in found:  # which grows meanwhile
        for x in tensor.inputs:
            if x.sequence_number > tensor.sequence_number:
                changed.add(x)
            if x not in seen:
                seen.add(x)
                found.append(x)
    results = [tensor for tensor in found if tensor.op is not None]
    results.sort(key=attrgetter("sequence_number"))
    return results, changed


def why_no_gradients(output: Tensor, name: str, results: list[Tensor], changed: set[Tensor]) -> str:
    """Why the output has no gradients; empty if it has."""
    if not output.requires_grad:
        return f"no gradients: {name} does not require any"
    if changed:
        return "no gradients: leaves have changed since they were used"
    if not all(result.inputs for result in results):
        return "no gradients: the graph has been freed"
    if output.size != 1:
        return f"no gradients: {name} has {output.size} elements, not one"
    return ""
