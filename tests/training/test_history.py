"""The history: a table of the epochs, as text, HTML, CSV and columns."""

import csv
import math

import numpy as np
import pandas as pd
import pytest

from microgradx.training import History

ROWS = [
    {"epoch": 1, "lr": 0.1, "loss": 0.7123456789},
    {"epoch": 2, "lr": 0.05, "loss": 0.5, "<note>": 3.0},
]


def test_columns_rows_and_length():
    history = History(ROWS)
    assert history.columns == ["epoch", "lr", "loss", "<note>"]
    assert history["loss"].tolist() == [0.7123456789, 0.5]
    np.testing.assert_array_equal(history["<note>"], [np.nan, 3.0])
    assert history[-1] == history[1] == ROWS[1]
    assert [row["epoch"] for row in history] == [1, 2]
    assert len(history) == 2
    assert history
    with pytest.raises(KeyError, match="no column 'accuracy'; there are 'epoch', 'lr'"):
        history["accuracy"]


def test_as_text():
    assert repr(History(ROWS)).splitlines() == [
        "epoch    lr    loss  <note>",
        "    1   0.1  0.7123        ",
        "    2  0.05     0.5       3",
    ]
    assert repr(History()) == "History of no epochs"
    long = repr(History([{"epoch": n, "loss": 1 / n} for n in range(1, 201)])).splitlines()
    assert len(long) == 62
    assert long[31].split() == ["…", "…"]


def test_as_html():
    shown = History(ROWS)._repr_html_()
    assert "<th>&lt;note&gt;</th>" in shown
    assert "<td>0.7123</td>" in shown


def test_as_csv_and_as_columns(tmp_path):
    history = History(ROWS)
    history.to_csv(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [0.7123456789, 0.5]
    assert rows[0]["<note>"] == ""
    columns = history.to_dict()
    assert columns["loss"] == [0.7123456789, 0.5]
    assert math.isnan(columns["<note>"][0])
    pd.testing.assert_frame_equal(pd.DataFrame(columns), pd.read_csv(tmp_path / "history.csv"))
