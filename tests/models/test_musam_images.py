"""micro-sam's methods on whatever images come: odd, impossible, large, short of memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import IMAGES, MODES, ODD, blobs, ramp
from helpers.small_musam import checkpoint as checkpoint
from helpers.small_musam import models as models

from benchmark.errors import ModelError
from benchmark.store.digest import array_digest
from benchmark.types import check_labels

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("odd", ODD)
def test_odd_images_give_valid_labels(models, odd):
    image = ODD[odd]
    before = image.copy()
    for name in ("musam_amg", "musam_ais", "apg", "apg_boundary"):  # `sam` is `musam_amg` here
        check_labels(models[name].predict(image), image, model=name, of=odd)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", MODES)
def test_the_same_again(models, name):
    model, image = models[name], IMAGES["rgb"]
    expected = model.predict(image)
    model.predict(IMAGES["grey"])
    again = model.predict(image)
    assert model.cached == {}
    assert np.array_equal(again, expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (ramp((1, 4096), "uint8"), "nothing is left of the shorter one"),
        (np.full((8, 8), np.nan), "NaN"),
        (np.zeros((8, 8, 5)), "C 1 to 4"),
        (np.zeros((0, 8)), "C 1 to 4"),
    ],
)
def test_impossible_images_are_refused_and_harm_no_later_one(models, image, message):
    for model in models.values():
        with pytest.raises(ValueError, match=message):
            model.predict(image)
    assert models["musam_ais"].predict(IMAGES["grey"]).max() >= 5


def test_an_encoder_that_fails_harms_no_remembered_image(models):
    model, image = models["apg"], IMAGES["grey"]
    expected = model.predict(image)

    def fail(*_):
        raise RuntimeError("no kernel image is available")

    hook = model._backbone.predictor.model.image_encoder.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no kernel"):
        model.predict(IMAGES["rgb"])
    again = model.predict(image)
    hook.remove()
    assert "encode" in model.cached
    assert np.array_equal(again, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODES)
def test_large_image(models, name):
    image = blobs(3000, 2000, seed=4)
    labels = check_labels(models[name].predict(image), image, model=name, of="large")
    assert labels.max() >= 5


# Memory, processes


def short_of_memory(model, monkeypatch, most):
    """Let a prediction with more than so many prompts run out of memory."""
    prompts = model._backbone.predictor.model.prompt_encoder
    run = prompts.forward

    def forward(points, **rest):
        if len(points[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(points=points, **rest)

    monkeypatch.setattr(prompts, "forward", forward)


@pytest.mark.parametrize(("name", "asked"), [("musam_amg", 64), ("apg", 32)])
def test_out_of_memory_halves_the_batch(models, name, asked, monkeypatch):
    model, image = models[name], IMAGES["rgb"]
    expected = model.predict(image)
    assert model.details["batch_size"] == asked and "batch_size_asked" not in model.details
    short_of_memory(model, monkeypatch, 3)
    assert np.array_equal(model.predict(image), expected)
    assert (model.details["batch_size"], model.details["batch_size_asked"]) == (2, asked)
    short_of_memory(model, monkeypatch, 0)
    with pytest.raises(ModelError, match="even with a batch of one"):
        model.predict(image)


PROCESS = """
import sys
import models.apg, models.musam
assert not {"torch", "micro_sam", "skimage"} & set(sys.modules), "imported at the top"
import torch
torch.set_num_threads(1)
from benchmark.store.digest import array_digest
from helpers.small_musam import IMAGES, MODES, build
for name in MODES:
    print(name, array_digest(build(name, sys.argv[1]).predict(IMAGES["grey"])))
loaded = [name for name in sys.modules if name.lower().startswith(("pyqt", "pyside", "qtpy"))]
assert not loaded, loaded
"""


@pytest.mark.slow
def test_another_process_gives_the_same_and_never_loads_qt(models, checkpoint):
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(checkpoint)],
        env={"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    expected = [
        f"{name} {array_digest(model.predict(IMAGES['grey']))}" for name, model in models.items()
    ]
    assert done.stdout.splitlines()[-len(MODES) :] == expected
