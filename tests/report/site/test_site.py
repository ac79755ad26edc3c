"""The site's files: true to the numbers, harmless whatever a name holds, no image without leave."""

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.sites import CLOSING, HOSTILE, as_simulated
from PIL import Image

from benchmark.console import Steps
from benchmark.data.formats.images import read_image
from benchmark.errors import StoreError
from benchmark.paper.published import published_frame
from benchmark.report import pictures
from benchmark.report.assemble import assemble
from benchmark.report.frame import frame_of_runs
from benchmark.report.results import RunResult
from benchmark.report.site import write_site
from benchmark.report.site.data import script
from benchmark.report.site.gallery import build_gallery
from benchmark.report.write import write_study
from benchmark.store.owned import LIST
from benchmark.store.skipped import SkippedModel
from benchmark.store.store import RunStore

pytestmark = pytest.mark.alone


def test_no_hostile_name_is_markup_or_a_file_name(site):
    for path in site.rglob("*"):
        if path.name == LIST:
            continue
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
    assert 'data-score=""' in sam2
    assert 'class="bar"' not in sam2


def test_marks_and_reasons_are_in_the_rows(results, tmp_path):
    skipped = SkippedModel(
        "sam3", "drawn", "Drawn cells", "synthetic", "paper", f"weights: {HOSTILE}"
    )
    marked = [
        as_simulated(results[0], data="a", mark="demo", weights="demo"),
        as_simulated(results[0], data="b", mixed=True),
        as_simulated(results[0], data="c", expected=40),
        as_simulated(results[0], data="d", lost="nobody has them"),
        as_simulated(results[0], data="e", edited=True),
        as_simulated(results[0], data="f", gone=2),
    ]
    cells = frame_of_runs([*results, *marked], [skipped])
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
    words = {"a": "demo weights", "b": "mixed", "c": "partial (16 of 40)", "d": "own images",
             "e": ">edited<", "f": ">predictions gone<"}  # fmt: skip
    for name, word in words.items():
        (html,) = [row for (_, data), row in rows.items() if data == name]
        assert word in html, name
    assert "not the published study’s own images, as nobody has them" in text  # noqa: RUF001


def with_card(results, **changes):
    """Change the card of the runs' data set; None removes a key."""
    for result in results:
        path = result.path / "run.json"
        described = json.loads(path.read_text())
        card = described["data_card"] | changes
        described["data_card"] = {key: card[key] for key in card if card[key] is not None}
        path.write_text(json.dumps(described))


@pytest.fixture
def own(results, tmp_path):
    """A copy of the runs to spoil."""
    copies = []
    for result in results:
        shutil.copytree(result.path, tmp_path / "runs" / result.path.name)
        copies.append(replace(result, path=tmp_path / "runs" / result.path.name))
    return copies


def page_of(results, folder, *, private=None):
    write_site(frame_of_runs(results), results, folder, private=private)
    return (folder / "data" / "drawn.html").read_text(encoding="utf-8")


def test_images_are_shown_only_where_the_card_says_so(own, tmp_path):
    assert 'id="gallery"' in page_of(own, tmp_path / "a")
    with_card(own[:1], redistribute=None)  # one run of several is enough
    text = page_of(own, tmp_path / "b")
    assert "may not be passed on" in text
    assert "gallery.private=true" in text
    assert 'id="gallery"' not in text
    assert not list((tmp_path / "b").rglob("*.webp"))
    assert "not for redistribution" not in text
    text = page_of(own, tmp_path / "c", private=True)
    assert 'id="gallery"' in text
    assert len(list((tmp_path / "c").glob("images/drawn/*.webp"))) == 16
    assert len(list((tmp_path / "c").glob("images/drawn/thumbs/*.webp"))) == 16
    assert is_stamped(tmp_path / "c")


def is_stamped(folder):
    stamps = {
        '<p class="stamp" role="note">not for redistribution' in path.read_text("utf-8")
        for path in folder.rglob("*.html")
    }
    assert len(stamps) == 1
    return stamps.pop()


@pytest.mark.parametrize("said", [None, "unknown", "no", False])
def test_own_images_are_shown_to_their_owner_and_not_passed_on(own, tmp_path, said):
    with_card(own, images="cells/*.tif", redistribute=said)
    assert 'id="gallery"' in page_of(own, tmp_path / "a")
    assert is_stamped(tmp_path / "a")
    text = page_of(own, tmp_path / "b", private=False)
    assert "may not be passed on" in text and "data.redistribute=true" in text
    assert 'id="gallery"' not in text and not list((tmp_path / "b").rglob("*.webp"))
    assert not is_stamped(tmp_path / "b")
    index = (tmp_path / "b" / "index.html").read_text("utf-8")
    assert "made to be passed on" in index and "data/drawn.html" in index.split("passed on")[1]


@pytest.mark.parametrize("said", ["yes", True])
def test_own_images_are_passed_on_by_choice(own, tmp_path, said):
    with_card(own, images="cells/*.tif", redistribute=said)
    assert 'id="gallery"' in page_of(own, tmp_path / "a", private=False)
    assert not is_stamped(tmp_path / "a")
    assert "made to be passed on" not in (tmp_path / "a" / "index.html").read_text("utf-8")
    with_card(own[:1], images=None, redistribute=None)  # a public set without leave: as before
    assert 'id="gallery"' not in page_of(own, tmp_path / "b")


def test_links_lead_to_the_files_of_runs_and_not_into_what_is_passed_on(
    own, tmp_path, tmp_path_factory
):
    site = tmp_path / "reports" / "paper" / "site"
    page_of(own, site, private=True)
    value = data_of(site)
    for result, files, page in zip(own_order(own), value["files"], value["pages"], strict=True):
        folder = (site / "data" / files).resolve()
        assert not Path(files).is_absolute() and folder == result.path
        text = (site / "data" / page).read_text("utf-8")
        links = re.findall(r'href="([^"]*/runs/[^"]*)"', text)
        assert len(links) >= 4
        assert all((site / "runs" / link).exists() for link in links), links
        stored = folder / "predictions" / f"{value['pictures'][0]['id']}.tif"
        assert stored.exists()
    page_of(own, site, private=False)
    assert data_of(site)["files"] == [""] * 4
    for path in [*site.rglob("*.html"), *site.glob("data/*.js")]:
        text = path.read_text("utf-8")
        assert "run.json" not in text and str(tmp_path) not in text, path
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "site"
    page_of(own, elsewhere, private=True)  # a link would name folders above those of the runs
    assert data_of(elsewhere)["files"] == [""] * 4


def data_of(site, stem="drawn"):
    return json.loads((site / "data" / f"{stem}.js").read_text().partition("(")[2][:-3])


def own_order(results):
    """As the pages have them: controls last, the best first."""
    return sorted(results, key=lambda r: (r.control, -r.values.mean(), r.method, r.key))


def test_errors_tables_and_figures_of_the_report_are_in_its_site(own, tmp_path):
    runs = [result for result in own if not result.control]
    twin = as_simulated(runs[0], data="other", data_label="Other cells")
    report = assemble([*runs, twin])
    folder = write_study(report, tmp_path / "report", html=True, private=None)
    text = (folder / "site" / "data" / "drawn.html").read_text("utf-8")
    errors = re.search(r"<h3>Errors by kind</h3>.*?</table>", text, re.DOTALL)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", errors.partition("<tbody>")[2], re.DOTALL)
    assert len(rows) == 2 and "Other cells" not in errors
    missed = str(int(runs[0].scores["missed"].sum()))
    assert missed in re.findall(r">(\d+)<", "".join(rows))
    assert "<h3>Recall by size of the object</h3>" in text
    page = (folder / "site" / "report.html").read_text("utf-8")
    links = re.findall(r'(?:href|src)="(report/[^"]+)"', page)
    assert all((folder / "site" / link).is_file() for link in links)
    names = {Path(link).name for link in links}
    for table in report.tables:
        assert {f"{table.name}.{suffix}" for suffix in ("csv", "md", "tex")} <= names
    csv = folder / "site" / "report" / "runs_errors.csv"
    assert csv.read_text() == (folder / "tables" / "runs_errors.csv").read_text()
    figures = {p.stem for p in (folder / "figures").glob("*.svg") if "samples" not in p.stem}
    assert {f"figure_{name}.svg" for name in figures} == {n for n in names if n.endswith("svg")}
    assert len(figures) >= 3


def test_a_picture_whose_sample_the_prepared_data_lack_is_named(own, tmp_path):
    scores = own[0].scores.rename(index={own[0].scores.index[0]: "nowhere"})
    page = page_of([replace(own[0], scores=scores)], tmp_path / "a")
    assert "&#39;nowhere&#39; can&#39;t be shown" in page
    assert len(data_of(tmp_path / "a")["pictures"]) == 16


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
    pictures = list((site / "images" / "drawn").glob("*.webp"))
    assert len(pictures) == 16
    for path in pictures:
        with Image.open(path) as picture:
            shown = np.asarray(picture.convert("L")).astype(float)
        image = read_image(Path(described["prepared"], "images", f"{path.stem}.tif"))
        assert shown.shape == image.shape == (96, 96)
        assert np.corrcoef(shown.ravel(), image.ravel())[0, 1] > 0.97
    sizes = [file.stat().st_size for file in (site / "images" / "drawn").glob("*.js")]
    assert len(sizes) == 16
    assert max(sizes) < 30_000
    for path in (site / "images" / "drawn" / "thumbs").glob("*.webp"):
        assert path.stat().st_size < 20_000


def test_an_earlier_report_is_replaced_and_nothing_else(results, tmp_path):
    cells, folder = frame_of_runs(results[:1]), tmp_path / "site"
    write_site(cells, results[:1], folder, private=False)
    (folder / "data" / "mine.html").write_text("mine")
    (page,) = (folder / "runs").iterdir()
    write_site(cells.iloc[:0], [], folder, private=False)
    assert not page.exists() and (folder / "index.html").exists()
    assert (folder / "data" / "mine.html").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "index.html").write_text("years of work")
    with pytest.raises(StoreError, match="Move them away"):
        write_site(cells, results[:1], tmp_path / "thesis", private=False)
    assert (tmp_path / "thesis" / "index.html").read_text() == "years of work"


def test_published_alone_needs_no_run(tmp_path):
    index = write_site(published_frame(), [], tmp_path / "site", private=False)
    text = index.read_text(encoding="utf-8")
    assert text.count("<tr data-source") == 36 * 12
    assert not (tmp_path / "site" / "assets" / "plotly.min.js").exists()
    assert "neither distributions nor pictures" in (
        tmp_path / "site" / "data" / "livecell.html"
    ).read_text(encoding="utf-8")


def test_controls_have_no_part_in_the_choice_of_samples(results, tmp_path):
    """But where there is nothing else."""
    inverted = [
        replace(r, scores=r.scores.assign(msa=1 - r.scores["msa"])) if r.control else r
        for r in results
    ]
    methods = [r for r in results if not r.control]
    chosen = [shown(found, tmp_path / str(i)) for i, found in enumerate((results, inverted))]
    assert chosen[0] == chosen[1] and len(chosen[0]) == 16
    table = pictures.scores_of(methods)
    expected = pictures.choose(table, pictures.FOR_SITE)[: pictures.SITE_SAMPLES]
    assert chosen[0][:12] == expected and len(expected) == 12
    rest = [name for _, name in chosen[0][12:]]
    assert {why for why, _ in chosen[0][12:]} == {""} and rest == sorted(rest)
    assert sum(bool(w) for w, _ in shown([r for r in results if r.control], tmp_path / "c")) == 12


def shown(results, folder):
    """(Why, sample id) of each picture in the gallery of their data set."""
    with Steps("", 1) as steps:
        gallery = build_gallery(results, folder, private=False, steps=steps)
    return [(picture["why"], picture["id"]) for picture in gallery.pictures]


# --- large ------------------------------------------------------------------------------


@pytest.mark.slow
def test_many_runs_take_less_than_a_minute_of_a_core(tmp_path):
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
    cells = frame_of_runs(results)
    start = time.process_time()
    index = write_site(cells, results, tmp_path / "site", private=False)
    assert time.process_time() - start < 60
    assert len(list(index.parent.glob("data/*.html"))) == 36
    assert len(list(index.parent.glob("runs/*.html"))) == 288
    sizes = [path.stat().st_size for path in index.parent.glob("data/*.js")]
    assert max(sizes) < 60_000
    assert index.stat().st_size < 1_000_000


def test_every_page_links_to_what_the_metrics_are(site):
    glossary = (site / "assets" / "metrics.txt").read_text(encoding="utf-8")
    assert glossary.startswith("# Metrics")
    for path in site.rglob("*.html"):
        (link,) = set(re.findall(r'href="([^"]*metrics.txt)"', path.read_text(encoding="utf-8")))
        assert (path.parent / link).resolve() == (site / "assets" / "metrics.txt").resolve()


def test_no_page_shows_a_folder_of_this_machine(own, tmp_path):
    place = tmp_path / "private place"
    for result in own:
        path = result.path / "run.json"
        described = json.loads(path.read_text())
        described["identity"]["parameters"] |= {"predictions": str(place / "a.tif")}
        described["data_card"] = {"images": str(place / "*.tif"), "notes": [f"from {place}/x.txt"]}
        path.write_text(json.dumps(described))
    page_of(own, tmp_path / "a")
    for path in (tmp_path / "a").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert str(tmp_path) not in text and "/home/" not in text, path
    assert "a.tif" in next((tmp_path / "a" / "runs").iterdir()).read_text(encoding="utf-8")
