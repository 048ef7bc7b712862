"""A trained classifier in one NPZ file, which has arrays and no code, so that loading runs none.

Weights, mean and scale are arrays; everything else is one text in JSON. NumPy alone can read it:

    np.load("model.npz")["description"]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from microgradx.common.files import replacing
from microgradx.common.messages import InputError, shorten
from microgradx.common.npz import ArrayFile, open_arrays
from microgradx.training.classifier import Classifier
from microgradx.training.file_kinds import CLASSIFIER, refuse_other_kind
from microgradx.training.model_description import ModelDescription, VersionError

__all__ = ["load_classifier", "save_classifier"]


def save_classifier(classifier: Classifier, path: str | Path) -> None:
    """Write a classifier to a file. An existing file is replaced only once all is written.

    Raises InputError, before anything is written, for a classifier that `load_classifier` would
    not read back as the same: one with another network than `Classifier.from_architecture` makes,
    such as one with dropout of its own, or with weights that are not finite.
    """
    try:
        description, arrays = ModelDescription.of(classifier)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"this classifier cannot be saved, as it would be read as another one: {error}; "
            "make it with Classifier.from_architecture, and change only its weights"
        ) from error
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, description=np.array(description.to_json()), **arrays)


def load_classifier(path: str | Path) -> Classifier:
    """Read a classifier that `save_classifier` wrote.

    The file may come from anywhere. Raises InputError if it is missing, damaged, or of another
    kind.
    """
    with open_arrays(path) as file:
        if "description" not in file.names:
            raise InputError(
                f"{file.path} has no model, only {shorten(file.names) or 'none'}; python -m "
                "microgradx train writes one"
            )
        names = [name for name in file.names if name != "description"]
        try:
            text = _read_text(file)
            refuse_other_kind(file.path, text, CLASSIFIER)
            description = ModelDescription.from_json(text)
            description.check_shapes({name: file.header(name) for name in names})
            return description.build({name: file.read(name) for name in names})
        except InputError:
            raise
        except VersionError as error:
            raise InputError(f"{file.path} {error}") from None
        except ValueError as error:
            raise InputError(
                f"{file.path} is damaged, or not a model that python -m microgradx train wrote: "
                f"{error}"
            ) from None


def _read_text(file: ArrayFile) -> str:
    dtype, shape, _ = file.header("description")
    if dtype.kind != "U" or shape != ():
        raise ValueError(f"description must be a text, not {dtype} of shape {shape}")
    return str(file.read("description"))
