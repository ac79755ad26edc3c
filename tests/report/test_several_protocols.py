"""Runs that are scored under several protocols: a row for each, and no mean over several."""

import io
import re
import shutil

import pandas as pd
import pytest
from helpers.annotations import annotate_twice
from helpers.runs import PROTOCOLS, do, make_job, run

from benchmark.actions import evaluate, report, status
from benchmark.report.assemble import assemble
from benchmark.report.eligible import by_protocol, select_eligible
from benchmark.report.frame import frame_of_runs
from benchmark.report.results import gather
from benchmark.report.site.build import write_site
from benchmark.report.tables import formats, run_summary
from benchmark.scoring.protocol import Protocol, known_protocols
from benchmark.sweeps.state import StoredRuns

EVERY = known_protocols(Protocol(**PROTOCOLS["paper"]), ["paper", "clean"])
LISTS = ["per_data_set", "errors", "recall_by_size", "cost"]


def job_on(root, truth, protocol, name="traced", **changes):
    """A job on the drawn images with one of two annotations."""
    places = {"images": str(root / "mine" / "images"), "labels": str(root / "mine" / truth)}
    source = {"_target_": "benchmark.data.sources.FolderSource", **places}
    data = {"name": f"annot_{truth}", "split": "test", "source": source, "recipe": []}
    job = make_job(root, data=data, protocol=protocol, **changes)
    job.settings.model["name"] = name
    return job


def unnarrowed(job):
    object.__setattr__(job, "narrowed", False)
    return job


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Two methods on images with two truths, under two protocols."""
    root = tmp_path_factory.mktemp("scored")
    annotate_twice(root)
    for truth in "ab":
        for protocol in ("paper", "clean"):
            for method in ({"level": 1.0}, {"level": 1.3, "name": "other"}):
                do(job_on(root, truth, protocol, **method))
    return root


@pytest.fixture
def root(scored, tmp_path):
    shutil.copytree(scored / "results", tmp_path / "results")
    return tmp_path


@pytest.fixture
def results(scored):
    found, left_out = gather(scored / "results" / "runs", EVERY)
    assert left_out == {}
    return found


def msa(root, truth, protocol, **method):
    job = job_on(root, truth, protocol, **method)
    return {s: row["metrics"]["msa"] for s, row in job.store.scores(job.score_key).items()}


def read(table):
    return pd.read_csv(io.StringIO(formats.csv(table)), keep_default_na=False)


def test_two_truths_and_two_protocols_are_four_results_of_each_run(scored, results):
    found = {(r.model, r.data, r.protocol): r for r in results}
    assert len(found) == len(results) == 8 and all(r.present for r in results)
    for (model, data, protocol), result in found.items():
        level = {"traced": 1.0, "other": 1.3}[model]
        own = msa(scored, data[-1], protocol, level=level, name=model)
        assert result.scores["msa"].dropna().to_dict() == {
            s: v for s, v in own.items() if v is not None
        }


def test_every_table_that_lists_has_four_rows_and_tells_them_apart(results):
    tables = {table.name: table for table in assemble(results).tables}
    summary = run_summary.summary(results)
    assert len(summary) == 8 and run_summary.data_names(summary).nunique() == 4
    assert len(tables["table"].rows) == 8
    names = {f"annot_{truth}, {protocol}" for truth in "ab" for protocol in ("paper", "clean")}
    for name in LISTS:
        rows = read(tables[f"runs_{name}"])
        assert set(rows["data"]) == names, name
        assert len(rows) == (4 if name == "per_data_set" else 8)
    per_data_set = read(tables["runs_per_data_set"])
    for result in results:
        (row,) = per_data_set[per_data_set["data"] == f"{result.data}, {result.protocol}"].iloc
        assert float(row[result.method]) == pytest.approx(result.values.mean())


def test_means_ranks_and_tests_are_of_one_protocol_each(results):
    from dataclasses import replace

    from benchmark.report.options import ReportOptions

    options = replace(ReportOptions(), truth="annot_a")
    report_of_all = assemble(results, options=options)
    tables = {table.name: table for table in report_of_all.tables}
    averaging = {"means", "medians", "ranks", "tests_pairs", "tests_reference"}
    for protocol in ("paper", "clean"):
        of_one = assemble([r for r in results if r.protocol == protocol], options=options)
        alone = {table.name: table for table in of_one.tables}
        for name in averaging:
            together = tables[f"runs_{protocol}_{name}"]
            assert together.title.endswith(f", protocol {protocol}")
            pd.testing.assert_frame_equal(read(together), read(alone[f"runs_{name}"]))
    assert not {f"runs_{name}" for name in averaging} & tables.keys()
    rows = by_protocol(report_of_all.cells)
    assert [len(select_eligible(of).cells) for of in rows.values()] == [2, 2]


def test_the_truths_of_one_protocol_are_not_set_aside_for_those_of_another(results):
    """Labels that a protocol shapes are the same data set's."""
    some = [r for r in results if (r.data, r.protocol) != ("annot_b", "paper")]
    some = [r for r in some if (r.data, r.protocol) != ("annot_a", "clean")]
    assert len(some) == 4 and set(frame_of_runs(some)["set_aside"]) == {""}
    assert all(frame_of_runs(results)["set_aside"] != "")


def test_one_protocol_is_reported_as_before(results):
    paper = [r for r in results if r.protocol == "paper"]
    names = {table.name for table in assemble(paper).tables}
    assert "runs_per_data_set" in names and not any("paper" in name for name in names)


def test_the_site_has_a_row_and_a_page_for_each(results, tmp_path, blank_pictures):
    page = write_site(frame_of_runs(results), results, tmp_path / "site", private=True)
    rows = re.findall(r"<tr data-source.*?>", page.read_text(encoding="utf-8"), re.DOTALL)
    seen = {
        tuple(re.search(f'data-{key}="([^"]*)"', row)[1] for key in ("method", "data", "protocol"))
        for row in rows
    }
    assert len(rows) == 8 and seen == {(r.method, r.data, r.protocol) for r in results}
    pages = [path.read_text(encoding="utf-8") for path in (page.parent / "runs").iterdir()]
    assert len(pages) == 8
    for result in results:
        (own,) = [
            text for text in pages
            if f"data/{result.data}.html" in text and f"<h1>{result.method} " in text
            and f"<dd>{result.protocol}</dd>" in text
        ]  # fmt: skip
        assert f"{result.values.mean():.3f}" in own and f"protocol={result.protocol}" in own
    data = (page.parent / "data" / "annot_a.html").read_text(encoding="utf-8")
    for name in ("traced, paper", "traced, clean", "other, paper", "other, clean"):
        assert f">{name}</a>" in data
    assert "of another split, of images" in data, "outlines are of one truth and protocol"


def test_status_has_a_row_for_each_and_counts_what_remains_once(scored, capsys):
    assert status.perform(unnarrowed(job_on(scored, "a", "paper"))) == 0
    shown = capsys.readouterr().out
    rows = [re.split(r" *│ *", line)[1:-1] for line in shown.splitlines() if "annot_" in line]
    assert len(rows) == 8
    assert {(row[1], row[2], row[3]) for row in rows} == {
        (model, f"annot_{truth}", protocol)
        for model in ("traced", "other") for truth in "ab" for protocol in ("paper", "clean")
    }  # fmt: skip
    assert {tuple(row[4:9]) for row in rows} == {("4", "4", "4", "0", "done")}
    assert status.perform(job_on(scored, "a", "paper")) == 0
    narrowed = capsys.readouterr().out
    assert narrowed.count("│ paper ") == 4 and "clean" not in narrowed


def test_status_of_a_protocol_that_scores_only_some_is_partial(root, scored, capsys):
    shutil.copytree(scored / "datasets", root / "datasets")
    shutil.copytree(scored / "mine", root / "mine")
    job = job_on(root, "a", "clean", level=1.0)
    for path in (job.store.path / "scores" / job.score_key).glob("*.jsonl"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    status.perform(unnarrowed(job))
    rows = [re.split(r" *│ *", line)[1:-1] for line in capsys.readouterr().out.splitlines()
            if re.search("traced +│ annot_a", line)]  # fmt: skip
    assert [row[3:9] for row in rows if row[3] == "clean"] == [
        ["clean", "4", "4", "3", "0", "partial"]
    ]
    assert [row[8] for row in rows if row[3] == "paper"] == ["done"]


def test_status_tells_labels_apart_that_were_replaced_under_one_name(root, scored):
    shutil.copytree(scored / "mine", root / "mine")
    for truth in "ab":
        job = job_on(root, truth, "paper", level=1.7)
        job.settings.data["name"] = "replaced"
        do(job)
    rows = StoredRuns(job.runs, 300).rows_of(job.store, EVERY)
    digests = [job_on(root, truth, "paper").data.labels_digest()[:6] for truth in "ab"]
    assert {row.data for row in rows} == {f"replaced, labels {digest}" for digest in digests}


def test_what_remains_of_a_run_is_counted_once(root, capsys, scored):
    shutil.copytree(scored / "datasets", root / "datasets")
    shutil.copytree(scored / "mine", root / "mine")
    for protocol in ("paper", "clean"):
        do(job_on(root, "a", protocol, limit=2, level=1.7))
    job = job_on(root, "a", "paper", level=1.7)
    rows = StoredRuns(job.runs, 300).rows_of(job.store, EVERY)
    assert [row.protocol for row in rows] == ["clean", "paper"]
    assert [row.remaining for row in rows] == [2, 0]


def test_a_report_shows_all_protocols_unless_one_is_chosen(root, scored, blank_pictures, capsys):
    job = job_on(root, "a", "paper")
    assert report.perform(unnarrowed(job)) == 0
    folder = root / "results" / "reports" / "all-protocols"
    assert pd.read_csv(folder / "table.csv")["protocol"].value_counts().to_dict() == {
        "paper": 4, "clean": 4
    }  # fmt: skip
    assert {path.name for path in (folder / "figures").iterdir()} == {"paper", "clean"}
    for protocol in ("paper", "clean"):
        assert (folder / "figures" / protocol / "msa_per_data_set.png").exists()
        assert report.perform(job_on(root, "a", protocol)) == 0
        of_one = pd.read_csv(root / "results" / "reports" / protocol / "table.csv")
        assert list(of_one["protocol"]) == [protocol] * 4


def test_the_last_protocol_hides_no_other(tmp_path, blank_pictures):
    for protocol in ("paper", "clean"):
        assert run(tmp_path, f"protocol={protocol}").returncode == 0
    for protocol in ("paper", "clean"):
        done = run(tmp_path, "action=report", f"protocol={protocol}")
        assert done.returncode == 0, done.stderr
        rows = pd.read_csv(tmp_path / "results" / "reports" / protocol / "table.csv")
        assert list(rows["protocol"]) == [protocol]
    done = run(tmp_path, "action=report")
    assert done.returncode == 0, done.stderr
    assert "synthetic, paper" in done.stdout and "synthetic, clean" in done.stdout
    shown = run(tmp_path, "action=status").stdout
    assert "│ paper " in shown and "│ clean " in shown


def test_a_report_of_runs_under_one_protocol_has_its_name(tmp_path, blank_pictures):
    run(tmp_path, "protocol=clean")
    assert run(tmp_path, "action=report").returncode == 0
    assert [path.name for path in (tmp_path / "results" / "reports").iterdir()] == ["clean"]
    done = run(tmp_path, "action=report", "protocol=paper")
    assert done.returncode == 2 and "under protocol 'paper'" in done.stderr


def test_a_protocol_with_another_switch_is_named_by_it(tmp_path, blank_pictures):
    run(tmp_path)
    run(tmp_path, "action=evaluate", "protocol.threshold_grid=exact")
    run(tmp_path, "action=report")
    table = pd.read_csv(tmp_path / "results" / "reports" / "all-protocols" / "table.csv")
    assert list(table["protocol"]) == ["paper", "paper (threshold_grid=exact)"]


@pytest.mark.parametrize(
    ("switches", "name"),
    [
        ({"threshold_grid": "drifting", "both_empty": "zero"}, "paper"),
        ({"threshold_grid": "exact", "both_empty": "exclude"}, "clean"),
        ({"threshold_grid": "exact", "both_empty": "exclude", "cut_objects": "split"}, "clean"),
        ({"threshold_grid": "drifting", "both_empty": "zero", "cut_objects": "split"},
         "paper (cut_objects=split)"),
        ({"threshold_grid": "exact", "both_empty": "zero"}, "paper (threshold_grid=exact)"),
        ({"threshold_grid": "exact", "both_empty": "other"}, None),
        ({"threshold_grid": "exact", "both_empty": ["zero"]}, None),
        ({"threshold_grid": "exact"}, None),
        ({"threshold_grid": "exact", "both_empty": "zero", "name": "x"}, None),
        ({"threshold_grid": "exact", "both_empty": "zero", "new": "x"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_scores_are_named_by_the_protocol_that_made_them(switches, name):
    found = EVERY.of(switches)
    assert (found and found.name) == name
    assert found is None or found.made(switches)


def test_an_evaluation_under_another_protocol_adds_a_row(root, scored):
    shutil.copytree(scored / "datasets", root / "datasets")
    shutil.copytree(scored / "mine", root / "mine")
    do(job_on(root, "a", "paper", level=1.7))
    before = len(gather(root / "results" / "runs", EVERY)[0])
    evaluate.perform(job_on(root, "a", "clean", level=1.7))
    assert len(gather(root / "results" / "runs", EVERY)[0]) == before + 1


def test_labels_that_a_protocol_shapes_hide_no_other_protocol(root, scored):
    """Under one name, `paper` with one truth and then `clean` with another."""
    shutil.copytree(scored / "mine", root / "mine")
    for truth, protocol in (("a", "paper"), ("b", "clean")):
        job = job_on(root, truth, protocol, level=1.7)
        job.settings.data["name"] = "shaped"
        do(job)
    runs = root / "results" / "runs"
    for protocols in (EVERY, *EVERY.known):
        found = [r for r in gather(runs, protocols)[0] if r.data == "shaped"]
        wanted = {"paper", "clean"} if protocols is EVERY else {protocols.name}
        assert {r.protocol for r in found} == wanted and all(r.present for r in found)
        assert set(frame_of_runs(found)["set_aside"]) == {""}
