"""One's own numbers beside the study's: deltas, signs, ranks, and what is not alike."""

import numpy as np
import pytest
from helpers.reports import run
from helpers.study_tables import some

from benchmark.paper.agreement import (
    beside_published,
    rank_correlation,
    sign_agreement,
    weights_name,
)
from benchmark.paper.agreement_tables import agreement_tables
from benchmark.paper.card import study_card
from benchmark.paper.published import published_frame
from benchmark.paper.report import beside, study_options
from benchmark.report.assemble import assemble
from benchmark.report.frame import frame_of_rows


@pytest.fixture(scope="module")
def published():
    return published_frame()


def own(published, methods=("apg", "musam_ais", "cellsam"), data=("u20s", "dsb"), **changes):
    """Runs that give exactly the study's numbers; `changes` of all of them."""
    rows = published[published["key"].isin(methods) & published["data"].isin(data)]
    made = []
    for r in rows.to_dict("records"):
        about = {**r, "source": "runs", "run": f"{r['key']}-{r['data']}", "mark": "verified",
                 "run_id": f"{r['key']}-{r['data']}", "result": f"{r['key']}-{r['data']}",
                 "groups": 9, "images_id": "1"}  # fmt: skip
        made.append(about | changes)
    return frame_of_rows(made)


def test_the_same_numbers_differ_in_nothing(published):
    found = beside_published(published, own(published))
    assert len(found) == 6 and (found["delta"] == 0).all()
    assert set(found["differs"]) == {()}
    assert sign_agreement(found, "apg", "musam_ais") == (2, 2)
    correlation = rank_correlation(found)
    assert (correlation.rho, correlation.methods, correlation.sets) == (pytest.approx(1), 3, 2)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"protocol": "clean"}, "protocol"), ({"split": "val"}, "split"),
     ({"weights": "user 1a2b", "mark": "user"}, "weights"), ({"images": 3}, "3 images, theirs 172"),
     ({"status": "partial (3 of 172)"}, "not all images are done")],
)  # fmt: skip
def test_what_differs_is_marked_and_apart_from_what_is_alike(published, change, word):
    runs = own(published, **change)
    found = beside_published(published, runs).set_index(["data", "key"])["differs"]
    assert word in found["u20s", "apg"]
    numbers, agreement = agreement_tables(published, runs)
    assert all("differs" in line[6].marks for line in numbers.rows)
    both = [[cell.text for cell in line[2:4]] for line in agreement.rows if line[1].text == "all"]
    assert both == [["n/a", "0"], ["2", "2"]]


SELECTION = {
    "search": "", "model": "apg", "config": "apg", "default_run": "", "data": "u20s",
    "split": "val", "limit": 25, "images": 25, "groups": 9, "left_out_images": 0,
    "left_out_groups": 0, "tested_images": 1, "tested_groups": 1, "trained": False,
    "grid": "study", "metric": "msa", "rule": "best", "default": {"min_size": 25},
    "chosen": {"min_size": 50}, "promised": 0.1, "lower": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("with_study", (True, False))
def test_a_run_tuned_as_the_study_did_fills_its_column(with_study):
    runs = [
        run("apg", "u20s", config="apg"),
        run("apg, tuned on 25 val images", "u20s", config="apg", selection=SELECTION),
        run("apg, tuned safely", "u20s", config="apg", selection={**SELECTION, "rule": "safe"}),
    ]
    report = assemble(runs, options=study_options())
    keys = list(report.cells["key"])
    assert keys[1] == study_card().name_of("apg_cc_grid_search") and keys[2] not in keys[:2]
    assert list(report.cells["seen"]) == [False, True, True]
    if with_study:
        both = beside(report)
        (table,) = [t for t in both.tables if t.name == "beside"]
        texts = {line[1].text: [line[5].text, line[7].text] for line in table.rows}
        assert texts["apg, tuned on 25 val images"][0] != "n/a"
        assert texts["apg, tuned safely"] == ["n/a", "no method of the study"]
    else:
        assert list(report.cells["variant_of"])[1] == "apg"


def test_an_unknown_number_of_images_is_said_and_is_no_difference(published):
    runs = own(published, data=("usiigaci",), images=15)
    assert set(beside_published(published, runs)["differs"]) == {("number of images unknown",)}
    _, agreement = agreement_tables(published, runs)
    assert [cell.text for cell in agreement.rows[0][2:4]] == ["1", "1"]


def test_signs_and_ranks_tell_two_sources_apart(published):
    runs = own(published)
    turned = runs.assign(score=1 - runs["score"])
    found = beside_published(published, turned)
    assert sign_agreement(found, "apg", "musam_ais") == (2, 0)
    assert rank_correlation(found).rho == pytest.approx(-1)
    assert np.isnan(rank_correlation(found[found["key"] != "cellsam"]).rho)  # two methods
    assert np.isnan(rank_correlation(found.assign(score=0.5)).rho)  # nothing to rank


def test_demo_weights_are_beside_the_study_only_where_asked_for(published):
    runs = own(published, mark="demo", weights="demo_vit")
    numbers, _ = agreement_tables(published, runs)
    assert not numbers.rows and "with_demo=true" in numbers.notes[-1]
    numbers, _ = agreement_tables(published, runs, with_demo=True)
    assert len(numbers.rows) == 6
    assert all("demo" in line[2].marks and "weights" in line[7].text for line in numbers.rows)


def test_methods_that_are_not_the_studys_have_no_delta(published):
    numbers, _ = agreement_tables(
        published, frame_of_rows([some("otsu"), some("oracle", control=True)])
    )
    assert [(line[1].text, line[6].text, line[7].text) for line in numbers.rows] == [
        ("oracle", "n/a", "a control"), ("otsu", "n/a", "no method of the study"),
    ]  # fmt: skip


def test_weights_by_their_card():
    assert weights_name("vit_b_histopathology (PathoSAM)") == "vit_b_histopathology"
    assert weights_name("cpsam, digest unconfirmed") == "cpsam"
    assert weights_name("cpsam_v2") == "cpsam_v2"
