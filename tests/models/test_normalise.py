"""`normalise` of every adapter that takes 8-bit images: one meaning, one note, and run ids stay."""

import numpy as np
import pytest
from helpers.adapters import one_thread as one_thread
from helpers.sam_family import ADAPTERS, BUILD, EVERY
from helpers.small_musam import checkpoint as checkpoint

from benchmark.adapter import AdapterInfo, check_settings
from benchmark.data.sources.synthetic import draw
from benchmark.errors import UsageError
from models.common.cache import Cache


def hot(side=120):
    """A 16-bit image of nuclei, all but black beside three hot pixels."""
    image = draw("fluorescent_nuclei", 1, seed=0, size=side)[0].astype(np.float32)
    image = (image / image.max() * 900 + 100).astype(np.uint16)
    image[5, 5] = image[60, 60] = image[61, 60] = 65_535
    return image


@pytest.mark.parametrize("name", EVERY)
def test_percentiles_give_what_the_image_without_hot_pixels_gives(name, request):
    image = hot()
    limits = np.percentile(image.astype(np.float32), [1, 99]).astype(np.float32)
    clipped = np.clip(image.astype(np.float32), *limits)
    plain = BUILD[name](request)
    expected = plain.predict(clipped)
    assert len(np.unique(expected)) > 2
    dim = plain.predict(image)
    model = BUILD[name](request, normalise="percentiles")
    assert np.array_equal(model.predict(image), expected)
    assert not np.array_equal(dim, expected)
    assert np.array_equal(
        model.predict(image), BUILD[name](request, normalise=[1, 99]).predict(image)
    )


def test_kept_embeddings_are_of_the_image_that_was_encoded(request, tmp_path):
    expected = BUILD["ais"](request, normalise="percentiles").predict(hot())
    for normalise in ("min_max", "percentiles", "min_max", "percentiles"):
        model = BUILD["ais"](request, normalise=normalise)
        model.cache = Cache(tmp_path, 10**9)
        model._backbone._last.clear()
        found = model.predict(hot())
        assert np.array_equal(found, expected) == (normalise == "percentiles")
    assert model.cached


@pytest.mark.parametrize("name", EVERY)
def test_few_grey_levels_are_noted_once_and_recorded_each_time(name, request, capsys):
    model = BUILD[name](request)
    model.predict(hot(100))
    first = capsys.readouterr().err
    assert first.count("model.normalise=percentiles") == 1
    assert model.details["grey_levels"] == 4
    model.predict(hot(110))
    assert model.details["grey_levels"] == 4
    model.predict(np.clip(hot(100), 0, 1000))
    assert "grey_levels" not in model.details
    BUILD[name](request, normalise="percentiles").predict(hot(100))
    assert "normalise" not in capsys.readouterr().err


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_run_ids_of_before_stay_and_others_differ(adapter):
    info = AdapterInfo.of(adapter)
    parameters = {"min_size": 3}
    before = info.in_identity("x", parameters, None)
    assert info.in_identity("x", parameters | {"normalise": "min_max"}, None) == before
    for given in ("percentiles", "min_max_joint", [1, 99], [0.5, 99.5]):
        found = info.in_identity("x", parameters | {"normalise": given}, None)
        assert found["parameters"] == before["parameters"] | {"normalise": given}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_setting_of_a_built_adapter_names_it(adapter):
    with pytest.raises(UsageError, match="names 'normalise'"):
        check_settings(adapter, [{"normalise": "percentiles"}])
