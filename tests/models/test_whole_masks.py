"""Label images of prompted methods are those of the library's own decoder and whole masks."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.adapters import one_thread as one_thread

from benchmark.data.sources.synthetic import draw
from models.apg import APG
from models.prompting import promptable
from models.prompting.upsampling import Upsampling

SETTINGS = [
    {},
    {"mask_threshold": 1.3, "min_size": 0},
    {"mask_threshold": "auto", "multimasking": True, "nms_threshold": 0.5},
    {"refine_with_box_prompts": True},
]


def drawn(height, width, channels=None):
    grey = draw("fluorescent_nuclei", 0, seed=0, size=max(height, width))[0][:height, :width]
    return grey if channels is None else np.stack([grey // (1 + c) for c in range(channels)], 2)


@pytest.fixture(scope="module")
def model():
    return APG(APG.find_weights("demo").fetch())


@pytest.fixture
def whole(monkeypatch):
    """How many masks were made whole; and a call that lets the library make all of them."""
    made = []
    one = Upsampling._whole

    def counted(self, *args):
        made.append(args)
        return one(self, *args)

    monkeypatch.setattr(Upsampling, "_whole", counted)

    def by_library():
        made.clear()
        monkeypatch.setattr(promptable, "sam_upsampling", lambda *_: None)

    return made, by_library


def compare(model, image, settings, whole):
    made, by_library = whole
    found = list(model.predict_each(image, settings))
    decodes, few = model.details["decodes"], len(made)
    by_library()
    expected = list(model.predict_each(image, settings))
    assert len(made) >= decodes > 3
    for setting, own, theirs in zip(settings, found, expected, strict=True):
        assert np.array_equal(own, theirs), setting
    assert found[0].max() > 2
    return few / len(made)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_labels_of_drawn_images(model, setting, whole):
    assert compare(model, drawn(90, 100), [setting], whole) < 0.5


def test_labels_of_a_drawn_rgb_image(model, whole):
    assert compare(model, drawn(80, 64, 3), [{}], whole) < 0.5


REAL = {
    "grey": ("u20s/images/*.tif", np.s_[:]),
    "rgb": ("histology_rgb/images/*.tif", np.s_[:]),
    "wide": ("usiigaci/**/raw.tif", np.s_[:300, :700]),
    "dsb": ("dsb/train/images/*.tif", np.s_[:]),
}


@pytest.mark.slow
@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
# In a field of dsb mirrored to 2048 pixels the demo weights find nothing.
@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in REAL for size in (None, 2048) if (name, size) != ("dsb", 2048)],
)
def test_labels_of_real_images(model, name, size, whole):
    pattern, region = REAL[name]
    image = tifffile.imread(min(Path(os.environ["BENCHMARK_DATA"]).glob(pattern)))[region]
    if size:  # the same field again and again, so that prompts are many and masks are small
        missing = [(0, max(0, size - side)) for side in image.shape[:2]]
        image = np.pad(image, missing + [(0, 0)] * (image.ndim - 2), mode="symmetric")
    # Some prompts alone of a large image: the library needs half a second for each.
    setting = {"center_distance_threshold": 0.3} if size else {}
    compare(model, image, [setting], whole)
