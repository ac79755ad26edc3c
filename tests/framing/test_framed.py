"""A segmenter whose images are scaled or tiled, as the engine uses it."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from benchmark.adapter import AdapterInfo, class_of, predict_each
from benchmark.errors import ModelError, UsageError
from benchmark.framing.framed import framed
from benchmark.framing.framing import Framing
from benchmark.types import Sharing
from models.otsu import OtsuWatershed

TILED = Framing((20, 20), (8, 8))
IMAGE = np.zeros((60, 50), np.uint8)
IMAGE[10:30, 12:28] = IMAGE[40:55, 5:25] = IMAGE[35:52, 30:45] = 200


@dataclass
class Level:
    """Segments above a level."""

    max_channels = 3
    level: float = 0.0

    def predict(self, image):
        self.shapes = [*getattr(self, "shapes", []), image.shape]
        self.stages, self.cached = {"find": 0.5}, {"find": 0.25}
        self.stage_memory = {"find": {"host": len(self.shapes) * 10}}
        self.details = {"batch_size": len(self.shapes)}
        return ndimage.label(image > self.level)[0]


class Native(Level):
    def predict_tiled(self, image, tile, halo):
        self.asked = (image.shape, tile, halo)
        return self.predict(image)


class Shared(Level):
    def predict_each(self, image, settings):
        self.shared = [*getattr(self, "shared", []), len(settings)]
        for setting in settings:
            yield ndimage.label(image > setting.get("level", self.level))[0]


class NativeShared(Native, Shared):
    pass


def test_a_segmenter_whose_images_are_left_as_they_are_is_itself():
    model = Level()
    assert framed(model, Framing(), "level") is model


def test_tiles_are_predicted_and_joined():
    model = Level()
    found = framed(model, TILED, "level").predict(IMAGE)
    assert np.array_equal(found > 0, IMAGE > 0) and found.max() == 3
    assert len(model.shapes) == 9 and set(model.shapes) == {(36, 36)}


def test_what_fits_into_a_tile_is_predicted_at_once():
    model = Level()
    wrapped = framed(model, TILED, "level")
    wrapped.predict(IMAGE[:20, :20])
    assert model.shapes == [(20, 20)] and "tiled" not in wrapped.details


def test_a_segmenter_that_tiles_by_itself_does():
    model = Native()
    wrapped = framed(model, TILED, "native")
    assert wrapped.predict(IMAGE).max() == 3 and len(model.shapes) == 1
    assert model.asked == (IMAGE.shape, (20, 20), (8, 8)) and "tiled" in wrapped.details
    wrapped.predict(IMAGE[:20, :20])
    assert model.asked[0] == IMAGE.shape and model.shapes[-1] == (20, 20)


def test_a_scaled_image_comes_back_in_its_own_size():
    model = Level(100)
    wrapped = framed(model, Framing(rescale=0.5), "level")
    found = wrapped.predict(IMAGE[:-1])
    assert model.shapes == [(30, 25)] and found.shape == (59, 50)
    assert ((found > 0) == (IMAGE[:-1] > 0)).mean() > 0.95
    assert wrapped.details["rescaled"] == [30, 25]


def test_scaling_comes_before_tiling():
    model = Level(100)
    wrapped = framed(model, Framing((20, 20), (8, 8), rescale=2.0), "level")
    assert wrapped.predict(IMAGE).shape == IMAGE.shape
    assert set(model.shapes) == {(36, 36)} and len(model.shapes) == 6 * 5


def test_what_is_said_of_tiles_is_added_up_and_begins_again_with_each_image():
    wrapped = framed(Level(), TILED, "level")
    for first in (1, 10):
        wrapped.predict(IMAGE)
        assert wrapped.stages == {"find": 4.5} and wrapped.cached == {"find": 2.25}
        assert wrapped.stage_memory == {"find": {"host": (first + 8) * 10}}
        assert wrapped.details == {
            "batch_size": first + 8,
            "tiled": {"tile": [20, 20], "halo": [8, 8]},
        }


def test_it_is_described_by_the_class_within():
    wrapped = framed(Level(), TILED, "level")
    assert class_of(wrapped) is Level and AdapterInfo.of(class_of(wrapped)).max_channels == 3


@pytest.mark.parametrize("odd", ["shape", "float", "negative", "none"])
def test_odd_labels_of_a_tile_are_an_error_of_the_model(odd):
    class Odd(Level):
        def predict(self, image):
            labels = super().predict(image)
            return {
                "shape": labels[1:], "float": labels * 1.0, "negative": labels - 1, "none": None,
            }[odd]  # fmt: skip

    with pytest.raises(ModelError, match="model 'odd', an image in tiles or scaled: predict"):
        framed(Odd(), TILED, "odd").predict(IMAGE)


SETTINGS = [{}, {"level": 220.0}, {"level": 100.0}, {}]


@pytest.mark.parametrize(
    "framing", [TILED, Framing(rescale=0.5), Framing((20, 20), (8, 8), 0, 1.3)]
)
@pytest.mark.parametrize("kind", [Level, Shared, Native, NativeShared])
def test_each_setting_is_predicted_as_by_a_model_built_with_it(kind, framing):
    def build(setting):
        return framed(kind(**setting), framing, "level")

    image = np.random.default_rng(0).permuted(IMAGE, axis=1)
    found = [labels.copy() for labels in predict_each(build({}), image, SETTINGS, build)]
    assert len(found) == len(SETTINGS)
    for setting, labels in zip(SETTINGS, found, strict=True):
        assert np.array_equal(labels, build(setting).predict(image))
    assert not np.array_equal(found[0], found[1])


def test_settings_share_where_an_image_is_only_scaled():
    model = Shared()
    wrapped = framed(model, Framing(rescale=0.5), "level")
    assert isinstance(wrapped, Sharing)
    [*wrapped.predict_each(IMAGE, SETTINGS)]
    assert model.shared == [len(SETTINGS)]
    assert not isinstance(framed(Level(), TILED, "level"), Sharing)


def test_scale_and_tiles_can_not_be_varied_by_a_search():
    wrapped = framed(OtsuWatershed(), TILED, "otsu")
    with pytest.raises(UsageError, match="a setting of OtsuWatershed names 'rescale'"):
        [*predict_each(wrapped, IMAGE, [{"rescale": 2}], lambda setting: wrapped)]
