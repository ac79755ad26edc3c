"""Data sets that need no download: the packaged nuclei and the drawn images, pinned."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import benchmark
from benchmark.data.prepare import prepare
from benchmark.data.sources import folder
from benchmark.data.sources.folder import PackagedNuclei, SyntheticSource
from benchmark.errors import DataError, UsageError

CONFIGS = Path(benchmark.__file__).parents[1] / "configs" / "data"


def test_the_packaged_nuclei_are_125_in_a_square_of_512():
    (raw,) = PackagedNuclei().items("test")
    image, labels = raw.read()
    assert image.shape == labels.shape == (512, 512)
    ids = np.unique(labels)
    assert ids[0] == 0 and len(ids) == 126 and ids[-1] > 125  # not consecutive
    # Bright nuclei on dark ground: were the two files not a pair, this would not hold.
    assert image[labels > 0].mean() > 2 * image[labels == 0].mean()


def test_without_stardist_the_demo_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install stardist"):
        PackagedNuclei().items("test")
    monkeypatch.undo()
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)  # another stardist
    with pytest.raises(DataError, match="pip install stardist"):
        PackagedNuclei().fingerprint()


def prepared(name, source, tmp_path, split="test"):
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    return prepare(
        name,
        source,
        config["recipe"],
        parameters={},
        datasets=tmp_path,
        split=split,
        allowed_failures=lambda images: 0,
        expect=config.get("expect"),
    )


def test_the_demo_is_the_one_whose_digests_its_yaml_pins(tmp_path):
    data = prepared("nuclei_demo", PackagedNuclei(), tmp_path)
    assert [entry.id for entry in data.entries] == [
        f"dsb2018_nuclei_r{row}c{column}" for row in (0, 1) for column in (0, 1)
    ]
    assert {entry.group for entry in data.entries} == {"dsb2018_nuclei"}
    assert {entry.shape for entry in data.entries} == {(256, 256)}
    # Here once more, so that whoever changes the YAML does it on purpose.
    assert data.images_digest()[:16] == "012d6631cffc45bf"
    assert data.labels_digest()[:16] == "2c28a8d82a61634f"


SYNTHETIC = {
    "test": (
        "cc137255c1009bdede16aef290560d64eaa5a91c288ca5344b8966297f755129",
        "102b8ce409bc98eb1bef9bf7ce0e5dbf28b2dec251d6ceac231cdec14d290788",
    ),
    "val": (
        "1c33542cf50124d9d93f304be762de317dcb9febd2f1345b1074e02e3db1cb0c",
        "ba675d03fc25cadb474ec5e8186229397d816650ff08938c736b98b79eb9a6f8",
    ),
}


def drawn(**changes):
    settings = dict(yaml.safe_load((CONFIGS / "synthetic.yaml").read_text())["source"])
    assert settings.pop("_target_").endswith(".SyntheticSource")
    return SyntheticSource(**settings | changes)


def test_the_synthetic_data_is_pinned_to_the_bit(tmp_path):
    for split, digests in SYNTHETIC.items():
        data = prepared("synthetic", drawn(), tmp_path, split)
        assert len(data.entries) == {"test": 32, "val": 16}[split]
        assert (data.images_digest(), data.labels_digest()) == digests


def test_val_goes_on_counting_where_test_ends():
    items = drawn(styles=["rod_bacteria"], per_style=2, val_per_style=1, size=64).items("all")
    assert [(raw.name, raw.split) for raw in items] == [
        ("rod_bacteria_000", "test"),
        ("rod_bacteria_001", "test"),
        ("rod_bacteria_002", "val"),
    ]
    images = [raw.read()[0] for raw in items]
    assert not any(np.array_equal(images[2], image) for image in images[:2])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"styles": ["yeast"]}, "no style 'yeast'"),
        ({"size": 10}, "size is 10"),
    ],
)
def test_what_cannot_be_drawn_is_a_slip(changes, said):
    with pytest.raises(UsageError, match=f"data.source: {said}"):
        drawn(**changes).items("test")[0].read()


@pytest.mark.parametrize("word", ["per_style", "val_per_style", "size", "seed"])
def test_what_has_to_be_a_number_is_told_with_its_key(word):
    said = rf"data\.source\.{word} is 'abc'; it must be a whole number"
    with pytest.raises(UsageError, match=said):
        drawn(**{word: "abc"}).items("test")


def test_a_new_way_of_drawing_is_another_fingerprint(monkeypatch):
    before = drawn().fingerprint()
    monkeypatch.setattr(folder, "DRAWING_VERSION", 99)
    assert drawn().fingerprint() != before
