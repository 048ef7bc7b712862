"""Whatever expression is given: an answer, or one message and status 2, and nothing half written.

A traceback, or the line that says that the package itself has a mistake, fails these tests.
"""

import itertools

import numpy as np
import pytest

from microgradx.commands.expressions import functions

#: The variables of the expressions below: of ordinary, singular, empty and not finite values.
VALUES = {
    "s": "s=0.5",
    "v": "v=1,2,3",
    "m": "m=[[1,2],[2,4]]",
    "o": "o=[[0,0],[0,0]]",
    "e": "e=[]",
    "n": "n=[[nan,1],[1,inf]]",
}

CALLS = (
    *("{f}({x})", "{f}({x}, {x})", "{f}({x}, {x}, {x})", "{f}()", "{f}([{x}, {x}])", "{f}({x}, 0)"),
    *("{f}({x}, -1)", "{f}({x}, 1.5)", "{f}({x}, axis=0)", "{f}({x}, axis=7)", "{f}({x}, [0, 1])"),
    *("{f}({x}, None)", "{f}({x}, True)", "{f}({x}, axis='a')", "{f}({x}, out={x})", "{f}"),
    *("{f}({x}, bogus=1)", "{f}({x}, (0, 1))", "{f}({x}, 10000000000000000000000)", "{f}({x})[0]"),
    *("sum({f}({x})[0])", "sum({f}({x})[1])", "{f}([[{x}, [{x}]], {x}])", "{f}({x}, dtype='O')"),
    *("{f}({x}, axis={x})", "{f}({x}, 'a', 'b')", "{f}(1, {x})", "({x}).{f}()", "{x}.{f}({x}, 9)"),
)

HOSTILE = (
    *("# hi", "s # hi", "", " ", ";", "s;", "\n", "s\n# b", "v.mT", "s.mT", "s.T", "m.mT.mT"),
    *(
        "[[[[v]]]]",
        "[s, [s]] + 1",
        "[[1, 2], [3]] + v",
        "[] + v",
        "v[[]]",
        "v[[0, [1]]]",
        "v[[[]]]",
    ),
    *("(1, 2) + v", "v + (1, (2,))", "[" * 90 + "s" + "]" * 90, "[" * 300 + "]" * 300 + " * s"),
    *("9" * 1900 + " * s", "9" * 400 + " * s", "s ** " + "9" * 400, "v[" + "9" * 400 + "]"),
    *("sum(v, axis=" + "9" * 400 + ")", "v.sum(-" + "9" * 400 + ")", "1e999 * s", "s - 1e999"),
    *(
        "0x" + "f" * 1000 + " * s",
        "1_000 * s",
        "1j * s",
        "s * 'a'",
        "s * b'a'",
        "s * ...",
        "s*None",
    ),
    *(
        "s * True",
        "f's'",
        "s if s else s",
        "lambda: s",
        "s := 2",
        "(y := s)",
        "*v",
        "**v",
        "v[::0]",
    ),
    *("v[1:2:3:4]", "v[:, :]", "v[None]", "v[...]", "v[..., ...]", f"v[{'None, ' * 70}]", "v['a']"),
    *("v[s]", "v[v]", "v[1.5]", "v[v > 1]", "v[True]", "v[False]", "m[[True, False]]", "v[-9]"),
    *("m[m]", "v[:s]", "v[v:]", "sum(pinv(m))", "sum(inv(m))", "det(m)", "slogdet(m)[1]"),
    *("sum(svd(m)[0])", "sum(qr(m)[0])", "sum(qr(m)[1])", "sum(eigh(o)[1])", "sum(eigh(n)[0])"),
    *("cholesky(m)", "sum(solve(m, m))", "matrix_power(m, -1)", "matrix_power(m, 99999999999)"),
    *("norm(m, 'nuc')", "norm(m, s)", "norm(v, v)", "print(s)", "s.__class__", "s.data", "s()"),
    *("sum", "sum(sum)", "sum(s, sum)", "sum(*v)", "sum(**v)", "sum(v, axis=(0, 0))", "stack([])"),
    *("sum(v, initial=v)", "stack([v, m])", "stack([[v]])", "concatenate([v, v], axis=5)"),
    *("v.reshape(99999999999, 0)", "v.reshape(-1, -1)", "v.transpose(0, 0)", "cross_entropy(v, v)"),
    *("cross_entropy(v, 99)", "cross_entropy(m, [0, 1], reduction='x')", "cross_entropy(v, 0.5)"),
    *("softmax(v, temperature=1e-320)", "softmax(v, temperature=0)", "softmax(v, temperature='a')"),
    *("s @ s", "v @ v @ v", "s // 0", "v % 0", "v == v", "~v", "not v", "v and v", "v < v < v"),
    *("v in v", "v is v", "-" * 1500 + "s", "(" * 300 + "s" + ")" * 300, "+".join(["s"] * 500)),
    *("a = s; a", "a = s; a = s; a", "s = 1; s", "s = s", "a, b = v; a", "a = b = s; a", "a += s"),
    *("v[0] = 1", "del v", "import os", "pass", "s\ts", "s\x00", "s\x1b[31m", "\u202es", "s\ud800"),
    *(
        "\ufeffs",
        "é * s",
        "\U0001d42c * 2",
        "s²",
        "s × s",
        "s\\\ns",
        "s;\\",
        "'''",
        "s # \x1b",
        "s)",
    ),
    *(
        "s.sum.sum",
        "s.sum(",
        "@s",
        "s@",
        "s..sum()",
        "s.5",
        "5.s",
        "s.é()",
        "np",
        "np.s",
        "mg.nn.relu",
    ),
    *("logsumexp(e)", "max(e)", "mean(e)", "e", "e.sum()", "std(v, ddof=5)", "var(s, ddof=1)"),
    *(
        "roll(v, v)",
        "round(v, 1000000000)",
        "round(v, v)",
        "s ** s ** s ** s",
        "0 ** -s",
        "log(-s)",
    ),
)


@pytest.fixture
def check(run, tmp_path):
    def check(text, values, command):
        status, out, err = run(*command, text, *values)
        told = f"{command} {text!r} {values}: {status} {err}"
        assert status in (0, 2), told
        if status == 2:
            assert out == "", told
            assert err.startswith("microgradx: error: "), told
            others = err.splitlines()[1:]
            # One line, or the expression with a caret, and then the reason.
            assert len(others) in (0, 3), told
            assert all(line.isprintable() for line in err.splitlines()), told
        left = [path.name for path in tmp_path.iterdir()]
        assert left == (["page.html"] if status == 0 and "-o" in command else []), told
        for path in tmp_path.iterdir():
            path.unlink()
        return status

    return check


COMMANDS = (
    ("explain",),
    ("draw",),
    ("draw", "--no-gradients"),
    ("explain", "-o", "page.html"),
)


def test_hostile_expressions(check):
    for i, text in enumerate(HOSTILE):
        used = [value for name, value in VALUES.items() if uses(text.split("#")[0], name)]
        check(text, used or [VALUES["s"]], COMMANDS[i % len(COMMANDS)])


def uses(text, name):
    """Whether a text has the name as a word of its own."""
    spaced = "".join(c if c.isalnum() or c == "_" else " " for c in text)
    return name in spaced.split()


@pytest.mark.slow
def test_every_function_with_arguments_that_may_not_fit(check):
    """Each call with each kind of value over all functions together."""
    calls = itertools.cycle(itertools.product(CALLS, VALUES))
    random = np.random.default_rng(0)
    done = 0
    for name in sorted(functions()):
        for call, value in itertools.islice(calls, 2):
            command = COMMANDS[random.integers(len(COMMANDS))]
            done += check(call.format(f=name, x=value), [VALUES[value]], command) == 0
    assert done > 40


def test_rules_that_cannot_differentiate_say_which_and_why(check, run):
    for text, reason in (
        ("sum(pinv(m))", "the backward of pinv of m (2, 2): the matrix has rank 1"),
        ("sum(eigh(o)[1])", "the backward of eigh of o (2, 2): eigenvalues 0 and 1 are equal"),
    ):
        value = VALUES[text[text.index("(") + 5 :].strip("()[1]")[-1]]
        status, out, err = run("explain", text, value)
        assert (status, out) == (2, "")
        assert f"there are no gradients here: {reason}" in err
        status, out, err = run("draw", text, value)
        assert (status, out) == (2, "")
        assert "; --no-gradients draws the values alone" in err
        assert run("draw", text, value, "--no-gradients")[0] == 0
