"""The leaderboard's matrix: numbers over different images are never set against each other."""

import numpy as np
import pytest
from helpers.browser import browser as browser
from helpers.browser import needs_chromium
from helpers.browser import open_page as open_page
from helpers.figures import cell

from benchmark.report.frame import frame_of_rows as checked
from benchmark.report.site import write_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    rows = [
        cell("a", score=0.3, images_id="1"),
        cell("b", score=0.2, images_id="1"),
        cell("c", score=0.4, images_id="2", split="val"),
        cell(
            "d",
            score=np.nan,
            images_id="",
            status="skipped",
            reason="no token",
            split="",
            run_id="",
        ),
        cell("e", score=0.9, source="published", images_id="", run_id=""),
        cell("a", "other", score=0.6, images_id="3"),
        cell("b", "other", score=0.7, images_id="4"),
        cell("a", "truths", score=0.8, images_id="5", truth="0a", protocol="paper"),
        cell("a", "truths", score=0.5, images_id="5", truth="0b", protocol="clean"),
    ]
    return write_site(checked(rows), [], tmp_path_factory.mktemp("m") / "s", private=False).parent


def rows_of(page):
    return {
        row.locator("th").inner_text(): row
        for row in page.locator("#matrix tbody tr:not(.group)").all()
    }


@needs_chromium
def test_a_row_is_one_set_of_images_and_best_within_it(open_page):
    page = open_page("index.html")
    rows = rows_of(page)
    of_truths = ["truths, labels 0a", "truths, labels 0b"]
    assert list(rows) == ["d", "d, val", "other #3", "other #4", *of_truths]
    assert rows["d"].locator("b").all_inner_texts() == ["0.300"]
    assert rows["d"].locator("u").all_inner_texts() == ["0.200"]
    assert "0.900" in rows["d"].inner_text(), "a published number stands with its split"
    for name in ("d, val", "other #3", "other #4", *of_truths):
        assert rows[name].locator("b, u").count() == 0, name


@needs_chromium
def test_what_is_counted_has_a_number(open_page):
    page = open_page("index.html")
    assert "of 4 methods on 3 data sets" in page.locator(".lead").inner_text()
    of_a = page.locator("#ranking .ranking", has_text="Own runs").locator("tr", has_text="a").last
    assert "3 of 3" in page.locator("#ranking").inner_text() and of_a.count() == 1
