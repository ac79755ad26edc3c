"""Ids that a stranger's files name never lead out of a folder."""

import dataclasses
import json
import shutil

import pytest
from helpers import runs

from benchmark.data.prepared import MANIFEST, Manifest, PreparedData
from benchmark.data.sources.torch_em import TorchEmSource
from benchmark.errors import DataError, StoreError, UsageError
from benchmark.report.training import trained_on
from benchmark.store.files import path_of_id
from benchmark.store.journal import Journal
from benchmark.store.names import safe_names
from benchmark.store.record import Record
from benchmark.store.store import RunStore

UNSAFE = {
    "above": "../../../../evil",
    "absolute": "/tmp/evil",
    "folder": "a/b",
    "backslash": "..\\evil",
    "drive": "C:evil",
    "the folder itself": ".",
    "its parent": "..",
    "hidden": ".evil",
    "empty": "",
    "null": "a\0b",
    "newline": "a\nb",
    "escape": "a\x1b[2J",
    "reserved": "NUL",
    "reserved with a suffix": "con.txt",
    "ends in a dot": "a.",
    "blank": "a b",
    "other letters": "zellen_\u00e4",
    "too long": "a" * 300,
    "number": 7,
    "none": None,
}


@pytest.fixture(params=UNSAFE.values(), ids=UNSAFE)
def unsafe(request):
    return request.param


def test_an_unsafe_id_has_no_path(unsafe, tmp_path):
    with pytest.raises(StoreError, match="id"):
        path_of_id(tmp_path, unsafe, ".tif")


def test_every_safe_name_has_one_in_its_folder(tmp_path):
    originals = [str(name) for name in UNSAFE.values()] + ["cell_01", "A-b.c", "x" * 119]
    for safe in safe_names(dict.fromkeys(originals)).values():
        assert path_of_id(tmp_path, safe, ".tif") == tmp_path / f"{safe}.tif"


def resealed(data, **changes):
    """The manifest with its first entry changed, and a seal that fits."""
    entries = list(data.entries)
    entries[0] = dataclasses.replace(entries[0], **changes)
    Manifest(entries, data.manifest.left_out, data.manifest.fingerprint).write(data.folder)


def test_a_prepared_folder_that_names_a_file_outside_is_refused(unsafe, tmp_path):
    data = runs.make_job(tmp_path).data
    resealed(data, id=unsafe)
    with pytest.raises(DataError, match=MANIFEST):
        PreparedData(data.folder, "cells", "test")


def test_a_run_on_such_a_folder_writes_nothing_beside_it(tmp_path):
    """The whole way: a copied prepared folder, and the command that finds it."""
    home = tmp_path / "a" / "b" / "c"
    data = runs.make_job(home).data
    before = {path for path in tmp_path.rglob("*") if home not in path.parents}
    resealed(data, id="../../../../evil")
    with pytest.raises(DataError):
        runs.do(runs.make_job(home))
    assert {path for path in tmp_path.rglob("*") if home not in path.parents} == before
    assert not (home / "results").exists()


@pytest.mark.parametrize("name", ["records", "scores/key", "objects/key"])
def test_a_row_of_such_a_sample_is_passed_over_with_a_warning(unsafe, name, tmp_path, capsys):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    rows = [{"sample": unsafe, "status": "done", "attempt": 1}, {"sample": "good", "attempt": 1}]
    (folder / "somebody.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row["sample"] for row in Journal(folder).rows()] == ["good"]
    assert "somebody.jsonl" in capsys.readouterr().err


def test_a_prediction_of_such_a_sample_is_neither_read_nor_written(unsafe, tmp_path):
    store = RunStore(tmp_path / "run")
    with pytest.raises(StoreError, match="id"):
        store.prediction(Record(unsafe, "done", 1, prediction="digest"))
    assert list(tmp_path.iterdir()) == []


def test_a_key_of_scores_and_a_writer_are_such_names(unsafe, tmp_path):
    with pytest.raises(StoreError, match="id"):
        RunStore(tmp_path).scores(unsafe)
    if isinstance(unsafe, str):
        with pytest.raises(StoreError, match="id"):
            Journal(tmp_path).append(f"{unsafe}/../x", {"sample": "a"})


def test_a_card_is_read_from_its_folder_alone(unsafe, tmp_path):
    (tmp_path / "cards").mkdir()
    (tmp_path / "evil.yaml").write_text("trained_on: [{data: secret}]\n")
    assert trained_on(unsafe, tmp_path / "cards") is None
    assert trained_on("../evil", tmp_path / "cards") is None


@pytest.mark.parametrize("folder", ["../outside", "/tmp/outside", "a/../../outside", ""])
def test_the_folder_of_a_public_data_set_lies_below_its_root(folder, tmp_path):
    source = TorchEmSource(
        name="cells", loader="torch_em.data.datasets.x.y", folder=folder, splits={"test": {}},
        read={}, lists=str(tmp_path), root=str(tmp_path / "root"),
    )  # fmt: skip
    with pytest.raises(UsageError, match="folder"):
        _ = source._folder


# Samples that would share a file


@pytest.mark.parametrize("twin", [str, str.upper], ids=["the same", "in another case"])
def test_two_samples_of_one_file_are_refused(twin, tmp_path):
    data = runs.make_job(tmp_path).data
    resealed(data, id=twin(data.entries[1].id))
    with pytest.raises(DataError, match=data.entries[1].id):
        PreparedData(data.folder, "cells", "test")


# Links


@pytest.fixture
def private(tmp_path):
    """A folder of somebody's files, which nobody but he may change."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "thesis.jsonl").write_text("a line\nnot yet a whole one")
    (folder / f"{runs.SAMPLES[0]}.tif").write_text("an image")
    return folder


def test_an_id_whose_file_is_a_link_to_another_folder_has_no_path(private, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "stored.tif").write_text("")
    for name, target in {
        "inside": "stored.tif", "outside": private / "thesis.jsonl", "nowhere": "/nowhere/at/all",
        "folder": private, "above": "..", "loop": "loop.tif",
    }.items():  # fmt: skip
        (folder / f"{name}.tif").symlink_to(target)
    (tmp_path / "linked").symlink_to(folder)
    for place in (folder, tmp_path / "linked"):  # the folder itself may lie on another disk
        for name in ("stored", "inside", "new", "loop"):
            assert path_of_id(place, name, ".tif") == place / f"{name}.tif"
        for name in ("outside", "nowhere", "folder", "above"):
            with pytest.raises(StoreError, match=f"{name}.tif"):
                path_of_id(place, name, ".tif")


LINKED = ["predictions", "records", "attempts", "scores", "scores/copied", "objects", "lease"]


@pytest.mark.parametrize("name", LINKED)
def test_a_run_is_not_written_through_a_folder_that_leads_out_of_it(name, private, tmp_path):
    job = runs.make_job(tmp_path, overwrite="all")
    runs.do(job)
    place = job.store.path / name
    if place.exists():
        place.rename(tmp_path / "before")
    place.symlink_to(private)
    before = runs.tree(private)
    with pytest.raises(StoreError, match=name):
        runs.do(runs.make_job(tmp_path, overwrite="all"))
    assert runs.tree(private) == before


@pytest.mark.parametrize("name", ["records", "attempts", "scores/copied", "objects/copied"])
def test_a_journal_that_is_a_link_to_another_folder_is_not_mended(name, private, tmp_path):
    job = runs.make_job(tmp_path)
    runs.do(job)
    (job.store.path / name).mkdir(exist_ok=True)
    (job.store.path / name / "somebody.jsonl").symlink_to(private / "thesis.jsonl")
    before = runs.tree(private)
    with pytest.raises(StoreError, match="somebody"):
        runs.do(runs.make_job(tmp_path))
    assert runs.tree(private) == before


def test_a_run_that_is_itself_a_link_is_written(tmp_path):
    job = runs.make_job(tmp_path, limit=1)
    runs.do(job)
    job.store.path.rename(tmp_path / "on another disk")
    job.store.path.symlink_to(tmp_path / "on another disk")
    assert runs.do(runs.make_job(tmp_path)).complete


# What lies beside what is ours


def test_a_folder_that_somebody_copied_beside_the_scores_is_passed_over(tmp_path):
    job = runs.make_job(tmp_path)
    runs.do(job)
    (basis,) = job.store.score_bases()
    scores = job.store.path / "scores"
    shutil.copytree(scores / basis, scores / f"{basis} copy")
    assert list(job.store.score_bases()) == [basis]


@pytest.mark.parametrize("content", [7, None, ["a"]], ids=str)
@pytest.mark.parametrize("key", ["run_id", "model", "data", "split", "prepared"])
def test_a_description_of_other_types_is_an_error_of_that_run(key, content, tmp_path):
    job = runs.make_job(tmp_path)
    runs.do(job)
    path = job.store.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: content}))
    with pytest.raises(StoreError, match=f"run.json.*{key}"):
        job.store.describe()
