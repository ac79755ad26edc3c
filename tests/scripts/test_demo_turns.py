"""Twins: a crop and the same one turned, which the demo network shall answer alike."""

import numpy as np
import pytest
import torch
from demo.crops import Shape, batch
from demo.losses import SHARPNESS
from demo.losses import _twin_losses as twin_losses
from demo.pictures import Collection, drawn
from demo.turns import COUNT, turned, turned_maps, turned_points
from helpers.demo_model import one_thread as one_thread

PIXELS = np.arange(49).reshape(7, 7)


def test_eight_ways_that_all_differ():
    assert len({turned(PIXELS, turn).tobytes() for turn in range(COUNT)}) == COUNT
    assert (turned(PIXELS, 0) == PIXELS).all()


@pytest.mark.parametrize("turn", range(COUNT))
def test_points_and_tensors_are_turned_with_the_image(turn):
    points = np.random.default_rng(0).integers(0, 7, (5, 2))
    image = turned(PIXELS, turn)
    x, y = turned_points(points, turn, 7).T
    assert (image[y, x] == PIXELS[points[:, 1], points[:, 0]]).all()
    assert (turned_maps(torch.tensor(PIXELS[None]), turn)[0].numpy() == image).all()


@pytest.fixture(scope="module")
def collection():
    pictures = [drawn("fluorescent_nuclei", index) for index in range(2)]
    return Collection(pictures, np.array([0.5, 0.5]), 0.3)


def test_a_twin_is_the_crop_before_it_turned(collection):
    seen = []
    for step in range(1, 30):
        made = batch(collection, Shape(256, 3, 6, twin=True), 0, step, 0)
        assert made.turns[:2].tolist() == [0, 0]
        turn = int(made.turns[2])
        seen.append(turn)
        for maps in (made.grey, made.labels, made.places[:, :1], made.pure):
            assert np.allclose(turned(maps[1], turn), maps[2], atol=1e-5)
        # Truth is made anew: of an object with two middles it takes the one that comes first.
        assert np.isclose(turned(made.maps[1], turn), made.maps[2], atol=1e-5).mean() > 0.9
        assert (made.objects[1] == made.objects[2]).all()
        # In pixels of `labels`, of which an image's pixel takes 1.4 to 2.8 here. A predictor's
        # points lie half of such a pixel before its middle, wherever the image is turned to.
        first, second = ((made.points[i] - made.origin[i][::-1]) / 2 - 0.5 for i in (1, 2))
        apart = turned_points(first, turn, 128) - second
        assert np.ptp(apart, axis=0).max() < 1e-3
        flips = np.abs(apart[0]) > 1e-3
        assert ((np.abs(apart[0]) > 1.3) & (np.abs(apart[0]) < 2.9))[flips].all()
    assert set(seen) == set(range(1, COUNT))


def test_a_twin_lies_elsewhere_and_leaves_the_others_as_they_were(collection):
    alone = batch(collection, Shape(256, 3, 6), 0, 1, 0)
    twins = batch(collection, Shape(256, 3, 6, twin=True), 0, 1, 0)
    assert not alone.turns.any() and twins.turns[2]
    for one, other in zip(alone, twins, strict=True):
        assert (one[:2] == other[:2]).all()
    assert (twins.origin[1] != twins.origin[2]).any()


def test_only_answers_that_turn_with_the_crop_cost_nothing():
    draws = torch.Generator().manual_seed(0)
    # As sure as a mask can be, edges far from ambiguous.
    first = 20 * SHARPNESS * torch.randn((3, 4, 8, 8), generator=draws).sign()
    maps = torch.randn((3, 8, 8), generator=draws)
    other = torch.randn((3, 4, 8, 8), generator=draws)
    real = torch.tensor([[True] * 3] * 3)
    for turn in range(1, COUNT):

        def loss(second, maps_of_second, given=turn, real=real):
            stacked = torch.stack([maps * 0, maps, maps_of_second])
            found = twin_losses([other, first, second], stacked, real, [0, 0, given])
            return {name: float(value) for name, value in found.items()}

        alike = loss(turned_maps(first, turn), turned_maps(maps, turn))
        assert alike == pytest.approx({"twin_masks": 0, "twin_maps": 0}, abs=1e-6)
        wrong = loss(first, maps)
        assert wrong["twin_masks"] > 0.1 and wrong["twin_maps"] > 0.01
        # Of a point in the background no mask is right.
        changed = turned_maps(first, turn).clone()
        changed[1] *= -1
        half = real.clone()
        half[2, 1] = False
        assert loss(changed, maps)["twin_masks"] > 0.1
        assert loss(changed, maps, real=half)["twin_masks"] == pytest.approx(0, abs=1e-6)
    none = twin_losses([first, first], torch.stack([maps, maps]), real[:2], [0, 0])
    assert set(none) == {"twin_masks", "twin_maps"} and not any(none.values())
    no_points = twin_losses([first, first], torch.stack([maps, maps]), ~real[:2], [0, 1])
    assert torch.isfinite(no_points["twin_masks"])
