"""APG: each step against micro-sam's own, and the whole of it, pixel for pixel."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import (
    IMAGES,
    SmallAPG,
    blobs,
    study_apg,
    study_boundary_prompts,
    with_small_models,
)
from helpers.small_musam import checkpoint as checkpoint
from helpers.small_musam import weights as weights

SHAPED = IMAGES | {
    "wide, beyond a block": blobs(60, 600, seed=2),
    "high, beyond a block": blobs(600, 60, 3, seed=3),
}


BOTH = ("connected_components", "boundary_distance")


def by_turns():
    """Every image with each kind of prompts; half of them, with all images and kinds, are fast."""
    for number, image in enumerate(SHAPED):
        yield pytest.param(image, BOTH[number % 2])
        yield pytest.param(image, BOTH[1 - number % 2], marks=pytest.mark.slow)


@pytest.mark.parametrize(("image", "prompts"), list(by_turns()))
def test_apg_equals_micro_sam(checkpoint, weights, image, prompts, monkeypatch):
    with_small_models(monkeypatch)
    function = study_boundary_prompts if prompts == "boundary_distance" else None
    expected = study_apg(checkpoint, SHAPED[image], function)
    model = SmallAPG(weights, prompts=prompts)
    found = model.predict(SHAPED[image])
    assert found.dtype == expected.dtype == np.uint32
    assert np.array_equal(found, expected)
    assert model.details["prompts"] >= 5 and 1 < model.details["masks"] < model.details["prompts"]


REAL = ["u20s/images/*.tif", "histology_rgb/images/*.tif", "usiigaci/**/raw.tif"]


@pytest.mark.slow
@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
@pytest.mark.parametrize("pattern", REAL)
def test_apg_equals_micro_sam_on_real_images(checkpoint, weights, pattern, monkeypatch):
    with_small_models(monkeypatch)
    path = min(Path(os.environ["BENCHMARK_DATA"]).glob(pattern))
    image = tifffile.imread(path)[:400, :500]
    expected = study_apg(checkpoint, image)
    assert expected.max() >= 5
    assert np.array_equal(SmallAPG(weights).predict(image), expected)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(300, 700), (700, 1100)])
def test_apg_equals_micro_sam_on_large_images(checkpoint, weights, size, monkeypatch):
    with_small_models(monkeypatch)
    image = blobs(*size, seed=4)
    expected = study_apg(checkpoint, image)
    assert expected.max() >= 5
    assert np.array_equal(SmallAPG(weights).predict(image), expected)


@pytest.mark.parametrize(
    "changed",
    [
        {"nms_threshold": 0.5, "batch_size": 7},
        {"min_size": 400},
        {"min_size": 0},
        {"foreground_threshold": 0.7, "center_distance_threshold": 0.6},
        {"boundary_distance_threshold": 0.45},
    ],
)
def test_parameters_mean_what_they_mean_in_micro_sam(checkpoint, weights, changed, monkeypatch):
    with_small_models(monkeypatch)
    expected = study_apg(checkpoint, IMAGES["grey"], **changed)
    assert expected.max() >= 2
    found = SmallAPG(weights, **changed).predict(IMAGES["grey"])
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("changed", "prompts"),
    [
        ({"min_size": 10**6}, 5),
        ({"center_distance_threshold": 0.0}, 0),
        ({"prompts": "boundary_distance", "foreground_threshold": 1.1}, 0),
    ],
)
def test_nothing_found_is_empty(checkpoint, weights, changed, prompts, monkeypatch):
    model = SmallAPG(weights, **changed)
    found = model.predict(IMAGES["grey"])
    assert found.shape == (120, 160) and found.dtype == np.uint32 and not found.any()
    assert model.details["masks"] == 0
    assert min(model.details["prompts"], 5) == prompts
    if "prompts" not in changed:  # there micro-sam fails: it looks for masks of no prompt
        with_small_models(monkeypatch)
        assert np.array_equal(study_apg(checkpoint, IMAGES["grey"], **changed), found)


def one_maximum(*, foreground, boundary_distances, **_):
    """A prompt function: the highest maximum alone."""
    prompts = study_boundary_prompts(foreground, boundary_distances)
    return {key: value[:1] for key, value in prompts.items()}


def test_a_single_prompt(checkpoint, weights, monkeypatch):
    with_small_models(monkeypatch)
    image = blobs(80, 110, seed=1)
    expected = study_apg(checkpoint, image, one_maximum)
    model = SmallAPG(weights, prompt_function=f"{__name__}.one_maximum")
    assert np.array_equal(model.predict(image), expected)
    assert model.details["prompts"] == 1 and expected.any()


def test_unknown_prompts_are_refused_by_name(weights):
    with pytest.raises(ValueError, match="connected_components, boundary_distance"):
        SmallAPG(weights, prompts="grid")


@pytest.mark.parametrize("value", [0, -1])
def test_a_batch_below_one_is_refused(weights, value):
    with pytest.raises(ValueError, match=f"^batch_size is {value}; .*1 or more"):
        SmallAPG(weights, batch_size=value)


def test_stages_and_details_are_those_of_the_last_image(weights):
    model = SmallAPG(weights)
    stages, details = model.stages, model.details
    model.predict(IMAGES["grey"])
    assert set(stages) == {"encode", "decode", "prompt", "postprocess"}
    assert all(seconds > 0 for seconds in stages.values())
    assert details["batch_size"] == 32 and details["reproducible"]
    model.predict(IMAGES["grey"])
    assert model.stages is stages and list(model.cached) == ["encode", "decode"]
