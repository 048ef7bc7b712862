"""One table in the shapes that people have tables in: each is understood as the same."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pytest

from microgradx.data.tables import TableEncoder, read_new_rows, read_table

NAMES = ["width", "depth", "colour", "open", "kind"]
ROWS = [
    (1.5, 20, "red", True, "cup"),
    (2.25, 31, "green", False, "jug"),
    (-0.5, 47, "red", True, "cup"),
    (4.75, 18, "dark blue", True, "jug"),
    (1234.5, 25, "green", False, "cup"),
    (0.125, 90, "red", False, "jug"),
    (3.5, 66, "dark blue", True, "cup"),
    (2.5, 18, "green", False, "jug"),
]
CATEGORIES = ("dark blue", "green", "red")


def render(
    separator=",",
    *,
    order=NAMES,
    header=True,
    number=str,
    truth=str,
    quote="",
    end="\n",
    before="",
    after="",
    cells_before=lambda i: (),
    trailing="",
):
    """The table as a text."""
    lines = []
    if header:
        lines.append([quote + name + quote for name in order])
    for i, row in enumerate(ROWS):
        texts = {
            name: truth(x) if isinstance(x, bool) else number(x) if name in NAMES[:2] else x
            for name, x in zip(NAMES, row, strict=True)
        }
        cells = [*cells_before(i), *(texts[name] for name in order)]
        lines.append([quote + cell + quote for cell in cells])
    text = end.join(separator.join(cells) + trailing for cells in lines)
    return before + text + end + after


def comma(x):
    return str(x).replace(".", ",")


def german(x):
    return f"{x:,}".replace(",", " ").replace(".", ",").replace(" ", ".")


def quoted_commas(x):
    return f'"{comma(x)}"'


def without_spaces(text):
    return text.replace("dark blue", "dark_blue")


TEXTS = {
    "commas": render(),
    "semicolons": render(";"),
    "tabs": render("\t"),
    "pipes": render("|"),
    "commas and spaces": render(", "),
    "pipes and spaces": render(" | "),
    "spaces around everything": render(" ,  "),
    "quotes": render(quote='"'),
    "semicolons and quotes": render(";", quote='"'),
    "single quotes": render(quote="'"),
    "tabs and quotes": render("\t", quote='"'),
    "decimal commas, semicolons": render(";", number=comma),
    "decimal commas, tabs": render("\t", number=comma),
    "decimal commas in quotes": render(number=quoted_commas),
    "thousands in German": render(";", number=german),
    "thousands in English": render(";", number=lambda x: f"{x:,}"),
    "thousands in quotes": render(number=lambda x: f'"{x:,}"'),
    "thousands with apostrophes": render(number=lambda x: f"{x:,}".replace(",", "'")),
    "thousands with spaces": render(number=lambda x: f"{x:,}".replace(",", "\u202f")),
    "dollars": render(number=lambda x: f"-${-x}" if x < 0 else f"${x}"),
    "euros": render(";", number=lambda x: f"{comma(x)} €"),
    "a minus of typographers": render(number=lambda x: str(x).replace("-", "\u2212")),
    "plus signs": render(number=lambda x: f"{x:+}"),
    "exponents": render(number=lambda x: f"{x:.6E}"),
    "TRUE and FALSE": render(truth=lambda x: str(x).upper()),
    "t and f": render(truth=lambda x: "ft"[x]),
    "yes and no": render(truth=lambda x: ("No", "Yes")[x]),
    "Y and N": render(truth=lambda x: "NY"[x]),
    "1 and TRUE": render(truth=lambda x: ("0", "TRUE")[x]),
    "CRLF": render(end="\r\n"),
    "CR": render(end="\r"),
    "no end of the last line": render().rstrip("\n"),
    "blank lines": render(end="\n\n", before="\n\n"),
    "trailing commas": render(trailing=","),
    "trailing commas after rows": render(trailing=",").replace("kind,\n", "kind\n"),
    "a title": render(before="Cups and jugs of the museum\n"),
    "a title and a blank line": render(before="Cups and jugs, 1998\n\n"),
    "a title as a spreadsheet has it": render(before="Cups and jugs,,,,\n,,,,\n"),
    "comments": render(before="# cups\n# and jugs, measured by hand\n"),
    "comments of Matlab": render(before="% cups\n"),
    "a comment between rows": render(end="\n").replace("\n2.25", "\n# checked twice\n2.25"),
    "a header in a comment": render().replace("width", "# width", 1),
    "a count": render(before=f"{len(ROWS)}\n"),
    "counts": render(before=f"{len(ROWS)},4\n"),
    "an index without a name": render(cells_before=lambda i: (str(i),)).replace("width", ",width"),
    "pandas' index twice": render(cells_before=lambda i: (str(i), str(i))).replace(
        "width", ",Unnamed: 0,width", 1
    ),
    "R's row names": render(quote='"', cells_before=lambda i: (f"row {i}",)),
    "ARFF": "@relation cups\n"
    + "".join(f"@attribute {name} string\n" for name in NAMES)
    + "@data\n"
    + render(header=False),
}


def check(table, categories=CATEGORIES):
    assert table.schema.feature_names == tuple(NAMES[:4])
    assert table.schema.kinds == ("number", "number", "category", "boolean")
    assert table.categories[2] == categories
    expected = [
        [width, depth, CATEGORIES.index(colour), is_open]
        for width, depth, colour, is_open, _ in ROWS
    ]
    assert table.features.tolist() == expected
    assert [table.label_names[i] for i in table.labels] == [row[-1] for row in ROWS]


@pytest.mark.parametrize("shape", TEXTS)
def test_a_text_is_read_whatever_its_shape(tmp_path, shape):
    path = tmp_path / "cups.csv"
    path.write_text(TEXTS[shape], encoding="utf-8", newline="")
    check(read_table(path))


@pytest.mark.parametrize("separator", [" ", "   ", "\t "])
def test_spaces_separate_too(tmp_path, separator):
    path = tmp_path / "cups.txt"
    text = without_spaces(render(separator))
    path.write_text("  " + text.replace("\n", "  \n  "))
    check(read_table(path), ("dark_blue", "green", "red"))


@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"),
        *("utf-32", "cp1252"),
    ],
)
def test_encodings(tmp_path, encoding):
    path = tmp_path / "cups.csv"
    path.write_bytes(render().replace("colour", "Größe").encode(encoding))
    table = read_table(path)
    assert table.schema.feature_names == ("width", "depth", "Größe", "open")
    assert len(table) == len(ROWS)


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cups.csv", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        *(("cups.data", bytes), ("cups.txt", bytes), ("cups", bytes), ("cups.dat", bytes)),
        *(("cups.csv.gz", gzip.compress), ("cups.gz", gzip.compress), ("cups.data", gzip.compress)),
        *(("cups.csv.bz2", bz2.compress), ("cups.csv.xz", lzma.compress), ("cups.zip", zipped)),
    ],
)
def test_files_of_any_name_and_compression(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(render(";").encode()))
    check(read_table(path))


@pytest.mark.parametrize("label", ["kind", 1, "1"])
@pytest.mark.parametrize("header", [True, False])
def test_the_label_may_stand_first(tmp_path, label, header):
    path = tmp_path / "cups.csv"
    path.write_text(render(order=[NAMES[-1], *NAMES[:-1]], header=header))
    if label == "kind" and not header:
        return
    table = read_table(path, label)
    assert [table.label_names[i] for i in table.labels] == [row[-1] for row in ROWS]
    assert table.features[:, 0].tolist() == [row[0] for row in ROWS]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library):
    frames = pytest.importorskip(library)
    columns = dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    check(read_table(frames.DataFrame(columns)))
    check(read_table(frames.DataFrame(columns), "kind"))
    moved = {name: columns[name] for name in ("kind", *NAMES[:4])}
    check(read_table(frames.DataFrame(moved), "kind"))


def test_a_dict_of_columns_is_a_data_frame():
    check(read_table(dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))))


NEW = {
    "the same": render(),
    "another order": render(order=NAMES[::-1]),
    "without the label": render(order=NAMES[:4]),
    "semicolons and decimal commas": render(";", number=comma),
    "no header": render(header=False),
    "no header and no label": render(header=False, order=NAMES[:4]),
    "an index": render(cells_before=lambda i: (str(i),)).replace("width", ",width", 1),
    "a title": render("\t", before="New cups\n"),
    "other truth values": render(truth=lambda x: "10"[not x]),
}


@pytest.mark.parametrize("trained", ["commas", "decimal commas, semicolons", "tabs and quotes"])
@pytest.mark.parametrize("shape", NEW)
def test_new_rows_may_have_another_shape_than_the_table(tmp_path, trained, shape):
    (tmp_path / "old.csv").write_text(TEXTS[trained])
    (tmp_path / "new.csv").write_text(NEW[shape])
    old = read_table(tmp_path / "old.csv")
    new = read_new_rows(tmp_path / "new.csv", old.schema, old.label_names)
    encoder = TableEncoder.fit(old)
    assert np.array_equal(encoder.transform(new), encoder.transform(old))
    has_label = "label" not in shape
    assert new.labels.tolist() == (old.labels.tolist() if has_label else [-1] * len(ROWS))


@pytest.mark.parametrize("mark", [";", "|", "\t"])
def test_a_mark_in_each_text_is_no_separator(tmp_path, mark):
    path = tmp_path / "cups.csv"
    path.write_text(render().replace("red", f"red{mark}").replace("green", f"green{mark}"))
    table = read_table(path)
    assert len(table) == len(ROWS)
    assert table.features[:, :2].tolist() == [[row[0], row[1]] for row in ROWS]


def test_semicolons_in_every_row_of_a_table_with_commas(tmp_path):
    path = tmp_path / "cups.csv"
    rows = "".join(f"{i},{i * 2.5},a{i % 3};b{i % 2},{'xy'[i % 2]}\n" for i in range(12))
    path.write_text("n,size,parts;colours,kind\n" + rows)
    assert read_table(path).schema.feature_names == ("n", "size", "parts;colours")
