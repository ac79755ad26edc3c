"""The site, opened in a real browser from its files: it sorts, filters, shows and does no harm."""

import re

import pytest
from helpers.browser import browser as browser
from helpers.browser import needs_chromium, settles
from helpers.browser import open_page as open_page
from helpers.sites import CLOSING, HOSTILE
from playwright.sync_api import expect

pytestmark = pytest.mark.alone


def column(page, at):
    return page.eval_on_selector_all(
        "#results tbody tr:not([hidden])", f"rows => rows.map(r => r.cells[{at}].dataset.v)"
    )


@needs_chromium
def test_the_table_sorts_and_missing_numbers_come_last(open_page, cells):
    page = open_page("index.html")
    head = page.locator("#results thead th", has_text="mSA")
    head.locator("button").click()
    shown = column(page, 3)
    numbers = [float(value) for value in shown if value]
    assert numbers == sorted(cells["score"].dropna(), reverse=True)
    missing = int(cells["score"].isna().sum())
    assert missing >= 19
    assert shown[-missing:] == [""] * missing
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").press("Enter")  # by keyboard, the other way round
    shown = column(page, 3)
    assert [float(value) for value in shown if value] == sorted(numbers)
    assert shown[-missing:] == [""] * missing
    page.locator("#results thead button", has_text="Method").click()
    names = column(page, 0)
    assert names[0] == CLOSING
    assert names.index("AIS") < names.index("CellSAM") < names.index("SAM")


@needs_chromium
def test_filters_leave_what_they_say(open_page, cells):
    page = open_page("index.html")
    assert len(column(page, 0)) == len(cells)
    page.select_option("[name=modality]", "histopathology")
    assert len(column(page, 0)) == (cells["modality"] == "histopathology").sum()
    page.select_option("[name=domain]", "in")
    both = (cells["modality"] == "histopathology") & (cells["in_domain"] == True)  # noqa: E712
    assert len(column(page, 0)) == both.sum() > 0
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#count")).to_have_text(re.compile(rf"^\s*{len(cells)} "))
    page.select_option("[name=source]", "runs")
    assert len(column(page, 0)) == (cells["source"] == "runs").sum()
    page.uncheck("[name=controls]")
    page.uncheck("[name=partial]")
    assert len(column(page, 0)) == (cells["source"] == "runs").sum() - 3
    page.fill("[name=text]", "no such method")
    assert column(page, 0) == []
    assert page.locator("#none").is_visible()


def ranking_of(page, place=0):
    rows = page.locator("#ranking .ranking").nth(place).locator("tbody tr")
    return {
        row.locator("th .name").inner_text(): [
            cell.strip() for cell in row.locator("td").all_inner_texts()
        ][1:]
        for row in rows.all()
    }


@needs_chromium
def test_ranking_is_over_data_sets_that_all_methods_have(open_page, cells):
    page = open_page("index.html")
    numbers = cells[cells["source"] == "published"].pivot(
        index="data", columns="method", values="score"
    )
    numbers = numbers.dropna(axis=1, how="all")

    def expected(table):
        common = table.dropna()
        ranks = common.rank(axis=1, ascending=False).mean()
        found = {m: (ranks[m], common[m].mean()) for m in common}
        return {m: pytest.approx(pair, abs=0.0051) for m, pair in found.items()}

    def shown():
        rows = {name: row[:2] for name, row in ranking_of(page).items() if row[1][-1].isdigit()}
        return {name: (float(rank), float(mean)) for name, (rank, mean) in rows.items()}

    assert shown() == expected(numbers)
    assert "SAM2" not in shown()  # it has no number: not reported, never 0
    assert ranking_of(page)["CellPoseSAM"][2] == "36 of 36"
    for name in ("APG, boundary distance", "APG, boundary distance, grid search"):
        page.get_by_label(f"rank {name}", exact=True).uncheck()
    fewer = numbers.drop(columns=[name for name in numbers if "boundary" in name])
    assert shown() == expected(fewer)
    # Among the runs neither controls nor partial ones take part.
    assert set(ranking_of(page, 1)) == {"otsu", HOSTILE, CLOSING}
    assert ranking_of(page, 1)["otsu"][2] == "2 of 4"


@needs_chromium
def test_matrix_marks_the_best_and_leads_to_the_run(open_page, cells):
    page = open_page("index.html")
    row = page.locator("#matrix tbody tr", has_text="LIVECell")
    of_data = cells[cells["data"] == "livecell"]
    best = of_data["score"].max()
    assert row.locator("b").all_inner_texts() == [f"{best:.3f}"] * int(
        (of_data["score"] == best).sum()
    )
    second = of_data["score"][of_data["score"] < best].max()
    assert set(row.locator("u").all_inner_texts()) == {f"{second:.3f}"}
    page.locator("#matrix tbody tr", has_text="Drawn cells").locator("b a").click()
    expect(page.locator("h1")).to_have_text(re.compile("^otsu"), timeout=30_000)
    assert "python -m benchmark model=otsu" in page.locator(".command").inner_text()


@needs_chromium
def test_viewer_by_mouse_and_keyboard(open_page, results):
    page = open_page("data/drawn.html")
    buttons = page.locator("#gallery button")
    assert buttons.count() == 12
    buttons.first.focus()
    page.keyboard.press("Enter")
    title = page.locator("#v-title")
    first = title.inner_text()
    assert first == results_worst(results)
    page.wait_for_selector("#v-svg .layer-true path")
    drawn_paths = "() => document.querySelectorAll('#v-svg path.over').length"
    assert page.evaluate(drawn_paths) == 2  # the truth, and the first method
    page.uncheck("#v-true")
    assert page.locator("#v-svg .layer-true").count() == 0
    page.keyboard.press("t")
    assert page.locator("#v-svg .layer-true").count() == 1
    page.keyboard.press("a")
    assert page.locator("#v-svg .layer-a").count() == 0
    page.keyboard.press("a")
    page.keyboard.press("b")
    assert page.locator("#v-svg .layer-b").count() == 1
    page.select_option("#v-b-method", label="oracle")
    page.locator("#v-stage").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#v-svg .layer-true path")
    assert title.inner_text() != first
    assert page.locator("#v-place").inner_text() == "2 of 12"
    page.locator("#v-back").click()
    assert title.inner_text() == first
    page.keyboard.press("ArrowLeft")
    assert page.locator("#v-place").inner_text() == "12 of 12"
    width_of_image = "document.getElementById('v-image').naturalWidth"
    settles(lambda: page.evaluate(width_of_image), 96)
    width = page.locator("#v-canvas").bounding_box()["width"]
    page.keyboard.press("+")
    assert page.locator("#v-canvas").bounding_box()["width"] == pytest.approx(1.5 * width, abs=1)
    page.get_by_label("errors of the first method").click()
    page.keyboard.press("Shift+T")  # as the page shows the key, and from the radio buttons too
    assert page.locator("#v-svg .layer-true").count() == 0
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    # The dialog tells that it closed a moment later, and only then moves the focus.
    expect(buttons.nth(11)).to_be_focused(timeout=10_000)


def results_worst(results):
    mean = sum(r.scores["msa"] for r in results if not r.control) / 2
    return mean.sort_values(kind="stable").index[0]


@needs_chromium
def test_errors_are_coloured_by_what_became_of_each_object(open_page, results):
    page = open_page("data/drawn.html")
    page.locator("#gallery button").first.click()
    page.select_option("#v-a-method", label="otsu")
    page.get_by_label("errors of the first method").check()
    page.wait_for_selector("#v-legend li")
    page.wait_for_selector("#v-svg .layer-a path")
    told = dict(
        re.findall(r"(\w+) (\d+ true|\d+ predicted)", page.locator("#v-legend").inner_text())
    )
    otsu = next(result for result in results if result.model == "otsu")
    row = otsu.scores.loc[page.locator("#v-title").inner_text()]
    assert told["split"] == f"{row['split']:.0f} true"
    shown = page.locator("#v-svg path.over").evaluate_all(
        "p => p.map(e => e.getAttribute('class'))"
    )
    assert any("kind-matched of-a" in name for name in shown) == (row["matched"] > 0)
    assert any("kind-missed of-true" in name for name in shown) == (told["missed"] != "0 true")


@needs_chromium
def test_dots_of_the_distribution_lead_to_pictures(open_page):
    page = open_page("data/drawn.html")
    page.wait_for_selector("#distributions .points path")
    assert page.locator("#distributions g.boxlayer g.trace, #distributions path.box").count() >= 4
    dots = page.evaluate(
        "document.getElementById('distributions').data"
        ".filter((trace) => trace.type === 'scatter').map((trace) => trace.x.length)"
    )
    assert dots == [16, 16, 16, 16]
    boxes = page.evaluate(
        "document.getElementById('distributions').calcdata"
        ".filter(([box]) => box.trace.type === 'box').map(([box]) => [box.q1, box.med, box.q3])"
    )
    page.locator("summary", has_text="The same in numbers").click()
    told = page.locator("details table tbody tr")
    for box, row in zip(boxes, told.all(), strict=True):
        numbers = [float(text) for text in row.locator("td").all_inner_texts()[3:6]]
        assert box == pytest.approx(numbers, abs=6e-4)  # the page has its scores to four digits
    place = page.evaluate(
        """() => {
            const plot = document.getElementById('distributions'), dots = plot.data[1];
            const at = dots.marker.size.findIndex((size) => size > 5), { _size, xaxis, yaxis } =
                plot._fullLayout, box = plot.getBoundingClientRect();
            return [box.left + _size.l + xaxis.l2p(dots.x[at]),
                    box.top + _size.t + yaxis.l2p(dots.y[at])];
        }"""
    )
    page.mouse.click(*place)
    expect(page.locator("#viewer")).to_be_visible(timeout=30_000)


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_system_and_the_button(open_page, scheme):
    page = open_page("index.html", scheme=scheme)

    def brightness():
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) > 380

    assert brightness() == (scheme == "light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    button = page.locator("#theme")
    seen = [brightness()]
    for _ in range(3):
        button.press("Enter")
        seen.append(brightness())
    assert seen[1:] == [True, False, scheme == "light"]
    button.press("Enter")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert button.get_attribute("aria-label") == "Colours: light"


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_every_page_fits_its_width_and_says_nothing_on_the_console(open_page, site, width):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    some = [p for p in pages if p.parent.name != "data"] + [
        p for p in pages if p.parent.name == "data" and (site / "images" / p.stem).exists()
    ] + sorted(site.glob("data/*.html"))[:3]  # fmt: skip
    for path in some:
        page = open_page(path.relative_to(site).as_posix(), width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(
            "[...document.images].every((image) => image.alt !== null && (image.alt || image.id))"
        )
        page.close()


@needs_chromium
def test_focus_is_seen(open_page):
    page = open_page("index.html")
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")


@needs_chromium
@pytest.mark.parametrize("name", [HOSTILE, CLOSING])
def test_hostile_names_are_shown_as_they_are(open_page, site, every, name):
    page = open_page("index.html")
    link = page.locator("#results a", has_text=name).first
    assert link.inner_text() == name
    assert page.locator("img").count() == 0
    page.locator("#matrix a", has_text=name).first.click()
    expect(page.locator("h1")).to_have_text(name, timeout=30_000)
    page.wait_for_selector("#distributions .points path")
    assert page.locator("img").count() == 0
    hover = "document.getElementById('distributions').data[1].text"
    if name == HOSTILE:
        assert "&lt;img src=x onerror=alert(1)&gt;_&amp;%" in page.evaluate(hover)
        shown = page.evaluate(
            """() => { const plot = document.getElementById('distributions');
            const at = plot.data[1].text.findIndex((t) => t.includes('onerror'));
            Plotly.Fx.hover(plot, [{curveNumber: 1, pointNumber: at}]);
            return plot.querySelector('.hoverlayer').textContent; }"""
        )
        assert HOSTILE in shown
