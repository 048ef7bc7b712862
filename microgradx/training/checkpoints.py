"""Checkpoints of a training, and models, in NPZ files: arrays and a text in JSON, and no code.

A file is written beside the old one and then takes its name, so that at any moment one of them is
whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.files import check_directory, check_file, replacing
from microgradx.common.messages import InputError
from microgradx.common.npz import open_arrays
from microgradx.common.randomness import default_generator
from microgradx.data.tables import Dropped, TableEncoder, TableSchema
from microgradx.nn.module import Module
from microgradx.training.arguments import check_model
from microgradx.training.features import FittedData, fitted_data
from microgradx.training.file_kinds import CHECKPOINT, refuse_other_kind
from microgradx.training.losses import LOSSES, loss_name
from microgradx.training.targets import Task

__all__ = [
    "Checkpoint",
    "find_checkpoint",
    "find_generators",
    "fingerprint",
    "load_model",
    "pack_model",
    "read_checkpoint",
    "save_model",
]

FORMAT, VERSION = CHECKPOINT, 1


@dataclass
class Checkpoint:
    """Arrays under names such as weights/0.bias, and what else there is, as JSON has it."""

    arrays: dict[str, Array] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)

    def add(self, group: str, arrays: Mapping[str, Array]) -> None:
        self.arrays |= {f"{group}/{name}": array for name, array in arrays.items()}

    def group(self, group: str) -> dict[str, Array]:
        """The arrays that were added as a group."""
        start = f"{group}/"
        return {n.removeprefix(start): a for n, a in self.arrays.items() if n.startswith(start)}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write to a file, which is replaced when all is written."""
        text = json.dumps({"format": FORMAT, "version": VERSION, **self.description})
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, description=np.array(text), **self.arrays)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file that `Checkpoint.write` wrote; raises InputError for others."""
    with open_arrays(path) as file:
        if "description" not in file.names:
            raise InputError(f"{file.path} is no checkpoint: it has no description")
        arrays = {name: file.read(name) for name in file.names}
        text = str(arrays.pop("description")[()])
        refuse_other_kind(file.path, text, FORMAT)
        try:
            description = json.loads(text)
            if description.pop("format") != FORMAT:
                raise ValueError("another format")
            version = description.pop("version")
        except (ValueError, KeyError, AttributeError, TypeError, IndexError, RecursionError):
            raise InputError(
                f"{file.path} is damaged, or not a checkpoint that fit or save_model wrote"
            ) from None
        if version != VERSION:
            raise InputError(
                f"{file.path} was written in version {version} of the format, and this microgradx "
                f"reads {VERSION}; upgrade it"
            )
        return Checkpoint(arrays, description)


def find_checkpoint(path: str | os.PathLike[str] | None, resume: bool) -> Checkpoint | None:
    """The checkpoint to resume from, if there is one; a file can be written there in any case.

    Raises ValueError if there is no path to resume from, and FileNotFoundError or InputError where
    no file can be.
    """
    if path is None:
        if resume:
            raise ValueError("resume needs checkpoint=, the file to go on from")
        return None
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"checkpoint must be the name of a file, not {path!r}")
    exists = check_file(path) is not None
    check_directory(Path(path))
    return read_checkpoint(path) if resume and exists else None


# ---------------------------------------------------------------------------- models


def pack_model(model: Module, fitted: FittedData | None) -> Checkpoint:
    """The weights and buffers of a model, and what it remembers of its data."""
    checkpoint = Checkpoint()
    checkpoint.add("weights", model.state_dict())
    if fitted is not None:
        name = loss_name(fitted.loss)
        checkpoint.description["fitted"] = {
            "columns": fitted.columns,
            "width": fitted.width,
            "outputs": fitted.task.outputs,
            "ignored": fitted.task.ignored,
            "target_shape": fitted.task.target_shape,
            "loss": name if name in LOSSES else None,
        }
        if fitted.classes is not None:
            checkpoint.arrays["classes"] = fitted.classes
        if fitted.encoder is not None:
            content = asdict(fitted.encoder)
            checkpoint.add("encoder", {name: content.pop(name) for name in ("mean", "scale")})
            checkpoint.description["encoder"] = content
    return checkpoint


def save_model(model: Any, path: str | Path) -> None:
    """Write the weights and buffers of a model, its columns and its classes to an NPZ file.

    The file has no code, so the model that `load_model` reads it into is built by the same lines
    as this one.

    >>> import os, tempfile
    >>> import microgradx as mg
    >>> model = mg.nn.MLP(1, [], 2)
    >>> data = [[-1.0], [1.0]], ["no", "yes"]
    >>> history = mg.fit(model, data, lr=0.1, epochs=30, progress=False)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> save_model(model, path)
    >>> twin = mg.nn.MLP(1, [], 2)
    >>> load_model(twin, path)
    >>> mg.predict(twin, [[2.0]])
    array(['yes'], dtype='<U3')

    Raises TypeError for what is no module, and OSError if the file cannot be written.
    """
    check_model(model)
    pack_model(model, fitted_data(model)).write(path)


def load_model(model: Any, path: str | Path) -> None:
    """Read the weights, columns and classes that `save_model` wrote, or `fit` as a checkpoint.

    Of a checkpoint of a training with early stopping they are those of its best epoch so far.
    Raises InputError for a file that is missing, damaged or of another kind, and ValueError,
    before anything is changed, for a model of another shape.
    """
    check_model(model)
    checkpoint = read_checkpoint(path)
    fitted = unpack_fitted(checkpoint, path)
    model.load_state_dict(checkpoint.group("best") or checkpoint.group("weights"))
    model.fitted_data = fitted


def unpack_fitted(checkpoint: Checkpoint, path: str | Path) -> FittedData | None:
    """What the model remembered of its data."""
    found = checkpoint.description.get("fitted")
    if found is None:
        return None
    try:
        shape = found.get("target_shape")  # older files have none
        task = Task(
            found["outputs"],
            checkpoint.arrays.get("classes"),
            found["ignored"],
            target_shape=None if shape is None else tuple(shape),
        )
        columns = None if found["columns"] is None else tuple(found["columns"])
        content = checkpoint.description.get("encoder")
        encoder = None if content is None else _make_encoder(content, checkpoint.group("encoder"))
        return FittedData(columns, found["width"], task, found["loss"], encoder)
    except (KeyError, TypeError):
        raise InputError(f"{path} is damaged: what it says of the data is incomplete") from None


def _make_encoder(content: dict[str, Any], arrays: dict[str, Array]) -> TableEncoder:
    schema = {name: _as_tuple(value) for name, value in content["schema"].items()}
    schema["dropped"] = tuple(Dropped(*column) for column in schema["dropped"])
    categories, indicators = _as_tuple(content["categories"]), tuple(content["indicators"])
    return TableEncoder(
        TableSchema(**schema), arrays["mean"], arrays["scale"], categories, indicators
    )


def _as_tuple(value: Any) -> Any:
    """A value as it was before JSON made lists of tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


# ---------------------------------------------------------------------------- what must be the same


def find_generators(model: Module, generator: Any) -> dict[str, np.random.Generator]:
    """The generators that a training draws from: the default one, that of fit, those of modules."""
    found = {"default": default_generator()}
    if generator is not None:
        found["generator"] = generator
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, np.random.Generator):
                found[f"{path}.{name}"] = value
    return found


def fingerprint(*arrays: Array | None) -> str:
    """A short text that differs for other numbers."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if array is not None:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
