"""StarDist where TensorFlow is installed: equal to the library, called as its README does."""

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.adapters import GREY, ODD, RGB
from helpers.adapters import valid_or_refused as valid
from helpers.small_stardist import THRESHOLDS, chosen, make_checkpoint

from benchmark.adapter import missing_libraries
from benchmark.errors import ModelError
from models.stardist import StarDist

pytestmark = pytest.mark.skipif(
    missing_libraries(StarDist) is not None,
    reason=f"see configs/environment/stardist.txt: {missing_libraries(StarDist)}",
)


@pytest.fixture(scope="module", params=[1, 3])
def path(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stardist")
    return make_checkpoint(folder / "small.zip", channels=request.param)


@pytest.fixture(scope="module")
def upstream(path):
    from csbdeep.utils import normalize
    from stardist.models import StarDist2D

    folder = Path(f"{path}.folder")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = StarDist2D(None, name=folder.name, basedir=folder.parent)
    assert theirs.thresholds._asdict() == THRESHOLDS

    def run(image, pmin=3, pmax=99.8, **thresholds):
        if theirs.config.n_channel_in == 1 and image.ndim == 3:
            image = image.astype(np.float32).mean(axis=2)
        if theirs.config.n_channel_in == 3 and image.ndim == 2:
            image = np.stack([image] * 3, axis=2)
        return theirs.predict_instances(normalize(image, pmin, pmax), **thresholds)[0]

    return run


@pytest.mark.parametrize("image", [GREY, RGB, GREY.astype(np.uint16) * 99, RGB / np.float32(255)])
def test_equal_to_upstream(path, upstream, image):
    labels = StarDist(chosen(path)).predict(image)
    assert len(np.unique(labels)) > 20
    np.testing.assert_array_equal(labels, upstream(image))


@pytest.mark.parametrize(
    "other", [{"prob_thresh": 0.7}, {"nms_thresh": 0.6}, {"pmin": 20.0}, {"pmax": 80.0}]
)
def test_every_parameter_reaches_stardist(path, upstream, other):
    labels = StarDist(chosen(path), **other).predict(GREY)
    np.testing.assert_array_equal(labels, upstream(GREY, **other))
    assert not np.array_equal(labels, upstream(GREY))


def test_odd_images(path):
    model = StarDist(chosen(path))
    for kind, image in ODD.items():
        refused = valid(model, image) is None
        assert refused == (kind in ("one row", "one column", "NaN", "five channels")), kind


def test_weights_that_do_not_fit_the_network(path, tmp_path):
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "changed.zip", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("config.json"):
                content = content.replace(b'"n_rays": 8', b'"n_rays": 16')
            new.writestr(name, content)
    with pytest.raises(ModelError, match="another architecture"):
        StarDist(chosen(tmp_path / "changed.zip"))
