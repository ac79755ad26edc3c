"""Links from Markdown pages lead to files that are there; Sphinx looks at those in docs alone."""

import re

import pytest
from helpers.pages import CHECKOUT

PAGES = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("docs/*/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    lost = [
        link
        for link in links
        if not link.startswith("https://") and not (page.parent / link).exists()
    ]
    assert lost == []


def test_pages_are_found_and_have_links():
    names = {page.name for page in PAGES}
    assert {"README.md", "metrics.md", "add_a_model.md"} <= names
