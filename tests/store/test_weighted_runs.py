"""A run of a model with weights: what it is, when it is skipped, and who shows it."""

import json
import re

import pytest
from helpers.runs import SAMPLES, do, drawn, journals, make_job, run

from benchmark.actions.check import perform
from benchmark.errors import SkippedError, UsageError
from benchmark.report.results import load_result, load_results
from models.weights import network
from models.weights.checkpoint import file_digest
from models.weights.registry import CACHE

TARGET = "helpers.segmenters.Weighted"
MAPPED = {"default": "vit_b_lm", "histopathology": "vit_b_histopathology"}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Neither somebody's cache nor a network."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(network, "_known", {})
    monkeypatch.setattr(network, "_probe", lambda host: False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vit_b_lm.pt"
    path.write_bytes(b"mine")
    return path


def job(root, weights, *, modality="synthetic", variant=(), target=TARGET, **changes):
    made = make_job(
        root, target=target, weights=weights, data=drawn() | {"modality": modality}, **changes
    )
    object.__setattr__(made, "variant", variant)
    return made


def test_the_modality_of_the_data_picks_the_weights(root):
    digests = {
        modality: job(root, MAPPED, modality=modality).weights.name
        for modality in ("histopathology", "label_free_cells")
    }
    assert digests == {"histopathology": "vit_b_histopathology", "label_free_cells": "vit_b_lm"}
    with pytest.raises(UsageError, match=r"'synthetic' .*'default'"):
        job(root, {"histopathology": "vit_b_lm"}).parameters  # noqa: B018


def test_a_run_is_known_by_its_weights_digests_not_by_their_place(root, file, tmp_path):
    first = job(root, str(file)).identity
    assert first["parameters"]["weights"] == {"weights": file_digest(file)}
    moved = file.rename(tmp_path / "moved.pt")
    assert job(root, str(moved)).identity == first
    moved.write_bytes(b"others")
    assert job(root, str(moved)).identity != first


def test_weights_by_their_name_are_known_before_they_are_fetched(root):
    found = job(root, "vit_b_lm").identity["parameters"]["weights"]
    assert found["encoder"] == "xxh128:fe9252a29f3f4ea53c15a06de471e186"


def test_execution_settings_make_no_other_run(root, file):
    runs = [job(root, str(file), batch_size=size).identity for size in (1, 64)]
    assert runs[0] == runs[1] and "batch_size" not in runs[0]["parameters"]
    assert job(root, str(file), level=2.0).identity != runs[0]


def test_a_users_file_never_stands_under_a_published_name(root, file):
    made = job(root, str(file), variant=(f"weights={file}", "level=2"))
    name = file_digest(file)[7:15]
    assert made.model_name == f"traced (level=2, user {name})"
    mapped = job(root, {"default": str(file)}, variant=(f"weights.default={file}",))
    assert mapped.model_name == f"traced (user {name})"
    named = job(root, MAPPED, variant=("weights=vit_b_histopathology",), modality="histopathology")
    assert named.model_name == "traced (vit_b_histopathology)"
    assert named.weights.label == "vit_b_histopathology (PathoSAM)"


def test_the_adapter_is_built_with_verified_weights_and_a_device(root, file):
    made = job(root, str(file))
    vars(made)["device"] = "mps"  # as if this machine had one
    segmenter = made.load_model()
    assert segmenter.weights.paths == {"weights": file} and segmenter.device == "mps"


def test_records_hold_memory_stages_details_and_the_warm_up(root, file):
    do(job(root, str(file)))
    rows = journals(root / "results", "records")
    assert [row["warm_up"] for row in rows] == [True, False, False, False]
    for row in rows:
        assert row["memory"]["host"] > 1 << 20 and row["stages"] == {"encode": 0.5}
        assert row["details"] == {"batch_size": 4, "reproducible": True}
        assert row["stage_memory"] == {"encode": {"host": 3 << 50, "device": 2 << 20}}


def test_run_times_leave_the_warm_up_out(root, file):
    made = job(root, str(file))
    do(made)
    seconds = load_result(made.store, made.score_key, "paper").scores["seconds"]
    assert seconds.isna().tolist() == [True, False, False, False]


def test_memory_of_a_stage_is_the_device_s_and_counts_in_the_warm_up_too(root, file):
    made = job(root, str(file))
    do(made)
    scores = load_result(made.store, made.score_key, "paper").scores
    assert scores["peak.encode"].tolist() == [2 << 20] * 4
    assert scores["memory"].tolist() == [3 << 50] * 4


def test_missing_weights_skip_before_anything_is_prepared_or_stored(tmp_path):
    made = job(tmp_path, "vit_b_lm")
    with pytest.raises(SkippedError, match=r"weights unavailable: .*can't be reached.*curl -L"):
        made.check_ready()
    assert not (tmp_path / "results").exists() and not (tmp_path / "datasets").exists()


def test_a_missing_or_wrong_library_skips_with_the_install_line(tmp_path, file):
    made = job(tmp_path, str(file), target="helpers.segmenters.Homeless")
    with pytest.raises(SkippedError) as error:
        made.check_ready()
    told = str(error.value)
    assert "no-such-library>=2 is not installed" in told
    assert re.search(r"numpy<1 is needed, [0-9.]+ is installed", told)
    assert told.endswith("Install with: pip install no-such-library")


def test_a_complete_run_needs_its_weights_no_more(root, file, monkeypatch):
    chosen = job(root, str(file))
    do(chosen)
    again = job(root, str(file))
    monkeypatch.setattr(type(again.weights_choice), "unavailable_reason", lambda self: "gone")
    again.check_ready()
    assert do(again).complete


def test_untrained_weights_are_no_result_anywhere(root, file):
    made = job(root, str(file), target="helpers.segmenters.Untrained")
    assert do(made).complete
    assert load_result(made.store, made.score_key, "paper") is None
    assert [r.model for r in load_results(made.runs, made.protocol)] == []
    user = job(root, str(file))
    do(user)
    (shown,) = load_results(made.runs, made.protocol)
    assert shown.weights == user.weights.name and shown.mark == "user"


def test_a_run_made_in_another_environment_is_scored_without_its_library(root, file, monkeypatch):
    made = job(root, str(file), target="helpers.segmenters.Homeless")
    monkeypatch.setattr("benchmark.job.missing_libraries", lambda adapter: None)
    monkeypatch.setattr("helpers.segmenters.Homeless.libraries", ("numpy",), raising=False)
    do(made)
    monkeypatch.undo()
    here = job(root, str(file), target="helpers.segmenters.Homeless")
    assert here.identity != made.identity and here.store.path == made.store.path
    assert len(here.store.completed()) == len(SAMPLES)


@pytest.mark.slow
def test_a_sweep_tells_skipped_from_failed_and_goes_on(tmp_path, file):
    finished = run(
        tmp_path, "-m", f"model.weights={file}", "limit=1", model="homeless,untrained,weighted"
    )
    assert finished.returncode == 1
    assert re.search(r"model=homeless +\S* *skipped", finished.stdout.replace("│", " "))
    assert "model=homeless: skipped: library missing: no-such-library>=2" in finished.stderr
    assert re.search(r"model=weighted.* done ", finished.stdout)
    # A cell that is skipped starts no job, and leaves no log.
    logs = [path.read_text() for path in sorted(tmp_path.glob("results/sweeps/*/*/log.txt"))]
    assert "never trained" in logs[0] and "mSA " not in logs[0]
    # The words reach each job as they were written, whatever Hydra was told of them.
    assert f"weighted (user {file_digest(file)[7:15]})" in logs[1]
    assert "vit_b_lm.pt" not in logs[1]


@pytest.mark.slow
def test_weights_can_be_swept_by_their_names_and_paths_may_hold_anything(tmp_path, file):
    swept = run(tmp_path, "-m", "model.weights=vit_b_lm,vit_b_histopathology", model="weighted")
    assert [*re.findall(r"model.weights=(\w+): skipped$", swept.stderr, re.MULTILINE)] == [
        "vit_b_lm",
        "vit_b_histopathology",
    ]
    odd = file.rename(tmp_path / "my weights, (1)=best.pt")
    alone = run(tmp_path, f"model.weights={odd}", "limit=1", model="weighted")
    assert alone.returncode == 0, alone.stderr


def test_one_skipped_model_alone_ends_with_status_1_and_one_line(tmp_path):
    finished = run(tmp_path, model="homeless")
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    assert finished.stderr.count("skipped: library missing") == 1


def test_what_a_run_says_of_its_weights(root, file):
    made = job(root, str(file))
    do(made)
    told = json.loads((made.store.path / "run.json").read_text())["weights"]
    assert told["mark"] == "user" and told["digests"] == {"weights": file_digest(file)}


def test_check_compares_weights_with_their_digests_and_downloads_none(root, file, capsys):
    assert perform(job(root, str(file))) == 0
    assert f"weights 'user {file_digest(file)[7:15]}': as they should be" in capsys.readouterr().out
    pytest.importorskip("xxhash", reason="xxhash comes with micro-sam")
    assert perform(job(root, "vit_b_lm")) == 0
    assert "weights 'vit_b_lm': not here; downloaded at the first run" in capsys.readouterr().out
    (root / "vit_b_lm").write_bytes(b"truncated")
    (root / "vit_b_lm_decoder").write_bytes(b"truncated")
    wrong = job(root, "vit_b_lm")
    wrong.settings.weights_dir = str(root)
    assert perform(wrong) == 1
    assert "by its card it is xxh128:fe9252a29f3f4ea53c15a06de471e186" in capsys.readouterr().err
