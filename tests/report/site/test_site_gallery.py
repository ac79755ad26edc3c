"""The gallery in a real browser: all images by pages, in any order, with outlines and contrast."""

import re

import pytest
from helpers.browser import browser as browser
from helpers.browser import needs_chromium, settles
from helpers.browser import open_page as open_page
from helpers.runs import drawn
from helpers.sites import PAPER, do_job
from playwright.sync_api import expect

from benchmark.report.assemble import assemble
from benchmark.report.results import load_results
from benchmark.report.write import write_study

pytestmark = needs_chromium

COUNT, PAGE = 52, 48


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two methods on more images than a page has."""
    root = tmp_path_factory.mktemp("many")
    data = drawn(per_style=COUNT // 2, size=64) | {"redistribute": "yes"}
    do_job(root, "otsu", "models.otsu.OtsuWatershed", data)
    do_job(root, "smooth", "models.otsu.OtsuWatershed", data, sigma=4.0)
    return load_results(root / "results" / "runs", PAPER)


@pytest.fixture(scope="module")
def site(runs):
    """Where the command line writes it, so that links lead to the runs."""
    report = runs[0].path.parent.parent / "reports" / "paper"
    return write_study(assemble(runs), report, html=True, private=None) / "site"


def ids(page):
    return page.locator("#gallery .id").all_inner_texts()


def run_of(runs, model):
    return next(result for result in runs if result.model.startswith(model))


def test_all_images_are_there_page_by_page(open_page, runs):
    page = open_page("data/drawn.html")
    assert len(ids(page)) == 12 and not page.locator("#g-pages").is_visible()
    page.select_option("#g-order", "name")
    first = ids(page)
    assert len(first) == PAGE and page.locator("#g-back").is_disabled()
    page.locator("#g-on").click()
    second = ids(page)
    assert page.locator("#g-place").inner_text() == f"page 2 of 2, {COUNT} images"
    assert [*first, *second] == sorted(runs[0].scores.index) and len(second) == COUNT - PAGE
    page.locator("#gallery button").last.click()
    assert page.locator("#v-place").inner_text() == f"{COUNT} of {COUNT}"
    for _ in range(COUNT - PAGE):  # back onto the page before
        page.keyboard.press("ArrowLeft")
    assert page.locator("#v-title").inner_text() == first[-1]
    page.keyboard.press("Escape")
    expect(page.locator("#g-place")).to_have_text(f"page 1 of 2, {COUNT} images", timeout=60_000)
    expect(page.locator("#gallery button").last).to_be_focused(timeout=60_000)
    assert ids(page) == first


def test_images_are_loaded_as_they_come_near(open_page):
    page = open_page("data/drawn.html", width=390)
    page.select_option("#g-order", "name")
    images = page.locator("#gallery img")
    assert {image.get_attribute("loading") for image in images.all()} == {"lazy"}
    assert all("/thumbs/" in image.get_attribute("src") for image in images.all())
    drawn_there = "b => b.map((e) => e.querySelectorAll('path').length)"
    images.first.scroll_into_view_if_needed()
    page.wait_for_selector("#gallery button path", state="attached")
    counts = page.locator("#gallery button").evaluate_all(drawn_there)
    assert counts[0] == 2 and counts[-1] == 0, "outlines of images far below are not loaded"


def test_orders(open_page, runs):
    page = open_page("data/drawn.html")
    for model in ("otsu", "smooth"):
        scores = run_of(runs, model).scores
        page.select_option("#g-order", "score")
        page.select_option("#g-method", label=run_of(runs, model).method)
        lowest = scores["msa"].round(4).sort_values().to_numpy()[:PAGE]
        assert list(scores["msa"].round(4).loc[ids(page)]) == list(lowest)
        page.select_option("#g-order", "missed")
        counts = [int(text.split()[0]) for text in page.locator("#gallery .why").all_inner_texts()]
        assert counts == sorted(counts, reverse=True) and counts[0] > 0
    page.select_option("#g-order", "differ")
    a, b = (result.scores["msa"] for result in runs)
    assert (a - b).abs().round(3)[ids(page)[0]] == (a - b).abs().round(3).max()
    assert not page.locator("#g-method").is_visible()


def test_outlines_of_truth_and_of_each_method_on_thumbnails(open_page):
    page = open_page("data/drawn.html")
    shown = page.locator("#gallery button").first

    def layers():
        return {path.get_attribute("class") for path in shown.locator("path").all()}

    shown.scroll_into_view_if_needed()
    page.wait_for_selector("#gallery button path", state="attached")
    settles(layers, {"over true", "over m0"})
    page.locator("[data-layer='1']").check()
    settles(layers, {"over true", "over m0", "over m1"})
    page.locator("[data-layer='true']").uncheck()
    page.locator("[data-layer='0']").uncheck()
    settles(layers, {"over m1"})
    colour = "getComputedStyle(document.querySelector('#gallery path')).stroke"
    in_gallery = page.evaluate(colour)
    shown.click()
    page.wait_for_selector("#v-svg .layer-a path")
    page.check("#v-b")  # a method has one colour in both places
    stroke = "getComputedStyle(document.querySelector('#v-svg .over.b')).stroke"
    assert page.evaluate(stroke) == in_gallery


def test_contrast_and_gamma(open_page):
    page = open_page("data/drawn.html")
    filtered = "getComputedStyle(document.querySelector('#gallery img')).filter"
    assert page.evaluate(filtered) == "none"

    def brightness():
        shot = page.locator("#gallery .frame").first.screenshot()
        return page.evaluate(
            """async (bytes) => {
                const blob = new Blob([new Uint8Array(bytes)]), map = await createImageBitmap(blob);
                const canvas = new OffscreenCanvas(map.width, map.height).getContext('2d');
                canvas.drawImage(map, 0, 0);
                const { data } = canvas.getImageData(0, 0, map.width, map.height);
                return data.reduce((sum, v) => sum + v, 0) / data.length;
            }""",
            list(shot),
        )

    for layer in ("true", "0"):
        page.locator(f"[data-layer='{layer}']").uncheck()
    page.locator("#gallery .frame").first.scroll_into_view_if_needed()
    of_first = "(({ complete, naturalWidth }) => complete && naturalWidth > 0)"
    settles(lambda: page.evaluate(f"{of_first}(document.querySelector('#gallery img'))"), True)
    as_is = brightness()
    bar = page.locator("#g-bar")
    bar.locator("[data-adjust='gamma']").fill("0.4")
    assert "adjusted" in page.evaluate(filtered) and brightness() > as_is + 5
    assert page.locator("#viewer [data-adjust='gamma']").input_value() == "0.4"
    bar.locator("[data-adjust='reset']").click()
    assert brightness() == pytest.approx(as_is, abs=1)
    bar.locator("[data-adjust='white']").fill("60")
    assert brightness() > as_is + 5
    bar.locator("[data-adjust='black']").fill("200")  # above white: still no negative scale
    slope = page.locator("#f-range feFuncR").get_attribute("slope")
    assert float(slope) == 255


def test_the_viewer_leads_to_run_and_prediction(open_page, site, runs):
    page = open_page("data/drawn.html")
    page.locator("#gallery button").first.click()
    name = page.locator("#v-title").inner_text()
    row = page.locator("#v-numbers tr", has_text="smooth")
    link = row.get_by_role("link", name="TIFF").get_attribute("href")
    stored = run_of(runs, "smooth").path / "predictions" / f"{name}.tif"
    assert not link.startswith("/") and (site / "data" / link).resolve() == stored
    row.get_by_role("link", name="smooth").click()
    expect(page.locator("h1")).to_have_text(re.compile("^smooth"), timeout=30_000)


def test_a_dot_of_any_image_opens_it(open_page):
    page = open_page("data/drawn.html")
    page.wait_for_selector("#distributions .points path")
    small = page.evaluate(
        """() => {
            const dots = document.getElementById('distributions').data[1];
            const at = dots.marker.size.findIndex((size) => size === 5);
            document.dispatchEvent(new CustomEvent('openpicture',
                { detail: report.value.shown.indexOf(dots.customdata[at]) }));
            return dots.text[at];
        }"""
    )
    assert page.locator("#v-title").inner_text() == small
    assert page.locator("#v-place").inner_text().endswith(f"of {COUNT}")


@pytest.mark.parametrize("name", ["data/drawn.html", "report.html"])
def test_every_figure_lies_on_a_card_in_the_dark_scheme(open_page, name):
    dimmed = "[...document.querySelectorAll('.drawn img')].map((i) => getComputedStyle(i).filter)"
    light, dark = (open_page(name, scheme=scheme).evaluate(dimmed) for scheme in ("light", "dark"))
    assert light and set(light) == {"none"}
    assert len(dark) == len(light) and all(re.fullmatch(r"brightness\(.*\)", f) for f in dark)
    page = open_page(name, scheme="dark")
    page.locator("#theme").click()  # from auto to light
    assert set(page.evaluate(dimmed)) == {"none"}
    others = page.locator("main img").evaluate_all(
        "found => found.filter((i) => !i.closest('.drawn, .gallery, .v-canvas')).length"
    )
    assert others == 0, "every other picture of a page is a figure, and so on a card"
