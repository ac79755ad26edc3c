"""The demo network, pictures to train it on, and crops of them as inference sees them.

A file of tests imports a fixture under its own name, `import x as x`: so pytest finds it there,
and the linter takes it for meant.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from demo import crops
from demo.pictures import Collection, drawn
from demo.trainer import Networks

from benchmark.data.sources.synthetic import draw

DATA = Path(os.environ.get("BENCHMARK_DATA", "/nowhere"))
real = pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return Networks().requires_grad_(False)


@pytest.fixture(scope="module")
def collection():
    return Collection([drawn("fluorescent_nuclei", index) for index in range(2)], 0.3)


def image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def plain(monkeypatch):
    """Crops neither turned, nor scaled or exposed otherwise than by inference."""
    monkeypatch.setattr(crops, "_turned", lambda picture, _: picture)
    monkeypatch.setattr(crops, "_exposed", lambda grey, *_: np.ascontiguousarray(grey))
    monkeypatch.setattr(crops, "_ZOOM", (1.0, 1.0))
    monkeypatch.setattr(crops, "_BEYOND", 0.0)


class NeverMirrored(np.random.Generator):
    """Its uniform numbers are high: what is done at random is not done."""

    def __init__(self, seed):
        super().__init__(np.random.PCG64(seed))

    def random(self, *args, **kwargs):
        return 0.999


def same(one, other):
    return all(
        torch.equal(value, again)
        for value, again in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def dsb(root, number):
    """A folder of drawn images in the layout of dsb."""
    for kind in ("images", "masks"):
        (root / "dsb/train" / kind).mkdir(parents=True)
    for index in range(number):
        grey, labels = draw("fluorescent_nuclei", index, 9, 64)
        tifffile.imwrite(root / f"dsb/train/images/{index:064x}.tif", (grey >> 4).astype(np.uint8))
        tifffile.imwrite(root / f"dsb/train/masks/{index:064x}.tif", labels)
    return root


def predictor_of(networks):
    """Segment Anything's own predictor with these networks."""
    from segment_anything import SamPredictor

    return SamPredictor(networks.sam)
