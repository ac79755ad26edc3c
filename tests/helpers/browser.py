"""A real browser, and pages in which nothing may go wrong."""

import shutil
import time

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here (apt-get install chromium)"
)


def settles(read, wanted, within=30.0):
    """Asserts that what `read()` gives becomes `wanted`.

    For all that a page does after the event that asked for it has returned: images and outlines
    load, another page opens. Moments to sleep through are too short on some machine.
    """
    end = time.monotonic() + within
    while read() != wanted and time.monotonic() < end:
        time.sleep(0.05)
    assert read() == wanted


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

    def note_failure(request):
        # An image that another one replaced before it came is no trouble.
        if request.failure != "net::ERR_ABORTED":
            troubles.append(f"failed: {request.url}: {request.failure}")

    def opened(name, width=1280, scheme="light"):
        contexts.append(
            browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        )
        page = contexts[-1].new_page()
        page.on("console", lambda said: troubles.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("requestfailed", note_failure)
        page.on("request", note_request)
        page.on("dialog", lambda dialog: (troubles.append("alert"), dialog.dismiss()))
        page.goto(home + name)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not troubles
