"""Embeddings and maps that are kept: the same labels to the bit, and nothing computed twice."""

import importlib.metadata
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.runs import do, make_job
from helpers.small_musam import SmallAPG, SmallDecoder, SmallMasks, blobs, make_checkpoint
from helpers.small_musam import checkpoint as checkpoint

from benchmark.report.results import load_result
from benchmark.store.record import Record
from models import backbone as module
from models import embeddings
from models.common import cache as cache_module

SIZE = 10**9
IMAGES = {"grey": blobs(120, 160), "rgb": blobs(150, 110, 3, seed=1)}
MODES = {
    "amg": (SmallMasks, {"points_per_side": 2, "pred_iou_thresh": 0, "stability_score_thresh": 0}),
    "ais": (SmallDecoder, {}),
    "apg": (SmallAPG, {}),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache_module.PLACE, str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def calls(monkeypatch):
    """How often images were really encoded and decoded."""
    counted = SimpleNamespace(encode=0, decode=0)
    for stage in ("encode", "decode"):
        real = getattr(module.Backbone, f"_{stage}")

        def run(self, image, stage=stage, real=real):
            setattr(counted, stage, getattr(counted, stage) + 1)
            return real(self, image)

        monkeypatch.setattr(module.Backbone, f"_{stage}", run)
    return counted


def build(name, path, cache=SIZE):
    """A mode in what might be a new process: its backbone has seen no image yet."""
    adapter, parameters = MODES[name]
    model = adapter(adapter.find_weights(str(path)).fetch(), **parameters, cache=cache)
    model._backbone._last.clear()
    return model


def finish():
    cache_module.open_cache(SIZE).finish()


@pytest.mark.parametrize("image", IMAGES)
def test_labels_are_the_same_to_the_bit_with_and_without(checkpoint, calls, image):
    without = {name: build(name, checkpoint, 0).predict(IMAGES[image]) for name in MODES}
    assert all(len(np.unique(labels)) > 5 for labels in without.values())
    assert (calls.encode, calls.decode) == (3, 2)
    for turn in range(2):
        for name in MODES:
            model = build(name, checkpoint)
            assert np.array_equal(model.predict(IMAGES[image]), without[name]), (turn, name)
            finish()
    assert (calls.encode, calls.decode) == (4, 3), "once for all of them"


def test_a_kept_stage_is_told_with_the_seconds_that_computing_it_took(checkpoint):
    image = IMAGES["grey"]
    amg = build("amg", checkpoint)
    amg.predict(image)
    finish()
    took, memory = amg.stages["encode"], amg.stage_memory["encode"]
    assert amg.cached == {} and took > 0
    apg = build("apg", checkpoint)
    apg.predict(image)
    finish()
    assert apg.stages["encode"] == took and apg.cached["encode"] > 0 and set(apg.cached) == {
        "encode"
    }  # fmt: skip
    decoded = apg.stages["decode"]
    assert apg.stage_memory["encode"] == memory and memory["host"] > 0
    ais = build("ais", checkpoint)
    ais.predict(image)
    assert {k: ais.stages[k] for k in ("encode", "decode")} == {"encode": took, "decode": decoded}
    assert set(ais.cached) == {"encode", "decode"} and ais.cached["encode"] == 0
    assert {k: ais.stage_memory[k] for k in ais.cached} == {
        k: apg.stage_memory[k] for k in ais.cached
    }
    ais.predict(IMAGES["rgb"])
    assert ais.cached == {} and set(ais.stage_memory) == set(ais.stages)


def test_maps_that_are_kept_need_no_embedding(checkpoint, calls, folder):
    first = build("ais", checkpoint).predict(IMAGES["rgb"])
    finish()
    files = sorted(folder.rglob("*.npz"), key=lambda path: path.stat().st_size)
    assert len(files) == 2
    for file in files:  # of the two, the embedding's is the one that is not missed
        content = file.read_bytes()
        file.unlink()
        before = calls.decode
        assert np.array_equal(build("ais", checkpoint).predict(IMAGES["rgb"]), first)
        finish()
        if calls.decode == before:
            assert not file.exists()
        file.write_bytes(content)
    assert calls.encode == 1 and calls.decode == 2


@pytest.mark.parametrize("kind", ["other weights", "other image", "other version", "other threads"])
def test_nothing_is_taken_for_something_else(checkpoint, calls, tmp_path, kind, monkeypatch):
    build("ais", checkpoint).predict(IMAGES["grey"])
    finish()
    weights, image = checkpoint, IMAGES["grey"]
    if kind == "other weights":
        weights = make_checkpoint(tmp_path / "other.pt", seed=1)
    elif kind == "other image":
        image = image.copy()
        image[5, 5] ^= 1
    elif kind == "other version":
        monkeypatch.setattr(embeddings, "VERSION", 2)
    else:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    expected = build("ais", weights, 0).predict(image)
    model = build("ais", weights)
    assert np.array_equal(model.predict(image), expected)
    assert model.cached == {} and calls.encode == 3


@pytest.mark.parametrize(
    "library",
    ["torch", "torchvision", "pillow", "segment-anything", "segment-anything-py", "micro-sam"],
)
def test_an_entry_is_known_by_all_that_makes_it(library, monkeypatch):
    real = importlib.metadata.version
    keys = []
    for changed in (False, True):
        monkeypatch.setattr(
            importlib.metadata,
            "version",
            lambda name, changed=changed: (
                "other" if changed and name.lower() == library else real(name)
            ),
        )
        embeddings._made_with.cache_clear()
        keys.append(embeddings.key("encode", "image", {}, "cpu"))
    embeddings._made_with.cache_clear()
    assert keys[0] != keys[1]


def test_a_damaged_entry_is_computed_anew(checkpoint, folder, capsys):
    expected = build("apg", checkpoint).predict(IMAGES["grey"])
    finish()
    for path in folder.rglob("*.npz"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    model = build("apg", checkpoint)
    assert np.array_equal(model.predict(IMAGES["grey"]), expected) and model.cached == {}
    assert capsys.readouterr().err.count("is damaged") == 2


def test_the_demo_network_too_whose_arrays_lie_channel_by_channel(folder):
    from models.common.torch_adapter import TorchAdapter
    from models.demo.network import build_decoder, build_sam

    torch.manual_seed(0)
    sam, decoder = build_sam(), build_decoder()
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    found = []
    for cache in (None, cache_module.open_cache(SIZE), cache_module.open_cache(SIZE)):
        holder = TorchAdapter("cpu", cache)
        one = module.Backbone(sam, decoder, {"digests": "demo"})
        embeddings = one.encode(image, holder)
        maps = one.decode(image, holder, embeddings)
        if cache:
            cache.finish()
        found.append((embeddings, maps, set(holder.cached)))
    assert [cached for *_, cached in found] == [set(), set(), {"encode", "decode"}]
    for embeddings, maps, _ in found[1:]:
        assert torch.equal(embeddings["features"], found[0][0]["features"])
        assert embeddings["features"].stride() == found[0][0]["features"].stride()
        assert maps.tobytes() == found[0][1].tobytes() and maps.strides == found[0][1].strides
        for size in ("input_size", "original_size"):
            assert embeddings[size] == found[0][0][size]
    assert not found[0][0]["features"].is_contiguous(), "or this test shows nothing"


# --- in a run


def test_run_times_in_tables_are_those_of_computing():
    stages = {"encode": 2.0, "decode": 0.25, "prompt": 0.3}
    fetched = {"encode": 0.01, "decode": 0.02}
    record = Record("s", "done", 1, seconds=0.5, stages=stages, cached=fetched)
    assert record.computed_seconds == pytest.approx(0.5 - 0.03 + 2.25)
    assert Record("s", "done", 1, seconds=0.5).computed_seconds == 0.5
    assert Record("s", "error", 1).computed_seconds is None


def test_memory_in_tables_is_that_of_computing():
    peaks = {"encode": {"host": 9, "device": 1}, "prompt": {"host": 5, "device": 3}}
    record = Record("s", "done", 1, memory={"host": 6, "device": 2}, stage_memory=peaks)
    assert record.computed_memory == {"host": 9, "device": 3}
    assert Record("s", "done", 1, memory={"host": 6}).computed_memory == {"host": 6}


def test_runs_record_what_was_kept_and_are_the_same_runs_without(root, tmp_path, checkpoint):
    target = "helpers.small_musam.SmallDecoder"

    def job(folder, cache):
        made = make_job(folder, target=target, weights=str(checkpoint))
        made.settings.cache = cache
        return made

    runs = [job(root, "off"), job(tmp_path / "b", "1GB"), job(tmp_path / "c", "1GB")]
    for one in runs:
        assert do(one).complete
        cache_module.open_cache(10**9).finish()
    assert len({one.store.path.name for one in runs}) == 1
    off, first, again = ([r for _, r in sorted(one.store.records().items())] for one in runs)
    assert [r.prediction for r in off] == [r.prediction for r in first]
    assert [r.prediction for r in off] == [r.prediction for r in again]
    assert all(r.cached == {} for r in [*off, *first])
    assert all(set(r.cached) == {"encode", "decode"} for r in again)
    for computed, kept in zip(first, again, strict=True):
        for stage in ("encode", "decode"):
            assert kept.stages[stage] == computed.stages[stage]
            assert kept.stage_memory[stage] == computed.stage_memory[stage]
        assert kept.computed_seconds > kept.stages["encode"] + kept.stages["decode"]
    assert load_result(runs[0].store, runs[0].score_key, "paper") is None, "untrained weights"
