"""The controls: what a table has to show for them, on drawn and on real images."""

import numpy as np
import pytest
from cases import PAPER, draw
from elf.evaluation import mean_segmentation_accuracy
from helpers.demo_model import DATA, real
from helpers.scores import metrics
from skimage.segmentation import expand_labels, find_boundaries
from tifffile import imread

from benchmark.adapter import AdapterInfo
from benchmark.types import Attending, Sample
from models.controls import Empty, Oracle, TruthDilated, TruthEroded

TRUTH = draw(
    "111222....",
    "111222....",
    "111222.33.",
    ".......33.",
)  # fmt: skip


def predicted(control, truth):
    if isinstance(control, Attending):
        control.attend(Sample("a", np.zeros(truth.shape), truth, "a"))
    return control.predict(np.zeros(truth.shape))


@pytest.mark.parametrize("control", [Oracle, TruthEroded, TruthDilated])
def test_those_of_the_truth_are_controls_and_see_it(control):
    info = AdapterInfo.of(control)
    assert info.control and info.sees_truth
    with pytest.raises(RuntimeError, match="before it was handed the truth"):
        control().predict(np.zeros((3, 3)))


def test_what_each_returns():
    eroded = draw(
        "11..2.....",
        "11..2.....",
        "..........",
        "..........",
    )  # fmt: skip
    # In a corner of the image an object has no pixel beyond it to differ from.
    dilated = draw(
        "1112222...",
        "111222233.",
        "1112223333",
        "1112223333",
    )  # fmt: skip
    np.testing.assert_array_equal(predicted(Oracle(), TRUTH), TRUTH)
    np.testing.assert_array_equal(predicted(TruthEroded(), TRUTH), eroded)
    np.testing.assert_array_equal(predicted(TruthDilated(), TRUTH) > 0, dilated > 0)
    assert not predicted(Empty(), TRUTH).any()


def test_the_truth_itself_is_not_changed():
    truth = TRUTH.copy()
    for control in (TruthEroded(), TruthDilated()):
        predicted(control, truth)
    np.testing.assert_array_equal(truth, TRUTH)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32, np.int64])
def test_whatever_the_type_of_the_labels(dtype):
    for control in (TruthEroded(), TruthDilated()):
        as_int = predicted(control, TRUTH)
        np.testing.assert_array_equal(predicted(control, TRUTH.astype(dtype)), as_int)


@real
def test_the_ceilings_of_real_images():
    for path in sorted((DATA / "dsb/test/masks").glob("*.tif"))[:3]:
        truth = imread(path)
        eroded = truth.copy()
        eroded[find_boundaries(truth, mode="inner")] = 0
        expected = {TruthEroded: eroded, TruthDilated: expand_labels(truth, 1)}
        for control, by_hand in expected.items():
            found = metrics(truth, predicted(control(), truth), PAPER)
            assert found["msa"] == mean_segmentation_accuracy(by_hand, truth)
            assert 0.2 < found["msa"] < 0.9 and found["msa_tolerant"] == 1
