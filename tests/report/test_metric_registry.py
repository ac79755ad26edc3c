"""A metric is added by one line in the registry, and reports rank and draw by it."""

import pandas as pd
import pytest
from helpers.runs import do, make_job

from benchmark.actions import evaluate, report
from benchmark.errors import PARTIAL, UsageError
from benchmark.report.figures import methods, pareto
from benchmark.report.results import gather
from benchmark.report.tables.numbers import head_to_head
from benchmark.scoring import metrics
from benchmark.scoring.match import match
from benchmark.scoring.metrics import METRICS, Metric, find_metric
from benchmark.settings import Source


def count_error(of):
    return abs(of.n_predicted - of.n_true) / max(of.n_true, 1)


COUNT_ERROR = Metric("count_error", "relative count error", count_error, higher_is_better=False)


@pytest.fixture
def job(root, blank_pictures):
    """A job whose folder of runs holds two methods, the second with more objects."""
    do(make_job(root))
    job = make_job(root, level=1.3)
    job.settings.model["name"] = "other"
    do(job)
    return job


def table(root, folder, name):
    found = root / "results" / "reports" / folder / "tables" / f"{name}.csv"
    return pd.read_csv(found)


def test_a_report_ranks_and_draws_by_a_metric_of_ours(root, job):
    job.settings.metric = "pq"
    assert report.perform(job) == 0
    folder = root / "results" / "reports" / "paper-pq"
    summary = pd.read_csv(folder / "table.csv")
    results, _ = gather(job.runs, job.protocol)
    for result in results:
        (own,) = summary.loc[summary["run_id"] == result.run_id, "pq"]
        assert own == pytest.approx(result.scores["pq"].mean())
    assert summary["pq"].is_monotonic_decreasing
    assert "panoptic quality" in (folder / "table.md").read_text()
    assert (folder / "figures" / "pq_per_data_set.png").exists()
    reference = table(root, "paper-pq", "runs_tests_reference")
    means = {result.model: result.scores["pq"].mean() for result in results}
    assert reference["mean a"].item() == pytest.approx(means[reference["a"].item()])
    assert "p (the study's test)" not in reference or reference["p (the study's test)"].isna().all()


def test_one_line_adds_a_metric_and_stored_predictions_are_scored_again(root, job, monkeypatch):
    keys = job.score_key
    monkeypatch.setitem(METRICS, "count_error", COUNT_ERROR)
    job.settings.metric = "count_error"
    results, left_out = gather(job.runs, job.protocol, job.metric)
    assert not results and all("action=evaluate" in reason for reason in left_out.values())
    plain = make_job(root)
    for made in (plain, job):
        made.__dict__.pop("score_basis", None)
        assert evaluate.perform(made) == 0
    assert job.score_key != keys
    assert report.perform(job) == 0
    summary = pd.read_csv(root / "results/reports/paper-count_error/table.csv")
    assert summary["count_error"].is_monotonic_increasing, "the lowest is the best"
    (result, *_), _ = gather(job.runs, job.protocol, job.metric)
    expected = (result.scores["n_predicted"] - result.scores["n_true"]).abs()
    expected /= result.scores["n_true"].clip(lower=1)
    pd.testing.assert_series_equal(result.values, expected, check_names=False)


def test_a_removed_metric_leaves_the_scores_of_before(root, job, monkeypatch):
    before = job.score_key
    with monkeypatch.context() as added:
        added.setitem(METRICS, "count_error", COUNT_ERROR)
        assert make_job(root).score_key != before
    assert make_job(root).store.score_bases() and job.score_key == before
    assert len(gather(job.runs, job.protocol)[0]) == 2


def test_a_new_version_of_an_added_metric_has_scores_of_its_own(monkeypatch):
    versions = []
    for version in (1, 2):
        metric = Metric("x", "x", count_error, version=version)
        monkeypatch.setitem(METRICS, "x", metric)
        versions.append(metrics.metrics_version())
    assert versions[0] != versions[1]


def test_an_unknown_metric_is_refused_with_the_names(job):
    job.settings.metric = "msaa"
    with pytest.raises(UsageError, match=r"'msaa'.*'msa'.*pq"):
        report.perform(job)


def test_the_study_has_numbers_of_its_own_metric_alone(root, job):
    job.settings.metric, job.settings.source = "pq", Source.both
    with pytest.raises(UsageError, match="source=runs"):
        report.perform(job)
    assert not (root / "results" / "reports").exists()


def test_where_lower_is_better_the_lowest_wins():
    index = pd.MultiIndex.from_product([["synthetic"], list("xyz")], names=["modality", "data"])
    matrix = pd.DataFrame({"a": [0.1, 0.2, 0.5], "b": [0.3, 0.2, 0.6]}, index)
    found = head_to_head(matrix, "a", "b", COUNT_ERROR.sign)
    assert (found.wins, found.losses, found.ties) == (2, 0, 1)
    frame = pd.DataFrame(
        {"label": ["a", "b"], "group": ["x", "x"], "score": [0.1, 0.3], "control": [False, False]}
    )
    assert methods.order(frame, COUNT_ERROR) == ["a", "b"]
    points = pd.DataFrame({"score": [0.1, 0.3, 0.2], "seconds": [2.0, 1.0, 3.0]}, list("abc"))
    assert pareto.front(points, COUNT_ERROR.sign) == ["b", "a"]


def test_every_metric_has_a_name_and_a_title_of_its_own():
    assert all(name == metric.name for name, metric in METRICS.items())
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)
    assert find_metric("sa75").title == "SA75"


def test_the_metrics_of_an_image_are_those_of_the_registry(tiny_protocol):
    import numpy as np

    true, predicted = np.zeros((2, 8, 8), np.int32)
    true[:4, :4] = predicted[:4, 1:4] = 1
    found = metrics.score(match(true, predicted), tiny_protocol).metrics
    assert list(found)[: len(METRICS)] == list(METRICS)
    assert found["pq"] == pytest.approx(0.75) and found["sa75"] == 1 and found["sa80"] == 0


@pytest.fixture
def tiny_protocol():
    from benchmark.scoring.protocol import Protocol

    return Protocol("clean", "exact", "exclude")


def fails_on(sample_objects):
    """A metric that fails on the images with so many true objects."""

    def function(of):
        if of.n_true == sample_objects:
            raise ZeroDivisionError("division by zero")
        return 0.5

    return Metric("fragile", "fragile metric", function)


def test_a_metric_that_fails_on_one_image_is_a_failure_of_that_sample(root, monkeypatch, capsys):
    entries = make_job(root).data.entries
    (bad,) = [e for e in entries if [o.objects for o in entries].count(e.objects) == 1][:1]
    monkeypatch.setitem(METRICS, "fragile", fails_on(bad.objects))
    outcome = do(make_job(root, max_failures=1))
    assert (outcome.done, list(outcome.failed)) == (len(entries) - 1, [bad.id])
    assert "metric 'fragile' failed: ZeroDivisionError" in outcome.failed[bad.id]
    assert f"sample '{bad.id}' failed: " in capsys.readouterr().err
    job = make_job(root, max_failures=1)
    assert len(job.store.completed()) == len(entries), "the prediction is stored"
    again = do(job)  # scores what is stored, and nothing is predicted again
    assert (again.done, list(again.failed)) == (len(entries) - 1, [bad.id])
    assert len(job.store.attempts()) == 1
    assert evaluate.perform(job) == PARTIAL
    monkeypatch.setitem(METRICS, "fragile", fails_on(-1))
    assert do(make_job(root)).complete


def test_a_metric_that_fails_stops_a_run_that_allows_no_failure(root, monkeypatch):
    monkeypatch.setitem(METRICS, "fragile", Metric("fragile", "fragile", lambda of: 1 / 0))
    outcome = do(make_job(root))
    assert outcome.stopped is not None and "metric 'fragile' failed" in outcome.stopped
