"""A network with what it needs to classify new rows: their encoder and the label names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import Array
from microgradx.data.tables import Table, TableEncoder, TableSchema
from microgradx.functional import softmax
from microgradx.graph.grad_mode import no_grad
from microgradx.nn import MLP
from microgradx.training.features import encode_rows

__all__ = ["Activation", "Classifier"]

Activation = Literal["relu", "tanh", "sigmoid"]


@dataclass
class Classifier:
    """A multilayer perceptron that predicts from raw features, as they stand in a table.

    >>> import numpy as np
    >>> encoder = TableEncoder(TableSchema(2), np.array([2.0, 60.0]), np.array([1.0, 10.0]))
    >>> classifier = Classifier.from_architecture(
    ...     encoder, ("no", "yes"), hidden_sizes=(8,), generator=np.random.default_rng(0))
    >>> classifier.predict_proba(np.array([[2.0, 60.0]])).shape
    (1, 2)
    """

    model: MLP
    hidden_sizes: tuple[int, ...]
    activation: Activation
    encoder: TableEncoder
    label_names: tuple[str, ...]
    temperature: float = 1.0
    dropout: float = 0.0
    preview: str = ""  # what was understood of the table it was trained on

    @classmethod
    def from_architecture(
        cls,
        encoder: TableEncoder,
        label_names: tuple[str, ...],
        *,
        hidden_sizes: tuple[int, ...] = (128,),
        activation: Activation = "relu",
        temperature: float = 1.0,
        dropout: float = 0.0,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> Classifier:
        """A classifier of this architecture with freshly initialised weights."""
        model = MLP(
            encoder.width,
            hidden_sizes,
            len(label_names),
            activation,
            dropout,
            dtype=dtype,
            generator=generator,
        )
        return cls(model, hidden_sizes, activation, encoder, label_names, temperature, dropout)

    @property
    def schema(self) -> TableSchema:
        """The columns of the table it was trained on."""
        return self.encoder.schema

    def logits(self, features: Table | Any) -> Array:
        """Logits (rows, classes) of new rows.

        features: a Table, a data frame, the name of a file, or raw features (rows, columns).
        """
        # Who read a table has seen what is odd about it.
        encoded = (
            self.encoder.transform(features)
            if isinstance(features, Table)
            else encode_rows(features, self.encoder, self.label_names)
        )
        self.model.eval()
        with no_grad(), np.errstate(over="ignore", invalid="ignore"):
            logits: Array = self.model(encoded).data
        return logits.astype(np.result_type(logits, np.float32), copy=False)

    def predict(self, features: Table | Any) -> Array:
        """The name of the most probable label of each row."""
        names: Array = np.array(self.label_names)[self.logits(features).argmax(axis=1)]
        return names

    def predict_proba(self, features: Table | Any, temperature: float | None = None) -> Array:
        """Probabilities (rows, classes): softmax of the logits, at the classifier's temperature.

        Another `temperature` may be given.
        """
        if temperature is None:
            temperature = self.temperature
        probabilities: Array = softmax(self.logits(features), temperature=temperature)
        return probabilities
