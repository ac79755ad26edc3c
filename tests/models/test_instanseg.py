"""InstanSeg: equal to its library called directly, and never executed unasked."""

import inspect
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from helpers.adapters import GREY, RGB, configured, drawn
from helpers.adapters import one_thread as one_thread
from helpers.small_instanseg import chosen, make_checkpoint

from benchmark.adapter import missing_libraries
from benchmark.errors import ModelError
from models.instanseg import InstanSeg
from models.weights.card import cards

needed = pytest.mark.skipif(
    missing_libraries(InstanSeg) is not None, reason=f"{missing_libraries(InstanSeg)}"
)


def test_configuration():
    target, read, first = configured("instanseg")
    assert target == "models.instanseg.InstanSeg" and first.startswith("# ")
    weights = read.pop("weights")
    assert weights["histopathology"] == "brightfield_nuclei"
    parameters = inspect.signature(InstanSeg).parameters
    assert read == {name: parameters[name].default for name in list(parameters)[2:]}
    assert {card.architecture for card in cards("instanseg").values()} == {
        "rgb", "one_channel", "any_channels",
    }  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("instanseg") / "small.pt")


@pytest.fixture(scope="module")
def weights(path):
    return replace(chosen(path), architecture="rgb")


@pytest.fixture(scope="module")
def upstream(path):
    import torch
    from instanseg import InstanSeg as Library

    library = Library(torch.jit.load(path), device="cpu", image_reader="skimage.io", verbosity=0)

    def run(image, target="cells", method="small", **settings):
        if image.ndim == 2:
            image = np.stack([image] * 3, axis=2)
        call = {"small": library.eval_small_image, "medium": library.eval_medium_image}[method]
        found = call(image.copy(), return_image_tensor=False, target=target, **settings)
        return found[0, 0].numpy().astype(np.int32)

    return run


@needed
@pytest.mark.parametrize("image", [GREY, RGB, GREY.astype(np.uint16) * 99])
def test_equal_to_upstream(weights, upstream, image):
    labels = InstanSeg(weights).predict(image)
    assert len(np.unique(labels)) > 3
    np.testing.assert_array_equal(labels, upstream(image))


@needed
@pytest.mark.parametrize(
    "other",
    [
        {"target": "nuclei"},
        {"pixel_size": 0.6},
        {"seed_threshold": 1.0},
        {"mask_threshold": 0.6},
    ],
)
def test_every_parameter_reaches_the_library(weights, upstream, other):
    labels = InstanSeg(weights, **other).predict(RGB)
    assert labels.shape == RGB.shape[:2]
    np.testing.assert_array_equal(labels, upstream(RGB, **other))
    assert not np.array_equal(labels, upstream(RGB))


@needed
def test_a_large_image_is_tiled_as_the_library_does(weights, upstream):
    model = InstanSeg(weights)
    model._library.small_image_threshold = 1000
    np.testing.assert_array_equal(model.predict(RGB), upstream(RGB, method="medium"))


@needed
def test_channels(weights):
    assert InstanSeg(replace(weights, architecture=None))._channels == "rgb"
    model = InstanSeg(weights)
    assert [len(model._planes(drawn((70, 80, n)))) for n in (1, 2, 3, 4)] == [3, 3, 3, 3]
    model._channels = "one_channel"
    assert [len(model._planes(drawn((70, 80, n)))) for n in (1, 2, 3, 4)] == [1, 1, 1, 1]
    model._channels = "any_channels"
    assert [len(model._planes(drawn((70, 80, n)))) for n in (1, 2, 3, 4)] == [1, 2, 3, 4]


@needed
def test_an_image_without_room_for_a_window_is_refused(weights):
    """The library would write beyond the memory of its tensors, and the process would end."""
    for shape in ((60, 80), (80, 60), (1, 4096), (63, 63, 3)):
        with pytest.raises(ValueError, match=r"image of .* pixels: InstanSeg needs 64 or more"):
            InstanSeg(weights).predict(drawn(shape))
    with pytest.raises(ValueError, match=r"scaled by 0\.5: InstanSeg needs 64 or more"):
        InstanSeg(weights, pixel_size=0.25).predict(drawn((100, 170)))
    assert InstanSeg(weights).predict(drawn((64, 64))).shape == (64, 64)


@needed
def test_the_published_zip_is_the_same(path, tmp_path, upstream):
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.writestr("rdf.yaml", "name: net")
        archive.write(path, "instanseg.pt")
    model = InstanSeg(replace(chosen(tmp_path / "net.zip"), architecture="rgb"))
    np.testing.assert_array_equal(model.predict(RGB), upstream(RGB))


@needed
def test_nothing_is_executed_unasked(path, tmp_path):
    with pytest.raises(ModelError, match=r"is a program.*weights_unsafe=true"):
        InstanSeg(chosen(path, unpickle=False))
    (tmp_path / "no.pt").write_bytes(b"no program")
    with pytest.raises(ModelError, match=r"no\.pt can't be loaded: it is no model in TorchScript"):
        InstanSeg(chosen(tmp_path / "no.pt"))


@needed
def test_a_program_of_something_else(tmp_path):
    import torch

    torch.jit.script(torch.nn.Conv2d(3, 1, 1)).save(tmp_path / "other.pt")
    with pytest.raises(ModelError, match="another architecture: it has no pixel_size"):
        InstanSeg(chosen(tmp_path / "other.pt"))


@needed
def test_parameters_out_of_range(weights):
    with pytest.raises(ValueError, match="target is 'membranes': give cells or nuclei"):
        InstanSeg(weights, target="membranes")
    with pytest.raises(ValueError, match="pixel_size is 0"):
        InstanSeg(weights, pixel_size=0)


@pytest.mark.parametrize("name", sorted(cards("instanseg")))
def test_the_library_has_the_same_files(name):
    import json
    from pathlib import Path

    instanseg = pytest.importorskip("instanseg", reason="instanseg-torch is not installed")
    index = Path(instanseg.__path__[0], "bioimageio_models", "model-index.json")
    urls = {one["name"]: one["url"] for one in json.loads(index.read_text())}
    assert cards("instanseg")[name].files["model"].source == urls[name]
