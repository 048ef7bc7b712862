"""The command `softmax`: probabilities, loss and gradient."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgradx.commands import softmax as command


@pytest.fixture
def softmax(run):
    def softmax(*arguments):
        return run("softmax", *arguments)

    return softmax


def parse_columns(out):
    """The columns of the table by title, without the row of sums."""
    lines = out.split("\n\n")[1].splitlines()
    titles = [title.strip() for title in lines[0].replace("  ", "\t").split("\t") if title]
    rows = [line.split() for line in lines[1:-1]]
    return dict(zip(titles, zip(*rows, strict=True), strict=True))


def test_the_table_is_the_textbooks(softmax):
    assert softmax("2", "1", "0.1", "--target", "0", "--temperature", "0.5") == (
        0,
        """\
p = exp(z/T - m) / Σ exp(z/T - m), with m = max(z/T) = 4, T = 0.5

class  logit z     z/T  exp(z/T - m)       p       y    p - y  gradient
0       2.0000  4.0000        1.0000  0.8638  1.0000  -0.1362   -0.2724
1       1.0000  2.0000        0.1353  0.1169  0.0000   0.1169    0.2338
2       0.1000  0.2000        0.0224  0.0193  0.0000   0.0193    0.0386
sum                           1.1577  1.0000

loss = -ln p(0) = -ln 0.8638 = 0.1464
gradient of the loss with respect to z = (p - y) / T
""",
        "",
    )


def test_classes_have_names_and_are_chosen_by_them(softmax):
    by_name = softmax("1", "3", "0.5", "--names", "cat, dog,bird", "--target", "dog")
    assert by_name == softmax("1", "3", "0.5", "--names", "cat,dog,bird", "--target", "1")
    _, out, _ = by_name
    assert parse_columns(out)["class"] == ("cat", "dog", "bird")
    assert parse_columns(out)["p"] == ("0.1112", "0.8214", "0.0674")
    assert "loss = -ln p(dog) = -ln 0.8214 = 0.1967\n" in out
    assert "gradient of the loss with respect to z = p - y\n" in out


def test_label_smoothing_spreads_the_target(softmax):
    _, out, _ = softmax("2", "1", "0.1", "--target", "0", "--label-smoothing", "0.15")
    assert parse_columns(out)["y"] == ("0.9000", "0.0500", "0.0500")
    y, p = np.array([0.9, 0.05, 0.05]), np.array([0.65900114, 0.24243297, 0.09856589])
    assert f"loss = -Σ y ln p = {-(y * np.log(p)).sum():.4f}\n" in out


@pytest.mark.parametrize(
    ("logits", "p"),
    [
        ("-2 1", ("0.0474", "0.9526")),
        ("-2 -1", ("0.2689", "0.7311")),
        ("-inf 0", ("0.0000", "1.0000")),
        ("-1e-3 +1e-3", ("0.4995", "0.5005")),
        ("-.5 .5", ("0.2689", "0.7311")),
        ("1000 -1000", ("1.0000", "0.0000")),
        ("0 -30", ("1.0000", "9.358e-14")),
        ("5", ("1.0000",)),
        ("nan 1", ("nan", "nan")),
        ("-inf -inf", ("nan", "nan")),
    ],
)
def test_logits_may_be_any_numbers_in_any_place(softmax, logits, p):
    words = logits.split()
    for arguments in (
        (*words, "--target", "0"),
        ("--target", "0", *words),
        (words[0], "--target=0", *words[1:]),
    ):
        status, out, err = softmax(*arguments)
        assert (status, err) == (0, "")
        assert parse_columns(out)["p"] == p


def test_a_class_that_is_impossible_and_right(softmax):
    _, out, _ = softmax("-inf", "0", "--target", "0")
    assert parse_columns(out)["p - y"] == ("-1.0000", "1.0000")
    assert "loss = -ln p(0) = -ln 0.0000 = inf\n" in out


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6),
    st.sampled_from([0.1, 0.5, 2.0, 10.0]),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_the_numbers_are_those_of_the_formulas(logits, temperature, smoothing):
    classes = len(logits)
    report = command.format_report(logits, 1, list("abcdef")[:classes], temperature, smoothing)
    printed = {title: np.array(column) for title, column in parse_columns(report).items()}
    x = np.array(logits) / temperature
    p = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    y = np.full(classes, smoothing / classes)
    y[1] += 1 - smoothing
    for title, values in {
        "p": p,
        "y": y,
        "p - y": p - y,
        "gradient": (p - y) / temperature,
    }.items():
        np.testing.assert_allclose(printed[title].astype(float), values, rtol=1e-3, atol=5.1e-5)


def test_a_page_is_written_too(softmax, tmp_path):
    status, out, err = softmax("2", "1", "--target", "0", "-o", "page.html")
    assert (status, err) == (0, "")
    assert out.endswith("\n\nWritten: page.html; open it in a browser\n")
    assert "<!doctype html>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    _, without, _ = softmax("2", "1", "--target", "0")
    assert out.startswith(without)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("2 1", "the following arguments are required: --target"),
        ("--target 0", "the following arguments are required: LOGIT"),
        ("2 one --target 0", "a logit must be a number, not 'one'"),
        ("2 1 -x --target 0", "a logit must be a number, not '-x'"),
        ("2 1 --target 2", "there is no class '2'; --target takes a number from 0 to 1, or one"),
        ("2 1 --target -1", "there is no class '-1'"),
        ("2 1 --target dog --names cat,mouse", "there is no class 'dog'"),
        ("2 1 --target 0 --names cat", "1 names for 2 logits; give one for each"),
        (
            "2 1 --target 0 --temperature 0",
            "argument --temperature: must be a number from 1e-30",
        ),
        ("2 1 --target 0 --temperature -1", "must be a number from 1e-30 to 1e30, not '-1'"),
        ("2 1 --target 0 --label-smoothing 2", "argument --label-smoothing: must be a number from"),
        ("2 1 --target 0 --size 1", "unrecognized arguments: --size"),
    ],
)
def test_errors_are_one_line(softmax, arguments, message):
    status, out, err = softmax(*arguments.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("2 1 --target 0 -o page.pdf", "end the name with .html"),
        ("2 1 --target 0 -o none/page.html", "there is no directory 'none'"),
        ("2 --target 0 -o page.html", "2 to 20 logits"),
    ],
)
def test_a_page_that_cannot_be_written(softmax, arguments, message, tmp_path):
    status, _, err = softmax(*arguments.split())
    assert (status, err.count("\n")) == (2, 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_names_are_printed_as_text(softmax):
    _, out, _ = softmax("2", "1", "--target", "0", "--names", "\x1b[31mred,a|b{c}<script>")
    assert "\x1b" not in out
    assert "a|b{c}<script>" in out


def test_without_a_page_no_page_is_loaded(softmax, monkeypatch):
    monkeypatch.setitem(sys.modules, "microgradx.show.softmax_page", None)
    assert softmax("2", "1", "--target", "0")[0] == 0
