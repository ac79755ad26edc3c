"""Crops that the demo network is trained on: what its encoder sees at inference; turned twins."""

import numpy as np
import pytest
import torch
from demo import crops
from demo.crops import KINDS, Shape, batch, crop
from demo.pictures import picture
from demo.targets import truth
from demo.turns import COUNT, turned, turned_boxes, turned_maps, turned_points
from helpers.demo_model import NeverMirrored, image, predictor_of
from helpers.demo_model import collection as collection
from helpers.demo_model import networks as networks
from helpers.demo_model import one_thread as one_thread
from helpers.demo_model import plain as plain
from torch.nn import functional

from benchmark.data.sources.synthetic import draw
from models.demo.encoder import POOL, SIDE, STRIDE
from models.prompting.sources import of_labels

PIXELS = np.arange(49).reshape(7, 7)


@pytest.mark.parametrize(
    ("shape", "most"),
    # SAM rounds the shorter side to whole pixels: its zoom is then a trace another one.
    [((128, 256), 1e-5), ((256, 192), 1e-5), ((130, 174), 0.06)],
)
def test_a_frame_is_what_the_encoder_sees_of_an_image(networks, plain, shape, most):
    grey = image(shape)
    grey[0, :2] = 0, 255
    one = picture(grey, np.zeros(shape, np.uint8))
    found = crop(one, Shape(SIDE, 1, 1), NeverMirrored(0))
    predictor = predictor_of(networks)
    predictor.set_image(np.repeat(one.grey[..., None], 3, axis=2))
    scaled = predictor.transform.apply_image(np.repeat(one.grey[..., None], 3, axis=2))
    frame = networks.sam.preprocess(torch.tensor(scaled).permute(2, 0, 1)[None].float())
    expected = functional.avg_pool2d(frame.mean(dim=1, keepdim=True), POOL)[0].numpy()
    assert np.abs(found.grey - expected).max() < most
    embedding = networks.sam.image_encoder.features(torch.from_numpy(found.grey)[None]).embedding
    assert (embedding - predictor.features).abs().max() < 100 * most


def test_a_window_is_a_part_of_the_frame(networks, plain):
    """Truth, points and places in it are where they are in the whole."""
    grey, labels = draw("fluorescent_nuclei", 0, 5)
    one = picture(grey, labels)
    whole = crop(one, Shape(SIDE, 1, 4), NeverMirrored(0))
    for seed in range(4):
        part = crop(one, Shape(512, 1, 8), NeverMirrored(seed))
        assert ((part.origin >= 0) & (part.origin <= 512) & (part.origin % STRIDE == 0)).all()
        start = _where(whole.grey[0], part.grey[0])
        inner = np.s_[4:-4, 4:-4]  # at its edge a window starts between two pixels
        own = np.s_[start[0] : start[0] + 256, start[1] : start[1] + 256]
        differ = (whole.labels[own] > 0)[inner] != (part.labels > 0)[inner]
        assert differ.mean() < 0.05


def _where(whole, part):
    """The first pixel of where a part looks most alike."""
    from skimage.feature import match_template

    return np.unravel_index(match_template(whole, part).argmax(), (257, 257))


def test_points_mean_their_objects_as_a_predictor_passes_them(plain):
    grey, labels = draw("fluorescent_nuclei", 3, 5)
    one = picture(grey, labels)
    zoom = SIDE / 256
    for seed in range(3):
        found = crop(one, Shape(SIDE, 1, 30), np.random.default_rng(seed))
        # Back to the image's pixels: x * zoom is what a predictor makes of x.
        pixels = np.round(found.points / zoom).astype(int)
        assert np.abs(found.points / zoom - pixels).max() <= 0.26  # two pixels of the encoder each
        means = one.labels[pixels[:, 1], pixels[:, 0]]
        assert ((means > 0) == (found.objects > 0)).all()
        assert (found.objects > 0).any()


@pytest.mark.parametrize("jitter", [0.0, 0.1])
def test_boxes_are_those_of_their_objects_as_a_predictor_passes_them(plain, monkeypatch, jitter):
    monkeypatch.setattr(crops, "_JITTER", jitter)
    grey, labels = draw("fluorescent_nuclei", 3, 5)
    one = picture(grey, labels)
    expected = of_labels(one.labels, "boxes").boxes
    extents = np.tile(expected[:, 2:] - expected[:, :2] + 1, 2)
    apart = []
    for seed in range(12):
        found = crop(one, Shape(SIDE, 1, 12, boxes=True), np.random.default_rng(seed))
        meant = found.objects > 0
        pixels = np.round(found.points[meant] / (SIDE / 256)).astype(int)
        ids = one.labels[pixels[:, 1], pixels[:, 0]] - 1
        boxes = found.boxes / (SIDE / 256)
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        if found.kinds:
            apart.append(np.abs(boxes[meant] - expected[ids]) / extents[ids])
    assert jitter * 0.9 < np.max(apart[0]) + 1e-9
    assert max(map(np.max, apart)) <= jitter + 1e-6


def test_prompts_are_of_each_kind_equally_often_and_of_one_in_a_crop(collection):
    shape = Shape(256, 3, 4, twin=True, boxes=True)
    made = [batch(collection, shape, 0, step, 0) for step in range(1, 91)]
    kinds = np.concatenate([one.kinds[:2] for one in made])
    assert np.bincount(kinds, minlength=3).tolist() == pytest.approx([60] * 3, abs=20)
    assert KINDS == ("points", "boxes", "both")
    plain = [batch(collection, Shape(256, 3, 4, twin=True), 0, step, 0) for step in range(1, 4)]
    assert not any(one.kinds.any() for one in plain)
    # All else is what it is without boxes.
    for one, other in zip(made, plain, strict=False):
        assert np.array_equal(one.points, other.points) and np.array_equal(one.grey, other.grey)


def test_places_lead_to_the_centers_of_objects(plain):
    grey, labels = draw("fluorescent_nuclei", 3, 5)
    found = crop(picture(grey, labels), Shape(SIDE, 1, 1), NeverMirrored(0))
    centers = truth(found.labels).centers
    rows, columns = np.nonzero(found.pure[0])
    assert len(rows) > 500
    step = STRIDE / 2
    here = (np.stack([rows, columns], axis=1) + 0.5) * step
    reached = here + found.places[1:, rows, columns].T
    nearest = np.abs(reached[:, None] - (centers[None] + 0.5) * POOL).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-2
    inside = found.labels.reshape(128, 4, 128, 4) > 0
    assert np.array_equal(found.places[0], inside.mean(axis=(1, 3)).astype(np.float32))


def test_a_batch_depends_on_its_step_alone(collection):
    shape = Shape(256, 3, 2)
    one, again = (batch(collection, shape, 0, 5, 0) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    for seed, step, part in ((0, 6, 0), (1, 5, 0), (0, 5, 1)):
        assert not np.array_equal(one.grey, batch(collection, shape, seed, step, part).grey)


@pytest.mark.parametrize("turn", range(COUNT))
def test_points_and_tensors_are_turned_with_the_image(turn):
    points = np.random.default_rng(0).integers(0, 7, (5, 2))
    found = turned(PIXELS, turn)
    x, y = turned_points(points, turn, 7).T
    assert (found[y, x] == PIXELS[points[:, 1], points[:, 0]]).all()
    assert (turned_maps(torch.tensor(PIXELS[None]), turn)[0].numpy() == found).all()
    assert [one for one in range(COUNT) if (turned(PIXELS, one) == found).all()] == [turn]


def test_a_twin_is_the_crop_before_it_turned_and_elsewhere(collection):
    seen = set()
    for step in range(1, 30):
        made = batch(collection, Shape(256, 3, 6, twin=True), 0, step, 0)
        assert made.turns[:2].tolist() == [0, 0]
        turn = int(made.turns[2])
        seen.add(turn)
        for maps in (made.grey, made.labels, made.places[:, :1], made.pure):
            assert np.allclose(turned(maps[1], turn), maps[2], atol=1e-5)
        # Truth is computed again: of an object with two middles it takes the one that comes first.
        assert np.isclose(turned(made.maps[1], turn), made.maps[2], atol=1e-5).mean() > 0.9
        assert (made.objects[1] == made.objects[2]).all()
        # In pixels of `labels`, of which an image's pixel takes 1.4 to 2.8 here. A predictor's
        # points lie half of such a pixel before its middle, wherever the image is turned to.
        first, second = ((made.points[i] - made.origin[i][::-1]) / 2 - 0.5 for i in (1, 2))
        apart = turned_points(first, turn, 128) - second
        assert np.ptp(apart, axis=0).max() < 1e-3
        flips = np.abs(apart[0]) > 1e-3
        assert ((np.abs(apart[0]) > 1.3) & (np.abs(apart[0]) < 2.9))[flips].all()
    assert seen == set(range(1, COUNT))
    assert (made.origin[1] != made.origin[2]).any()
    alone = batch(collection, Shape(256, 3, 6), 0, step, 0)
    assert all((one[:2] == other[:2]).all() for one, other in zip(alone, made, strict=True))
    assert not alone.turns.any()


@pytest.mark.parametrize("turn", range(COUNT))
def test_boxes_are_turned_with_what_is_in_them(turn):
    marked = np.zeros((7, 7), np.int64)
    marked[1:3, 2:6] = 1  # from column 2 to where column 6 begins
    rows, columns = np.nonzero(turned(marked, turn))
    expected = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    assert turned_boxes(np.array([[2, 1, 6, 3]]), turn, 7).tolist() == [list(expected)]


def test_the_boxes_of_a_twin_are_turned_with_it(collection):
    for step in range(1, 12):
        made = batch(collection, Shape(256, 3, 4, twin=True, boxes=True), 0, step, 0)
        assert made.kinds[1] == made.kinds[2]
        first, second = ((made.boxes[i] - np.tile(made.origin[i][::-1], 2)) / 2 for i in (1, 2))
        # A box ends at its last pixel, up to 2.8 of the labels' before where that ends.
        apart = np.abs(turned_boxes(first, int(made.turns[2]), 128) - second)
        assert apart.max() < 2.9
