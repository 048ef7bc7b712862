"""A table of vectors, one for each integer."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import as_array, unwrap
from microgradx.engine import Tensor
from microgradx.nn.init import normal_
from microgradx.nn.module import Module
from microgradx.ops.indexing import check_padding, embedding

__all__ = ["Embedding"]


class Embedding(Module):
    """A vector for each of the integers from 0 to num_embeddings - 1: words, categories, positions.

    Maps integers of shape (…) to vectors, (…, embedding_dim). `weight`, of shape (num_embeddings,
    embedding_dim), is drawn from a normal distribution of mean 0 and variance 1. A row that is used
    several times receives the sum of its gradients. The row `padding_idx`, which stands for no
    word, starts at 0 and receives none; a negative one counts from the end.

    >>> import microgradx as mg
    >>> table = mg.nn.Embedding(10, 3, padding_idx=0)
    >>> table([[1, 2], [4, 0]]).shape
    (2, 2, 3)
    >>> table([0]).data
    array([[0., 0., 0.]], dtype=float32)

    Raises ValueError for sizes below 1 and a `padding_idx` out of range; and when it is called,
    TypeError for what are no integers, IndexError for integers out of range.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        if min(num_embeddings, embedding_dim) < 1:
            raise ValueError(
                "an embedding needs at least 1 row and 1 column, not "
                f"num_embeddings={num_embeddings} and embedding_dim={embedding_dim}"
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = (
            None if padding_idx is None else check_padding(padding_idx, num_embeddings)
        )
        weight = normal_((num_embeddings, embedding_dim), generator=generator, dtype=dtype)
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        self.weight = Tensor(weight, requires_grad=True)

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """An embedding with these vectors, as rows; with `freeze` they are not trained.

        >>> Embedding.from_pretrained(np.eye(3))([2]).data
        array([[0., 0., 1.]])
        """
        weight = as_array(unwrap(embeddings))
        if weight.ndim != 2:
            raise ValueError(
                f"embeddings of shape {weight.shape}; they need 2 axes, one row for each integer"
            )
        own = np.random.default_rng(0)  # of numbers that are replaced; no other one moves on
        rows, columns = weight.shape
        made = cls(rows, columns, padding_idx, dtype=weight.dtype, generator=own)
        made.weight = Tensor(weight, requires_grad=True).requires_grad_(not freeze)
        return made

    def forward(self, input: Any) -> Any:
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
