"""Reading files: what is understood, and the messages for what cannot be used."""

import sys
from decimal import Decimal

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
        ("w,w,kind\n1,2,a\n3,4,b\n", "columns 1, 2 are both called 'w'"),
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


# ---------------------------------------------------------------------------- what is understood


def test_the_preview_says_what_was_understood(csv):
    rows = "".join(
        f"{i},{i % 7 / 2},{'red' if i % 3 else 'blue'},{'?' if i == 4 else i % 2},,k{i % 2}\n"
        for i in range(1, 13)
    )
    path = csv("Id,size,colour,copy,nothing,kind\n" + rows + "13,1,red,1,,\n")
    assert str(read_table(path, drop="size")).splitlines() == [
        "Label      'kind', the last column (--label gives another): 2 classes: 'k0' 6, 'k1' 6",
        "Features   Id      number    1 to 12",
        "           colour  category  2: 'red' 8, 'blue' 4",
        "           copy    number    0 to 1; 1 missing, the mean instead",
        "Left out   'size': asked for",
        "Left out   'nothing': all its cells are empty",
        "Note       1 row without a label is left out: line 14",
        "Note       'Id': identifies or counts the rows; what is learnt from it is worthless for "
        "new ones; leave it out: --drop Id",
    ]


@pytest.mark.parametrize(
    "mark",
    ["?", "", "NA", "N/A", "n/a", "nan", "NaN", "NULL", "null", "None", "-", "--", "#N/A", "<NA>"],
)
@pytest.mark.parametrize("column", ["number", "truth", "category", "label"])
def test_marks_of_missing_values(csv, mark, column):
    cells = {"number": "1.5", "truth": "yes", "category": "red", "label": "a", column: mark}
    table = read_table(
        csv(
            "n,t,c,y\n2,no,blue,b\n3,yes,red,a\n4,no,red,b\n5,no,blue,a\n"
            + ",".join(cells.values())
            + "\n"
        )
    )
    assert table.label_names == ("a", "b")
    assert table.schema.kinds == ("number", "boolean", "category")
    assert len(table) == (4 if column == "label" else 5)
    missing = np.isnan(table.features)
    assert missing.sum() == (0 if column == "label" else 1)


@pytest.mark.parametrize("mark", ["unknown", "missing", ".", "none"])
def test_among_numbers_other_marks_are_missing_and_among_texts_they_are_categories(csv, mark):
    rows = f"1,red,a\n2,{mark},b\n{mark},red,a\n4,blue,b\n5,{mark},a\n"
    table = read_table(csv("n,c,y\n" + rows))
    assert np.isnan(table.features[:, 0]).tolist() == [False, False, True, False, False]
    assert mark in table.categories[1]


def test_plus_and_minus_are_labels(csv):
    assert read_table(csv("1,+\n2,-\n3,+\n4,-\n")).label_names == ("+", "-")


def test_rows_with_missing_values_may_be_left_out(csv):
    path = csv("a,b,y\n1,2,u\n?,3,v\n4,5,u\n6,,v\n7,8,v\n9,8,v\n")
    table = read_table(path, missing="drop")
    assert table.features.tolist() == [[1, 2], [4, 5], [7, 8], [9, 8]]
    assert table.notes == ("2 rows with missing values are left out: lines 3, 5",)
    with pytest.raises(InputError, match=r"every row has a missing value.*--drop b"):
        read_table(csv("a,b,y\n1,,u\n2,,v\n,3,u\n"), missing="drop")


def test_whole_numbers_that_pandas_made_floats_are_the_same_labels(csv):
    assert read_table(csv("1,1.0\n2,0.0\n3,1.0\n4,0.0\n5,\n")).label_names == ("0", "1")
    assert read_table(csv("1,007\n2,008\n3,007\n4,008\n")).label_names == ("007", "008")


def many_columns(rows=80):
    """A table with each fault that a column can have."""
    lines = ["name,born,code,size,wide,when,kind"]
    for i in range(rows):
        size = "big" if i == 3 else "-inf" if i == 5 else i / 7
        lines.append(f"person {i},19{i:02}-01-31,x{i}y,{size},{i},{i % 24}:30,{'ab'[i % 2]}")
    return "\n".join(lines) + "\n"


def test_all_that_is_wrong_is_named_at_once_with_the_remedy(csv):
    message = error_message(csv(many_columns()))
    assert message == (
        "FILE, line 5, column 4 ('size'): 'big' is not a number; line 7, column 4 ('size'): '-inf' "
        "is not a finite number; mend these cells, or empty them: empty ones count as missing; "
        "'born', 'when': dates or times, which are not read; leave them out, --drop born when, "
        "or write what matters of them as numbers; too many different texts for categories, of "
        "which a column may have 64: 'name' has 80, 'code' has 80; leave them out, --drop name code"
    )


@pytest.mark.parametrize("first", ["#", "%", "#N/A", "#ff0000"])
def test_a_first_cell_that_looks_like_a_comment(csv, first):
    header, rows = f"{first},size,kind\n", "1,2,a\n2,5,b\n3,1,a\n4,2,b\n"
    assert len(read_table(csv(header + rows))) == 4
    assert len(read_table(csv("id,size,kind\n" + rows + f"{first},3,a\n" * 8))) == 12


def test_the_remedy_works(csv):
    text = many_columns().replace("big", "").replace("-inf", "")
    table = read_table(csv(text), drop=["born", "when", "name", "code"])
    assert table.schema.feature_names == ("size", "wide")


def test_ragged_lines_are_all_named(csv):
    rows = ["1,2,a", "3,4,b", "5,6,7,a", "8,b"] * 5
    assert error_message(csv("\n".join(rows))).startswith(
        "FILE: lines 3, 4, 7, 8, 11, 12, 15, 16 and 2 more have 2 or 4 cells, and the others 3, "
        "separated by commas; mend these lines"
    )


@pytest.mark.parametrize(
    ("below", "said"),
    [
        ("Total: 4 rows\n", "line 5, 'Total: 4 rows', looks like a footer"),
        ("\nSource\n", "line 6, 'Source', looks like a footer"),
        ("Sums\n16,20\n", "line 5, 'Sums', and those below it look like a footer"),
    ],
)
def test_a_footer_is_called_one(csv, below, said):
    assert f"by commas; {said}; mend these lines" in error_message(csv(ROWS + below))
    ragged = error_message(csv(ROWS.replace("1,2", "1,2,3") + below))
    assert f"by commas; {said}; mend these lines" in ragged
    assert "footer" not in error_message(csv(ROWS + "8,b\n"))
    assert "footer" not in error_message(csv(ROWS + "8\n9,10,b\n"))


@pytest.mark.parametrize(
    "text",
    [
        "'big, old',1,a\n'new',2,b\n'big, old',3,a\nnew,4,b\n",
        "'big, old',1,a\n\"new\",2,b\n'big, old',3,a\n'new',4,b\n",
        "'big, old'; 1; a\n'new'; 2; b\n'big, old'; 3; a\n'new'; 4; b\n",
        "kind,n,y\n'big, old',1,a\nnew,2,b\n'big, old',3,a\nnew,4,b\n",
    ],
)
def test_single_quotes_keep_separators_in_cells(csv, text):
    table = read_table(csv(text))
    assert table.categories[0] == ("big, old", "new")
    assert table.features.tolist() == [[0, 1], [1, 2], [0, 3], [1, 4]]


def test_apostrophes_in_texts_are_no_quotes(csv):
    words = ["'tis", "don't", "o'", "'90s", "rock'n'roll", "'tis", "don't", "o'"]
    rows = "".join(f"{word},{i},{'ab'[i % 2]}\n" for i, word in enumerate(words))
    assert read_table(csv(rows)).categories[0] == tuple(sorted({*words}))
    escaped = "".join(f"'it\\'s, {i % 3}',{i},{'ab'[i % 2]}\n" for i in range(6))
    assert read_table(csv(escaped)).categories[0] == ("it's, 0", "it's, 1", "it's, 2")


def test_a_label_that_is_none_is_asked_about(csv):
    rows = "".join(f"{i % 2},{i * 1.37 % 5:.3f},{i * 0.71 % 3:.3f}\n" for i in range(30))
    message = error_message(csv(rows))
    assert "a measurement and not classes ('column 3', the last column, was taken" in message
    assert "these columns may hold labels: 'column 1' with '0', '1'" in message
    assert message.endswith("say which, such as --label 1")
    assert read_table(csv(rows), 1).label_names == ("0", "1")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("0,1,2", "2.5,-1.25,{k}"),  # what pandas writes without names
        ("1,2,3,4", "2.5,0.25,1.5,{k}"),
        ("0,1,2,label", "7,8,9,k{k}"),
        ("1999,2000,2001,kind", "7,8,9,k{k}"),
        (",0,1,2", "{i},4,5,{k}"),
    ],
)
def test_a_header_of_numbers_is_recognised(csv, header, row):
    rows = "".join(row.format(k=i % 2, i=i) + "\n" for i in range(8))
    table = read_table(csv(header + "\n" + rows))
    assert len(table) == 8
    names = [name for name in header.split(",") if name]
    assert [*table.schema.feature_names, table.schema.label] == names


def test_a_header_of_numbers_that_may_be_a_row_is_asked_about(csv):
    path = csv("0,1,2\n" + "3,4,2\n5,6,1\n" * 3 + "3,3,1\n")
    assert "may be a header that counts the columns, or a row; say which" in error_message(path)
    assert len(read_table(path, header=True)) == 7
    assert len(read_table(path, header=False)) == 8


def test_columns_of_the_same_name_are_all_named_and_may_be_dropped(csv):
    path = csv("a,b,a,c,b,b,y\n" + "1,2,3,4,5,6,u\n6,7,8,9,1,2,v\n" * 2)
    message = error_message(path)
    assert "columns 1, 3 are both called 'a'; columns 2, 5, 6 are all called 'b'" in message
    assert "--drop 3" in message
    assert read_table(path, drop=[3, 5, 6]).schema.feature_names == ("a", "b", "c")
    assert read_table(path, drop="a,b").schema.feature_names == ("c",)


def test_what_is_suspicious_is_noted(csv):
    rows = "".join(
        f"{1000 + i * 17 % 40},{i * 7919 % 1000 / 10},{'xy'[i % 2]},1,{10**17 + i},{'ab'[i % 2]}\n"
        for i in range(40)
    )
    notes = read_table(csv("PatientId,size,twin,one,serial,kind\n" + rows)).notes
    assert [note.split(":")[0] for note in notes] == [
        "'PatientId'",
        "'twin'",
        "'one'",
        "'serial'",
    ]
    assert "--drop PatientId" in notes[0]
    assert "a copy of the label" in notes[1]
    assert "the same in every row" in notes[2]
    assert "more than 15 digits" in notes[3]


def notes_of(csv, name, cells):
    """The notes of a table with this column, and one that is not odd."""
    rows = [f"{i * 7 % 5 / 2},{cell},{'aab'[i % 3]}" for i, cell in enumerate(cells)]
    return read_table(csv("\n".join([f"size,{name},kind", *rows]) + "\n")).notes


DAYS = [20200131, 20200201, 20191224, 20210630, 20200131, 20180101] * 2
MONTHS = [202001, 202002, 201912, 202106, 202001, 201801] * 2


@pytest.mark.parametrize(
    ("name", "cells", "is_noted"),
    [
        ("date", DAYS, True),
        ("Order Date", [*DAYS, ""], True),
        ("when", DAYS, True),
        ("month", MONTHS, True),
        ("date_sold", MONTHS, True),
        ("income", MONTHS, False),
        ("update", MONTHS, False),
        ("date", [*DAYS, 20201331], False),
        ("date", [*DAYS, 20200100], False),
        ("day", [1, 2, 3, 4, 5, 6, 2, 1, 3, 5, 6, 2], False),
        ("price", [20210000 + 123 * i for i in (3, 9, 1, 7, 5, 2, 8, 6, 4, 11)], False),
    ],
)
def test_dates_as_numbers_are_noted(csv, name, cells, is_noted):
    notes = notes_of(csv, name, cells)
    assert bool(notes) == is_noted
    for note in notes:
        assert note.startswith(f"{name!r}: dates as numbers, such as {cells[0]}")
        assert "--drop " in note


AGES = [21, 35, 50, 43, 62, 29, 33, 47, 58, 39]


@pytest.mark.parametrize(
    ("cells", "sentinel"),
    [
        ([*AGES, -999, -999], "-999 in 2 rows"),
        ([*AGES, "-999.0", "-999.0", ""], "-999 in 2 rows"),
        ([*AGES, 9999, 9999, 9999], "9999 in 3 rows"),
        ([*AGES, 99999999, 99999999], "99999999 in 2 rows"),
        ([1, 2, 3, 2, 1, 3, 2, 1, -9, -9], "-9 in 2 rows"),
        ([*AGES, -999], None),  # once: a mistake, perhaps
        ([*AGES, 99, 99], None),  # an age
        ([*AGES, -500, -500], None),
        ([0, 9, 0, 9, 0, 9, 0, 9, 0, 9], None),
        ([-1, 1, -1, 1, 0, 0, -1, 1, 0, 0], None),
    ],
)
def test_numbers_that_stand_for_missing_values_are_noted(csv, cells, sentinel):
    notes = notes_of(csv, "age", cells)
    if sentinel is None:
        assert notes == ()
    else:
        assert len(notes) == 1
        assert notes[0].startswith(f"'age': {sentinel}, far from all others; if it stands for")


def test_classes_that_differ_in_spelling_are_noted(csv):
    notes = read_table(csv("1,Yes\n2,yes\n3,Yes\n4,yes\n5,no\n6,no\n")).notes
    assert notes == ("the classes 'Yes', 'yes' differ only in how they are spelt; are they one?",)


# ---------------------------------------------------------------------------- images


def pixel_rows(names, shape):
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 255, (6, len(names)))
    lines = [",".join([*names, "label"])]
    lines += [",".join(map(str, [*row, i % 2])) for i, row in enumerate(rows.tolist())]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        ([f"pixel{i}" for i in range(16)], (4, 4)),
        ([f"Pixel_{i}" for i in range(1, 10)], (3, 3)),
        ([f"px{i}" for i in range(9)], (3, 3)),
        ([f"{r}x{c}" for r in range(1, 3) for c in range(1, 4)], (2, 3)),
        ([f"pixel_{r}_{c}" for r in range(2) for c in range(3)], (2, 3)),
        ([f"pixel{i}" for i in range(12)], None),
        ([f"p{i}" for i in range(15)] + ["age"], None),
    ],
)
def test_columns_of_pixels_are_images(csv, names, shape):
    assert read_table(csv(pixel_rows(names, shape))).schema.image_shape == shape


def test_numbers_that_look_like_pixels_are_asked_about(csv):
    pixels = np.random.default_rng(0).integers(-200, 255, (12, 49)).clip(0)
    rows = "".join(f"{i % 2}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(pixels))
    assert read_table(csv(rows), 1).notes[-1].endswith("if they are, say so: --image 7x7")
    assert read_table(csv(rows), 1, image="7x7").notes == ()
    halves = rows.replace(",0,", ",0.5,")
    assert not any("image" in note for note in read_table(csv(halves), 1).notes)


def test_the_shape_of_images_may_be_given(csv):
    path = csv(pixel_rows([f"v{i}" for i in range(12)], None))
    assert read_table(path, image="3x4").schema.image_shape == (3, 4)
    assert read_table(path, image="2x2x3").schema.image_shape == (2, 2, 3)
    assert read_table(path, image=(3, 2, 2)).schema.image_shape == (3, 2, 2)
    with pytest.raises(InputError, match="images of 4x4 have 16 pixels, and a row has 12 features"):
        read_table(path, image="4x4")
    with pytest.raises(InputError, match="is no shape of images"):
        read_table(path, image="a lot")


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3), (3, 4, 4), (4, 4, 1), (1, 4, 4)])
def test_images_may_have_an_axis_of_channels(npz, shape):
    table = read_table(npz(X=np.zeros((4, *shape)), y=Y))
    assert table.schema.image_shape == shape
    assert table.features.shape == (4, np.prod(shape))


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        *(("x_train", "y_train"), ("X_train", "y_train"), ("data", "target"), ("images", "labels")),
        *(("train_images", "train_labels"), ("features", "label"), ("arr_0", "arr_1"), ("x", "y")),
        *(("x_test", "y_test"), ("measured", "species")),
    ],
)
def test_arrays_of_any_names(npz, features, labels):
    table = read_table(npz(**{features: X, labels: Y, "note": np.array("hello")}))
    assert table.features.tolist() == X.tolist()
    assert table.labels.tolist() == Y.tolist()


def test_of_several_arrays_some_are_named(npz):
    path = npz(first=X, second=2 * X, kind=Y, sort=1 - Y)
    message = error_message(path)
    assert "no array of features was found; there are 'first' of shape (4, 2), 'second'" in message
    assert "--features NAME" in message
    with pytest.raises(InputError, match=r"no array of labels was found.*--label NAME"):
        read_table(path, features="second")
    table = read_table(path, "sort", features="second")
    assert table.features.tolist() == (2 * X).tolist()
    assert table.labels.tolist() == (1 - Y).tolist()


@pytest.mark.parametrize("labels", [Y[:, None], np.eye(2)[Y], Y.astype(bool), Y.astype(float)])
def test_labels_in_other_forms(npz, labels):
    assert read_table(npz(X=X, y=labels)).labels.tolist() == Y.tolist()


def test_NaN_in_arrays_is_missing(npz):
    table = read_table(
        npz(X=np.where(X == 5, np.nan, X), y=np.array([0, 1, 0, np.nan])[[0, 1, 0, 1]])
    )
    assert np.isnan(table.features).sum() == 1


@pytest.mark.parametrize("text", ["\n\n", "# a comment\n", ",,\n,\n", '""\n'])
def test_a_file_without_cells(csv, text):
    assert error_message(csv(text)).startswith("FILE is empty") or "no cells" in error_message(
        csv(text)
    )


@pytest.mark.parametrize("ending", [".xlsx", ".parquet", ".feather", ".ods"])
def test_without_pandas_files_that_it_reads_say_how_to_get_it(tmp_path, monkeypatch, ending):
    path = tmp_path / f"table{ending}"
    path.write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "pip install pandas" in error_message(path)
    assert "or save the table as CSV" in error_message(path)


def test_a_damaged_file_for_pandas(tmp_path):
    pytest.importorskip("pandas")
    path = tmp_path / "table.xlsx"
    path.write_bytes(b"anything")
    assert "save" in error_message(path)


@pytest.mark.parametrize("content", [b"\x1f\x8bgarbage", b"PK\x03\x04garbage", b"BZhgarbage"])
def test_damaged_compressed_files(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert "compressed and damaged" in error_message(path)


def test_names_in_the_remedy_pass_a_shell_as_they_are(csv):
    rows = "".join(f"{i},person {i},{'ab'[i % 2]}\n" for i in range(70))
    path = csv("#,full name,kind\n" + rows)
    assert error_message(path).endswith('--drop "full name"')
    assert read_table(path, drop="full name").notes[0].endswith('--drop "#"')


def test_many_bad_cells_are_counted(csv):
    rows = "".join(f"{'inf' if i < 7 else i / 3},{i % 5},{'ab'[i % 2]}\n" for i in range(70))
    assert "line 6, column 1: 'inf' is not a finite number; and 1 more cell, in column 1" in (
        error_message(csv(rows))
    )


AMBIGUOUS = {"a": ["1.279", "2.500"] * 3, "b": ["8,1", "2,5", "3,5"] * 2, "y": list("uvuvuv")}


@pytest.mark.parametrize("library", ["dict", "pandas", "polars"])
def test_a_data_frame_of_texts_is_read_as_a_file_of_them(tmp_path, library):
    path = tmp_path / "table.csv"
    lines = [";".join(AMBIGUOUS), *map(";".join, zip(*AMBIGUOUS.values(), strict=True))]
    path.write_text("\n".join(lines))
    frame = AMBIGUOUS
    if library != "dict":
        frame = pytest.importorskip(library).DataFrame(AMBIGUOUS)
    from_file, from_frame = read_table(path, "y"), read_table(frame, "y")
    assert from_frame.features.tolist() == from_file.features.tolist()
    assert from_frame.features[0].tolist() == [1279, 8.1]
    assert from_frame.schema == from_file.schema


def test_numbers_in_a_data_frame_are_not_read_as_texts():
    pd = pytest.importorskip("pandas")
    decimals = [Decimal("1.279"), Decimal("2.5")] * 3
    floats = pd.Series([1.279, None, 2.5, 3.5, 1.279, None], dtype=object)
    table = read_table(
        pd.DataFrame({**AMBIGUOUS, "a": decimals, "c": floats}).reindex(
            columns=["a", "b", "c", "y"]
        ),
        "y",
    )
    assert table.features[0].tolist() == [1.279, 8.1, 1.279]


@pytest.mark.parametrize("distinct", [8, 15, 30, 90])
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_label_column_of_numbers_is_told_of_regressions(distinct, is_whole):
    values = (np.arange(100) % distinct)[: max(distinct + 3, 25 if distinct > 20 else 0)]
    labels = (values * 7 if is_whole else values + 0.5).tolist()
    with pytest.raises(InputError) as caught:
        read_table({"x": list(range(len(labels))), "price": labels}, "price")
    assert f"labels in 'price' are {distinct} different numbers" in str(caught.value)
    assert "for a regression give arrays, fit(model, (X, y), loss='mse_loss')" in str(caught.value)
    assert "merge their classes" not in str(caught.value)


def test_a_few_rare_numbers_may_be_classes_or_a_measurement():
    with pytest.raises(InputError, match=r"too few rows .* if they are a measurement, tables are"):
        read_table({"x": list(range(5)), "y": [1, 1, 2, 2, 3]}, "y")


@pytest.mark.parametrize("given", ["Klase", "klasse", "Klassen"])
@pytest.mark.parametrize("option", ["label", "drop"])
def test_a_misspelt_column_is_proposed(given, option):
    options = {"label": "Klasse"} | {option: given}
    with pytest.raises(InputError, match=r"do you mean 'Klasse'\? There are 'x', 'y', 'Klasse'"):
        read_table({"x": [1, 2, 1, 2], "y": [3, 4, 4, 3], "Klasse": list("abab")}, **options)


@pytest.mark.parametrize("label", ["Klasse", 3])
def test_a_label_that_was_left_out_is_said_to_be(label):
    frame = {"x": [1, 2, 1, 2], "y": [3, 4, 4, 3], "Klasse": list("abab")}
    with pytest.raises(InputError, match=f"'{label}' of --label is left out: asked for"):
        read_table(frame, label, drop="Klasse")
