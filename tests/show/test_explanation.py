"""The page that steps through backpropagation, in a browser, against the engine."""

import html
import json
import re
import warnings
from datetime import datetime

import numpy as np
import pytest

import microgradx as mg
from microgradx.nn.functional import conv2d
from microgradx.show.explanation import Explanation, explain
from microgradx.show.formulas.derivations import Einsum, Formula, Gather, LinearCombination, Reduce
from microgradx.show.formulas.numbers_in_formula import format_number, substitute_numbers
from microgradx.show.page_data import Arrays
from microgradx.show.steps.step_builder import steps_of
from tests.helpers import leaf

HOSTILE = "a|b{c}<script>failed()</script>&\"'\n\u202e</script><!--"


@pytest.fixture(scope="module", autouse=True)
def graphviz():
    """Pages have a picture in them."""
    from microgradx.show.graphs.rendering import RenderingError, render

    try:
        render("digraph {}", "svg")
    except RenderingError as error:
        pytest.skip(str(error))


def scalar():
    a, b, c = leaf(2.0, "a"), leaf(-3.0, "b"), leaf(6.5, "c")
    d = a * b
    s = d + c
    L = mg.tanh(s)
    d.name, s.name, L.name = "d", "s", "L"
    return L


def shared():
    """A leaf that is used four times."""
    b = leaf([1.0, -2.0, 0.5], "b")
    L = mg.sum((b * b + b) * b)
    L.name = "L"
    return L


def network(generator, sizes=(2, 4, 3), rows=4, dtype=np.float64):
    """The loss of a multilayer perceptron, and all that it was computed from, but constants."""
    inputs, hidden, classes = sizes
    model = mg.nn.MLP(inputs, (hidden,), classes, "tanh", dtype=dtype, generator=generator)
    x = generator.normal(size=(rows, inputs))
    loss = mg.cross_entropy(model(x), generator.integers(0, classes, rows))
    loss.name = "loss"
    return loss, [t for t in steps_of(loss).tensors if t.requires_grad]


def numbers_text(tab):
    """What the step says of the chosen element."""
    return tab.text_content("#numbers") + tab.text_content("#answer")


def step_number(tab):
    """Which step is shown, from 1."""
    return int(re.match(r"Step (\d+) of", tab.inner_text("#where"))[1])


def stop_the_clock(tab):
    """Time goes on only when a test says so."""
    tab.clock.install(time=datetime(2000, 1, 1))
    tab.reload()
    tab.clock.pause_at(datetime(2000, 1, 2))


# ---------------------------------------------------------------------------- numbers


def test_every_step_shows_the_numbers_of_the_engine(generator, open_page):
    loss, tensors = network(generator)
    tab = open_page(explain(loss).html)
    for tensor in tensors:
        tensor.retain_grad()
    loss.backward()
    steps = steps_of(loss)
    assert len(steps) == tab.evaluate("steps.length") == 12
    of_page = tab.evaluate(
        """() => steps.map((step) => Object.fromEntries(
            ["value", "local", "row", "sum"].map((key) => [key, JSON.parse(JSON.stringify(
                step[key], (_, item) => ArrayBuffer.isView(item) ? Array.from(item) : item))])))"""
    )
    arrived = {}
    for step, data in zip(steps, of_page, strict=True):
        value = np.reshape(data["value"]["values"], data["value"]["shape"])
        if step.kind == "forward":
            np.testing.assert_array_equal(value, step.tensor.data)
            continue
        upstream = next(part["array"] for part in data["row"] if "array" in part)
        if step.kind == "backward" and step.local is not None:
            g = np.reshape(upstream["values"], upstream["shape"])
            np.testing.assert_array_equal(g, step.tensor.grad)
            local = np.reshape(data["local"]["values"], data["local"]["shape"])
            np.testing.assert_allclose(value, g * local, rtol=1e-12)
        if step.contribution:
            arrived[step.receiver] = arrived.get(step.receiver, 0) + value
    assert arrived.keys() == set(tensors) - {loss}
    for tensor, total in arrived.items():
        np.testing.assert_allclose(total, tensor.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_element_of_every_step_has_its_formula_in_numbers(generator, open_page, dtype):
    loss, _ = network(generator, dtype=dtype)
    tab = open_page(explain(loss).html)
    texts = tab.evaluate(
        """() => steps.map((step, position) => {
            show(position);
            return Array.from(step.value.values, (_, i) => {
                choose(unravelIndex(step.value.shape, i));
                return ["numbers", "answer", "local"].map((id) => byId(id).textContent);
            });
        })"""
    )
    for step, of_elements in zip(steps_of(loss), texts, strict=True):
        for index, (numbers, answer, local) in zip(
            np.ndindex(step.value.shape), of_elements, strict=True
        ):
            assert answer == format_number(step.value[index])
            formula = substitute_numbers(step.derivation, index)
            assert numbers == ("" if formula == answer else f"{formula} = ")
            if step.local is not None:
                assert local.startswith(step.local_formula)
                assert local.endswith(format_number(step.local[index]))
                assert (
                    step.local_derivation is None
                    or substitute_numbers(step.local_derivation, index) in local
                )


def derivation_of(kind, generator):
    """Derivations of every kind, with the shape of the result."""

    def array(*shape):
        return np.asarray(np.round(generator.normal(size=shape), 2))

    some = generator.random((6, 2, 2))
    weights = np.where(some < 0.4, 0, np.where(some < 0.7, 1, array(6, 2, 2)))
    return {
        "formula": (
            Formula(
                "{y} · e^(-{x}) - {x}² if {x} > 0 else {x}^{y}", {"x": array(3, 4), "y": array(4)}
            ),
            (3, 4),
        ),
        "ties": (Formula("{x}", {"x": (np.arange(400) * 12345 + 5) / 2.0**15}), (400,)),
        "extremes": (
            Formula("{x}²", {"x": np.array([1e-5, -1e99, 5e-324, np.inf, -np.inf, np.nan, -0.0])}),
            (7,),
        ),
        "products": (Einsum("ij,jk->ik", (array(3, 40), array(40, 2)), array(2)), (3, 2)),
        "outer": (Einsum("ij,kj->ik", (array(2, 1), array(3, 1))), (2, 3)),
        "broadcast": (Einsum("ij,jk->ik", (array(1, 3), array(3, 2))), (1, 2)),
        "diagonal": (Einsum("ii,j->", (array(3, 3), array(2))), ()),
        "nothing": (Einsum("ij,jk->ik", (array(2, 0), array(0, 2))), (2, 2)),
        "column": (Reduce(array(3, 4), (0,), "max(", ", ", ")"), (4,)),
        "kept": (Reduce(array(20, 4), (0,), "√(", "² + ", "²)"), (1, 4)),
        "summed": (Reduce(array(2, 3, 4), (0, 1), "", " + ", ""), (1, 4)),
        "picked": (Gather((array(3), array(2, 2)), np.array([[0, -1], [6, 3]])), (2, 2)),
        "weighted": (LinearCombination(array(2, 3), weights, array(2)), (2, 2)),
        "many": (LinearCombination(array(40), array(40, 3)), (3,)),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        *("formula", "ties", "extremes", "products", "outer", "broadcast", "diagonal", "nothing"),
        *("column", "kept", "summed", "picked", "weighted", "many"),
    ],
)
def test_scripts_write_as_python_does(kind, generator, open_page):
    derivation, shape = derivation_of(kind, generator)
    arrays = Arrays()
    data = {"derivation": arrays.references(derivation), "arrays": arrays.table}
    indices = list(np.ndindex(shape))
    texts = open_page(explain(scalar()).html).evaluate(
        "([data, all]) => all.map((one) => substituteNumbers(inflateData(data).derivation, one))",
        [data, [list(index) for index in indices]],
    )
    assert texts == [substitute_numbers(derivation, index) for index in indices]


def test_captions_of_steps(open_page):
    tab = open_page(explain(scalar()).html)
    said = tab.evaluate(
        """() => steps.map((_, position) => {
            show(position);
            return ["title", "equation", "sentence"].map((id) => byId(id).textContent);
        })"""
    )
    assert [title for title, _, _ in said] == [
        *("multiply → d", "add → s", "tanh → L", "begins at L", "L → tanh → s"),
        *("s → add → d", "s → add → c", "d → multiply → a", "d → multiply → b"),
    ]
    assert [equation for _, equation, _ in said][:5] == [
        *("d = a · b", "s = d + c", "L = tanh(s)", "∂L∂L = 1", "∂L∂s = ∂L∂L · ∂L∂s"),
    ]
    assert [sentence for *_, sentence in said][2:5] == [
        "tanh computes L from s.",
        "Backpropagation begins: the derivative of L with respect to itself is 1.",
        "The chain rule: the gradient at L, times the derivative of L with respect to s.",
    ]


def test_contributions_are_added_up(open_page):
    L = shared()
    tab = open_page(explain(L).html)
    tab.evaluate("choose([0])")
    said = []
    for _ in range(tab.evaluate("steps.length")):
        if "contributions to b" in (text := tab.text_content("#contribution")):
            said.append(text)
            assert tab.locator("#sum .heat").count() == (1 if len(said) == 1 else 3)
        tab.keyboard.press("ArrowRight")
    # L = b³ + b², and so ∂L/∂b = 3b² + 2b: at 1, 5, of which b · b + b is 2.
    assert said == [
        "first of 4 contributions to b: 2",
        "second of 4 contributions to b: 2 + 1 = 3",
        "third of 4 contributions to b: 3 + 1 = 4",
        "fourth of 4 contributions to b: 4 + 1 = 5",
    ]


def test_what_was_broadcast_is_summed_in_a_step_of_its_own(generator, open_page):
    x, b = leaf(generator.normal(size=(2, 3))), leaf([1.0, 2.0, 3.0], "b")
    L = mg.sum((x + b) * x)
    tab = open_page(explain(L).html)
    (sum_step,) = (i for i, step in enumerate(steps_of(L)) if step.kind == "sum")
    tab.evaluate("(position) => show(position)", sum_step)
    assert tab.inner_text("#title") == "summed over axis 0 → b"
    assert tab.inner_text("#arrays .sign") == "Σ\naxis 0"
    column = x.data[:, 0]
    formula = substitute_numbers(Reduce(x.data, (0,), "", " + ", ""), (0,))
    assert numbers_text(tab) == f"{formula} = {format_number(column.sum())}"


def test_bars_show_what_a_softmax_computes_on_the_way(open_page):
    z = leaf([[2.0, 1.0, 0.1], [0.0, 0.0, 0.0]])
    loss = mg.cross_entropy(z, [0, 2])
    tab = open_page(explain(loss).html, "#step=3")
    table = tab.locator(".bars tbody tr")
    assert table.nth(0).inner_text().split("\t") == ["class 0", "2", "1", "0.659", "1", "-0.341"]
    assert table.nth(2).inner_text().split("\t")[3:] == ["0.0986", "0", "0.0986"]
    assert tab.inner_text(".bars tfoot tr").split("\t") == ["sum", "", "1.517", "1", "1", "0"]
    tab.fill("#row", "1")
    assert table.nth(2).inner_text().split("\t") == ["class 2", "0", "1", "0.333", "1", "-0.667"]
    lengths = tab.eval_on_selector_all(
        ".bars tr:nth-child(3) .bar",
        "bars => bars.map((bar) => bar.style.getPropertyValue('--length'))",
    )
    assert [float(length) for length in lengths] == pytest.approx([0, 1, 1 / 3, 1, 1])


def test_heat_maps_have_the_colours_of_their_numbers(open_page):
    L = mg.sum(leaf([[4.0, -4.0, 0.0, 2.0, np.nan]]) * 1.0)
    tab = open_page(explain(L).html)
    cells = tab.locator("#arrays .heat").first.locator("td")
    assert cells.all_inner_texts() == ["4.00", "-4.00", "0.00", "2.00", "NaN"]
    colours = [cells.nth(i).get_attribute("style") for i in range(5)]
    assert "--positive) 100%" in colours[0]
    assert "--negative) 100%" in colours[1]
    assert "--positive) 0%" in colours[2]
    assert "--positive) 50%" in colours[3]
    assert "--alarm" in colours[4]


# ---------------------------------------------------------------------------- choosing elements


def outlined_positions(tab):
    """Of each heat map, the places of the cells whose middle is inside a frame."""
    return tab.evaluate(
        """() => [...document.querySelectorAll("#arrays .heat")].map((map) => {
            const frames = [...map.parentElement.querySelectorAll(".outline")];
            const boxes = frames.map((frame) => frame.getBoundingClientRect());
            return [...map.querySelectorAll("td")].filter((cell) => {
                const { left, right, top, bottom } = cell.getBoundingClientRect();
                const [x, y] = [(left + right) / 2, (top + bottom) / 2];
                const holds = (box) =>
                    box.left < x && x < box.right && box.top < y && y < box.bottom;
                return boxes.some(holds);
            }).map((cell) => Number(cell.dataset.position));
        })"""
    )


def test_a_click_on_an_element_shows_how_it_arises(generator, open_page):
    x, w = leaf(generator.normal(size=(2, 3)), "x"), leaf(generator.normal(size=(3, 2)), "w")
    tab = open_page(explain(mg.sum(x @ w)).html)
    tab.locator("#arrays .heat").nth(2).locator("td").nth(3).click()
    assert tab.inner_text("#element") == "element [1, 1]"
    terms = [
        f"{format_number(a)} · {format_number(b)}"
        for a, b in zip(x.data[1], w.data[:, 1], strict=True)
    ]
    plain = re.sub(r"\((-[\d.]+)\)", r"\1", numbers_text(tab))
    assert plain.startswith(" + ".join(terms))
    assert outlined_positions(tab) == [[3, 4, 5], [1, 3, 5], [3]]
    # The arrow keys still step.
    tab.keyboard.press("ArrowRight")
    assert step_number(tab) == 2


def test_an_array_that_takes_part_twice_is_framed_for_each_part(generator, open_page):
    x = leaf(generator.normal(size=(3, 3)))
    tab = open_page(explain(mg.sum(x @ x)).html)
    tab.locator("#arrays .heat").nth(2).locator("td").nth(5).click()
    assert outlined_positions(tab) == [[3, 4, 5], [2, 5, 8], [5]]


def test_the_keyboard_chooses_elements_of_a_heat_map_in_focus(open_page):
    L = mg.sum(leaf([[1.0, 2.0], [3.0, 4.0]]) * 2.0)
    tab = open_page(explain(L).html)
    tab.locator("#arrays .heat[tabindex]").focus()
    for key, index in (("Right", "0, 1"), ("Down", "1, 1"), ("Right", "1, 1"), ("Left", "1, 0")):
        tab.keyboard.press(f"Arrow{key}")
        assert tab.inner_text("#element") == f"element [{index}]"
    assert numbers_text(tab) == "3 · 2 = 6"
    assert step_number(tab) == 1
    assert "element [1, 0]: 3 · 2 = 6" in tab.inner_text("#announcement")


def test_elements_that_are_apart_are_framed_each_alone(generator, open_page):
    x = leaf(generator.normal(size=(3, 3)))
    tab = open_page(explain(np.einsum("ii->", x)).html)
    assert outlined_positions(tab) == [[0, 4, 8], [0]]


# ---------------------------------------------------------------------------- going through steps


def test_keys(open_page):
    tab = open_page(explain(scalar()).html)
    places = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowLeft"):
        tab.keyboard.press(key)
        places.append(step_number(tab))
    assert places == [2, 3, 2, 9, 9, 1, 1]
    tab.keyboard.press("Control+ArrowRight")  # is the browser's
    assert step_number(tab) == 1
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "search"
    tab.keyboard.press("End")  # is the field's
    assert step_number(tab) == 1


def test_buttons(open_page):
    tab = open_page(explain(scalar()).html)
    assert tab.is_disabled("#back")
    tab.click("#on")
    assert step_number(tab) == 2
    tab.click("#back")
    assert step_number(tab) == 1
    tab.keyboard.press("End")
    assert tab.is_disabled("#on")


def test_the_scrubber_shows_where_backward_begins(open_page):
    tab = open_page(explain(scalar()).html)
    scrubber = tab.locator("#scrubber")
    box, directions = scrubber.bounding_box(), tab.locator(".directions span")
    split = directions.nth(1).bounding_box()["x"]
    assert split == pytest.approx(box["x"] + box["width"] * 3 / 9, abs=2)
    scrubber.evaluate("(input) => { input.value = 5; input.dispatchEvent(new Event('input')); }")
    assert step_number(tab) == 5
    assert scrubber.get_attribute("aria-valuetext") == "5, backward, L → tanh → s"
    scrubber.focus()
    tab.keyboard.press("ArrowRight")
    assert step_number(tab) == 6


def test_a_link_to_a_step(open_page):
    tab = open_page(explain(scalar()).html, "#step=4")
    assert step_number(tab) == 4
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("location.hash") == "#step=5"
    entries = tab.evaluate("history.length")
    tab.evaluate("location.hash = '#step=2'")
    tab.wait_for_function("byId('where').textContent.startsWith('Step 2')")
    tab.keyboard.press("End")
    assert tab.evaluate("history.length") == entries + 1  # steps leave no entries
    for odd, expected in (("#step=99", 9), ("#step=0", 1), ("#step=x", 1), ("#other", 1)):
        assert step_number(open_page(explain(scalar()).html, odd)) == expected


def test_it_plays_by_itself(open_page):
    tab = open_page(explain(scalar()).html)
    stop_the_clock(tab)
    tab.keyboard.press("Space")
    assert tab.get_attribute("#play", "aria-label") == "Pause"
    tab.clock.run_for(1900)
    assert step_number(tab) == 1
    tab.clock.run_for(200)
    assert step_number(tab) == 2
    tab.select_option("#speed", "4")
    tab.clock.run_for(600)
    assert step_number(tab) == 3
    tab.keyboard.press("Space")
    tab.clock.run_for(60_000)
    assert step_number(tab) == 3
    tab.click("#play")
    tab.clock.run_for(60_000)
    assert step_number(tab) == 9
    assert tab.get_attribute("#play", "aria-label") == "Play"
    tab.click("#play")  # from the start, when it is at the end
    assert step_number(tab) == 1
    tab.clock.run_for(600)
    tab.keyboard.press("ArrowLeft")  # a step of the reader's own stops it
    assert step_number(tab) == 1
    tab.clock.run_for(60_000)
    assert step_number(tab) == 1


# ---------------------------------------------------------------------------- the graph


def test_the_way_of_values_and_gradients_is_marked(open_page):
    L = scalar()
    graph = mg.draw(L).graph
    tab = open_page(explain(L).html)
    for step in steps_of(L):
        marked = set(
            tab.eval_on_selector_all(".graph .now", "(found) => found.map(({ id }) => id)")
        )
        box, call = graph.node_of(step.tensor), graph.op_node_of(step.tensor)
        if step.kind == "forward":
            inputs = [graph.node_of(x) for x in step.tensor.inputs]
            arrows = [graph.arrow_into(step.tensor, i) for i in range(len(inputs))]
            assert marked == {*inputs, *arrows, call, graph.arrow_from(step.tensor), box}
        elif step.kind == "seed":
            assert marked == {box}
        else:
            arrows = {graph.arrow_from(step.tensor), graph.arrow_into(step.tensor, step.position)}
            assert marked == {box, call, *arrows, graph.node_of(step.receiver)}
            # Heads of arrows are at the end that the gradient goes to.
            (head,) = tab.locator(f"#{graph.arrow_from(step.tensor)} .against").all()
            style = head.evaluate("(path) => ({ ...getComputedStyle(path) })")
            assert style["visibility"] == "visible"
            assert style["markerStart"] == 'url("#against")'
        tab.keyboard.press("ArrowRight")


def test_boxes_fill_as_steps_are_taken(open_page):
    L = scalar()
    graph = mg.draw(L).graph
    ids = {name: box.id for box in graph.boxes.values() if (name := box.name)}
    tab = open_page(explain(L).html)

    def visible(name):
        texts = tab.locator(f"#{ids[name]} text").all()
        return {t.text_content().strip() for t in texts if t.is_visible()} - {""}

    assert visible("a") == {"a", "() float64", "value", "2"}
    assert "-6" in visible("d")
    assert visible("L") == {"L", "() float64"}
    tab.evaluate("show(2)")
    assert visible("L") == {"L", "() float64", "value", "0.4621"}
    tab.evaluate("show(3)")
    assert "gradient" in visible("L")
    assert "gradient" not in visible("s")
    tab.keyboard.press("End")
    assert {"gradient", "-2.359"} <= visible("a")


def test_a_click_on_a_node_goes_to_its_steps(open_page):
    L = scalar()
    graph = mg.draw(L).graph
    (d,) = (t for t in graph.boxes if t.name == "d")
    tab = open_page(explain(L).html)
    for node, expected in ((graph.node_of(d), [6, 1]), (graph.op_node_of(d), [8, 9, 1])):
        for place_after in expected:
            tab.locator(f"#{node} text").first.click()
            assert step_number(tab) == place_after


def test_nodes_are_found_by_name_and_op(open_page):
    tab = open_page(explain(scalar()).html)
    tab.keyboard.press("/")
    tab.keyboard.type("tan")
    assert tab.locator("#found li").all_inner_texts() == ["L\ntanh, step 3"]
    tab.keyboard.press("Enter")
    assert step_number(tab) == 3
    assert tab.is_hidden("#found")
    tab.fill("#search", "a")  # the leaf, and the ops add and tanh
    names = tab.locator("#found b").all_inner_texts()
    assert names == ["a", "s", "L"]
    tab.keyboard.press("ArrowDown")
    assert tab.get_attribute("#search", "aria-activedescendant") == "found-1"
    assert tab.get_attribute("#found-1", "aria-selected") == "true"
    tab.keyboard.press("Enter")
    assert step_number(tab) == 2
    tab.fill("#search", "c")
    tab.click("#found li")
    assert step_number(tab) == 2
    tab.fill("#search", "nothing of the kind")
    assert tab.is_hidden("#found")
    tab.keyboard.press("Enter")
    assert step_number(tab) == 2


# ---------------------------------------------------------------------------- predicting


def everything(tab):
    """All that the page says, where it is seen or told."""
    return tab.evaluate(
        """() => [
            document.body.innerText,
            document.title,
            ...[...document.querySelectorAll("[title], [aria-label], [aria-valuetext]")]
                .flatMap((element) => element.checkVisibility({ visibilityProperty: true })
                    ? [element.title, element.ariaLabel, element.ariaValueText] : []),
            ...[...document.querySelectorAll(".graph text")]
                .filter((text) => getComputedStyle(text).visibility === "visible")
                .map((text) => text.textContent),
            document.querySelector("#announcement").textContent,
        ].join("\\n")"""
    )


def test_a_gradient_to_be_guessed_is_nowhere_on_the_page(open_page):
    tab = open_page(explain(scalar()).html, "#step=8")
    assert "-2.359" in everything(tab)
    tab.keyboard.press("p")
    assert tab.get_attribute("#predict", "aria-pressed") == "true"
    assert tab.evaluate("document.activeElement.id") == "guess"
    assert "2.359" not in everything(tab)
    tab.locator("#arrays .heat").last.hover()
    assert "2.359" not in everything(tab)
    tab.click("#question button")  # without a guess
    assert "2.359" not in everything(tab)
    tab.keyboard.type("-2.4")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#answer") == "-2.359"
    assert tab.inner_text("#verdict") == "close: you said -2.4"
    assert "-2.359" in tab.locator("#arrays .heat").last.inner_text()
    tab.keyboard.press("ArrowLeft")
    assert tab.is_visible("#question")
    tab.keyboard.press("ArrowRight")
    assert tab.is_hidden("#question")  # it was guessed


@pytest.mark.parametrize(
    ("guess", "verdict"),
    [
        ("-2.359", "right"),
        ("-2,36", "right"),
        ("−2.2", "close"),
        ("2.36", "right but for the sign"),
        ("0", "not quite"),
        ("1e3", "not quite"),
    ],
)
def test_verdicts(guess, verdict, open_page):
    tab = open_page(explain(scalar()).html, "#step=8")
    tab.keyboard.press("p")
    tab.fill("#guess", guess)
    tab.keyboard.press("Enter")
    assert tab.inner_text("#verdict").startswith(f"{verdict}: you said")


def test_of_an_array_the_chosen_element_is_guessed(open_page):
    x = leaf([[1.0, -2.0], [0.5, 2.5]], "x")
    tab = open_page(explain(mg.sum(x * x * x)).html)
    tab.keyboard.press("End")
    tab.click("#predict")
    maps = tab.locator("#arrays .heat")
    assert maps.last.inner_text().strip() == ""
    assert "18.75" not in everything(tab)  # the gradient of x³ at 2.5
    assert tab.locator("#sum .heat.hidden").count() == 2
    maps.last.locator("td").nth(3).click()
    assert tab.is_visible("#question")
    assert tab.inner_text("#element") == "element [1, 1]"
    assert "18.75" not in everything(tab)
    tab.fill("#guess", "6.25")
    tab.click("#question button")
    assert tab.inner_text("#verdict") == "right: you said 6.25"
    assert "18.75" in tab.inner_text("#contribution")
    tab.evaluate("show(0)")
    assert tab.is_hidden("#question")  # forward steps have nothing to guess


def test_playing_stops_for_a_guess(open_page):
    tab = open_page(explain(scalar()).html)
    stop_the_clock(tab)
    tab.click("#predict")
    tab.click("#play")
    tab.clock.run_for(60_000)
    assert step_number(tab) == 5  # the first one whose gradient is not 1


# ---------------------------------------------------------------------------- views


def colour(tab, selector, what="backgroundColor"):
    text = tab.eval_on_selector(
        selector, "(element, what) => getComputedStyle(element)[what]", what
    )
    return [float(part) for part in re.findall(r"[\d.]+", text)[:3]]


def test_light_and_dark(open_page):
    page = explain(scalar()).html
    light, dark = (open_page(page, color_scheme=scheme) for scheme in ("light", "dark"))
    assert min(colour(light, "body")) > 200 > 60 > max(colour(dark, "body"))
    light.keyboard.press("d")
    assert colour(light, "body") == colour(dark, "body")
    assert colour(light, "#sentence", "color") == colour(dark, "#sentence", "color")
    light.reload()
    assert colour(light, "body") == colour(dark, "body")  # the choice is remembered
    light.click("#theme")
    assert min(colour(light, "body")) > 200


def test_without_scripts_the_graph_and_all_steps_can_be_read(generator, open_page):
    loss, _ = network(generator)
    tab = open_page(explain(loss).html, scripts=False)
    steps = steps_of(loss)
    rows = [row.inner_text().split("\t") for row in tab.locator(".all-steps tbody tr").all()]
    assert [row[0] for row in rows] == [str(step.number) for step in steps]
    assert [row[1] for row in rows] == [
        "forward" if step.kind == "forward" else "backward" for step in steps
    ]
    for row, step in zip(rows, steps, strict=True):
        first = (0,) * step.value.ndim
        sides = dict.fromkeys(
            [substitute_numbers(step.derivation, first), format_number(step.value[first])]
        )
        assert row[4].removeprefix(f"{list(first)}: ") == " = ".join(sides)
        assert step.value.size > 1 or row[5] == format_number(step.value.item())
    for kind, least in ((".node", 14), (".edge", 13)):
        drawn = tab.locator(f".graph {kind}")
        assert drawn.count() >= least
        assert drawn.last.is_visible()
    for control in ("#search", "#play", "#predict", ".step"):
        assert tab.is_hidden(control)
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_on_paper_are_the_whole_graph_and_all_steps(open_page):
    tab = open_page(explain(scalar()).html, color_scheme="dark")
    tab.keyboard.press("ArrowRight")
    assert tab.is_hidden(".all-steps")
    tab.emulate_media(media="print")
    assert tab.locator(".all-steps tbody tr").count() == 9
    assert tab.is_visible(".all-steps tbody tr:last-child")
    for control in ("#search", "#play", "#predict", ".step", ".zoom"):
        assert tab.is_hidden(control)
    # On the boxes is all that they can say.
    texts = [text for text in tab.locator(".graph .node text").all() if text.text_content().strip()]
    assert all(text.is_visible() for text in texts)
    assert min(colour(tab, "body")) > 200
    picture = tab.locator(".graph svg").first.bounding_box()
    for node in tab.locator(".graph .node").all():
        box = node.bounding_box()
        assert box["x"] >= picture["x"] - 1
        assert box["y"] + box["height"] <= picture["y"] + picture["height"] + 1


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(width, generator, open_page):
    loss, _ = network(generator, sizes=(64, 32, 10), rows=16)
    tab = open_page(explain(loss).html, width=width)
    wide = tab.evaluate(
        """() => steps.map((_, position) => {
            show(position);
            const { scrollWidth, clientWidth } = byId("step");
            return [document.documentElement.scrollWidth <= innerWidth, scrollWidth <= clientWidth];
        })"""
    )
    assert wide == [[True, True]] * len(wide)


def test_another_size_of_the_window_changes_nothing_else(open_page):
    tab = open_page(explain(scalar()).html, "#step=8")
    tab.keyboard.press("p")
    tab.keyboard.type("12")
    said = [tab.inner_text(part) for part in ("#sentence", "#numbers", "#contribution")]
    tab.set_viewport_size({"width": 700, "height": 500})
    tab.wait_for_function("innerWidth === 700")
    assert [tab.inner_text(part) for part in ("#sentence", "#numbers", "#contribution")] == said
    assert tab.input_value("#guess") == "12"


@pytest.mark.parametrize("width", [900, 1280])
def test_things_stay_in_their_places(width, generator, open_page):
    loss, _ = network(generator)
    tab = open_page(explain(loss).html, width=width)
    places = tab.evaluate(
        """() => steps.filter(({ bars }) => !bars).map((step) => {
            show(steps.indexOf(step));
            const parts = ["where", "equation", "sentence", "formula", "element", "arrays"];
            return parts.map((id) => byId(id).getBoundingClientRect().top);
        })"""
    )
    assert places == [places[0]] * len(places)


def test_a_notebooks_frame_shows_it(open_page):
    notebook = f"<!doctype html><title>notebook</title>{explain(scalar())._repr_html_()}"
    tab = open_page(notebook)
    (frame,) = tab.frames[1:]
    frame.wait_for_selector("#where")
    frame.click("#on")
    assert frame.inner_text("#where") == "Step 2 of 9 · forward"
    frame.click("#theme")
    assert frame.evaluate("document.documentElement.dataset.theme") == "dark"


# ---------------------------------------------------------------------------- the page as a whole


def test_names_stay_text(open_page):
    x = leaf([1.0, 2.0], HOSTILE)
    L = mg.sum(x * x)
    L.name = HOSTILE
    tab = open_page(explain(L).html)
    spelt = HOSTILE.replace("\n", r"\n").replace("\u202e", r"\u202e")
    assert tab.inner_text("h1") == f"{spelt}, step by step"
    assert tab.title() == f"{spelt}, step by step"
    assert spelt in tab.inner_text("#equation")
    tab.keyboard.press("End")
    assert spelt in tab.inner_text("#contribution")
    assert spelt in tab.get_attribute("#equation .fraction", "aria-label")
    tab.fill("#search", "<script>")
    assert tab.locator("#found b").first.inner_text() == spelt
    assert spelt in "".join(tab.locator(".graph .node text").all_text_contents())
    without = open_page(explain(L).html, scripts=False)
    assert spelt in without.inner_text(".all-steps")
    assert tab.locator("script").count() == 2


def test_the_page_of_a_training_step_is_small(generator):
    loss, _ = network(generator, sizes=(64, 32, 10), rows=16)
    explanation = explain(loss)
    assert len(explanation.html.encode()) < 1_000_000
    data = json.loads(re.search(r'id="data">(.*)</script>', explanation.html)[1])
    contents = [entry["bytes"] for entry in data["arrays"]]
    large = [content for content in contents if len(content) > 1000]
    assert len(large) == len(set(large))  # each array once


def test_large_arrays_are_cropped(generator, open_page):
    x, w = leaf(generator.normal(size=(60, 300)), "x"), leaf(generator.normal(size=(300, 70)), "w")
    L = mg.sum(x @ w)
    explanation = explain(L)
    assert len(explanation.html.encode()) < 300_000
    tab = open_page(explanation.html)
    shapes = tab.locator("#arrays .array > small:nth-of-type(2)").all_inner_texts()
    assert shapes == [
        "the first 32 × 32 of 60 × 300",
        "the first 32 × 32 of 300 × 70",
        "the first 32 × 32 of 60 × 70",
    ]
    tab.evaluate("choose([31, 31])")
    step = steps_of(L)[0]
    assert (
        numbers_text(tab)
        == f"{substitute_numbers(step.derivation, (31, 31))} = {format_number(step.value[31, 31])}"
    )
    assert "… 284 more" in numbers_text(tab)


def test_images_lie_beside_and_below_one_another(generator, open_page):
    image, kernel = (
        leaf(generator.normal(size=(2, 3, 4, 5))),
        leaf(generator.normal(size=(1, 3, 2, 2))),
    )
    tab = open_page(explain(mg.sum(conv2d(image, kernel))).html)
    table = tab.locator("#arrays .heat").first
    assert table.locator("tr").count() == 2 * 4
    assert table.locator("tr").first.locator("td").count() == 3 * 5
    row = "(table) => [...table.rows[5].cells].map((cell) => cell.dataset.position)"
    positions = table.evaluate(row)
    expected = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)[1, :, 1].ravel()
    assert [int(i) for i in positions] == expected.tolist()


def test_a_long_computation_is_limited_and_the_page_says_so(open_page):
    x = leaf([0.5])
    y = x
    for _ in range(30):
        y = mg.tanh(y)
    explanation = explain(mg.sum(y), max_steps=20, max_nodes=20)
    assert repr(explanation).startswith("<Explanation in 20 steps;")
    tab = open_page(explanation.html)
    assert tab.inner_text(".note") == (
        "The 20 steps nearest to the output are shown; 21 forward and 22 backward ones are left "
        "out."
    )
    tab.keyboard.press("End")
    assert step_number(tab) == 20


def test_collapsed_calls_stand_for_their_ops(generator, open_page):
    loss, _ = network(generator)
    explanation = explain(loss, depth=0)
    tab = open_page(explanation.html)
    assert tab.locator(".graph .node").count() < 10
    for _ in range(12):
        assert tab.locator(".graph .node.now").count() >= 1
        tab.keyboard.press("ArrowRight")
    assert explain(loss, depth=0, expand="MLP").html != explanation.html


def without_gradients(reason):
    x = leaf([1.0, 2.0, 3.0], "x")
    y = mg.exp(x)
    if reason == "several":
        return y, "no gradients: the output has 3 elements, not one"
    L = mg.sum(y * y)
    if reason == "changed":
        x.data = x.data * 2
        return L, "no gradients: leaves have changed since they were used"
    L.backward(retain_graph=False)
    return L, "no gradients: the graph has been freed"


@pytest.mark.parametrize("reason", ["several", "changed", "freed"])
def test_where_there_are_no_gradients_the_page_says_why(reason, open_page):
    result, why = without_gradients(reason)
    tab = open_page(explain(result).html)
    assert tab.inner_text(".note") == f"Forward steps only; {why}."
    tab.keyboard.press("End")
    assert tab.inner_text("#where").endswith("· forward")
    assert tab.inner_text(".directions").strip() == "forward"


def test_names_are_those_of_variables_and_else_numbers(open_page):
    weight = mg.Tensor([1.0, 2.0], requires_grad=True)
    doubled = weight * 2.0
    v1 = mg.sum(mg.tanh(doubled))
    tab = open_page(explain(v1).html)
    equations = tab.evaluate(
        "steps.slice(0, 3).map((step, position) => (show(position), byId('equation').textContent))"
    )
    assert equations == ["doubled = weight · 2", "v2 = tanh(doubled)", "v1 = sum(v2)"]
    boxes = "".join(tab.locator(".graph .node text").all_text_contents())
    assert "v2" in boxes  # the picture has the same names


def test_tensors_are_left_as_they_are(generator):
    loss, tensors = network(generator)
    heard = []
    tensors[0].register_hook(heard.append)
    for tensor in tensors:
        tensor.grad = np.full(tensor.shape, 777.0)
    names = [tensor.name for tensor in tensors]
    explain(loss)
    assert all(np.all(tensor.grad == 777) for tensor in tensors)
    assert [tensor.name for tensor in tensors] == names
    assert heard == []


# ---------------------------------------------------------------------------- saving, mistakes


def test_saving(tmp_path):
    L = scalar()
    explanation = explain(L, tmp_path / "page.html")
    assert isinstance(explanation, Explanation)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == explanation.html
    assert L.explain(str(tmp_path / "other.html")).steps == 9
    assert html.escape(explanation.html) in explanation._repr_html_()


def test_a_bad_path_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("microgradx.show.explanation.steps_of", None)
    with pytest.raises(ValueError, match=r"'page\.pdf'; end the name with \.html"):
        explain(scalar(), tmp_path / "page.pdf")
    with pytest.raises(FileNotFoundError, match=r"there is no directory .*missing.*create it"):
        explain(scalar(), tmp_path / "missing" / "page.html")


def test_what_cannot_be_explained():
    with pytest.raises(
        TypeError, match=r"explain\(\) needs the result of a computation on Tensors, not ndarray"
    ):
        explain(np.ones(3))
    with pytest.raises(
        ValueError, match=r"Tensor 'x' \(float64, shape \(\)\) .* nothing to explain"
    ):
        explain(leaf(1.0, "x"))
    with mg.no_grad():
        result = leaf(1.0) * 2
    with pytest.raises(ValueError, match="make an input with requires_grad=True"):
        explain(result)
    with pytest.raises(ValueError, match="max_steps must be at least 1, not 0"):
        explain(scalar(), max_steps=0)
    with pytest.raises(ValueError, match="max_nodes must be at least 1, not 0"):
        explain(scalar(), max_nodes=0)


# ---------------------------------------------------------------------------- frames


@pytest.mark.slow
@pytest.mark.parametrize(
    "hidden",
    [
        "display: none",
        "width: 0; height: 0; overflow: hidden",
        "content-visibility: hidden",
        "visibility: hidden",
        "position: absolute; left: -5000px; width: 10px",
        "height: 9000px; content-visibility: auto",
    ],
)
def test_a_frame_that_has_no_size_at_first_shows_the_same_once_it_has(open_page, hidden):
    shown = explain(shared())._repr_html_()
    tab = open_page(f'<!doctype html><div style="{hidden}">{shown}</div>', reduced_motion="reduce")
    other = open_page(f"<!doctype html><div>{shown}</div>", reduced_motion="reduce")
    places = """() => Array.from(document.querySelectorAll("#sentence, .heat td, .now"), (part) => {
        const { x, y, width, height } = part.getBoundingClientRect();
        return [x, y, width, height];
    }).flat()"""
    expected = other.frames[1].evaluate(places)
    assert len(expected) > 40
    tab.frame_locator("iframe").locator("#announcement").wait_for(state="attached")
    tab.evaluate("document.querySelector('div').removeAttribute('style')")
    tab.frames[1].wait_for_function(
        f"expected => ({places})().every((place, i) => Math.abs(place - expected[i]) < 0.5)",
        arg=expected,
    )


def test_captions_write_names_as_they_are(open_page):
    """The browser shows the very text, whose first word may be a name."""
    x, bias = leaf(np.ones((2, 3)), "x"), leaf(np.ones(3), "éa")
    hidden = x + bias
    tab = open_page(explain(mg.sum(hidden * hidden)).html)
    shown = tab.evaluate(
        """() => steps.map((_, position) => {
            show(position);
            return ["where", "title", "sentence", "contribution"].flatMap((id) =>
                [byId(id).textContent.trim(), byId(id).innerText.trim()]);
        })"""
    )
    for texts in shown:
        assert texts[::2] == texts[1::2]
    assert any(texts[-1] == "éa was broadcast: a sum follows" for texts in shown)


# ---------------------------------------------------------------------------- NaN and infinity


@np.errstate(all="ignore")
def test_boxes_are_red_from_the_step_on_that_computes_what_is_not_finite(open_page):
    x, two = leaf([0.0, 1.0], "x"), leaf(2.0, "two")
    y = mg.log(x)
    y.name = "y"
    total = mg.sum(y) * two  # -inf, and so is the gradient at two; at x, 2 / 0 is inf
    total.name = "total"
    tab = open_page(explain(total).html)
    red, hidden = tab.evaluate(
        """() => {
            const names = (boxes) => [...boxes].map((box) => box.querySelector("text").textContent);
            const graph = document.querySelector(".graph");
            const red = `.node:has(> :is(path, polygon)[fill="#fdeaea"])`;
            const seen = steps.map((_, position) => {
                show(position);
                const hidden = graph.querySelectorAll(".node.before-value");
                return [names(graph.querySelectorAll(red)), names(hidden)];
            });
            return [seen.map(([red]) => red), seen.map(([_, hidden]) => hidden)];
        }"""
    )
    kinds = [step.kind for step in steps_of(total)]
    assert kinds == ["forward"] * 3 + ["seed"] + ["backward"] * 4
    assert red[0] == ["y"]
    assert red[1] == ["y", "v1"]
    assert red[2] == red[3] == ["y", "v1", "total"]
    receivers = [id(step.receiver) for step in steps_of(total)]
    at_two, at_x = receivers.index(id(two)), receivers.index(id(x))
    for position, names in enumerate(red):
        assert ("two" in names) == (position >= at_two)
        assert ("x" in names) == (position >= at_x)
        assert not {*names} & {*hidden[position]}


@np.errstate(all="ignore")
def test_boxes_that_are_not_finite_have_the_colours_of_their_kind_before(open_page):
    """As those of the same computation of finite numbers."""
    colours = """() => {
        show(0);
        return [...document.querySelectorAll(".graph .node > :is(path, polygon)")].map((shape) =>
            ["fill", "stroke"].map((name) => getComputedStyle(shape)[name]));
    }"""

    def log_of(number):
        total = mg.sum(mg.log(leaf([1.0, 1.0], "x") + leaf(number, "y")))
        return open_page(explain(total).html, color_scheme="dark").evaluate(colours)

    assert log_of(-1.0) == log_of(1.0)


@np.errstate(all="ignore")
def test_numbers_that_are_not_finite_are_marked(open_page):
    x = leaf(0.0, "x")
    total = mg.log(x) * leaf([1.0], "one")
    tab = open_page(explain(mg.sum(total)).html)
    for position, answer in ((0, "-inf"), (1, "-inf"), (2, "-inf")):
        tab.evaluate("show", position)
        assert tab.inner_text("#answer") == answer
        colour = tab.eval_on_selector("#answer", "answer => getComputedStyle(answer).color")
        assert colour == "rgb(193, 18, 31)"
        cell = tab.locator("#arrays .array:last-child td")
        assert cell.evaluate("cell => getComputedStyle(cell).color") == "rgb(193, 18, 31)"
    one = open_page(explain(mg.sum(leaf(1.0) * leaf([1.0]))).html)
    assert one.eval_on_selector("#answer", "answer => getComputedStyle(answer).color") == (
        "rgb(0, 121, 90)"
    )


# ---------------------------------------------------------------------------- many inputs


@pytest.fixture
def without_pictures(monkeypatch):
    picture = b'<svg width="1pt" height="1pt" viewBox="0 0 1 1"></svg>'
    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr("microgradx.show.graphs.drawing.render", lambda source, format: picture)
        warnings.simplefilter("ignore")  # the drawing leaves most inputs out
        yield


def calls_of_rule(monkeypatch, tensor, show):
    """How often the rule of the op that made a Tensor is called while it is shown."""
    calls = []
    rule = type(tensor.op).backward
    monkeypatch.setattr(
        type(tensor.op), "backward", lambda *given: calls.append(given) or rule(*given)
    )
    shown = show()
    monkeypatch.undo()
    return len(calls), shown


def test_an_op_of_many_inputs_is_not_probed_for_each(monkeypatch, without_pictures):
    stacked = mg.stack([leaf(float(i), f"w{i}") for i in range(3000)])
    loss = mg.sum(stacked)
    count, page = calls_of_rule(monkeypatch, stacked, lambda: explain(loss))
    assert count < 20  # each returns 3,000 gradients
    assert len(page.html) < 2_000_000
    assert re.search(r"computes \w+ from (\w+, ){7}\w+ and 2,992 more\.", page.html)
    assert "backward ones are left out" in page.html
    count, text = calls_of_rule(monkeypatch, stacked, loss.steps)
    assert count < 20
    assert len(text) == 400


def test_an_op_of_some_inputs_is_explained_as_ever(without_pictures):
    stacked = mg.stack([leaf(float(i), f"w{i}") for i in range(9)])
    steps = steps_of(mg.sum(stacked))
    assert all(step.derivation is not None for step in steps)
    page = explain(mg.sum(stacked)).html
    assert re.search(r"computes \w+ from (\w+, ){7}\w+ and 1 more\.", page)


def test_a_rule_without_some_gradients_is_asked_once(monkeypatch):
    class First(mg.Op):
        def forward(self, *inputs):
            return inputs[0] * 1

        def backward(self, g, out, *inputs):
            return [g, *(None for _ in inputs[1:])]

    chosen = First()(*(leaf(float(i)) for i in range(500)))
    count, steps = calls_of_rule(monkeypatch, chosen, lambda: steps_of(chosen))
    assert [step.kind for step in steps] == ["forward", "seed", "backward"]
    assert count < 10
