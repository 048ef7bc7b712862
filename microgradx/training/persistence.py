"""A trained classifier in one file: NPZ, which holds arrays and no code, so that loading runs none.

Weights, mean and scale are arrays; everything else is one text, in JSON. Any NumPy opens it:

    np.load("model.npz")["description"]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.common.files import load_arrays, replacing, require_file
from microgradx.common.messages import InputError
from microgradx.data import StandardScaler
from microgradx.training.classifier import Classifier
from microgradx.training.tables import TableSchema

__all__ = ["load_classifier", "save_classifier"]

FORMAT = "microgradx classifier"
VERSION = 1


def save_classifier(classifier: Classifier, path: str | Path) -> None:
    """Write a classifier to a file; one that is there already is replaced, once all is written."""
    schema = classifier.schema
    description = {
        "format": FORMAT,
        "version": VERSION,
        "hidden_sizes": classifier.hidden_sizes,
        "activation": classifier.activation,
        "temperature": classifier.temperature,
        "label_names": classifier.label_names,
        "columns": schema.columns,
        "feature_names": schema.feature_names,
        "label": schema.label,
        "label_position": schema.label_position,
        "image_shape": schema.image_shape,
    }
    arrays: dict[str, Any] = {
        "description": np.array(json.dumps(description)),
        "mean": classifier.scaler.mean,
        "scale": classifier.scaler.scale,
    }
    for name, weight in classifier.model.state_dict().items():
        arrays[f"weights/{name}"] = weight
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_classifier(path: str | Path) -> Classifier:
    """The classifier that a file holds.

    Raises InputError if there is none: no file, one that is damaged, or one of something else.
    """
    path = require_file(path)
    found, there = load_arrays(path, "description", "mean", "scale")
    if "description" not in found:
        raise InputError(
            f"{path} holds no model, only {there}; python -m microgradx train writes one"
        )
    try:
        described = json.loads(str(found["description"]))
        if described["format"] != FORMAT:
            raise ValueError("another format")
        if described["version"] > VERSION:
            raise InputError(
                f"{path} was written by a newer microgradx, in version {described['version']} of "
                f"the format, and this one reads up to {VERSION}; upgrade it"
            )
        schema = TableSchema(
            columns=described["columns"],
            feature_names=_tuple(described["feature_names"]),
            label=described["label"],
            label_position=described["label_position"],
            image_shape=_tuple(described["image_shape"]),
        )
        classifier = Classifier.from_architecture(
            StandardScaler(found["mean"], found["scale"]),
            schema,
            tuple(described["label_names"]),
            hidden_sizes=tuple(described["hidden_sizes"]),
            activation=described["activation"],
            temperature=described["temperature"],
            generator=np.random.default_rng(0),  # all that it draws is overwritten
        )
        names = list(classifier.model.state_dict())
        weights, _ = load_arrays(path, *(f"weights/{name}" for name in names))
        classifier.model.load_state_dict(
            {name.removeprefix("weights/"): weight for name, weight in weights.items()}
        )
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path} is damaged, or not a model that python -m microgradx train wrote"
        ) from None
    return classifier


def _tuple(values: Any) -> Any:
    return None if values is None else tuple(values)
