"""Every example runs, and says what it is there to say."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

# What each must print, among other things.
SAYS = {
    "first_nan": ["the forward of exp gave inf", "e = np.exp(logits)", "subtract the maximum"],
    "newton": ["at [1. 1. 1.]"],
    "numerical_stability": ["naive softmax:  [nan", "cross_entropy:  200.0", "8.279875e-08"],
    "own_op": ["gradients agree", "the gradient does not agree", "one of several uses"],
    "probabilities": ["[0.8668 0.1173 0.0159]", "costs 0.01005", "ln 10 = 2.3026"],
    "small_images": ["accuracy on new images: 9"],
    "softmax_by_hand": ["[-0.34099886  0.24243297  0.09856589]", "softmax.svg"],
    "train_spirals": ["ln 3 = 1.099", "accuracy on the training data: 9"],
}


def test_every_example_is_known():
    assert set(SAYS) == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("name", SAYS)
def test_example(name, tmp_path, monkeypatch, capsys):
    if name == "softmax_by_hand":
        pytest.importorskip("pygraphviz")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    said = capsys.readouterr().out
    for line in SAYS[name]:
        assert line in said
    if name == "softmax_by_hand":
        assert said.count("[-0.34099886  0.24243297  0.09856589]") == 3
        assert (tmp_path / "softmax.svg").read_text().rstrip().endswith("</svg>")
