"""Anyone chooses whom a report compares: `comparison.reference=`, `comparison.pairs=`."""

import pandas as pd
import pytest
from helpers.runs import do, drawn, make_job

from benchmark.actions import report
from benchmark.errors import UsageError
from benchmark.settings import ComparisonSettings, Settings, Source


@pytest.fixture
def job(root, blank_pictures):
    """A job whose folder of runs holds two methods."""
    do(make_job(root))
    job = make_job(root, level=1.2)
    job.settings.model["name"] = "other"
    do(job)
    return job


def table(root, name):
    return pd.read_csv(root / "results" / "reports" / "paper" / "tables" / f"{name}.csv")


def test_a_reference_and_pairs_of_ones_own(root, job):
    do(make_job(root, data=drawn(seed=1) | {"name": "second"}))
    job.settings.comparison = ComparisonSettings("traced", [["traced", "other"]])
    assert report.perform(job) == 0
    rows = table(root, "runs_duels")
    assert list(rows["a"]) == ["traced"] and list(rows["b"]) == ["other"]
    assert set(table(root, "runs_tests_reference")["a"]) == {"traced"}


def test_pairs_on_one_data_set_alone_are_a_note_and_no_table(root, job, capsys):
    job.settings.comparison = ComparisonSettings("traced", [["traced", "other"]])
    assert report.perform(job) == 0
    assert "comparison.pairs counts wins over data sets" in capsys.readouterr().err
    tables = root / "results" / "reports" / "paper" / "tables"
    assert not (tables / "runs_duels.csv").exists() and (tables / "runs_verdict.md").exists()


def test_without_them_the_reference_is_the_first_by_name(root, job):
    assert report.perform(job) == 0
    assert set(table(root, "runs_tests_reference")["a"]) == {"other"}
    assert not (root / "results/reports/paper/tables/runs_duels.csv").exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (ComparisonSettings("tracd"), ("comparison.reference", "tracd", "traced")),
        (ComparisonSettings(None, [["traced", "otsu"]]), ("comparison.pairs", "otsu")),
        (ComparisonSettings(None, ["traced", "otsu"]), ("comparison.pairs", "[[apg,otsu]")),
        (ComparisonSettings(None, [["a", "b", "c"]]), ("comparison.pairs", "[[apg,otsu]")),
        (ComparisonSettings(None, "traced"), ("comparison.pairs holds 'traced'", "[[apg,otsu]")),
        (ComparisonSettings(None, [["traced", "traced"]]), ("comparison.pairs", "'traced'")),
        (ComparisonSettings(None, [[1, 2]]), ("comparison.pairs", "[[apg,otsu]")),
        (ComparisonSettings(None, [["", "other"]]), ("comparison.pairs", "[[apg,otsu]")),
    ],
)
def test_a_slip_is_refused_before_anything_is_written(root, job, settings, named):
    job.settings.comparison = settings
    with pytest.raises(UsageError) as error:
        report.perform(job)
    assert all(word in str(error.value) for word in named)
    assert not (root / "results" / "reports").exists()


@pytest.mark.slow
def test_the_former_name_of_study_ranks_works_with_a_note(root, job, capsys):
    job.settings.source, job.settings.tieless = Source.published, False
    assert report.perform(job) == 0
    assert "study_ranks" in capsys.readouterr().err
    tables = root / "results" / "reports" / "published" / "tables"
    assert not (tables / "published_ranks_tieless.csv").exists()
    assert Settings.study_ranks is Settings.tieless is None
