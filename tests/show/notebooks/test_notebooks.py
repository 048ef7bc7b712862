"""Pages, drawings and reports in real notebooks: JupyterLab, the HTML of nbconvert, and marimo.

The reader's system is always of the other theme than the notebook, which must decide.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest

pytestmark = pytest.mark.notebook

nbformat = pytest.importorskip("nbformat", reason="`make notebooks` installs JupyterLab and marimo")
pytest.importorskip("jupyterlab")
TimeoutError = pytest.importorskip("playwright.sync_api").TimeoutError
pytest.importorskip("marimo")

PREPARE = """\
import numpy as np, microgradx as mg
x = mg.Tensor(np.linspace(-1, 1, 12).reshape(3, 4), requires_grad=True)
w = mg.Tensor(np.linspace(1, 2, 8).reshape(4, 2), requires_grad=True)
loss = (np.tanh(x @ w) ** 2).sum()
rules = {"forward": lambda self, x: x * x, "backward": lambda self, g, out, x: g * x}
wrong = type("Wrong", (mg.Op,), rules)()"""

#: A page is first seen at the top, and another one only after scrolling.
SHOWN = (
    "loss.explain()",
    *['print("a line\\n" * 30)'] * 4,
    "loss.explain()",
    "mg.draw_dot(loss)",
    "loss.draw()",
    "mg.gradcheck(wrong, np.ones((2, 3)), raise_exception=False)",
)

BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
OTHER = {"light": "dark", "dark": "light"}

#: Whether the page of an explanation is laid out: the graph is seen, and the arrays have cells.
LAID_OUT = """(background) => {
    if (getComputedStyle(document.body).backgroundColor !== background) return false;
    const graph = document.querySelector(".graph").getBoundingClientRect();
    const nodes = [...document.querySelectorAll(".graph .node.now")];
    const cells = [...document.querySelectorAll("#arrays .heat td")];
    return nodes.length > 1 && cells.length > 10
        && cells.every((cell) => cell.getBoundingClientRect().width >= 12)
        && nodes.every((node) => {
            const box = node.getBoundingClientRect();
            return graph.left <= box.left && box.right <= graph.right && box.width >= 20
                && graph.top <= box.top && box.bottom <= graph.bottom;
        });
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where the servers keep their settings; and two notebooks of the same cells."""
    home = tmp_path_factory.mktemp("home")
    cells = [nbformat.v4.new_code_cell(source) for source in (PREPARE, *SHOWN)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, home / "shown.ipynb")
    for theme in BACKGROUNDS:
        lines = [f"# /// script\n# [tool.marimo.display]\n# theme = {json.dumps(theme)}\n# ///"]
        lines.append("import marimo\napp = marimo.App()")
        for i, source in enumerate((PREPARE, *SHOWN)):
            names = "np, mg, loss, wrong"
            given, ending = ("", f"return {names}") if i == 0 else (names, "return")
            body = source.replace("\n", "\n    ")
            lines.append(f"@app.cell\ndef _({given}):\n    {body}\n    {ending}")
        (home / f"{theme}.py").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return home


def environment(home):
    return {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "NO_COLOR": "1"}


@contextmanager
def serving(home, *command):
    """A server, from when it has said its address, http://…, until it and its kernels are gone."""
    server = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=home,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said = []
        for line in server.stdout:
            said.append(line)
            found = re.search(r"http://(127\.0\.0\.1|localhost):\d+", line)
            if found:
                break
        else:
            pytest.fail("".join(said))
        rest = threading.Thread(target=server.stdout.read)  # or the server waits for a reader
        rest.start()
        yield found[0]
    finally:
        server.terminate()
        try:
            server.wait(10)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # its kernels
            if found:
                rest.join()
            server.stdout.close()


@pytest.fixture
def open_tab(chromium):
    """A function that opens an address for a reader whose system has a theme."""
    contexts, failed = [], []

    def open_tab(address, system):
        context = chromium.new_context(
            viewport={"width": 1280, "height": 900}, color_scheme=system, reduced_motion="reduce"
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        tab.on("pageerror", lambda error: failed.append(str(error)))
        tab.goto(address)
        return tab

    yield open_tab
    for context in contexts:
        context.close()
    assert failed == []


def check_pages(tab, theme):
    """Both explanations are laid out where they are seen, in the colours of the notebook."""
    for position in range(2):
        element = tab.locator("iframe.microgradx-page").nth(position)
        for _ in range(40):  # a notebook that is still rendering scrolls by itself
            element.scroll_into_view_if_needed()
            frame = element.element_handle().content_frame()
            with suppress(TimeoutError):
                frame.wait_for_function(LAID_OUT, arg=BACKGROUNDS[theme], timeout=2000)
                break
        else:
            seen = frame.evaluate(
                "[innerWidth, getComputedStyle(document.body).backgroundColor, "
                'document.querySelector(".graph > svg").getAttribute("viewBox")]'
            )
            pytest.fail(f"explanation {position} is not laid out, or not {theme}: {seen}")


def message_of_gradcheck():
    names = {"__name__": "__main__"}
    exec(PREPARE, names)
    return eval(SHOWN[-1], names).message


def check_others(tab, theme):
    drawing = tab.locator(".microgradx-drawing")
    drawing.scroll_into_view_if_needed()
    assert drawing.evaluate("drawing => getComputedStyle(drawing).colorScheme") == theme
    assert drawing.locator(".node").count() == 11
    report = tab.locator("pre", has_text="the gradient does not agree")
    report.first.scroll_into_view_if_needed()
    assert "monospace" in report.first.evaluate("pre => getComputedStyle(pre).fontFamily")
    assert report.first.inner_text() == message_of_gradcheck()


# ---------------------------------------------------------------------------- JupyterLab


@pytest.fixture(scope="module")
def lab(home):
    token = secrets.token_hex()
    options = ["--no-browser", "--allow-root", "--port=0", f"--IdentityProvider.token={token}"]
    with serving(home, "jupyterlab", *options) as address:
        yield f"{address}/lab/tree/shown.ipynb?token={token}&reset"


def test_in_jupyterlab(lab, open_tab):
    tab = open_tab(lab, "dark")
    tab.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    tab.get_by_role("menuitem", name="Run", exact=True).click()
    tab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    tab.locator("pre", has_text="the gradient does not agree").wait_for(state="attached")
    check_pages(tab, "light")
    check_others(tab, "light")
    assert tab.locator(".jp-RenderedSVG img, .jp-RenderedSVG svg").count() == 1  # draw_dot

    tab.keyboard.press("Escape")
    tab.keyboard.press("Control+s")
    tab.get_by_text("Saving completed").wait_for()
    tab = open_tab(lab, "light")  # what it shows comes from the file
    check_pages(tab, "light")
    tab.get_by_role("menuitem", name="Settings", exact=True).click()
    tab.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).hover()
    tab.locator(".lm-Menu-itemLabel", has_text=re.compile("^JupyterLab Dark$")).click()
    tab.locator('[data-jp-theme-light="false"]').wait_for(state="attached")
    check_pages(tab, "dark")
    check_others(tab, "dark")
    tab = open_tab(lab, "light")
    check_pages(tab, "dark")


# ---------------------------------------------------------------------------- nbconvert


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_in_the_html_of_nbconvert(home, open_tab, theme):
    options = ["--to=html", "--execute", f"--theme={theme}", f"--output=shown-{theme}.html"]
    subprocess.run(
        [sys.executable, "-m", "nbconvert", *options, "shown.ipynb"],
        cwd=home,
        env=environment(home),
        check=True,
        capture_output=True,
    )
    tab = open_tab((home / f"shown-{theme}.html").as_uri(), OTHER[theme])
    check_pages(tab, theme)
    check_others(tab, theme)


# ---------------------------------------------------------------------------- marimo


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_in_marimo(home, open_tab, theme):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_hex()
    options = ["--headless", f"--port={port}", "--host=127.0.0.1", f"--token-password={token}"]
    with serving(home, "marimo", "run", *options, f"{theme}.py") as address:
        tab = open_tab(f"{address}/?access_token={token}", OTHER[theme])
        check_pages(tab, theme)
        check_others(tab, theme)
