"""`action=report`: from stored runs and published numbers to a folder, and what it refuses."""

import json
import os
import shutil

import pytest
from helpers.command_line import main
from helpers.runs import SAMPLES, do, make_job, tree

from benchmark.cli.main import help_text
from benchmark.errors import StoreError
from benchmark.paper.report import beside
from benchmark.report import figures, pictures
from benchmark.report.assemble import assemble
from benchmark.report.eligible import select_eligible
from benchmark.report.frame import frame_of_runs
from benchmark.report.results import gather
from benchmark.report.tables.over_data_sets import average_table
from benchmark.report.write import write_report, write_study
from benchmark.scoring.protocol import Protocol
from benchmark.settings import Source
from benchmark.store.identity import written
from benchmark.store.owned import LIST
from benchmark.store.skipped import SkippedModel

PAPER = Protocol("paper", "drifting", "zero")


def test_the_published_tables_come_by_one_command(published):
    report, done = published
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "APG 0.541 0.344 0.518 0.398" in lines
    assert "CellPoseSAM 0.544 0.363 0.483 0.418" in lines
    assert "CellPoseSAM 1.33 1.67 3.11 1.89" in lines and "APG 2.11 2.89 1.67 2.33" in lines
    assert "CellPoseSAM 1.33 1.67 3.00 1.89" in lines  # averaged ties beside them
    tables = report / "tables"
    names = {path.stem for path in tables.iterdir()}
    topics = ("per_data_set", "means", "medians", "ranks", "ranks_tieless", "duels", "ablation")
    assert names >= {f"published_{topic}" for topic in (*topics, "domain")}
    for name in names:
        for suffix in ("csv", "md", "tex"):
            assert (tables / f"{name}.{suffix}").stat().st_size > 100
    per_data = (tables / "published_per_data_set.csv").read_text()
    assert per_data.count("not reported") == 19 + 36
    assert len(list((report / "figures").glob("*.pdf"))) >= 3


def test_without_a_run_or_with_a_slip_there_is_one_message(tmp_path):
    empty = main(tmp_path, "action=report")
    assert empty.returncode == 2 and "no run in" in empty.stderr
    assert main(tmp_path, "action=report", "source=publishd").returncode == 2


@pytest.mark.slow
@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
def test_real_runs_beside_the_study(tmp_path):
    words = ["data.split=all", "data.download=false", "limit=6"]
    for data in ("u20s", "usiigaci"):
        for model in ("otsu", "oracle"):
            done = main(tmp_path, f"model={model}", f"data={data}", *words, without=())
            assert done.returncode == 0, done.stderr
    done = main(tmp_path, "action=report", "source=both", without=())
    assert done.returncode == 0, done.stderr
    report = tmp_path / "results" / "reports" / "paper-and-published"
    beside = (report / "tables" / "beside.md").read_text()
    for words in ("| U20S | otsu |", "| Usiigaci | otsu |", "no method of the study", "a control"):
        assert words in beside
    per_data = (report / "tables" / "runs_per_data_set.md").read_text()
    assert "(6 of " in per_data and "**" not in per_data  # partial runs are never the best
    assert not (report / "tables" / "runs_means.md").exists()  # nor averaged
    assert (report / "tables" / "published_means.md").exists() and (report / "table.md").exists()
    assert (report / "tables" / "runs_recall_by_size.csv").read_text().count("\n") == 5


# --- runs that are marked or refused ----------------------------------------------------


def tables_of(root):
    results, left_out = gather(root / "results" / "runs", PAPER)
    report = assemble(results, (), left_out)
    return {table.name: table for table in report.tables}, results, left_out


def averaged(results):
    return average_table(select_eligible(frame_of_runs(results)), "mean")


def test_a_whole_run_is_averaged_and_a_deleted_record_makes_it_partial(root):
    job = make_job(root)
    do(job)
    _, results, _ = tables_of(root)
    assert averaged(results).rows[0][0].text == "traced"
    (journal,) = (job.store.path / "records").glob("*.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[1:]))
    tables, (result,), _ = tables_of(root)
    assert result.status == f"partial (3 of {len(SAMPLES)})"
    assert averaged([result]) is None
    (line,) = tables["runs_per_data_set"].rows
    assert line[2].marks == ("3 of 4",) and line[2].place == 0


@pytest.mark.slow
def test_a_skipped_method_stands_in_the_report_of_the_others(root, tmp_path, blank_pictures):
    do(make_job(root))
    results, left_out = gather(root / "results" / "runs", PAPER)
    skips = [
        SkippedModel("cellsam", name, name, "synthetic", "paper", "no token")
        for name in ("drawn", "x")
    ]
    report = beside(assemble(results, skips, left_out))
    tables = {table.name: table for table in report.tables}
    assert "cellsam on drawn: no token" in " ".join(tables["runs_per_data_set"].notes)
    assert [row[0].text for row in tables["runs_cost"].rows] == ["traced"]
    write_study(report, tmp_path / "out", html=True, private=False)
    page = (tmp_path / "out" / "site" / "data" / "x.html").read_text()
    assert "No image has a score here" in page and "published means" not in page
    write_study(report, tmp_path / "out", html=False, private=False)
    assert not (tmp_path / "out" / "site").exists(), "it would be older than the tables"


THEIRS = ("tables/mine.xlsx", "figures/final.ai", "overlays/mine.png", "site/index.html", "n.txt")


def put_theirs(folder):
    for name in THEIRS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


@pytest.mark.parametrize("listed", [True, False], ids=["with a list", "of an earlier version"])
def test_a_report_removes_nothing_that_is_not_its_own(root, tmp_path, listed, blank_pictures):
    do(make_job(root))
    results, _ = gather(root / "results" / "runs", PAPER)
    folder = tmp_path / "out"
    write_study(assemble(results), folder, html=False, private=False)
    first = tree(folder)
    put_theirs(folder)
    if not listed:
        (folder / LIST).unlink()
    write_study(assemble(results), folder, html=False, private=False)
    assert tree(folder) == first | dict.fromkeys(THEIRS, b"mine")
    with pytest.raises(StoreError, match=r"site/index\.html.* Move them away"):
        write_study(assemble(results), folder, html=True, private=False)
    assert tree(folder) == first | dict.fromkeys(THEIRS, b"mine")
    (folder / "site" / "index.html").unlink()
    write_study(assemble(results), folder, html=True, private=False)
    assert (folder / "site" / "data" / "drawn.html").exists()
    assert all((folder / name).read_text() == "mine" for name in THEIRS if "site" not in name)


@pytest.mark.parametrize("listed", [True, False], ids=["with a list", "of an earlier version"])
def test_the_report_of_a_run_removes_nothing_that_is_not_its_own(root, listed, blank_pictures):
    job = make_job(root)
    do(job)
    (result,), _ = gather(root / "results" / "runs", PAPER)
    folder = write_report([result], job.store.path / "report")
    first = tree(folder)
    assert len(first) > 4
    put_theirs(folder)
    (folder / "overlays" / "mine.tmp").write_text("mine")
    if not listed:
        (folder / LIST).unlink()
    write_report([result], folder)
    theirs = dict.fromkeys((*THEIRS, "overlays/mine.tmp"), b"mine")
    assert tree(folder) == first | theirs


def test_a_report_that_fails_leaves_the_one_before(root, tmp_path, monkeypatch, blank_pictures):
    job = make_job(root)
    do(job)
    (result,), _ = gather(root / "results" / "runs", PAPER)
    study, run = tmp_path / "reports" / "out", job.store.path / "report"
    write_study(assemble([result]), study, html=True, private=False)
    write_report([result], run)
    before = tree(study), tree(run), {path.name for path in run.parent.iterdir()}
    monkeypatch.setattr(figures, "draw_all", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(pictures, "overlay", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_study(assemble([result]), study, html=True, private=False)
    with pytest.raises(ZeroDivisionError):
        write_report([result], run)
    assert (tree(study), tree(run), {path.name for path in run.parent.iterdir()}) == before
    assert [path.name for path in study.parent.iterdir()] == ["out"]


def test_a_run_of_another_protocol_is_left_out_and_named(root):
    do(make_job(root, protocol="clean"))
    job = make_job(root, target="helpers.segmenters.Traced", level=3)
    do(job)
    tables, results, left_out = tables_of(root)
    # One run, scored twice, is no other run.
    assert len(results) == 1 and len(left_out) == 1
    (name, reason), *_ = left_out.items()
    assert "another protocol" in reason
    assert f"Left out: {name}, as {reason}." in tables["table"].notes


def test_untrained_weights_are_left_out_and_named(root):
    job = make_job(root)
    do(job)
    path = job.store.path / "run.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps(described | {"weights": {"mark": "untrained", "label": "x"}}))
    results, left_out = gather(job.runs, PAPER)
    assert results == []
    assert left_out == {job.store.path.name: "its weights were never trained"}


def test_a_copy_of_a_run_is_left_out_and_stops_no_report(root):
    job = make_job(root)
    do(job)
    copies = (f"{job.store.path.name} (copy)", "mine")
    for name in copies:
        shutil.copytree(job.store.path, job.runs / name)
    (result,), left_out = gather(job.runs, PAPER)
    assert result.path == job.store.path
    assert left_out == dict.fromkeys(copies, f"it is a copy of {job.store.path.name}")


def test_a_run_in_two_folders_that_may_both_be_its_own_is_refused_by_both_names(root):
    job = make_job(root)
    do(job)
    other = f"copy-{job.store.path.name}"
    shutil.copytree(job.store.path, job.runs / other)
    with pytest.raises(StoreError, match=rf"\({other}, {job.store.path.name}\)"):
        tables_of(root)


def test_mixed_runs_are_marked_wherever_they_are_counted(root):
    job = make_job(root, limit=2)
    do(job, {"threads": 1})
    do(make_job(root), {"threads": 2})
    tables, (result,), _ = tables_of(root)
    assert result.mixed and result.status == "complete"
    for table in (tables["runs_per_data_set"], averaged([result])):
        assert [cell for line in table.rows for cell in line if "mixed" in cell.marks], table.name


def test_a_sample_that_is_stored_twice_counts_once(root):
    job = make_job(root)
    do(job)
    (journal,) = (job.store.path / "scores").glob("*/*.jsonl")
    shutil.copy(journal, journal.with_name("again.jsonl"))
    _, (result,), _ = tables_of(root)
    assert list(result.scores.index) == sorted(SAMPLES)


def test_a_parameter_makes_it_another_method(root, monkeypatch):
    job = make_job(root)
    do(job)
    target = job.identity["target"]
    for yaml, altered in (
        ({"_target_": target, "weights": "x", "order": "${protocol.mask_order}"}, False),
        ({"_target_": target, **job.identity["parameters"]}, False),
        ({"_target_": "models.controls.Empty"}, True),
        ({}, True),
    ):
        monkeypatch.setattr("benchmark.report.results.written", lambda *_, yaml=yaml: yaml)
        assert gather(job.runs, PAPER)[0][0].altered == altered, yaml


def test_the_yaml_of_a_model_is_the_one_that_is_known():
    assert written("model", "apg")["_target_"] == "models.apg.APG"
    assert written("model", "../model/apg") == written("model", "nobody") == {}


def test_the_help_names_every_source():
    text = help_text([])
    assert all(source.name in text for source in Source) and "with_demo" in text
