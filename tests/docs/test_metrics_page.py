"""docs/metrics.md: its examples are run, and what it says of other tools is compared with them."""

import doctest
import os
import re

import numpy as np
import pytest
from cases import CLEAN, PAPER, label_pairs, repeatable
from helpers.command_line import main
from helpers.pages import CHECKOUT, blocks
from helpers.reports import run
from helpers.scores import COUNTS, metrics
from hypothesis import given
from pytest import approx
from skimage.segmentation import relabel_sequential
from tifffile import imread

from benchmark.report.frame import frame_of_runs
from benchmark.report.tables import run_summary
from benchmark.report.tables.per_data_set import per_data_set
from benchmark.report.tables.table import all_notes
from benchmark.scoring.match import match
from benchmark.scoring.metrics import GLOSSARY, METRICS
from benchmark.store.store import RunStore

PAGE = "docs/metrics.md"


def strict_pq(true, predicted):
    """Panoptic quality as Kirillov et al. define it: a match has an IoU above 0.5."""
    found = match(true, predicted)
    ious = found.iou[found.iou > 0.5]
    objects = len(found.true) + len(found.predicted)
    return 2 * ious.sum() / objects if len(ious) else 0.0


def cellpose_aji(true, predicted):
    cellpose = pytest.importorskip("cellpose.metrics")
    true, predicted = (relabel_sequential(labels.astype(int))[0] for labels in (true, predicted))
    return cellpose.aggregated_jaccard_index([true], [predicted])[0]


def test_the_examples_give_what_the_page_says():
    text = "\n".join(block.text for block in blocks(PAGE) if block.language == "python")
    examples = doctest.DocTestParser().get_doctest(text, {}, PAGE, PAGE, 0)
    assert len(examples.examples) > 20
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_tables_name_the_page():
    results = [run("a"), run("b")]
    summary = run_summary.markdown(run_summary.summary(results))
    cells = all_notes(per_data_set(frame_of_runs(results)))
    assert GLOSSARY == PAGE and PAGE in summary and PAGE in " ".join(cells)


def test_every_metric_is_in_the_table():
    rows = re.findall(r"^\| (`.*?) \|", (CHECKOUT / PAGE).read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    every = set(metrics(*np.zeros((2, 1, 1), int)))
    between = {name for name in every if re.fullmatch(r"sa\d\d", name)}  # `sa50`, `sa55`, ...
    assert named | between == every
    first, *_, last = METRICS
    assert (first, last) == ("msa", "msa_tolerant"), "as the page says"
    assert every - METRICS.keys() == set(COUNTS)


@repeatable
@given(label_pairs())
def test_pq_differs_from_kirillovs_only_by_pairs_at_exactly_one_half(labels):
    ours, theirs = metrics(*labels, PAPER)["pq"], strict_pq(*labels)
    if (match(*labels).iou == 0.5).any():
        assert ours > theirs
    else:
        assert ours == approx(theirs)


@repeatable
@given(label_pairs())
def test_accuracy_follows_from_f1(labels):
    found = metrics(*labels, PAPER)
    assert found["sa50"] == approx(found["f1"] / (2 - found["f1"]))


def test_cellpose_has_another_aji_and_the_same_counts():
    cellpose = pytest.importorskip("cellpose.metrics")
    true, predicted = np.array([[1] * 6 + [0] * 4]), np.array([[1] * 4 + [2] * 3 + [0] * 3])
    assert metrics(true, predicted)["aji"] == approx(4 / 9)
    assert cellpose_aji(true, predicted) == approx(4 / 7)
    halves = np.array([[0] + [1] * 4 + [2] * 4]), np.array([[0] + [1] * 8])
    for pair in ((true, predicted), halves):
        accuracy, matched, *_ = cellpose.average_precision(*pair, threshold=[0.5])
        assert (matched[0], accuracy[0]) == (metrics(*pair)["matched"], metrics(*pair)["sa50"])


def test_images_without_objects_score_as_in_the_table():
    nothing, something = np.zeros((1, 5), int), np.array([[0, 1, 1, 1, 0]])
    for pair in ((nothing, something), (something, nothing), (nothing, nothing)):
        for protocol in (PAPER, CLEAN):
            found = metrics(*pair, protocol)
            counts = set(COUNTS)
            assert all(type(found[name]) is int for name in counts)
            undefined = {name for name, value in found.items() if value is None}
            left_out = protocol is CLEAN and pair[0] is pair[1]
            assert undefined == (found.keys() - counts if left_out else {"mean_matched_iou"})
            assert not any(value for name, value in found.items() if name not in counts)


@pytest.mark.slow
def test_the_numbers_measured_on_dsb(tmp_path):
    root = os.environ.get("BENCHMARK_DATA")
    if not root:
        pytest.skip("BENCHMARK_DATA does not name a folder with the public data sets")
    done = main(tmp_path, "model=otsu", "data=dsb", without=(), BENCHMARK_DATA=root)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "results" / "runs").iterdir()
    truths = {path.name: path for path in (tmp_path / "datasets").rglob("labels/*.tif")}
    store, found = RunStore(run), []
    for record in store.records().values():
        predicted = store.prediction(record)
        true = imread(truths[f"{record.sample}.tif"])
        ours = metrics(true, predicted, PAPER)
        found.append(
            [ours["pq"], strict_pq(true, predicted), ours["aji"], cellpose_aji(true, predicted)]
        )
    table = np.array(found)
    assert len(table) == 50
    assert (abs(table[:, 0] - table[:, 1]) > 1e-9).sum() == 4
    assert [f"{value:.4f}" for value in table[:, :2].mean(axis=0)] == ["0.7138", "0.7129"]
    assert [f"{value:.3f}" for value in table[:, 2:].mean(axis=0)] == ["0.723", "0.774"]
