"""The page about softmax: whatever is changed, its numbers are Python's, and it can be read."""

import json
import math
import re

import mpmath
import numpy as np
import pytest

import microgradx as mg
from microgradx.show.pages import Page
from microgradx.show.softmax_page import explain_softmax

HOSTILE = "a|b{c}<script>document.title='broken out'</script>&amp;$p\n\u202e"
ANIMALS = {"names": ["cat", "dog", "bird"]}
MASKED = -math.inf


def explain_case(case):
    return explain_softmax(
        case["logits"],
        case["target"],
        temperature=case["temperature"],
        label_smoothing=case["smoothing"],
        names=case.get("names"),
    )


def fragment(explanation):
    """What follows the # in a link to the state that a page was made for."""
    return json.loads(re.search('id="data">(.*?)</script>', explanation.html)[1])


def column(tab, name):
    """What a column of the table says, from the first class to the last."""
    return [
        text.strip() for text in tab.locator(f"#classes [data-text={name}]").all_text_contents()
    ]


def panel(tab, name):
    return tab.locator(f".panels [data-text={name}]").first.text_content().strip()


def follow(tab, link):
    """Follow a link to another state of the page that is open."""
    tab.evaluate(
        """link => new Promise(resolve => {
            addEventListener("hashchange", resolve, {once: true});
            location.hash = link;
        })""",
        link,
    )


def decimals(values):
    return [f"{value:.4f}" if abs(value) >= 1e-4 else f"{value:.4g}" for value in values]


# ---------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("logits", "target", "settings", "error", "message"),
    [
        ([1.0], 0, {}, ValueError, r"one row of 2 to 20 logits, not an array of shape \(1,\)"),
        ([[1.0, 2.0]], 0, {}, ValueError, r"of shape \(1, 2\); choose a row, as in logits\[0\]"),
        (3.0, 0, {}, ValueError, r"not an array of shape \(\)"),
        (np.zeros(21), 0, {}, ValueError, r"2 to 20 logits, not an array of shape \(21,\)"),
        (["a", "b"], 0, {}, TypeError, "a Tensor holds real numbers"),
        ([1.0, math.nan], 0, {}, ValueError, r"finite or -inf, .* unlike \[1\.0, nan\]"),
        ([1.0, math.inf], 0, {}, ValueError, r"finite or -inf, .* unlike \[1\.0, inf\]"),
        ([MASKED, MASKED], 0, {}, ValueError, "not all of them -inf"),
        ([1.0, 2.0], 2, {}, IndexError, "label 2 is not one of the 2 classes, 0 to 1"),
        ([1.0, 2.0], -1, {}, IndexError, "label -1"),
        ([1.0, 2.0], 1.0, {}, TypeError, "labels must be integers, not float64"),
        ([1.0, 2.0], [0], {}, ValueError, r"a target of shape \(1,\) does not fit logits"),
        ([1.0, 2.0], [0.5, 0.6], {}, ValueError, "does not hold probabilities"),
        ([1.0, 2.0], [1.5, -0.5], {}, ValueError, "does not hold probabilities"),
        ([1.0, 2.0], [0.0, 0.0], {}, ValueError, r"that add up to 1, not \[0\.0, 0\.0\]"),
        ([1.0, 2.0], [math.nan, 1.0], {}, ValueError, r"that add up to 1, not \[nan, 1\.0\]"),
        ([1.0, 2.0], 0, {"temperature": 0.0}, ValueError, "positive and finite, not 0.0"),
        ([1.0, 2.0], 0, {"temperature": math.inf}, ValueError, "positive and finite, not inf"),
        ([1.0, 2.0], 0, {"temperature": math.nan}, ValueError, "positive and finite, not nan"),
        ([1.0, 2.0], 0, {"label_smoothing": 1.5}, ValueError, "from 0 to 1, not 1.5"),
        ([1.0, 2.0], 0, {"names": ["a"]}, ValueError, r"a list of 2 names, .*: \['a'\]"),
        ([1.0, 2.0], 0, {"names": "ab"}, ValueError, "a list of 2 names, one for each class: 'ab'"),
        ([1.0, 2.0], 0, {"path": "softmax.svg"}, ValueError, r"end the name with \.html"),
    ],
)
def test_what_does_not_fit_is_refused(logits, target, settings, error, message):
    with pytest.raises(error, match=message):
        explain_softmax(logits, target, **settings)


def test_lists_arrays_and_tensors_give_the_same_page(tmp_path):
    path = tmp_path / "softmax.html"
    z = mg.Tensor([2.0, 1.0, 0.5], requires_grad=True, name="z")
    explanation = explain_softmax(z, np.int64(1), path=path)
    assert isinstance(explanation, Page)
    assert path.read_text(encoding="utf-8") == explanation.html
    assert z.grad is None
    for logits in ([2, 1, 0.5], (z * 1).data, np.array([2, 1, 0.5], np.float32)):
        for target in (1, [0, 1, 0], mg.Tensor([0.0, 1.0, 0.0]), np.uint8(1)):
            assert explain_softmax(logits, target).html == explanation.html


def test_pages_are_small():
    assert len(explain_softmax(np.arange(20.0), 0).html.encode()) < 100_000


# ---------------------------------------------------------------------------- JavaScript's numbers


def cases(generator):
    """Ordinary and extreme logits, labels and probabilities, temperatures that are powers of 2."""
    made = []
    for i in range(400):
        classes = int(generator.integers(2, 21))
        z = generator.normal(size=classes) * 10 ** generator.uniform(-3, 3)
        if i % 4 == 1:  # close to one another, far from 0
            z = z / 1000 + generator.choice([100.0, -1e4, 1e7])
        if i % 5 == 1:  # nearly certain
            z[generator.integers(classes)] += generator.choice([30.0, 40.0, 700.0, 1e4])
        if i % 7 == 1:
            z[generator.integers(1, classes)] = -np.inf
        if i % 11 == 1:  # ties
            z[:] = np.round(z)
        y = np.eye(classes)[generator.integers(classes)]
        if i % 3 == 1:
            y = generator.dirichlet(np.full(classes, 0.3))
        made.append(
            {
                "logits": z.tolist(),
                "target": y.tolist(),
                "temperature": float(2.0 ** generator.integers(-4, 5)),
                "smoothing": float(generator.choice([0.0, 0.0, 0.1, 0.5, 1.0])),
            }
        )
    extremes = [
        [1e308, -1e308, 0.0],
        [1e300, 1e300, 0.0],
        [5e-324, 0.0, -5e-324],
        [0.1 + 0.2, 0.3, 0.3 - 1e-16],
        [0.0, -745.0, -746.0],
        [710.0, 0.0, MASKED],
        [MASKED, 0.0, MASKED],
    ]
    for z in extremes:
        for y in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]):
            made.append({"logits": z, "target": y, "temperature": 1.0, "smoothing": 0.0})
    return made


def assert_close(found, expected, scale, what, *, rtol=1e-14):
    """To a few units in the last place; `scale` is of what may have cancelled."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        near = np.abs(found - expected) <= rtol * np.abs(expected) + 2e-15 * scale + 1e-320
    assert np.all(same | near), (what, found, expected)


def test_numbers_are_those_of_the_engine(open_page, generator):
    made = cases(generator)
    tab = open_page(explain_softmax([1.0, 2.0], 0).html)
    answers = tab.evaluate("cases => cases.map(crossEntropy)", made)
    for case, answer in zip(made, answers, strict=True):
        # A temperature that is a power of 2 rounds nothing, so this is the engine's own loss.
        z = mg.Tensor(case["logits"], requires_grad=True)
        y, temperature, smoothing = case["target"], case["temperature"], case["smoothing"]
        label = int(np.argmax(y)) if max(y) == 1 else y
        scaled = z / temperature
        loss = mg.cross_entropy(scaled, label, label_smoothing=smoothing)
        difference, gradient = mg.autograd.grad(loss, [scaled, z])
        p = mg.softmax(z.data, temperature=temperature)
        soft = np.asarray(answer["y"]) * (np.asarray(answer["y"]) < 1)  # in p - y they may cancel
        assert_close(answer["scaled"], scaled.data, 0, case)
        assert_close(answer["p"], p, 0, case)
        assert_close(answer["loss"], loss.data, 0, case)
        assert_close(answer["differences"], difference, soft, case)
        assert_close(answer["gradient"], gradient, soft / temperature, case)
        assert_close(answer["surprises"], -mg.log_softmax(z.data, temperature=temperature), 0, case)
        assert_close(answer["loss"], sum(answer["losses"]), 0, case)
        assert_close(answer["total"] * np.asarray(answer["p"]), answer["exponentials"], 0, case)


def test_numbers_are_exact_at_any_temperature(open_page, generator):
    made = cases(generator)[:120]
    for case in made:
        case["temperature"] = float(10 ** generator.uniform(-2, 2))
    tab = open_page(explain_softmax([1.0, 2.0], 0).html)
    answers = tab.evaluate("cases => cases.map(crossEntropy)", made)
    with mpmath.workdps(400):  # beside 1, e^-900 must count
        for case, answer in zip(made, answers, strict=True):
            z = [mpmath.mpf(x) / mpmath.mpf(case["temperature"]) for x in case["logits"]]
            e = [mpmath.exp(x - max(z)) for x in z]
            p = [x / mpmath.fsum(e) for x in e]
            smoothing, classes = mpmath.mpf(case["smoothing"]), len(z)
            y = [share * (1 - smoothing) + smoothing / classes for share in case["target"]]
            loss = -mpmath.fsum(
                share * mpmath.log(q) for share, q in zip(y, p, strict=True) if share
            )
            target_sum = mpmath.fsum(y)
            difference = [float(target_sum * q - share) for share, q in zip(y, p, strict=True)]
            assert_close(answer["y"], [float(share) for share in y], 1, case)
            assert_close(answer["p"], [float(q) for q in p], 0, case, rtol=1e-12)
            assert_close(answer["loss"], float(loss), 0, case, rtol=1e-12)
            soft = np.asarray(answer["y"]) * (np.asarray(answer["y"]) < 1)
            assert_close(answer["differences"], difference, soft, case, rtol=1e-12)


def test_float32_is_that_of_numpy(open_page, generator):
    made = [case for case in cases(generator) if max(case["logits"]) < 1e38]
    for i, case in enumerate(made):  # to where exponentials overflow, and vanish
        if i % 3 == 0:
            case["logits"] = (generator.normal(size=4) * 3 + generator.choice([87, -101])).tolist()
            case["target"] = [0.0, 1.0, 0.0, 0.0]
            case["temperature"] = 1.0
    made.append({"logits": [88.722, 88.723, 0.0], "target": [1, 0, 0], "temperature": 1.0})
    tab = open_page(explain_softmax([1.0, 2.0], 0).html)
    answers = tab.evaluate("cases => cases.map(one => computeInFloat32(one, one.target))", made)
    assert math.isfinite(answers[-1]["naive"]["exponentials"][0])
    assert answers[-1]["naive"]["exponentials"][1] == math.inf
    seen = set()
    with np.errstate(all="ignore"):
        for case, answer in zip(made, answers, strict=True):
            z = np.array(case["logits"], np.float32) / np.float32(case["temperature"])
            y = np.array(case["target"], np.float32)
            for way, x in (("naive", z), ("shifted", z - z.max())):
                e = np.exp(x)
                p = e / e.sum()
                loss = -np.log(p) if way == "naive" else np.log(e.sum()) - x
                loss = np.sum(np.where(y == 0, 0, y * loss))
                for found, expected in (
                    (answer[way]["exponentials"], e),
                    (answer[way]["total"], e.sum()),
                    (answer[way]["p"], p),
                    (answer[way]["loss"], loss),
                ):
                    # Among the subnormal numbers one unit in the last place is a large part.
                    coarse = 0.0 if np.min(e[e > 0], initial=1) > 1e-37 else 1e-2
                    np.testing.assert_allclose(
                        np.array(found, np.float64),
                        expected,
                        rtol=1e-5 + coarse,
                        atol=3e-45,
                        err_msg=str(case),
                    )
                seen.add((way, str(loss) if not np.isfinite(loss) else "finite"))
    assert seen == {
        ("naive", "finite"), ("naive", "inf"), ("naive", "nan"),
        ("shifted", "finite"), ("shifted", "inf"),
    }  # fmt: skip


# ---------------------------------------------------------------------------- without scripts

STATES = [
    {"logits": z, "target": target, "temperature": temperature, "smoothing": smoothing}
    for z, target, temperature, smoothing in [
        ([2.0, 1.0, 0.1], 0, 1.0, 0.0),
        ([1.0, 3.0, 0.5], 1, 0.5, 0.1),
        ([0.0, 0.0], 0, 3.0, 0.0),
        ([102.0, 101.0, 100.1], 2, 1.0, 0.25),
        ([-110.0, -111.0], 1, 1.0, 0.0),
        ([0.0, -110.0, 1.0], 1, 1.0, 0.0),
        ([-101.0, -102.0, -103.0], 0, 1.0, 0.0),
        ([5.0, -math.inf, 1.0], 1, 2.0, 0.0),
        ([5.0, -math.inf, 1.0], 0, 2.0, 0.0),
        ([-3.0, -1.0, -2.0], [0.2, 0.5, 0.295], 0.07, 0.3),
        ([1e6, -1e-7, 1234.56789, 0.1], [0, 0, 1, 0], 1e3, 0.0),
        ([0.5, 0.25, 0.03125, 2.0625], 3, 1.0, 1.0),
        (np.linspace(-3, 3, 20).tolist(), 7, 1.0, 0.05),
    ]
]
STATES += [STATES[0] | {"names": [HOSTILE, "=", "d,og"]}, STATES[0] | {"names": ["", "ü,&%", "#"]}]

PLACES = """root => [
    [...root.querySelectorAll("[data-text]")].map(e => [e.dataset.text, e.textContent]),
    [root.querySelector("main"), ...root.querySelectorAll("#classes > *, #dots > *")].map(e =>
        Object.fromEntries([...e.style].map(key => [key, Number(e.style.getPropertyValue(key))]))),
    {...root.querySelector("main").dataset},
]"""


def test_python_and_javascript_fill_the_page_alike(open_page):
    tab = open_page(explain_softmax([9.0, 9.0], 0).html)
    for state in STATES:
        explanation = explain_case(state)
        follow(tab, fragment(explanation))
        shown = tab.evaluate(
            f"""html => [document, new DOMParser().parseFromString(html, "text/html")]
                .map({PLACES})""",
            explanation.html,
        )
        texts, variables, attributes = zip(*shown, strict=True)
        assert attributes[0] == attributes[1]
        np.testing.assert_equal(*[[[*row] for row in rows] for rows in variables])
        for found, expected in zip(*variables, strict=True):
            assert_close([*found.values()], [*expected.values()], 1, state)
        for (key, found), (_, expected) in zip(*texts, strict=True):
            if "aive" in key or "hiftedE" in key or "hiftedP" in key or "hiftedL" in key:
                # By float32's exponential, which NumPy rounds in more than one way.
                np.testing.assert_allclose(float(found), float(expected), rtol=2e-4)
            else:
                assert found == expected, (key, state)


def test_without_scripts_all_numbers_are_there(open_page):
    tab = open_page(explain_case(STATES[0]).html, scripts=False)
    assert column(tab, "name") == ["class 0", "class 1", "class 2"]
    assert column(tab, "z") == ["2", "1", "0.1"]
    assert column(tab, "shifted") == ["0", "-1", "-1.9000"]
    assert column(tab, "p") == ["0.6590", "0.2424", "0.0986"]
    assert column(tab, "y") == ["1", "0", "0"]
    assert column(tab, "gradient") == ["-0.3410", "0.2424", "0.0986"]
    assert panel(tab, "sumLoss") == "0.4170"
    assert tab.locator("input:visible, button:visible").count() == 0
    _, *shifted = tab.locator("#classes [data-text=shifted]").all()
    whole, other = [number.bounding_box()["width"] for number in shifted]
    assert whole == other  # -1 and -1.9000: their decimal points are one above the other
    steps = " ".join(tab.locator(".steps .formula").all_inner_texts())
    assert "Σ = 1 + 0.3679 + 0.1496 = 1.5174" in steps
    assert "p = e0 / Σ = 1 / 1.5174 = 0.6590" in steps
    assert "(p − y) / T = (0.6590 − 1) / 1 = -0.3410" in steps
    transform = tab.evaluate("getComputedStyle(document.querySelector('.dot')).transform")
    *_, right, down = map(float, re.findall(r"[-.\d]+", transform))
    assert (right / 326, -down / 40) == (
        pytest.approx(0.6590, abs=1e-4),
        pytest.approx(0.4170, abs=1e-4),
    )


def test_the_curve_is_that_of_the_loss(open_page):
    tab = open_page(explain_case(STATES[0]).html)
    points = np.array(
        [pair.split(",") for pair in tab.get_attribute(".surprise", "points").split()]
    )
    x, y = points.astype(float).T
    np.testing.assert_allclose(-y[:-1] / 40, -np.log(x[:-1] / 326), atol=2e-3)
    assert (x[-1], y[-1]) == (326, 0)


@pytest.mark.parametrize(
    ("logits", "temperature", "p"),
    [
        ([3.0, 2.9, 2.8], 1.0, "0.3672 0.3322 0.3006"),
        ([5.0, 2.0, 1.0], 1.0, "0.9362 0.0466 0.0171"),
        ([100.0, 99.0, 98.0], 1.0, "0.6652 0.2447 0.0900"),
        ([2.0, 1.0, 0.0], 0.5, "0.8668 0.1173 0.0159"),
        ([2.0, 1.0, 0.0], 2.0, "0.5065 0.3072 0.1863"),
    ],
)
def test_numbers_of_lessons(logits, temperature, p):
    html = explain_softmax(logits, 0, temperature=temperature).html
    assert re.findall('class="number" data-text="p">([^<]*)<', html) == p.split()


# ---------------------------------------------------------------------------- changes by hand


def expect_engine(tab, logits, label, *, temperature=1.0, smoothing=0.0):
    """That the page shows what the engine says of these numbers."""
    z = mg.Tensor(logits, requires_grad=True)
    loss = mg.cross_entropy(z / temperature, label, label_smoothing=smoothing)
    loss.backward()
    assert column(tab, "z") == [f"{x:.6g}" for x in logits]
    assert column(tab, "p") == decimals(mg.softmax(z.data, temperature=temperature))
    assert column(tab, "gradient") == decimals(z.grad)
    assert panel(tab, "sumLoss") == f"{loss.item():.4f}"


def test_sliders_by_keyboard_and_by_pointer(open_page):
    tab = open_page(explain_softmax([2.0, 1.0, 0.1], 0, names=ANIMALS["names"]).html)
    slider = tab.get_by_role("slider", name="logit of dog")
    for _ in range(5):
        slider.press("ArrowRight")
    expect_engine(tab, [2.0, 1.5, 0.1], 0)
    slider.fill("-2.5")
    expect_engine(tab, [2.0, -2.5, 0.1], 0)
    box = slider.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=7)
    tab.mouse.up()
    dragged = float(slider.input_value())
    assert 4 < dragged < 8
    expect_engine(tab, [2.0, dragged, 0.1], 0)

    temperature = tab.get_by_role("slider", name="Temperature")
    temperature.press("ArrowLeft")
    assert tab.locator("#temperature").input_value() == "0.89"
    temperature.fill("-0.3")
    expect_engine(tab, [2.0, dragged, 0.1], 0, temperature=0.5)
    assert temperature.get_attribute("aria-valuetext") == "0.5"
    tab.get_by_role("slider", name="Label smoothing").fill("0.15")
    expect_engine(tab, [2.0, dragged, 0.1], 0, temperature=0.5, smoothing=0.15)
    tab.get_by_role("radio", name="bird is the right class").check()
    expect_engine(tab, [2.0, dragged, 0.1], 2, temperature=0.5, smoothing=0.15)
    assert column(tab, "y") == ["0.0500", "0.0500", "0.9000"]


def test_numbers_can_be_typed(open_page):
    tab = open_page(explain_softmax([2.0, 1.0, 0.1], 0).html)
    field = tab.get_by_role("textbox", name="logit of class 1")
    field.fill("1,25")  # as in many languages
    expect_engine(tab, [2.0, 1.25, 0.1], 0)
    field.fill("−0.75")
    expect_engine(tab, [2.0, -0.75, 0.1], 0)
    field.fill("-0.750")
    assert field.input_value() == "-0.750"  # one may go on typing
    field.press("Enter")
    assert field.input_value() == "-0.75"
    field.fill("-inf")
    assert column(tab, "p")[1] == "0"
    assert column(tab, "z")[1] == "-inf"
    field.fill("300")  # which widens the sliders
    assert column(tab, "p")[1] == "1"
    slider = tab.get_by_role("slider", name="logit of class 1")
    assert float(slider.input_value()) == 300 <= float(slider.get_attribute("max")) <= 600
    tab.get_by_label("Temperature T", exact=True).fill("4")
    tab.get_by_label("Label smoothing ε", exact=True).fill(".3")
    field.fill("0")
    expect_engine(tab, [2.0, 0.0, 0.1], 0, temperature=4.0, smoothing=0.3)


def test_what_is_no_number_changes_nothing(open_page):
    tab = open_page(explain_softmax([2.0, 1.0, 0.1], 0).html)
    refused = {
        "#classes input.number": ["abc", "", "inf", "1e999"],
        "#temperature": ["0", "-1", ""],
        "#smoothing": ["1.01", "-0.1", "NaN"],
    }
    for field, texts in refused.items():
        typed = tab.locator(field).first
        before = typed.input_value()
        for text in texts:
            typed.fill(text)
            assert typed.get_attribute("aria-invalid") == "true", (field, text)
            assert typed.input_value() == text
            expect_engine(tab, [2.0, 1.0, 0.1], 0)
            typed.blur()
            assert typed.input_value() == before
            assert typed.get_attribute("aria-invalid") is None


def test_the_last_logit_stays_finite(open_page):
    tab = open_page(explain_softmax([MASKED, 1.0], 1).html)
    field = tab.get_by_role("textbox", name="logit of class 1")
    field.fill("-inf")
    assert field.get_attribute("aria-invalid") == "true"
    assert column(tab, "p") == ["0", "1"]


def test_examples_and_reset(open_page):
    tab = open_page(explain_softmax([2.0, 1.0, 0.1, 0.0], 3, temperature=2.0).html)

    def verdict():
        return [text for text in tab.locator(".verdicts p").all_inner_texts() if text.strip()]

    tab.get_by_role("button", name="Knows nothing").click()
    expect_engine(tab, [0.0, 0.0, 0.0, 0.0], 3)
    assert panel(tab, "sumLoss") == panel(tab, "lnC") == f"{math.log(4):.4f}"
    tab.get_by_role("button", name="Confident and wrong").click()
    expect_engine(tab, [4.5, 0.0, 0.0, 0.0], 3)
    assert float(panel(tab, "sumLoss")) > 4.5
    tab.get_by_role("button", name="Cat, dog, bird").click()
    assert column(tab, "name") == ["cat", "dog", "bird"]
    expect_engine(tab, [1.0, 3.0, 0.5], 1)
    assert (panel(tab, "sumLoss"), column(tab, "p")[1]) == ("0.1967", "0.8214")
    assert verdict() == ["Both ways agree here, but for rounding."]
    tab.get_by_role("button", name="all + 100").click()
    assert [panel(tab, key) for key in ("naiveE", "naiveP", "sumNaiveLoss")] == [
        "inf",
        "NaN",
        "NaN",
    ]
    assert [panel(tab, key) for key in ("sumLoss", "sumShiftedLoss")] == ["0.1967", "0.1967"]
    assert verdict()[0].startswith("Above 88.7228")
    assert "alarm" in tab.locator("[data-text=sumNaiveLoss]").get_attribute("class")
    tab.get_by_role("button", name="all − 110").click()
    tab.get_by_role("button", name="all − 110").click()
    assert [panel(tab, key) for key in ("naiveE", "naiveP", "sumNaiveLoss")] == [
        "0",
        "NaN",
        "NaN",
    ]
    assert verdict()[0].startswith("Below −104")
    tab.get_by_role("button", name="Reset").click()
    expect_engine(tab, [2.0, 1.0, 0.1, 0.0], 3, temperature=2.0)
    assert column(tab, "name") == ["class 0", "class 1", "class 2", "class 3"]
    tab.locator("#temperature").fill("1")
    tab.get_by_role("button", name="right class − 110").click()
    assert [panel(tab, key) for key in ("sumNaiveLoss", "sumShiftedLoss")] == [
        "inf",
        "112.4170",
    ]
    assert verdict()[0].startswith("The probability became 0, and −ln 0 is inf")


def test_probabilities_as_target(open_page):
    tab = open_page(explain_softmax([2.0, 1.0, 0.1], [0.3, 0.595, 0.1]).html)
    assert tab.locator("#classes :checked").count() == 0
    assert panel(tab, "name") == "class 1"  # the one that weighs most
    assert "These labels add up to 0.995, so it is 0.995 p − y." in tab.inner_text(".steps")
    tab.get_by_role("radio", name="class 2 is the right class").check()
    expect_engine(tab, [2.0, 1.0, 0.1], 2)
    assert "add up to" not in tab.inner_text(".steps li:last-child")


# ---------------------------------------------------------------------------- links


def test_a_link_carries_the_state(open_page):
    page = explain_softmax([2.0, 1.0, 0.1], 0).html
    tab = open_page(page, "#z=1,3,0.5&T=0.5&smoothing=0.1&y=1&names=cat,d%2Cg,%3Cb%3E")
    assert column(tab, "name") == ["cat", "d,g", "<b>"]
    expect_engine(tab, [1.0, 3.0, 0.5], 1, temperature=0.5, smoothing=0.1)
    tab.get_by_role("slider", name="logit of cat").press("ArrowRight")
    tab.wait_for_url("**#z=1.1,3,0.5&T=0.5&smoothing=0.1&y=1&names=cat,d%2Cg,%3Cb%3E")
    assert "probability of d,g: 0." in tab.locator("[role=status]").text_content()
    link = tab.url.split("#")[1]
    again = open_page(page, f"#{link}")
    expect_engine(again, [1.1, 3.0, 0.5], 1, temperature=0.5, smoothing=0.1)
    tab.get_by_role("button", name="Reset").click()
    tab.wait_for_url("**.html")
    expect_engine(tab, [2.0, 1.0, 0.1], 0)


def test_a_link_may_say_less(open_page):
    page = explain_softmax([2.0, 1.0, 0.1], 1).html
    tab = open_page(page, "#T=2")
    expect_engine(tab, [2.0, 1.0, 0.1], 1, temperature=2.0)
    tab = open_page(page, "#z=1,2,3,4")
    expect_engine(tab, [1.0, 2.0, 3.0, 4.0], 0)
    assert column(tab, "name")[3] == "class 3"
    follow(tab, "z=0,-inf&y=0.25,0.75")
    assert column(tab, "y") == ["0.2500", "0.7500"]
    assert panel(tab, "sumLoss") == "inf"


def test_a_link_that_makes_no_sense_is_not_followed(open_page):
    tab = open_page(explain_softmax([2.0, 1.0, 0.1], 0).html)
    too_many = ",".join("1" * 21)
    for link in [
        *("z=1", "z=a,b,c", "z=-inf,-inf,-inf", "z=1,2,inf", f"z={too_many}", "T=0", "T="),
        *("smoothing=2", "y=3", "y=0.5", "y=0.5,0.6,0", "y=2,-1,0", "names=a", "names=%,b,c"),
        *("step=12", "z", "&&=&"),
    ]:
        follow(tab, "z=5,5,5")
        expect_engine(tab, [5.0, 5.0, 5.0], 0)
        follow(tab, link)
        expect_engine(tab, [2.0, 1.0, 0.1], 0)


# ---------------------------------------------------------------------------- looks


def test_names_stay_text(open_page):
    page = explain_softmax([2.0, 1.0], 0, names=[HOSTILE, "x" * 80]).html
    shown = HOSTILE.replace("\n", "\\n").replace("\u202e", "\\u202e")
    for scripts in (False, True):
        tab = open_page(page, scripts=scripts)
        assert tab.title() == "Softmax and cross-entropy"
        assert column(tab, "name") == [shown, "x" * 80]
        assert panel(tab, "name") == shown
    assert tab.get_by_role("slider", name=f"logit of {shown}").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("state", [STATES[1], STATES[10], STATES[12]])
def test_nothing_is_cut_off_at_the_side(open_page, state):
    tab = open_page(explain_case(state).html)
    for width in (320, 390, 700, 1000, 1200, 1280, 1920):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        # Nor does a number reach into the next cell.
        assert tab.evaluate(
            """[...document.querySelectorAll(".pipeline td")].every(cell =>
                cell.scrollWidth <= cell.clientWidth + 1)"""
        )


def test_three_classes_fit_a_laptop(open_page):
    tab = open_page(explain_case(STATES[1]).html, width=1280, height=800)
    assert tab.evaluate("document.documentElement.scrollHeight") == 800


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_moves_while_a_slider_is_dragged(open_page, width):
    tab = open_page(explain_softmax([2.0, 1.0, 0.1], 0).html, width=width)
    boxes = """() => [...document.querySelectorAll("main *")]
        .filter(e => !e.matches("p *, svg *, h2 *, td *"))
        .map(e => e.getBoundingClientRect().toJSON())"""
    slider = tab.get_by_role("slider", name="logit of class 1")
    slider.fill("1.1")
    before = tab.evaluate(boxes)
    assert len(before) > 50
    for value in (-10, -9.9, 0, 2, 10):
        slider.fill(str(value))
        assert tab.evaluate(boxes) == before
    tab.get_by_role("slider", name="Label smoothing").fill("0.1")
    tab.get_by_role("slider", name="Temperature").fill("-0.3")
    assert tab.evaluate(boxes) == before


def test_light_dark_and_paper(open_page):
    tab = open_page(explain_case(STATES[0]).html, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(background)
    tab.get_by_role("button", name="Light or dark").click()
    light = tab.evaluate(background)
    assert (dark, light) == ("rgb(20, 23, 28)", "rgb(255, 255, 255)")
    tab.get_by_role("button", name="Light or dark").click()
    assert tab.evaluate(background) == dark
    tab.get_by_role("slider", name="logit of class 1").fill("1.5")
    tab.emulate_media(media="print")
    assert tab.evaluate(background) == light
    assert tab.locator("input:visible, button:visible").count() == 0
    assert tab.locator("#classes .static:visible").all_text_contents() == ["2", "1.5", "0.1"]


def test_in_a_notebook_it_can_be_dragged_too(open_page):
    tab = open_page(explain_case(STATES[0])._repr_html_())
    frame = tab.frame_locator("iframe")
    frame.get_by_role("slider", name="logit of class 1").fill("1.5")
    frame.get_by_text("probability of class 0").wait_for(state="attached")
    expect_engine(frame, [2.0, 1.5, 0.1], 0)
    assert "#" not in tab.url


def test_every_control_has_a_name(open_page):
    tab = open_page(explain_case(STATES[1]).html)
    for role, count in (("slider", 5), ("textbox", 5), ("radio", 3), ("button", 8)):
        controls = tab.get_by_role(role)
        assert controls.count() == count
        assert controls.and_(tab.get_by_role(role, name=re.compile(r"\w"))).count() == count
