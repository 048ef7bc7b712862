"""What a saved classifier is, apart from its numbers: a text in JSON, and the arrays it needs.

Nothing here knows in what file they are. A description from elsewhere is not trusted: each field
is checked, and the shapes of all arrays follow from it, before memory is taken for them.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import zip_longest
from typing import Any, get_args

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import printable
from microgradx.data.tables import Dropped, TableEncoder, TableSchema
from microgradx.data.tables.schema import DecimalHint, Kind, Missing
from microgradx.nn import MLP
from microgradx.training.classifier import Activation, Classifier
from microgradx.training.file_kinds import CLASSIFIER

__all__ = ["ModelDescription", "VersionError"]

FORMAT = CLASSIFIER
VERSION = 3

#: What a version has that the ones before had not: the first knew numbers alone.
ADDED: dict[int, dict[str, Any]] = {
    2: {
        "kinds": None,
        "dropped": [],
        "missing": "mean",
        "categories": [],
        "indicators": [],
        "preview": "",
        "dropout": 0.0,
    },
    3: {"decimal": None},
}

WEIGHTS = "weights/"

#: Others are 0 or infinite in float32.
MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-30, 1e30


class VersionError(ValueError):
    """A description was written by a newer version of this package."""


@dataclass(frozen=True)
class ModelDescription:
    """A classifier without its numbers.

    Raises ValueError for what no trained classifier has: an activation that is not known, a
    temperature that is not a positive number, labels that are the same, and so on.

    >>> description = ModelDescription((8,), "relu", 1.0, ("no", "yes"), TableSchema(2))
    >>> description.array_shapes()["weights/0.weight"]
    (8, 2)
    >>> ModelDescription.from_json(description.to_json()) == description
    True
    """

    hidden_sizes: tuple[int, ...]
    activation: Activation
    temperature: float
    label_names: tuple[str, ...]
    schema: TableSchema
    categories: tuple[tuple[str, ...], ...] = ()  # of the encoder
    indicators: tuple[int, ...] = ()  # of the encoder
    preview: str = ""  # of the table
    dropout: float = 0.0  # after each activation, while it is trained

    def __post_init__(self) -> None:
        sizes = self.hidden_sizes
        _require("hidden_sizes", sizes, _are_sizes(sizes), "whole numbers from 1 up")
        activations = get_args(Activation)
        is_known = self.activation in activations
        _require("activation", self.activation, is_known, " or ".join(activations))
        T = self.temperature
        is_positive = type(T) in (int, float) and MIN_TEMPERATURE <= T <= MAX_TEMPERATURE
        _require("temperature", T, is_positive, f"from {MIN_TEMPERATURE} to {MAX_TEMPERATURE}")
        labels = self.label_names
        _require("label_names", labels, _are_names(labels), "texts that differ, at least one")
        _check_schema(self.schema)
        _check_categories(self.schema, self.categories)
        columns, indicators = self.schema.columns, self.indicators
        fit = _are_indices(indicators, columns) and indicators == tuple(sorted({*indicators}))
        _require("indicators", indicators, fit, f"columns from 0 to {columns - 1}, in order")
        _require("preview", self.preview, type(self.preview) is str, "a text")
        is_fraction = type(self.dropout) in (int, float) and 0 <= self.dropout < 1
        _require("dropout", self.dropout, is_fraction, "from 0 up and below 1")

    # ------------------------------------------------------------------ as a text

    def to_json(self) -> str:
        content = asdict(self)
        schema = content.pop("schema")
        return json.dumps({"format": FORMAT, "version": VERSION, **content, **schema})

    @classmethod
    def from_json(cls, text: str) -> ModelDescription:
        """Read what `to_json` returned.

        Raises ValueError for anything else, and VersionError for a newer format.
        """
        content: Any
        try:
            content = json.loads(text, object_pairs_hook=_make_object)
        except (ValueError, RecursionError):
            raise ValueError("its description is not in JSON, or has a name twice") from None
        _require("the description", content, type(content) is dict, "fields with names")
        format, version = content.pop("format", None), content.pop("version", None)
        _require("format", format, format == FORMAT, FORMAT)
        _require("version", version, _are_sizes((version,)), "a whole number from 1 up")
        if version > VERSION:
            raise VersionError(
                f"was written by a newer microgradx, in version {version} of the format, and this "
                f"one reads up to {VERSION}; upgrade it"
            )
        for later in range(version + 1, VERSION + 1):
            content = {**ADDED[later], **content}
        of_schema = [field.name for field in fields(TableSchema)]
        names = {field.name for field in fields(cls)} - {"schema"} | {*of_schema}
        _require("the fields", [*content], names == {*content}, ", ".join(sorted(names)))
        values: Any = {name: _make_tuples(value) for name, value in content.items()}
        if type(values["dropped"]) is tuple:
            values["dropped"] = tuple(map(_make_dropped, values["dropped"]))
        schema = TableSchema(**{name: values.pop(name) for name in of_schema})
        return cls(**values, schema=schema)

    # ------------------------------------------------------------------ with its arrays

    def array_shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays that belong to it, all of floats: their names and shapes."""
        columns, units = self._encoder().width, (*self.hidden_sizes, len(self.label_names))
        shapes: dict[str, tuple[int, ...]] = {"mean": (columns,), "scale": (columns,)}
        modules = 3 if self.dropout else 2  # a layer, its activation, and dropout
        for i, (before, after) in enumerate(zip((columns, *units), units, strict=False)):
            shapes[f"{WEIGHTS}{modules * i}.weight"] = (after, before)
            shapes[f"{WEIGHTS}{modules * i}.bias"] = (after,)
        return shapes

    def _encoder(self, mean: Array | None = None, scale: Array | None = None) -> TableEncoder:
        none = np.zeros(0)
        given = none if mean is None else mean, none if scale is None else scale
        return TableEncoder(self.schema, *given, self.categories, self.indicators)

    def check_shapes(self, arrays: Mapping[str, Any]) -> None:
        """Raise ValueError unless these are the arrays of a classifier like this.

        Only names, shapes and dtypes are read, so `arrays` may be mere headers.
        """
        layers = len(self.hidden_sizes) + 1
        if len(arrays) != 2 + 2 * layers:  # checked first: a text can promise any number
            raise ValueError(f"{layers} layers need {2 + 2 * layers} arrays, not {len(arrays)}")
        for name, shape in self.array_shapes().items():
            if name not in arrays:
                raise ValueError(f"the array {name} is missing")
            array = arrays[name]
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape} and must have {shape}")
            if array.dtype.kind != "f" or array.dtype.itemsize > 8:
                raise ValueError(f"{name} has dtype {array.dtype} and must be of floats")
        dtypes = {array.dtype for name, array in arrays.items() if name.startswith(WEIGHTS)}
        if len(dtypes) > 1:
            listed = ", ".join(sorted(map(str, dtypes)))
            raise ValueError(f"its weights have several dtypes, {listed}")

    def build(self, arrays: Mapping[str, Array]) -> Classifier:
        """The classifier with these arrays. Raises ValueError if they do not fit, or have NaN."""
        self.check_shapes(arrays)
        for name, array in arrays.items():
            if not np.all(np.isfinite(array)):
                raise ValueError(f"{name} has {array[~np.isfinite(array)][0]}, no finite number")
        if not np.all(arrays["scale"] > 0):
            raise ValueError(f"scale must be positive, and has {np.min(arrays['scale'])}")
        weights = {
            name.removeprefix(WEIGHTS): array
            for name, array in arrays.items()
            if name.startswith(WEIGHTS)
        }
        classifier = Classifier.from_architecture(
            self._encoder(arrays["mean"], arrays["scale"]),
            self.label_names,
            hidden_sizes=self.hidden_sizes,
            activation=self.activation,
            temperature=float(self.temperature),
            dropout=float(self.dropout),
            dtype=next(iter(weights.values())).dtype,
            generator=np.random.default_rng(0),  # its weights are overwritten
        )
        classifier.model.load_state_dict(weights)
        classifier.preview = self.preview
        return classifier

    @classmethod
    def of(cls, classifier: Classifier) -> tuple[ModelDescription, dict[str, Array]]:
        """The description of a classifier, and its arrays.

        Raises ValueError if `build` would not make the same network of them.
        """
        description = cls(
            tuple(map(int, classifier.hidden_sizes)),
            classifier.activation,
            float(classifier.temperature),
            tuple(map(str, classifier.label_names)),
            classifier.schema,
            classifier.encoder.categories,
            classifier.encoder.indicators,
            classifier.preview,
            float(classifier.dropout),
        )
        arrays = {"mean": classifier.encoder.mean, "scale": classifier.encoder.scale}
        for name, weight in classifier.model.state_dict().items():
            arrays[WEIGHTS + name] = weight
        _require_same_layers(classifier.model, description.build(arrays).model)
        return description, arrays


def _require_same_layers(model: MLP, rebuilt: MLP) -> None:
    """Raise ValueError unless two models compute the same with the same parameters."""
    if type(model) is not type(rebuilt):
        raise ValueError(f"its model is a {type(model).__name__}, not an {type(rebuilt).__name__}")
    # A model has its layers as attributes, a layer its settings: one that was added counts too.
    pairs = zip_longest(_attributes(model).items(), _attributes(rebuilt).items())
    for (name, layer), (_, other) in ((a or ("", None), b or ("", None)) for a, b in pairs):
        same_class = type(layer) is type(other) and repr(layer) == repr(other)
        if not same_class or _attributes(layer).keys() != _attributes(other).keys():
            raise ValueError(f"its model has {layer!r} as {name!r}, and not {other!r} alone")


def _attributes(module: Any) -> dict[str, Any]:
    ours, own = ("training", "fitted_data"), getattr(module, "__dict__", {})
    return {name: value for name, value in own.items() if name not in ours}


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, in which each name stands once."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands twice")
    return made


def _make_tuples(value: Any) -> Any:
    """Tuples for the lists of JSON, inner ones too."""
    return tuple(map(_make_tuples, value)) if type(value) is list else value


def _make_dropped(value: Any) -> Any:
    return Dropped(*value) if type(value) is tuple and len(value) == 3 else value


# ---------------------------------------------------------------------------- fields


def _check_schema(schema: TableSchema) -> None:
    columns, names, position = schema.columns, schema.feature_names, schema.label_position
    _require("columns", columns, _are_sizes((columns,)), "a whole number from 1 up")
    if names is not None:
        fit = _are_names(names) and len(names) == columns
        _require("feature_names", names, fit, f"{columns} texts that differ")
    _require("label", schema.label, type(schema.label) is str, "a text")
    dropped, is_list = schema.dropped, type(schema.dropped) is tuple
    last = columns + len(dropped) if is_list else 0
    fit = is_list and all(type(column) is Dropped for column in dropped)
    fit = fit and _are_indices(tuple(column.position for column in dropped), last + 1)
    fit = fit and all(type(text) is str for column in dropped for text in column[1:])
    _require("dropped", dropped, fit, "a position, a name and a reason for each column")
    fit = type(position) is int and -1 <= position <= last
    fit = fit and position not in [column.position for column in dropped]
    _require("label_position", position, fit, f"from 0 to {last}, or -1 for the last")
    image = schema.image_shape
    if image is not None:
        fit = _are_sizes(image) and len(image) in (2, 3) and math.prod(image) == columns
        must_be = f"height and width, and perhaps channels, of {columns} pixels"
        _require("image_shape", image, fit, must_be)
    kinds = schema.kinds
    if kinds is not None:
        fit = type(kinds) is tuple and len(kinds) == columns
        fit = fit and all(type(kind) is str and kind in get_args(Kind) for kind in kinds)
        _require("kinds", kinds, fit, f"{columns} of {', '.join(get_args(Kind))}")
    fit = type(schema.missing) is str and schema.missing in get_args(Missing)
    _require("missing", schema.missing, fit, " or ".join(get_args(Missing)))
    decimal, hints = schema.decimal, get_args(DecimalHint)
    fit = decimal is None or (type(decimal) is str and decimal in hints)
    _require("decimal", decimal, fit, f"{' or '.join(hints)}, or nothing")


def _check_categories(schema: TableSchema, categories: Any) -> None:
    if not schema.has_categories:
        _require("categories", categories, categories == (), "none, as no column has any")
        return
    fit = type(categories) is tuple and len(categories) == schema.columns
    for kind, names in zip(schema.kinds or (), categories if fit else (), strict=False):
        fit = fit and (names == () or (kind == "category" and _are_names(names)))
    _require("categories", categories, fit, f"{schema.columns} lists of texts that differ")


def _are_indices(indices: Any, length: int) -> bool:
    """Whether this is a tuple of different indices into something of this length."""
    return (
        type(indices) is tuple
        and all(type(i) is int and 0 <= i < length for i in indices)
        and len({*indices}) == len(indices)
    )


def _require(name: str, value: Any, is_valid: bool, must_be: str) -> None:
    if not is_valid:
        raise ValueError(f"{name} must be {must_be}, not {printable(reprlib.repr(value))}")


def _are_sizes(sizes: Any) -> bool:
    """Whether this is a tuple of whole numbers from 1 up, as large as an axis can be."""
    return type(sizes) is tuple and all(type(n) is int and 1 <= n < 2**31 for n in sizes)


def _are_names(names: Any) -> bool:
    return (
        type(names) is tuple
        and all(type(name) is str for name in names)
        and 0 < len(set(names)) == len(names)
    )
