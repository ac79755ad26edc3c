"""Files that are damaged, closed, of another kind or real: read right, or refused by name."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.files import deep_png, picture, pixels, refusal, tiff
from helpers.files import nothing_leaks as nothing_leaks
from helpers.messages import assert_names

from benchmark.data.formats.images import read_image, read_labels
from benchmark.errors import DataError

CASES = {
    "plain.tif": lambda p: tiff(p, pixels(40, 50, dtype="u2")),
    "tiled.tif": lambda p: tiff(p, pixels(40, 50, dtype="u2"), tile=(16, 16)),
    "zlib.tif": lambda p: tiff(p, pixels(40, 50), compression="zlib", rowsperstrip=8),
    "lzw.tif": lambda p: tiff(p, pixels(40, 50), compression="lzw", tile=(16, 16)),
    "jpeg.tif": lambda p: tiff(p, pixels(40, 50), compression="jpeg"),
    "jpegs.tif": lambda p: tiff(p, pixels(40, 50), compression="jpeg", rowsperstrip=8),
    "imagej.tif": lambda p: tiff(p, pixels(40, 50), imagej=True),
    "stack.tif": lambda p: tiff(p, pixels(3, 40, 50), imagej=True, metadata={"axes": "ZYX"}),
    "channels.tif": lambda p: tiff(p, pixels(3, 40, 50), imagej=True, metadata={"axes": "CYX"}),
    "fiji.tif": lambda p: tiff(
        p, pixels(3, 40, 50), imagej=True, metadata={"axes": "CYX"}, truncate=True
    ),
    "shaped.tif": lambda p: tiff(
        p, pixels(3, 40, 50), photometric="minisblack", metadata={"axes": "CYX"}
    ),
    "truncated.tif": lambda p: tiff(
        p, pixels(3, 40, 50), photometric="minisblack", metadata={"axes": "CYX"}, truncate=True
    ),
    "ome.tif": lambda p: tiff(
        p, pixels(3, 40, 50), photometric="minisblack", metadata={"axes": "CYX"}, ome=True
    ),
    "pillow.tif": lambda p: picture(p, pixels(40, 50, 3), compression="tiff_lzw"),
    "grey.png": lambda p: picture(p, pixels(40, 50)),
    "colour.png": lambda p: picture(p, pixels(40, 50, 3)),
    "deep.png": lambda p: deep_png(p, pixels(40, 50, 3, dtype="u2")),
    "grey.jpg": lambda p: picture(p, pixels(40, 50)),
    "colour.jpg": lambda p: picture(p, pixels(40, 50, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_was_cut_off_never_passes_for_another_image(tmp_path, name):
    path = CASES[name](tmp_path / name)
    content = path.read_bytes()
    whole = None if name == "stack.tif" else read_image(path)
    ends = {
        *range(len(content) - 25, len(content)),
        *range(0, len(content), 1 + len(content) // 40),
    }
    refused = 0
    for end in ends:
        path.write_bytes(content[:end])
        try:
            found = read_image(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)
            assert re.search("may be damaged or incomplete|a stack of 3", str(error))
        else:
            assert whole is not None, f"half a stack passes for an image at {end}"
            np.testing.assert_array_equal(found, whole)  # nothing that counts was cut
    assert refused > 30


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
@pytest.mark.parametrize(
    "content", [b"", b"hello there, I am no image\n" * 20], ids=["empty", "text"]
)
def test_a_file_of_something_else_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert "damaged" in refusal(read_image, path)


@pytest.mark.parametrize("name", ["x.tif", "x.png"])
def test_a_folder_a_missing_file_and_a_closed_one_say_what_they_are(tmp_path, name):
    path = tmp_path / name
    assert refusal(read_image, path) == f"{path}: can't be read: No such file or directory."
    path.mkdir()
    assert refusal(read_image, path) == f"{path}: can't be read: Is a directory."


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_says_so(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(20, 30))
    path.chmod(0)
    assert "Permission denied" in refusal(read_image, path)


def test_an_unknown_suffix_is_refused_with_those_that_are_known(tmp_path):
    message = refusal(read_image, tmp_path / "a.oib")
    assert_names(message, "'.oib'", ".tif, .tiff, .png, .jpg, .jpeg, .npy, .zarr, .nd2")
    message = refusal(read_labels, tmp_path / "a.czi")
    assert_names(message, "'.czi'", ".tif, .tiff, .png, .jpg, .jpeg")


@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
@pytest.mark.parametrize(
    ("folder", "labels", "dtype", "ndim"),
    [
        ("u20s/images", "u20s/labels", "u2", 2),
        ("dsb/test/images", "dsb/test/masks", "u1", 2),
        ("histology_rgb/images", "histology_rgb/labels", "u1", 3),
    ],
)
def test_real_images_are_read(folder, labels, dtype, ndim):
    root = Path(os.environ["BENCHMARK_DATA"])
    for path in sorted((root / folder).iterdir())[:10]:
        image, truth = read_image(path), read_labels(root / labels / path.name)
        assert image.dtype == dtype and image.ndim == ndim
        assert truth.shape == image.shape[:2] and truth.dtype == "u2" and truth.any()
