"""The two kinds of files with models, and which function reads which."""

from __future__ import annotations

import json

from microgradx.common.messages import InputError

__all__ = ["CHECKPOINT", "CLASSIFIER", "refuse_other_kind"]

#: What the description in a file calls its kind.
CHECKPOINT, CLASSIFIER = "microgradx checkpoint", "microgradx classifier"

READERS = {
    CHECKPOINT: "a model that save_model or fit wrote, without its network; build that and read "
    "the file with microgradx.training.load_model(model, path)",
    CLASSIFIER: "a classifier that python -m microgradx train wrote; read it with "
    "microgradx.training.load_classifier(path)",
}


def refuse_other_kind(path: str, description: str, wanted: str) -> None:
    """Raise InputError if a file is sound but of the other kind, and say what reads it."""
    try:
        kind = json.loads(description)["format"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return  # damaged, which the reader says
    if isinstance(kind, str) and kind != wanted and kind in READERS:
        raise InputError(f"{path} is {READERS[kind]}")
