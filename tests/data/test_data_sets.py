"""Every public data set: a small source in its own layout, the real loader, the recipe.

What comes of it is compared with a literal transcription of the study's protocol, which knows
nothing of this code (`tests/study`); sources are written by `tests/layouts`.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from helpers.data_sets import (
    composed,
    loaders_in_this_process,
    prepared,
    public_data_sets,
    source_of,
)
from skimage.measure import label

from benchmark.scoring.match import match
from benchmark.scoring.metrics import score
from benchmark.scoring.protocol import METHODS, SCORING, SWITCHES, Protocol

GROUPS = ("label_free", "fluo_cells", "fluo_nuclei", "histopathology", "organoids")
WRITERS = {k: w for g in GROUPS for k, w in importlib.import_module(f"layouts.{g}").WRITERS.items()}
EXPECTED = {k: e for g in GROUPS for k, e in importlib.import_module(f"study.{g}").EXPECTED.items()}
DATA_SWITCHES = [key for key in SWITCHES if key not in (*METHODS, *SCORING)]
CLEAN = "protocol=clean"

# Literal facts of the protocol's table, for predictions made from raw labels.
IGNORED = {"plantseg_root": 1, "pnas_arabidopsis": 1}
BINARY = ("deepseas",)
RESIZED = ("hpa",)

pytestmark = pytest.mark.slow


class World:
    """A data set's small source, and where things are prepared from it."""

    def __init__(self, key, folder, monkeypatch):
        self.key = key
        self.root = folder / "root"
        self.datasets = folder / "datasets"
        self.monkeypatch = monkeypatch
        self.root.mkdir()
        WRITERS[key](self.root)
        np.random.seed(0)  # what loaders without a seed draw from

    def prepare(self, split, *words):
        with loaders_in_this_process(self.monkeypatch):
            return prepared(self.key, self.root, self.datasets, split, *words)

    def items(self, split, *words):
        with loaders_in_this_process(self.monkeypatch):
            return source_of(self.key, self.root, self.datasets, *words).items(split)


@pytest.fixture(scope="module", params=public_data_sets())
def world(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield World(request.param, tmp_path_factory.mktemp(request.param), monkeypatch)


def samples(data):
    return [data.read(entry) for entry in data.entries]


@pytest.mark.parametrize("split", ["test", "val"])
def test_paper_is_what_the_study_stored(world, split):
    data = samples(world.prepare(split))
    expected = EXPECTED[world.key](world.root, split)
    assert len(data) == len(expected) > 0
    for sample, (image, labels) in zip(data, expected, strict=True):
        assert sample.image.dtype == image.dtype
        assert np.array_equal(sample.image, image), sample.id
        assert np.array_equal(sample.labels, labels), sample.id


def nearest(labels, shape, resize):
    """The raw labels where a prepared image shows them, by nothing but indices."""
    wanted = np.array(shape)
    have = np.array(labels.shape)
    if resize:
        rows, columns = (
            ((np.arange(w) + 0.5) * h / w).astype(int) for w, h in zip(wanted, have, strict=True)
        )
        return labels[np.ix_(rows, columns)]
    top, left = (have - wanted) // 2
    return labels[top : top + wanted[0], left : left + wanted[1]]


def own_labels(world, raw):
    """The raw labels with what the table says is no object."""
    labels = raw.read()[1]
    if world.key in IGNORED:
        labels = np.where(labels == IGNORED[world.key], 0, labels)
    return label(labels) if world.key in BINARY else labels


def accuracy(world, *words):
    """Mean mSA of raw labels, taken by nearest neighbour, against the prepared truth."""
    raws = {raw.name: raw for raw in world.items("test", *words)}
    data = world.prepare("test", *words)
    protocol = Protocol(name="clean", threshold_grid="exact", both_empty="exclude")
    values = []
    for entry in data.entries:
        truth = data.read(entry).labels
        predicted = nearest(
            own_labels(world, raws[entry.original]), truth.shape, world.key in RESIZED
        )
        msa = score(match(truth, predicted.astype(np.int64)), protocol).metrics["msa"]
        values.append(np.nan if msa is None else msa)
    return float(np.nanmean(values))  # an image without any object has none


def test_raw_labels_by_nearest_neighbour_are_the_clean_truth(world):
    # A piece that a crop makes an object of is no error of ours: the truth is right to split it.
    assert accuracy(world, CLEAN, "protocol.cut_objects=one") >= 0.999


def test_under_paper_the_truth_of_hpa_is_none(world):
    if world.key in RESIZED:
        assert accuracy(world) < 0.9


def test_a_switch_acts_where_the_data_set_says_so_and_nowhere_else(world):
    quirks = composed(world.key)["quirks"]
    assert quirks.keys() <= set(DATA_SWITCHES)
    paper = {split: world.prepare(split) for split in ("test", "val")}
    for switch in DATA_SWITCHES:
        word = f"protocol.{switch}={SWITCHES[switch][1]}"
        if switch not in quirks:
            assert composed(world.key, word) == composed(world.key)
            continue
        if switch == "val_limit" and len(world.items("val")) <= 100:
            assert composed(world.key, word) != composed(world.key)
            continue  # it acts on the real data set at most
        mended = {split: world.prepare(split, word) for split in paper}
        assert any(
            (mended[s].images_digest(), mended[s].labels_digest())
            != (paper[s].images_digest(), paper[s].labels_digest())
            for s in paper
        ), f"{switch} changes nothing"


def test_switches_of_labels_alone_leave_predictions_valid(world):
    for switch in ("cut_objects", "label_resize", "ignore_region"):
        if switch in composed(world.key)["quirks"]:
            word = f"protocol.{switch}={SWITCHES[switch][1]}"
            paper, mended = world.prepare("test"), world.prepare("test", word)
            kept = {e.id: e.image_digest for e in paper.entries}.items()
            assert kept >= {e.id: e.image_digest for e in mended.entries}.items()
            assert paper.labels_digest() != mended.labels_digest()


def test_clean_keeps_validation_and_test_apart(world):
    test, val = ({raw.files for raw in world.items(split, CLEAN)} for split in ("test", "val"))
    assert test and val and not test & val
    assert {raw.files for raw in world.items("all", CLEAN)} == test | val
    if "val_images" in composed(world.key)["quirks"]:  # that switch alone is enough
        alone = "protocol.val_images=apart"
        data = [world.prepare(split, alone) for split in ("test", "val")]
        test, val = ({entry.original for entry in each.entries} for each in data)
        assert test and val and not test & val


def test_all_holds_an_image_once_that_is_in_both_splits(world):
    test, val, everything = (
        {raw.files for raw in world.items(split)} for split in ("test", "val", "all")
    )
    assert everything == test | val
    assert len(world.items("all")) == len(everything)
    if world.key == "vicar":
        assert val <= test, "the study validated on test images"


def test_slices_of_one_volume_are_in_one_group(world):
    for raw in world.items("test"):
        if raw.volume and "CZYX" not in str(composed(world.key)["read"]):
            of_volume = {r.group for r in world.items("test") if r.volume == raw.volume}
            assert len(of_volume) == 1
            return


def test_every_data_set_has_a_source_and_a_transcription():
    assert set(public_data_sets()) == WRITERS.keys() == EXPECTED.keys()
