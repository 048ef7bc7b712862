"""Data: tables, batches, splits, standardisation, and toy data sets."""

from microgradx.arrays.pytorch_habits import hint_at_names
from microgradx.data.batching import Batches, batches
from microgradx.data.scaling import StandardScaler
from microgradx.data.splitting import stratified_split, train_test_split
from microgradx.data.tables import Table, TableEncoder, read_table
from microgradx.data.toy import blobs, moons, spirals

__all__ = [
    "Batches",
    "batches",
    "stratified_split",
    "train_test_split",
    "StandardScaler",
    "read_table",
    "Table",
    "TableEncoder",
    "moons",
    "spirals",
    "blobs",
]

hint_at_names(__name__)
