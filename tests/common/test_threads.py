"""Threads: how many, what they inherit, and what reaches the caller."""

import contextlib
import gc
import os
import re
import subprocess
import sys
import threading
import time
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest

import microgradx as mg
from microgradx.common import threads
from microgradx.common.threads import map_blocks


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """The number of threads is as before after each test; two, until the test sets it."""
    monkeypatch.setattr(threads, "_num_threads", 2)


def on_both(function):
    """Of two blocks, one on the caller's thread and one on another: they wait for each other."""
    together = threading.Barrier(2, timeout=20)

    def block(i):
        together.wait()
        return function(i), threading.get_ident()

    results = map_blocks(block, range(2))
    assert len({ident for _, ident in results}) == 2
    return [result for result, _ in results]


# ---------------------------------------------------------------------------- how many


def test_the_number_of_threads_is_what_was_set():
    for n in (3, np.int64(1)):
        mg.set_num_threads(n)
        assert mg.get_num_threads() == n
        assert type(mg.get_num_threads()) is int


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "must be 1 or more, not 0"),
        (-1, ValueError, "must be 1 or more, not -1"),
        (2.0, TypeError, "must be an integer from 1 up, not 2.0"),
        (True, TypeError, "must be an integer from 1 up, not True"),
        ("2", TypeError, "must be an integer from 1 up, not '2'"),
    ],
)
def test_numbers_of_threads_that_cannot_be_are_refused(n, error, message):
    with pytest.raises(error, match=message):
        mg.set_num_threads(n)
    assert mg.get_num_threads() == 2


@pytest.mark.parametrize(("value", "n"), [("3", 3), (" 1 ", 1), ("", None), (None, None)])
def test_the_environment_says_how_many_unless_set(monkeypatch, value, n):
    if value is None:
        monkeypatch.delenv("MICROGRADX_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("MICROGRADX_NUM_THREADS", value)
    monkeypatch.setattr(threads, "_num_threads", None)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert mg.get_num_threads() == (n or usable)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_an_environment_variable_that_is_no_number_is_refused(monkeypatch, value):
    monkeypatch.setenv("MICROGRADX_NUM_THREADS", value)
    monkeypatch.setattr(threads, "_num_threads", None)
    with pytest.raises(ValueError, match=f"MICROGRADX_NUM_THREADS must be .*, not '{value}'"):
        mg.get_num_threads()


# ---------------------------------------------------------------------------- results


@pytest.mark.parametrize("n", [1, 2, 3, 100])
@pytest.mark.parametrize("blocks", [0, 1, 2, 57])
def test_results_are_in_the_order_of_the_blocks(n, blocks):
    mg.set_num_threads(n)
    seen = []
    assert map_blocks(lambda i: seen.append(i) or i * i, range(blocks)) == [
        i * i for i in range(blocks)
    ]
    assert sorted(seen) == list(range(blocks))


def test_the_callers_thread_is_one_of_them_and_one_thread_is_the_callers():
    idents = on_both(lambda i: threading.get_ident())
    assert threading.get_ident() in idents
    mg.set_num_threads(1)
    assert set(map_blocks(lambda i: threading.get_ident(), range(5))) == {threading.get_ident()}


def test_blocks_within_blocks_wait_for_no_thread_that_waits_for_them(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        monkeypatch.setattr(threads, "_executor", lambda: executor)
        inner = on_both(lambda i: sum(map_blocks(lambda j: i + j, range(3))))
    assert inner == [3, 6]


def test_where_no_thread_can_be_started_the_caller_does_it_all(monkeypatch):
    def refuse():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_executor", refuse)
    assert map_blocks(lambda i: -i, range(3)) == [0, -1, -2]


# ---------------------------------------------------------------------------- what they inherit


def test_threads_inherit_the_error_state():
    with np.errstate(over="raise", divide="ignore"):
        states = on_both(lambda i: np.geterr())
    assert [state["over"] for state in states] == ["raise"] * 2
    assert [state["divide"] for state in states] == ["ignore"] * 2
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        on_both(lambda i: np.exp(np.full(3, 1e4)))


def test_threads_inherit_whether_gradients_are_recorded():
    with mg.no_grad():
        assert on_both(lambda i: mg.is_grad_enabled()) == [False, False]
    assert on_both(lambda i: mg.is_grad_enabled()) == [True, True]


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_error_of_the_first_block_that_failed_reaches_the_caller(n):
    mg.set_num_threads(n)

    def block(i):
        if i >= 5:
            raise ValueError(f"block {i}")

    for _ in range(20):
        with pytest.raises(ValueError, match="block 5"):
            map_blocks(block, range(50))


def test_of_two_errors_the_first_blocks_reaches_the_caller_whichever_came_first():
    for slow in (0, 1):

        def block(i, slow=slow):
            time.sleep(0.05 * (i == slow))
            raise ValueError(f"block {i}")

        with pytest.raises(ValueError, match="block 0"):
            on_both(block)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, IndexError])
def test_an_error_on_either_thread_ends_all_once_what_was_begun_is_finished(error):
    for failing in ("the caller's", "the other"):
        caller, both = threading.get_ident(), threading.Barrier(2, timeout=20)
        begun, finished = [], []

        def block(i, caller=caller, both=both, begun=begun, finished=finished, failing=failing):
            begun.append(i)
            if i < 2:
                both.wait()
            if (threading.get_ident() == caller) == (failing == "the caller's"):
                raise error("stop")
            time.sleep(0.001)  # so that the others are not all done before the error is seen
            finished.append(i)

        with pytest.raises(error, match="stop"):
            map_blocks(block, range(1000))
        assert set(begun[:2]) == {0, 1}
        assert len(begun) == len(finished) + 1
        assert len(begun) < 1000
        size = len(begun)
        on_both(lambda i: None)  # threads are as usable as before, and nothing goes on behind
        assert len(begun) == size


def test_a_warning_that_is_an_error_reaches_the_caller():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="overflow"):
            on_both(lambda i: np.exp(np.full(3, 1e4)))


@pytest.mark.parametrize("n", [1, 2])
def test_an_error_does_not_hold_itself(n):
    mg.set_num_threads(n)
    alive = []

    class Refused(Exception):
        def __init__(self):
            alive.append(weakref.ref(self))

    def block(i):
        raise Refused

    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(Refused):
            map_blocks(block, range(4))
        assert alive
        assert all(error() is None for error in alive)
    finally:
        gc.enable()


# ---------------------------------------------------------------------------- processes


def run(program):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


STEP = """
X, y = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])
model = mg.nn.Linear(2, 2)
step = mg.compile(model, mg.cross_entropy, mg.optim.SGD(model.parameters(), 0.1))
"""

SETUP = """
import os, threading
from microgradx.common import threads
threads.set_num_threads(2)
def used():
    both = threading.Barrier(2, timeout=20)
    return threads.map_blocks(lambda i: both.wait() >= 0 and i, range(2))
assert used() == [0, 1]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_threads_of_its_own():
    program = """
child = os.fork()
if child == 0:
    os._exit(0 if used() == [0, 1] else 1)
print(os.waitpid(child, 0)[1])
"""
    result = run(SETUP + program)
    assert (result.stdout, result.stderr) == ("0\n", "")


# What another thread may be doing at the fork, and what the child then does.
HELD = {
    "backward": (
        "from microgradx.graph.accumulation import _accumulating as lock",
        "x = mg.Tensor([1.0], requires_grad=True); x.sum().backward(); x.sum().backward()",
    ),
    "a random draw": (
        "lock = randomness.default_generator().bit_generator.lock",
        "randomness.default_generator().random(); mg.nn.Dropout(0.5)(np.ones(3))",
    ),
    "a compiled step": (STEP + "lock = step._lock", "step(X, y)"),
    "another step's first call": (
        STEP + "from microgradx.compiler.trace_step import _tracing as lock",
        "step(X, y)",
    ),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("activity", HELD)
def test_a_forked_process_waits_for_no_thread_of_its_parent(activity):
    setup, work = HELD[activity]
    program = f"""
import os, signal, threading
import numpy as np
import microgradx as mg
from microgradx.common import randomness
{setup}
holder = threading.Thread(target=lock.acquire)
holder.start()
holder.join()
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends a child that waits for ever
    {work}
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    result = run(program)
    assert (result.stdout, result.stderr) == ("0\n", "")


def test_every_lock_is_free_in_a_forked_process():
    """There are no others than those of `make_lock`, in any file of the package."""
    package = Path(threads.__file__).parents[1]
    own = re.compile(r"\b(R?Lock|Condition|Semaphore|BoundedSemaphore|Queue|Barrier)\(")
    found = [
        (file.name, line.strip())
        for file in package.rglob("*.py")
        for line in file.read_text().splitlines()
        if own.search(line)
    ]
    assert found == [("threads.py", "lock = Lock()")]


def test_threads_do_not_keep_python_from_exiting_and_what_runs_at_exit_may_use_them():
    at_exit = "import atexit\natexit.register(lambda: print(threads.map_blocks(abs, range(2))))"
    result = run(SETUP + at_exit)
    assert (result.stdout, result.stderr, result.returncode) == ("[0, 1]\n", "", 0)


def test_threads_are_loaded_only_when_needed():
    program = "import sys, microgradx\nprint('concurrent.futures.thread' in sys.modules)"
    assert run(program).stdout == "False\n"
