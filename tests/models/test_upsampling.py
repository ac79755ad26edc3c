"""Masks made around objects alone: equal to the library's whole ones in every pixel."""

from functools import partial

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.copies import counted
from segment_anything.modeling import Sam
from torch.nn.functional import interpolate

from models.common.masks import cut
from models.prompting import upsampling
from models.prompting.upsampling import Step, Upsampling

SIDE = 1024
SIZES = [(512, 512), (520, 696), (300, 700), (33, 20), (1, 300), (1, 1), (1030, 770)]
LARGE = [(2048, 2048), (2048, 1500), (1500, 4096)]


class Whole:
    """A library's interpolation, which counts the masks that it is asked for."""

    def __init__(self, steps):
        self.steps, self.masks = steps, 0

    def __call__(self, logits):
        self.masks += len(logits)
        for size, (height, width) in self.steps:
            logits = interpolate(logits, size, mode="bilinear", align_corners=False)
            logits = logits[..., :height, :width]
        return logits


def of_sam(shape):
    """As SAM resizes logits: to its own side, and without the padding to the image's size."""
    scale = SIDE / max(shape)
    shown = tuple(int(side * scale + 0.5) for side in shape)
    return [Step((SIDE, SIDE), shown), Step(shape, shape)]


def at_once(shape):
    """As SAM 2 and SAM 3 do."""
    return [Step(shape, shape)]


def drawn(number, side=256, seed=0):
    """Logits of discs of many sizes with noise, the first empty, the second over the border."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    masks = []
    for index in range(number):
        row, column, radius = torch.rand(3, generator=generator) * torch.tensor([1, 1, 0.12])
        if index < 2:
            row, radius = torch.zeros(()), torch.tensor((-2.0, 0.2)[index])
        distance = ((y - row) ** 2 + (x - column) ** 2).sqrt()
        noise = torch.randn(side, side, generator=generator)
        masks.append(15 * torch.tanh(12 * (radius - distance)) + 0.4 * noise)
    return torch.stack(masks)


def expected(whole, logits, levels, offset):
    """Thresholded as a whole."""
    found = []
    for one, level in zip(logits, levels, strict=True):
        [[values]] = whole(one[None, None])
        areas = [int((values > level + o).sum()) for o in (offset, -offset)]
        found.append((cut((values > level).numpy()), *areas))
    return found


def check(found, wanted):
    for (mask, *areas), (other, *others) in zip(found, wanted, strict=True):
        assert areas == others
        assert mask[1:] == other[1:] and mask.mask.dtype == bool
        assert np.array_equal(mask.mask, other.mask)


@pytest.mark.parametrize("steps", [of_sam, at_once])
@pytest.mark.parametrize("shape", SIZES + [pytest.param(s, marks=pytest.mark.slow) for s in LARGE])
@pytest.mark.parametrize("side", [256, 32])
def test_masks_equal_those_of_whole_logits(steps, shape, side):
    whole = Whole(steps(shape))
    logits = drawn(14, side, seed=sum(shape))
    for levels, offset in (
        ([0.0] * 14, 1.0),
        ([0.7] * 14, 1.0),
        ([-2] * 14, 0.5),
        (torch.linspace(0, 3, 14), 1.0),
        ([0.0] * 14, 0.0),
    ):
        whole.masks = 0
        found = Upsampling(whole, whole.steps).thresholded(logits, levels, offset)
        assert whole.masks <= 5, "most are made around the object"
        wanted = expected(whole, logits, levels, offset)
        check(found, wanted)
        if levels[0] == 0.7 and min(shape) > 20:
            assert sum(mask.area > 0 for mask, *_ in wanted) > 1
            assert sum(0 < inner < outer for _, inner, outer in wanted) > 1


def test_the_steps_of_sam_are_those_of_the_library():
    shape = (300, 700)
    steps = of_sam(shape)
    sam = Sam(torch.nn.Module(), torch.nn.Module(), torch.nn.Module())
    sam.image_encoder.img_size = SIDE
    logits = drawn(3)[:, None]
    found = sam.postprocess_masks(logits, steps[0].kept, shape)
    assert torch.equal(found, Whole(steps)(logits))


def test_pixels_at_a_threshold_are_decided_by_the_library():
    whole = Whole(of_sam((520, 696)))
    logits = drawn(6)
    level = 0.1 + 0.2
    logits[:, 100:130, 90:140] = level  # what is made of equal logits differs in the last bit
    wanted = expected(whole, logits, [level] * 6, 1.0)
    assert {mask.area for mask, *_ in wanted} != {0}
    whole.masks = 0
    check(Upsampling(whole, whole.steps).thresholded(logits, [level] * 6, 1.0), wanted)
    assert whole.masks == 6


@pytest.mark.parametrize("change", ["threshold", "inner", "outer"])
def test_a_pixel_next_to_any_of_three_thresholds_counts_as_uncertain(change):
    whole = Whole(of_sam((512, 512)))
    logits = torch.full((1, 256, 256), -9.0)
    logits[0, 100:110, 90:99] = {"threshold": 0.5, "inner": 1.5, "outer": -0.5}[change]
    found = Upsampling(whole, whole.steps).thresholded(logits, [0.5], 1.0)
    assert whole.masks == 1
    check(found, expected(whole, logits, [0.5], 1.0))


ODD = {
    "nothing": lambda x: x.fill_(-20),
    "all": lambda x: x.fill_(3),
    "far below": lambda x: x.sub_(1e6),
    "far above": lambda x: x.mul_(1e8),
    "infinite": lambda x: x[:, 20:40].fill_(float("inf")),
    "below all": lambda x: x[:, 20:40].fill_(float("-inf")),
    "not a number": lambda x: x[:, 120, 130].fill_(float("nan")),
    "one pixel": lambda x: x.fill_(-5)[:, 77, 200].fill_(9),
    "the last pixel": lambda x: x.fill_(-5)[:, 255, 255].fill_(9),
    "noise": lambda x: x.copy_(torch.randn(x.shape, generator=torch.Generator().manual_seed(1))),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("shape", [(520, 696), (640, 640)])
def test_odd_logits(name, shape):
    whole = Whole(of_sam(shape))
    logits = drawn(3)
    ODD[name](logits)
    found = Upsampling(whole, whole.steps).thresholded(logits, [0.0] * 3, 1.0)
    check(found, expected(whole, logits, [0.0] * 3, 1.0))


def test_where_steps_are_unknown_or_logits_are_no_float32_the_library_makes_all():
    whole = Whole(of_sam((200, 300)))
    logits = drawn(4)
    check(
        Upsampling(whole).thresholded(logits, [0.0] * 4, 1.0), expected(whole, logits, [0.0] * 4, 1)
    )
    assert whole.masks == 8
    halves = logits.bfloat16()
    found = Upsampling(whole, whole.steps).thresholded(halves, [0.0] * 4, 1.0)
    check(found, expected(whole, halves, [0.0] * 4, 1.0))
    assert Upsampling(whole, whole.steps).thresholded(logits[:0], [], 1.0) == []


def test_a_mask_does_not_depend_on_its_neighbours():
    shape = (520, 696)
    up = Upsampling(Whole(of_sam(shape)), of_sam(shape))
    logits = drawn(9, seed=4)
    together = up.thresholded(logits, [0.0] * 9, 1.0)
    alone = [up.thresholded(one[None], [0.0], 1.0)[0] for one in logits]
    check(together, alone)


def test_no_tensor_is_as_large_as_the_image(monkeypatch):
    """Of a mask of some pixels: memory does not grow with the image."""
    shape, sizes = (4096, 4096), []
    resampled = upsampling._Range.resampled

    def counted(*args):
        found = resampled(*args)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(upsampling._Range, "resampled", counted)
    logits = torch.full((8, 256, 256), -9.0)
    for number in range(8):
        logits[number, 10 * number : 10 * number + 9, 40:52] = 9
    made = Upsampling(partial(pytest.fail, "whole"), of_sam(shape)).thresholded(
        logits, [0.0] * 8, 1.0
    )
    assert all(mask.area > 9 * 12 * 200 for mask, *_ in made)
    assert max(sizes) < 2 * (16 * 15) * (16 * 15), "values and sizes of logits around the mask"


@pytest.mark.parametrize("shape", [(512, 512), (300, 700)])
def test_a_gpu_is_waited_for_as_often_for_many_masks_as_for_few(shape):
    logits = torch.full((24, 256, 256), -9.0)
    for number in range(24):
        logits[number, 4 * number : 4 * number + 9, 40 : 50 + number] = 9
    whole = Whole(of_sam(shape))
    up = Upsampling(whole, whole.steps)
    up.thresholded(logits[:1], 0.0, 1.0)  # axes are kept
    for number in (3, 24):
        with counted() as calls:
            up.thresholded(logits[:number], 0.0, 1.0)
        assert calls == ["cpu", "numpy", "tolist", "cpu", "numpy"]
    assert whole.masks == 0


@pytest.mark.parametrize("level", [0, 0.0, 2.5, -1])
@pytest.mark.parametrize("steps", [of_sam((300, 700)), ()])
def test_one_level_for_all_is_that_of_each(level, steps):
    logits = drawn(6)
    up = Upsampling(Whole(of_sam((300, 700))), steps)
    check(up.thresholded(logits, level, 1.0), up.thresholded(logits, [float(level)] * 6, 1.0))
