"""The accuracy of `train` on public tables, beside that of a pipeline of scikit-learn.

    python -m benchmarks.tables [--page docs/tables.md]

trains on each table of `tests/tables` by the command that is shown, with its defaults, for ten
seeds. On the same rows pipelines are trained as scikit-learn's guide builds them: means and the
most frequent category for missing values, standardised numbers, one-hot categories, MLPClassifier;
and the same with indicators of missing values. All are measured on the same rows, a fifth of the
table, which none has seen. The seeds are others than those with which anything was tried.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.report import write_page
from microgradx import cli
from microgradx.commands import train as command
from microgradx.training import load_classifier
from microgradx.training.experiment import Experiment

DATA = Path(__file__).parent.parent / "tests" / "tables"
SEEDS = range(10, 20)
WITHIN = 0.01


@dataclass(frozen=True)
class PublicTable:
    """A table, the options of `train` for it, and how pandas reads it."""

    file: str
    options: dict[str, Any]
    pandas: dict[str, Any] = field(default_factory=lambda: {"header": None})
    label: Any = -1  # the label's position
    dropped: tuple[int, ...] = ()  # positions

    @property
    def path(self) -> Path:
        return DATA / self.file

    def arguments(self) -> list[str]:
        """What follows `train`."""
        words = ["--data", str(self.path)]
        for name, value in self.options.items():
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{name}", *map(str, values)]
        return words


TABLES = (
    PublicTable("crx.data", {}),
    PublicTable("house-votes-84.data", {"label": 1}, label=0),
    PublicTable(
        "horse-colic.data",
        {"label": 24, "drop": (3, 25, 26, 27)},
        {"header": None, "sep": r"\s+"},
        label=23,
        dropped=(2, 24, 25, 26),
    ),
    PublicTable("student-mat.csv", {"label": "sex"}, {"sep": ";"}, label=1),
    PublicTable("breast-cancer.csv", {}, {"header": None, "quotechar": "'"}),
)


def measure(table: PublicTable, seed: int) -> tuple[float, float, float]:
    """Accuracies on the rows held out: of `train`, and of two pipelines of scikit-learn."""
    experiment = Experiment(table.path, reading=table.options, seed=seed)
    with tempfile.TemporaryDirectory() as directory:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            mock.patch.object(command, "_save_pictures", return_value=[]),
        ):
            words = ["train", *table.arguments(), "--seed", str(seed), "--out", directory]
            assert cli.main(words) == 0
        classifier = load_classifier(Path(directory) / "model.npz")
    predicted = classifier.predict_proba(experiment.rows_held_out).argmax(axis=1)
    ours = float(np.mean(predicted == experiment.y_held_out))
    plain, indicating = (
        measure_pipeline(table, experiment.held_out, seed, add_indicator=add_indicator)
        for add_indicator in (False, True)
    )
    return ours, plain, indicating


def measure_pipeline(
    table: PublicTable, held_out: np.ndarray, seed: int, *, add_indicator: bool
) -> float:
    import pandas
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pandas.read_csv(table.path, na_values="?", **table.pandas)
    y = frame.iloc[:, table.label].astype(str).to_numpy()
    columns = [i for i in range(frame.shape[1]) if i != table.label % frame.shape[1]]
    x = frame.iloc[:, [i for i in columns if i not in table.dropped]]
    x.columns = x.columns.astype(str)
    pipeline = make_pipeline(
        make_column_transformer(
            (
                make_pipeline(SimpleImputer(add_indicator=add_indicator), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),
            (
                make_pipeline(
                    SimpleImputer(strategy="most_frequent", add_indicator=add_indicator),
                    OneHotEncoder(handle_unknown="ignore"),
                ),
                make_column_selector(dtype_exclude="number"),
            ),
        ),
        MLPClassifier(max_iter=500, random_state=seed),
    )
    training = np.setdiff1d(np.arange(len(y)), held_out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(x.iloc[training], y[training])
    return float(np.mean(pipeline.predict(x.iloc[held_out]) == y[held_out]))


def format_results(results: dict[str, list[tuple[float, ...]]]) -> str:
    """The results as a table in Markdown, and which of them are as good as the pipelines'."""
    lines = [
        "| after `train --data tests/tables/` | microgradx | scikit-learn | difference "
        "| with indicators | difference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    below = []
    for table in TABLES:
        words = " ".join([table.file, *table.arguments()[2:]])
        accuracies = np.array(results[table.file])
        lines.append(f"| `{words}` | {_format_row(accuracies)} |")
        if np.any(_differences(accuracies).mean(axis=0) < -WITHIN):
            below.append(f"`{table.file}`")
    means = np.mean([results[table.file] for table in TABLES], axis=0)
    lines.append(f"| the mean | {_format_row(means)} |")
    said = f"More than a point below one of the pipelines: {', '.join(below) or 'none'}."
    return "\n".join([*lines, "", said])


def _differences(accuracies: np.ndarray) -> np.ndarray:
    """By how much `train` (the first column) is above each pipeline."""
    differences: np.ndarray = accuracies[:, :1] - accuracies[:, 1:]
    return differences


def _format_row(accuracies: np.ndarray) -> str:
    ours, plain, indicating = accuracies.mean(axis=0)
    differences = _differences(accuracies)
    errors = differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    to_plain, to_indicating = (
        f"{mean * 100:+.1f} ± {error * 100:.1f}"
        for mean, error in zip(differences.mean(axis=0), errors, strict=True)
    )
    return f"{ours:.1%} | {plain:.1%} | {to_plain} | {indicating:.1%} | {to_indicating}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help="the page to write the results into")
    arguments = parser.parse_args()
    results: dict[str, list[tuple[float, ...]]] = {}
    for table in TABLES:
        results[table.file] = [measure(table, seed) for seed in SEEDS]
        print(table.file, np.round(results[table.file], 3).tolist(), flush=True)
    text = format_results(results)
    print(text)
    if arguments.page:
        write_page(arguments.page, text)


if __name__ == "__main__":
    main()
