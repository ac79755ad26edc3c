"""The site: opened in a real browser from its files, true to the numbers, harmless to open."""

import json
import re
import shlex
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.runs import PROTOCOLS, drawn, make_job
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from benchmark.data.read import read_image
from benchmark.digest import json_digest
from benchmark.errors import StoreError
from benchmark.protocol import Protocol
from benchmark.report.cells import cells_of_runs
from benchmark.report.published import published_cells
from benchmark.report.results import RunResult, load_results
from benchmark.report.site import write_site
from benchmark.report.site.data import command, script
from benchmark.report.site.gallery import choose
from benchmark.skips import Skip
from benchmark.store import RunStore

HOSTILE = "<img src=x onerror=alert(1)>_&%"
CLOSING = "</script><script>alert(2)</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here (apt-get install chromium)"
)
PAPER = Protocol(**PROTOCOLS["paper"])


def do_job(root, name, target, data=None, **parameters):
    """A finished run on the drawn images."""
    from helpers.runs import do

    data = data or drawn(per_style=4, size=96)
    do(make_job(root, name=name, target=target, data=data, **parameters))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Runs of a classical method, of another with a hostile name, and of two controls."""
    root = tmp_path_factory.mktemp("runs")
    data = drawn(per_style=8, size=96) | {
        "title": "Drawn cells", "modality": "synthetic", "licence": "CC0", "redistribute": "yes",
        "channels": ["grey"], "notes": [HOSTILE, CLOSING], "citation": CLOSING,
    }  # fmt: skip
    do_job(root, "otsu", "models.otsu.OtsuWatershed", data)
    do_job(root, HOSTILE, "models.otsu.OtsuWatershed", data, sigma=3.0)
    do_job(root, "oracle", "models.controls.Oracle", data)
    do_job(root, "empty", "models.controls.Empty", data)
    return load_results(root / "results" / "runs", PAPER)


def as_simulated(result, **changes):
    """The same scores as if of another run, whose folder is gone."""
    run_id = json_digest(changes["data"])
    return replace(result, path=Path("gone", run_id[-12:]), run_id=run_id, **changes)


@pytest.fixture(scope="module")
def every(results):
    """The runs, and some on data of a hostile name whose samples have hostile names as well."""
    renamed = [HOSTILE, CLOSING, *(f"s{i}" for i in range(14))]
    otsu = next(result for result in results if result.model == "otsu")
    scores = otsu.scores.set_axis(renamed)
    other = [
        as_simulated(otsu, data=HOSTILE, data_label=HOSTILE, scores=scores),
        as_simulated(otsu, data=CLOSING, data_label=CLOSING, model=CLOSING, config=""),
        as_simulated(otsu, data="halfway", data_label="", expected=99),
    ]
    return [*results, *other]


@pytest.fixture(scope="module")
def cells(every):
    return pd.concat([published_cells(), cells_of_runs(every)], ignore_index=True)


@pytest.fixture(scope="module")
def site(every, cells, tmp_path_factory):
    return write_site(cells, every, tmp_path_factory.mktemp("site") / "s", private=False).parent


# --- opened in a browser ----------------------------------------------------------------


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
    assert numbers == sorted(cells["msa"].dropna(), reverse=True)
    missing = int(cells["msa"].isna().sum())
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
        index="data", columns="method", values="msa"
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
    best = of_data["msa"].max()
    assert row.locator("b").all_inner_texts() == [f"{best:.3f}"] * int(
        (of_data["msa"] == best).sum()
    )
    second = of_data["msa"][of_data["msa"] < best].max()
    assert set(row.locator("u").all_inner_texts()) == {f"{second:.3f}"}
    page.locator("#matrix tbody tr", has_text="Drawn cells").locator("b a").click()
    assert page.locator("h1").inner_text().startswith("otsu")
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
    page.get_by_role("button", name="Previous").click()
    assert title.inner_text() == first
    page.keyboard.press("ArrowLeft")
    assert page.locator("#v-place").inner_text() == "12 of 12"
    assert page.evaluate("document.getElementById('v-image').naturalWidth") == 96
    width = page.locator("#v-canvas").bounding_box()["width"]
    page.keyboard.press("+")
    assert page.locator("#v-canvas").bounding_box()["width"] == pytest.approx(1.5 * width, abs=1)
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("document.activeElement.dataset.at") == "11"


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
    assert page.locator("#viewer").is_visible()


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
    assert page.locator("h1").inner_text() == name
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


# --- without one ------------------------------------------------------------------------


def test_no_hostile_name_is_markup_or_a_file_name(site):
    for path in site.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", path.name), path
        if path.suffix == ".html":
            text = path.read_text(encoding="utf-8")
            assert "<img src=x" not in text
            assert "alert(2)</script>" not in text
        if path.suffix == ".js" and path.parent.name != "assets":
            assert not re.search("[<>&\u2028\u2029]", path.read_text(encoding="ascii"))


def test_script_files_give_back_what_went_in():
    value = {"a": [CLOSING, HOSTILE, "細胞", "a\u2028b"], "n": [1, 0.5, None, True]}
    text = script("f", value).decode("ascii")
    assert json.loads(text.removeprefix("f(").removesuffix(");\n")) == {
        "a": [CLOSING, HOSTILE, "細胞", "a?b"],
        "n": value["n"],
    }
    assert script("f", {"x": float("nan"), "y": "\ud800"}) == b'f({"x":null,"y":"?"});\n'


def test_every_number_of_a_run_leads_to_its_page(site, cells):
    text = (site / "index.html").read_text(encoding="utf-8")
    found = set(re.findall(r'href="(runs/[^"]+)"', text))
    assert len(found) == (cells["source"] == "runs").sum()
    for page in found:
        assert (site / page).exists(), page
    (hostile,) = [page for page in found if page.startswith("runs/_img_src")]
    run_page = (site / hostile).read_text(encoding="utf-8")
    for word in ("sigma", "scikit-image", "The method has no weights", "Threads", "mSA"):
        assert word in run_page, word


def test_not_reported_is_never_a_number(site):
    text = (site / "data" / "segpc.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr data-source.*?</tr>", text, re.DOTALL)
    (sam2,) = [row for row in rows if 'data-method="SAM2"' in row]
    assert "not reported" in sam2
    assert "0.000" not in sam2
    assert 'data-msa=""' in sam2
    assert 'class="bar"' not in sam2


def test_marks_and_reasons_are_in_the_rows(results, tmp_path):
    skipped = Skip("sam3", "drawn", "Drawn cells", "synthetic", "paper", f"weights: {HOSTILE}")
    marked = [
        as_simulated(results[0], data="a", mark="demo", weights="demo"),
        as_simulated(results[0], data="b", mixed=True),
        as_simulated(results[0], data="c", expected=40),
        as_simulated(results[0], data="d", lost="nobody has them"),
    ]
    cells = cells_of_runs([*results, *marked], [skipped])
    index = write_site(cells, [*results, *marked], tmp_path / "site", private=False)
    text = index.read_text(encoding="utf-8")
    rows = {
        (row["data-method"], row["data-data"]): html
        for html in re.findall(r"<tr data-source.*?</tr>", text, re.DOTALL)
        for row in [dict(re.findall(r'(data-\w+)="([^"]*)"', html))]
    }
    assert ">skipped<" in rows["sam3", "drawn"]
    assert "weights: &lt;img" in rows["sam3", "drawn"]
    assert 'class="bar"' not in rows["sam3", "drawn"]
    words = {"a": "demo weights", "b": "mixed", "c": "partial (16 of 40)", "d": "own images"}
    for name, word in words.items():
        (html,) = [row for (_, data), row in rows.items() if data == name]
        assert word in html, name
    assert "not the published study’s own images, as nobody has them" in text  # noqa: RUF001


def without_card(results):
    """The runs as if their data set's card said nothing of passing images on."""
    for result in results:
        path = result.path / "run.json"
        described = json.loads(path.read_text())
        described["data_card"].pop("redistribute", None)
        path.write_text(json.dumps(described))


@pytest.fixture
def own(results, tmp_path):
    """A copy of the runs to spoil."""
    copies = []
    for result in results:
        shutil.copytree(result.path, tmp_path / "runs" / result.path.name)
        copies.append(replace(result, path=tmp_path / "runs" / result.path.name))
    return copies


def page_of(results, folder, *, private=False):
    write_site(cells_of_runs(results), results, folder, private=private)
    return (folder / "data" / "drawn.html").read_text(encoding="utf-8")


def test_images_are_shown_only_where_the_card_says_so(own, tmp_path):
    assert 'id="gallery"' in page_of(own, tmp_path / "a")
    without_card(own[:1])  # one run of several is enough
    text = page_of(own, tmp_path / "b")
    assert "may not be passed on" in text
    assert "gallery.private=true" in text
    assert 'id="gallery"' not in text
    assert not list((tmp_path / "b").rglob("*.png"))
    assert "not for redistribution" not in text
    text = page_of(own, tmp_path / "c", private=True)
    assert 'id="gallery"' in text
    assert len(list((tmp_path / "c").rglob("*.png"))) == 12
    for path in (tmp_path / "c").rglob("*.html"):
        assert '<p class="stamp" role="note">not for redistribution' in path.read_text("utf-8"), (
            path
        )


def test_pages_say_what_is_gone(own, tmp_path):
    for prediction in (own[0].path / "predictions").iterdir():
        prediction.unlink()
    text = page_of(own, tmp_path / "a")
    assert f"Not every prediction of {own[0].method}" in text.replace("&lt;", "<").replace(
        "&gt;", ">"
    ).replace("&amp;", "&")
    assert 'id="gallery"' in text
    for result in own:
        path = result.path / "run.json"
        described = json.loads(path.read_text()) | {"prepared": str(tmp_path / "nowhere")}
        path.write_text(json.dumps(described))
    text = page_of(own, tmp_path / "b")
    assert "prepared images are no longer where they were" in text
    assert str(tmp_path) not in text
    for result in own:
        shutil.rmtree(result.path)
    text = page_of(own, tmp_path / "c")
    assert 'id="distributions"' in text
    run_page = next((tmp_path / "c" / "runs").iterdir()).read_text(encoding="utf-8")
    assert "is no longer there" in run_page


def test_pictures_are_the_images(site, results):
    described = RunStore(results[0].path).describe()
    for path in (site / "images" / "drawn").glob("*.png"):
        with Image.open(path) as picture:
            assert picture.mode == "L"
            shown = np.asarray(picture).astype(float)
        image = read_image(Path(described["prepared"], "images", f"{path.stem}.tif"))
        assert shown.shape == image.shape == (96, 96)
        assert np.corrcoef(shown.ravel(), image.ravel())[0, 1] > 0.97
    sizes = [file.stat().st_size for file in (site / "images" / "drawn").glob("*.js")]
    assert len(sizes) == 12
    assert max(sizes) < 30_000


def test_an_earlier_report_is_replaced_and_nothing_else(results, tmp_path):
    cells, folder = cells_of_runs(results[:1]), tmp_path / "site"
    write_site(cells, results[:1], folder, private=False)
    (folder / "data" / "stale.html").write_text("old")
    write_site(cells, results[:1], folder, private=False)
    assert not (folder / "data" / "stale.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(StoreError, match="Move it away"):
        write_site(cells, results[:1], tmp_path / "thesis", private=False)
    assert (tmp_path / "thesis" / "chapter.tex").exists()


def test_published_alone_needs_no_run(tmp_path):
    index = write_site(published_cells(), [], tmp_path / "site", private=False)
    text = index.read_text(encoding="utf-8")
    assert text.count("<tr data-source") == 36 * 12
    assert not (tmp_path / "site" / "assets" / "plotly.min.js").exists()
    assert "neither distributions nor pictures" in (
        tmp_path / "site" / "data" / "livecell.html"
    ).read_text(encoding="utf-8")


def test_chosen_samples(results):
    chosen = dict(choose(results))
    assert len(chosen) == 12
    scores = pd.DataFrame({r.model: r.scores["msa"] for r in results if not r.control})
    mean, gap = scores.mean(axis=1), np.ptp(scores.to_numpy(), axis=1)
    by_kind = {kind: [n for n, why in chosen.items() if why == kind] for kind in chosen.values()}
    assert (
        mean[by_kind["worst"]].max()
        <= mean[[n for n in mean.index if n not in by_kind["worst"]]].min()
    )
    assert mean[by_kind["best"]].max() == mean.max()
    gaps = pd.Series(gap, scores.index)
    others = [n for n in scores.index if n not in chosen or chosen[n] == "drawn by lot"]
    assert gaps[by_kind["largest difference"]].min() >= gaps[others].max()
    assert choose(results) == choose(results[::-1])
    few = [replace(r, scores=r.scores.head(3)) for r in results]
    assert len(choose(few)) == 3
    assert choose([replace(r, scores=r.scores.head(0)) for r in results]) == []


def test_the_command_makes_the_same_run(tmp_path):
    """By the command line, in a process of its own."""
    words = ["data=nuclei_demo", "model=otsu", "model.sigma=2", "seed=3"]
    places = [f"results={tmp_path / 'one'}", f"datasets={tmp_path / 'datasets'}"]
    run = ["python", "-m", "benchmark"]
    subprocess.run([*run, *words, "limit=1", *places], check=False, capture_output=True)
    (store,) = RunStore.all(tmp_path / "one" / "runs")
    told = command(store.describe(), "paper")
    again = [f"results={tmp_path / 'two'}", places[1], "limit=1"]
    done = subprocess.run([*shlex.split(told), *again], check=False, capture_output=True, text=True)
    (second,) = RunStore.all(tmp_path / "two" / "runs")
    assert second.describe()["run_id"] == store.describe()["run_id"], done.stderr


@pytest.mark.parametrize(
    ("data_card", "words"),
    [
        ({"loader": "torch_em.x", "root": "/secret"}, ["data=d"]),
        (
            {"images": "my cells/*.tif", "labels": "it's/*.tif", "group": "^(a+)", "root": None},
            ["data=folder", "data.name=d", "data.images='my cells/*.tif'",
             r"data.labels='it\'s/*.tif'", "data.group='^(a+)'"],
        ),
    ],
)  # fmt: skip
def test_the_command_is_quoted_for_shell_and_hydra(data_card, words):
    described = {
        "model": "apg (min_size=3, weights=user 1a2b)", "config": "apg", "data": "d",
        "split": "val", "data_card": data_card, "identity": {"seed": 1, "device": "cuda"},
        "weights": {"name": "user 1a2b", "mark": "user", "digests": {"model": "sha256:1a2b3c"}},
    }  # fmt: skip
    text = command(described, "clean")
    assert "/secret" not in text
    assert shlex.split(text) == [
        "python", "-m", "benchmark", "model=apg", "model.min_size=3",
        "model.weights=<file with sha256:1a2b3c>", *words, "data.split=val", "protocol=clean",
        "seed=1", "device=cuda",
    ]  # fmt: skip


# --- large ------------------------------------------------------------------------------


@pytest.mark.slow
def test_many_runs_take_less_than_a_minute(tmp_path):
    rng = np.random.default_rng(0)
    n, results = 500, []
    for d in range(36):
        for m in range(8):
            msa = rng.random(n)
            scores = pd.DataFrame(
                {
                    "group": [f"g{i // 5}" for i in range(n)], "n_true": 20, "n_predicted": 20,
                    "true_positives": [(9,) * 10] * n, "both_empty": False, "seconds": 0.5,
                    "msa": msa, "sa50": msa,
                },
                index=[f"sample_{i:04d}" for i in range(n)],
            )  # fmt: skip
            results.append(
                RunResult(
                    f"{d * 8 + m:064x}", tmp_path / f"m{m}-d{d}", f"method {m}", f"data {d}",
                    "test", "paper", n, 0, False, scores,
                )
            )  # fmt: skip
    cells = cells_of_runs(results)
    start = time.monotonic()
    index = write_site(cells, results, tmp_path / "site", private=False)
    assert time.monotonic() - start < 60
    assert len(list(index.parent.glob("data/*.html"))) == 36
    assert len(list(index.parent.glob("runs/*.html"))) == 288
    sizes = [path.stat().st_size for path in index.parent.glob("data/*.js")]
    assert max(sizes) < 60_000
    assert index.stat().st_size < 1_000_000
