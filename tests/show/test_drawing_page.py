"""The page of a drawing in a browser: zoom and pan, by every means, and without JavaScript."""

import pytest

import microgradx as mg
from microgradx.show.graphs.palette import DARK, KINDS
from microgradx.show.graphs.svg import inline_svg
from microgradx.show.pages import render_page

HOSTILE = 'a|b{c}<script>&"\n&lt;\\N'


@pytest.fixture
def drawing():
    pytest.importorskip("pygraphviz")
    x = mg.Tensor([1.0, 2.0], requires_grad=True, name=HOSTILE)
    return mg.draw(mg.sum(mg.softmax(x, fused=False) * x))


@pytest.fixture
def drawn(drawing, open_page, tmp_path):
    """A function that opens the drawing's page."""

    def drawn(**settings):
        return open_page(drawing.save(tmp_path / "graph.html"), **settings)

    return drawn


def view(tab):
    """What part of the picture is seen: left, top, width, height."""
    return [float(x) for x in tab.locator(".graph > svg").get_attribute("viewBox").split()]


def is_inside(tab, css):
    """Whether an element is within the graph's place on the page."""
    return tab.evaluate(
        """(css) => {
            const [place, box] = ["div.graph", css].map((which) =>
                document.querySelector(which).getBoundingClientRect());
            return place.left <= box.left && box.right <= place.right
                && place.top <= box.top && box.bottom <= place.bottom;
        }""",
        css,
    )


# ---------------------------------------------------------------------------- what is seen


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_whole_graph_is_seen_at_first(drawn, width, height):
    tab = drawn(width=width, height=height)
    assert tab.title() == tab.locator("h1").inner_text() == "Computation graph"
    assert is_inside(tab, "#graph0")
    assert tab.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_names_stay_text(drawn):
    tab = drawn()
    assert 'a|b{c}<script>&"\\n&lt;\\N' in tab.locator(".graph > svg").text_content()
    assert tab.locator(".graph script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_readers_system(drawn, scheme):
    def fill():
        return tab.eval_on_selector(".output > path", "path => getComputedStyle(path).fill")

    def rgb(colour):
        return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"

    tab = drawn(color_scheme=scheme)
    light, _ = KINDS["output"]
    assert fill() == rgb(DARK[light] if scheme == "dark" else light)
    tab.evaluate("document.documentElement.dataset.theme = 'light'")
    assert fill() == rgb(light)


def test_without_javascript_the_picture_is_there(drawing, drawn):
    tab = drawn(scripts=False)
    assert tab.locator(".graph .node").count() == drawing.nodes
    assert tab.locator("button").count() == 0


def test_all_of_it_is_printed(drawn):
    tab = drawn(reduced_motion="reduce")
    for _ in range(5):
        tab.keyboard.press("+")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    whole = tab.locator("#graph0").bounding_box()
    assert whole["x"] >= 0
    assert whole["x"] + whole["width"] <= 1280
    assert not tab.locator(".zoom").is_visible()


# ---------------------------------------------------------------------------- zoom and pan


def test_the_wheel_zooms_at_the_pointer(drawn):
    tab = drawn()
    node = tab.locator("#t1 > path")
    before = node.bounding_box()
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.wheel(0, -400)
    tab.wait_for_function(
        "width => document.querySelector('#t1').getBoundingClientRect().width > 1.5 * width",
        arg=before["width"],
    )
    after = node.bounding_box()
    assert after["x"] + after["width"] / 2 == pytest.approx(x, abs=1)
    assert after["y"] + after["height"] / 2 == pytest.approx(y, abs=1)


def test_dragging_moves_the_picture_with_the_pointer(drawn):
    tab = drawn()
    node = tab.locator("#t1 > path")
    before = node.bounding_box()
    tab.mouse.move(600, 400)
    tab.mouse.down()
    tab.mouse.move(630, 420)
    tab.mouse.move(700, 350)
    tab.mouse.up()
    tab.mouse.move(100, 100)
    after = node.bounding_box()
    assert after["x"] - before["x"] == pytest.approx(100, abs=1)
    assert after["y"] - before["y"] == pytest.approx(-50, abs=1)


def test_two_fingers_zoom(drawn):
    tab = drawn(has_touch=True)
    before = view(tab)
    tab.evaluate(
        """() => {
            const graph = document.querySelector("div.graph");
            const finger = (type, pointerId, clientX) => graph.dispatchEvent(
                new PointerEvent(type, { pointerId, clientX, clientY: 400, bubbles: true }),
            );
            graph.setPointerCapture = () => {}; // only real fingers can be captured
            finger("pointerdown", 7, 500);
            finger("pointerdown", 8, 600);
            finger("pointermove", 8, 700);
            finger("pointerup", 7, 500);
            finger("pointerup", 8, 700);
        }"""
    )
    assert view(tab)[2] == pytest.approx(before[2] / 2)


def test_keys_and_buttons_zoom_and_show_everything_again(drawn):
    tab = drawn(reduced_motion="reduce")
    whole = view(tab)

    def click(label):
        tab.get_by_label(label).click()

    for act, zoom_in, zoom_out, fit in (
        (tab.keyboard.press, "+", "-", "0"),
        (click, "Zoom in", "Zoom out", "Show everything"),
    ):
        act(zoom_in)
        assert view(tab)[2] == pytest.approx(whole[2] / 1.25)
        act(zoom_in)
        act(zoom_out)
        assert view(tab)[2] == pytest.approx(whole[2] / 1.25)
        act(fit)
        assert view(tab) == pytest.approx(whole)


def test_arrow_keys_move_it_when_it_has_the_focus(drawn):
    tab = drawn()
    whole = view(tab)
    tab.keyboard.press("ArrowRight")
    assert view(tab) == whole
    tab.mouse.click(600, 400)  # which is not to take the arrow keys away from a page
    tab.keyboard.press("ArrowRight")
    assert view(tab) == whole
    tab.locator("div.graph").focus()
    tab.keyboard.press("ArrowRight")
    assert view(tab)[0] > whole[0]


def test_movement_is_smooth_and_ends_where_it_should(drawn):
    tab = drawn()
    whole = view(tab)
    shown = "document.querySelector('.graph > svg').viewBox.baseVal.width"
    tab.keyboard.press("+")
    tab.wait_for_function(f"width => Math.abs({shown} - width) < 0.01", arg=whole[2] / 1.25)
    tab.keyboard.press("0")
    tab.wait_for_function(f"width => Math.abs({shown} - width) < 0.01", arg=whole[2])


def test_the_picture_follows_the_size_of_the_window(drawn):
    tab = drawn()
    before = view(tab)[2]
    tab.set_viewport_size({"width": 500, "height": 500})
    tab.wait_for_function(
        "width => document.querySelector('.graph > svg').viewBox.baseVal.width !== width",
        arg=before,
    )
    assert is_inside(tab, "#graph0")


def test_revealing_moves_no_more_than_it_must(drawing, open_page):
    body = f'<main class="drawing"><div class="graph">{inline_svg(drawing.svg())}</div></main>'
    tab = open_page(
        render_page("Graph", body, styles=["graph.css"], scripts=["graph.js"]),
        reduced_motion="reduce",
    )
    tab.evaluate("window.view = zoomable(document.querySelector('.graph'))")
    whole = view(tab)
    tab.evaluate("view.reveal([document.querySelector('#t1')])")
    assert view(tab) == whole
    for _ in range(8):
        tab.keyboard.press("+")
    zoomed = view(tab)
    assert not is_inside(tab, "#t1")
    tab.evaluate("view.reveal([document.querySelector('#t1')])")
    assert is_inside(tab, "#t1")
    assert view(tab)[2:] == pytest.approx(zoomed[2:])
    tab.evaluate("view.reveal(document.querySelectorAll('.node'))")  # there is no room for all
    assert is_inside(tab, "#t1")
    assert is_inside(tab, ".output")
    before = view(tab)
    tab.evaluate("view.reveal([])")
    assert view(tab) == before
    tab.evaluate("view.fit()")
    assert view(tab) == pytest.approx(whole)
