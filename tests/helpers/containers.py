"""Small HDF5, zarr and TIFF files of numbers, and what is said of one that is refused."""

import numpy as np
import pytest

from benchmark.errors import DataError

ZYX = {"image_axes": "ZYX", "label_axes": "ZYX"}
KEYS = {"image": "raw", "labels": "labels"}


def numbers(*shape, dtype="u2", first=0):
    return np.arange(first, first + np.prod(shape)).reshape(shape).astype(dtype)


def h5(path, **content):
    import h5py

    with h5py.File(path, "w") as file:
        for key, array in content.items():
            file[key.replace("__", "/")] = array
    return path


def zarr_group(path, zarr_format, **content):
    import zarr

    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    for key, array in content.items():
        array = np.asarray(array)
        chunks = (1, *array.shape[1:])
        stored = group.create_array(
            key.replace("__", "/"), shape=array.shape, dtype=array.dtype, chunks=chunks
        )
        stored[:] = array
    return path


def zarr2(path, **content):
    return zarr_group(path, 2, **content)


def zarr3(path, **content):
    return zarr_group(path, 3, **content)


EACH = pytest.mark.parametrize(
    ("write", "suffix"), [(h5, ".h5"), (zarr3, ".zarr")], ids=["h5", "zarr"]
)


def assert_same(found, expected):
    np.testing.assert_array_equal(found, expected, strict=True)


def refusal(path, read, *arguments):
    with pytest.raises(DataError) as error:
        read(*arguments)
    assert str(path) in str(error.value)
    return str(error.value)
