"""Files of images written for a test, and what reading them must not do."""

import logging
import warnings

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from benchmark.errors import DataError


@pytest.fixture(autouse=True)
def nothing_leaks(capfd):
    """Whatever is read: no warning, no line on the terminal, loggers as they were."""
    before = list(logging.getLogger("tifffile").handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "<tifffile.TiffWriter.write>")  # of writing the case
        yield
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("tifffile").handlers == before


def pixels(*shape, dtype="u1"):
    return (np.random.default_rng(0).random(shape) * 100).astype(dtype)


def tiff(path, array, **options):
    tifffile.imwrite(path, array, **options)
    return path


def picture(path, array, mode=None, **options):
    made = Pillow.fromarray(array)
    (made.convert(mode) if mode else made).save(path, **options)
    return path


def deep_png(path, array):
    """A PNG of 16 bit with any number of channels, which Pillow can't write."""
    path.write_bytes(imagecodecs.png_encode(array))
    return path


def refusal(read, path):
    with pytest.raises(DataError) as error:
        read(path)
    assert str(path) in str(error.value)
    return str(error.value)
