"""The reliability diagram: its points are those of the curve, and what it says."""

import numpy as np
import pytest

import microgradx as mg
from microgradx import metrics


@pytest.fixture
def rows(generator):
    logits = generator.normal(size=(300, 3)) * 2
    return mg.sample(logits, generator=generator), logits


def test_points_are_confidence_and_accuracy_of_the_bins(rows):
    pytest.importorskip("matplotlib")
    labels, logits = rows
    for strategy in ("uniform", "quantile"):
        p = mg.softmax(logits)
        figure = mg.plot_reliability(labels, p, n_bins=7, strategy=strategy)
        above, below = figure.axes
        curve = metrics.reliability_curve(labels, p, n_bins=7, strategy=strategy)
        filled = curve.count > 0
        points = above.collections[-1].get_offsets()
        np.testing.assert_allclose(points[:, 0], curve.confidence[filled])
        np.testing.assert_allclose(points[:, 1], curve.accuracy[filled])
        assert [bar.get_height() for bar in below.patches] == curve.count.tolist()


def test_several_curves_are_named_with_their_errors(rows, tmp_path):
    pytest.importorskip("matplotlib")
    labels, logits = rows
    curves = {"before": mg.softmax(3 * logits), "after": mg.softmax(logits)}
    assert mg.plot_reliability(labels, curves, tmp_path / "r.svg") is None
    assert (tmp_path / "r.svg").read_text().startswith("<?xml")
    figure = mg.plot_reliability(labels, curves)
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    for text, (name, p) in zip(texts, curves.items(), strict=True):
        error = metrics.expected_calibration_error(labels, p)
        assert text == f"{name}, expected calibration error {error:.3f}"


def test_a_single_prediction_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    mg.plot_reliability([1], [[1.0, 0.0]], tmp_path / "r.png")
    assert (tmp_path / "r.png").stat().st_size > 1000


def test_errors_are_those_of_the_curve():
    with pytest.raises(ValueError, match=r"sums to 1\.1"):
        mg.plot_reliability([0], [[0.5, 0.6]])
