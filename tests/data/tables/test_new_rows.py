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


PIXELS = np.arange(96).reshape(6, 4, 4) * np.where(np.arange(6) % 2, 1, 2)[:, None, None]


def pixel_table(header, rows, label_at):
    lines = [",".join(header)] if header else []
    for i, row in enumerate(rows.reshape(len(rows), -1).tolist()):
        row.insert(label_at, i % 2)
        lines.append(",".join(map(str, row)))
    return "\n".join(lines) + "\n"


NUMBERED = [f"pixel{i}" for i in range(16)]


@pytest.mark.parametrize("name", ["y", "label", "target"])
def test_a_header_that_names_the_label_first_shifts_nothing(write, name):
    """Features that moved by one were predicted as well as by chance."""
    table = read_table(write({"X": PIXELS, "y": np.arange(6) % 2}))
    new = write(pixel_table([name, *NUMBERED], PIXELS, 0))
    features, labels = read_like(table, new)
    assert features == table.features.tolist()
    assert labels == ["0", "1"] * 3


def test_a_label_without_a_name_is_where_its_classes_are_or_asked_for(write):
    table = read_table(write({"X": PIXELS + 5, "y": np.arange(6) % 2}))
    new = write(pixel_table(None, PIXELS + 5, 0))
    assert read_like(table, new) == (table.features.tolist(), ["0", "1"] * 3)
    ambiguous = write(pixel_table(None, np.zeros_like(PIXELS), 0))
    with pytest.raises(InputError, match=r"one may be the label; say which.*--label 1"):
        read_like(table, ambiguous)
    assert read_like(table, ambiguous, label=1)[1] == ["0", "1"] * 3


def test_columns_that_were_left_out_are_left_out_again(write):
    text = "7,a,1,2\n8,b,3,4\n9,a,5,6\n3,b,7,8\n"
    table = read_table(write(text, "trained.csv"), 2, drop=1)
    assert read_like(table, write("5,b,9,8\n")) == ([[9, 8]], ["b"])
    assert read_like(table, write("5,9,8\n")) == ([[9, 8]], [None])
    assert read_like(table, write("b,9,8\n")) == ([[9, 8]], ["b"])
    assert read_like(table, write("9,8\n")) == ([[9, 8]], [None])


def test_labels_are_known_in_another_spelling(write):
    table = read_table(write("1,TRUE\n2,FALSE\n3,TRUE\n4,FALSE\n", "trained.csv"))
    assert read_like(table, write("9,True\n8,false\n"))[1] == ["TRUE", "FALSE"]
    table = read_table(write("1,0\n2,1\n3,0\n4,1\n", "trained.csv"))
    assert read_like(table, write("9,1.0\n8,0.0\n"))[1] == ["1", "0"]


def test_labels_that_are_not_known_are_said(write, trained):
    new = read_new_rows(write("w,h,kind\n1,2,a\n3,4,c\n"), trained.schema, trained.label_names)
    assert new.labels.tolist() == [0, -1]
    assert new.notes == ("the model does not know the labels 'c', so they do not count",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("TRUE FALSE", "1 0"),
        ("1 0", "TRUE FALSE"),
        ("yes no", "Y N"),
        ("t f", "true false"),
        ("y n", "TRUE F"),
    ],
)
def test_truth_values_in_another_spelling(write, old, new):
    def rows(spelling):
        yes, no = spelling.split()
        return f"w,h,kind\n{yes},1,a\n{no},2,b\n{yes},3,a\n{no},4,b\n"

    table = read_table(write(rows(old), "trained.csv"))
    assert read_like(table, write(rows(new)))[0] == table.features.tolist()


def test_a_category_may_be_missing_or_unknown_in_new_rows(write):
    table = read_table(write("c,y\nred,a\nblue,b\nred,a\nblue,b\n", "trained.csv"))
    new = read_new_rows(write("c\nred\n?\npink\n2\n"), table.schema, table.label_names)
    assert [new.cell(row, 0) for row in range(4)] == ["red", "", "pink", "2"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(trained, library):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({"more": ["x", "y"], "h": [2, 4], "kind": ["a", None], "w": [1, 3]})
    assert read_like(trained, frame) == ([[1, 2], [3, 4]], ["a", None])


def test_columns_without_a_name_in_the_header_are_found_again(write):
    text = "size,,colour,\n1,2,red,a\n3,2,red,b\n5,6,blue,a\n7,8,red,b\n"
    table = read_table(write(text, "trained.csv"))
    assert table.schema.feature_names == ("size", "column 2", "colour")
    assert table.schema.label == "column 4"
    assert read_like(table, write(text)) == (table.features.tolist(), ["a", "b", "a", "b"])


def test_a_label_is_found_by_its_name_where_every_column_could_be_it(write):
    pixels = PIXELS % 2
    table = read_table(write({"X": pixels, "y": np.arange(6) % 2}))
    new = write(pixel_table(["y", *NUMBERED], pixels, 0))
    assert read_like(table, new) == (table.features.tolist(), ["0", "1"] * 3)


@pytest.mark.parametrize(
    ("training", "cells", "values"),
    [
        ("1,5;8,1", "1.279;2,279", [1279, 2.279]),
        ("1.5;8.1", "1.279;2,279", [1.279, 2279]),
        ("15;1,279", "1.279;2,279", [1.279, 2.279]),  # semicolons suggest a comma in such cells
        ("1,5;8,1", "1.279;2.5", [1.279, 2.5]),  # what the new rows show counts more
        ("1.5;8.1", "1.279;2,5", [1279, 2.5]),
    ],
)
@pytest.mark.parametrize("in_memory", [False, True])
def test_either_decimal_mark_means_what_it_did_in_training(
    write, training, cells, values, in_memory
):
    rows = "".join(f"{training};{label}\n" for label in "abab")
    table = read_table(write("w;h;kind\n" + rows, "trained.csv"))
    new = write(f"w;h\n{cells}\n")
    if in_memory:
        new = {name: [cell] for name, cell in zip("wh", cells.split(";"), strict=True)}
    assert read_like(table, new)[0] == [values]
