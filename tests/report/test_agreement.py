"""A report of images without labels: objects, agreement, ranking, list of images, site."""

import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import PROTOCOLS, SAMPLES, do, make_job
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.report.agreement import WRONG_TOGETHER, agreement_of, agreements
from benchmark.report.assemble import assemble
from benchmark.report.eligible import select_eligible
from benchmark.report.figures.agreement import draw
from benchmark.report.figures.style import NothingToDrawError
from benchmark.report.pictures import StoredSamples
from benchmark.report.results import gather
from benchmark.report.site.build import write_site
from benchmark.report.site.gallery import _chosen
from benchmark.report.tables import formats
from benchmark.report.write import write_study
from benchmark.scoring.match import match
from benchmark.scoring.metrics import mean_segmentation_accuracy, true_positives
from benchmark.scoring.protocol import THRESHOLD_GRIDS, Protocol
from benchmark.store.store import RunStore

PAPER = Protocol(**PROTOCOLS["paper"])
HOSTILE = "<img src=x onerror=alert(1)>_&%"


@pytest.fixture(scope="module")
def module_root(tmp_path_factory):
    """Four drawn images, one labelled; otsu twice, two other methods, and a control."""
    root = tmp_path_factory.mktemp("unlabelled")
    data = make_job(root).data
    shutil.copytree(data.folder / "images", root / "mine" / "images")
    (root / "mine" / "labels").mkdir()
    shutil.copy(data.folder / "labels" / f"{SAMPLES[1]}.tif", root / "mine" / "labels")
    for name, changes in {
        "otsu": {},
        "otsu2": {"sigma": 2.0},
        "traced": {"target": "helpers.segmenters.Traced"},
        HOSTILE: {"target": "helpers.segmenters.Traced", "level": 1.3, "family": "other"},
        "empty": {"target": "models.controls.Empty"},
    }.items():
        do(job_on(root, name=name, **{"target": "models.otsu.OtsuWatershed", **changes}))
    return root


def job_on(root, **changes):
    places = {"images": str(root / "mine" / "images"), "labels": str(root / "mine" / "labels")}
    source = {"_target_": "benchmark.data.sources.FolderSource", **places}
    data = {"name": "mine", "split": "test", "source": source, "recipe": []}
    return make_job(root, data=data, **changes)


@pytest.fixture
def results(module_root):
    return gather(module_root / "results" / "runs", PAPER)[0]


@pytest.fixture
def tables(results):
    return {table.name: table for table in assemble(results).tables}


def rows(table):
    return list(csv.DictReader(io.StringIO(formats.csv(table))))


def prediction(result, sample):
    store = RunStore(result.path)
    return store.prediction(store.records()[sample])


def test_agreement_is_the_msa_of_one_method_against_the_other(results):
    (one,) = agreements(results)
    assert [r.model for r in one.compared] == sorted(["otsu", "otsu2", "traced", HOSTILE])
    assert list(one.samples) == sorted(SAMPLES)
    for s, sample in enumerate(one.samples):
        labels = [prediction(result, sample) for result in one.compared]
        for i, a in enumerate(labels):
            for j, b in enumerate(labels):
                if i != j:
                    found = match(a, b)
                    counts = true_positives(found, THRESHOLD_GRIDS["exact"])
                    n = len(found.true), len(found.predicted)
                    assert one.values[s, i, j] == mean_segmentation_accuracy(counts, *n)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 4))
def test_agreement_is_the_same_in_either_order(seed, a_objects, b_objects):
    rng = np.random.default_rng(seed)
    a, b = (
        rng.integers(0, n + 1, (3, 4)).repeat(rng.integers(1, 4), 0)[:3].astype(np.uint16)
        for n in (a_objects, b_objects)
    )
    np.testing.assert_equal(agreement_of(a, b), agreement_of(b, a))
    np.testing.assert_equal(agreement_of(a, a), np.nan if not a.any() else 1.0)


def test_objects_of_every_run_are_counted_and_measured(results, tables):
    found = {row["method"]: row for row in rows(tables["runs_predicted_objects"])}
    assert len(found) == 4, "a control is not among them"
    result = next(r for r in results if r.model == "otsu")
    labels = [prediction(result, sample) for sample in SAMPLES]
    areas = [n for each in labels for n in np.unique(each[each > 0], return_counts=True)[1]]
    row = found["otsu"]
    assert int(row["images"]) == 4 and int(row["objects"]) == len(areas)
    assert float(row["per image"]) == len(areas) / 4
    assert float(row["diameter"]) == pytest.approx(np.median(2 * np.sqrt(np.divide(areas, np.pi))))
    assert float(row["coverage"]) == pytest.approx(np.mean([(each > 0).mean() for each in labels]))


def test_the_matrix_names_families_and_says_what_it_is_not(tables):
    found = rows(tables["runs_agreement_mine"])
    families = {row["method"]: row["family"] for row in found}
    assert families["otsu"] == families["otsu2"] == "OtsuWatershed"
    assert families["traced"] == "Traced" and "other" in families.values()
    assert found[0][found[1]["method"]] == found[1][found[0]["method"]]
    for name in ("runs_agreement_mine", "runs_cross_family_mine"):
        assert WRONG_TOGETHER in formats.markdown(tables[name]).replace("\\", "")
        assert tables[name].on_console


def test_a_ranking_takes_three_families(results, tables):
    ranked = rows(tables["runs_cross_family_mine"])
    assert sorted(row["rank"] for row in ranked) == ["", "1", "2", "3"]
    values = [float(row["agreement"]) for row in ranked]
    assert values == sorted(values, reverse=True)
    headers = [column.header for column in tables["runs_cross_family_mine"].columns]
    assert not any("msa" in header.casefold() for header in headers)
    two, one = ("otsu", "otsu2", "traced"), ("otsu", "otsu2")
    for kept, there in ((two, "there are 2"), (one, "there is 1")):
        fewer = {t.name: t for t in assemble([r for r in results if r.model in kept]).tables}
        assert "runs_cross_family_mine" not in fewer
        notes = " ".join(fewer["runs_agreement_mine"].notes)
        assert f"No ranking: it takes 3 families of methods, and {there}." in notes
    alone = {t.name for t in assemble([r for r in results if r.model == "otsu"]).tables}
    assert "runs_predicted_objects" in alone and not {n for n in alone if "agreement_" in n}


def test_what_to_label_first_is_the_unlabelled_images_from_the_least_agreement_up(results, tables):
    (one,) = agreements(results)
    found = rows(tables["runs_label_first_mine"])
    values = [float(row["agreement"]) for row in found]
    assert values == sorted(values) and SAMPLES[1] not in {row["image"] for row in found}
    assert {row["sample"] for row in found} <= {*SAMPLES}
    assert found[0]["image"] == one.to_label_first()[0][0]


def test_runs_on_fewer_images_and_damaged_predictions_are_left_out(results, module_root, tmp_path):
    copied = tmp_path / "results" / "runs"
    shutil.copytree(module_root / "results" / "runs", copied)
    mine = gather(copied, PAPER)[0]
    otsu = next(r for r in mine if r.model == "otsu")
    (otsu.path / "predictions" / f"{SAMPLES[0]}.tif").write_bytes(b"no tiff")
    traced = next(r for r in mine if r.model == "traced")
    for path in (traced.path / "records").glob("*.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if f'"{SAMPLES[0]}"' not in line))
    (one,) = agreements(gather(copied, PAPER)[0])
    assert [r.model for r in one.results if r not in one.compared] == ["traced"]
    assert list(one.samples) == sorted(SAMPLES[1:]), "what is damaged is compared with nothing"
    named = {t.name: t for t in assemble(gather(copied, PAPER)[0]).tables}
    assert "they predicted fewer images: traced." in " ".join(named["runs_agreement_mine"].notes)


def test_methods_without_labels_are_in_no_mean_for_that_reason(module_root, tmp_path):
    root = tmp_path
    shutil.copytree(module_root / "mine", root / "mine")
    job = job_on(root, name="otsu", target="models.otsu.OtsuWatershed")
    job.settings.data["source"].pop("labels")
    do(job)
    report = assemble(gather(job.runs, PAPER)[0])
    assert report.cells["labelled"].tolist() == ["0 of 4"]
    assert report.cells["score"].isna().all()
    (note,) = select_eligible(report.cells).notes
    assert "no image has labels: otsu on mine" in note


def test_weights_are_a_family_by_their_files(results):
    one = next(r for r in results if r.model == "otsu")
    described = RunStore(one.path).describe()
    described["weights"] = {"name": "mine", "label": "x", "mark": "user", "digests": {"a": "1"}}

    def family(**changes):
        (one.path / "run.json").write_text(json.dumps(described | changes))
        return next(r.family for r in gather(one.path.parent, PAPER)[0] if r.run_id == one.run_id)

    before = (one.path / "run.json").read_text()
    try:
        same = family()
        renamed = described["weights"] | {"name": "yours", "digests": {"b": "1"}}
        assert family(weights=renamed) == same, "a renamed copy is the same weights"
        assert family(weights=renamed | {"digests": {"b": "2"}}) != same
        assert family(family="told") == "family told"
        assert family(weights=None, family=None).startswith("adapter ")
    finally:
        (one.path / "run.json").write_text(before)


def test_the_site_shows_agreement_and_outlines_without_truth(results, tmp_path):
    report = assemble(results)
    site = write_site(
        report.cells, results, tmp_path / "s", private=True, agreements=report.agreements
    ).parent
    page = (site / "data" / "mine.html").read_text(encoding="utf-8")
    assert "Agreement of methods on mine" in page and "1 of 4 labelled" in page
    assert "Ranking by cross-family agreement" in page and "<img src=x" not in page
    value = json.loads((site / "data" / "mine.js").read_text().partition("(")[2][:-3])
    by_id = {picture["id"]: picture for picture in value["pictures"]}
    assert by_id.keys() == {*SAMPLES} and len(value["pictures"]) == 4
    assert value["pictures"][0]["why"] == "least agreement"
    assert by_id[SAMPLES[1]]["objects"] > 0 and by_id[SAMPLES[0]]["objects"] is None
    for sample, labelled in ((SAMPLES[0], False), (SAMPLES[1], True)):
        text = (site / "images" / "mine" / f"{by_id[sample]['stem']}.js").read_text()
        drawn = json.loads(text.partition("(")[2][:-3])
        assert (drawn["true"] is not None) == labelled
        assert all((layer["kinds"] is not None) == labelled for layer in drawn["layers"])
        assert sum(len(layer["paths"]) > 0 for layer in drawn["layers"]) >= 2


def test_no_sample_is_shown_twice_where_another_run_has_its_labels(results):
    stored = StoredSamples(results)
    chosen = _chosen(results, stored, [SAMPLES[1], SAMPLES[0]])
    assert [sample for _, sample in chosen] == [SAMPLES[1], SAMPLES[0]]
    assert {reason for reason, _ in chosen} == {"least agreement"}


def test_a_site_of_one_unlabelled_run_has_pictures(results, tmp_path):
    (run,) = [r for r in results if r.model == "otsu"]
    run = replace(run, scores=run.scores.iloc[:0], unlabelled=4, unscored=4, truth="")
    report = assemble([run])
    write_site(report.cells, [run], tmp_path / "s", private=True, agreements=report.agreements)
    page = (tmp_path / "s" / "data" / "mine.html").read_text(encoding="utf-8")
    value = json.loads((tmp_path / "s" / "data" / "mine.js").read_text().partition("(")[2][:-3])
    assert len(value["pictures"]) == 4 and 'id="gallery"' in page and "plotly" not in page
    assert "Predicted objects" in page


def test_the_figure_shows_the_matrix(results):
    (one,) = agreements(results)
    figure = draw(one)
    texts = [text.get_text() for text in figure.axes[0].texts]
    n = len(one.compared)
    assert len(texts) == n * (n - 1) and f"{one.matrix[0, 1]:.2f}" in texts
    (alone,) = agreements([r for r in results if r.model == "otsu"])
    with pytest.raises(NothingToDrawError, match="no two methods"):
        draw(alone)


def test_a_report_has_the_tables_and_the_figure_and_no_other_report_has(results, tmp_path):
    write_study(assemble(results), tmp_path / "r", html=False, private=False)
    names = {path.stem for path in (tmp_path / "r").rglob("*.*")}
    there = {"agreement_mine", "runs_agreement_mine", "runs_cross_family_mine"}
    there |= {"runs_label_first_mine", "runs_predicted_objects"}
    assert there <= names
    whole = [replace(r, unlabelled=0) for r in results]
    assert agreements(whole) == [] and not {t.name for t in assemble(whole).tables} & there
