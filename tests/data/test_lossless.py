"""Label images whose compression changed ids are refused; lossless ones are read."""

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from benchmark.data.formats.labels import LabelFile, LabelOptions, read_label_file
from benchmark.errors import DataError

rng = np.random.default_rng(0)
LABELS = np.zeros((97, 131), np.uint16)
for number in range(1, 30):
    r, c = rng.integers(0, 85), rng.integers(0, 119)
    LABELS[r : r + 9, c : c + 9] = number * 7

LOSSLESS = [
    ("jpeg2000", {}),
    ("jpegxl", {"lossless": True}),
    ("jpegxr", {}),
    ("lerc", {}),
    ("lerc", {"level": 0.5}),
    ("zlib", {}),
    ("lzw", {}),
    ("zstd", {}),
    ("lzma", {}),
    ("png", {}),
    ("packbits", {}),
]
LOSSY = [
    ("jpeg2000", {"level": 30}),
    ("jpegxl", {"level": 90}),
    ("jpegxl", {"distance": 0.5}),
    ("jpegxr", {"level": 80}),
    ("lerc", {"level": 3}),
    ("jpeg", {"level": 100}),
    ("jpeg", {"level": 75}),
]


def written(path, compression, options, dtype, **layout):
    tifffile.imwrite(
        path,
        LABELS.astype(dtype),
        compression=compression,
        compressionargs=dict(options),
        **layout,
    )
    return path


def read(path):
    return read_label_file(LabelFile(path), LABELS.shape, LabelOptions(are="ids"))


@pytest.mark.parametrize("layout", [{}, {"tile": (64, 64)}], ids=["strips", "tiles"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(("compression", "options"), LOSSLESS, ids=str)
def test_a_lossless_codec_keeps_the_ids(tmp_path, compression, options, dtype, layout):
    path = written(tmp_path / "a.tif", compression, options, dtype, **layout)
    np.testing.assert_array_equal(read(path), LABELS.astype(dtype))


@pytest.mark.parametrize("layout", [{}, {"tile": (64, 64)}], ids=["strips", "tiles"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(("compression", "options"), LOSSY, ids=str)
def test_a_lossy_codec_is_refused_by_name(tmp_path, compression, options, dtype, layout):
    path = written(tmp_path / "a.tif", compression, options, dtype, **layout)
    assert not np.array_equal(tifffile.imread(path), LABELS.astype(dtype))  # or it proves nothing
    with pytest.raises(DataError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert compression.upper() in str(error.value) and "deflate" in str(error.value)


def test_webp_is_known_by_its_chunk(tmp_path):
    from types import SimpleNamespace

    import imagecodecs

    from benchmark.data.formats.lossless import changes_numbers

    for lossless in (True, False):
        data = imagecodecs.webp_encode(np.dstack([LABELS.astype("u1")] * 3), lossless=lossless)
        (tmp_path / "w").write_bytes(data)
        with (tmp_path / "w").open("rb") as file:
            page = SimpleNamespace(
                compression=50001,
                dataoffsets=[0],
                databytecounts=[len(data)],
                parent=SimpleNamespace(filehandle=file),
            )
            assert changes_numbers(page) is not lossless


def test_a_jpeg_is_refused_whatever_its_name(tmp_path):
    path = tmp_path / "a.png"
    Pillow.fromarray(LABELS.astype("u1")).save(path, format="JPEG")
    with pytest.raises(DataError, match="JPEG changes ids"):
        read(path)
