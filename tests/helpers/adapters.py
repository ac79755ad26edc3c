"""What the tests of several adapters have in common: images, and a look at the process."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmark.types import check_labels

ROOT = Path(__file__).parents[2]


def drawn(shape, seed=0, dtype=np.uint8):
    """Discs of several sizes, and noise; every channel of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: shape[0], : shape[1]]
    image = rng.integers(20, 60, shape)
    for _ in range(12):
        row, column, radius = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(4, 15)
        image[np.hypot(y - row, x - column) < radius] += rng.integers(60, 150, shape[2:])
    return image.clip(0, 255).astype(dtype)


GREY, RGB = drawn((110, 170)), drawn((150, 90, 3), seed=1)
ODD = {
    "two channels": drawn((60, 80, 2)),
    "one channel": drawn((60, 80, 1)),
    "RGBA": drawn((60, 80, 4)),
    "uint16": drawn((60, 80), dtype=np.uint16) * 200,
    "float32": drawn((60, 80, 3), dtype=np.float32) / 255,
    "float64, negative": drawn((60, 80), dtype=np.float64) - 100,
    "constant": np.full((60, 80), 7, np.uint8),
    "constant RGB": np.zeros((60, 80, 3), np.uint8),
    "small": drawn((32, 32)),
    "fewer rows than channels": drawn((2, 50, 3)),
    "one row": drawn((1, 4096)),
    "one column": drawn((300, 1)),
    "NaN": np.full((60, 80), np.nan, np.float32),
    "five channels": drawn((60, 80, 5)),
}
_FAST = ("two channels", "uint16", "float64, negative", "constant", "one row", "NaN",
         "five channels")  # fmt: skip
ODD_CASES = [name if name in _FAST else pytest.param(name, marks=pytest.mark.slow) for name in ODD]
"""For adapters whose smallest network takes half a second for each image."""


def valid_or_refused(model, image):
    """Its labels, let in by the border control; None if it is refused with a ValueError."""
    before = image.copy()
    try:
        labels = model.predict(image)
    except ValueError as error:
        assert "image" in str(error)
        return None
    np.testing.assert_array_equal(image, before)
    return check_labels(labels, image, model="model", of="odd")


def process_state():
    """What libraries are known to change in a process."""
    import torch

    return {
        "TF32": torch.backends.cuda.matmul.allow_tf32,
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "handlers": list(logging.root.handlers),
        "level": logging.root.level,
        "environment": dict(os.environ),
    }


def child(code):
    """What Python code prints in a process of its own."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def configured(name):
    """A model's YAML as a dictionary, without its name and target; and the text's first line."""
    text = (ROOT / "configs" / "model" / f"{name}.yaml").read_text()
    read = yaml.safe_load(text)
    assert read.pop("name") == name
    return read.pop("_target_"), read, text.splitlines()[0]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)
