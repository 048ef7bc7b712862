"""From the bytes of a file to rows of cells: compression, encoding, separator, lines above."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microgradx.common.messages import InputError, quote
from microgradx.data.tables.cells import parse_number

__all__ = ["Grid", "list_numbers", "read_grid"]

#: Separators and what they are called; where two fit a file equally well, the first.
SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "pipes", ",": "commas", " ": "spaces"}

SAMPLE = 200  # lines from which the separator is told
MAX_BYTES = 2**31  # of what is unpacked

#: A comment takes a whole line. A first cell may begin like one: a column called #, a colour such
#: as #ff0000, and what spreadsheets write for errors.
NO_COMMENT = r"(?!\s*[#%](?:[0-9a-fA-F]{3,8}|N/A|NA|DIV/0!|VALUE!|REF!|NUM!|NULL!)?\s*[,;|\t])"
COMMENT = re.compile(rf"{NO_COMMENT}\s*(#|%|//)")

#: The head of an ARFF file, as Weka and KEEL write it: names of columns, and where the rows begin.
DECLARATION = re.compile(r"\s*@")
DECLARED_NAME = re.compile(r"\s*@attribute\s+(?:'([^']*)'|\"([^\"]*)\"|([^\s{\[]+))", re.IGNORECASE)


@dataclass
class Grid:
    """The cells of a file, rows of equal length; `lines` has the number of each row's line."""

    rows: list[list[str]]
    lines: list[int]
    separator: str
    remarks: list[str] = field(default_factory=list)  # what was passed over, and how it was read
    has_names: bool = False  # whether the first row is a header for sure

    @property
    def width(self) -> int:
        return len(self.rows[0])


def read_grid(path: Path) -> Grid:
    """The cells of a text file, without title, comments and blank lines.

    Raises InputError for what is no table: all lines of another length are named.
    """
    text, encoding = _decode(path, _unpack(path))
    lines = list(io.StringIO(text, newline=""))  # split at \n, \r\n and \r, which stay in cells
    commented = {i: line for i, line in enumerate(lines) if COMMENT.match(line)}
    for i in commented:
        lines[i] = "\n"
    declared = _take_declarations(lines)
    sample = [line for line in lines if line.strip()][:SAMPLE]
    if not sample:
        raise InputError(f"{path} is empty")
    separator = _choose_separator(sample)
    quote_mark = _choose_quote(sample, separator)
    pairs = list(_split(path, lines, separator, quote_mark))
    if not pairs:
        raise InputError(f"{path} has separators and no cells")
    grid = Grid([cells for _, cells in pairs], [number for number, _ in pairs], separator)
    if encoding not in ("utf-8", "utf-8-sig"):
        grid.remarks.append(f"read as {encoding}")
    _strip_top(grid)
    _use_commented_header(grid, commented)
    if len(declared) == grid.width:
        _insert_header(grid, declared, grid.lines[0] - 1)
    _strip_trailing_cells(grid)
    _require_equal_lengths(path, grid)
    return grid


def list_numbers(numbers: list[int], word: str = "line") -> str:
    """Line numbers in a message: the first of them, and how many more there are.

    >>> list_numbers([3]), list_numbers([3, 5, 8])
    ('line 3', 'lines 3, 5, 8')
    """
    shown = ", ".join(map(str, numbers[:8]))
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"{word}{'s' if len(numbers) > 1 else ''} {shown}{more}"


# ---------------------------------------------------------------------------- bytes


def _unpack(path: Path) -> bytes:
    """The bytes of a file, unpacked if they are compressed, whatever it is called."""
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        try:
            if start[:2] == b"\x1f\x8b":
                return _read_all(path, gzip.open(file))
            if start[:3] == b"BZh":
                return _read_all(path, bz2.open(file))
            if start == b"\xfd7zXZ\x00":
                return _read_all(path, lzma.open(file))
            if start[:4] == b"PK\x03\x04":
                return _read_only_member(path, zipfile.ZipFile(file))
            return _read_all(path, file)
        except InputError:
            raise
        except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError):
            if start[:1] not in b"\x1fBP\xfd":
                raise
            raise InputError(f"{path} is compressed and damaged, or not complete") from None


def _read_only_member(path: Path, archive: zipfile.ZipFile) -> bytes:
    members = [
        name
        for name in archive.namelist()
        if not name.endswith("/") and not name.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        raise InputError(
            f"{path} has {len(members)} files, and one table is read; unpack it, and give one"
        )
    return _read_all(path, archive.open(members[0]))


def _read_all(path: Path, file: Any) -> bytes:
    content: bytes = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES:,} bytes, too many for a table here")
    return content


def _decode(path: Path, content: bytes) -> tuple[str, str]:
    """The text, and the encoding: that of a byte order mark, UTF-8, UTF-16, or Windows-1252."""
    candidates = ["utf-8", "cp1252", "latin-1"]
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            candidates = [name]
            break
    else:
        zeros = [content[i:2000:2].count(0) for i in (0, 1)]
        if max(zeros) > 0.4 * min(len(content), 2000) / 2:  # without a mark
            candidates = ["utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"]
    for encoding in candidates:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        break
    else:
        raise InputError(f"{path} is not text in {candidates[0]}; save it in UTF-8")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"{path}, line {line}: there is a null character, so that this is no table in a text; "
            "give one of cells with separators, or an .npz file"
        )
    return text, encoding


# ---------------------------------------------------------------------------- separators


def _choose_separator(sample: list[str]) -> str:
    """The separator by which most lines have equally many cells, and cells without others in them.

    >>> _choose_separator(["2,04;1,5;no", "2,4;1,25;yes"]), _choose_separator(["1, 2", "3, 4"])
    (';', ',')
    """
    best, best_score = ",", 0.0
    for separator in SEPARATORS:
        try:
            rows = [cells for _, cells in _split(None, sample, separator)]
        except csv.Error:
            continue
        width, count = _most_frequent_width(rows) if rows else (0, 0)
        if width < 2:
            continue
        cells = [cell for row in rows if len(row) == width for cell in row]
        score = count / len(rows) * sum(map(_is_whole, cells)) / len(cells)
        if score > best_score:
            best, best_score = separator, score
    return best


def _choose_quote(sample: list[str], separator: str) -> str:
    """The mark around cells: a single quote, as Weka writes it, where it keeps cells whole.

    >>> _choose_quote(["'big, old',1", "'new',2"], ","), _choose_quote(["'new',1", "o'old,2"], ",")
    ("'", '"')
    """

    def count_rows(mark: str) -> tuple[int, int]:
        try:
            rows = [cells for _, cells in _split(None, sample, separator, mark)]
        except csv.Error:
            return 0, 0
        width, count = _most_frequent_width(rows) if rows else (0, 0)
        return count, -width

    if not any("'" in line for line in sample):
        return '"'
    return max('"', "'", key=count_rows)  # the first, unless the other is better


def _is_whole(cell: str) -> bool:
    """Whether a cell does not look like several."""
    if parse_number(cell) is not None or parse_number(cell, ",") is not None:
        return True
    return not re.search(r"[\t;|,]|\d\s+[-+.]?\d", cell)


def _split(
    path: Path | None, lines: Iterable[str], separator: str, quote_mark: str = '"'
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, as the number of their line and their cells.

    Raises InputError, or without a path csv.Error, for a quote that is not closed and the like.
    """
    if separator == " ":
        lines = (line.replace("\t", " ").strip() + "\n" for line in lines)
    shared: dict[str, str] = {}  # equal cells are one object, and so take the memory of one
    number = 1
    other = "'" if quote_mark == '"' else '"'
    reader = csv.reader(
        lines,
        delimiter=separator,
        quotechar=quote_mark,
        escapechar="\\" if quote_mark == "'" else None,
        skipinitialspace=separator != "\t",
        strict=path is not None,
    )
    try:
        for cells in reader:
            stripped = [shared.setdefault(cell, _strip(cell, other)) for cell in cells]
            if any(stripped):
                yield number, stripped
            number = reader.line_num + 1
    except csv.Error as error:
        if path is None:
            raise
        raise InputError(
            f"{path}, line {number}: this is not CSV: {error}; a quote opens a cell and must close "
            "it, and inside it is doubled"
        ) from None


def _strip(cell: str, mark: str) -> str:
    """A cell without spaces around it, nor quotes of the kind that the csv module passes on."""
    cell = cell.strip()
    return cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == mark else cell


def _most_frequent_width(rows: list[list[str]]) -> tuple[int, int]:
    """The number of cells that most rows have, and how many rows these are."""
    counts = Counter(map(len, rows))
    return max(counts.items(), key=lambda item: (item[1], item[0]))


# ---------------------------------------------------------------------------- top and edges


def _strip_top(grid: Grid) -> None:
    """Pass over titles and counts: rows above the table that have fewer cells, or one alone."""
    width, _ = _most_frequent_width(grid.rows)
    while len(grid.rows) > 1 and width > 1:
        first, second = grid.rows[0], grid.rows[1]
        filled = [cell for cell in first if cell]
        is_title = len(first) < width and not _lacks_one_name(first, second, width)
        is_title |= len(filled) == 1 and width > 2 and any(grid.rows[1][1:])
        if not is_title and not _is_count(first, len(grid.rows) - 1, width):
            return
        grid.remarks.append(f"line {grid.lines[0]}, {quote(' '.join(filled))}, was passed over")
        del grid.rows[0], grid.lines[0]


def _lacks_one_name(first: list[str], second: list[str], width: int) -> bool:
    """Whether a row is a header without a name for the rows' names, or for a trailing comma."""
    return (
        len(first) == width - 1 > 1
        and len(second) == width
        and all(map(_is_name, first))
        and len(set(first)) == len(first)
    )


def _is_name(cell: str) -> bool:
    return cell != "" and parse_number(cell) is None


def _is_count(first: list[str], rows: int, width: int) -> bool:
    """Whether a row says how many rows and columns follow, as in scikit-learn's iris.csv."""
    sizes = [str(width - 1), str(width)]
    return width > 1 and first[0] == str(rows) and len(first) > 1 and first[1] in sizes


def _use_commented_header(grid: Grid, commented: dict[int, str]) -> None:
    """Take the last comment above the table for its header, if it has as many cells."""
    above = [i for i in commented if i + 1 < grid.lines[0]]
    if commented and above:
        text = COMMENT.sub("", commented[above[-1]], count=1)
        names = next((cells for _, cells in _split(None, [text], grid.separator)), [])
        are_names = len(names) == len(grid.rows[0]) > 1 and all(map(_is_name, names))
        if are_names and not all(map(_is_name, grid.rows[0])):
            _insert_header(grid, names, above[-1] + 1)
            del commented[above[-1]]
    if commented:
        numbers = [i + 1 for i in commented]
        grid.remarks.append(f"{list_numbers(numbers)}: comments, passed over")


def _take_declarations(lines: list[str]) -> list[str]:
    """Empty the lines of the head of an ARFF file; returns the names of the columns."""
    declared = [i for i, line in enumerate(lines) if DECLARATION.match(line)]
    if not any(lines[i].strip().lower() == "@data" for i in declared):
        return []
    names = [DECLARED_NAME.match(lines[i]) for i in declared]
    for i in declared:
        lines[i] = "\n"
    return [match[1] or match[2] or match[3] for match in names if match]


def _insert_header(grid: Grid, names: list[str], line: int) -> None:
    grid.rows.insert(0, names)
    grid.lines.insert(0, line)
    grid.has_names = True


def _strip_trailing_cells(grid: Grid) -> None:
    """Remove what separators at the ends of lines add: empty cells beyond the last column."""
    rows = grid.rows
    width, _ = _most_frequent_width(rows)
    for row in rows:
        while len(row) > width and not row[-1]:
            row.pop()
    first = rows[0]
    full = [row for row in rows[1:] if len(row) == width]
    is_named = len(first) == width and first[-1] != ""
    if width > 2 and full and not is_named and all(not row[-1] for row in full):
        for row in (row for row in rows if len(row) == width):
            row.pop()
        return
    if len(first) == width - 1 and full and _lacks_one_name(first, full[0], width):
        first.insert(0, "")  # the rows' names have none


def _require_equal_lengths(path: Path, grid: Grid) -> None:
    width, _ = _most_frequent_width(grid.rows)
    odd = [i for i, row in enumerate(grid.rows) if len(row) != width]
    if not odd:
        return
    lengths = sorted({len(grid.rows[i]) for i in odd})
    counts = " or ".join(map(str, lengths[:4])) + (" or others" if len(lengths) > 4 else "")
    have = "has" if len(odd) == 1 else "have"
    remedy = "mend these lines, with quotes around a cell that has a separator in it, or leave them"
    footer = _describe_footer(grid, odd)
    raise InputError(
        f"{path}: {list_numbers([grid.lines[i] for i in odd])} {have} {_count_cells(counts)}, and "
        f"the others {width}, separated by {SEPARATORS[grid.separator]}; {footer}{remedy} out"
    )


def _describe_footer(grid: Grid, odd: list[int]) -> str:
    """What is said of rows below the table: the first of the last odd ones has one cell alone."""
    below = [i for k, i in enumerate(odd, len(grid.rows) - len(odd)) if i == k]
    lone = [i for i in below if sum(map(bool, grid.rows[i])) == 1]
    if not lone:
        return ""
    text = quote("".join(grid.rows[lone[0]]))
    looks = "and those below it look" if lone[0] < below[-1] else "looks"
    return f"line {grid.lines[lone[0]]}, {text}, {looks} like a footer; "


def _count_cells(counts: str) -> str:
    return f"{counts} cell" if counts == "1" else f"{counts} cells"
