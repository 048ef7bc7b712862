"""Reading files: what is understood, and the messages for what cannot be used."""

import numpy as np
import pytest

from microgradx.common.messages import InputError
from microgradx.data.tables import read_table


@pytest.fixture
def csv(tmp_path):
    def write(text, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "table.npz"
        np.savez(path, **arrays)
        return path

    return write


ROWS = "1,2,a\n3,4,b\n5,6,a\n7,8,b\n"


def error_message(path, label=None):
    with pytest.raises(InputError) as caught:
        read_table(path, label)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message.replace(str(path), "FILE")


# ---------------------------------------------------------------------------- CSV


def test_without_a_header_the_last_column_is_the_label(csv):
    table = read_table(csv(ROWS))
    assert table.features.dtype == np.float64
    assert table.features.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert table.label_names == ("a", "b")
    assert table.labels.tolist() == [0, 1, 0, 1]
    assert table.schema.feature_names is None
    assert table.schema.feature_name(1) == "column 2"


def test_a_first_line_without_numbers_is_a_header(csv):
    table = read_table(csv("width,height,kind\n" + ROWS))
    assert table.schema.feature_names == ("width", "height")
    assert table.schema.label == "kind"
    assert len(table.labels) == 4


def test_the_label_column_may_be_named_and_stand_anywhere(csv):
    table = read_table(csv("kind,width,height\na,1,2\nb,3,4\na,5,6\nb,7,8\n"), label="kind")
    assert table.features.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert table.schema.feature_names == ("width", "height")
    assert table.schema.label_position == 0


def test_a_named_label_makes_the_first_line_a_header_even_if_names_are_numbers(csv):
    table = read_table(csv("0,1,kind\n" + ROWS), label="kind")
    assert table.schema.feature_names == ("0", "1")
    assert len(table.labels) == 4


def test_integer_labels_keep_their_natural_order(csv):
    table = read_table(csv("1,10\n2,9\n3,10\n4,9\n"))
    assert table.label_names == ("9", "10")
    assert table.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + ROWS,  # as spreadsheets write it
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("\n", "\n\n") + "\n , ,\n",
        ROWS.replace(",", " , "),
        ROWS.replace("a", '"a"'),
        ROWS.removesuffix("\n"),
    ],
)
def test_byte_order_marks_blank_lines_spaces_and_quotes_change_nothing(csv, text):
    table = read_table(csv(text))
    plain = read_table(csv(ROWS, "plain.csv"))
    assert table.features.tolist() == plain.features.tolist()
    assert table.label_names == plain.label_names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,a\n3,x,b\n4,4,a\n", "FILE, line 2, column 2: 'x' is not a number"),
        ("w,h,kind\n1,2,a\n3,x,b\n", "FILE, line 3, column 2 ('h'): 'x' is not a number"),
        ("1,2,a\n3,-inf,b\n", "FILE, line 2, column 2: '-inf' is not a finite number"),
        ("1,2,a\n3,1e999,b\n", "FILE, line 2, column 2: '1e999' is not a finite number"),
        ("1,2,a\n3,1_000,b\n4,4,a\n", "FILE, line 2, column 2: '1_000' is not a number"),
        ("1,2,a\n3,4,5,b\n4,5,b\n", "FILE: line 2 has 4 cells, and the others 3"),
        ("1,2,a\n3\n4,5,b\n", "FILE: line 2 has 1 cell, and the others 3"),
        ('1,"2\n\n",a\n3,x,b\n4,4,a\n', "FILE, line 4, column 2: 'x' is not a number"),
        ("1,2,a\n3,4,a\n", "every row has the same label, 'a'"),
        ("1,2,a\n3,4,b\n5,6,b\n", "too few rows with the label 'a'; each needs at least 2"),
        ("1,2,a\n", "every row has the same label"),
        ("w,h,kind\n", "FILE has a header and no rows"),
        ("", "FILE is empty"),
        (" \n\n", "FILE is empty"),
        ("1\n2\n", "there is one column, 'column 1' with '1'"),
        ("w,w,kind\n1,2,a\n3,4,b\n", "columns 1, 2 are all called 'w'"),
        ('1,2,a\n3,"4,b\n', "line 2: this is not CSV"),
        ("1,\x00,a\n", "FILE, line 1"),
    ],
)
def test_errors_in_csv_files_are_located(csv, text, message):
    assert message in error_message(csv(text))


def test_a_bad_cell_in_the_first_line_does_not_make_it_a_header(csv):
    message = error_message(csv("1,x,a\n" + ROWS))
    assert "FILE, line 1, column 2: 'x' is not a number" in message
    assert "--label" in message


def test_a_long_cell_does_not_fill_the_screen(csv):
    assert len(error_message(csv(f"1,2,a\n3,{'x' * 10_000},b\n"))) < 200


def test_a_missing_label_column(csv):
    message = error_message(csv("w,h,kind\n" + ROWS), "sort")
    assert "no column is called 'sort'; there are 'w', 'h', 'kind'" in message
    assert "several columns" in error_message(csv("w,w,kind\n" + ROWS), "w")


def test_missing_files_and_directories(tmp_path):
    assert error_message(tmp_path / "none.csv") == "FILE: there is no such file"
    assert "directory" in error_message(tmp_path)


# ---------------------------------------------------------------------------- NPZ

X = np.arange(8.0).reshape(4, 2)
Y = np.array([0, 1, 0, 1])


def test_arrays_X_and_y(npz):
    table = read_table(npz(X=X, y=Y))
    assert table.features.tolist() == X.tolist()
    assert table.label_names == ("0", "1")
    assert table.labels.tolist() == Y.tolist()


@pytest.mark.parametrize("y", [["b", "a", "b", "a"], np.array([2, 1, 2, 1], np.uint8)])
def test_labels_may_be_text_or_any_integers(npz, y):
    table = read_table(npz(X=X, sort=np.array(y)), label="sort")
    assert [table.label_names[i] for i in table.labels] == [str(label) for label in y]
    assert table.schema.label == "sort"


def test_floats_that_are_integers_are_labels_too(npz):
    assert read_table(npz(X=X, y=Y.astype(float))).label_names == ("0", "1")


def test_images_are_flattened_and_their_shape_kept(npz):
    table = read_table(npz(X=np.arange(48).reshape(4, 3, 4), y=Y))
    assert table.features.shape == (4, 12)
    assert table.schema.image_shape == (3, 4)


def test_other_arrays_in_the_file_are_ignored(npz):
    assert len(read_table(npz(X=X, y=Y, notes=np.array([{}], dtype=object))).labels) == 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "no array of labels was found; there are 'X' of shape (4, 2)"),
        ({"y": Y}, "no array of features was found"),
        ({"X": X, "y": Y[:3]}, "y must have one label for each row of X, shape (4,), not (3,)"),
        ({"X": X[:, 0], "y": Y}, "X must be numbers of shape (rows, columns)"),
        ({"X": X.astype(str), "y": Y}, "X must be numbers"),
        ({"X": X + 1j, "y": Y}, "X must be numbers"),
        ({"X": X[:0], "y": Y[:0]}, "X must be numbers"),
        ({"X": X, "y": Y + 0.5}, "y must be integers or text"),
        ({"X": np.where(X == 5, np.inf, X), "y": Y}, "X[2, 1] is inf, not a finite number"),
        ({"X": X, "y": np.zeros(4, int)}, "every row has the same label"),
        ({"X": X.astype(object), "y": Y}, "Python objects, which are never loaded"),
    ],
)
def test_errors_in_arrays_are_described(npz, arrays, message):
    assert message in error_message(npz(**arrays))


def test_damaged_files(tmp_path, npz):
    whole = npz(X=X, y=Y).read_bytes()
    damaged = tmp_path / "damaged.npz"
    for content in (
        whole[: len(whole) // 2],
        b"",
        b"not at all",
        whole.replace(b"NUMPY", b"NUMBY"),
    ):
        damaged.write_bytes(content)
        assert "damaged" in error_message(damaged)
    single = tmp_path / "single.npz"
    with single.open("wb") as file:
        np.save(file, X)
    assert "single array" in error_message(single)
