"""What the text in a cell means: a number, a truth value, a date, or nothing at all."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = [
    "decimal_mark",
    "is_date",
    "is_missing",
    "is_missing_number",
    "parse_boolean",
    "parse_number",
]

# pandas' list, what UCI's tables have, and what people type.
MISSING = {
    *("", "?", "-", "--", "---", "na", "n/a", "n.a.", "nan", "-nan", "null", "<na>", "#n/a", "#na"),
    *(
        "#n/a n/a",
        "-1.#ind",
        "1.#ind",
        "-1.#qnan",
        "1.#qnan",
        "nat",
        "#null!",
        "#div/0!",
        "#value!",
    ),
}

# Among numbers these mean the same; among texts they may be categories.
MISSING_NUMBERS = {"none", "unknown", "unk", "missing", "not available", ".", "*", "**"}

BOOLEANS = (
    {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0},
    {"t": 1.0, "f": 0.0},
    {"yes": 1.0, "no": 0.0},
    {"y": 1.0, "n": 0.0},
    {"on": 1.0, "off": 0.0},
)

GROUP_SPACES = " '’\u00a0\u2009\u202f"  # 1 234, 1'234
UNITS = "$€£¥%"
EXPONENT = r"(?:[eE][+-]?\d+)?"
GROUPS = r"[+-]?(?:\d{1,3}(?:%s\d{3})+|\d+)?(?:%s\d*)?" + EXPONENT
NUMBER = {
    ".": re.compile(GROUPS % (rf"[,{GROUP_SPACES}]", r"\."), re.ASCII),
    ",": re.compile(GROUPS % (rf"[.{GROUP_SPACES}]", ","), re.ASCII),
}
INFINITY = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)

MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
CLOCK = (
    r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s*[ap]\.?m\.?)?(?:\s*(?:z|utc|gmt|[+-]\d{2}:?\d{2}))?"
)
DAY = (
    r"\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?",
    r"\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})",
    rf"\d{{1,2}}(?:st|nd|rd|th)?[-/. ]+{MONTH}(?:[-/., ]+\d{{2,4}})?",
    rf"{MONTH}[-/. ]+\d{{1,2}}(?:st|nd|rd|th)?(?:[,/ -]+\d{{2,4}})",
    rf"{MONTH}[-/. ]+\d{{4}}",
)
DATE = re.compile(rf"(?:(?:{'|'.join(DAY)})(?:[t ]\s*{CLOCK})?|{CLOCK})", re.IGNORECASE | re.ASCII)
DECIMAL_YEAR = re.compile(r"\d{4}\.\d{1,2}")


def is_missing(text: str) -> bool:
    """Whether a cell holds nothing, or a mark for it: ?, NA, NaN, None, - and the like.

    >>> [text for text in ("?", "NA", "0", "none", "-") if is_missing(text)]
    ['?', 'NA', '-']
    """
    return text.lower() in MISSING or text == "None"


def is_missing_number(text: str) -> bool:
    """Whether a cell among numbers means that there is none: unknown, missing, or a point."""
    return is_missing(text) or text.lower() in MISSING_NUMBERS


def parse_number(text: str, decimal: str = ".") -> float | None:
    """The number that a cell shows, or None; thousands may be grouped, and a unit be there.

    decimal: the decimal mark, a point or a comma.

    >>> parse_number("1,234.5"), parse_number("1.234,5", ","), parse_number("12 %")
    (1234.5, 1234.5, 12.0)
    >>> print(parse_number("1_000"))
    None
    """
    try:
        if decimal == "." and text.isascii() and "_" not in text:
            number = float(text)
            return number if number == number else None
    except ValueError:
        pass
    text = text.replace("\u2212", "-").strip(UNITS + " ")
    if text[:1] == "-" and text[1:2] in UNITS:  # -$5
        text = "-" + text[1:].lstrip(UNITS)
    if INFINITY.fullmatch(text):
        return float(text)
    if not any(map(str.isdigit, text)) or not NUMBER[decimal].fullmatch(text):
        return None
    grouping = GROUP_SPACES + (",." if decimal == "." else ".,")[0]
    text = text.translate(dict.fromkeys(map(ord, grouping)))
    try:
        return float(text.replace(",", "."))
    except ValueError:  # an exponent alone
        return None


def decimal_mark(texts: Iterable[str]) -> str | None:
    """The decimal mark that these cells show without doubt, or None: 1,234 may be either.

    >>> decimal_mark(["1,5"]), decimal_mark(["1,234"]), decimal_mark(["1,234.5"])
    (',', None, '.')
    """
    votes = {".": 0, ",": 0}
    for text in texts:
        text = text.strip(UNITS + " ").lstrip("+-\u2212")
        marks = [mark for mark in text if mark in ".,"]
        if not marks or not any(NUMBER[mark].fullmatch(text) for mark in NUMBER):
            continue
        before, last, after = text.rpartition(marks[-1])
        other = "." if last == "," else ","
        if marks.count(last) > 1:  # groups: 1,234,567
            votes[other] += 1
        elif other in marks or len(after) != 3 or not re.fullmatch(r"[1-9]\d{0,2}", before):
            votes[last] += 1  # anything but 1,234, such as 0,123
    best = max(votes, key=lambda mark: votes[mark])
    return best if votes[best] else None


def parse_boolean(texts: Iterable[str]) -> dict[str, float] | None:
    """1 and 0 for the cells of a column of truth values, in any spelling; else None.

    >>> parse_boolean(["Yes", "no"]), parse_boolean(["yes", "perhaps"])
    ({'Yes': 1.0, 'no': 0.0}, None)
    """
    texts = list(texts)
    for meaning in BOOLEANS:
        if all(text.lower() in meaning for text in texts):
            return {text: meaning[text.lower()] for text in texts}
    return None


def is_date(text: str) -> bool:
    """Whether a cell shows a day, a month with its year, or a time of day.

    >>> [is_date(text) for text in ("2020-01-31", "3 May 1999", "12:30", "1.5", "may")]
    [True, True, True, False, False]
    """
    return bool(DATE.fullmatch(text)) and not DECIMAL_YEAR.fullmatch(text)
