"""Multi-head attention as a module."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from microgradx.common.randomness import as_generator
from microgradx.engine import Tensor, as_tensor
from microgradx.nn.functional import linear
from microgradx.nn.functional_attention import as_scores, attention
from microgradx.nn.functional_dropout import check_probability
from microgradx.nn.init import kaiming_uniform_, xavier_uniform_
from microgradx.nn.layers import Linear
from microgradx.nn.module import Module
from microgradx.ops.shapes import split, swapaxes

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Several attentions side by side, each to projections of its own, and a linear layer.

        head_i = softmax(q_i k_iᵀ / √(E / H)) v_i
        out = concatenate(head_1, …, head_H) Wᵀ + b

    where q_i, k_i and v_i are linear in query, key and value, E is `embed_dim`, and H `num_heads`.
    It maps a query of shape (L, N, E), keys (S, N, kdim) and values (S, N, vdim) to (L, N, E), for
    a batch of N; with `batch_first=True` the first two axes change places, and (L, E) is a sequence
    without a batch. Returns that, and the weights of the keys, (N, L, S), averaged over the heads;
    with `average_attn_weights=False` (N, H, L, S), and with `need_weights=False` None.

    Masks are booleans, True where a key is *not* attended to, or floats that are added to the
    scores. `key_padding_mask`, of shape (N, S), is for keys that only fill a sequence up;
    `attn_mask` has shape (L, S), or one for each head, (N · H, L, S). `is_causal=True` lets query i
    attend to the keys 0 to i only, without any mask, or besides it. A query that may attend to no
    key at all results in NaN, as in PyTorch: let it attend to itself, and ignore its result.

    In training each weight is dropped with probability `dropout`. Parameters have PyTorch's names
    and initial distributions. Source: A. Vaswani et al., "Attention is all you need", 2017, section
    3.2.2.

    >>> import microgradx as mg
    >>> attention = mg.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> sequences = np.ones((3, 5, 8))
    >>> out, weights = attention(sequences, sequences, sequences, is_causal=True)
    >>> out.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    >>> weights.data[0, 1]
    array([0.5, 0.5, 0. , 0. , 0. ], dtype=float32)

    Raises ValueError for an `embed_dim` that `num_heads` does not divide, and for shapes that do
    not fit.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        if min(embed_dim, num_heads) < 1 or embed_dim % num_heads:
            raise ValueError(
                f"embed_dim={embed_dim} and num_heads={num_heads}; both must be at least 1, and "
                "the number of heads must divide the dimension, as each head has an equal part"
            )
        check_probability(dropout)
        as_generator(generator)  # raises here, not at the first call, if it is not a generator
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first = batch_first
        self.generator = generator

        def draw(*shape: int) -> Tensor:
            array = xavier_uniform_(shape, generator=generator, dtype=dtype)
            return Tensor(array, requires_grad=True)

        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = draw(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = draw(embed_dim, embed_dim)
            self.k_proj_weight = draw(embed_dim, self.kdim)
            self.v_proj_weight = draw(embed_dim, self.vdim)
        self.in_proj_bias = (
            Tensor(np.zeros(3 * embed_dim, dtype), requires_grad=True) if bias else None
        )
        self.out_proj = Linear(
            embed_dim,
            embed_dim,
            bias,
            initialisation=functools.partial(kaiming_uniform_, a=math.sqrt(5)),
            dtype=dtype,
            generator=generator,
        )

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        dtype = self.out_proj.weight.dtype
        q: Any = as_tensor(query, dtype)
        k: Any = as_tensor(key, dtype)
        v: Any = as_tensor(value, dtype)
        self._check_shapes(q, k, v)
        is_batch = q.ndim == 3
        if not is_batch:
            q, k, v = (x[None] for x in (q, k, v))
        elif not self.batch_first:
            q, k, v = (swapaxes(x, 0, 1) for x in (q, k, v))
        masks = self._as_scores(attn_mask, key_padding_mask, q, k, is_batch)
        dropout = self.dropout if self.training else 0.0
        shape = q.shape
        q, k, v = self._project(q, k, v)
        heads, weights = attention(q, k, v, masks, dropout, is_causal, generator=self.generator)
        out = self.out_proj(swapaxes(heads, 1, 2).reshape(shape))
        if average_attn_weights:
            weights = weights.mean(axis=1)
        if not is_batch:
            out, weights = out[0], weights[0]
        elif not self.batch_first:
            out = swapaxes(out, 0, 1)
        return out, weights if need_weights else None

    def _project(self, *inputs: Any) -> Iterator[Any]:
        """Query, key and value of each head, (N, H, length, E / H)."""
        weights: Sequence[Any]
        if hasattr(self, "in_proj_weight"):
            weights = split(self.in_proj_weight, 3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = [None] * 3 if self.in_proj_bias is None else split(self.in_proj_bias, 3)
        for x, weight, bias in zip(inputs, weights, biases, strict=True):
            heads = linear(x, weight, bias).reshape((*x.shape[:2], self.num_heads, -1))
            yield swapaxes(heads, 1, 2)

    def _as_scores(
        self, attn_mask: Any, key_padding_mask: Any, q: Any, k: Any, is_batch: bool
    ) -> list[Any]:
        """The masks as what is added to the scores, (N, H, L, S), in shapes that broadcast."""
        batch, length = q.shape[:2]
        keys = k.shape[1]
        masks = []
        if attn_mask is not None:
            mask = as_scores("attn_mask", attn_mask, q.dtype, attends=False)
            of_each_head = (batch * self.num_heads, length, keys)
            if mask.shape not in ((length, keys), of_each_head):
                raise ValueError(
                    f"attn_mask has shape {mask.shape}; it must be {(length, keys)}, for queries "
                    f"and keys, or, with one for each head, {of_each_head}"
                )
            is_common = mask.ndim == 2
            masks.append(mask if is_common else mask.reshape((batch, self.num_heads, length, keys)))
        if key_padding_mask is not None:
            mask = as_scores("key_padding_mask", key_padding_mask, q.dtype, attends=False)
            expected = (batch, keys) if is_batch else (keys,)
            if mask.shape != expected:
                raise ValueError(
                    f"key_padding_mask has shape {mask.shape}; for these keys it must be {expected}"
                    + (", the batch first, whatever batch_first is" if is_batch else "")
                )
            masks.append(mask.reshape((batch, 1, 1, keys)))
        return masks

    def _check_shapes(self, q: Any, k: Any, v: Any) -> None:
        dims = (self.embed_dim, self.kdim, self.vdim)
        fits = q.ndim in (2, 3) and q.ndim == k.ndim == v.ndim
        fits = fits and (q.shape[-1], k.shape[-1], v.shape[-1]) == dims
        fits = fits and k.shape[:-1] == v.shape[:-1]
        if fits and q.ndim == 3:
            batch_axis = 0 if self.batch_first else 1
            fits = q.shape[batch_axis] == k.shape[batch_axis]
        if not fits:
            axes = "N, {}, {}" if self.batch_first else "{}, N, {}"
            expected = [
                f"({axes.format(length, dim)})" for length, dim in zip("LSS", dims, strict=True)
            ]
            raise ValueError(
                f"query {q.shape}, key {k.shape} and value {v.shape} do not fit {self!r}; they "
                f"must have the shapes {', '.join(expected)}, or all be without the batch axis N"
            )

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}"
