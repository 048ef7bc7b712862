"""Training a model: `fit`, and what uses what it has learnt.

`fit` is the loop, for any model and any loss; `evaluate`, `predict` and `predict_proba` use the
model. Around it: tables and data sets by name, a check of the gradients, and a `Classifier`: a
network with its encoder and label names.
"""

from microgradx.common.messages import InputError
from microgradx.data.tables import (
    Table,
    TableEncoder,
    TableSchema,
    read_new_rows,
    read_table,
)
from microgradx.metrics import accuracy, confusion_matrix
from microgradx.training.callbacks import Callback, Training
from microgradx.training.checkpoints import load_model, save_model
from microgradx.training.classifier import Classifier
from microgradx.training.datasets import load_table
from microgradx.training.history import History
from microgradx.training.loop import DivergenceError, fit
from microgradx.training.persistence import load_classifier, save_classifier
from microgradx.training.prediction import evaluate, predict, predict_proba
from microgradx.training.verification import Verification, verify_gradients

__all__ = [
    "fit",
    "evaluate",
    "predict",
    "predict_proba",
    "History",
    "Callback",
    "Training",
    "DivergenceError",
    "save_model",
    "load_model",
    "accuracy",
    "confusion_matrix",
    "verify_gradients",
    "Verification",
    "load_table",
    "read_table",
    "read_new_rows",
    "Table",
    "TableSchema",
    "TableEncoder",
    "InputError",
    "Classifier",
    "save_classifier",
    "load_classifier",
]
