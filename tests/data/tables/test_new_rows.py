"""New rows are read as the table was that a classifier was trained on."""

import numpy as np
import pytest

from microgradx.common.messages import InputError
from microgradx.data.tables import read_new_rows, read_table

ROWS = "1,2,a\n3,4,b\n5,6,a\n7,8,b\n"
X = np.arange(8.0).reshape(4, 2)


@pytest.fixture
def write(tmp_path):
    def write(content, name="new.csv"):
        path = tmp_path / name
        if isinstance(content, dict):
            path = path.with_suffix(".npz")
            np.savez(path, **content)
        else:
            path.write_text(content)
        return path

    return write


@pytest.fixture
def trained(write):
    return read_table(write("w,h,kind\n" + ROWS, "trained.csv"))


def read_like(table, path, **options):
    """The features of new rows, and their labels as texts, None where there is none."""
    new = read_new_rows(path, table.schema, table.label_names, **options)
    return new.features.tolist(), [table.label_names[i] if i >= 0 else None for i in new.labels]


def test_columns_are_found_by_name_in_any_order(write, trained):
    features, labels = read_like(trained, write("extra,h,w\nx,2,1\ny,4,3\n"))
    assert features == [[1, 2], [3, 4]]
    assert labels == [None, None]


def test_a_label_column_is_found_by_name_and_may_be_blank(write, trained):
    features, labels = read_like(trained, write("kind,h,w\na,2,1\n,4,3\n"))
    assert features == [[1, 2], [3, 4]]
    assert labels == ["a", None]


def test_without_a_header_columns_go_by_position(write, trained):
    assert read_like(trained, write("1,2\n")) == ([[1, 2]], [None])
    assert read_like(trained, write("1,2,a\n")) == ([[1, 2]], ["a"])


def test_without_a_header_the_label_is_where_it_was_in_training(write):
    table = read_table(write("kind,w,h\na,1,2\nb,3,4\na,5,6\nb,7,8\n", "trained.csv"), "kind")
    assert read_like(table, write("b,9,8\n")) == ([[9, 8]], ["b"])


def test_a_header_is_skipped_if_training_had_none(write):
    table = read_table(write(ROWS, "trained.csv"))
    assert read_like(table, write("w,h\n1,2\n"))[0] == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w,x\n1,2\n", "the header lacks 'h'; it has 'w', 'x'"),
        ("1,2,3,4\n", "has 4 columns, and the model was trained on 2 ('w', 'h')"),
        ("w,h\n", "has a header and no rows"),
        ("w,h\n1,x\n", "line 2, column 2 ('h'): 'x' is not a number"),
        ("w,h\n1,x\ny,2\n", "line 2, column 2 ('h'): 'x' is not a number; line 3, column 1 ('w')"),
        ("h,w,h\n1,2,3\n", "several columns are called 'h'"),
    ],
)
def test_new_rows_that_do_not_fit(write, trained, text, message):
    with pytest.raises(InputError) as caught:
        read_like(trained, write(text))
    assert message in str(caught.value)


def test_new_rows_from_arrays(write):
    table = read_table(write({"X": X, "y": np.array([0, 1, 0, 1])}))
    assert read_like(table, write({"X": X[:1]})) == ([[0, 1]], [None])
    assert read_like(table, write({"X": X, "y": [0, 1, 0, 1]}))[1] == ["0", "1", "0", "1"]
    with pytest.raises(InputError, match="has 1 columns, and the model was trained on 2"):
        read_like(table, write({"X": X[:, :1]}))
