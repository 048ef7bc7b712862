"""Pages in a real browser: Chromium, without a window, driven by Playwright."""

import os
import shutil

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def chromium():
    """A browser. Without one the tests are skipped, but not in CI.

    Not for the whole session: while Playwright runs, asyncio cannot, which other tests use.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        reason = "pages are tested in Chromium, which is not installed (Debian: chromium)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as driver:
        # In a container the user is often root, for whom Chromium has no sandbox.
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, tmp_path):
    """A function that opens a page's text, or its file, as a browser's user would.

    At the end it is checked that nothing was fetched but the file itself, and that no script
    failed.
    """
    contexts, fetched, failed = [], [], []

    def open_page(page, fragment="", *, width=1280, height=800, scripts=True, **settings):
        path = page
        if not isinstance(page, os.PathLike):
            path = tmp_path / f"page{len(contexts)}.html"
            path.write_text(page, encoding="utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": height}, java_script_enabled=scripts, **settings
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.on("request", lambda request: fetched.append(request.url))
        tab.on("pageerror", lambda error: failed.append(str(error)))
        tab.on("console", lambda said: said.type == "error" and failed.append(said.text))
        tab.goto(f"{path.as_uri()}{fragment}")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    others = [url for url in fetched if not url.startswith(("file:", "data:", "about:srcdoc"))]
    assert others == []
    assert failed == []
