"""Two runs side by side: what is refused, told and written, in numbers and in pictures."""

import csv
import os
import re
import shutil
import xml.etree.ElementTree

import numpy as np
import pandas as pd
import pytest
from helpers.command_line import main
from helpers.messages import assert_names
from helpers.reports import fake
from helpers.runs import build, do, drawn, environment, make_job, tree
from PIL import Image

from benchmark.actions import compare
from benchmark.errors import UsageError
from benchmark.job import Job
from benchmark.report import pictures
from benchmark.report.figures.scatter import scatter
from benchmark.report.results import load_results
from benchmark.report.text import interval, p_equation
from benchmark.stats import compare as compare_scores

HOSTILE = "<img src=x onerror=alert(1)>_&%"
DATA = drawn(per_style=6)
# For tests that look at no picture: drawing takes most of their time.
blank = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two runs of one data set (12 images, a group each), and the ids of both."""
    root = tmp_path_factory.mktemp("finished")
    jobs = [make_job(root, data=DATA, level=level) for level in (1.0, 1.3)]
    for job in jobs:
        do(job)
    return root, [job.identity and job.store.path.name for job in jobs]


@pytest.fixture
def runs(finished, tmp_path, monkeypatch):
    """The two runs in a folder of their own; two pictures each way are enough here."""
    few = {way: (ranking, 2) for way, (ranking, _) in pictures.FOR_COMPARISON.items()}
    monkeypatch.setattr(pictures, "FOR_COMPARISON", few)
    root, names = finished
    shutil.copytree(root / "results", tmp_path / "results")
    return tmp_path, names


def perform(root, a, b, capsys, **changes):
    """What `action=compare` does: its exit status, what it printed, and the folder it wrote."""
    job = make_job(root, data=DATA, **changes)
    job.settings.a, job.settings.b = a, b
    status = compare.perform(job)
    folders = list((root / "results" / "reports" / "compare").glob("*"))
    return status, capsys.readouterr(), folders[0] if folders else None


# --- action=compare ---------------------------------------------------------------------


def test_everything_is_written_and_agrees_with_the_scores(runs, capsys):
    root, (a, b) = runs
    status, told, folder = perform(root, a, b, capsys)
    assert status == 0
    results = {
        r.path.name: r for r in load_results(root / "results" / "runs", make_job(root).protocol)
    }
    found = compare_scores(results[a].scores, results[b].scores)
    assert folder.name == f"{results[a].run_id[:12]}-{results[b].run_id[:12]}"
    assert found.samples == 12 and found.p is not None
    for text in (told.out, (folder / "comparison.md").read_text()):
        plain = text.replace("\\", "").replace("&lt;", "<")
        assert f"mean difference {found.difference:+.3f} over 12 samples" in plain
        assert interval(*found.interval, 12, "+.3f", " to ") in plain
        assert p_equation(found.p, 12) in plain
        assert "no sample is left out" in plain
        assert "weigh images alike" in plain and "weigh groups alike" in plain
    assert results[a].run_id in (folder / "comparison.md").read_text()
    rows = list(csv.DictReader((folder / "samples.csv").open()))
    differences = [float(row["difference"]) for row in rows]
    assert differences == sorted(differences) and len(rows) == 12
    for row in rows:
        assert float(row["a"]) == results[a].scores.loc[row["sample"], "msa"]
        assert float(row["b"]) == results[b].scores.loc[row["sample"], "msa"]
    names = {path.name for path in (folder / "overlays").iterdir()}
    worse = [f"b_better_{i:02d}_{row['sample']}.png" for i, row in enumerate(rows[:2], 1)]
    better = [f"a_better_{i:02d}_{row['sample']}.png" for i, row in enumerate(rows[:-3:-1], 1)]
    expected = [name for name, d in zip(worse, differences, strict=False) if d < 0]
    expected += [name for name, d in zip(better, differences[::-1], strict=False) if d > 0]
    assert names == set(expected) and len(names) >= 2
    with Image.open(folder / "scatter.png") as image:
        assert np.asarray(image.convert("L")).std() > 5
    xml.etree.ElementTree.parse(folder / "scatter.svg")


@blank
def test_said_again_it_replaces_what_was_there(runs, capsys):
    root, (a, b) = runs
    *_, folder = perform(root, a, b, capsys)
    first = (folder / "samples.csv").read_bytes()
    before = sorted(path.name for path in (folder / "overlays").iterdir())
    (folder / "overlays" / "mine.png").write_bytes(b"mine")
    sample = before[0].split("_", 3)[3].removesuffix(".png")
    (root / "results" / "runs" / a / "predictions" / f"{sample}.tif").unlink()
    _, told, folder = perform(root, a, b, capsys)
    assert (folder / "samples.csv").read_bytes() == first
    # A deleted prediction costs one picture, and no other.
    assert f"no overlay of '{sample}'" in told.err
    after = sorted(path.name for path in (folder / "overlays").iterdir())
    assert after == [*before[1:], "mine.png"]


@blank
def test_a_comparison_that_fails_leaves_the_one_before(runs, capsys, monkeypatch):
    root, (a, b) = runs
    *_, folder = perform(root, a, b, capsys)
    before = tree(folder)
    monkeypatch.setattr(pictures, "overlay_each", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        perform(root, a, b, capsys)
    assert tree(folder) == before and [p.name for p in folder.parent.iterdir()] == [folder.name]


@blank
def test_without_the_prepared_data_the_rest_is_written(runs, finished, capsys):
    root, (a, b) = runs
    shutil.move(finished[0] / "datasets", finished[0] / "elsewhere")
    try:
        status, told, folder = perform(root, a, b, capsys)
    finally:
        shutil.move(finished[0] / "elsewhere", finished[0] / "datasets")
    assert status == 0 and "no overlays" in told.err
    assert (folder / "samples.csv").exists() and (folder / "scatter.png").exists()
    assert not (folder / "overlays").exists()


@blank
def test_failed_samples_are_left_out_for_both_and_listed(runs, capsys, monkeypatch):
    root, (a, _) = runs
    bad = "rod_bacteria_002"
    monkeypatch.setenv("ODD", f"{bad}=raise")
    job = make_job(root, data=DATA, level=1.1, max_failures=1)
    do(job)
    _, told, folder = perform(root, a, job.store.path.name, capsys)
    assert "over 11 samples" in told.out and "1 sample left out for both:" in told.out
    assert "partial (11 of 12, 1 failed)" in told.out
    (row,) = csv.DictReader((folder / "exclusions.csv").open())
    assert row["sample"] == bad and "failed in b" in row["reason"]
    assert f"no luck with {bad}" in row["reason"]
    assert bad not in (folder / "samples.csv").read_text()


def test_what_can_not_be_compared_is_refused_with_the_reason(runs, capsys):
    root, (a, b) = runs
    other = make_job(root, data=drawn(per_style=6, seed=1), level=1.0)
    do(other)
    for first, second, said in (
        (a, a, "a and b are the same run"),
        (a, other.store.path.name, "the data set's images were others"),
        (None, b, "action=compare needs a=<run>"),
        (a, "nothing", "names no run"),
        (a, "t" + b[1:-1] + "x", "Did you mean"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            perform(root, first, second, capsys)
    with pytest.raises(UsageError, match="scored under another protocol"):
        perform(root, a, b, capsys, protocol="clean")


@blank
def test_runs_are_found_by_the_names_of_their_methods(runs, capsys):
    root, (a, b) = runs
    variant = Job(make_job(root, data=DATA, level=1.5).settings, ("level=1.5",), build)
    do(variant)

    def found(a, b, **changes):
        folder = perform(root, a, b, capsys, **changes)[2]
        return folder.name if folder else None

    only = variant.store.path.name
    assert found("traced (level=1.5)", a) == f"{only[-12:]}-{a[-12:]}"
    # Two runs of other parameters have one name here; the variant is not meant by it.
    with pytest.raises(UsageError) as refused:
        perform(root, "traced", b, capsys)
    said = str(refused.value)
    assert_names(said, "a='traced'", a, b)
    assert only not in said and "\n" not in said and "data=" not in said


@blank
def test_of_a_method_on_several_data_sets_the_chosen_one_is_compared(runs):
    root, _ = runs
    few = ("data.source.size=64", "data.source.styles=[rod_bacteria]")
    for data in ("synthetic_few", "nuclei_demo"):
        for model in ("oracle", "empty"):
            words = few if data == "synthetic_few" else ()
            assert main(root, f"model={model}", f"data={data}", *words).returncode == 0
    by_name = ("action=compare", "a=oracle", "b=empty")
    done = main(root, *by_name)
    assert done.returncode == 2
    assert_names(done.stderr, "data=<", "oracle on synthetic_few", "oracle on nuclei_demo")
    done = main(root, *by_name, "data=nuclei_demo")
    assert done.returncode == 0 and "on nuclei_demo: a = oracle, b = empty" in done.stdout
    done = main(root, *by_name, "data=dsb")
    assert done.returncode == 2
    assert_names(done.stderr, "'oracle'", "dsb")


@pytest.mark.parametrize(
    ("config", "mark", "yaml", "expected"),
    [
        ("musam_ais", "demo", "demo_ais", True),
        ("musam_ais", "verified", "demo_ais", False),
        ("apg", "demo", "demo_ais", False),
        ("apg", "verified", "apg", True),
        ("apg", "", "../apg", False),
    ],
)
def test_a_model_is_also_found_by_its_yaml(config, mark, yaml, expected):
    assert compare._is_of_yaml(fake("x", config=config, mark=mark), yaml) == expected


@blank
def test_the_studys_test_is_shown_under_its_protocol_alone(runs, capsys):
    root, (a, b) = runs
    assert "the study's own test" in perform(root, a, b, capsys)[1].out
    found = compare._study(fake("x", protocol="clean"), pd.DataFrame({"difference": [0.1] * 8}))
    assert found == []


@pytest.mark.slow
@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA names no folder")
def test_on_real_images_by_the_command_line(tmp_path):
    def benchmark(*words):
        done = main(tmp_path, *words, **environment(), without=())
        assert "Traceback" not in done.stderr, done.stderr
        return done

    assert benchmark("model=otsu", "data=u20s", "limit=8").returncode == 0
    assert benchmark("model=otsu", "data=u20s", "model.sigma=3").returncode == 0
    found = sorted(
        (len(list(path.glob("predictions/*.tif"))), path.name)
        for path in (tmp_path / "results" / "runs").iterdir()
    )
    names = [name for _, name in found]  # the partial one first
    done = benchmark("action=compare", f"a={names[0]}", f"b={names[1]}")
    assert done.returncode == 0, done.stderr
    assert "over 8 samples that both have" in done.stdout
    assert "partial (8 of 25)" in done.stdout
    assert "17 samples left out for both:" in done.stdout and "not scored in a" in done.stdout
    (folder,) = (tmp_path / "results" / "reports" / "compare").iterdir()
    assert len(list((folder / "overlays").glob("*.png"))) == 8
    assert benchmark("action=compare", f"a={names[0]}", "b=otsu-u20s").returncode == 2


# --- pictures ---------------------------------------------------------------------------


def test_overlay_of_both_shows_each_prediction_with_the_truth(tmp_path):
    size = 400
    true = np.zeros((size, size), np.uint16)
    true[50:200, 50:200], true[220:380, 220:380] = 1, 2
    first, second = np.where(true == 1, true, 0), np.where(true == 2, true, 0)
    path = pictures.overlay_each(
        np.zeros((size, size)), true, {"a = x": first, "b = $y$": second}, "t", tmp_path / "o.png"
    )
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] == 3 * size + 4 * 12
    top = 12 + 18 + 18
    panels = [pixels[top : top + size, 12 + i * (size + 12) :][:, :size] for i in range(3)]

    def count(panel, colour):
        return int((panel == pictures.OUTLINES[colour]).all(axis=-1).sum())

    boundaries = [4 * 149, 4 * 159]
    assert [count(panels[0], c) for c in ("true", "predicted", "both")] == [0, 0, 0]
    assert [count(panels[1], c) for c in ("true", "predicted", "both")] == [
        boundaries[1], 0, boundaries[0],
    ]  # fmt: skip
    assert [count(panels[2], c) for c in ("true", "predicted", "both")] == [
        boundaries[0], 0, boundaries[1],
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(1000, 1300), (40, 30), (100, 900, 3)])
def test_overlay_of_both_takes_any_shape(tmp_path, shape):
    labels = np.ones(shape[:2], np.uint16)
    path = pictures.overlay_each(
        np.zeros(shape), labels, {HOSTILE: labels, "x" * 200: labels}, HOSTILE, tmp_path / "o.png"
    )
    with Image.open(path) as image:
        assert max(image.size) < 2500


def test_scatter_has_a_point_per_sample_and_takes_hostile_names(tmp_path):
    pairs = pd.DataFrame({"a": [0.2, 0.5, 0.9], "b": [0.1, 0.5, 1.0]})
    pairs["difference"] = pairs["a"] - pairs["b"]
    _, svg = scatter(pairs, HOSTILE, "$x$", HOSTILE, tmp_path / "scatter")
    text = svg.read_text(encoding="utf-8")
    xml.etree.ElementTree.fromstring(text)
    assert "<img" not in text
    assert "a is better on 1 of 3" in text and "b is better on 1 of 3" in text
