"""The maps that the demo network's decoder learns are those that micro-sam expects."""

import numpy as np
import pytest
import torch
from demo.checks import accuracy
from demo.crops import Shape, crop
from demo.pictures import find, picture, pieces
from demo.targets import truth
from helpers.demo_model import DATA, NeverMirrored, real
from helpers.demo_model import one_thread as one_thread
from helpers.demo_model import plain as plain
from torch.nn import functional

from models.demo.encoder import SIDE


def noise_labels(shape, seed):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return pieces((np.digitize(noise, np.quantile(noise, (0.4, 0.6, 0.8)))).astype(np.int32))


@pytest.mark.parametrize("shape", [(90, 120), (64, 64), (1, 30)])
def test_targets_equal_torch_em(shape):
    from torch_em.transform.label import PerObjectDistanceTransform

    for seed in range(4):
        labels = noise_labels(shape, seed)
        found, expected = truth(labels).maps, PerObjectDistanceTransform(min_size=0)(labels)
        assert np.array_equal(found[[0, 2]], expected[[0, 2]])
        # All outline and bent: there its centre is the corner of the box, which may lie outside.
        thin = [one for one in np.unique(labels)[1:] if not found[2][labels == one].any()]
        assert len(thin) < labels.max() / 2 or shape[0] == 1
        sound = ~np.isin(labels, thin)
        assert np.array_equal(found[1][sound], expected[1][sound])


def test_targets_of_nothing():
    maps = truth(np.zeros((8, 9), np.int32)).maps
    assert not maps[0].any() and (maps[1:] == 1).all()


def ais(maps):
    from micro_sam.instance_segmentation import InstanceSegmentationWithDecoder

    segmenter = InstanceSegmentationWithDecoder(None, None)
    names = ("foreground", "center_distances", "boundary_distances")
    segmenter.set_state(dict(zip(names, maps, strict=True)))
    return segmenter.generate()


def through_the_decoder(maps, shape):
    """The maps of a frame's crop, resized as the decoder's logits would be."""
    scale = SIDE / max(shape)
    size = tuple(int(side * scale + 0.5) for side in shape)
    large = functional.interpolate(
        torch.from_numpy(maps)[None], (SIDE, SIDE), mode="bilinear", align_corners=False
    )
    return functional.interpolate(
        large[..., : size[0], : size[1]], shape, mode="bilinear", align_corners=False
    )[0].numpy()


@real
def test_true_maps_of_real_images_give_the_truth(plain):
    """By micro-sam's AIS, from maps as they are, and from a crop's at the decoder's resolution."""
    exact, coarse = [], []
    source = find(DATA)
    for name in source.held_out[:12]:
        _, labels = source.read(name)
        exact.append(accuracy(labels, ais(truth(pieces(labels)).maps)))
        frame = crop(picture(labels, labels), Shape(SIDE, 1, 1), NeverMirrored(0))
        maps = through_the_decoder(frame.maps, labels.shape)
        coarse.append(accuracy(labels, ais(maps)))
    assert np.mean(exact) > 0.9
    assert np.mean(coarse) > 0.85
