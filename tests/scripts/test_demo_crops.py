"""Crops that the demo network is trained on: what its encoder sees of images at inference."""

import numpy as np
import pytest
import torch
from demo.crops import CELL, POOL, SIDE, Shape, crop
from demo.pictures import picture
from demo.targets import truth
from helpers.demo_model import NeverMirrored, image, predictor_of
from helpers.demo_model import networks as networks
from helpers.demo_model import one_thread as one_thread
from helpers.demo_model import plain as plain
from torch.nn import functional

from benchmark.data.sources.synthetic import draw


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
        assert ((part.origin >= 0) & (part.origin <= 512) & (part.origin % CELL == 0)).all()
        start = _where(whole.grey[0], part.grey[0])
        inner = np.s_[4:-4, 4:-4]  # at its edge a window starts between two pixels
        own = np.s_[start[0] : start[0] + 256, start[1] : start[1] + 256]
        differ = (whole.labels[own] > 0)[inner] != (part.labels > 0)[inner]
        assert differ.mean() < 0.05


def _where(whole, part):
    """The first pixel of where a part looks most alike."""
    from skimage.feature import match_template

    return np.unravel_index(match_template(whole, part).argmax(), (257, 257))


def test_points_mean_their_objects_as_a_predictor_would_hand_them_over(plain):
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


def test_places_lead_to_the_centers_of_objects(plain):
    grey, labels = draw("fluorescent_nuclei", 3, 5)
    found = crop(picture(grey, labels), Shape(SIDE, 1, 1), NeverMirrored(0))
    centers = truth(found.labels).centers
    rows, columns = np.nonzero(found.pure[0])
    assert len(rows) > 500
    step = CELL / 2
    here = (np.stack([rows, columns], axis=1) + 0.5) * step
    reached = here + found.places[1:, rows, columns].T
    nearest = np.abs(reached[:, None] - (centers[None] + 0.5) * POOL).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-2
    inside = found.labels.reshape(128, 4, 128, 4) > 0
    assert np.array_equal(found.places[0], inside.mean(axis=(1, 3)).astype(np.float32))
