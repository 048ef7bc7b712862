"""The code in docs/contributing.md runs where the page puts it, and the files it names exist."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import microgradx as mg
from microgradx.commands.arguments import Parser
from microgradx.common.messages import InputError

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/contributing.md").read_text(encoding="utf-8")


def run(start, scope=None):
    """What the block of code that starts so defines, in a file with the names of scope."""
    (code,) = re.findall(rf"```python\n( *{re.escape(start)}.*?)```", PAGE, flags=re.DOTALL)
    scope = {"__name__": "contributed", **(scope or {})}
    exec(compile(dedent(code), "contributing.md", "exec"), scope)
    return scope


def test_the_op():
    # In a process of its own, as an op puts itself into the table from NumPy function to op.
    program = "from tests.test_contributing import check_the_op; check_the_op()"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def check_the_op():
    from microgradx.ops import elementwise

    logit = run("logit = ", vars(elementwise))["logit"]
    assert mg.check_op(logit, np.array([0.1, 0.5, 0.9]))
    row = re.search(r"logit: \(\"(.*)\", \"(.*)\"\),", PAGE)
    assert repr(eval(row[1], {"logit": logit})) == row[2]


def test_the_layer():
    from microgradx.nn import layers

    layer = run("class Scale", vars(layers))["Scale"](4, dtype=np.float64)
    assert repr(layer) == "Scale(features=4)"
    assert mg.gradcheck(lambda x, scale: layer(x), [np.ones((5, 4)), *layer.parameters()])
    with pytest.raises(ValueError, match=r"\(5, 1\) does not fit Scale\(features=4\); its last"):
        layer(np.ones((5, 1)))


def test_the_optimiser():
    optimiser = run('"""Adadelta')["Adadelta"]
    w = mg.Tensor([1.0, -3.0], requires_grad=True)
    adadelta = optimiser([w], rho=0.75, eps=1e-4)
    (w * w).sum().backward()
    adadelta.step()
    steps = 0.01 * 2 / np.sqrt(1 + 1e-4), 0.01 * 6 / np.sqrt(9 + 1e-4)
    np.testing.assert_allclose(w.data, [1 - steps[0], -3 + steps[1]])
    with pytest.raises(ValueError, match="rho must be at least 0 and less than 1, not 1"):
        optimiser([w], rho=1)


def test_the_schedule():
    from microgradx.optim.lr_scheduler import decay

    schedule = run("class PolynomialLR", vars(decay))["PolynomialLR"]
    optimiser = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    scheduler = schedule(optimiser, total_iters=2, power=2)
    assert optimiser.lr == 0.4
    scheduler.step()
    assert optimiser.lr == 0.1
    assert repr(scheduler) == "PolynomialLR(total_iters=2, power=2)"
    with pytest.raises(ValueError, match="total_iters must be at least 1, not 0"):
        schedule(optimiser, total_iters=0)


def test_the_command(capsys):
    command = run('"""`gradient`')
    parser = Parser(prog="microgradx")
    command["add_parser"](parser.add_subparsers())
    arguments = parser.parse_args(["gradient", "0"])
    assert arguments.run(arguments) == 0
    assert capsys.readouterr().out == "1.0\n"
    with pytest.raises(InputError, match="X is not a number"):
        arguments.run(parser.parse_args(["gradient", "nan"]))


# Files that the examples make, and places of what does not exist yet.
NEW = ("optim/adadelta.py", "commands/gradient.py", "tests/commands/test_gradient.py")
TO_COME = (
    "sklearn.py",
    "export/",
    "lessons/",
)
PATHS = {path.removeprefix("microgradx/") for path in re.findall(r"`([\w/]+(?:\.py|/))`", PAGE)}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_file_that_the_page_names_exists_unless_it_is_still_to_come(path):
    exists = (ROOT / path).exists() or (ROOT / "microgradx" / path).exists()
    assert exists == (path not in NEW + TO_COME)
