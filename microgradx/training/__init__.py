"""Training a classifier, from a table in a file to a model in a file.

`train` is the loop, for any model and any loss. Around it: tables and data sets by name, metrics,
a check of the gradients, and a `Classifier`: a network with its schema, scaler and label names.
"""

from microgradx.common.messages import InputError
from microgradx.metrics import accuracy, confusion_matrix
from microgradx.training.classifier import Classifier
from microgradx.training.datasets import load_table
from microgradx.training.loop import Epoch, History, cosine_decay, evaluate, train
from microgradx.training.persistence import load_classifier, save_classifier
from microgradx.training.tables import Table, TableSchema, read_new_rows, read_table
from microgradx.training.verification import Verification, verify_gradients

__all__ = [
    "train",
    "evaluate",
    "cosine_decay",
    "Epoch",
    "History",
    "accuracy",
    "confusion_matrix",
    "verify_gradients",
    "Verification",
    "load_table",
    "read_table",
    "read_new_rows",
    "Table",
    "TableSchema",
    "InputError",
    "Classifier",
    "save_classifier",
    "load_classifier",
]
