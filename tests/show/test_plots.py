"""Pictures of trainings and predictions: that they are made, and of the right things."""

import dataclasses
import sys

import numpy as np
import pytest

from microgradx.show import plots
from microgradx.show.plots import PlottingError, plot_history, plot_predictions
from microgradx.training import Classifier, History, TableEncoder, TableSchema

COLUMNS = "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"


def make_history(*rows):
    return History([dict(zip(COLUMNS, row, strict=False)) for row in rows])


HISTORY = make_history(*((i, 1 / i, 1 - 0.5 / i, 1.2 / i, 1 - 0.6 / i) for i in range(1, 6)))


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, for a look at what is in them."""
    pytest.importorskip("matplotlib")
    saved = []
    save = plots._save

    def keep(figure, path):
        saved.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "_save", keep)
    return saved


def classifier(columns, classes, image_shape=None, feature_names=None):
    return Classifier.from_architecture(
        TableEncoder(
            TableSchema(columns, feature_names, image_shape=image_shape),
            np.zeros(columns),
            np.ones(columns),
        ),
        tuple(f"class {i}" for i in range(classes)),
        hidden_sizes=(4,),
        generator=np.random.default_rng(0),
    )


def texts(figure):
    import matplotlib.text

    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def axes_of(figure):
    import matplotlib.axes

    return figure.findobj(matplotlib.axes.Axes)


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------------------- curves


def test_curves_show_the_numbers_and_name_them(figures, tmp_path):
    plot_history(HISTORY, tmp_path / "curves.png")
    assert is_png(tmp_path / "curves.png")
    loss, accuracy = figures[0].axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [
        HISTORY["loss"].tolist(),
        HISTORY["validation_loss"].tolist(),
    ]
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [
        HISTORY["accuracy"].tolist(),
        HISTORY["validation_accuracy"].tolist(),
    ]
    assert {"Loss", "Accuracy", "epoch"} <= set(texts(figures[0]))
    assert {"training 0.200", "held out 0.240", "training 90.0%", "held out 88.0%"} <= set(
        texts(figures[0])
    )


def test_labels_of_ends_that_meet_are_kept_apart(figures, tmp_path):
    plot_history(make_history((1, 1.0, 0.1, 1.0, 0.1), (2, 0.5, 1.0, 0.5, 1.0)), tmp_path / "c.svg")
    for axes in figures[0].axes:
        low, high = axes.get_ylim()
        first, second = (text.xy[1] for text in axes.texts)
        assert abs(first - second) > 0.06 * (high - low)


def test_the_command_can_say_which_rows_the_validation_rows_are(figures, tmp_path):
    plot_history(HISTORY, tmp_path / "curves.png", validation="calibration rows")
    assert {"calibration rows 0.240", "calibration rows 88.0%"} <= set(texts(figures[0]))
    assert not any("held out" in text for text in texts(figures[0]))


@pytest.mark.parametrize("low", [0.0, 0.31, 0.67, 0.8, 0.96, 0.9991])
@pytest.mark.parametrize("high", [0.87, 1.0])
def test_the_labels_of_ticks_are_the_ticks(figures, tmp_path, low, high):
    plot_history(make_history((1, 1.0, low), (2, 1.0, high)), tmp_path / "curves.png")
    axis = figures[0].axes[1].yaxis
    ticks = axis.get_major_locator()()
    labels = [t.replace("−", "-") for t in axis.get_major_formatter().format_ticks(ticks)]
    assert [float(label.rstrip("%")) / 100 for label in labels] == pytest.approx(ticks, abs=1e-9)


def test_without_validation_there_is_one_curve_in_each(figures, tmp_path):
    plot_history(make_history((1, 0.5, 0.9), (2, 0.4, 0.95)), tmp_path / "curves.png")
    assert [len(axes.lines) for axes in figures[0].axes] == [1, 1]


def test_a_single_epoch_is_a_point(figures, tmp_path):
    plot_history(History(HISTORY.rows[:1]), tmp_path / "curves.png")
    assert all(line.get_marker() == "o" for axes in figures[0].axes for line in axes.lines)


def test_a_history_draws_itself_and_each_metric_has_a_panel(tmp_path):
    pytest.importorskip("matplotlib")
    history = History([{"epoch": 1, "loss": -0.5, "brier_score": 0.1}, {"epoch": 2, "loss": -1}])
    chart = history.plot()
    figure = chart.figure
    assert chart._repr_png_().startswith(b"\x89PNG")
    assert [axes.get_title("left") for axes in figure.axes] == ["Loss", "Brier score"]
    assert figure.axes[0].get_ylim()[0] < -1
    assert history.plot(tmp_path / "curves.png") is None
    assert is_png(tmp_path / "curves.png")


# ---------------------------------------------------------------------------- predictions


def test_images_stand_beside_their_probabilities(figures, tmp_path):
    generator = np.random.default_rng(0)
    model = classifier(12, 5, image_shape=(3, 4))
    x = generator.normal(size=(40, 12))
    p = model.predict_proba(x)
    y = np.where(np.arange(40) < 10, (p.argmax(axis=1) + 1) % 5, p.argmax(axis=1))
    plot_predictions(model, x, y, tmp_path / "predictions.png")
    assert is_png(tmp_path / "predictions.png")
    shown = [axes for axes in axes_of(figures[0]) if axes.images]
    assert len(shown) == 8
    for image in shown:
        pixels = image.images[0].get_array()
        assert pixels.shape == (3, 4)
        assert any(np.allclose(pixels.ravel(), row) for row in x)
    bars = [axes for axes in axes_of(figures[0]) if axes.patches]
    assert all(sum(bar.get_width() for bar in axes.patches) == pytest.approx(1) for axes in bars)
    # The mistakes that are shown are the most confident ones.
    worst = np.sort(p[:10].max(axis=1))[::-1][:4]
    widths = [max(bar.get_width() for bar in axes.patches) for axes in bars[4:]]
    np.testing.assert_allclose(widths, worst, rtol=1e-6)
    assert "The worst of 10 mistakes in 40 rows held out" in texts(figures[0])


@pytest.mark.parametrize("right", [True, False])
def test_rows_of_a_table_when_all_or_none_are_right(figures, tmp_path, right):
    names = tuple(f"feature ${i}$" for i in range(30))
    model = classifier(30, 2, feature_names=names)
    x = np.random.default_rng(0).normal(size=(5, 30))
    y = model.predict_proba(x).argmax(axis=1)
    plot_predictions(model, x, y if right else 1 - y, tmp_path / "predictions.png")
    said = texts(figures[0])
    assert any("No mistake in 5 rows" in text for text in said) == right
    assert any("worst of 5 mistakes" in text for text in said) != right
    assert sum(text.startswith("feature $") for text in said) == 6 * len(
        [axes for axes in axes_of(figures[0]) if axes.patches]
    )


def test_of_many_classes_the_most_probable_are_shown(figures, tmp_path):
    model = classifier(5, 200)
    x = np.random.default_rng(0).normal(size=(3, 5))
    plot_predictions(model, x, np.array([0, 1, 2]), tmp_path / "predictions.png")
    assert all(len(axes.patches) in (0, 10) for axes in axes_of(figures[0]))


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_two_features_are_a_plane(figures, tmp_path, classes):
    model = classifier(2, classes, feature_names=("width", "height"))
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(30, 2)), generator.integers(0, classes, 30)
    plot_predictions(model, x, y, tmp_path / "predictions.png")
    (axes,) = figures[0].axes
    assert axes.get_xlabel() == "width"
    wrong = np.sum(model.predict_proba(x).argmax(axis=1) != y)
    assert f"30 rows held out, {wrong} wrong" in axes.get_title(loc="left")
    assert (
        sum(len(points.get_offsets()) for points in axes.collections[-classes - 1 :]) == 30 + wrong
    )


def test_all_points_in_one_place(figures, tmp_path):
    plot_predictions(classifier(2, 2), np.ones((2, 2)), np.array([0, 1]), tmp_path / "p.png")


def test_names_in_other_scripts_warn_nobody(figures, tmp_path):
    model = classifier(3, 2)
    model.label_names = ("日本", "नमस्ते")
    plot_predictions(model, np.ones((2, 3)), np.array([0, 1]), tmp_path / "p.png")


# ---------------------------------------------------------------------------- what may fail


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match="no epochs"):
        plot_history(History(), tmp_path / "curves.png")
    with pytest.raises(ValueError, match="no rows"):
        plot_predictions(classifier(2, 2), np.empty((0, 2)), np.empty(0, int), tmp_path / "p.png")


def test_without_matplotlib_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlottingError, match=r'pip install "microgradx\[plots\]"'):
        plot_history(HISTORY, tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


def test_the_users_settings_stay(figures, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 17.0, "axes.grid": True}):
        plot_history(HISTORY, tmp_path / "curves.png")
        assert matplotlib.rcParams["font.size"] == 17.0
        assert matplotlib.rcParams["axes.grid"]
    assert figures[0].axes[0].xaxis.label.get_fontsize() == 9


def test_names_and_values_of_features_and_names_of_classes_keep_apart(figures, tmp_path):
    import matplotlib.text

    names = [f"the sum of column no. {i}" for i in range(6)]
    model = classifier(6, 3, feature_names=names)
    model = dataclasses.replace(model, label_names=("an extraordinarily long one", "B", "C"))
    x = np.random.default_rng(0).normal(size=(40, 6)) * np.logspace(-9, 9, 6)
    x[:, 0] = x[:, 0].round(2)
    plot_predictions(model, x, model.predict_proba(x).argmax(axis=1), tmp_path / "predictions.png")
    figure = figures[0]
    renderer = figure._get_renderer()
    boxes = [
        text.get_window_extent(renderer)
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_text() and text.get_visible()
    ]
    apart = 0.06 * figure.dpi  # of an inch, about two thirds of a letter
    for i, first in enumerate(boxes):
        for second in boxes[i + 1 :]:
            if first.y0 < second.y1 - 1 and second.y0 < first.y1 - 1:
                assert max(first.x0 - second.x1, second.x0 - first.x1) > apart
