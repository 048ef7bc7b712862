"""A network with what it needs to classify new rows: their schema, scaler and label names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import InputError, quote
from microgradx.data import StandardScaler
from microgradx.functional import softmax
from microgradx.graph.grad_mode import no_grad
from microgradx.nn import MLP
from microgradx.training.tables import TableSchema

__all__ = ["Activation", "Classifier", "fit_scaler"]

Activation = Literal["relu", "tanh", "sigmoid"]


def fit_scaler(features: Array, schema: TableSchema) -> StandardScaler:
    """Mean and scale of each column of features (rows, columns), taken from the training rows.

    The pixels of images have the same unit, so they share one mean and one scale: with a scale of
    its own, a pixel at the edge that is nearly always white would count as much as the strokes.

    Raises InputError for a column whose numbers are too large to have a standard deviation.

    >>> fit_scaler(np.array([[0.0, 4.0], [0.0, 4.0]]), TableSchema(2, image_shape=(1, 2))).mean
    array([2., 2.])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = StandardScaler().fit(features.reshape(-1, 1) if schema.image_shape else features)
    mean, scale = np.asarray(fitted.mean), np.asarray(fitted.scale)
    if not np.all(np.isfinite(scale)):
        column = schema.feature_name(int(np.argmin(np.isfinite(scale))))
        raise InputError(
            f"the numbers in {quote(column)} are too large to have a standard deviation; divide "
            "them by a power of ten"
        )
    shape = features.shape[1:]
    return StandardScaler(np.broadcast_to(mean, shape), np.broadcast_to(scale, shape))


@dataclass
class Classifier:
    """A multilayer perceptron that predicts from raw features, as they stand in a table.

    >>> import numpy as np
    >>> classifier = Classifier.from_architecture(
    ...     StandardScaler().fit([[1.0, 50.0], [3.0, 70.0]]), TableSchema(2), ("no", "yes"),
    ...     hidden_sizes=(8,), generator=np.random.default_rng(0))
    >>> classifier.predict_proba(np.array([[2.0, 60.0]])).shape
    (1, 2)
    """

    model: MLP
    hidden_sizes: tuple[int, ...]
    activation: Activation
    scaler: StandardScaler
    schema: TableSchema
    label_names: tuple[str, ...]
    temperature: float = 1.0

    @classmethod
    def from_architecture(
        cls,
        scaler: StandardScaler,
        schema: TableSchema,
        label_names: tuple[str, ...],
        *,
        hidden_sizes: tuple[int, ...] = (128,),
        activation: Activation = "relu",
        temperature: float = 1.0,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> Classifier:
        """A classifier of this architecture with freshly initialised weights."""
        model = MLP(
            schema.columns,
            hidden_sizes,
            len(label_names),
            activation,
            dtype=dtype,
            generator=generator,
        )
        return cls(model, hidden_sizes, activation, scaler, schema, label_names, temperature)

    def standardise(self, features: Any) -> Array:
        """Features as the network takes them: (rows, columns) of float32.

        They are clipped to a million standard deviations, so that no layer overflows.
        """
        with np.errstate(over="ignore"):
            scaled = self.scaler.transform(features)
        return np.clip(scaled, -1e6, 1e6).astype(np.float32)

    def logits(self, features: Any) -> Array:
        """Logits (rows, classes) of raw features (rows, columns)."""
        self.model.eval()
        with no_grad(), np.errstate(over="ignore", invalid="ignore"):
            logits: Array = self.model(self.standardise(features)).data
        return logits.astype(np.result_type(logits, np.float32), copy=False)

    def predict_proba(self, features: Any, temperature: float | None = None) -> Array:
        """Probabilities (rows, classes): softmax of the logits, at the classifier's temperature.

        Another `temperature` may be given.
        """
        if temperature is None:
            temperature = self.temperature
        probabilities: Array = softmax(self.logits(features), temperature=temperature)
        return probabilities
