"""Files of many slices: opened once, read anew when replaced, and named where they are damaged."""

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest
import tifffile
from helpers.containers import KEYS, ZYX, assert_same, h5, numbers, refusal, zarr2, zarr3
from helpers.messages import assert_names

from benchmark.data.formats.containers import Reading, read_pair, slices

# Files


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.tif"])
def test_a_file_that_is_missing_is_named(tmp_path, name):
    path = tmp_path / name
    assert "can't be read (" in refusal(path, slices, path, Reading("raw", **ZYX))


@pytest.mark.parametrize("keep", [0, 4, 0.5, -10])
def test_an_hdf5_file_that_was_cut_off_is_named(tmp_path, keep):
    path = h5(tmp_path / "a.h5", raw=numbers(30, 40, 50), labels=numbers(30, 40, 50))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    said = refusal(path, slices, path, Reading(**KEYS, **ZYX))
    assert said.endswith("The file may be damaged or incomplete.")


def test_a_damaged_chunk_is_told_with_its_slice_and_the_others_are_read(tmp_path):
    path = zarr3(tmp_path / "a.zarr", raw=numbers(3, 40, 50), labels=numbers(3, 40, 50))
    (path / "raw" / "c" / "1" / "0" / "0").write_bytes(b"no chunk")
    reading = Reading(**KEYS, **ZYX)
    assert slices(path, reading) == 3
    assert_same(read_pair(path, path, reading, 2)[0], numbers(3, 40, 50)[2])
    said = refusal(path, read_pair, path, path, reading, 1)
    assert_names(said, f"{path}, 'raw', slice 1", "can't be read")


def test_a_damaged_chunk_of_an_hdf5_file_is_told_with_its_slice(tmp_path):
    import h5py

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["labels"] = numbers(3, 40, 50)
        raw = file.create_dataset(
            "raw", data=numbers(3, 40, 50), chunks=(1, 40, 50), compression="gzip"
        )
        place = raw.id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\0" * place.size)
    reading = Reading(**KEYS, **ZYX)
    assert_same(read_pair(path, path, reading, 2)[0], numbers(3, 40, 50)[2])
    assert f"{path}, 'raw', slice 1: can't be" in refusal(path, read_pair, path, path, reading, 1)


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a"])
def test_a_file_of_another_kind_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_text("pixels")
    said = refusal(path, slices, path, Reading("raw", **ZYX))
    assert_names(said, f"'{path.suffix}'", ".h5, .hdf5, .hdf, .zarr")


@pytest.mark.parametrize(("name", "library"), [("a.h5", "h5py"), ("a.zarr", "zarr")])
def test_without_its_library_a_file_says_what_to_install(tmp_path, monkeypatch, name, library):
    path = tmp_path / name
    path.mkdir()
    monkeypatch.setitem(sys.modules, library, None)
    said = refusal(path, slices, path, Reading("raw", **ZYX))
    assert_names(said, f"{path}: ", library, "not installed", "pip install")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.tif"])
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    assert "a pipe or a device" in refusal(path, slices, path, Reading("raw", **ZYX))


def test_a_library_that_cant_be_loaded_is_not_called_missing(tmp_path, monkeypatch):
    library = tmp_path / "broken" / "h5py.py"
    library.parent.mkdir()
    library.write_text("raise ImportError('libhdf5.so: cannot open shared object file')")
    monkeypatch.syspath_prepend(library.parent)
    monkeypatch.delitem(sys.modules, "h5py", raising=False)
    (tmp_path / "a.h5").touch()
    said = refusal(tmp_path / "a.h5", slices, tmp_path / "a.h5", Reading("raw", **ZYX))
    assert_names(said, "libhdf5.so", "can't be loaded")
    assert "not installed" not in said


# One file, many slices


@pytest.mark.parametrize(("write", "suffix"), [(h5, ".h5"), (zarr2, ".zarr"), (zarr3, ".zarr")])
def test_how_many_slices_there_are_is_read_from_the_header(tmp_path, write, suffix):
    import h5py
    import zarr

    path = write(tmp_path / f"a{suffix}")
    shape = (7, 10**6, 10**6)  # no memory would hold it
    if write is h5:
        with h5py.File(path, "a") as file:
            file.create_dataset("raw", shape=shape, dtype="u2", chunks=(1, 100, 100))
    else:
        group = zarr.open_group(str(path), mode="a")
        group.create_array("raw", shape=shape, dtype="u2", chunks=(1, 100, 100))
    assert slices(path, Reading("raw", **ZYX)) == 7
    assert slices(path, Reading(["raw", "zeros"], **ZYX)) == 7


def test_a_file_is_opened_once_for_all_its_slices(tmp_path, monkeypatch):
    import h5py

    path = h5(tmp_path / "a.h5", raw=numbers(9, 4, 5), labels=numbers(9, 4, 5))
    opened, real = [], h5py.File

    def count(*arguments, **options):
        opened.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(h5py, "File", count)
    for index in range(slices(path, Reading(**KEYS, **ZYX))):
        read_pair(path, path, Reading(**KEYS, **ZYX), index)
    assert len(opened) == 1


def tiff(path, raw, labels):
    tifffile.imwrite(path, raw)
    return path


@pytest.mark.parametrize(
    ("write", "suffix"),
    [(h5, ".h5"), (zarr2, ".zarr"), (zarr3, ".zarr"), (tiff, ".tif")],
    ids=["h5", "zarr 2", "zarr 3", "tiff"],
)
def test_a_file_that_was_replaced_is_read_anew(tmp_path, write, suffix):
    path = tmp_path / f"a{suffix}"
    reading = Reading(**ZYX) if write is tiff else Reading(**KEYS, **ZYX)
    for time, count in enumerate((6, 5, 7)):
        content = numbers(count, 4, 5, first=time)
        new = write(tmp_path / f"new{suffix}", raw=content, labels=content)
        os.utime(new, ns=(0, 10**18 - time))  # an older one, too
        if path.is_dir():
            shutil.rmtree(path)
        new.replace(path)
        assert slices(path, reading) == count
        image, labels = read_pair(path, path, reading, count - 1)
        assert_same(image, content[-1])
        assert_same(labels, content[-1])


def open_files(folder):
    links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [link for link in links if str(link.readlink()).startswith(str(folder))]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc")
@pytest.mark.parametrize(("write", "suffix"), [(h5, ".h5"), (tiff, ".tif")])
def test_no_more_than_two_files_stay_open(tmp_path, write, suffix):
    reading = Reading(**ZYX) if write is tiff else Reading(**KEYS, **ZYX)
    gc.disable()
    try:
        for number in range(5):
            content = numbers(6, 4, 5)
            path = write(tmp_path / f"{number}{suffix}", raw=content, labels=content)
            read_pair(path, path, reading, 3)
        assert 0 < len(open_files(tmp_path)) <= 2
    finally:
        gc.enable()
