"""An adapter from outside whose code was edited is noticed, and its run is marked as edited."""

import csv
import json
import subprocess
import sys

import pytest
from helpers.command_line import call, main
from helpers.runs import PROTOCOLS, STYLES, do, drawn, environment, make_job

from benchmark.report.frame import frame_of_runs
from benchmark.report.results import gather, summary_of
from benchmark.report.site.build import write_site
from benchmark.report.tables import run_summary
from benchmark.report.tables.over_data_sets import tables_of
from benchmark.report.tables.per_data_set import per_data_set
from benchmark.scoring.protocol import Protocol
from benchmark.store.store import RunStore

PAPER = Protocol(**PROTOCOLS["paper"])
ADAPTER = '''
"""An adapter."""
import numpy as np
from bright import bright

class Mine:
    """Bright pixels, as one object."""
    version = 1

    def predict(self, image):
        return bright(image).astype(np.int32)
'''
HELPER = "LEVEL = 1.0\ndef bright(image):\n    return image > LEVEL * image.mean()\n"


def words(root, *more):
    source = drawn()["source"]
    return [
        "--config-dir", "own", "model=mine", "data=synthetic",
        f"data.source.styles=[{','.join(STYLES)}]",
        *(f"data.source.{key}={source[key]}" for key in ("per_style", "val_per_style", "size")),
        f"results={root / 'results'}", f"datasets={root / 'datasets'}", *more,
    ]  # fmt: skip


def benchmark(root, *more):
    done = call(words(root, *more), root, environment=environment())
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return done


def benchmark_process(root, *more):
    """The same in a process of its own, which is another writer even within the same second."""
    flags, more = [w for w in more if w == "-m"], [w for w in more if w != "-m"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *flags, *words(root, *more)],
        env=environment(), cwd=root, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def root(tmp_path):
    (tmp_path / "mine.py").write_text(ADAPTER)
    (tmp_path / "bright.py").write_text(HELPER)
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "mine.yaml").write_text("name: mine\n_target_: mine.Mine\n")
    return tmp_path


def edit(root, name, old, new):
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def stores(root):
    return RunStore.all(root / "results" / "runs")


def results(root):
    return gather(root / "results" / "runs", PAPER)[0]


def is_warned(done):
    return "were made by other code" in " ".join(done.stderr.split())


def test_an_edit_of_what_the_adapter_imports_marks_a_complete_run(root):
    assert "edited" not in benchmark(root).stdout
    before = stores(root)[0].describe()
    edit(root, "bright.py", "LEVEL = 1.0", "LEVEL = 1.1")
    done = benchmark(root)
    said = " ".join(done.stderr.split())
    for part in ("were made by other code: bright.py was edited.", "`version`", "overwrite=all"):
        assert part in said, said
    assert "complete, edited" in done.stdout
    (store,) = stores(root)
    assert store.describe() == before  # another edit is no other run
    report = benchmark(root, "action=report")
    assert "complete, edited" in report.stdout
    status = benchmark(root, "action=status").stdout
    assert "done; edited" in status
    (result,) = results(root)
    assert result.edited and result.status == "complete"
    assert summary_of(result)["status"] == "complete, edited"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("bright.py", "LEVEL = 1.0", "\n\n# a level\nLEVEL = 1.0"),
        ("mine.py", "An adapter.", "My adapter."),
        ("mine.py", "    version = 1\n", '\n    version = 1\n    """Raise it."""\n'),
    ],
)
def test_an_edited_comment_marks_nothing(root, name, old, new):
    benchmark(root, "limit=2")
    edit(root, name, old, new)
    done = benchmark(root)
    assert not is_warned(done) and "edited" not in done.stdout
    assert not stores(root)[0].is_edited()


@pytest.mark.slow
def test_a_run_of_predictions_before_and_after_an_edit_is_marked(root):
    benchmark(root, "limit=2")
    edit(root, "mine.py", "int32", "int64")
    done = benchmark(root)
    assert is_warned(done) and "complete, edited" in done.stdout, done.stderr
    (store,) = stores(root)
    (store.path / "adapter.json").unlink()  # as of a process that was killed; attempts tell as well
    assert store.is_edited() and len(store.adapter_codes()) == 2
    assert "complete, edited" in benchmark(root, "action=report").stdout
    assert is_warned(benchmark(root, "action=evaluate"))


@pytest.mark.slow
def test_a_raised_version_makes_another_run_without_a_mark(root):
    benchmark(root)
    edit(root, "bright.py", "1.0", "1.1")
    edit(root, "mine.py", "version = 1", "version = 2")
    done = benchmark(root)
    assert not is_warned(done) and "edited" not in done.stdout
    assert [store.is_edited() for store in stores(root)] == [False, False]


@pytest.mark.slow
def test_all_samples_predicted_again_take_the_mark_away(root):
    benchmark_process(root)
    edit(root, "bright.py", "1.0", "1.1")
    assert is_warned(benchmark_process(root))
    partly = benchmark_process(root, "overwrite=all", "limit=2")
    assert not is_warned(partly) and "edited" in partly.stdout
    done = benchmark_process(root, "overwrite=all")
    assert not is_warned(done) and "edited" not in done.stdout
    assert not stores(root)[0].is_edited()


@pytest.mark.slow
def test_an_edit_that_was_taken_back_leaves_no_mark(root):
    benchmark(root)
    edit(root, "bright.py", "1.0", "1.1")
    benchmark(root)
    assert stores(root)[0].is_edited()
    edit(root, "bright.py", "1.1", "1.0")
    done = benchmark(root)
    assert not is_warned(done) and "edited" not in done.stdout
    assert not stores(root)[0].is_edited()


def test_runs_without_a_digest_are_not_marked(root):
    benchmark(root)
    (path,) = stores(root)[0].path.glob("attempts/*.jsonl")
    row = json.loads(path.read_text())
    assert row["with"].pop("adapter").keys() == {"mine.py", "bright.py"}
    path.write_text(json.dumps(row) + "\n")
    edit(root, "bright.py", "1.0", "1.1")
    done = benchmark(root)
    assert not is_warned(done) and "edited" not in done.stdout
    (store,) = stores(root)
    assert not store.is_edited() and not (store.path / "adapter.json").exists()


def test_the_digest_is_of_the_code_that_a_process_has_imported(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root))
    job = make_job(root, target="mine.Mine")
    first = job.adapter_code
    edit(root, "mine.py", "int32", "int64")
    assert make_job(root, target="mine.Mine").adapter_code == first  # `mine` stays as it was
    for name in ("mine", "bright"):
        del sys.modules[name]
    assert make_job(root, target="mine.Mine").adapter_code != first
    for name in ("mine", "bright"):
        sys.modules.pop(name, None)


def test_an_adapter_of_this_repository_has_no_digest(root):
    benchmark(root, "model=otsu", "limit=1")
    (attempt,) = stores(root)[0].attempts()
    assert "adapter" not in attempt["with"]


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "[1]", '{"files": 1}', '{"files": {"a.py": 2}}'])
def test_a_damaged_file_of_digests_is_written_again(root, content):
    benchmark(root)
    edit(root, "bright.py", "1.0", "1.1")
    benchmark(root)
    path = stores(root)[0].path / "adapter.json"
    path.write_text(content)
    assert not stores(root)[0].is_edited()
    benchmark(root)
    assert stores(root)[0].is_edited()


@pytest.mark.slow
def test_report_and_status_import_no_adapter(root):
    benchmark(root)
    edit(root, "bright.py", "1.0", "1.1")
    benchmark(root)
    (root / "mine.py").write_text("raise SystemExit('imported')")
    for action in ("report", "status"):
        assert "edited" in benchmark(root, f"action={action}").stdout


def marked(root):
    """A result of a run that is marked, and one of another model that is not."""
    for target, level in (("Traced", 1.0), ("Traced", 1.2)):
        do(make_job(root, target=f"helpers.segmenters.{target}", level=level, limit=2),
           {"adapter": {"a.py": "1"}})  # fmt: skip
        do(make_job(root, target=f"helpers.segmenters.{target}", level=level),
           {"adapter": {"a.py": "2" if level > 1 else "1"}})  # fmt: skip
    return sorted(results(root), key=lambda result: result.edited)


def test_the_mark_is_in_every_table_and_on_the_site_and_makes_no_run_mixed(root):
    found = marked(root)
    assert [(result.edited, result.mixed) for result in found] == [(False, False), (True, False)]
    frame = frame_of_runs(found)
    assert list(frame["edited"]) == [False, True]
    tables = [per_data_set(frame), *tables_of(frame, "runs")]
    for table in tables:
        if table.name in ("per_data_set", "runs_per_data_set", "runs_means"):
            cells = [cell for line in table.rows for cell in line]
            assert any("edited" in cell.marks for cell in cells), table.name
    rows = list(csv.DictReader(run_summary.csv(run_summary.summary(found)).splitlines()))
    assert sorted(row["edited"] for row in rows) == ["False", "True"]
    assert "edited:" in run_summary.markdown(run_summary.summary(found))
    assert "edited" not in run_summary.csv(run_summary.summary(found[:1]))
    index = write_site(frame, found, root / "site", private=False)
    assert index.read_text(encoding="utf-8").count(" data-edited ") == 1
    pages = [page.read_text(encoding="utf-8") for page in (root / "site").rglob("runs/*.html")]
    assert sum("complete, edited" in page for page in pages) == 1
    plain, edited = (result.path.name for result in found)
    compared = main(root, "action=compare", f"a={plain}", f"b={edited}", **environment())
    assert "edited: the code of its adapter was edited" in compared.stdout + compared.stderr


@pytest.mark.slow
def test_a_sweep_notices_an_edit_of_what_it_need_not_run_again(root):
    sweep = ("-m", "model=mine,otsu", "report=true")
    assert "edited" not in benchmark_process(root, *sweep).stdout
    edit(root, "bright.py", "1.0", "1.1")
    for _ in range(2):  # by a job; then without one
        done = benchmark_process(root, *sweep)
        (row,) = [line for line in done.stdout.splitlines() if "model=mine" in line]
        assert "complete, edited" in row and "edited:" in done.stdout
    status = benchmark_process(root, *sweep[:2], "action=status")
    assert "done; edited" in status.stdout and "edited" not in status.stdout.partition("otsu")[2]
