"""Stacks of one's own on the command line: refused with the option, or read as chosen."""

import numpy as np
import pytest
from helpers.command_line import main
from helpers.files import tiff
from helpers.messages import assert_names

from benchmark.data.formats.images import read_image
from benchmark.data.sources.synthetic import draw
from benchmark.store.store import RunStore


@pytest.fixture
def stack(tmp_path):
    """Two slices in four channels, of which the last shows the nuclei of the second slice."""
    image, labels = draw("fluorescent_nuclei", 0, seed=0, size=96)
    stack = np.zeros((2, 4, 96, 96), image.dtype)
    stack[1, 3] = image
    for kind in ("i", "l"):
        (tmp_path / kind).mkdir()
    tiff(tmp_path / "i" / "a.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    tiff(tmp_path / "l" / "a.tif", labels.astype("u2"))
    return tmp_path


def otsu(root, *options):
    return main(root, "model=otsu", "data=folder", "data.images=i", "data.labels=l", *options)


def test_a_stack_is_refused_with_the_option_and_then_read(stack):
    refused = otsu(stack)
    assert refused.returncode == 1
    assert_names(refused.stderr, "axes ZCYX", "data.z=")
    assert otsu(stack, "data.z=foo").returncode == 2
    done = otsu(stack, "data.z=1", "data.use_channels=[3]")
    assert done.returncode == 0 and "complete" in done.stdout
    assert "channels were used" not in done.stdout
    assert float(done.stdout.split("otsu ")[1].split()[3]) > 0  # of the empty channels it is 0


def test_channels_that_a_model_leaves_out_are_named_in_record_and_table(stack):
    done = otsu(stack, "data.z=1")
    assert "only the first 3 of 4 channels were used" in done.stdout
    (store,) = RunStore.all(stack / "results" / "runs")
    (record,) = store.records().values()
    assert record.details["used_channels"] == [0, 1, 2]
    assert record.details["unused_channels"] == [3]


def one_image(root, image, labels, **tags):
    for kind, array in (("i", image), ("l", labels)):
        (root / kind).mkdir()
        tiff(root / kind / "a.tif", array, **(tags if kind == "i" else {}))


def test_a_turned_image_is_scored_as_it_is_shown_and_remarked_on(tmp_path):
    labels = draw("fluorescent_nuclei", 0, seed=0, size=96)[1].astype("u2")
    image = (labels > 0).astype("u1") * 100
    one_image(tmp_path, image[::-1, ::-1], labels, extratags=[(274, "H", 1, 3, True)])
    upright = main(tmp_path, "model=oracle", "data=folder", "data.images=i", "data.labels=l")
    assert_names(upright.stdout + upright.stderr, "Orientation 3", "Fiji")
    prepared = next((tmp_path / "datasets").glob("*/prepared/*/images/a.tif"))
    np.testing.assert_array_equal(read_image(prepared), image)


def test_labels_of_an_image_that_was_turned_are_refused_with_the_cause(tmp_path):
    labels = draw("fluorescent_nuclei", 0, seed=0, size=96)[1].astype("u2")[:60]
    one_image(tmp_path, labels.astype("u1"), labels, extratags=[(274, "H", 1, 6, True)])
    refused = main(tmp_path, "model=oracle", "data=folder", "data.images=i", "data.labels=l")
    assert refused.returncode == 1
    assert_names(refused.stderr, "96 x 60", "60 x 96", "Orientation")


def test_another_choice_is_another_run(stack):
    for channel in (0, 3):
        otsu(stack, "data.z=1", f"data.use_channels=[{channel}]")
    assert len([*(stack / "results" / "runs").glob("otsu-*")]) == 2
