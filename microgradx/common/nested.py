"""Nested structures of lists, tuples, dicts and slices: a function of every leaf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["leaves_of", "map_nested"]


def map_nested(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """Apply a function to each leaf of a structure, and to the leaves of others in its place.

    Raises ValueError if another structure differs.

    >>> map_nested(lambda x, y: x + y, {"w": [1, 2], "b": 3}, {"w": [10, 20], "b": 30})
    {'w': [11, 22], 'b': 33}
    """
    kind: Any = type(structure)
    if not others and kind is tuple:  # the most frequent case
        return tuple([map_nested(function, item) for item in structure])
    if not isinstance(structure, (tuple, list, dict, slice)):
        return function(structure, *others)
    for other in others:
        if (
            type(other) is not kind
            or (not isinstance(structure, slice) and len(other) != len(structure))
            or (isinstance(structure, dict) and set(other) != set(structure))
        ):
            raise ValueError(f"{other!r} does not have the structure of {structure!r}")
    if isinstance(structure, dict):
        return {
            key: map_nested(function, value, *[other[key] for other in others])
            for key, value in structure.items()
        }
    if isinstance(structure, slice):
        parts = [(each.start, each.stop, each.step) for each in (structure, *others)]
        return slice(*map_nested(function, *parts))
    items = [map_nested(function, *each) for each in zip(structure, *others, strict=True)]
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def leaves_of(structure: Any) -> list[Any]:
    """The leaves of a nested structure, in its order.

    >>> leaves_of(([1, 2], {"a": 3}))
    [1, 2, 3]
    """
    leaves: list[Any] = []
    map_nested(leaves.append, structure)
    return leaves
