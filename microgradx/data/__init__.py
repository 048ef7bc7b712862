"""Data: batches, splits, standardisation, and toy data sets."""

from microgradx.data.batching import Batches, batches
from microgradx.data.scaling import StandardScaler
from microgradx.data.splitting import stratified_split, train_test_split
from microgradx.data.toy import blobs, moons, spirals

__all__ = [
    "Batches",
    "batches",
    "stratified_split",
    "train_test_split",
    "StandardScaler",
    "moons",
    "spirals",
    "blobs",
]
