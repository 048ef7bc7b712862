"""Public tables, as they are, are trained on and predicted by one command each."""

import csv
import io
import shutil

import pytest

from benchmarks.tables import TABLES, format_results
from microgradx.data.tables import read_table


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.file)
def test_a_public_table_is_trained_on_and_predicted(
    table, train, predict, tmp_path, without_pictures
):
    shutil.copy(table.path, tmp_path)
    small = ("--hidden", "4", "--epochs", "2", "--out", "run")
    status, out, err = train(*table.arguments(), *small)
    assert (status, err) == (0, "")
    assert "Label      " in out
    rows = len(read_table(table.path, **table.options))
    status, out, err = predict("run/model.npz", table.file)
    assert status == 0
    predicted = list(csv.DictReader(io.StringIO(out)))
    assert len(predicted) == rows
    names = read_table(table.path, **table.options).label_names
    assert {row["label"] for row in predicted} <= {*names}
    assert f"of the {rows} rows that have a label in {table.file} were predicted right" in err


def test_the_table_of_results():
    results = {table.file: [(0.8, 0.75, 0.8), (0.9, 0.85, 0.88)] for table in TABLES}
    lines = format_results(results).splitlines()
    numbers = "85.0% | 80.0% | +5.0 ± 0.0 | 84.0% | +1.0 ± 1.0 |"
    assert lines[2] == f"| `crx.data` | {numbers}"
    assert lines[6] == f"| `breast-cancer.csv` | {numbers}"
    assert lines[5] == f"| `student-mat.csv --label sex` | {numbers}"
    assert lines[7] == f"| the mean | {numbers}"
    assert lines[9] == "More than a point below one of the pipelines: none."
    results["crx.data"] = [(0.8, 0.75, 0.82), (0.9, 0.85, 0.901)]
    assert format_results(results).endswith("pipelines: `crx.data`.")


def test_the_comparison_is_of_defaults():
    assert all(table.options.keys() <= {"label", "drop"} for table in TABLES)
