"""A trained classifier in one NPZ file, which has arrays and no code, so that loading runs none.

Weights, mean and scale are arrays; everything else is one JSON text. NumPy alone can read it:

    np.load("model.npz")["description"]
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
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
    """Write a classifier to a file. An existing file is replaced only once all is written."""
    description = {
        "format": FORMAT,
        "version": VERSION,
        "hidden_sizes": classifier.hidden_sizes,
        "activation": classifier.activation,
        "temperature": classifier.temperature,
        "label_names": classifier.label_names,
        **asdict(classifier.schema),
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
    """Read a classifier that `save_classifier` wrote.

    Raises InputError if the file is missing, damaged, or of another kind.
    """
    path = require_file(path)
    arrays, names = load_arrays(path, "description", "mean", "scale")
    if "description" not in arrays:
        raise InputError(
            f"{path} has no model, only {names}; python -m microgradx train writes one"
        )
    try:
        description = json.loads(str(arrays["description"]))
        if description["format"] != FORMAT:
            raise ValueError("another format")
        if description["version"] > VERSION:
            raise InputError(
                f"{path} was written by a newer microgradx, in version {description['version']} of "
                f"the format, and this one reads up to {VERSION}; upgrade it"
            )
        described = {field.name: description[field.name] for field in fields(TableSchema)}
        for name in ("feature_names", "image_shape"):  # JSON has no tuples
            if described[name] is not None:
                described[name] = tuple(described[name])
        classifier = Classifier.from_architecture(
            StandardScaler(arrays["mean"], arrays["scale"]),
            TableSchema(**described),
            tuple(description["label_names"]),
            hidden_sizes=tuple(description["hidden_sizes"]),
            activation=description["activation"],
            temperature=description["temperature"],
            generator=np.random.default_rng(0),  # its weights are overwritten
        )
        weights, _ = load_arrays(
            path, *(f"weights/{name}" for name in classifier.model.state_dict())
        )
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
