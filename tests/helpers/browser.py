"""A real browser, and pages in which nothing may go wrong."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def open_page(browser, site):
    """Opens a page of the site; at the end nothing may have gone wrong or left the folder."""
    troubles, contexts = [], []
    home = site.as_uri() + "/"

    def note_request(request):
        if not request.url.startswith((home, "data:", "blob:")):
            troubles.append(f"request: {request.url}")

    def opened(name, width=1280, scheme="light"):
        contexts.append(
            browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        )
        page = contexts[-1].new_page()
        page.on("console", lambda said: troubles.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
        page.on("request", note_request)
        page.on("dialog", lambda dialog: (troubles.append("alert"), dialog.dismiss()))
        page.goto(home + name)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not troubles
