"""Attention as a function, with PyTorch's name and arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, as_array, as_floats
from microgradx.functional import softmax
from microgradx.graph.scopes import scope
from microgradx.nn.functional_dropout import dropout
from microgradx.ops.shapes import swapaxes

__all__ = ["as_scores", "attention", "causal_mask", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """softmax(q kᵀ / √E) v: for each query a mean of the values, weighted by how well keys match.

    `query` has shape (…, L, E), `key` (…, S, E), `value` (…, S, V), and the result (…, L, V).

    attn_mask: of a shape that broadcasts to (…, L, S). Booleans: True where a query may attend to a
        key (the opposite of `nn.MultiheadAttention`'s masks, as in PyTorch). Floats are added to
        the scores, and receive a gradient if they require one.
    dropout_p: the probability of a weight to be dropped; at all times, so pass 0 when evaluating.
    is_causal: query i attends to the keys 0 to i only; besides `attn_mask`, if that is given.
    scale: the factor in place of 1 / √E.

    A query that may attend to no key results in NaN, as a softmax of nothing but -inf does. Raises
    ValueError for shapes that do not fit, and TypeError for a mask of integers. Source: A. Vaswani
    et al., "Attention is all you need", 2017, equation 1.

    >>> key = np.array([[10.0, 0.0], [0.0, 10.0]])
    >>> scaled_dot_product_attention(10 * key[:1], key, np.array([[1.0], [2.0]]))
    array([[1.]])
    """
    q, k, v = as_floats(query), as_floats(key), as_floats(value)
    if min(q.ndim, k.ndim, v.ndim) < 2 or k.shape[-2] != v.shape[-2] or q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"attention of query {q.shape}, key {k.shape} and value {v.shape}; they must have the "
            "shapes (…, L, E), (…, S, E) and (…, S, V)"
        )
    masks = [] if attn_mask is None else [as_scores("attn_mask", attn_mask, q.dtype, attends=True)]
    out, _ = attention(q, k, v, masks, dropout_p, is_causal, scale, generator)
    return out


@scope
def attention(
    q: Any,
    k: Any,
    v: Any,
    masks: list[Any],
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    generator: np.random.Generator | None = None,
) -> tuple[Any, Any]:
    """The result of attention, and its weights. Masks are added to the scores."""
    scores = (q * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)) @ swapaxes(k, -1, -2)
    if is_causal:
        masks = [*masks, causal_mask(q.shape[-2], k.shape[-2], q.dtype)]
    for mask in masks:
        try:
            fits = np.broadcast_shapes(mask.shape, scores.shape) == scores.shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"attn_mask has shape {mask.shape}, which does not broadcast to the shape of the "
                f"scores, {scores.shape}"
            )
        scores = scores + mask
    weights = dropout(softmax(scores), dropout_p, generator=generator)
    return weights @ v, weights


def causal_mask(queries: int, keys: int, dtype: Any = np.float32) -> Array:
    """What is added to scores so that query i attends to the keys 0 to i: 0, and -inf elsewhere.

    >>> causal_mask(2, 3)
    array([[  0., -inf, -inf],
           [  0.,   0., -inf]], dtype=float32)
    """
    future = np.arange(keys) > np.arange(queries)[:, None]
    return np.where(future, -np.inf, 0).astype(dtype)


def as_scores(name: str, mask: Any, dtype: Any, attends: bool) -> Any:
    """A mask as what is added to scores; its booleans are True where a query attends, or not."""
    mask = as_array(mask)
    if mask.dtype.kind == "f":
        return mask if mask.dtype == dtype else mask.astype(dtype)
    if mask.dtype.kind != "b":
        raise TypeError(
            f"{name} must be of booleans, or of floats that are added to the scores, not "
            f"{mask.dtype}; write mask.astype(bool)"
        )
    return np.where(mask == attends, 0, -np.inf).astype(dtype)
