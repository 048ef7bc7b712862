"""Pages of one file: nothing outside is asked for, and nothing that is data is taken for markup."""

import json
import math
import os
import re
from importlib.resources import files

import numpy as np
import pytest

from microgradx.show.pages import Page, read_asset, render_page

HOSTILE = (
    "</title></script><script>document.title = 'broken out'</script>"
    "<!--<img src=x onerror=alert(1)>&amp;\"'"
)


# ---------------------------------------------------------------------------- the text of a page


def test_a_title_is_text(open_page):
    tab = open_page(render_page(HOSTILE, "<p>body</p>"))
    assert tab.title() == HOSTILE
    assert tab.text_content("body").strip() == "body"


def test_data_arrive_as_they_are(open_page):
    data = {"text": HOSTILE, "numbers": [1, -0.1, 1e300], "letters": "äöü 😀 \u2028"}
    tab = open_page(render_page("data", "", scripts=["softmax_numbers.js"], data=data))
    assert tab.title() == "data"
    assert json.loads(tab.text_content("#data")) == data


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_data_are_json_that_browsers_can_read(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_page("data", "", scripts=["softmax_numbers.js"], data=[number])


def test_a_page_without_scripts_has_none():
    assert "<script" not in render_page("title", "<p>body</p>")


def test_assets_cannot_end_their_elements():
    names = [file.name for file in files("microgradx.show").joinpath("assets").iterdir()]
    assert {"page.css", "numbers.js"} <= {*names}
    for name in names:
        if name.endswith((".css", ".js")):
            assert not re.search("</(script|style)|<!--", read_asset(name), re.IGNORECASE), name


@pytest.mark.parametrize(
    "asking",
    [
        "fetch('https://nowhere.invalid/')",
        "new Image().src = 'https://nowhere.invalid/x.png'",
        "document.head.append(Object.assign(document.createElement('script'), {src: 'x.js'}))",
        "document.body.innerHTML = '<iframe src=\"https://nowhere.invalid/\"></iframe>'",
        "document.forms[0].submit()",
    ],
)
def test_the_policy_forbids_to_ask_for_anything(chromium, tmp_path, asking):
    """Not by `open_page`, which fails a test for what is provoked here."""
    path = tmp_path / "page.html"
    path.write_text(
        render_page("title", '<form action="https://nowhere.invalid/"></form>'), encoding="utf-8"
    )
    context = chromium.new_context()
    tab = context.new_page()
    tab.goto(path.as_uri())
    refused = tab.evaluate(
        """asking => new Promise(resolve => {
            const refused = event => resolve(event.effectiveDirective);
            document.addEventListener("securitypolicyviolation", refused);
            setTimeout(resolve, 5000);  // which only a broken policy makes us wait for
            Promise.resolve(eval?.(`(async () => { ${asking} })()`)).catch(() => {});
        })""",
        asking,
    )
    context.close()
    assert refused


# ---------------------------------------------------------------------------- files


def test_a_page_is_saved_as_it_is(tmp_path):
    content = render_page("ä 😀", "<p>body</p>")
    path = Page(content).save(str(tmp_path / "page.html"))
    assert path == tmp_path / "page.html"
    assert path.read_bytes() == content.encode("utf-8")
    assert os.listdir(tmp_path) == ["page.html"]


@pytest.mark.parametrize("name", ["page", "page.svg", "page.html.gz", ".html"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"cannot be saved as '.*'; end the name with \.html"):
        Page("text").save(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no directory '.*nowhere' to save 'page\.html'"):
        Page("text").save(tmp_path / "nowhere" / "page.html")


def test_a_file_is_replaced_whole_or_stays(tmp_path, monkeypatch):
    path = tmp_path / "page.htm"
    Page("old").save(path)
    Page("new").save(path)
    assert path.read_text(encoding="utf-8") == "new"

    def full(*paths):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        Page("newer").save(path)
    assert path.read_text(encoding="utf-8") == "new"
    assert os.listdir(tmp_path) == ["page.htm"]


# ---------------------------------------------------------------------------- notebooks


def test_in_a_notebook_a_page_runs_in_a_frame_of_its_own(open_page):
    class Counter(Page):
        height = 123

    body = '<button id="theme">&quot;&amp;amp;</button>'
    shown = Counter(render_page("inner", body, scripts=["theme.js"]))._repr_html_()
    tab = open_page(f"<!doctype html><title>outer</title>{shown}")
    assert tab.locator("iframe").bounding_box()["height"] == 123
    assert tab.get_attribute("iframe", "title") == "Counter"
    frame = tab.frame_locator("iframe")
    assert frame.locator("#theme").text_content() == '"&amp;'
    frame.locator("#theme").click()
    assert frame.locator("html").get_attribute("data-theme") == "dark"
    assert tab.locator("html").get_attribute("data-theme") is None  # of the notebook


def test_what_a_page_says_of_itself():
    class Explanation(Page):
        pass

    assert repr(Explanation("")) == '<Explanation; .save("page.html") writes it to a file>'


# ---------------------------------------------------------------------------- numbers.js


def numbers(generator):
    """Of all sizes, short and long; and ties, which JavaScript and Python round differently."""
    bits = generator.integers(0, 2**64, 2000, dtype=np.uint64)
    # Five digits of which the last is 5, that a float can hold exactly: k / 2^n, and k · 10^n.
    odd = 2 * generator.integers(500, 50_000, 1000) + 1
    halves = odd * 5.0 / 10.0 ** generator.integers(0, 2, 1000)
    ties = np.concatenate(
        [halves, odd / 2.0, odd / 4.0, odd / 8.0, odd / 16.0, odd / 32.0, 5.0 * odd * 1e7]
    )
    values = np.concatenate(
        [
            bits.view(np.float64),
            generator.normal(size=1000),
            10.0 ** generator.uniform(-6, 6, 1000),
            np.round(generator.normal(size=1000), 3),
            generator.integers(-100_000, 100_000, 500).astype(float),
            ties,
            np.nextafter(ties, np.inf),
            np.nextafter(ties, -np.inf),
            10.0 ** np.arange(-10, 11),
            np.nextafter(10.0 ** np.arange(-10, 11), 0),
            [0.0, 5e-324, 1.7976931348623157e308, 9999.5, 99995.0, 0.99995, 9.9995e-5, np.inf],
        ]
    )
    values = values[~np.isnan(values)]
    return np.concatenate([values, -values]).tolist()


def test_numbers_are_written_as_python_writes_them(open_page, generator):
    values = numbers(generator)
    tab = open_page(render_page("numbers", "", scripts=["softmax_numbers.js"]))
    written = tab.evaluate("values => values.map(value => formatNumber(value))", values)
    assert written == [f"{value + 0.0:.4g}" for value in values]  # -0.0 + 0.0 is 0.0
    longer = tab.evaluate("values => values.map(value => formatNumber(value, 6))", values)
    assert longer == [f"{value + 0.0:.6g}" for value in values]
    values = [value for value in values if 1e-4 <= abs(value) < 1e4]
    fixed = tab.evaluate("values => values.map(value => formatFixed(value, 4))", values)
    assert fixed == [f"{value:.4f}" for value in values]
    assert tab.evaluate("formatNumber(NaN)") == "NaN"


def test_ties_are_among_the_numbers(generator):
    """Or the test above would not see how they are rounded."""
    ties = [x for x in numbers(generator) if re.fullmatch(r"-?\d\.\d\d\d50*e.*", f"{x:.40e}")]
    assert len(ties) > 1000


def test_the_colour_of_a_heat_map(open_page):
    tab = open_page(render_page("heat", "", scripts=["softmax_numbers.js"]))
    heat = tab.evaluate(
        "[[-1, 2], [5, 2], [0, 0], [NaN, 1], [-Infinity, 1]].map((pair) => heatColour(...pair))"
    )
    assert heat == [
        "color-mix(in oklab, var(--negative) 50%, var(--zero))",
        "color-mix(in oklab, var(--positive) 100%, var(--zero))",
        "var(--zero)",
        "var(--alarm)",
        "var(--alarm)",
    ]


MARKS = {
    "light": (
        "<body data-jp-theme-light='true'>",
        "<body class='vscode-light'>",
        "<html data-theme='light'>",
    ),
    "dark": (
        "<body data-jp-theme-light='false'>",
        "<body class='vscode-dark'>",
        "<body class='vscode-high-contrast'>",
        "<html class='dark'>",
        "<html theme='dark'>",
    ),
}


@pytest.mark.parametrize(("theme", "mark"), [(theme, m) for theme in MARKS for m in MARKS[theme]])
def test_a_page_has_the_theme_of_the_notebook_and_changes_with_it(open_page, theme, mark):
    other = {"light": "dark", "dark": "light"}
    page = render_page("inner", '<button id="theme">◐</button>', scripts=["theme.js"])
    outer = f"<!doctype html>{mark}{Page(page)._repr_html_()}"
    tab = open_page(outer, color_scheme=other[theme])
    frame = tab.frames[1]

    def wait_for(theme):
        colour = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[theme]
        frame.wait_for_function(
            "colour => getComputedStyle(document.body).backgroundColor === colour", arg=colour
        )

    wait_for(theme)
    is_light = str(theme == "dark").lower()
    tab.evaluate(
        f"""() => {{
            document.documentElement.removeAttribute("data-theme");
            document.documentElement.removeAttribute("theme");
            document.documentElement.className = document.body.className = "";
            document.body.dataset.jpThemeLight = "{is_light}";
        }}"""
    )
    wait_for(other[theme])
    frame.locator("#theme").click()  # the reader's own choice comes first
    wait_for(theme)
    tab.evaluate("document.body.className = 'anything'")
    wait_for(theme)


def test_without_a_mark_the_system_decides(open_page):
    page = render_page("inner", '<button id="theme">◐</button>', scripts=["theme.js"])
    for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 28)")):
        tab = open_page(f"<!doctype html>{Page(page)._repr_html_()}", color_scheme=scheme)
        tab.frames[1].wait_for_function(
            "colour => getComputedStyle(document.body).backgroundColor === colour", arg=colour
        )
        assert tab.frames[1].evaluate("document.documentElement.dataset.theme") is None
